//! A year of one facility with 50 series: what it takes on the disk, and how fast it is read.

use std::path::Path;
use std::time::{Duration, Instant};

use ids::Slug;
use negawatt_tests::fleet::{Fleet, MINUTE_MS, START_MS};
use serde_json::{Value, json};
use store::{Options, Reader, Store};

use super::{LOG_FILE_BYTES, Result, milliseconds, process_cpu, rate, rounded, thread_cpu};

/// Ten series each.
const METERS: usize = 5;
const MINUTES_OF_A_DAY: i64 = 1_440;
/// As after an outage: a year of commits of one minute each would measure the disk.
const MINUTES_OF_A_COMMIT: i64 = 120;
/// A question is asked so often, and the middle answer counts.
const ROUNDS: usize = 5;

pub(super) fn measure(dir: &Path, seed: u64, days: i64) -> Result<Value> {
    let store = Store::open(dir, Options { wal_file_bytes: LOG_FILE_BYTES, ..Options::default() })?;
    let mut fleet = Fleet::new(METERS, seed)?;
    let cpu = process_cpu();
    let mut generating = Duration::ZERO;
    for hour in 0..days * MINUTES_OF_A_DAY / MINUTES_OF_A_COMMIT {
        let began = thread_cpu();
        let mut batches = Vec::new();
        for minute in 0..MINUTES_OF_A_COMMIT {
            fleet.advance(hour * MINUTES_OF_A_COMMIT + minute);
            batches.extend(fleet.batches.iter().cloned());
        }
        generating += thread_cpu() - began;
        store.commit(&batches)?;
    }
    store.compact()?;
    let kept = process_cpu() - cpu - generating;
    let points = store.counters().accepted;
    drop(store);

    let reader = Reader::open(dir)?;
    let totals = reader.totals();
    let (tenant, facility) = (Slug::parse("bench")?, Slug::parse("facility-0000")?);
    let range = START_MS..START_MS + days * MINUTES_OF_A_DAY * MINUTE_MS;
    let mut cells = 0;
    let (frame, frame_cpu) = median(|| {
        let frame = reader.wide(&tenant, &facility, range.clone(), MINUTE_MS)?;
        cells = frame.height() * (frame.width() - 1);
        Ok(())
    })?;
    if u64::try_from(cells)? != points {
        return Err(format!("the frame has {cells} cells for {points} points").into());
    }
    let series = reader.series(&tenant, &facility);
    let one = series.first().ok_or("no series")?.id;
    let mut rows = 0;
    let (scan, scan_cpu) = median(|| {
        rows = reader.scan(one, range.clone())?.len();
        Ok(())
    })?;
    Ok(json!({
        "year_points": points,
        "year_segments": totals.segments,
        "bytes_per_point": rounded(ratio(totals.segment_bytes, totals.rows)),
        "commit_to_compacted_points_per_core_second": rate(points, kept).round(),
        "facility_year_seconds": rounded(frame.as_secs_f64()),
        "facility_year_cpu_seconds": rounded(frame_cpu.as_secs_f64()),
        "facility_year_cells": cells,
        "series_year_ms": milliseconds(scan),
        "series_year_cpu_ms": milliseconds(scan_cpu),
        "series_year_rows": rows,
    }))
}

fn ratio(of: u64, by: u64) -> f64 {
    let part = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    part(of) / part(by).max(1.0)
}

/// The middle of [`ROUNDS`] runs: on the wall, and of the processor.
fn median(mut question: impl FnMut() -> Result<()>) -> Result<(Duration, Duration)> {
    let (mut walls, mut cpus) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for _round in 0..ROUNDS {
        let (began, cpu) = (Instant::now(), process_cpu());
        question()?;
        walls.push(began.elapsed());
        cpus.push(process_cpu() - cpu);
    }
    let middle = |mut times: Vec<Duration>| {
        times.sort();
        times.get(ROUNDS / 2).copied().unwrap_or_default()
    };
    Ok((middle(walls), middle(cpus)))
}
