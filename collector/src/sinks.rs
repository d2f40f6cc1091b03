//! The sinks of a collector: each a task of its own, none of which can hold up another or what comes in.

use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use sinks::Shown;
use store::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::config::Config;

/// A request that is under way when we stop gets this long; it is sent again at the next start.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Sinks {
    running: Vec<(String, Arc<Shown>, JoinHandle<()>)>,
}

impl Sinks {
    /// Starts them. They need not reach anybody.
    pub(crate) fn start(config: &Config, store: &Arc<Store>, clock: &Arc<dyn Clock>, stop: &CancellationToken) -> Self {
        let started = config.sinks.iter().map(|sink| {
            let shown = Arc::new(Shown::new(sink));
            let task = tokio::spawn(sinks::run(sink.clone(), store.clone(), clock.clone(), shown.clone(), stop.clone()));
            (sink.name.clone(), shown, task)
        });
        Self { running: started.collect() }
    }

    /// How they are doing, in the order of the configuration.
    pub(crate) fn shown(&self) -> Vec<Arc<Shown>> {
        self.running.iter().map(|(_, shown, _)| shown.clone()).collect()
    }

    /// Waits until they have ended, and no longer than a moment.
    pub(crate) async fn ended(self) {
        let grace = tokio::time::Instant::now() + GRACE;
        for (name, _, mut task) in self.running {
            match tokio::time::timeout_at(grace, &mut task).await {
                Ok(Ok(())) => {}
                Ok(Err(panicked)) => error!(sink = name, error = %panicked, "the sink has panicked"),
                Err(_late) => {
                    task.abort();
                    warn!(sink = name, "the sink was cut off; what it was sending is sent again");
                }
            }
        }
    }
}
