//! What the readings of each series come to in each quarter of an hour, hour or day.

use std::fmt::Write as _;
use std::ops::Range;

use ids::Slug;
use jiff::Timestamp;
use serde::Serialize;
use store::{Bucket, Reader, Resolution, SegmentError, SeriesKey};
use units::{FacilityCalendar, Measured};

/// How close somebody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Close {
    /// The readings themselves.
    Raw,
    /// Each quarter of an hour.
    #[value(name = "15m")]
    QuarterHour,
    /// Each hour of UTC.
    #[value(name = "1h")]
    Hour,
    /// Each day of the zone.
    #[value(name = "1d")]
    Day,
}

impl Close {
    pub(crate) fn resolution(self) -> Option<Resolution> {
        match self {
            Self::Raw => None,
            Self::QuarterHour => Some(Resolution::QuarterHour),
            Self::Hour => Some(Resolution::Hour),
            Self::Day => Some(Resolution::Day),
        }
    }
}

/// One series, as it is printed.
#[derive(Debug, Serialize)]
pub(crate) struct SeriesBuckets {
    device: String,
    point: String,
    unit: &'static str,
    buckets: Vec<Said>,
}

/// One bucket, as it is printed. Values are exact decimals.
#[derive(Debug, Serialize)]
struct Said {
    from: Timestamp,
    to: Timestamp,
    expected: Option<u64>,
    readings: u64,
    usable: u64,
    estimated: u64,
    edited: u64,
    quality: String,
    smallest: Option<String>,
    largest: Option<String>,
    mean: Option<String>,
    first: Option<String>,
    last: Option<String>,
    /// Of a counter.
    passed: Option<String>,
    passed_to: Option<Timestamp>,
    breaks: Option<u64>,
    lsn_from: u64,
    lsn_to: u64,
}

impl Said {
    fn of(key: &SeriesKey, bucket: &Bucket) -> Self {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
        let decimal = |raw: i64| Measured { raw, exponent: key.exponent, unit: key.unit }.decimal_text();
        Self {
            from: at(bucket.from_ms),
            to: at(bucket.to_ms),
            expected: bucket.expected,
            readings: bucket.readings,
            usable: bucket.usable(),
            estimated: bucket.estimated,
            edited: bucket.edited,
            quality: bucket.quality.to_string(),
            smallest: bucket.smallest.map(decimal),
            largest: bucket.largest.map(decimal),
            mean: bucket.mean(key.unit, key.exponent).map(Measured::decimal_text),
            first: bucket.first.map(|(_, raw)| decimal(raw)),
            last: bucket.last.map(|(_, raw)| decimal(raw)),
            passed: bucket.passing.and_then(|passing| passing.raw).map(decimal),
            passed_to: bucket.passing.map(|passing| at(passing.to_ms)),
            breaks: bucket.passing.map(|passing| passing.breaks),
            lsn_from: bucket.lsn_from,
            lsn_to: bucket.lsn_to,
        }
    }
}

/// Every series of a facility, or of one of its devices, that has anything in the range.
pub(crate) fn read(
    reader: &Reader,
    (tenant, facility): (&Slug, &Slug),
    (device, point): (Option<&Slug>, Option<&str>),
    range: &Range<i64>,
    (resolution, calendar): (Resolution, &FacilityCalendar),
) -> Result<Vec<SeriesBuckets>, SegmentError> {
    let mut series = reader.series(tenant, facility);
    series.retain(|info| device.is_none_or(|device| *device == info.key.device) && point.is_none_or(|point| point == info.key.point));
    series.sort_by(|one, other| (&one.key.device, &one.key.point).cmp(&(&other.key.device, &other.key.point)));
    let mut found = Vec::new();
    for info in series {
        let buckets = reader.buckets(info.id, range.clone(), resolution, calendar)?;
        if !buckets.is_empty() {
            let (device, unit) = (info.key.device.to_string(), info.key.unit.symbol());
            let buckets = buckets.iter().map(|bucket| Said::of(&info.key, bucket)).collect();
            found.push(SeriesBuckets { device, point: info.key.point, unit, buckets });
        }
    }
    Ok(found)
}

/// A paragraph for each series, a line for each bucket.
pub(crate) fn table(facility: &str, resolution: Resolution, zone: &str, series: &[SeriesBuckets]) -> String {
    let mut text = format!("readings of {facility} by {}, days of {zone}, times in UTC\n", resolution.name());
    for one in series {
        let (device, point, unit) = (&one.device, &one.point, one.unit);
        // A text that cannot be written to cannot happen: it is in memory.
        writeln!(text, "\n{device} {point}, {unit}\nfrom                  readings        mean   smallest .. largest   passed   quality")
            .unwrap_or_default();
        for said in &one.buckets {
            let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            let expected = said.expected.map_or_else(|| "?".to_owned(), |expected| expected.to_string());
            let count = format!("{}/{expected}", said.usable);
            let span = format!("{} .. {}", or_none(&said.smallest), or_none(&said.largest));
            // What is no counter lets nothing pass; a counter may not say what did.
            let passed =
                if said.passed_to.is_some() { said.passed.clone().unwrap_or_else(|| "unknown".to_owned()) } else { "-".to_owned() };
            let (from, mean, quality) = (said.from.to_string(), or_none(&said.mean), &said.quality);
            writeln!(text, "{from:<20}  {count:>8}  {mean:>10}   {span:<19}  {passed:>7}   {quality}").unwrap_or_default();
        }
    }
    if series.is_empty() {
        text.push_str("\nno reading in this range; leave --device, --point, --from and --to out to see all there are\n");
    }
    text
}
