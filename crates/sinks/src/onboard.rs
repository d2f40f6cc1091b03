//! From a server of InfluxDB 2 that was just installed to one that takes our readings: what it is, what was made, what it has.
//!
//! ```text
//! health -> first user, organisation and bucket, where it has none -> bucket -> Flux: what it has of ours
//! ```
//!
//! Done again, it finds everything there, and changes nothing.

use config::Secret;
use influxdb2::models::Query;
use influxdb2_structmap::value::Value;
use serde::Serialize;

use crate::config::{SinkConfig, TargetConfig};
use crate::deliver::WriteError;
use crate::flux::quoted;
use crate::influx::Influx;
use crate::places::{InfluxConfig, ReadApi};

/// Who a server is set up by, when nobody is known to it.
#[derive(Clone, Debug)]
pub struct FirstUser {
    pub name: String,
    pub password: Secret,
}

/// Whether something was there, or is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    There,
    Made,
    /// It is not there, and nothing was to be changed.
    Missing,
}

/// What a server was found to be, and what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Onboarded {
    pub destination: String,
    /// What it calls itself, and its version.
    pub server: String,
    pub version: Option<String>,
    /// Its first user and organisation.
    pub setup: Step,
    pub bucket: Step,
    /// Our readings in the bucket, of whatever tenant and time.
    pub readings: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Made {
    /// The token of a first user that was made, whatever failed after that: the server says it once, and whoever loses it has to
    /// make another by the server's own means.
    pub token: Option<Secret>,
    pub onboarded: Result<Onboarded, WriteError>,
}

/// Looks after the server of a sink. With `check` nothing is changed.
///
/// * Errors: it is not well; nobody has set it up, and no first user is named; it does not know our token or organisation.
pub async fn onboard(sink: &SinkConfig, first: Option<&FirstUser>, check: bool) -> Made {
    let mut token = None;
    let onboarded = onboarded(sink, first, check, &mut token).await;
    Made { token, onboarded }
}

async fn onboarded(sink: &SinkConfig, first: Option<&FirstUser>, check: bool, made: &mut Option<Secret>) -> Result<Onboarded, WriteError> {
    let denied = |said: &str| WriteError::Denied {
        destination: sink.target.destination(),
        status: sink.target.kind().to_owned(),
        said: said.to_owned(),
    };
    let TargetConfig::Influx(config) = &sink.target else { return Err(denied("only a sink of kind `influx2` is set up by us")) };
    if config.read_api != ReadApi::Flux {
        return Err(denied("it is not InfluxDB: it needs neither a setup nor buckets"));
    }
    if !config.url.starts_with("http://") {
        return Err(denied("the server is set up over plain HTTP, on its own machine: use its own tool where it is asked over TLS"));
    }
    let failed = |err: reqwest::Error| WriteError::Unreachable { destination: config.url.clone(), err: Box::new(err) };
    let mut influx = Influx::new(config.clone()).map_err(failed)?;
    let health = influx.well().await?;
    let (setup, token) = influx.set_up(first, check).await?;
    if let Some(token) = token {
        *made = Some(token.clone());
        influx = Influx::new(InfluxConfig { token: Some(token), ..config.clone() }).map_err(failed)?;
    }
    let (bucket, readings) = match setup {
        Step::Missing => (Step::Missing, 0),
        _ if influx.has_bucket().await? => (if setup == Step::Made { Step::Made } else { Step::There }, influx.count().await?),
        _ if check => (Step::Missing, 0),
        _ => {
            influx.make_bucket().await?;
            (Step::Made, influx.count().await?)
        }
    };
    let (destination, server, version) = (sink.target.destination(), health.name, health.version);
    Ok(Onboarded { destination, server, version, setup, bucket, readings })
}

impl Influx {
    /// Makes the first user, the organisation and the bucket of a server that has none. Gives the token of that user.
    async fn set_up(&self, first: Option<&FirstUser>, check: bool) -> Result<(Step, Option<Secret>), WriteError> {
        let client = self.client()?;
        let asked = client.clone();
        let allowed = match self.ask("whether it was set up", async move { asked.is_onboarding_allowed().await }).await {
            Ok(allowed) => allowed,
            // A server without such a page needs no setup.
            Err(WriteError::Denied { status, .. }) if status == "404" => false,
            Err(err) => return Err(err),
        };
        if !allowed {
            return Ok((Step::There, None));
        }
        if check {
            return Ok((Step::Missing, None));
        }
        let InfluxConfig { url, org, bucket, .. } = self.config.clone();
        let Some(FirstUser { name, password }) = first.cloned() else {
            let said = "nobody has set it up: name its first user, with a password, and a file for the token";
            return Err(WriteError::Denied { destination: url, status: "setup".to_owned(), said: said.to_owned() });
        };
        let made =
            self.ask("its setup", async move {
                client.onboarding(&name, &org, &bucket, Some(password.expose().to_owned()), None, Some(0)).await
            })
            .await?;
        let token = made.auth.and_then(|auth| auth.token).ok_or_else(|| self.not_understood("the answer to its setup"))?;
        Ok((Step::Made, Some(Secret::new(token))))
    }

    /// Our readings in the bucket, asked by Flux: so it is known that the token may read.
    async fn count(&self) -> Result<u64, WriteError> {
        let client = self.client()?;
        let query = Query::new(count_query(&self.config.bucket));
        let records = self.ask("the answer to a query", async move { client.query_raw(Some(query)).await }).await?;
        // A bucket without a reading answers without a row.
        records.iter().try_fold(0, |sum: u64, record| match record.values.get("_value") {
            Some(Value::Long(count)) => Ok(sum.saturating_add(u64::try_from(*count).unwrap_or(0))),
            _ => Err(self.not_understood("a row of a query's answer")),
        })
    }
}

/// Each reading has one quality; one without a number has no number there, too.
fn count_query(bucket: &str) -> String {
    format!(
        r#"from(bucket: {})
  |> range(start: 0)
  |> filter(fn: (r) => r._measurement == "reading" and r._field == "quality")
  |> group()
  |> count()"#,
        quoted(bucket)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_readings_are_counted_in_one_row() {
        insta::assert_snapshot!(count_query("en\"ergy"), @r#"
        from(bucket: "en\"ergy")
          |> range(start: 0)
          |> filter(fn: (r) => r._measurement == "reading" and r._field == "quality")
          |> group()
          |> count()
        "#);
    }
}
