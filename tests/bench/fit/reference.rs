//! The published program, in a Python that has it.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const PROGRAM: &str = include_str!("reference.py");

/// Its seconds for each method, and its versions.
pub(crate) fn run(python: &Path, fixtures: &Path) -> Result<Value, Box<dyn Error>> {
    let mut command = Command::new(python);
    // One thread, as ours.
    for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"] {
        command.env(name, "1");
    }
    let done = command.args(["-W", "ignore", "-c", PROGRAM]).arg(fixtures).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !done.status.success() {
        return Err(format!("the published program ended with {}", done.status).into());
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}
