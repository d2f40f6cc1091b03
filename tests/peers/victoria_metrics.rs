//! VictoriaMetrics takes readings in the InfluxDB line protocol, and shows every value as it was written.

use std::{collections::BTreeMap, net::SocketAddr, process::Command};

use ids::Slug;
use negawatt_tests::program::free_address;
use serde::Deserialize;
use simulator::Meter;
use tempfile::TempDir;
use units::{Measured, Quality};
use wire::{DeviceReading, Frame, GatewayPath, PointReading, line_protocol, line_protocol::Line};

use crate::{
    field::{self, PROFILE},
    peer::{Peer, http, installed},
};

/// The labels of a series, its name under `__name__`, and its values by time.
type Series = BTreeMap<BTreeMap<String, String>, BTreeMap<i64, u64>>;

fn victoria_metrics(folder: &TempDir) -> (Peer, SocketAddr) {
    let address = free_address();
    let mut command = Command::new(installed("victoria-metrics", "victoria-metrics"));
    command.arg(format!("-httpListenAddr={address}")).arg(format!("-storageDataPath={}", folder.path().join("data").display()));
    // Simulated readings are older than its usual month.
    command.args(["-retentionPeriod=100y", "-memory.allowedBytes=64MiB", "-loggerLevel=WARN"]);
    let mut peer = Peer::start(&mut command, &folder.path().join("victoria-metrics.log"));
    peer.listening(address);
    (peer, address)
}

fn write(address: SocketAddr, lines: &str) {
    let answer = http(address, "POST", "/api/v2/write?precision=ms", lines);
    assert_eq!(answer, (204, String::new()));
    assert_eq!(http(address, "GET", "/internal/force_flush", "").0, 200);
}

#[derive(Deserialize)]
struct Exported {
    metric: BTreeMap<String, String>,
    values: Vec<f64>,
    timestamps: Vec<i64>,
}

/// Everything it has.
fn export(address: SocketAddr) -> Series {
    let (code, body) = http(address, "GET", "/api/v1/export?match%5B%5D=%7B__name__%3D~%22.%2B%22%7D", "");
    assert_eq!(code, 200, "{body}");
    let mut series = Series::new();
    for line in body.lines() {
        let Exported { metric, values, timestamps } = serde_json::from_str(line).unwrap();
        assert_eq!(values.len(), timestamps.len());
        let samples = series.entry(metric).or_default();
        for (at, value) in timestamps.into_iter().zip(values) {
            assert_eq!(samples.insert(at, value.to_bits()), None, "a value came twice");
        }
    }
    series
}

fn point(id: &str, unit: units::Unit, shown: Option<Measured>, exponent: i8) -> PointReading {
    let quality = if shown.is_some() { Quality::GOOD } else { Quality::SILENT };
    PointReading {
        point: id.to_owned(),
        raw: shown.map(|measured| measured.raw),
        exponent: exponent.into(),
        unit: unit.code().into(),
        quality: quality.bits().into(),
        words: Vec::new(),
    }
}

/// What the meter shows at a minute. It is silent at every tenth.
fn frame(meter: &Meter, minute: i64) -> Frame {
    let at = field::minute(minute);
    let shown = |id: &str| meter.truth(id, at).filter(|_| minute % 10 != 9);
    let points = meter.profile().points().iter().map(|known| point(&known.id, known.unit, shown(&known.id), known.exponent));
    let device =
        DeviceReading { device: "main".to_owned(), profile: PROFILE.to_owned(), points: points.collect(), ..DeviceReading::default() };
    Frame { schema: wire::SCHEMA, tick_ms: at.as_millisecond(), clock_synced: true, devices: vec![device], ..Frame::default() }
}

#[expect(clippy::cast_precision_loss, reason = "the peer keeps 64-bit floats; what is written here fits")]
fn expect(series: &mut Series, field: &str, point: &PointReading, at: i64, value: i64) {
    assert!(value.unsigned_abs() < 1 << 53);
    let name = format!("{}_{field}", line_protocol::MEASUREMENT);
    let labels = [("__name__", name.as_str()), ("device", "main"), ("facility", "hall"), ("point", &point.point), ("tenant", "acme")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    series.entry(labels).or_default().insert(at, (value as f64).to_bits());
}

#[test]
fn victoria_metrics_shows_every_reading_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (peer, address) = victoria_metrics(&folder);
    let meter = field::meter(&field::clock());
    let slug = |text| Slug::parse(text).unwrap();
    let path = GatewayPath { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw-1") };
    let (mut lines, mut written) = (String::new(), Series::new());
    for (seq, minute) in (1..).zip(0..120) {
        let frame = frame(&meter, minute);
        lines.push_str(&line_protocol::lines(&path, seq, &frame).unwrap());
        for point in &frame.devices[0].points {
            let mut expect = |field, value| expect(&mut written, field, point, frame.tick_ms, value);
            expect("exponent", point.exponent.into());
            expect("quality", point.quality.into());
            expect("seq", i64::try_from(seq).unwrap());
            if let Some(raw) = point.raw {
                expect("raw", raw);
            }
        }
    }
    assert_eq!(lines.lines().count(), 120 * 26);
    assert_eq!(written.values().map(BTreeMap::len).sum::<usize>(), 26 * (3 * 120 + 108));
    write(address, &lines);
    let read = export(address);
    assert_eq!(read.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>(), "{}", peer.log());
    for (labels, samples) in &written {
        assert_eq!(&read[labels], samples, "{labels:?}");
    }
}

#[test]
fn victoria_metrics_reads_odd_names_as_they_were_meant() {
    let folder = tempfile::tempdir().unwrap();
    let (peer, address) = victoria_metrics(&folder);
    let line = Line::new("a, b=c").unwrap().tag("k, e=y", "v, a=l \"é\"").unwrap().integer("f, i=d", -1).unwrap();
    write(address, &line.at(1_748_736_000_000).unwrap());
    let labels = [("__name__", "a, b=c_f, i=d"), ("k, e=y", "v, a=l \"é\"")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let expected = Series::from([(labels.into(), BTreeMap::from([(1_748_736_000_000, (-1.0_f64).to_bits())]))]);
    assert_eq!(export(address), expected, "{}", peer.log());
}
