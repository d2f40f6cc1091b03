//! The service manager is told that we are alive for as long as polls happen, and not because a timer runs.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::status::Status;

/// How often progress is looked for; the unit file waits several times as long.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Sweeps that may be late before we are taken for stuck.
const SWEEPS_LATE: u32 = 3;

/// Says `alive` while the schedule goes on, buses due or not: while a moment of it passes within `SWEEPS_LATE` times the time between two of them.
pub(crate) async fn watch(status: Arc<Status>, sweep_interval: impl Fn() -> Duration, alive: impl Fn(), stop: CancellationToken) {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = (0, Instant::now());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let patience = sweep_interval() * SWEEPS_LATE + LOOK_EVERY;
        let ticks = status.ticks();
        if ticks != seen.0 {
            seen = (ticks, Instant::now());
        }
        if seen.1.elapsed() < patience {
            alive();
        } else {
            tracing::error!(ticks, "no sweep for {} s: the service manager may start this gateway anew", patience.as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_polls_no_more_is_not_called_alive() {
        let status = Arc::new(Status::default());
        let stop = CancellationToken::new();
        let said = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&said);
        let watching = tokio::spawn(watch(
            Arc::clone(&status),
            || Duration::from_secs(60),
            move || {
                count.fetch_add(1, Ordering::SeqCst);
            },
            stop.clone(),
        ));
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            status.ticked();
        }
        let polling = said.load(Ordering::SeqCst);
        assert!(polling >= 29, "{polling}");
        tokio::time::sleep(Duration::from_secs(600)).await;
        let stuck = said.load(Ordering::SeqCst) - polling;
        assert!((18..=20).contains(&stuck), "{stuck}");
        status.ticked();
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(said.load(Ordering::SeqCst) > polling + stuck, "it works again, so it is alive again");
        stop.cancel();
        watching.await.unwrap();
    }
}
