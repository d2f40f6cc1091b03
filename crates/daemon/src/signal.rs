//! Being asked to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// A token that is cancelled by the first SIGTERM or SIGINT. A second one ends the process at once.
///
/// * Errors: the operating system refuses to watch signals.
pub fn shutdown_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let asked = stop.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if first {
                info!("stopping on {name}; a second one ends at once");
                asked.cancel();
            } else {
                end_at_once();
            }
        }
    });
    Ok(stop)
}

#[expect(clippy::disallowed_methods, reason = "the user asked twice: not even destructors are waited for")]
fn end_at_once() -> ! {
    std::process::exit(130)
}
