//! Series for charts: day by day what adds up, degree by degree what is used.
//!
//! They are computed again from the rows of the meters that are drawn, which costs less than keeping the days of all.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::thread;

use calculator::baseline::EnergyUnit;
use calculator::portfolio::{ChartRow, ResponseRow, cusum, response};
use serde::Serialize;

use super::super::input::Refused;
use super::journal::Replacing;
use super::plan::Plan;
use super::stations::Stations;
use super::tables::{self, Table};
use super::work::{self, Content};

/// Meters that are in memory at once, however many threads there are: a batch is a part of the tables.
const BATCH: usize = 32;

/// Both charts of a meter, in its unit.
#[derive(Debug, Serialize)]
struct Chart<'a> {
    meter: &'a str,
    unit: EnergyUnit,
    cusum: Vec<ChartRow>,
    response: Vec<ResponseRow>,
}

/// Writes `cusum.parquet`, `response.parquet` and `charts.jsonl` of these meters; none of them where there is no meter.
pub(super) fn write(plan: &Plan<'_>, folder: &Path, meters: &[usize]) -> Result<(), Refused> {
    let stations = Stations::new(plan, meters);
    let (mut days, mut degrees) = (Table::new(folder, "cusum.parquet"), Table::new(folder, "response.parquet"));
    let lines = Replacing::new(folder, "charts.jsonl");
    if meters.is_empty() {
        days.done()?;
        degrees.done()?;
        return lines.remove();
    }
    let mut text = BufWriter::new(lines.create()?);
    for batch in meters.chunks(BATCH) {
        let charts = charts(plan, &stations, batch);
        let of_days: Vec<(&str, ChartRow)> = charts.iter().flat_map(|chart| chart.cusum.iter().map(|row| (chart.meter, *row))).collect();
        let of_degrees: Vec<(&str, ResponseRow)> =
            charts.iter().flat_map(|chart| chart.response.iter().map(|row| (chart.meter, *row))).collect();
        days.write(&tables::cusum(&of_days).map_err(|err| days.failed(&err))?)?;
        degrees.write(&tables::response(&of_degrees).map_err(|err| degrees.failed(&err))?)?;
        for chart in &charts {
            serde_json::to_writer(&mut text, chart).map_err(|err| lines.failed(&err))?;
            text.write_all(b"\n").map_err(|err| lines.failed(&err))?;
        }
    }
    days.done()?;
    degrees.done()?;
    lines.done(text.into_inner().map_err(|err| lines.failed(err.error()))?)
}

/// The charts of a batch, in its order; meters without a model have none.
fn charts<'a>(plan: &'a Plan<'_>, stations: &Stations<'_>, batch: &[usize]) -> Vec<Chart<'a>> {
    let part = batch.len().div_ceil(plan.threads()).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> = batch
            .chunks(part)
            .map(|part| scope.spawn(move || part.iter().filter_map(|meter| chart(plan, stations, *meter)).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no meter panics")).collect()
    })
}

fn chart<'a>(plan: &'a Plan<'_>, stations: &Stations<'_>, meter: usize) -> Option<Chart<'a>> {
    let meter = plan.meters.get(meter)?;
    let station = stations.of(meter.station());
    let answer = work::answer(meter, plan.question(meter), station, Content::of(plan, meter), plan).ok()?;
    let (before, after) = (&answer.assessment.before, &answer.assessment.after);
    answer.assessment.model.as_ref()?;
    Some(Chart { meter: &meter.name, unit: answer.inputs.settings.unit, cusum: cusum(before, after), response: response(before, after) })
}
