//! `/spool`: what waits here until the collector has it.

use std::sync::Arc;

use axum::{Extension, extract::State as Extracted, http::StatusCode, response::Response};
use jiff::Timestamp;
use maud::html;
use wire::{Frame, Message as _};

use super::{
    super::{Local, guard::Paired},
    age, bytes, clock, findings, grouped,
};
use crate::setup::Finding;

pub(in crate::local) async fn spool(Extracted(local): Extracted<Arc<Local>>, Extension(Paired(token)): Extension<Paired>) -> Response {
    let Some(spool) = local.spool.borrow().clone() else {
        let body = html! { h2 { "Spool" } p { "The gateway is stopping." } };
        return local.frame("/spool", "Spool", Some(10), &token).page(StatusCode::SERVICE_UNAVAILABLE, &body);
    };
    let (counters, oldest) = spool
        .with(|spool| {
            let counters = spool.counters();
            let waiting = counters.acknowledged < counters.committed;
            let oldest = waiting.then(|| spool.read(counters.acknowledged + 1, 1)).and_then(Result::ok);
            (counters, oldest.and_then(|mut frames| frames.drain(..).next()))
        })
        .await;
    let oldest = oldest.and_then(|stored| Frame::decode(&stored.payload.ok()?[..]).ok()).map(|frame| frame.tick_ms);
    let now = local.status.snapshot();
    let mut alarms = Vec::new();
    if let Some(fault) = &now.spool_fault {
        alarms.push(Finding::red("disk", format!("readings cannot be kept: {fault}"), "make room, or exchange the disk"));
    }
    if now.spool_alarm > 0 {
        let says = format!("{} % is filled with readings that wait: the alarm at {} % holds", now.spool_percent, now.spool_alarm);
        alarms.push(Finding::amber("fill", says, "restore the way to the broker, or raise spool.max"));
    }
    if counters.dropped > 0 || counters.points_left_out > 0 {
        let says = format!(
            "{} frames and {} points made room for newer ones before the collector had them",
            counters.dropped, counters.points_left_out
        );
        alarms.push(Finding::red("lost", says, "raise spool.max, so that the next outage fits"));
    }
    if counters.damaged > 0 {
        let says = format!("{} damaged stretches were found and set aside", counters.damaged);
        alarms.push(Finding::amber("damage", says, "the disk or its supply harms data: look at the power supply and the age of the card"));
    }
    if alarms.is_empty() {
        alarms.push(Finding::green("alarms", "there is no alarm"));
    }
    let waits = counters.committed.saturating_sub(counters.acknowledged);
    let body = html! {
        h2 { "Spool" }
        p {
            label for="fill" { "Filled with readings that the collector does not have: " (counters.percent) " %" }
            meter id="fill" min="0" max="100" high="80" low="50" optimum="0" value=(counters.percent) { (counters.percent) " %" }
        }
        dl {
            div { dt { "frames that wait" } dd { (grouped(waits)) } }
            div { dt { "oldest of them" } dd { @match oldest {
                Some(at_ms) => { (age(at_ms, local.clock.now())) br; span.quiet { (Timestamp::from_millisecond(at_ms).map_or_else(|_| "-".to_owned(), clock)) } },
                None => "none waits",
            } } }
            div { dt { "last frame" } dd { (grouped(counters.committed)) } }
            div { dt { "acknowledged up to" } dd { (grouped(counters.acknowledged)) } }
            div { dt { "frames in memory only" } dd { (grouped(counters.waiting)) } }
            div { dt { "on disk" } dd { (bytes(counters.bytes)) } }
            div { dt { "allowed" } dd { (bytes(counters.bytes_max)) } }
            div { dt { "sent, repetitions" } dd { (grouped(now.frames_sent)) ", " (grouped(now.frames_resent)) } }
        }
        h2 { "Alarms" }
        (findings(&alarms))
        p.quiet { "What was delivered stays until its room is needed; the collector can ask for it again." }
    };
    local.frame("/spool", "Spool", Some(10), &token).page(StatusCode::OK, &body)
}
