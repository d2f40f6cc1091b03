//! `GET /metrics`, in Prometheus' text format.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;

use jiff::{SignedDuration, Timestamp};
use store::Store;

use crate::live::Live;

/// A gateway that has sent nothing newer for this long is silent: ten polls of a minute.
const SILENT: SignedDuration = SignedDuration::from_mins(10);

pub(super) fn render(live: &Live, store: &Store, sinks: &[sinks::Status], now: Timestamp) -> String {
    let counters = store.counters();
    let mut page = Page::default();
    page.counter("negawatt_points_received_total", "Points offered since the store was made.", counters.received());
    page.counter("negawatt_points_accepted_total", "Points stored.", counters.accepted);
    page.counter("negawatt_points_duplicate_total", "Points that were stored before.", counters.duplicate);
    page.counter("negawatt_points_conflict_total", "Points stored that contradict a stored one; both are kept.", counters.conflict);
    page.counter("negawatt_points_dead_letter_total", "Points of messages that could not be understood.", counters.dead_letter);
    page.counter("negawatt_batches_total", "Batches, those that came again included.", counters.batches);
    page.counter("negawatt_batches_repeated_total", "Batches that came again.", counters.repeated_batches);
    page.head("negawatt_dlq_total", "counter", "Dead letters since this process started.");
    for (reason, count) in live.letters() {
        page.sample(&format!("negawatt_dlq_total{{reason=\"{reason}\"}}"), count);
    }
    page.head("negawatt_write_requests_total", "counter", "Requests to write over HTTP, by their answer.");
    for (status, count) in live.writes() {
        page.sample(&format!("negawatt_write_requests_total{{status=\"{status}\"}}"), count);
    }
    let (received, accounted) = (live.get(&live.received), live.get(&live.accounted));
    page.gauge(
        "negawatt_conservation_difference",
        "Points that arrived and are not accounted for; in flight when small, a fault when it stays.",
        i128::from(received) - i128::from(accounted),
    );
    page.gauge("negawatt_inflight_messages", "Messages that arrived and are not yet durable.", live.get(&live.inflight));
    page.gauge("negawatt_broker_connected", "1 when subscribed.", u8::from(live.connected.load(Ordering::SeqCst)));
    page.counter("negawatt_broker_reconnects_total", "Connections lost or refused.", live.get(&live.reconnects));
    page.counter("negawatt_messages_total", "Messages from the broker.", live.get(&live.messages));
    page.counter(
        "negawatt_messages_deferred_total",
        "Frames that their gateways send again, because they brought too much.",
        live.get(&live.deferred),
    );
    page.counter("negawatt_acks_total", "Acknowledgements told to gateways.", live.get(&live.acks));
    page.counter(
        "negawatt_gateway_frames_lost_total",
        "Frames that gateways say are gone: damaged, or dropped from a full spool.",
        live.get(&live.frames_lost),
    );
    page.counter(
        "negawatt_gateway_points_left_out_total",
        "Points that gateways left out to make room in a full spool.",
        live.get(&live.points_left_out),
    );
    page.gauge("negawatt_sse_clients", "Who watches readings as they come.", live.hub.clients());
    page.counter("negawatt_sse_lag_events_total", "Gaps that those who watch were told of.", live.hub.gaps());
    page.gauge("negawatt_gateways", "Gateways heard since this process started.", live.latest().len());
    let silent_since = (now - SILENT).as_millisecond();
    let silent = live.latest().values().filter(|frame| frame.tick_ms < silent_since).count();
    page.gauge("negawatt_gateways_silent", "Those of them whose newest readings are older than ten minutes.", silent);
    page.gauge("negawatt_ingest_blocked", "1 while readings cannot be stored.", u8::from(live.problem().is_some()));
    page.gauge("negawatt_wal_bytes", "Log that a restart would read.", store.wal_bytes());
    page.gauge("negawatt_head_points", "Points in memory.", store.head_rows());
    page.gauge("negawatt_segments", "Segments.", store.segments());
    // A disk that does not even say how full it is shows in `negawatt_ingest_blocked` soon.
    if let Ok(free) = store::free_ratio(store.dir()) {
        page.gauge("negawatt_disk_free_ratio", "Part of the store's disk that is free.", free);
    }
    page.head("negawatt_build_info", "gauge", "1, with the version of the program.");
    page.sample(&format!("negawatt_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1);
    page.sinks(sinks);
    let commits = live.commits();
    page.head("negawatt_ingest_commit_seconds", "histogram", "Time from a group of messages to its durability.");
    for (micros, count) in commits.cumulated() {
        page.sample(&format!("negawatt_ingest_commit_seconds_bucket{{le=\"{}\"}}", Seconds(micros)), count);
    }
    page.sample("negawatt_ingest_commit_seconds_bucket{le=\"+Inf\"}", commits.count());
    page.sample("negawatt_ingest_commit_seconds_sum", Seconds(commits.sum_micros()));
    page.sample("negawatt_ingest_commit_seconds_count", commits.count());
    page.text
}

/// Name, kind, help, and the value.
type SinkColumn = (&'static str, &'static str, &'static str, fn(&sinks::Status) -> i128);

#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("{name} {value}"));
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.sample(name, value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, value);
    }

    fn sinks(&mut self, sinks: &[sinks::Status]) {
        let columns: [SinkColumn; 7] = [
            ("negawatt_sink_lsn", "gauge", "Everything up to this entry of the log is in the sink.", |sink| sink.lsn.into()),
            ("negawatt_sink_lag_lsn", "gauge", "Entries of the log that the sink does not have.", |sink| sink.lag_lsn.into()),
            ("negawatt_sink_lag_seconds", "gauge", "For so long the sink has not had everything.", |sink| sink.lag_seconds.into()),
            ("negawatt_sink_written_total", "counter", "Readings the sink has taken, repeats included.", |sink| sink.written.into()),
            ("negawatt_sink_retried_total", "counter", "Attempts that failed and were repeated.", |sink| sink.retried.into()),
            ("negawatt_sink_rejected_total", "counter", "Readings the sink refuses; each is a dead letter.", |sink| sink.rejected.into()),
            (
                "negawatt_sink_differences",
                "gauge",
                "Series and days that the last comparison found different and could not mend.",
                |sink| sink.reconciled.as_ref().map_or(0, |done| done.left().into()),
            ),
        ];
        for (name, kind, help, value) in columns {
            if !sinks.is_empty() {
                self.head(name, kind, help);
            }
            for sink in sinks {
                self.sample(&format!("{name}{{sink=\"{}\",kind=\"{}\"}}", sink.name, sink.kind), value(sink));
            }
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("a string takes every line");
    }
}

/// Microseconds, written as seconds.
#[derive(Debug)]
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
