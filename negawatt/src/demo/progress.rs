//! What a person sees while a demo runs: a bar on a terminal, plain lines elsewhere, nothing when asked for quiet.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::cli::complain;

/// How the demo tells where it is. Standard error only; standard output is for the result.
#[derive(Debug)]
pub(crate) struct Progress {
    way: Way,
}

#[derive(Debug)]
enum Way {
    Silent,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    /// * `quiet`: say nothing at all.
    /// * `plain`: lines even on a terminal.
    pub(crate) fn new(quiet: bool, plain: bool) -> Self {
        let way = match (quiet, plain || !std::io::stderr().is_terminal()) {
            (true, _) => Way::Silent,
            (false, true) => Way::Lines,
            (false, false) => Way::Bar(bar()),
        };
        Self { way }
    }

    /// A step begins, or something worth a line has happened.
    pub(crate) fn say(&self, line: &str) {
        match &self.way {
            Way::Silent => {}
            Way::Lines => complain(line),
            Way::Bar(bar) => bar.println(line),
        }
    }

    /// A long step begins: so many units of it.
    pub(crate) fn begin(&self, what: &'static str, total: u64) {
        if let Way::Bar(bar) = &self.way {
            bar.set_length(total);
            bar.set_position(0);
            bar.set_message(what);
            bar.enable_steady_tick(Duration::from_millis(100));
        }
    }

    /// So many units of the long step are done.
    pub(crate) fn at(&self, done: u64) {
        if let Way::Bar(bar) = &self.way {
            bar.set_position(done);
        }
    }

    /// The long step is over.
    pub(crate) fn end(&self, summary: &str) {
        if let Way::Bar(bar) = &self.way {
            bar.disable_steady_tick();
            bar.set_length(0);
            bar.reset();
        }
        self.say(summary);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Way::Bar(bar) = &self.way {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<28} {bar:32} {pos:>9}/{len} points  {rate}  {elapsed}");
    let style = style.unwrap_or_else(|_bad_template| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style.with_key("rate", rate))
}

/// Whole points a second: their fractions say nothing.
fn rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // A column that cannot be written is left out.
    write!(out, "{:.0}/s", state.per_sec()).unwrap_or_default();
}
