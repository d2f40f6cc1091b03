//! Tables of rows as CSV, in one spelling.

use std::fmt::Write as _;

use units::Quality;

use crate::error::BundleError;
use crate::inputs::{CounterRow, SampleRow, Words};

const SAMPLES: &str = "ts_ms,raw,quality";
const COUNTERS: &str = "ts_ms,raw,quality,words";

/// A series as a table: `ts_ms,raw,quality`, raw empty where there is no value.
pub(crate) fn samples(rows: &[SampleRow]) -> Vec<u8> {
    let mut text = String::with_capacity(rows.len() * 28 + 32);
    text.push_str(SAMPLES);
    text.push('\n');
    for row in rows {
        fields(&mut text, row.ts_ms, row.raw, row.quality);
        text.push('\n');
    }
    text.into_bytes()
}

/// Counter readings as a table: `ts_ms,raw,quality,words`, four hexadecimal digits a register.
pub(crate) fn counters(rows: &[CounterRow]) -> Vec<u8> {
    let mut text = String::with_capacity(rows.len() * 40 + 32);
    text.push_str(COUNTERS);
    text.push('\n');
    for row in rows {
        fields(&mut text, row.ts_ms, row.raw, row.quality);
        writeln!(text, ",{}", row.words).expect("writing to a string cannot fail");
    }
    text.into_bytes()
}

fn fields(text: &mut String, ts_ms: i64, raw: Option<i64>, quality: Quality) {
    let written = match raw {
        Some(raw) => write!(text, "{ts_ms},{raw},{}", quality.bits()),
        None => write!(text, "{ts_ms},,{}", quality.bits()),
    };
    written.expect("writing to a string cannot fail");
}

/// Reads what [`samples`] wrote.
pub(crate) fn read_samples(member: &str, bytes: &[u8]) -> Result<Vec<SampleRow>, BundleError> {
    lines(member, bytes, SAMPLES, |line| {
        let (ts_ms, raw, quality, rest) = row(line)?;
        if rest.is_some() { Err("it has more than three fields") } else { Ok(SampleRow { ts_ms, raw, quality }) }
    })
}

/// Reads what [`counters`] wrote.
pub(crate) fn read_counters(member: &str, bytes: &[u8]) -> Result<Vec<CounterRow>, BundleError> {
    lines(member, bytes, COUNTERS, |line| {
        let (ts_ms, raw, quality, rest) = row(line)?;
        let words = words(rest.ok_or("it has no field for the register words")?)?;
        Ok(CounterRow { ts_ms, raw, quality, words })
    })
}

fn lines<R>(member: &str, bytes: &[u8], header: &str, read: impl Fn(&str) -> Result<R, &'static str>) -> Result<Vec<R>, BundleError> {
    let text = std::str::from_utf8(bytes).map_err(|_not_text| BundleError::Text(member.to_owned()))?;
    let refused = |line, problem| BundleError::Row { member: member.to_owned(), line, problem };
    let mut lines = text.lines();
    if lines.next() != Some(header) {
        return Err(refused(1, "it is not the header of the table"));
    }
    lines.zip(2..).map(|(line, number)| read(line).map_err(|problem| refused(number, problem))).collect()
}

type Fields<'a> = (i64, Option<i64>, Quality, Option<&'a str>);

fn row(line: &str) -> Result<Fields<'_>, &'static str> {
    let mut fields = line.splitn(4, ',');
    let mut next = || fields.next().ok_or("it has too few fields");
    let ts_ms = next()?.parse().map_err(|_not_an_integer| "its time is not a whole number of milliseconds")?;
    let raw = match next()? {
        "" => None,
        raw => Some(raw.parse().map_err(|_not_an_integer| "its value is not a whole number")?),
    };
    let quality = next()?.parse().map(Quality::from_bits).map_err(|_not_bits| "its quality is not sixteen bits")?;
    Ok((ts_ms, raw, quality, fields.next()))
}

fn words(text: &str) -> Result<Words, &'static str> {
    let mut bytes = [0_u8; Words::MAX * 2];
    let wanted = bytes.get_mut(..text.len() / 2).ok_or("it has more register words than a point has")?;
    hex::decode_to_slice(text, wanted).map_err(|_not_hex| "its register words are not hexadecimal")?;
    Words::from_be_bytes(wanted).map_err(|_odd| "its register words are not whole words")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tables_come_back_as_they_were(rows in prop::collection::vec((any::<i64>(), any::<Option<i64>>(), any::<u16>(), prop::collection::vec(any::<u16>(), 0..=Words::MAX)), 0..50)) {
            let counter_rows: Vec<_> = rows.iter().map(|(ts_ms, raw, quality, words)| CounterRow {
                ts_ms: *ts_ms, raw: *raw, quality: Quality::from_bits(*quality), words: Words::new(words).unwrap(),
            }).collect();
            prop_assert_eq!(read_counters("t", &counters(&counter_rows)).unwrap(), counter_rows);
            let sample_rows: Vec<_> = rows.iter().map(|(ts_ms, raw, quality, _)| SampleRow { ts_ms: *ts_ms, raw: *raw, quality: Quality::from_bits(*quality) }).collect();
            prop_assert_eq!(read_samples("t", &samples(&sample_rows)).unwrap(), sample_rows);
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = |text: &str| read_counters("rows/x.csv", text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("ts_ms,raw,quality,words\n1,2,0,00\n"), "rows/x.csv, line 2: its register words are not whole words");
        assert_eq!(error("ts_ms,raw,quality,words\n1,2,0,0001\n1,2.5,0,\n"), "rows/x.csv, line 3: its value is not a whole number");
        assert_eq!(error("ts_ms,raw\n"), "rows/x.csv, line 1: it is not the header of the table");
        assert!(error("ts_ms,raw,quality,words\n1,2,0,000\n").contains("hexadecimal"));
    }
}
