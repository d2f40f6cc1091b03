//! Immutable files of readings: Parquet, sorted by (series, time, version).
//!
//! Values are scaled integers, so delta encoding leaves about half a byte of each; the default settings of Parquet
//! would take thirteen times that. Any Parquet reader can read the files: the names of the series are in the metadata.

mod encode;
mod read;

pub(crate) use encode::Encoder;
pub(crate) use read::Segment;

use crate::series::SeriesId;

/// The columns, in order. The first versions wrote no `lsn`.
pub(crate) const COLUMNS: [&str; 8] = ["series", "ts_ms", "raw", "quality", "words", "seq", "version", "lsn"];
/// The key of the metadata under which the names of the series are.
pub(crate) const NAMES: &str = "negawatt.series";

/// Where a series lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) series: SeriesId,
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
    pub(crate) min_ts: i64,
    pub(crate) max_ts: i64,
}

impl Span {
    /// Its rows in the file.
    pub(crate) fn rows(&self) -> std::ops::Range<u64> {
        self.first_row..self.first_row + self.rows
    }
}

/// A file before it is one.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) spans: Vec<Span>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Sample, Words};
    use crate::series::SeriesKey;
    use ids::Slug;
    use proptest::prelude::*;
    use units::{Quality, Unit};

    fn sample() -> impl Strategy<Value = Sample> {
        let words = proptest::option::of(proptest::collection::vec(any::<u8>(), 1..=8));
        (any::<i64>(), proptest::option::of(any::<i64>()), any::<u16>(), words, any::<u64>(), any::<u16>(), any::<u64>()).prop_map(
            |(ts_ms, raw, quality, words, seq, version, lsn)| Sample {
                ts_ms,
                raw,
                quality: Quality::from_bits(quality),
                words: words.and_then(|words| Words::new(&words)),
                seq,
                version,
                lsn,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_is_read(mut first in proptest::collection::vec(sample(), 1..60), second in proptest::collection::vec(sample(), 1..60)) {
            first.sort_by_key(|sample| (sample.ts_ms, sample.version));
            let slug = |text| Slug::parse(text).unwrap();
            let key = SeriesKey { tenant: slug("t"), facility: slug("f"), device: slug("d"), point: "p".to_owned(), unit: Unit::Watt, exponent: 0 };
            let mut encoder = Encoder::new(None).unwrap();
            let (half, rest) = first.split_at(first.len() / 2);
            for (id, samples) in [(3, half), (3, rest), (9, second.as_slice())] {
                encoder.push(SeriesId(id), &key, samples).unwrap();
            }
            prop_assert_eq!(encoder.rows(), (first.len() + second.len()) as u64);
            let encoded = encoder.finish().unwrap();
            let segment = Segment::open(bytes::Bytes::from(encoded.bytes)).unwrap();
            for (span, (id, samples)) in encoded.spans.iter().zip([(3, first), (9, second)]) {
                let known: Vec<_> = samples.iter().map(|sample| (sample.ts_ms, sample.raw, sample.version)).collect();
                prop_assert_eq!(segment.known(span.rows()).unwrap(), known);
                prop_assert_eq!(segment.times(span.rows()).unwrap(), samples.iter().map(|sample| sample.ts_ms).collect::<Vec<_>>());
                let mut found = Vec::new();
                segment.samples(span.rows(), |sample| found.push(sample)).unwrap();
                prop_assert_eq!(&found, &samples);
                let expected: Vec<_> = samples.into_iter().map(|sample| (SeriesId(id), sample)).collect();
                prop_assert_eq!(segment.rows(span.rows()).unwrap(), expected);
            }
        }
    }
}
