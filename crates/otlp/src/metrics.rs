//! A page in the words of OpenTelemetry.

use std::collections::BTreeMap;

use crate::message::{Gauge, Histogram, HistogramPoint, KeyValue, Metric, Number, NumberPoint, Points, Sum, Temporality, text};
use crate::page::{Family, Kind, Sample, families};

/// Every family that has a number, and how many lines or numbers could not be read.
pub(crate) fn of_page(page: &str, at_nanos: u64) -> (Vec<Metric>, u64) {
    let (families, mut unread) = families(page);
    let metrics = families.iter().filter_map(|family| metric(family, at_nanos, &mut unread)).collect();
    (metrics, unread)
}

/// A family that OpenTelemetry's own conventions have a name for: it is told by that name too.
#[derive(Clone, Copy, Debug)]
pub struct Convention {
    /// As the page has it.
    pub family: &'static str,
    pub name: &'static str,
    /// As UCUM writes it.
    pub unit: &'static str,
    /// What the convention wants to be said with each point.
    pub attributes: &'static [(&'static str, &'static str)],
}

/// Adds what is told by another name too.
pub(crate) fn follow(conventions: &[Convention], metrics: &mut Vec<Metric>) {
    let also = |convention: &Convention| {
        let mut metric = metrics.iter().find(|metric| metric.name == convention.family)?.clone();
        let more = || convention.attributes.iter().map(|(key, value)| text(key, value));
        match metric.points.as_mut()? {
            Points::Gauge(Gauge { data_points }) | Points::Sum(Sum { data_points, .. }) => {
                data_points.iter_mut().for_each(|point| point.attributes.extend(more()));
            }
            Points::Histogram(Histogram { data_points, .. }) => data_points.iter_mut().for_each(|point| point.attributes.extend(more())),
        }
        Some(Metric { name: convention.name.to_owned(), unit: convention.unit.to_owned(), ..metric })
    };
    let more: Vec<Metric> = conventions.iter().filter_map(also).collect();
    metrics.extend(more);
}

fn metric(family: &Family<'_>, at_nanos: u64, unread: &mut u64) -> Option<Metric> {
    let aggregation_temporality = Temporality::Cumulative.into();
    let points = match family.kind {
        Kind::Gauge => Points::Gauge(Gauge { data_points: numbers(family, at_nanos, unread) }),
        Kind::Counter => Points::Sum(Sum { data_points: numbers(family, at_nanos, unread), aggregation_temporality, is_monotonic: true }),
        Kind::Histogram => Points::Histogram(Histogram { data_points: histograms(family, at_nanos, unread), aggregation_temporality }),
    };
    let empty = match &points {
        Points::Gauge(Gauge { data_points }) | Points::Sum(Sum { data_points, .. }) => data_points.is_empty(),
        Points::Histogram(Histogram { data_points, .. }) => data_points.is_empty(),
    };
    let Family { name, help, .. } = *family;
    (!empty).then(|| Metric { name: name.to_owned(), description: help.to_owned(), unit: unit(name).to_owned(), points: Some(points) })
}

/// By the last word of a name, as Prometheus has it. A count has none: receivers would add a word to the name.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("ratio") => "1",
        _ => "",
    }
}

fn attributes<'a>(labels: impl Iterator<Item = &'a (&'a str, String)>) -> Vec<KeyValue> {
    labels.map(|(key, value)| text(key, value)).collect()
}

fn numbers(family: &Family<'_>, time_unix_nano: u64, unread: &mut u64) -> Vec<NumberPoint> {
    let point = |sample: &Sample<'_>| {
        let Some(value) = number(sample.value).filter(|_| sample.part.is_empty()) else {
            *unread += 1;
            return None;
        };
        Some(NumberPoint { attributes: attributes(sample.labels.iter()), time_unix_nano, value: Some(value) })
    };
    family.samples.iter().filter_map(point).collect()
}

/// Whole numbers stay whole.
fn number(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse() {
        return Some(Number::Int(whole));
    }
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(Number::Double)
}

/// One for each set of labels. The page counts up from bucket to bucket, OpenTelemetry does not.
fn histograms(family: &Family<'_>, time_unix_nano: u64, unread: &mut u64) -> Vec<HistogramPoint> {
    let mut points: BTreeMap<Vec<(&str, &str)>, (HistogramPoint, u64)> = BTreeMap::new();
    for sample in &family.samples {
        let labels = || sample.labels.iter().filter(|(key, _)| *key != "le");
        let (point, before) = points
            .entry(labels().map(|(key, value)| (*key, value.as_str())).collect())
            .or_insert_with(|| (HistogramPoint { attributes: attributes(labels()), time_unix_nano, ..HistogramPoint::default() }, 0));
        let read = match sample.part {
            "_bucket" => bucket(sample, before, point),
            "_sum" => sample.value.parse().ok().map(|sum| point.sum = Some(sum)),
            "_count" => sample.value.parse().ok().map(|count| point.count = count),
            _ => None,
        };
        *unread += u64::from(read.is_none());
    }
    points.into_values().map(|(point, _)| point).collect()
}

fn bucket(sample: &Sample<'_>, before: &mut u64, point: &mut HistogramPoint) -> Option<()> {
    let (_, bound) = sample.labels.iter().find(|(key, _)| *key == "le")?;
    let bound: f64 = bound.parse().ok()?;
    let up_to: u64 = sample.value.parse().ok()?;
    point.bucket_counts.push(up_to.checked_sub(*before)?);
    *before = up_to;
    // The last bucket has no bound.
    point.explicit_bounds.extend(Some(bound).filter(|bound| bound.is_finite()));
    Some(())
}
