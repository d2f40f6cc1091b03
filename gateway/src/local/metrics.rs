//! `GET /metrics`, in Prometheus' text format.
//!
//! Base units, `_total` behind counters, and as many series whatever the configuration: buses and devices are summed up, as a name
//! in a label would make a series for each of them. Which one it is says the page, and `/v1/status`.

use std::fmt::{Display, Write};

use crate::{
    modbus::BusCounters,
    status::{BusStatus, JitterStatus, StatusSnapshot},
};

pub(super) fn render(now: &StatusSnapshot, process: &Process) -> String {
    let mut page = Page::default();
    page.family("build_info", "gauge", "1, with the version of the program.");
    page.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    polling(&mut page, now);
    spool(&mut page, now);
    page.counter("frames_sent_total", "Frames handed to the broker, repetitions included.", now.frames_sent);
    page.counter("frames_resent_total", "Frames handed to the broker again.", now.frames_resent);
    page.counter("points_acknowledged_total", "Points whose frame the collector confirmed.", now.points_acknowledged);
    page.gauge("broker_connected", "1 when connected.", u8::from(now.connected));
    page.gauge("config_version", "Version of the configuration that came by command; 0 for the own file.", now.config_version);
    page.gauge("config_trial", "1 while a configuration is on trial.", u8::from(now.config_trial));
    buses(&mut page, &now.buses);
    process.tell(&mut page.text);
    page.text
}

fn polling(page: &mut Page, now: &StatusSnapshot) {
    page.counter("sweeps_total", "Sweeps over all devices.", now.sweeps);
    page.counter("sweeps_missed_total", "Sweeps that were due and did not happen.", now.sweeps_missed);
    page.counter("points_polled_total", "Points asked for: one quantity of one device at one time.", now.points_polled);
    page.counter("points_failed_total", "Those of them without a usable value.", now.points_failed);
    let JitterStatus { polls, late, p50_us, p99_us, p999_us, max_us } = now.jitter;
    page.counter("polls_late_total", "Polls of a bus that began later than poll.jitter_budget allows.", late);
    page.family("poll_delay_seconds", "summary", "How long after their time the newest polls of a bus began.");
    for (quantile, us) in [("0.5", p50_us), ("0.99", p99_us), ("0.999", p999_us)] {
        page.sample("poll_delay_seconds", &[("quantile", quantile)], seconds(us));
    }
    page.sample("poll_delay_seconds_count", &[], polls);
    page.gauge("poll_delay_max_seconds", "The latest begin of a poll since the start.", seconds(max_us));
}

fn spool(page: &mut Page, now: &StatusSnapshot) {
    page.counter("frames_committed_total", "Frames made durable here.", now.frames_committed);
    page.counter("frames_refused_total", "Frames that neither disk nor memory could keep.", now.frames_refused);
    page.counter("frames_dropped_total", "Frames dropped from a full spool before the collector had them.", now.frames_dropped);
    page.counter("points_left_out_total", "Points left out of frames in a full spool.", now.points_left_out);
    page.gauge("backlog_frames", "Frames that the collector has not confirmed.", now.backlog);
    page.gauge("spool_bytes", "Bytes of the spool on disk.", now.spool_bytes);
    page.gauge("spool_limit_bytes", "Disk allowance of the spool.", now.spool_bytes_max);
    page.gauge("spool_fill_ratio", "How much of the allowance is filled with frames that wait.", ratio(now.spool_percent));
    page.gauge("spool_alarm_ratio", "The alarm that holds: 0.5, 0.8 or 0.95; 0 for none.", ratio(now.spool_alarm));
    page.gauge("spool_damaged_stretches", "Damaged stretches found in the spool.", now.spool_damaged);
    page.gauge("spool_faulty", "1 while readings cannot be kept on disk.", u8::from(now.spool_fault.is_some()));
}

fn buses(page: &mut Page, buses: &[BusStatus]) {
    let devices = || buses.iter().flat_map(|bus| &bus.devices);
    page.gauge("buses", "Buses that were polled.", buses.len());
    page.gauge("devices", "Devices on them.", devices().count());
    page.gauge(
        "devices_lost",
        "Devices that do not answer and are asked now and then only.",
        devices().filter(|device| device.lost).count(),
    );
    let sum = |of: Counted| buses.iter().map(|bus| of(&bus.counters)).sum::<u64>();
    page.counter("exchanges_total", "Requests sent on buses.", sum(|bus| bus.exchanges));
    page.counter("exchanges_answered_total", "Those of them that brought registers.", sum(|bus| bus.answered));
    page.family("exchange_faults_total", "counter", "What went wrong on buses, by kind; a request can meet several.");
    let faults: [(&str, Counted); 7] = [
        ("ambiguous", |bus| bus.ambiguous),
        ("damaged", |bus| bus.damaged),
        ("doubled", |bus| bus.doubled),
        ("late", |bus| bus.late),
        ("refused", |bus| bus.refused),
        ("repeated", |bus| bus.repeated),
        ("silent", |bus| bus.silent),
    ];
    for (kind, of) in faults {
        page.sample("exchange_faults_total", &[("kind", kind)], sum(of));
    }
    page.counter("connections_opened_total", "Ports and connections opened.", sum(|bus| bus.opened));
    page.counter("connections_broken_total", "Ports and connections that broke.", sum(|bus| bus.broken));
}

/// One of the counters of a bus.
type Counted = fn(&BusCounters) -> u64;

/// Microseconds as seconds, exactly.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// Percent as a part of one, exactly.
fn ratio(percent: u8) -> String {
    format!("{}.{:02}", percent / 100, percent % 100)
}

/// What the kernel says of this process, under the names that Prometheus' own libraries use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    resident_bytes: Option<u64>,
    open_files: Option<usize>,
}

impl Process {
    pub(super) fn now() -> Self {
        let resident = std::fs::read_to_string("/proc/self/statm").ok().and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
        let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        let files = std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self { resident_bytes: resident.map(|pages| pages * page_bytes), open_files: files }
    }

    fn tell(&self, text: &mut String) {
        let mut gauge = |name: &str, help: &str, value: &dyn Display| {
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}").expect("a string takes every line");
        };
        if let Some(bytes) = self.resident_bytes {
            gauge("process_resident_memory_bytes", "Memory that this process has in RAM.", &bytes);
        }
        if let Some(files) = self.open_files {
            gauge("process_open_fds", "Files and connections that this process has open.", &files);
        }
    }
}

#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let name = format_args!("negawatt_gateway_{name}");
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes every line");
    }

    /// Label values are our own words: nothing in them needs escaping.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.text, "negawatt_gateway_{name}{labels} {value}").expect("a string takes every line");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::status::DeviceStatus;

    fn busy(number: u64) -> StatusSnapshot {
        let bus = |name: u64| BusStatus {
            bus: format!("bus-{name}"),
            counters: BusCounters { exchanges: 10, answered: 8, silent: 2, ..BusCounters::default() },
            devices: vec![DeviceStatus { device: format!("meter-{name}"), lost: name == 1, ..DeviceStatus::default() }],
            ..BusStatus::default()
        };
        StatusSnapshot {
            sweeps: 7,
            connected: true,
            spool_alarm: 80,
            spool_percent: 83,
            jitter: JitterStatus { polls: 9, p99_us: 1_250_000, ..JitterStatus::default() },
            buses: (1..=number).map(bus).collect(),
            ..StatusSnapshot::default()
        }
    }

    /// The rules of the text format and of its conventions, as far as `promtool check metrics` knows them.
    #[test]
    fn every_line_of_the_metrics_is_in_the_text_format() {
        let process = Process { resident_bytes: Some(8_192), open_files: Some(12) };
        let text = render(&busy(2), &process);
        let (mut kinds, mut helped, mut samples) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(is_name(name) && help.ends_with('.') && helped.insert(name.to_owned()), "{line}");
                continue;
            }
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(["counter", "gauge", "summary"].contains(&kind) && helped.contains(name), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let family = name.strip_suffix("_count").filter(|family| kinds.contains_key(*family)).unwrap_or(name);
            assert!(kinds.contains_key(family) && value.parse::<f64>().is_ok() && samples.insert(series.to_owned()), "{line}");
            for unit in ["_percent", "_ms", "_us", "_mib"] {
                assert!(!name.contains(unit), "{name} is not in a base unit");
            }
        }
        for sample in [
            "negawatt_gateway_sweeps_total 7",
            "negawatt_gateway_broker_connected 1",
            "negawatt_gateway_spool_alarm_ratio 0.80",
            "negawatt_gateway_spool_fill_ratio 0.83",
            "negawatt_gateway_poll_delay_seconds{quantile=\"0.99\"} 1.250000",
            "negawatt_gateway_exchange_faults_total{kind=\"silent\"} 4",
            "negawatt_gateway_devices_lost 1",
            "process_resident_memory_bytes 8192",
        ] {
            assert!(text.lines().any(|line| line == sample), "{sample} is missing:\n{text}");
        }
    }

    #[test]
    fn a_thousand_buses_make_no_more_series_than_one() {
        let series = |buses| render(&busy(buses), &Process::default()).lines().count();
        assert_eq!(series(1), series(1_000));
    }

    #[test]
    fn the_kernel_says_what_this_process_needs() {
        let now = Process::now();
        assert!(now.resident_bytes.unwrap() > 1 << 20 && now.open_files.unwrap() >= 3, "{now:?}");
    }
}
