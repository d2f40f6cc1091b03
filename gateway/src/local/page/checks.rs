//! `/checks`: is this machine fit, and is what a device shows true?

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Query, State as Extracted},
    http::StatusCode,
    response::Response,
};
use ids::Slug;
use maud::html;
use serde::Deserialize;

use super::{
    super::{
        Local,
        guard::{Fields, Paired},
        jobs::{self, Kind},
    },
    key,
    scan::{begun_or_busy, outcome, progress},
};
use crate::setup::Known;

#[derive(Debug, Deserialize)]
pub(in crate::local) struct Asked {
    device: Option<String>,
}

pub(in crate::local) async fn checks(
    Extracted(local): Extracted<Arc<Local>>,
    Extension(Paired(token)): Extension<Paired>,
    Query(asked): Query<Asked>,
) -> Response {
    let active = local.active();
    let running = local.jobs.running();
    let chosen = asked.device.unwrap_or_default();
    let body = html! {
        h2 { "A device against physics" }
        (progress(&local, running.as_deref(), &key(&token)))
        @if running.is_none() {
            p { "A wrong map, a reversed transformer or a frozen meter all give clean numbers. The device is watched through the gateway's own polls; the next poll is never delayed. What is left empty is not judged." }
            form method="post" action="/checks" {
                (key(&token))
                div.fields {
                    p {
                        label for="device" { "Device" }
                        select id="device" name="device" required {
                            @for device in active.config.devices() { option value=(device.id) selected[device.id.as_str() == chosen] { (device.id) } }
                        }
                    }
                    p {
                        label for="watch" { "Watch it for" }
                        select id="watch" name="watch" {
                            option value="60" { "1 minute" } option value="180" selected { "3 minutes" } option value="600" { "10 minutes" }
                        }
                    }
                }
                div.fields {
                    p { label for="ct" { "Label of the current transformers" } input.short id="ct" name="ct" placeholder="200/5" maxlength="20"; }
                    @for (id, phase) in [("i1", "L1"), ("i2", "L2"), ("i3", "L3")] {
                        p { label for=(id) { "Clamp on " (phase) ", A" } input.short id=(id) name=(id) inputmode="decimal" maxlength="10"; }
                    }
                }
                p { button type="submit" { "Check" } }
            }
        }
        @if let Some(job) = local.jobs.of(Kind::Check) { (outcome(&local, &job)) }
        p.quiet { "For a signed record with identity and latency, stop the gateway and use " code { "negawatt-gateway commission" } "." }
        @if running.is_none() || local.jobs.of(Kind::Machine).is_some() { h2 { "This machine" } }
        @if running.is_none() {
            form method="post" action="/checks/machine" { (key(&token)) p { button type="submit" { "Examine clock, disk, ports and broker" } } }
        }
        @if let Some(job) = local.jobs.of(Kind::Machine) { (outcome(&local, &job)) }
    };
    local.frame("/checks", "Checks", running.map(|_| 5), &token).page(StatusCode::OK, &body)
}

pub(in crate::local) async fn begin_machine(
    Extracted(local): Extracted<Arc<Local>>,
    Extension(Paired(token)): Extension<Paired>,
) -> Response {
    let (active, clock) = (local.active(), Arc::clone(&local.clock));
    let about = "examination of this machine".to_owned();
    let begun = local.jobs.begin(Kind::Machine, about, local.clock.now(), &local.stop, |_job| async move {
        jobs::machine(&active.config, Path::new("/"), &*clock).await
    });
    begun_or_busy(&local, begun, "/checks", &token)
}

pub(in crate::local) async fn begin_check(
    Extracted(local): Extracted<Arc<Local>>,
    Extension(Paired(token)): Extension<Paired>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let order = match order(&fields) {
        Ok(order) => order,
        Err(why) => {
            let body = html! { h2 { "Checks" } p.notice.bad role="alert" { (why) } p { a href="/checks" { "Back" } } };
            return local.frame("/checks", "Checks", None, &token).page(StatusCode::BAD_REQUEST, &body);
        }
    };
    let (active, at_work) = (local.active(), Arc::clone(&local));
    let about = format!("check of `{}` for {} s", order.device, order.watch.as_secs());
    let begun = local.jobs.begin(Kind::Check, about, local.clock.now(), &local.stop, |job| async move {
        jobs::check(order, &active.config, &at_work.probes, at_work.status.latest(), &*at_work.clock, &job).await
    });
    begun_or_busy(&local, begun, "/checks", &token)
}

fn order(fields: &Fields) -> Result<jobs::CheckOrder, String> {
    let device = Slug::parse(fields.get("device")).map_err(|err| err.to_string())?;
    let watch = fields.get("watch").parse().ok().filter(|seconds| (1..=600).contains(seconds));
    let watch = Duration::from_secs(watch.ok_or("a device is watched for 1 to 600 seconds")?);
    let number = |text: &str| text.trim().replace(',', ".").parse::<f64>().ok().filter(|number| number.is_finite());
    let transformer = match fields.get("ct").trim() {
        "" => None,
        text => {
            let ratio = text.split_once('/').and_then(|(one, other)| Some((number(one)?, number(other)?)));
            let ratio = ratio.filter(|(one, other)| *one > 0.0 && *other > 0.0);
            Some(ratio.ok_or_else(|| format!("`{text}` is not a ratio: write 200/5"))?)
        }
    };
    let mut clamp = BTreeMap::new();
    for id in ["i1", "i2", "i3"] {
        let text = fields.get(id);
        if !text.trim().is_empty() {
            let ampere = number(text).filter(|ampere| *ampere >= 0.0).ok_or_else(|| format!("`{text}` is not a current in ampere"))?;
            clamp.insert(id.to_owned(), ampere);
        }
    }
    Ok(jobs::CheckOrder { device, known: Known { transformer, clamp, serial: None }, watch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_technician_types_is_understood_or_refused() {
        let order = |text: &str| order(&Fields::parse(text.as_bytes()));
        let typed = order("device=pump&watch=180&ct=200%2F5&i1=42%2C5&i2=&i3=").unwrap();
        assert_eq!((typed.device.as_str(), typed.watch.as_secs(), typed.known.transformer), ("pump", 180, Some((200.0, 5.0))));
        assert_eq!(typed.known.clamp, BTreeMap::from([("i1".to_owned(), 42.5)]));
        for wrong in [
            "device=&watch=60",
            "device=pump&watch=0",
            "device=pump&watch=60&ct=200",
            "device=pump&watch=60&ct=0/5",
            "device=pump&watch=60&i1=-3",
        ] {
            assert!(order(wrong).is_err(), "{wrong}");
        }
    }
}
