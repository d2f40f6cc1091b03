//! What became of the exports, for the page they are made of.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counted since the process started.
#[derive(Debug, Default)]
pub struct Exports {
    pub(crate) taken: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) left_out: AtomicU64,
    /// Points that a receiver refused of exports it took.
    pub(crate) rejected: AtomicU64,
    /// Lines of the page that could not be told.
    pub(crate) unread: AtomicU64,
}

impl Exports {
    pub(crate) fn count(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    /// Writes these at the end of a page.
    pub fn append_to(&self, page: &mut String) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // A text in memory can be written to.
        let mut line = |line: std::fmt::Arguments<'_>| writeln!(page, "{line}").unwrap_or_default();
        line(format_args!("# HELP negawatt_otlp_exports_total Exports to OpenTelemetry, by what became of them."));
        line(format_args!("# TYPE negawatt_otlp_exports_total counter"));
        for (outcome, counter) in [("taken", &self.taken), ("failed", &self.failed), ("left_out", &self.left_out)] {
            line(format_args!("negawatt_otlp_exports_total{{outcome=\"{outcome}\"}} {}", get(counter)));
        }
        for (name, help, counter) in [
            ("rejected_points", "Points that the receiver refused of exports that it took.", &self.rejected),
            ("unread_lines", "Lines of this page that could not be told.", &self.unread),
        ] {
            line(format_args!("# HELP negawatt_otlp_{name}_total {help}\n# TYPE negawatt_otlp_{name}_total counter"));
            line(format_args!("negawatt_otlp_{name}_total {}", get(counter)));
        }
    }
}
