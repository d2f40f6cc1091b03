//! `/`: how the gateway is. To strangers that is all, and a field for the code.

use std::sync::Arc;

use axum::{
    extract::State as Extracted,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use maud::{Markup, html};

use super::{
    super::{Local, guard},
    Frame, age, bytes, clock, findings, grouped,
};
use crate::{
    setup::{Finding, State},
    status::StatusSnapshot,
};

/// The page, for whoever asks.
pub(in crate::local) async fn overview(Extracted(local): Extracted<Arc<Local>>, headers: HeaderMap) -> Response {
    match guard::session(&local, &headers) {
        Some(token) => local.frame("/", "Overview", Some(10), &token).page(StatusCode::OK, &known(&local)),
        None => stranger(&local, StatusCode::OK, None),
    }
}

/// What strangers see: health without a name in it, and where the code goes.
pub(in crate::local) fn stranger(local: &Local, status: StatusCode, refused: Option<&str>) -> Response {
    let frame = Frame { tab: "/", title: "Negawatt gateway", refresh: None, session: None, gateway: None, now: local.clock.now() };
    let health: Vec<Finding> = health(local)
        .into_iter()
        .map(|finding| Finding {
            says: format!("{}: {}", finding.check, in_words(finding.state)),
            check: String::new(),
            next: None,
            ..finding
        })
        .collect();
    let body = html! {
        section aria-labelledby="health" {
            h2 id="health" { "Health" }
            (findings(&health))
        }
        section aria-labelledby="pair" {
            h2 id="pair" { "Pair this browser" }
            @if let Some(why) = refused { p.notice.bad role="alert" { (why) } }
            p { "Everything else is for those who are paired. On the gateway, " code { "negawatt-gateway pair" } " prints a code; a gateway that nobody is paired with also writes one into its log when it starts." }
            form method="post" action="/pair" {
                p {
                    label for="code" { "Code" }
                    input.short id="code" name="code" required autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="16" placeholder="XXXX-XXXX" autofocus;
                }
                p { button type="submit" { "Pair" } }
            }
        }
    };
    frame.page(status, &body)
}

fn known(local: &Local) -> Markup {
    let now = local.status.snapshot();
    let active = local.active();
    let silent = local.status.latest().silent();
    let devices = active.config.devices().count();
    let started = local.status.started_at();
    html! {
        section aria-labelledby="health" {
            h2 id="health" { "Health" }
            (findings(&health(local)))
        }
        section aria-labelledby="figures" {
            h2 id="figures" { "Since the start" }
            dl {
                div { dt { "running since" } dd { @match started { Some(at) => (clock(at)), None => "-" } } }
                div { dt { "sweeps" } dd { (grouped(now.sweeps)) } }
                div { dt { "sweeps missed" } dd { (grouped(now.sweeps_missed)) } }
                div { dt { "points read" } dd { (grouped(now.points_polled - now.points_failed.min(now.points_polled))) } }
                div { dt { "points without a value" } dd { (grouped(now.points_failed)) } }
                div { dt { "points confirmed by the collector" } dd { (grouped(now.points_acknowledged)) } }
                div { dt { "frames that wait" } dd { (grouped(now.backlog)) } }
                div { dt { "spool" } dd { (bytes(now.spool_bytes)) } }
                div { dt { "poll begins late by (p99)" } dd { (now.jitter.p99_us / 1_000) " ms" } }
                div { dt { "devices" } dd { (devices - silent.len().min(devices)) " of " (devices) } }
                div { dt { "program" } dd { (env!("CARGO_PKG_VERSION")) } }
            }
        }
        @if !silent.is_empty() {
            section aria-labelledby="silent" {
                h2 id="silent" { "Devices that do not answer" }
                ul { @for (device, last_ms) in &silent { li {
                    a href={ "/devices/" (device) } { (device) } ", "
                    @match last_ms { Some(at_ms) => { "last value " (age(*at_ms, local.clock.now())) }, None => "no value since the start" }
                } } }
            }
        }
    }
}

/// One finding for each thing that a gateway has to do.
pub(in crate::local) fn health(local: &Local) -> Vec<Finding> {
    let now = local.status.snapshot();
    let active = local.active();
    let mut findings = vec![polling(local, &now), keeping(&now), delivering(&now)];
    findings.push(if local.clock.is_set() {
        Finding::green("clock", "the clock is set")
    } else {
        Finding::red(
            "clock",
            format!("the clock says {}", clock(local.clock.now())),
            "connect a time server: readings are marked until then",
        )
    });
    if active.facts.trial {
        let says = format!("version {} of the configuration is on trial", active.facts.version);
        findings.push(Finding::amber("configuration", says, "wait: it stays when the gateway is well with it, and goes otherwise"));
    }
    findings
}

fn polling(local: &Local, now: &StatusSnapshot) -> Finding {
    let devices = local.active().config.devices().count();
    let silent = local.status.latest().silent().len();
    if now.sweeps == 0 {
        return Finding::grey("polling", "no device was polled yet", Some("wait for the next full minute"));
    }
    match silent {
        0 => Finding::green("polling", format!("{devices} of {devices} devices answer")),
        _ if silent >= devices => {
            Finding::red("polling", format!("0 of {devices} devices answer"), "see supply and cable of the bus, then the page of devices")
        }
        _ => Finding::amber("polling", format!("{} of {devices} devices answer", devices - silent), "see below which do not"),
    }
}

fn keeping(now: &StatusSnapshot) -> Finding {
    if let Some(fault) = &now.spool_fault {
        return Finding::red("keeping", format!("readings cannot be kept: {fault}"), "see the disk: `negawatt-gateway doctor`");
    }
    let what = format!("readings are kept; {} % of their room is filled with what waits", now.spool_percent);
    match now.spool_alarm {
        0 | 50 => Finding::green("keeping", what),
        _ => {
            Finding::amber("keeping", what, "restore the way to the broker: when the room is used up, detail is given up, then the oldest")
        }
    }
}

fn delivering(now: &StatusSnapshot) -> Finding {
    let next = "nothing is lost: readings wait here until it is back";
    match (&now.uplink_fault, now.connected) {
        (Some(fault), _) => Finding::amber("delivering", format!("readings wait here: {fault}"), next),
        (None, false) => Finding::amber("delivering", "readings wait here: there is no connection to the broker", next),
        (None, true) => Finding::green("delivering", "the broker is connected"),
    }
}

/// What a stranger is told of a state.
const fn in_words(state: State) -> &'static str {
    match state {
        State::Grey => "not known yet",
        State::Green => "as it must be",
        State::Amber => "somebody should look",
        State::Red => "wrong",
    }
}
