//! What InfluxDB 2 is asked and told beside writes, by way of the crate `influxdb2`: is it there, is the bucket there,
//! and what does it have.
//!
//! The crate is used without its TLS, which is out of date, so only over plain HTTP; what it does not do (batches, gzip
//! of lines, waits, halving) is why writes are ours. It loses a path before `/api/v2`, and it panics on answers that are
//! not as it expects them: each question is a task of its own, whose panic is an answer that was not understood.

use std::collections::BTreeMap;

use influxdb2::api::buckets::ListBucketsRequest;
use influxdb2::api::organization::ListOrganizationRequest;
use influxdb2::models::{HealthCheck, PostBucketRequest, Query, Status};
use influxdb2::{Client, RequestError};
use influxdb2_structmap::value::Value;

use crate::deliver::WriteError;
use crate::digest::{DAY_MS, Digest, Digests};
use crate::influx::{Influx, rfc3339};
use crate::places::InfluxConfig;

impl Influx {
    pub(crate) fn client(&self) -> Result<Client, WriteError> {
        let InfluxConfig { url, org, token, .. } = &self.config;
        let token = token.as_ref().map_or("", config::Secret::expose);
        let http = influxdb2::ClientBuilder::new(url.clone(), org.clone(), token).build();
        http.map_err(|err| WriteError::Unreachable { destination: url.clone(), err: Box::new(err) })
    }

    /// Asks in a task of its own, and no longer than everything else may take.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        what: &str,
        question: impl Future<Output = Result<T, RequestError>> + Send + 'static,
    ) -> Result<T, WriteError> {
        let destination = self.config.url.clone();
        match tokio::time::timeout(self.config.timeout, tokio::spawn(question)).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(RequestError::Http { status, text }))) => {
                let (code, said) = (status.as_u16().to_string(), text);
                Err(match status.as_u16() {
                    400..=499 if code != "429" && code != "408" => WriteError::Denied { destination, status: code, said },
                    _ => WriteError::Busy { destination, status: code, said, after: None },
                })
            }
            Ok(Ok(Err(RequestError::Deserializing { text }))) => Err(self.not_understood(&format!("{what} ({text})"))),
            Ok(Ok(Err(err))) => Err(WriteError::Unreachable { destination, err: Box::new(err) }),
            Ok(Err(_panicked)) => Err(self.not_understood(what)),
            Err(late) => Err(WriteError::Unreachable { destination, err: Box::new(late) }),
        }
    }

    /// Makes sure that the server says it is well, and that the bucket is there.
    ///
    /// * Errors: it is not, or the bucket is not and is not to be made.
    pub(crate) async fn prepare(&self) -> Result<(), WriteError> {
        self.well().await?;
        if self.has_bucket().await? {
            return Ok(());
        }
        let InfluxConfig { url, bucket, create_bucket, .. } = &self.config;
        if !create_bucket {
            let said = format!("there is no bucket `{bucket}`: make it, or set create_bucket = true");
            return Err(WriteError::Denied { destination: url.clone(), status: "404".to_owned(), said });
        }
        self.make_bucket().await
    }

    /// * Errors: it does not answer, or says that it is not well.
    pub(crate) async fn well(&self) -> Result<HealthCheck, WriteError> {
        let client = self.client()?;
        let health = self.ask("its health", async move { client.health().await }).await?;
        if health.status != Status::Pass {
            let said = health.message.unwrap_or_else(|| "it says that it is not well".to_owned());
            return Err(WriteError::Busy { destination: self.config.url.clone(), status: "health".to_owned(), said, after: None });
        }
        Ok(health)
    }

    pub(crate) async fn has_bucket(&self) -> Result<bool, WriteError> {
        let (client, InfluxConfig { org, bucket, .. }) = (self.client()?, self.config.clone());
        let request = ListBucketsRequest { name: Some(bucket.clone()), org: Some(org), ..ListBucketsRequest::default() };
        // A server that has none of this name says so with 404, or with an empty list.
        match self.ask("its buckets", async move { client.list_buckets(Some(request)).await }).await {
            Ok(buckets) => Ok(buckets.buckets.iter().any(|known| known.name == bucket)),
            Err(WriteError::Denied { status, .. }) if status == "404" => Ok(false),
            Err(err) => Err(err),
        }
    }

    /// Makes a bucket that keeps what it gets.
    pub(crate) async fn make_bucket(&self) -> Result<(), WriteError> {
        let (client, InfluxConfig { url, org, bucket, .. }) = (self.client()?, self.config.clone());
        let denied = |said: String| WriteError::Denied { destination: url.clone(), status: "404".to_owned(), said };
        let (asked, request) = (client.clone(), ListOrganizationRequest { org: Some(org.clone()), ..no_organization() });
        let found = self.ask("its organizations", async move { asked.list_organizations(request).await }).await?;
        let known = found.orgs.into_iter().find(|known| known.name == org).and_then(|known| known.id);
        let org_id = known.ok_or_else(|| denied(format!("there is no organization `{org}`")))?;
        let request = PostBucketRequest::new(org_id, bucket.clone());
        self.ask("the new bucket", async move { client.create_bucket(Some(request)).await }).await?;
        tracing::info!(destination = %url, bucket, "made the bucket");
        Ok(())
    }

    /// What it has of a facility on a day.
    pub(crate) async fn flux_day(&self, tenant: &str, facility: &str, day_ms: i64) -> Result<Digests, WriteError> {
        let client = self.client()?;
        let query = Query::new(day_query(&self.config.bucket, tenant, facility, day_ms));
        let records = self.ask("the answer to a query", async move { client.query_raw(Some(query)).await }).await?;
        let mut digests = Digests::new();
        for record in records {
            let (name, digest) = digest(&record.values).ok_or_else(|| self.not_understood("a row of a query's answer"))?;
            digests.insert(name, digest);
        }
        Ok(digests)
    }
}

fn no_organization() -> ListOrganizationRequest {
    ListOrganizationRequest { descending: None, limit: None, offset: None, org: None, org_id: None, user_id: None }
}

/// A text in Flux.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${"))
}

/// Flux: count, least, greatest and sum of each series, in whole numbers.
fn day_query(bucket: &str, tenant: &str, facility: &str, day_ms: i64) -> String {
    let (bucket, tenant, facility) = (quoted(bucket), quoted(tenant), quoted(facility));
    let (start, stop) = (rfc3339(day_ms), rfc3339(day_ms + DAY_MS));
    format!(
        r#"from(bucket: {bucket})
  |> range(start: {start}, stop: {stop})
  |> filter(fn: (r) => r._measurement == "reading" and r._field == "raw" and r.tenant == {tenant} and r.facility == {facility})
  |> reduce(
    identity: {{count: 0, least: 9223372036854775807, greatest: -9223372036854775807, sum: 0}},
    fn: (r, accumulator) => ({{
      count: accumulator.count + 1,
      least: if r._value < accumulator.least then r._value else accumulator.least,
      greatest: if r._value > accumulator.greatest then r._value else accumulator.greatest,
      sum: accumulator.sum + r._value,
    }}),
  )"#
    )
}

fn digest(values: &BTreeMap<String, Value>) -> Option<(crate::reading::SeriesName, Digest)> {
    let text = |key: &str| match values.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    let number = |key: &str| match values.get(key) {
        Some(Value::Long(number)) => Some(*number),
        _ => None,
    };
    let name = (text("device")?, text("point")?, text("unit")?, text("exponent")?.parse().ok()?);
    let (count, sum) = (u64::try_from(number("count")?).ok()?, i128::from(number("sum")?));
    Some((name, Digest { count, min: number("least")?, max: number("greatest")?, sum }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_asked_for_in_whole_numbers() {
        insta::assert_snapshot!(day_query("en\"ergy", "acme", "hall", 1_767_225_600_000));
    }
}
