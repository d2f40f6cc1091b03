//! Readings in the formats of others.

use std::io::{self, Write};
use std::ops::Range;

use ids::Slug;
use parquet::errors::ParquetError;
use units::{FacilityCalendar, Measured};

use crate::derived::{Bucket, Resolution};
use crate::flushed::SegmentError;
use crate::reader::Reader;
use crate::row::Sample;
use crate::segment::{Encoder, Packing};
use crate::series::SeriesKey;

/// How readings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line for each reading, names first.
    Csv,
    /// InfluxDB's line protocol, times in milliseconds.
    LineProtocol,
    /// As our own segments: names in the metadata.
    Parquet,
}

/// Why readings could not be written out.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    #[error(transparent)]
    Read(#[from] SegmentError),
    #[error("could not write the readings")]
    Write(#[from] io::Error),
    #[error("could not encode the readings")]
    Encode(#[from] ParquetError),
}

/// Writes the readings of a facility, every version of each, series by series in order of time. Gives their number.
///
/// * Errors: a segment that cannot be read; whatever `out` fails with.
pub fn dump(
    reader: &Reader,
    (tenant, facility): (&Slug, &Slug),
    range: &Range<i64>,
    format: Format,
    out: &mut impl Write,
) -> Result<u64, DumpError> {
    let mut rows = 0;
    let mut encoder = (format == Format::Parquet).then(|| Encoder::new(None, Packing::Small)).transpose()?;
    if format == Format::Csv {
        writeln!(out, "device,point,unit,ts,value,quality,version,seq,raw,exponent")?;
    }
    for info in reader.series(tenant, facility) {
        let samples = reader.history(info.id, range.clone())?;
        rows += samples.len() as u64;
        if let Some(encoder) = &mut encoder {
            encoder.push(info.id, &info.key, &samples)?;
            continue;
        }
        for sample in &samples {
            match format {
                Format::Csv => csv(out, &info.key, sample)?,
                Format::LineProtocol | Format::Parquet => line(out, &info.key, sample)?,
            }
        }
    }
    if let Some(encoder) = encoder {
        out.write_all(&encoder.finish()?.bytes)?;
    }
    out.flush()?;
    Ok(rows)
}

/// Writes what the readings of a facility come to in each bucket that begins in the range, series by series, as CSV with
/// names first. Gives the number of buckets.
///
/// * Errors: a segment that cannot be read; whatever `out` fails with.
pub fn dump_buckets(
    reader: &Reader,
    (tenant, facility): (&Slug, &Slug),
    range: &Range<i64>,
    (resolution, calendar): (Resolution, &FacilityCalendar),
    out: &mut impl Write,
) -> Result<u64, DumpError> {
    writeln!(
        out,
        "device,point,unit,from,to,expected,readings,usable,estimated,edited,quality,smallest,largest,mean,first,last,passed,passed_to,breaks,\
         sum_raw,exponent,lsn_from,lsn_to"
    )?;
    let mut rows = 0;
    for info in reader.series(tenant, facility) {
        let buckets = reader.buckets(info.id, range.clone(), resolution, calendar)?;
        rows += buckets.len() as u64;
        for bucket in &buckets {
            bucket_csv(out, &info.key, bucket)?;
        }
    }
    out.flush()?;
    Ok(rows)
}

fn bucket_csv(out: &mut impl Write, key: &SeriesKey, bucket: &Bucket) -> io::Result<()> {
    let SeriesKey { device, point, unit, exponent, .. } = key;
    let at = |ms| jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
    let decimal = |raw: Option<i64>| raw.map(|raw| Measured { raw, exponent: *exponent, unit: *unit }.decimal_text()).unwrap_or_default();
    let count = |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
    let Bucket { readings, estimated, edited, quality, sum, lsn_from, lsn_to, passing, .. } = bucket;
    let (from, to, expected, usable) = (at(bucket.from_ms), at(bucket.to_ms), count(bucket.expected), bucket.usable());
    write!(out, "{device},{},{},{from},{to},{expected},{readings},{usable},{estimated},{edited},{quality},", quoted(point), unit.symbol())?;
    let mean = bucket.mean(*unit, *exponent).map(Measured::decimal_text).unwrap_or_default();
    let (first, last) = (decimal(bucket.first.map(|(_, raw)| raw)), decimal(bucket.last.map(|(_, raw)| raw)));
    write!(out, "{},{},{mean},{first},{last},", decimal(bucket.smallest), decimal(bucket.largest))?;
    let (passed, breaks) = (decimal(passing.and_then(|passing| passing.raw)), count(passing.map(|passing| passing.breaks)));
    let passed_to = passing.map(|passing| at(passing.to_ms)).unwrap_or_default();
    writeln!(out, "{passed},{passed_to},{breaks},{sum},{exponent},{lsn_from},{lsn_to}")
}

/// A point may be named by a third party.
fn quoted(point: &str) -> String {
    if point.contains([',', '"', '\n']) { format!("\"{}\"", point.replace('"', "\"\"")) } else { point.to_owned() }
}

fn csv(out: &mut impl Write, key: &SeriesKey, sample: &Sample) -> io::Result<()> {
    let SeriesKey { device, point, unit, exponent, .. } = key;
    let at = jiff::Timestamp::from_millisecond(sample.ts_ms).unwrap_or_default();
    let value = |raw| Measured { raw, exponent: *exponent, unit: *unit }.decimal_text();
    let (value, raw) = (sample.raw.map(value).unwrap_or_default(), sample.raw.map(|raw| raw.to_string()).unwrap_or_default());
    let point = quoted(point);
    let Sample { quality, version, seq, .. } = sample;
    writeln!(out, "{device},{point},{},{at},{value},{quality},{version},{seq},{raw},{exponent}", unit.symbol())
}

/// Tags that name the series, whole numbers as fields: a line that is written twice is the same line.
fn line(out: &mut impl Write, key: &SeriesKey, sample: &Sample) -> io::Result<()> {
    let SeriesKey { tenant, facility, device, point, unit, exponent } = key;
    write!(out, "reading,device={device},facility={facility},point={},tenant={tenant}", escaped(point))?;
    if !unit.symbol().is_empty() {
        write!(out, ",unit={}", escaped(unit.symbol()))?;
    }
    write!(out, " ")?;
    if let Some(raw) = sample.raw {
        write!(out, "raw={raw}i,")?;
    }
    let Sample { ts_ms, quality, version, seq, .. } = sample;
    writeln!(out, "scale={exponent}i,q={}i,seq={seq}i,ver={version}i {ts_ms}", quality.bits())
}

/// A tag's value: what would end it is escaped, and a line break cannot be said at all.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ',' | '=' | ' ' => escaped.extend(['\\', character]),
            '\n' | '\r' => escaped.push_str("\\ "),
            other => escaped.push(other),
        }
    }
    escaped
}
