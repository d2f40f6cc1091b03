//! Readings, from the store. The store is read by blocking calls, so each question takes a thread of its own.

use std::ops::Range;

use ids::Slug;
use store::{ProfilePeriod, Reader, Sample, SeriesInfo, SeriesKey};

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
pub(crate) async fn parts(api: &Api, questions: Vec<Question>) -> Result<Vec<Part>, ServiceError> {
    let folder = api.store.clone();
    let read = move || -> Result<Vec<Part>, ServiceError> {
        let reader = Reader::open(&folder).map_err(|err| ServiceError::Store { err: Box::new(err) })?;
        let mut parts = Vec::new();
        for question in questions {
            let mut series = reader.series(&question.tenant, &question.facility);
            series.retain(|info| fits(info, &question));
            series.sort_by(|a, b| a.key.cmp(&b.key));
            for info in series {
                let samples = reader.scan(info.id, question.range.clone()).map_err(|err| ServiceError::Store { err: Box::new(err) })?;
                let profiles = reader.profiles(&info.key.tenant, &info.key.facility, &info.key.device);
                parts.push(Part { key: info.key, samples, profiles });
            }
        }
        Ok(parts)
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|err| ServiceError::Internal { what: "reading the store ended unexpectedly", err: Box::new(err) })?
}

fn fits(info: &SeriesInfo, question: &Question) -> bool {
    question.device.as_ref().is_none_or(|device| *device == info.key.device)
        && question.point.as_ref().is_none_or(|point| *point == info.key.point)
}
