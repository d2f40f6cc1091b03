//! `/devices`: every device of every bus, and what each shows now.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::{Path, State as Extracted},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use ids::Slug;
use maud::{Markup, html};
use tokio::time::timeout;
use units::Severity;

use super::{
    super::{Local, guard::Paired, jobs, latest::Point},
    age, grouped, key,
};
use crate::{
    config::{BusConfig, DeviceConfig},
    status::{BusStatus, DeviceStatus},
};

/// How long a browser waits for a device that is read now; it is read all the same after that.
const PATIENCE: Duration = Duration::from_secs(12);

pub(in crate::local) async fn devices(Extracted(local): Extracted<Arc<Local>>, Extension(Paired(token)): Extension<Paired>) -> Response {
    let active = local.active();
    let status = local.status.snapshot();
    let body = html! {
        h2 { "Devices" }
        @for bus in &active.config.buses { (table(&local, bus, status.buses.iter().find(|known| known.bus == bus.name.as_str()))) }
    };
    local.frame("/devices", "Devices", Some(10), &token).page(StatusCode::OK, &body)
}

fn table(local: &Local, bus: &BusConfig, status: Option<&BusStatus>) -> Markup {
    let known = |device: &DeviceConfig| status.and_then(|bus| bus.devices.iter().find(|known| known.device == device.id.as_str())).cloned();
    html! {
        section aria-label={ "bus " (bus.name) } {
            h3 { "Bus " (bus.name) }
            p.quiet {
                (bus.endpoint) ", every " (bus.interval.as_secs()) " s"
                @if let Some(bus) = status {
                    ": " (grouped(bus.counters.exchanges)) " requests, " (grouped(bus.counters.silent)) " without an answer, "
                    (grouped(bus.counters.damaged)) " damaged, " (grouped(bus.counters.refused)) " refused; opened "
                    (grouped(bus.counters.opened)) " times, broken " (grouped(bus.counters.broken))
                }
            }
            div.scroll tabindex="0" role="region" aria-label={ "devices of bus " (bus.name) } {
                table {
                    thead { tr {
                        th scope="col" { "Device" } th scope="col" { "State" } th scope="col" { "Asked" }
                        th.number scope="col" { "Unit id" } th scope="col" { "Profile" } th.number scope="col" { "Answers in (p99)" }
                    } }
                    tbody { @for device in &bus.devices { (row(local, device, &known(device).unwrap_or_default())) } }
                }
            }
        }
    }
}

fn row(local: &Local, device: &DeviceConfig, status: &DeviceStatus) -> Markup {
    let latest = local.status.latest().device(device.id.as_str());
    html! {
        tr {
            td.name { a href={ "/devices/" (device.id) } { (device.id) } }
            td {
                @match &latest {
                    None => span.quiet { "not read yet" },
                    Some(_) if status.lost => span.bad { "lost" },
                    Some(latest) if latest.quality.severity() == Severity::Bad => span.bad { "silent" },
                    Some(_) => span.good { "answers" },
                }
            }
            td.time { @match &latest { Some(latest) => (age(latest.asked_ms, local.clock.now())), None => "-" } }
            td.number { (device.unit) }
            td { (device.profile.id()) }
            td.number { @match status.latency_p99_us { Some(us) => { (us / 1_000) "." (us / 100 % 10) " ms" }, None => "-" } }
        }
    }
}

pub(in crate::local) async fn device(
    Extracted(local): Extracted<Arc<Local>>,
    Extension(Paired(token)): Extension<Paired>,
    Path(name): Path<String>,
) -> Response {
    let active = local.active();
    let found = active.config.buses.iter().find_map(|bus| Some((bus, bus.devices.iter().find(|device| device.id.as_str() == name)?)));
    let Some((bus, device)) = found else {
        let body = html! { h2 { "No such device" } p { "There is no device " code { (name) } " in this configuration." } p { a href="/devices" { "All devices" } } };
        return local.frame("/devices", "No such device", None, &token).page(StatusCode::NOT_FOUND, &body);
    };
    let latest = local.status.latest().device(&name);
    let body = html! {
        h2 { (device.id) }
        p.quiet { (device.profile.id()) ", unit " (device.unit) " on bus " (bus.name) ", " (bus.endpoint) }
        @match &latest {
            None => p { "It was not read yet." },
            Some(latest) => (values(local.clock.now(), device, &latest.points)),
        }
        div.fields {
            form method="post" action={ "/devices/" (device.id) "/read" } { (key(&token)) p { button type="submit" { "Read now" } } }
        }
        p.quiet { "Read between two polls by the bus itself; the next poll is not delayed. " a href={ "/checks?device=" (device.id) } { "Check these readings" } }
    };
    local.frame("/devices", device.id.as_str(), Some(10), &token).page(StatusCode::OK, &body)
}

fn values(now: jiff::Timestamp, device: &DeviceConfig, points: &[Point]) -> Markup {
    let is_billed = |point: &Point| device.profile.point(&point.id).is_some_and(|known| known.billing);
    html! {
        div.scroll tabindex="0" role="region" aria-label="values" {
            table {
                caption { "What every point showed last" }
                thead { tr { th scope="col" { "Point" } th.number scope="col" { "Value" } th scope="col" { "Read" } th scope="col" { "Quality" } } }
                tbody { @for point in points { tr {
                    td { (point.id) @if is_billed(point) { " " span.quiet { "(billed)" } } }
                    td.number { @match point.value { Some((value, _)) => { (value.decimal_text()) " " (value.unit.symbol()) }, None => "-" } }
                    td.time { @match point.value { Some((_, at_ms)) => (age(at_ms, now)), None => "never" } }
                    td.bad[point.quality.severity() == Severity::Bad].look[point.quality.severity() == Severity::Uncertain] { (point.quality) }
                } } }
            }
        }
    }
}

/// Has a device read by the actor of its bus, between two polls.
pub(in crate::local) async fn read_now(
    Extracted(local): Extracted<Arc<Local>>,
    Extension(Paired(token)): Extension<Paired>,
    Path(name): Path<String>,
) -> Response {
    let known = local.active().config.devices().any(|device| device.id.as_str() == name);
    let Some(device) = Slug::parse(&name).ok().filter(|_| known) else {
        return Redirect::to("/devices").into_response();
    };
    let outcome = match timeout(PATIENCE, jobs::read(&device, &local.probes)).await {
        Ok(read) => read.map(|reading| local.status.latest().note(&[reading])),
        Err(_elapsed) => Err(format!("`{device}` has not answered within {} s", PATIENCE.as_secs())),
    };
    match outcome {
        Ok(()) => Redirect::to(&format!("/devices/{device}")).into_response(),
        Err(why) => {
            let body =
                html! { h2 { (device) } p.notice.bad role="alert" { (why) } p { a href={ "/devices/" (device) } { "Back to " (device) } } };
            local.frame("/devices", device.as_str(), None, &token).page(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}
