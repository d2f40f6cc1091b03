//! Readings in the formats of others.

use std::io::{self, Write};
use std::ops::Range;

use ids::Slug;
use parquet::errors::ParquetError;
use units::Measured;

use crate::flushed::SegmentError;
use crate::reader::Reader;
use crate::row::Sample;
use crate::segment::Encoder;
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
    let mut encoder = (format == Format::Parquet).then(|| Encoder::new(None)).transpose()?;
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

fn csv(out: &mut impl Write, key: &SeriesKey, sample: &Sample) -> io::Result<()> {
    let SeriesKey { device, point, unit, exponent, .. } = key;
    let at = jiff::Timestamp::from_millisecond(sample.ts_ms).unwrap_or_default();
    let value = |raw| Measured { raw, exponent: *exponent, unit: *unit }.decimal_text();
    let (value, raw) = (sample.raw.map(value).unwrap_or_default(), sample.raw.map(|raw| raw.to_string()).unwrap_or_default());
    // A point may be named by a third party.
    let point = if point.contains([',', '"', '\n']) { format!("\"{}\"", point.replace('"', "\"\"")) } else { point.clone() };
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
