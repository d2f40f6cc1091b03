//! Faults that a test switches on.

use std::collections::VecDeque;
use std::time::Duration;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429 `rate_limit`; nothing is executed.
    RateLimit,
    /// 429 `lock_timeout`; nothing is executed.
    LockTimeout,
    /// 500; nothing is executed or stored.
    ErrorBefore,
    /// Executed and the result stored, but the edge answers 500: the same key then gives the result.
    ErrorAfter,
    /// Executed, and the 500 is what is stored: the same key gives 500 for ever, only a look-up tells.
    StoredErrorAfter,
    /// Executed, and then silence.
    TimeoutAfter,
    /// The connection breaks; nothing is executed.
    ResetBefore,
    /// Executed, then the connection breaks.
    ResetAfter,
    /// Executed after a while, during which its idempotency key is in use.
    Slow(Duration),
}

/// Faults waiting for their request.
#[derive(Debug, Default)]
pub(crate) struct Faults(VecDeque<(String, Fault)>);

impl Faults {
    pub(crate) fn push(&mut self, operation: &str, fault: Fault) {
        self.0.push_back((operation.to_owned(), fault));
    }

    /// The first fault waiting for this operation.
    pub(crate) fn take(&mut self, operation: &str) -> Option<Fault> {
        let index = self.0.iter().position(|(waiting, _)| waiting == operation)?;
        self.0.remove(index).map(|(_, fault)| fault)
    }
}
