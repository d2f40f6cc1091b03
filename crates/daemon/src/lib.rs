//! How our processes live and die: the clock they are told, the signal that stops them, how they talk and what they
//! say when they exit. Nothing else.

mod clock;
mod exit;
mod recent;
pub mod service;
mod signal;
mod tracing_setup;

pub use clock::{Clock, SystemClock};
pub use exit::{ExitCode, chain};
pub use recent::{LogLine, recent_log};
pub use signal::shutdown_signal;
pub use tracing_setup::{LogError, LogFormat, Verbosity, init_tracing, set_log};

use std::io::Read;

/// Sixteen bytes of the operating system's randomness, to seed an identifier source with.
///
/// * Errors: the operating system has none to give.
pub fn entropy() -> std::io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
