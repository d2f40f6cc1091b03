//! A store that takes readings without end and a sink that copies them: what the tests kill.
//!
//! `copier STORE URL`: says `N` on a line when the N-th batch is durable.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::Secret;
use daemon::{Clock, SystemClock};
use ids::Slug;
use negawatt_sinks::{InfluxConfig, ReadApi, Shown, SinkConfig, TargetConfig};
use store::{Batch, Options, Origin, Row, Store};
use tokio_util::sync::CancellationToken;
use units::{Quality, Unit};

const DAY: i64 = 1_767_225_600_000;
/// So many readings in a batch; each batch repeats a few of the one before, and contradicts one of it.
const ROWS: i64 = 40;

fn batch(seq: u64) -> Result<Batch, Box<dyn std::error::Error>> {
    let origin = Origin { tenant: Slug::parse("acme")?, facility: Slug::parse("hall")?, gateway: Slug::parse("gw")? };
    let device = Slug::parse(if seq.is_multiple_of(3) { "third" } else { "main" })?;
    let first = i64::try_from(seq)? * ROWS;
    let row = |minute: i64| Row {
        device: device.clone(),
        point: "v1".into(),
        unit: Unit::Volt,
        exponent: -1,
        ts_ms: DAY + minute * 60_000,
        raw: Some(if minute == first - 1 { -minute } else { minute }),
        quality: Quality::GOOD,
        words: None,
    };
    Ok(Batch { origin, spool_id: [5; 16], seq, rows: (first - 3..first + ROWS).map(row).collect(), profiles: Vec::new(), letter: None })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let (folder, url) = (args.next().map(PathBuf::from).ok_or("no folder")?, args.next().ok_or("no address")?);
    let url = url.into_string().map_err(|_odd| "an odd address")?;
    let store = Arc::new(Store::open(&folder, Options { flush_rows: 1_000, wal_file_bytes: 64 << 10, ..Options::default() })?);
    let target = TargetConfig::Influx(InfluxConfig {
        url,
        org: "acme".to_owned(),
        bucket: "energy".to_owned(),
        token: Some(Secret::new("s3cret")),
        timeout: Duration::from_secs(2),
        read_api: ReadApi::Flux,
        create_bucket: false,
    });
    let config = SinkConfig {
        name: "copy".to_owned(),
        tenant: None,
        facilities: Vec::new(),
        batch_rows: 100,
        interval: Duration::from_millis(10),
        reconcile_days: 0,
        reconcile_at: Duration::ZERO,
        target,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let (clock, shown): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), Arc::new(Shown::new(&config)));
    runtime.spawn(negawatt_sinks::run(config, store.clone(), clock, shown, CancellationToken::new()));
    let known = store.counters().batches;
    let mut out = std::io::stdout().lock();
    for seq in known + 1.. {
        store.commit(&[batch(seq)?])?;
        writeln!(out, "{seq}")?;
        out.flush()?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
