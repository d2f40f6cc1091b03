//! The newest lines of the log, in memory, for a page that shows them: a gateway with its logs in RAM has no other place for them.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::{Clock as _, SystemClock};

/// Lines that are kept; the oldest goes first.
const LINES_MAX: usize = 400;
/// Bytes of a line; the rest of it is cut off.
const LINE_BYTES_MAX: usize = 600;

static LINES: Mutex<VecDeque<LogLine>> = Mutex::new(VecDeque::new());

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was said.
    pub at: Timestamp,
    /// How urgent it is.
    pub level: Level,
    /// What happened, and the fields behind it.
    pub text: String,
}

impl LogLine {
    /// Whether somebody should look.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.level <= Level::WARN
    }

    /// Whether somebody must act.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.level == Level::ERROR
    }
}

fn lines() -> MutexGuard<'static, VecDeque<LogLine>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The newest lines of the log of this process, the oldest of them first; at most 400 of at most 600 bytes.
#[must_use]
pub fn recent_log() -> Vec<LogLine> {
    lines().iter().cloned().collect()
}

/// Remembers what is logged.
pub(crate) struct Recent;

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let mut text = said.message;
        text.push_str(&said.fields);
        if text.len() > LINE_BYTES_MAX {
            text.truncate(text.floor_char_boundary(LINE_BYTES_MAX));
            text.push('…');
        }
        let mut lines = lines();
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(LogLine { at: SystemClock.now(), level: *event.metadata().level(), text });
    }
}

/// An event as text.
#[derive(Default)]
struct Said {
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, "  {name}={value:?}"),
        };
        written.expect("a string takes every word");
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{Registry, layer::SubscriberExt as _};

    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_long_ones_are_cut() {
        tracing::subscriber::with_default(Registry::default().with(Recent), || {
            for number in 0..LINES_MAX + 50 {
                tracing::warn!(number, device = "pump", "line {number}");
            }
            tracing::error!("{}", "ü".repeat(LINE_BYTES_MAX));
        });
        let kept = recent_log();
        assert_eq!(kept.len(), LINES_MAX);
        assert_eq!(kept[0].text, "line 51  number=51  device=pump");
        assert_eq!(kept[0].level, Level::WARN);
        let longest = &kept[LINES_MAX - 1];
        assert!(longest.text.len() <= LINE_BYTES_MAX + 3 && longest.text.ends_with("ü…") && longest.level == Level::ERROR, "{longest:?}");
    }
}
