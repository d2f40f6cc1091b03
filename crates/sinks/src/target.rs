//! A sink of whatever kind, behind one face.

use std::sync::Arc;

use store::{Sample, SeriesId};

use crate::config::{SinkConfig, TargetConfig};
use crate::deliver::{self, Delivered, Take, WriteError};
use crate::digest::Digests;
use crate::influx::Influx;
#[cfg(feature = "objects")]
use crate::objects::Objects;
use crate::places::ReadApi;
#[cfg(feature = "postgres")]
use crate::postgres::Postgres;
use crate::reading::{Reading, Series};

/// Why a sink cannot even begin.
#[derive(Debug, thiserror::Error)]
#[error("the sink `{name}` cannot be used")]
pub struct SetupError {
    pub name: String,
    #[source]
    pub err: Box<dyn std::error::Error + Send + Sync>,
}

/// What readings are written to, row by row.
#[derive(Debug)]
pub enum Rows {
    Influx(Influx),
    #[cfg(feature = "postgres")]
    Postgres(Postgres),
}

/// What a sink is.
#[derive(Debug)]
pub enum Target {
    Rows(Arc<Rows>),
    #[cfg(feature = "objects")]
    Objects(Objects),
}

impl Target {
    /// It is not spoken to yet.
    pub fn new(sink: &SinkConfig) -> Result<Self, SetupError> {
        let failed = |err: Box<dyn std::error::Error + Send + Sync>| SetupError { name: sink.name.clone(), err };
        Ok(match &sink.target {
            TargetConfig::Influx(config) => {
                Self::Rows(Arc::new(Rows::Influx(Influx::new(config.clone()).map_err(|err| failed(err.into()))?)))
            }
            #[cfg(feature = "postgres")]
            TargetConfig::Postgres(config) => {
                Self::Rows(Arc::new(Rows::Postgres(Postgres::new(config.clone()).map_err(|err| failed(err.into()))?)))
            }
            #[cfg(feature = "objects")]
            TargetConfig::Objects(config) => Self::Objects(Objects::new(config).map_err(|err| failed(err.into()))?),
            #[cfg(not(all(feature = "postgres", feature = "objects")))]
            other => return Err(failed(format!("this program was built without sinks of kind `{}`", other.kind()).into())),
        })
    }
}

impl Target {
    /// What is written row by row, if it is.
    #[must_use]
    pub fn rows(&self) -> Option<Arc<Rows>> {
        match self {
            Self::Rows(rows) => Some(rows.clone()),
            #[cfg(feature = "objects")]
            Self::Objects(_) => None,
        }
    }
}

impl Take for Rows {
    async fn take(&self, readings: &[Reading]) -> Result<(), WriteError> {
        match self {
            Self::Influx(influx) => influx.take(readings).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.take(readings).await,
        }
    }
}

impl Rows {
    /// What has to be there before anything is written.
    pub async fn prepare(&self) -> Result<(), WriteError> {
        match self {
            #[cfg(feature = "influx2")]
            Self::Influx(influx) if influx.config.create_bucket => influx.prepare().await,
            _ => Ok(()),
        }
    }

    /// Writes readings. The bad ones among them come back.
    ///
    /// * Errors: all of them have to be written again.
    pub async fn write(&self, readings: &[Reading]) -> Result<Delivered, WriteError> {
        deliver::deliver(self, readings).await
    }

    /// What it has of a facility on a day.
    pub async fn day(&self, tenant: &str, facility: &str, day_ms: i64) -> Result<Digests, WriteError> {
        match self {
            Self::Influx(influx) => match influx.config.read_api {
                ReadApi::VictoriaMetrics => influx.exported_day(tenant, facility, day_ms).await,
                #[cfg(feature = "influx2")]
                ReadApi::Flux => influx.flux_day(tenant, facility, day_ms).await,
                #[cfg(not(feature = "influx2"))]
                ReadApi::Flux => {
                    let (status, said) = ("flux".to_owned(), "this program was built without the feature `influx2`".to_owned());
                    Err(WriteError::Denied { destination: influx.config.url.clone(), status, said })
                }
            },
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.day(tenant, facility, day_ms).await,
        }
    }

    /// Removes what it has of a series on a day. False when it cannot.
    pub(crate) async fn delete_day(&self, series: &Series, day_ms: i64) -> Result<bool, WriteError> {
        match self {
            // It has no such request: what it has too much of stays, and is told.
            Self::Influx(influx) if influx.config.read_api == ReadApi::VictoriaMetrics => Ok(false),
            Self::Influx(influx) => influx.delete_day(series, day_ms).await.map(|()| true),
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.delete_day(series, day_ms).await.map(|()| true),
        }
    }
}

impl SinkConfig {
    /// Whether a sink is for readings of this facility.
    #[must_use]
    pub fn wants(&self, series: &Series) -> bool {
        self.wants_facility(&series.key.tenant, &series.key.facility)
    }

    /// Whether a sink is for readings of this facility.
    #[must_use]
    pub fn wants_facility(&self, tenant: &ids::Slug, facility: &ids::Slug) -> bool {
        self.tenant.as_ref().is_none_or(|wanted| wanted == tenant) && (self.facilities.is_empty() || self.facilities.contains(facility))
    }
}

/// What a follower gives, with what it is of.
pub(crate) fn readings<'a>(
    rows: &'a [(SeriesId, Sample)],
    known: &'a std::collections::HashMap<SeriesId, Arc<Series>>,
    sink: &'a SinkConfig,
) -> impl Iterator<Item = Reading> + 'a {
    rows.iter().filter_map(|(id, sample)| {
        let series = known.get(id).filter(|series| sink.wants(series))?;
        Some(Reading { series: series.clone(), sample: *sample })
    })
}
