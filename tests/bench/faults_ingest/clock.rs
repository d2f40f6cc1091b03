//! A clock that another process sets.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use daemon::{Clock, SystemClock};
use jiff::{SignedDuration, Timestamp};

/// The system's clock, off by as many seconds as a file says.
#[derive(Debug)]
pub(crate) struct JumpingClock {
    pub(crate) offset: PathBuf,
}

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        let seconds = std::fs::read_to_string(&self.offset).ok().and_then(|text| text.trim().parse().ok());
        SystemClock.now() + SignedDuration::from_secs(seconds.unwrap_or(0))
    }

    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        SystemClock.sleep_until(at)
    }
}
