//! `/scan`: who is on the ports and hosts that the gateway does not poll.

use std::{path::Path, sync::Arc};

use axum::{
    Extension,
    extract::State as Extracted,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};

use super::{
    super::{
        Local,
        guard::{Fields, Paired},
        jobs::{self, Found, Job, Kind},
    },
    age, findings, key,
};
use crate::setup::{Identity, PlaceReport, serial_ports};

pub(in crate::local) async fn scan(Extracted(local): Extracted<Arc<Local>>, Extension(Paired(token)): Extension<Paired>) -> Response {
    let running = local.jobs.running();
    let ports = serial_ports(Path::new("/"));
    let body = html! {
        h2 { "Scan" }
        (progress(&local, running.as_deref(), &key(&token)))
        @if running.is_none() {
            p { "Looks for devices where the gateway does not poll: a port has one master, so the buses of the configuration are left alone." }
            form method="post" action="/scan" {
                (key(&token))
                p {
                    label for="place" { "Where" }
                    input id="place" name="place" value="auto" required maxlength="200" list="places";
                    datalist id="places" { option value="auto" {} @for port in &ports { option value=(port.path.display()) {} } }
                }
                p.quiet { code { "auto" } " is every serial port of this machine; or a port, " code { "tcp://192.168.1.20:502" } ", " code { "rtu+tcp://…" } ", " code { "tcp://192.168.1.0/24:502" } }
                p { label.check { input type="checkbox" name="full" value="yes"; " all 247 units, not only those that new devices have" } }
                p { button type="submit" { "Scan" } }
            }
        }
        @if let Some(job) = local.jobs.of(Kind::Scan) { (outcome(&local, &job)) }
        @if running.is_none() || local.jobs.of(Kind::Identify).is_some() { h2 { "Identify" } }
        @if running.is_none() {
            form method="post" action="/identify" {
                (key(&token))
                div.fields {
                    p { label for="url" { "Address" } input id="url" name="url" required maxlength="200" placeholder="tcp://192.168.1.20:502"; }
                    p { label for="unit" { "Unit id" } input.short id="unit" name="unit" type="number" min="1" max="247" value="1" required; }
                }
                p { button type="submit" { "Find out what it is" } }
            }
        }
        @if let Some(job) = local.jobs.of(Kind::Identify) { (outcome(&local, &job)) }
    };
    local.frame("/scan", "Scan", running.map(|_| 3), &token).page(StatusCode::OK, &body)
}

/// What runs now, and a way to end it.
pub(super) fn progress(local: &Local, running: Option<&Job>, key: &Markup) -> Markup {
    html! {
        @if let Some(job) = running {
            section aria-label="running" {
                p { strong { "Running: " } (job.about) ", begun " (age(job.begun.as_millisecond(), local.clock.now())) }
                pre { @for step in job.steps() { (step) "\n" } }
                form method="post" action="/stop" { (key) p { button type="submit" { "Stop it" } } }
            }
        }
    }
}

/// What came of a job.
pub(super) fn outcome(local: &Local, job: &Job) -> Markup {
    let Some(found) = job.found() else { return html! {} };
    html! {
        section aria-label={ "outcome: " (job.about) } {
            p.quiet { (job.about) ", begun " (age(job.begun.as_millisecond(), local.clock.now())) }
            @match &found {
                Found::Nothing(why) => p.notice.bad { (why) },
                Found::Places(places) => {
                    // What was left alone, and why.
                    @for step in job.steps().iter().filter(|step| step.contains("left alone")) { p.quiet { (step) } }
                    @for place in places { (report(place)) }
                },
                Found::Identity(identity) => (identified(identity)),
                Found::Findings(list) => (findings(list)),
            }
        }
    }
}

fn report(place: &PlaceReport) -> Markup {
    html! {
        h3 { (place.place) @if let Some(chip) = &place.chip { " " span.quiet { (chip) } } }
        @if !place.devices.is_empty() {
            div.scroll tabindex="0" role="region" aria-label={ "devices at " (place.place) } {
                table {
                    thead { tr { th.number scope="col" { "Unit id" } th scope="col" { "Setting" } th scope="col" { "What it is" } th scope="col" { "Address" } th.number scope="col" { "Answers in" } } }
                    tbody { @for device in &place.devices { tr {
                        td.number { (device.unit) }
                        td { @match device.settings { Some(settings) => (settings), None => (device.framing) } }
                        td { @match device.identity.as_ref().and_then(|identity| identity.best()) {
                            Some(best) => (best.profile),
                            None => span.look { "not clear" },
                        } }
                        td { code { (device.url) } }
                        td.number { (device.answer_ms) " ms" }
                    } } }
                }
            }
        }
        (findings(&place.findings))
        p.quiet { (place.tally.asked) " asked, " (place.tally.answered) " answered in " (place.elapsed_ms / 1_000) "." (place.elapsed_ms / 100 % 10) " s" }
    }
}

fn identified(identity: &Identity) -> Markup {
    html! {
        @if *identity == Identity::default() { p.notice { "No known profile fits, or nobody answered: a scan says whether it answers at all." } }
        @if !identity.objects.is_empty() { p { "It says of itself: " (identity.objects.join(", ")) } }
        @if let Some(text) = &identity.server_id { p { "Server id: " (text) } }
        @if let Some(plate) = &identity.sunspec { p { "SunSpec at " (plate.base) ": " (plate.manufacturer) " " (plate.model) ", serial " (plate.serial) } }
        @for candidate in &identity.candidates {
            h3 { (candidate.profile) " " span.quiet { @if candidate.certain { "certain" } @else { "score " (candidate.score) } } }
            ul { @for reason in &candidate.because { li { (reason) } } }
        }
        @if identity.best().is_none() && identity.candidates.len() > 1 { p { "Several maps fit equally well: compare with the display of the device." } }
    }
}

pub(in crate::local) async fn begin_scan(
    Extracted(local): Extracted<Arc<Local>>,
    Extension(Paired(token)): Extension<Paired>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let order = jobs::ScanOrder { place: fields.get("place").trim().to_owned(), full: fields.get("full") == "yes" };
    let about = format!("scan of {}{}", order.place, if order.full { ", all units" } else { "" });
    let active = local.active();
    let begun = local.jobs.begin(Kind::Scan, about, local.clock.now(), &local.stop, |job| async move {
        jobs::look_around(order, &active.config, Path::new("/"), &job).await
    });
    begun_or_busy(&local, begun, "/scan", &token)
}

pub(in crate::local) async fn begin_identify(
    Extracted(local): Extracted<Arc<Local>>,
    Extension(Paired(token)): Extension<Paired>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let url = fields.get("url").trim().to_owned();
    let Some(unit) = fields.get("unit").parse::<u8>().ok().filter(|unit| (1..=247).contains(unit)) else {
        let body = html! { h2 { "Identify" } p.notice.bad role="alert" { "A unit id is a number from 1 to 247." } p { a href="/scan" { "Back" } } };
        return local.frame("/scan", "Identify", None, &token).page(StatusCode::BAD_REQUEST, &body);
    };
    let about = format!("identification of unit {unit} at {url}");
    let active = local.active();
    let begun = local.jobs.begin(Kind::Identify, about, local.clock.now(), &local.stop, |job| async move {
        jobs::ask_who(url, unit, &active.config, &job).await
    });
    begun_or_busy(&local, begun, "/scan", &token)
}

/// Where a job is looked at; or why another could not begin.
pub(super) fn begun_or_busy(local: &Local, begun: Result<(), Arc<Job>>, tab: &'static str, token: &super::Token) -> Response {
    match begun {
        Ok(()) => Redirect::to(tab).into_response(),
        Err(running) => {
            let body = html! {
                h2 { "One thing at a time" }
                p.notice.bad role="alert" { "This runs already: " (running.about) ". Wait for it, or stop it." }
                p { a href=(tab) { "Back" } }
            };
            local.frame(tab, "Busy", None, token).page(StatusCode::CONFLICT, &body)
        }
    }
}
