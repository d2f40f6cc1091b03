//! What other people's client makes of the same devices: in blocks as we read them, and with one request for each value.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Result, plant::BLOCKS, registers::Servers};

const POLLER: &str = include_str!("peer.py");

/// How a peer asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// The blocks that our planner makes.
    Blocks,
    /// Two registers at a time, as mbmd does.
    OneRequestPerValue,
}

/// What a peer read.
pub(super) struct Polled {
    pub(super) points_per_second: f64,
    pub(super) points_per_cpu_second: f64,
}

/// Lets pymodbus poll one device for so long, on the core that we had.
pub(super) fn pymodbus(python: &Path, style: Style, time: Duration) -> Result<Polled> {
    let servers = Servers::start(1)?;
    let port = servers.addresses.first().ok_or("a port")?.port();
    let asks: Vec<String> = BLOCKS
        .into_iter()
        .flat_map(|(start, floats)| match style {
            Style::Blocks => vec![format!("{start}:{}", 2 * floats)],
            Style::OneRequestPerValue => (0..floats).map(|float| format!("{}:2", start + 2 * float)).collect(),
        })
        .collect();
    let mut command = Command::new(python);
    command.args(["-c", POLLER, &port.to_string(), &time.as_secs().to_string(), &asks.join(",")]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", python.display(), output.status).into());
    }
    let figures: Value = serde_json::from_slice(&output.stdout)?;
    let figure = |name: &str| figures[name].as_f64().ok_or_else(|| format!("the peer did not say {name}"));
    let points = figure("points")?;
    Ok(Polled { points_per_second: points / figure("seconds")?, points_per_cpu_second: points / figure("cpu_seconds")? })
}
