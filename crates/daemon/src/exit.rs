//! What a process says when it ends.

use std::error::Error;

/// The exit codes of every program of ours. They follow sysexits(3) where it has one.
///
/// Restarting cannot help with [`ExitCode::Configuration`]: units tell systemd so (`RestartPreventExitStatus=78`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Ok = 0,
    /// A fault of ours.
    Bug = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The data were refused: an insufficient baseline, a bundle that does not match.
    DataRefused = 65,
    /// Something we depend on is down or in the way: a broker, a device, a port in use, a full disk.
    DependencyDown = 69,
    /// Try again later.
    TryAgain = 75,
    /// The configuration is wrong.
    Configuration = 78,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// An error with all its causes, outermost first: `could not open the store: ./data/lock: Permission denied`.
#[must_use]
pub fn chain(err: &dyn Error) -> String {
    let mut text = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        text.push_str(": ");
        text.push_str(&err.to_string());
        cause = err.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not open the store")]
    struct Open(#[source] std::io::Error);

    #[test]
    fn every_cause_is_named_once() {
        let err = Open(std::io::Error::other("no space left on device"));
        assert_eq!(chain(&err), "could not open the store: no space left on device");
    }
}
