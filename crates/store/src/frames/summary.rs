//! What the readings of a facility come to, series by series.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use ids::Slug;
use polars::prelude::{DataFrame, IntoColumn, NamedFrom, ParquetWriter, PolarsResult, Series};
use units::{Measured, Quality};

use super::FrameError;
use crate::reader::Reader;
use crate::segment::COLUMNS;
use crate::series::{SeriesId, SeriesInfo};

/// What the readings of one series come to, of each time the newest version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub series: SeriesInfo,
    /// Times that were read, those without a value included.
    pub readings: u64,
    /// Of these, the ones whose value may be used: of good or uncertain quality.
    pub usable: u64,
    /// Time of the first and of the last reading, UTC milliseconds.
    pub first_ms: i64,
    pub last_ms: i64,
    /// Smallest, largest and latest value; absent when no reading has one.
    pub values: Option<Values>,
}

/// Extremes over the readings that have a value, whatever their quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values {
    pub smallest: Measured,
    pub largest: Measured,
    pub latest: Measured,
}

impl Reader {
    /// Every series of a facility, or of one of its devices, that has readings in `range` (UTC milliseconds, half-open).
    pub fn summaries(&self, tenant: &Slug, facility: &Slug, device: Option<&Slug>, range: Range<i64>) -> Result<Vec<Summary>, FrameError> {
        let frame = self.frame(tenant, facility, device, range)?;
        let catalogue = self.series(tenant, facility);
        let mut summaries = Vec::new();
        for part in by_series(&frame)? {
            let series = SeriesId(part.column(COLUMNS[0])?.i32()?.get(0).unwrap_or_default().cast_unsigned());
            if let Some(info) = catalogue.iter().find(|info| info.id == series) {
                summaries.push(summarise(info, &part)?);
            }
        }
        Ok(summaries)
    }

    /// Writes the readings as one Parquet file: the columns of [`Self::frame`] with `device`, `point`, `unit` and
    /// `exponent` before them, so that the file explains itself. Gives the number of readings.
    pub fn write_parquet(
        &self,
        tenant: &Slug,
        facility: &Slug,
        device: Option<&Slug>,
        range: Range<i64>,
        file: &Path,
    ) -> Result<u64, FrameError> {
        let failed = |err| FrameError::Write { path: file.to_owned(), err };
        let mut frame = self.named(tenant, facility, self.frame(tenant, facility, device, range)?)?;
        let out = File::create(file).map_err(|err| failed(err.into()))?;
        ParquetWriter::new(&out).finish(&mut frame).map_err(failed)?;
        out.sync_all().map_err(|err| failed(err.into()))?;
        Ok(frame.height() as u64)
    }

    fn named(&self, tenant: &Slug, facility: &Slug, frame: DataFrame) -> PolarsResult<DataFrame> {
        let catalogue = self.series(tenant, facility);
        let ids = frame.column(COLUMNS[0])?.i32()?;
        let keys: Vec<_> = ids
            .iter()
            .map(|id| id.and_then(|id| catalogue.iter().find(|info| info.id.0 == id.cast_unsigned())).map(|info| &info.key))
            .collect();
        let text = |name: &str, of: fn(&crate::SeriesKey) -> &str| {
            Series::new(name.into(), keys.iter().map(|key| key.map(of)).collect::<Vec<_>>()).into_column()
        };
        let exponent = keys.iter().map(|key| key.map(|key| i32::from(key.exponent))).collect::<Vec<_>>();
        let mut columns = vec![
            text("device", |key| key.device.as_str()),
            text("point", |key| key.point.as_str()),
            text("unit", |key| key.unit.symbol()),
            Series::new("exponent".into(), exponent).into_column(),
        ];
        let height = frame.height();
        columns.extend(frame.into_columns());
        DataFrame::new(height, columns)
    }
}

/// Cuts a frame that is in order of series into one frame for each; nothing is copied.
fn by_series(frame: &DataFrame) -> PolarsResult<Vec<DataFrame>> {
    let ids: Vec<Option<i32>> = frame.column(COLUMNS[0])?.i32()?.iter().collect();
    let mut offset = 0_i64;
    Ok(ids
        .chunk_by(|one, next| one == next)
        .map(|run| {
            let part = frame.slice(offset, run.len());
            offset += i64::try_from(run.len()).unwrap_or(i64::MAX);
            part
        })
        .collect())
}

fn summarise(info: &SeriesInfo, part: &DataFrame) -> PolarsResult<Summary> {
    let [_, ts_ms, raw, quality, ..] = COLUMNS;
    let (times, raws, qualities) = (part.column(ts_ms)?.i64()?, part.column(raw)?.i64()?, part.column(quality)?.i32()?);
    let usable =
        |bits: Option<i32>| bits.and_then(|bits| u16::try_from(bits).ok()).is_some_and(|bits| Quality::from_bits(bits).is_usable());
    let latest = raws.iter().flatten().next_back();
    let measured = |raw| Measured { raw, exponent: info.key.exponent, unit: info.key.unit };
    let values = raws.iter().flatten().min().zip(raws.iter().flatten().max()).zip(latest).map(|((smallest, largest), latest)| Values {
        smallest: measured(smallest),
        largest: measured(largest),
        latest: measured(latest),
    });
    Ok(Summary {
        series: info.clone(),
        readings: part.height() as u64,
        usable: qualities.iter().zip(raws.iter()).filter(|(bits, raw)| raw.is_some() && usable(*bits)).count() as u64,
        first_ms: times.iter().flatten().next().unwrap_or_default(),
        last_ms: times.iter().flatten().next_back().unwrap_or_default(),
        values,
    })
}

#[cfg(test)]
mod tests {
    use polars::prelude::{ParquetReader, SerReader};

    use super::*;
    use crate::tests::{batch, folder, open, row, slug};

    #[test]
    fn a_summary_counts_what_a_scan_finds() {
        let dir = folder();
        let store = open(dir.path());
        store.commit(&[batch(1, (0..50).map(|minute| row("d0", minute * 60_000, 100 - minute)).collect())]).unwrap();
        store.flush().unwrap();
        let mut silent = row("d0", 50 * 60_000, 0);
        (silent.raw, silent.words, silent.quality) = (None, None, Quality::bad(units::Reason::CommError));
        store.commit(&[batch(2, vec![silent, row("d1", 60_000, 7)])]).unwrap();

        let reader = Reader::open(dir.path()).unwrap();
        let all = reader.summaries(&slug("acme"), &slug("hall"), None, i64::MIN..i64::MAX).unwrap();
        assert_eq!(all.len(), 2);
        for summary in &all {
            let scanned = reader.scan(summary.series.id, i64::MIN..i64::MAX).unwrap();
            assert_eq!(summary.readings, scanned.len() as u64);
            assert_eq!(summary.usable, scanned.iter().filter(|sample| sample.raw.is_some() && sample.quality.is_usable()).count() as u64);
            assert_eq!((summary.first_ms, summary.last_ms), (scanned[0].ts_ms, scanned[scanned.len() - 1].ts_ms));
            let raws: Vec<i64> = scanned.iter().filter_map(|sample| sample.raw).collect();
            let values = summary.values.unwrap();
            let extremes = (*raws.iter().min().unwrap(), *raws.iter().max().unwrap(), *raws.last().unwrap());
            assert_eq!((values.smallest.raw, values.largest.raw, values.latest.raw), extremes);
        }
        assert_eq!((all[0].readings, all[0].usable), (51, 50));
    }

    #[test]
    fn a_file_names_its_series() {
        let dir = folder();
        let store = open(dir.path());
        store.commit(&[batch(1, vec![row("d0", 60_000, 1), row("d1", 60_000, 2), row("d1", 120_000, 3)])]).unwrap();
        let file = dir.path().join("readings.parquet");
        let reader = Reader::open(dir.path()).unwrap();
        assert_eq!(reader.write_parquet(&slug("acme"), &slug("hall"), None, i64::MIN..i64::MAX, &file).unwrap(), 3);
        let frame = ParquetReader::new(File::open(&file).unwrap()).finish().unwrap();
        let devices: Vec<_> = frame.column("device").unwrap().str().unwrap().iter().flatten().map(str::to_owned).collect();
        assert_eq!(devices, ["d0", "d1", "d1"]);
        assert_eq!(frame.column("raw").unwrap().i64().unwrap().iter().flatten().collect::<Vec<_>>(), [1, 2, 3]);

        let nowhere = dir.path().join("no folder/readings.parquet");
        let err = reader.write_parquet(&slug("acme"), &slug("hall"), None, i64::MIN..i64::MAX, &nowhere).unwrap_err();
        assert!(err.to_string().contains("no folder/readings.parquet"), "{err}");
    }
}
