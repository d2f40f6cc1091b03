//! Flushes and merges that nobody waits for, each in a thread of its own while commits go on.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::compact::Eagerness;
use crate::fault;
use crate::shared::Shared;

/// The threads that work beside the commits: one that flushes at most, and one that merges.
#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    flusher: Mutex<Option<JoinHandle<()>>>,
    merger: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, flusher: Mutex::default(), merger: Arc::default() }
    }

    /// Flushes until nothing is due, and then merges, unless somebody is at it.
    pub(crate) fn flush_beside(&self) {
        let (shared, merger) = (self.shared.clone(), self.merger.clone());
        start(&self.flusher, "store-flush", move || {
            while !shared.is_stopping() && shared.lock().is_flush_due() {
                let flushed = shared.flush();
                shared.lock().flush_ended(&flushed);
                if flushed.is_ok() {
                    merge_beside(&shared, &merger);
                }
            }
        });
    }

    /// Merges what is due, unless somebody is at it.
    pub(crate) fn merge_beside(&self) {
        merge_beside(&self.shared, &self.merger);
    }

    /// Waits for both to end.
    pub(crate) fn wait(&self) {
        for place in [&self.flusher, self.merger.as_ref()] {
            let thread = place.lock().ok().and_then(|mut thread| thread.take());
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("a thread that keeps the store has panicked");
            }
        }
    }
}

impl Drop for Keeper {
    /// What they write is the folder's, and the lock of the folder goes with the store.
    fn drop(&mut self) {
        self.shared.stop();
        self.wait();
    }
}

fn merge_beside(shared: &Arc<Shared>, merger: &Mutex<Option<JoinHandle<()>>>) {
    let shared = shared.clone();
    start(merger, "store-merge", move || {
        if let Err(err) = shared.merge(Eagerness::WhenDue) {
            let error: &(dyn std::error::Error + 'static) = &err;
            tracing::warn!(error, "segments stay many: they cannot be merged");
        }
    });
}

/// Starts a thread, unless the one before it is still running.
fn start(place: &Mutex<Option<JoinHandle<()>>>, name: &str, work: impl FnOnce() + Send + 'static) {
    let mut place = place.lock().expect("no thread panics while it holds its handle");
    if place.as_ref().is_some_and(|thread| !thread.is_finished()) {
        return;
    }
    let inherit = fault::inherited();
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
        inherit();
        work();
    });
    match started {
        Ok(thread) => *place = Some(thread),
        // Commits wait for a flush, and do it themselves, when too much has come.
        Err(error) => tracing::warn!(%error, thread = name, "there is no thread to keep the store"),
    }
}
