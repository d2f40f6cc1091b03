//! Immutable files of readings: Parquet, sorted by (series, time, version).
//!
//! Values are scaled integers, so delta encoding leaves about half a byte of each; the default settings of Parquet
//! would take thirteen times that. Any Parquet reader can read the files: the names of the series are in the metadata.

mod blocks;
mod chunk;
mod delta;
mod encode;
mod names;
mod neighbours;
mod pack;
mod pages;
mod read;
mod source;
mod sweep;

pub(crate) use chunk::Part;
pub(crate) use encode::{Encoder, Packing};
pub(crate) use names::{NAMES, Names, name_of};
pub(crate) use neighbours::{Neighbours, Unpacked};
pub(crate) use read::{Decoded, Segment};
pub(crate) use source::{Ahead, Source};
pub(crate) use sweep::Sweep;
#[cfg(feature = "frames")]
pub(crate) use {
    chunk::{Column, Sparse},
    read::Columns,
};

use crate::series::SeriesId;

/// The columns, in order. The first versions wrote no `lsn`.
pub(crate) const COLUMNS: [&str; 8] = ["series", "ts_ms", "raw", "quality", "words", "seq", "version", "lsn"];

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
        fn what_is_written_is_read(packing in prop_oneof![Just(Packing::Fast), Just(Packing::Small)], mut first in proptest::collection::vec(sample(), 1..60), second in proptest::collection::vec(sample(), 1..60)) {
            first.sort_by_key(|sample| (sample.ts_ms, sample.version));
            let key = key();
            let mut encoder = Encoder::new(None, packing).unwrap();
            let (half, rest) = first.split_at(first.len() / 2);
            for (id, samples) in [(3, half), (3, rest), (9, second.as_slice())] {
                encoder.push(SeriesId(id), &key, samples).unwrap();
            }
            prop_assert_eq!(encoder.rows(), (first.len() + second.len()) as u64);
            let encoded = encoder.finish().unwrap();
            let segment = Segment::open(bytes::Bytes::from(encoded.bytes)).unwrap();
            let mut sweep = Sweep::new(&segment);
            for (span, (id, samples)) in encoded.spans.iter().zip([(3, first), (9, second)]) {
                let known: Vec<_> = samples.iter().map(|sample| (sample.ts_ms, sample.raw, sample.version)).collect();
                prop_assert_eq!(segment.known(span.rows()).unwrap(), known);
                prop_assert_eq!(segment.times(span.rows()).unwrap(), samples.iter().map(|sample| sample.ts_ms).collect::<Vec<_>>());
                let mut found = Vec::new();
                segment.samples(span.rows(), None, |sample| found.push(sample)).unwrap();
                prop_assert_eq!(&found, &samples);
                let mut swept = Vec::new();
                sweep.append(span.rows(), None, &mut swept).unwrap();
                prop_assert_eq!(&swept, &samples);
                let expected: Vec<_> = samples.into_iter().map(|sample| (SeriesId(id), sample)).collect();
                prop_assert_eq!(segment.rows(span.rows()).unwrap(), expected);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Twelve series beside each other: whatever is asked and in which order, it is what the file says.
        #[test]
        fn neighbours_say_what_the_segment_says(
            times in proptest::collection::vec(proptest::collection::btree_map(-50_i64..50, 1_u16..3, 0..30), 12),
            questions in proptest::collection::vec((0_usize..12, -60_i64..60, 0_i64..120), 1..40),
        ) {
            let mut encoder = Encoder::new(None, Packing::Fast).unwrap();
            for (id, times) in (1..).zip(&times) {
                let of_time = |(ts_ms, versions): (&i64, &u16)| (0..*versions).map(|version| (*ts_ms, version)).collect::<Vec<_>>();
                let sample = |(ts_ms, version)| Sample { ts_ms, raw: Some(ts_ms * 7), quality: Quality::GOOD, words: None, seq: 1, version, lsn: 1 };
                let samples: Vec<_> = times.iter().flat_map(of_time).map(sample).collect();
                encoder.push(SeriesId(id), &key(), &samples).unwrap();
            }
            prop_assume!(encoder.rows() > 0);
            let encoded = encoder.finish().unwrap();
            let segment = Segment::open(bytes::Bytes::from(encoded.bytes)).unwrap();
            let neighbours = Neighbours::default();
            for (at, from, length) in questions {
                let span = &encoded.spans[at % encoded.spans.len()];
                let range = from..from + length;
                let (mut expected, mut found) = (Vec::new(), Vec::new());
                let parts = segment.decode(span.rows(), &range).unwrap();
                let ascends = parts.iter().fold(true, |so_far, part| so_far & part.append(&mut expected).unwrap());
                let unpacked = match neighbours.known(1, &span.rows()) {
                    None => neighbours.ask(1, &segment, &span.rows()).unwrap(),
                    known => known,
                };
                if let Some(unpacked) = unpacked {
                    prop_assert_eq!(unpacked.append(&range, &mut found), ascends);
                    prop_assert_eq!(&found, &expected);
                }
            }
            neighbours.forget(&[1].into());
            prop_assert!(encoded.spans.iter().all(|span| neighbours.known(1, &span.rows()).is_none()));
        }
    }

    #[test]
    fn the_second_question_about_a_group_unpacks_it() {
        let mut encoder = Encoder::new(None, Packing::Fast).unwrap();
        for id in 1..=20 {
            encoder.push(SeriesId(id), &key(), long().get(..40).unwrap()).unwrap();
        }
        let encoded = encoder.finish().unwrap();
        let segment = Segment::open(bytes::Bytes::from(encoded.bytes)).unwrap();
        let (neighbours, rows) = (Neighbours::default(), |at: usize| encoded.spans[at].rows());
        assert!(neighbours.known(1, &rows(3)).is_none());
        assert!(neighbours.ask(1, &segment, &rows(3)).unwrap().is_none(), "it may be the only one");
        assert!(neighbours.ask(1, &segment, &rows(4)).unwrap().is_some());
        assert!(neighbours.known(1, &rows(19)).is_some() && neighbours.known(2, &rows(19)).is_none());
    }

    fn key() -> SeriesKey {
        let slug = |text| Slug::parse(text).unwrap();
        SeriesKey { tenant: slug("t"), facility: slug("f"), device: slug("d"), point: "p".to_owned(), unit: Unit::Watt, exponent: 0 }
    }

    /// Three pages of minutes, with gaps, silence, and registers that some readings have.
    fn long() -> Vec<Sample> {
        let minutes = (0..50_000_i64).filter(|minute| minute % 1_000 != 7);
        let reading = |minute: i64| Sample {
            ts_ms: minute * 60_000,
            raw: (minute % 11 != 3).then_some(minute * minute - 7_000),
            quality: if minute % 11 == 3 { Quality::SILENT } else { Quality::GOOD },
            words: (minute % 3 != 0).then(|| Words::new(&(minute * 77).to_be_bytes()[usize::try_from(minute % 7).unwrap()..]).unwrap()),
            seq: minute.cast_unsigned() / 5,
            version: 0,
            lsn: 9,
        };
        minutes.map(reading).collect()
    }

    #[test]
    fn a_range_is_read_without_the_rest() {
        let samples = long();
        let mut encoder = Encoder::new(None, Packing::Small).unwrap();
        encoder.push(SeriesId(1), &key(), &samples).unwrap();
        let encoded = encoder.finish().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segment");
        std::fs::write(&path, &encoded.bytes).unwrap();
        let segment = Segment::file(&path, None).unwrap();
        for (from, to) in
            [(0, 50_000), (0, 1), (19_990, 20_011), (20_000, 20_001), (20_500, 39_000), (45_000, 60_000), (7, 8), (90_000, 90_001)]
        {
            let range = from * 60_000..to * 60_000;
            let mut found = Vec::new();
            let again = Segment::file(&path, Some(segment.footer().clone())).unwrap();
            again.samples(encoded.spans[0].rows(), Some(&range), |sample| found.push(sample)).unwrap();
            let expected: Vec<Sample> = samples.iter().filter(|sample| range.contains(&sample.ts_ms)).copied().collect();
            assert_eq!(found, expected, "{from}..{to}");
        }
        let part = segment.rows(30_000..30_003).unwrap();
        assert_eq!(part.iter().map(|(_, sample)| *sample).collect::<Vec<_>>(), samples[30_000..30_003]);
    }

    #[test]
    fn a_damaged_file_is_an_error_or_other_readings_and_never_a_panic() {
        let samples: Vec<Sample> = long().into_iter().take(700).collect();
        let mut encoder = Encoder::new(None, Packing::Small).unwrap();
        encoder.push(SeriesId(1), &key(), &samples).unwrap();
        let encoded = encoder.finish().unwrap();
        let mut refused = 0;
        for at in 0..encoded.bytes.len() {
            let mut bytes = encoded.bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            let read = Segment::open(bytes::Bytes::from(bytes)).and_then(|segment| segment.rows(0..700));
            refused += usize::from(read.is_err());
        }
        assert!(refused > encoded.bytes.len() / 4, "{refused} of {}", encoded.bytes.len());
    }
}
