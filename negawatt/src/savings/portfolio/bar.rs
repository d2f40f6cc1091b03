//! How far a run is, on standard error: a bar on a terminal, nothing elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

/// Cleared when it is dropped, so that an error stands on a line of its own.
#[derive(Debug)]
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    /// * `silent`: none, terminal or not.
    pub(super) fn new(meters: usize, silent: bool) -> Self {
        if silent || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let style = ProgressStyle::with_template("{bar:32} {pos:>9}/{len} meters  {rate}  {eta} left");
        let style = style.unwrap_or_else(|_bad_template| ProgressStyle::default_bar());
        let bar = ProgressBar::new(meters as u64).with_style(style.with_key("rate", rate));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(Some(bar))
    }

    /// One more is done.
    pub(super) fn step(&self) {
        if let Self(Some(bar)) = self {
            bar.inc(1);
        }
    }

    pub(super) fn end(&self) {
        if let Self(Some(bar)) = self {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whole meters a second: their fractions say nothing.
fn rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // A column that cannot be written is left out.
    write!(out, "{:.0}/s", state.per_sec()).unwrap_or_default();
}
