//! Parquet files, batch by batch, so that no portfolio is too large for memory.

use std::fs::File;
use std::path::Path;

use calculator::assessment::AvoidedEnergy;
use calculator::portfolio::{ChartRow, ResponseRow, Role};
use polars::prelude::{BatchedWriter, Column, DataFrame, IntoColumn, NamedFrom, ParquetWriter, PolarsError, PolarsResult, Series};

use super::super::input::Refused;
use super::journal::Replacing;
use super::row::Row;

/// A Parquet file that takes the place of the one before when it is whole; without a batch there is none.
pub(super) struct Table {
    replacing: Replacing,
    open: Option<(File, BatchedWriter<File>)>,
    /// Rows that wait for others, to be one group with them.
    waiting: Option<DataFrame>,
}

impl Table {
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        Self { replacing: Replacing::new(folder, name), open: None, waiting: None }
    }

    /// Adds rows, which are written when there are as many as a group has.
    pub(super) fn add(&mut self, frame: &DataFrame, group: usize) -> Result<(), Refused> {
        match &mut self.waiting {
            Some(waiting) => waiting.extend(frame).map_err(|err| self.replacing.failed(&err))?,
            waiting @ None => *waiting = Some(frame.clone()),
        }
        if self.waiting.as_ref().is_some_and(|waiting| waiting.height() >= group) { self.write_waiting() } else { Ok(()) }
    }

    fn write_waiting(&mut self) -> Result<(), Refused> {
        let Some(mut waiting) = self.waiting.take() else { return Ok(()) };
        // Columns without a value are not grown in place as others are.
        waiting.rechunk_mut();
        self.write(&waiting)
    }

    /// Adds a batch; all have the columns of the first.
    pub(super) fn write(&mut self, frame: &DataFrame) -> Result<(), Refused> {
        if self.open.is_none() {
            let file = self.replacing.create()?;
            let written = file.try_clone().map_err(|err| self.replacing.failed(&err))?;
            // One thread is enough for it, and leaves the same bytes whatever machine it runs on.
            let writer = ParquetWriter::new(written).set_parallel(false).batched(frame.schema()).map_err(|err| self.failed(&err))?;
            self.open = Some((file, writer));
        }
        match &mut self.open {
            Some((_, writer)) => writer.write_batch(frame).map_err(|err| self.replacing.failed(&err)),
            None => Ok(()),
        }
    }

    pub(super) fn done(mut self) -> Result<(), Refused> {
        self.write_waiting()?;
        match self.open {
            Some((file, writer)) => {
                writer.finish().map_err(|err| self.replacing.failed(&err))?;
                self.replacing.done(file)
            }
            None => self.replacing.remove(),
        }
    }

    pub(super) fn failed(&self, err: &PolarsError) -> Refused {
        self.replacing.failed(err)
    }
}

/// A column's name, and what it has of a row.
type Named<T, V> = (&'static str, fn(&T) -> V);

/// Columns over rows of one kind.
struct Columns<'a, T> {
    rows: &'a [T],
    columns: Vec<Column>,
}

impl<'a, T> Columns<'a, T> {
    fn text(&mut self, name: &str, of: impl Fn(&'a T) -> Option<&'a str>) {
        let values: Vec<Option<&str>> = self.rows.iter().map(of).collect();
        self.columns.push(Series::new(name.into(), values).into_column());
    }

    fn owned(&mut self, name: &str, of: impl Fn(&T) -> Option<String>) {
        let values: Vec<Option<String>> = self.rows.iter().map(of).collect();
        self.columns.push(Series::new(name.into(), values).into_column());
    }

    fn number(&mut self, name: &str, of: impl Fn(&T) -> Option<f64>) {
        let values: Vec<Option<f64>> = self.rows.iter().map(of).collect();
        self.columns.push(Series::new(name.into(), values).into_column());
    }

    fn count(&mut self, name: &str, of: impl Fn(&T) -> Option<i64>) {
        let values: Vec<Option<i64>> = self.rows.iter().map(of).collect();
        self.columns.push(Series::new(name.into(), values).into_column());
    }

    fn frame(self) -> PolarsResult<DataFrame> {
        DataFrame::new(self.rows.len(), self.columns)
    }
}

/// A row for each meter.
pub(super) fn meters(rows: &[Row]) -> PolarsResult<DataFrame> {
    let mut table = Columns { rows, columns: Vec::new() };
    table.text("meter", |row| Some(&row.meter));
    table.text("station", |row| Some(&row.standing.station));
    table.text("role", |row| Some(Role::name(row.standing.role)));
    table.text("stratum", |row| Some(row.standing.stratum.as_str()).filter(|name| !name.is_empty()));
    table.text("status", |row| Some(row.status.name()));
    table.text("unit", |row| row.unit.map(calculator::baseline::EnergyUnit::symbol));
    let avoided: [Named<AvoidedEnergy, Option<f64>>; 10] = [
        ("counterfactual", |avoided| Some(avoided.counterfactual)),
        ("observed", |avoided| Some(avoided.observed)),
        ("savings", |avoided| Some(avoided.savings)),
        ("interval_90_low", |avoided| avoided.interval_90.map(|[low, _]| low)),
        ("interval_90_high", |avoided| avoided.interval_90.map(|[_, high]| high)),
        ("fsu_band", |avoided| avoided.fsu_band),
        ("base_load", |avoided| Some(avoided.base_load)),
        ("heating_load", |avoided| Some(avoided.heating_load)),
        ("cooling_load", |avoided| Some(avoided.cooling_load)),
        ("coverage", |avoided| Some(avoided.coverage)),
    ];
    for (name, of) in avoided {
        table.number(name, |row: &Row| row.avoided.as_ref().and_then(of));
    }
    table.count("rows", |row| row.avoided.as_ref().map(|avoided| avoided.rows.into()));
    table.count("rows_compared", |row| row.avoided.as_ref().map(|avoided| avoided.rows_compared.into()));
    table.text("model", |row| row.model.as_ref().map(|model| model.kind.as_str()));
    for name in ["intercept", "beta_hdd", "heating_balance_point", "beta_cdd", "cooling_balance_point"] {
        table.number(name, |row: &Row| row.model.as_ref().and_then(|model| model.number(name)));
    }
    table.number("r_squared_adj", |row| row.r_squared_adj);
    table.number("cvrmse_adj", |row| row.cvrmse_adj);
    table.number("autocorr_resid", |row| row.autocorr_resid);
    table.number("n_prime", |row| row.n_prime);
    let joined = |names: &[String]| (!names.is_empty()).then(|| names.join(" "));
    table.owned("forbidden_by", |row| joined(&row.forbidden_by));
    table.owned("warnings", |row| joined(&row.warnings));
    table.text("error_file", |row| row.error.as_ref().and_then(|error| error.file.as_deref()));
    table.count("error_row", |row| row.error.as_ref().and_then(|error| i64::try_from(error.row?).ok()));
    table.text("error_rule", |row| row.error.as_ref().map(|error| error.rule.as_str()));
    table.text("error_message", |row| row.error.as_ref().map(|error| error.message.as_str()));
    table.text("digest", |row| row.digest.as_deref());
    table.frame()
}

/// The cumulative charts of some meters, one after the other.
pub(super) fn cusum(rows: &[(&str, ChartRow)]) -> PolarsResult<DataFrame> {
    let mut table = Columns { rows, columns: Vec::new() };
    table.text("meter", |(meter, _)| Some(meter));
    table.text("part", |(_, row)| Some(row.part.name()));
    table.owned("date", |(_, row)| Some(row.date.to_string()));
    let numbers: [Named<ChartRow, f64>; 5] = [
        ("temperature_f", |row| row.temperature_f),
        ("observed", |row| row.observed),
        ("expected", |row| row.expected),
        ("avoided", |row| row.avoided),
        ("cumulative", |row| row.cumulative),
    ];
    for (name, of) in numbers {
        table.number(name, |(_, row): &(&str, ChartRow)| Some(of(row)));
    }
    table.frame()
}

/// The temperature charts of some meters, one after the other.
pub(super) fn response(rows: &[(&str, ResponseRow)]) -> PolarsResult<DataFrame> {
    let mut table = Columns { rows, columns: Vec::new() };
    table.text("meter", |(meter, _)| Some(meter));
    table.count("temperature_f", |(_, row)| Some(row.temperature_f.into()));
    table.number("expected", |(_, row)| Some(row.expected));
    table.number("baseline", |(_, row)| row.baseline);
    table.count("baseline_days", |(_, row)| Some(row.baseline_days.into()));
    table.number("reporting", |(_, row)| row.reporting);
    table.count("reporting_days", |(_, row)| Some(row.reporting_days.into()));
    table.frame()
}

#[cfg(test)]
mod tests {
    use polars::prelude::{ParquetReader, SerReader};

    use super::*;

    fn row(meter: &str, more: &str) -> Row {
        let text = format!(r#"{{"meter":"{meter}","key":"k","standing":{{"station":"s","role":"treated"}},{more}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn batches_are_one_table_and_the_earlier_file_stays_until_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meters.parquet");
        std::fs::write(&path, "as it was").unwrap();
        let good = row(
            "a",
            r#""status":"qualified","unit":"kWh","model":{"type":"hdd_only","params":{"intercept":10.5,"heating_balance_point":60}},"digest":"d""#,
        );
        let bad = row("b", r#""status":"refused","error":{"file":"b.csv","row":3,"rule":"cleaning 1","message":"no number"}"#);
        let mut table = Table::new(dir.path(), "meters.parquet");
        table.write(&meters(&[good]).unwrap()).unwrap();
        table.write(&meters(&[bad]).unwrap()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"as it was");
        table.done().unwrap();

        let frame = ParquetReader::new(File::open(&path).unwrap()).finish().unwrap();
        let text = |name: &str| frame.column(name).unwrap().str().unwrap().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>();
        assert_eq!(text("meter"), [Some("a".to_owned()), Some("b".to_owned())]);
        assert_eq!(text("error_rule"), [None, Some("cleaning 1".to_owned())]);
        assert_eq!(frame.column("heating_balance_point").unwrap().f64().unwrap().iter().collect::<Vec<_>>(), [Some(60.0), None]);
        assert_eq!(frame.column("error_row").unwrap().i64().unwrap().iter().collect::<Vec<_>>(), [None, Some(3)]);
        assert!(std::fs::read_dir(dir.path()).unwrap().count() == 1, "nothing else is left");
        Table::new(dir.path(), "meters.parquet").done().unwrap();
        assert!(!path.exists(), "a table without rows is none");
    }

    #[test]
    fn rows_wait_until_they_are_a_group() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = Table::new(dir.path(), "meters.parquet");
        let error = r#""error":{"file":"b.csv","row":3,"rule":"cleaning 1","message":"no number"}"#;
        for (name, more) in [("a", r#""digest":"d""#), ("b", error), ("c", r#""digest":"e""#)] {
            table.add(&meters(&[row(name, &format!(r#""status":"refused",{more}"#))]).unwrap(), 2).unwrap();
        }
        table.done().unwrap();
        let mut reader = ParquetReader::new(File::open(dir.path().join("meters.parquet")).unwrap());
        let groups: Vec<usize> = reader.get_metadata().unwrap().row_groups.iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [2, 1]);
        let frame = reader.finish().unwrap();
        let text = |name: &str| frame.column(name).unwrap().str().unwrap().iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>();
        assert_eq!(text("digest"), [Some("d".to_owned()), None, Some("e".to_owned())]);
        assert_eq!(text("error_rule"), [None, Some("cleaning 1".to_owned()), None]);
    }
}
