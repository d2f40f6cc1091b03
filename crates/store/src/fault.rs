//! Where a test makes the machine fail. Nothing in a build that is not a test.

/// A place where the machine may fail or the process may be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Preallocate,
    Sync,
    FolderSync,
    SegmentWritten,
    SegmentRenamed,
    ManifestPublished,
    LogTrimmed,
    DerivedWritten,
    DerivedPublished,
}

#[cfg(not(test))]
pub(crate) fn hit(_step: Step) -> std::io::Result<()> {
    Ok(())
}

/// What a thread that is started takes over from the one that starts it.
#[cfg(not(test))]
pub(crate) fn inherited() -> impl FnOnce() + Send {
    || ()
}

#[cfg(test)]
pub(crate) use armed::{arm, disarm, hit, inherited};

#[cfg(test)]
mod armed {
    use super::Step;
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static ARMED: Cell<Option<(Step, io::ErrorKind)>> = const { Cell::new(None) };
    }

    pub(crate) fn arm(step: Step, kind: io::ErrorKind) {
        ARMED.set(Some((step, kind)));
    }

    pub(crate) fn inherited() -> impl FnOnce() + Send {
        let armed = ARMED.get();
        move || ARMED.set(armed)
    }

    pub(crate) fn disarm() {
        ARMED.set(None);
    }

    pub(crate) fn hit(step: Step) -> io::Result<()> {
        match ARMED.get() {
            Some((armed, kind)) if armed == step => Err(kind.into()),
            _ => Ok(()),
        }
    }
}
