//! What `cargo xtask bench store` measures, by its own program.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Result;
use super::report::Figures;

/// Points of a whole run, for which the store is measured at its full size.
const WHOLE: u64 = 5_000_000;

/// Runs it, smaller for smaller runs, and takes over what stands beside other figures of ours.
pub(crate) fn measure(figures: &mut Figures, folder: &Path, points: u64, seed: u64) -> Result<()> {
    let program = std::env::current_exe()?.with_file_name("store-bench");
    let part = |of_whole: u64| (of_whole * points.min(WHOLE) / WHOLE).max(1).to_string();
    let mut command = Command::new(program);
    command.arg("--folder").arg(folder).args(["--seed", &seed.to_string(), "--minutes", &part(300)]);
    command.args(["--days", &part(365), "--log-points", &part(10_000_000)]);
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the bench of the store ended with {}", output.status).into());
    }
    let found: Value = serde_json::from_slice(&output.stdout)?;
    for name in ["durable_points_per_core_second", "replay_seconds", "facility_year_seconds", "series_year_ms"] {
        figures.set(name, found[name].as_f64().ok_or_else(|| format!("the bench of the store says nothing of {name}"))?);
    }
    if let Some(bytes) = found["bytes_per_point"].as_f64() {
        figures.set("facility-year bytes/point", bytes);
    }
    Ok(())
}
