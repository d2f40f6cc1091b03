//! `GET /metrics`, in Prometheus' text format.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use store::{Spent, Store, Upkeep};

use crate::live::{Live, Times};
use crate::marks::Marks;
use crate::quota::{Quotas, Used};
use crate::vee::{Cause, Gauges};

/// A gateway that has sent nothing newer for this long is silent: ten polls of a minute.
const SILENT: SignedDuration = SignedDuration::from_mins(10);

pub(super) fn render(live: &Live, receive_maximum: u16, store: &Store, quotas: &Quotas, sinks: &[sinks::Status], now: Timestamp) -> String {
    let counters = store.counters();
    let mut page = Page::default();
    page.counter("negawatt_points_received_total", "Points offered since the store was made.", counters.received());
    page.counter("negawatt_points_accepted_total", "Points stored.", counters.accepted);
    page.counter("negawatt_points_duplicate_total", "Points that were stored before.", counters.duplicate);
    page.counter("negawatt_points_conflict_total", "Points stored that contradict a stored one; both are kept.", counters.conflict);
    page.counter(
        "negawatt_points_late_total",
        "Points accepted more than an hour after their time, since this process started.",
        live.get(&live.late),
    );
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
    let fill = live.get(&live.inflight) as f64 / f64::from(receive_maximum);
    page.gauge("negawatt_channel_fill_ratio", "Messages in flight, of those that the broker may send ahead.", fill);
    page.gauge(
        "negawatt_wal_oldest_unacked_seconds",
        "How long the oldest message waits that is not yet durable; 0 when none does.",
        Seconds::of(live.waited()),
    );
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
    vee(&mut page, live);
    page.quotas(quotas);
    page.gauge(
        "negawatt_gateways_connected",
        "Gateways that say they are there, and whose last will has not come.",
        live.gateways_online(),
    );
    page.gauge("negawatt_gateways", "Gateways heard since this process started.", live.latest().len());
    let silent_since = (now - SILENT).as_millisecond();
    let silent = live.latest().values().filter(|frame| frame.tick_ms < silent_since).count();
    page.gauge("negawatt_gateways_silent", "Those of them whose newest readings are older than ten minutes.", silent);
    page.gauge("negawatt_ingest_blocked", "1 while readings cannot be stored.", u8::from(live.problem().is_some()));
    page.gauge("negawatt_wal_bytes", "Log that a restart would read.", store.wal_bytes());
    page.gauge("negawatt_head_points", "Points in memory.", store.head_rows());
    page.head("negawatt_segments", "gauge", "Segments, by level: 0 from memory, 1 of several flushes, 2 of a whole month.");
    for (level, count) in store.segments().into_iter().enumerate() {
        page.sample(&format!("negawatt_segments{{level=\"{level}\"}}"), count);
    }
    let Upkeep { flushes, merges, derivations } = store.upkeep();
    page.spent(("flush", "flushes"), "Moves of readings from memory to segments", flushes);
    page.spent(("compaction", "compactions"), "Segments made of several", merges);
    page.spent(("derivation", "derivations"), "Files of quarters of an hour brought up to date", derivations);
    // A disk that does not even say how full it is shows in `negawatt_ingest_blocked` soon.
    if let Ok(free) = store::free_ratio(store.dir()) {
        page.gauge("negawatt_disk_free_ratio", "Part of the store's disk that is free.", free);
    }
    let copied_ms = store::last_backup(store.dir()).map_or(0, |last| last.at_ms);
    page.gauge(
        "negawatt_backup_last_success_timestamp_seconds",
        "When the last copy of the store that was finished was begun; 0 when none was.",
        Milliseconds(copied_ms),
    );
    page.head("negawatt_build_info", "gauge", "1, with the version of the program.");
    page.sample(&format!("negawatt_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1);
    live.marks.note(store.last_lsn(), counters.accepted);
    page.sinks(sinks, &live.marks);
    page.times("negawatt_ingest_commit_seconds", "Time from a group of messages to its durability.", &live.commits());
    page.times(
        "negawatt_publish_to_queryable_seconds",
        "Time from the arrival of a message to where it is durable and found by who asks, its wait for the commit included.",
        &live.queryable(),
    );
    page.text
}

/// Completeness, as of the last look.
fn vee(page: &mut Page, live: &Live) {
    let Gauges { gaps, stale, skew_ms, lag_ms, told, estimated, looks, failed } = live.watched.gauges();
    page.head("negawatt_gaps_open", "gauge", "Gaps that keep watermarks from moving, by their cause.");
    for cause in Cause::ALL {
        page.sample(&format!("negawatt_gaps_open{{cause=\"{}\"}}", cause.name()), gaps.get(cause.name()).unwrap_or(&0));
    }
    page.gauge("negawatt_devices_stale", "Devices that nothing usable is heard of.", stale);
    page.gauge("negawatt_clock_skew_seconds", "How far the worst clock of a gateway is ahead; negative when late.", Milliseconds(skew_ms));
    page.gauge("negawatt_watermark_lag_seconds", "How far the watermark of the last facility is behind.", Milliseconds(lag_ms));
    page.head("negawatt_vee_events_total", "counter", "Events told since the store was made.");
    for (topic, count) in told {
        page.sample(&format!("negawatt_vee_events_total{{topic=\"{topic}\"}}"), count);
    }
    page.counter("negawatt_vee_estimated_points_total", "Points estimated by this process.", estimated);
    page.counter("negawatt_vee_looks_total", "Looks at completeness since this process started.", looks);
    page.counter("negawatt_vee_looks_failed_total", "Of these: looks that failed.", failed);
    page.counter(
        "negawatt_vee_losses_dropped_total",
        "Lost frames that were not written down, because too many waited.",
        live.pulses.dropped(),
    );
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

    fn times(&mut self, name: &str, help: &str, times: &Times) {
        self.head(name, "histogram", help);
        for (micros, count) in times.cumulated() {
            self.sample(&format!("{name}_bucket{{le=\"{}\"}}", Seconds(micros)), count);
        }
        self.sample(&format!("{name}_bucket{{le=\"+Inf\"}}"), times.count());
        self.sample(&format!("{name}_sum"), Seconds(times.sum_micros()));
        self.sample(&format!("{name}_count"), times.count());
    }

    /// Work beside the commits: how often, and for how long.
    fn spent(&mut self, (one, many): (&str, &str), help: &str, spent: Spent) {
        self.counter(&format!("negawatt_{many}_total"), &format!("{help}, since this process started."), spent.times);
        self.counter(&format!("negawatt_{one}_seconds_total"), "Time that these took.", Seconds::of(spent.time));
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.sample(name, value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, value);
    }

    /// Of tenants that have one.
    fn quotas(&mut self, quotas: &Quotas) {
        type Column = (&'static str, &'static str, &'static str, fn(&Used) -> Option<u64>);
        let columns: [Column; 6] = [
            ("negawatt_tenant_points_total", "counter", "Points of tenants that have a quota.", |used| Some(used.points)),
            (
                "negawatt_tenant_put_off_total",
                "counter",
                "Frames and requests beyond the points per second of their tenant; those that come again count again.",
                |used| Some(used.put_off),
            ),
            (
                "negawatt_tenant_refused_points_total",
                "counter",
                "Points of series beyond the quota of their tenant: dead letters.",
                |used| Some(used.refused),
            ),
            ("negawatt_tenant_series", "gauge", "Series in use.", |used| used.series_max.map(|_| used.series as u64)),
            ("negawatt_tenant_series_max", "gauge", "Series that may be in use.", |used| used.series_max.map(|max| max as u64)),
            ("negawatt_tenant_points_per_second_max", "gauge", "Points that may come.", |used| used.points_per_second.map(u64::from)),
        ];
        let used = quotas.used();
        for (name, kind, help, value) in columns {
            self.head(name, kind, help);
            for (tenant, used) in &used {
                if let Some(value) = value(used) {
                    self.sample(&format!("{name}{{tenant=\"{tenant}\"}}"), value);
                }
            }
        }
    }

    fn sinks(&mut self, sinks: &[sinks::Status], marks: &Marks) {
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
            self.of_sinks((name, kind, help), sinks, |sink| Some(value(sink)));
        }
        let help = "Readings that the sink does not have; not there while it is behind what was when this process began.";
        self.of_sinks(("negawatt_sink_lag_points", "gauge", help), sinks, |sink| marks.after(sink.lsn).map(i128::from));
    }

    /// A line for each sink that has a value.
    fn of_sinks(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        sinks: &[sinks::Status],
        value: impl Fn(&sinks::Status) -> Option<i128>,
    ) {
        self.head(name, kind, help);
        for (sink, value) in sinks.iter().filter_map(|sink| Some((sink, value(sink)?))) {
            self.sample(&format!("{name}{{sink=\"{}\",kind=\"{}\"}}", sink.name, sink.kind), value);
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("a string takes every line");
    }
}

/// Microseconds, written as seconds.
#[derive(Debug)]
struct Seconds(u64);

impl Seconds {
    fn of(span: Duration) -> Self {
        Self(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
    }
}

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Milliseconds, written as seconds.
#[derive(Debug)]
struct Milliseconds(i64);

impl Display for Milliseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:03}", self.0.unsigned_abs() / 1_000, self.0.unsigned_abs() % 1_000)
    }
}
