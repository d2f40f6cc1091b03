//! Readings, from the store. The store is read by blocking calls, so each question takes a thread of its own.

use std::ops::Range;

use ids::Slug;
use store::{Bucket, OpenError, ProfilePeriod, Reader, Resolution, Sample, SegmentError, SeriesInfo, SeriesKey};
use units::FacilityCalendar;

use super::ServiceError;
use crate::state::Api;

/// Part of one series.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) key: SeriesKey,
    /// In order of time, the newest version of each.
    pub(crate) samples: Vec<Sample>,
    /// The profiles by which the device was decoded, in order of time.
    pub(crate) profiles: Vec<ProfilePeriod>,
}

/// Which series are asked for, and which times of them.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) tenant: Slug,
    pub(crate) facility: Slug,
    /// None asks for every device.
    pub(crate) device: Option<Slug>,
    /// None asks for every point.
    pub(crate) point: Option<String>,
    /// UTC milliseconds.
    pub(crate) range: Range<i64>,
}

/// Reads every series that fits, from one consistent snapshot.
pub(crate) async fn parts(api: &Api, question: Question) -> Result<Vec<Part>, ServiceError> {
    let readers = api.stores.of(&question.tenant, &question.facility);
    let read = move || -> Result<Vec<Part>, ServiceError> {
        let answered = readers.ask(|reader| {
            let mut parts = Vec::new();
            for info in fitting(reader, &question) {
                let samples = reader.scan(info.id, question.range.clone())?;
                let profiles = reader.profiles(&info.key.tenant, &info.key.facility, &info.key.device);
                parts.push(Part { key: info.key, samples, profiles });
            }
            Ok(parts)
        });
        answered.map_err(unopened)?.map_err(unread)
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|err| ServiceError::Internal { what: "reading the store ended unexpectedly", err: Box::new(err) })?
}

/// What every series that fits comes to in each quarter of an hour, hour or day that begins in the range.
pub(crate) async fn buckets(
    api: &Api,
    question: Question,
    resolution: Resolution,
    calendar: FacilityCalendar,
) -> Result<Vec<(SeriesKey, Vec<Bucket>)>, ServiceError> {
    let readers = api.stores.of(&question.tenant, &question.facility);
    let read = move || -> Result<_, ServiceError> {
        let answered = readers.ask(|reader| {
            let of = |info: SeriesInfo| {
                let buckets = reader.buckets(info.id, question.range.clone(), resolution, &calendar)?;
                Ok((info.key, buckets))
            };
            fitting(reader, &question).into_iter().map(of).collect::<Result<_, SegmentError>>()
        });
        answered.map_err(unopened)?.map_err(unread)
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|err| ServiceError::Internal { what: "reading the store ended unexpectedly", err: Box::new(err) })?
}

fn unopened(err: OpenError) -> ServiceError {
    ServiceError::Store { err: Box::new(err) }
}

fn unread(err: SegmentError) -> ServiceError {
    ServiceError::Store { err: Box::new(err) }
}

/// The series that are asked for, by name.
fn fitting(reader: &Reader, question: &Question) -> Vec<SeriesInfo> {
    let mut series = reader.series(&question.tenant, &question.facility);
    series.retain(|info| fits(info, question));
    series.sort_by(|a, b| a.key.cmp(&b.key));
    series
}

fn fits(info: &SeriesInfo, question: &Question) -> bool {
    question.device.as_ref().is_none_or(|device| *device == info.key.device)
        && question.point.as_ref().is_none_or(|point| *point == info.key.point)
}
