//! Laws of the whole.

mod amend;
mod beside;
mod care;
mod crash;
mod derived;
mod follow;
mod laws;
mod readers;
mod reading;
mod retention;
mod salvage;

use std::path::Path;

use ids::Slug;
use tempfile::TempDir;
use units::{Quality, Unit};

use crate::{Batch, Options, Origin, Reader, Row, Sample, SeriesId, Store, Words};

pub(crate) const SPOOL: [u8; 16] = [7; 16];

pub(crate) fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

pub(crate) fn origin() -> Origin {
    Origin { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw-1") }
}

pub(crate) fn row(device: &str, ts_ms: i64, raw: i64) -> Row {
    Row {
        device: slug(device),
        point: "e_imp".into(),
        unit: Unit::KilowattHour,
        exponent: -2,
        ts_ms,
        raw: Some(raw),
        quality: Quality::GOOD,
        words: Words::new(&raw.to_be_bytes()),
    }
}

pub(crate) fn batch(seq: u64, rows: Vec<Row>) -> Batch {
    Batch { origin: origin(), spool_id: SPOOL, seq, rows, profiles: Vec::new(), letter: None }
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Small files, and no flush that a test did not ask for.
pub(crate) fn options() -> Options {
    Options { flush_rows: 1_000_000, wal_file_bytes: 16 << 10, quarters_from: 0 }
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(dir, options()).unwrap()
}

pub(crate) fn all(dir: &Path) -> Vec<(String, Vec<Sample>)> {
    let reader = Reader::open(dir).unwrap();
    let series = reader.all_series();
    series.iter().map(|info| (info.key.device.to_string(), history(&reader, info.id))).collect()
}

fn history(reader: &Reader, id: SeriesId) -> Vec<Sample> {
    reader.history(id, i64::MIN..i64::MAX).unwrap()
}
