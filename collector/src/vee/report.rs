//! What is answered, for programs and for people: the same over HTTP and on the command line.

use std::fmt::Write as _;
use std::ops::Range;

use ids::Slug;
use serde::Serialize;
use store::SeriesInfo;

use crate::counted::Counted;

use super::change::{ChangeError, Changed};
use super::desk::{Made, time};
use super::gaps::{Cause, Coverage};
use super::journal::Event;
use super::scene::Scene;
use super::validate::Finding;

/// Schema `negawatt.vee.gaps/1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct GapsReport {
    schema: &'static str,
    facility: String,
    from: String,
    to: String,
    series: Vec<SeriesGaps>,
}

/// How complete one series is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SeriesGaps {
    pub(crate) device: String,
    pub(crate) point: String,
    interval_s: i64,
    pub(crate) expected: u64,
    pub(crate) present: u64,
    pub(crate) usable: u64,
    pub(crate) estimated: u64,
    pub(crate) edited: u64,
    pub(crate) gaps: Vec<GapSaid>,
    more_gaps: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct GapSaid {
    from: String,
    to: String,
    readings: i64,
    pub(crate) cause: Cause,
}

/// Schema `negawatt.vee.findings/1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FindingsReport {
    schema: &'static str,
    facility: String,
    from: String,
    to: String,
    findings: Vec<FindingSaid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct FindingSaid {
    device: String,
    point: String,
    rule: &'static str,
    from: String,
    last: String,
    readings: usize,
    detail: String,
}

/// A change, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ChangeSaid {
    id: i64,
    way: String,
    state: String,
    at: String,
    actor: String,
    reason: String,
    document: String,
    approval: String,
    readings: usize,
    from: String,
    last: String,
    audit_entries: Vec<u64>,
    undoes: Option<i64>,
    undone_by: Option<i64>,
}

impl SeriesGaps {
    pub(crate) fn of(info: &SeriesInfo, interval_ms: i64, coverage: &Coverage) -> Self {
        let said = |gap: &super::gaps::Gap| GapSaid {
            from: time(gap.from_ms),
            to: time(gap.to_ms),
            readings: gap.slots.end - gap.slots.start,
            cause: gap.cause,
        };
        Self {
            device: info.key.device.to_string(),
            point: info.key.point.clone(),
            interval_s: interval_ms / 1_000,
            expected: coverage.expected,
            present: coverage.present,
            usable: coverage.usable,
            estimated: coverage.estimated,
            edited: coverage.edited,
            gaps: coverage.gaps.iter().map(said).collect(),
            more_gaps: coverage.more_gaps,
        }
    }
}

/// The gaps of a facility, of one device or of all.
pub(crate) fn gaps(scene: &Scene<'_>, device: Option<&Slug>, range: &Range<i64>) -> Result<GapsReport, ChangeError> {
    let around = scene.around(range)?;
    let mut series = Vec::new();
    for info in scene.series().iter().filter(|info| device.is_none_or(|device| *device == info.key.device)) {
        if let Some(track) = scene.track(info, range)? {
            series.push(SeriesGaps::of(info, track.grid.interval_ms(), &scene.coverage(&track, range, &around)));
        }
    }
    let facility = format!("{}/{}", scene.tenant, scene.facility);
    Ok(GapsReport { schema: "negawatt.vee.gaps/1", facility, from: time(range.start), to: time(range.end), series })
}

/// What the rules find in a facility, in one device or in all.
pub(crate) fn findings(scene: &Scene<'_>, device: Option<&Slug>, range: &Range<i64>) -> Result<FindingsReport, ChangeError> {
    let mut findings = Vec::new();
    for info in scene.series().iter().filter(|info| device.is_none_or(|device| *device == info.key.device)) {
        let Some(track) = scene.track(info, range)? else { continue };
        findings.extend(scene.findings(&track)?.into_iter().map(|Finding { rule, from_ms, last_ms, readings, detail }| FindingSaid {
            device: info.key.device.to_string(),
            point: info.key.point.clone(),
            rule,
            from: time(from_ms),
            last: time(last_ms),
            readings,
            detail,
        }));
    }
    let facility = format!("{}/{}", scene.tenant, scene.facility);
    Ok(FindingsReport { schema: "negawatt.vee.findings/1", facility, from: time(range.start), to: time(range.end), findings })
}

impl ChangeSaid {
    pub(crate) fn of(changed: &Changed) -> Self {
        let change = &changed.change;
        let at = |times: Option<i64>| times.map_or_else(String::new, time);
        Self {
            id: changed.id,
            way: change.way.clone(),
            state: changed.state.clone(),
            at: time(change.at_ms),
            actor: change.answers.actor.clone(),
            reason: change.answers.reason.clone(),
            document: change.answers.document.clone(),
            approval: change.answers.approval.clone(),
            readings: change.rows.len(),
            from: at(change.rows.iter().map(|row| row.ts_ms).min()),
            last: at(change.rows.iter().map(|row| row.ts_ms).max()),
            audit_entries: changed.entries.clone(),
            undoes: change.undoes,
            undone_by: changed.undone_by,
        }
    }
}

/// The gaps for people: points of a device that miss the same stand in one line.
pub(crate) fn gaps_text(report: &GapsReport) -> String {
    let mut text = format!("{}  {} .. {}\n", report.facility, report.from, report.to);
    let mut rest: Vec<&SeriesGaps> = report.series.iter().collect();
    if rest.is_empty() {
        text.push_str("  no readings, or too few to say how often there is one\n");
    }
    while let Some(first) = rest.first().copied() {
        let same = |series: &&SeriesGaps| SeriesGaps { point: first.point.clone(), ..(*series).clone() } == *first;
        let (alike, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(same);
        rest = others;
        let points: Vec<&str> = alike.iter().map(|series| series.point.as_str()).collect();
        let SeriesGaps { device, expected, usable, estimated, edited, more_gaps, .. } = first;
        line(&mut text, format_args!("  {device}  {}", points.join(", ")));
        line(&mut text, format_args!("    {usable} of {expected} usable, {estimated} of these estimated, {edited} edited"));
        for GapSaid { from, to, readings, cause } in &first.gaps {
            line(&mut text, format_args!("    {from} .. {to}  {readings:>6}  {}", cause.name()));
        }
        if *more_gaps > 0 {
            line(&mut text, format_args!("    and {more_gaps} more"));
        }
    }
    text
}

pub(crate) fn findings_text(report: &FindingsReport) -> String {
    let mut text = format!("{}  {} .. {}\n", report.facility, report.from, report.to);
    if report.findings.is_empty() {
        text.push_str("  nothing found\n");
    }
    for FindingSaid { device, point, rule, from, readings, detail, .. } in &report.findings {
        line(&mut text, format_args!("  {from}  {device}/{point}  {rule}  {}: {detail}", Counted(*readings, "reading")));
    }
    text
}

pub(crate) fn made_text(made: &Made) -> String {
    let mut text = String::new();
    for filled in &made.filled {
        let passed = filled.passed.as_ref().map_or_else(String::new, |passed| format!(", {passed} passed"));
        let (device, point, from, to) = (&filled.device, &filled.point, &filled.from, &filled.to);
        let readings = Counted(filled.readings, "reading");
        line(&mut text, format_args!("{device}/{point}  {from} .. {to}  {readings} by {}{passed}", filled.method));
    }
    for left in &made.left {
        let why = match left.why {
            super::estimate::Left::Open => "there is no reading before or behind it",
            super::estimate::Left::Long => "longer than is estimated",
            super::estimate::Left::Break => "the counter does not say what passed",
            super::estimate::Left::NoLikeDay => "there are no like days",
        };
        line(&mut text, format_args!("{}/{}  {} .. {}  left: {why}", left.device, left.point, left.from, left.to));
    }
    for change in &made.changes {
        let readings = Counted(change.readings, "reading");
        line(&mut text, format_args!("change {} ({}): {readings}, audit entry {}", change.id, change.way, change.audit_entry));
    }
    match made.noted {
        Some(true) => text.push_str("the exchange is written down\n"),
        Some(false) => text.push_str("this exchange was known already; it stays as it is\n"),
        None if made.changes.is_empty() => text.push_str("nothing was changed\n"),
        None => {}
    }
    text
}

pub(crate) fn changes_text(changes: &[ChangeSaid]) -> String {
    let mut text = String::new();
    for change in changes {
        let undone = match (change.undoes, change.undone_by) {
            (Some(undoes), _) => format!(", undoes {undoes}"),
            (None, Some(by)) => format!(", undone by {by}"),
            (None, None) => String::new(),
        };
        let ChangeSaid { id, way, state, at, actor, reason, readings, from, last, .. } = change;
        line(
            &mut text,
            format_args!(
                "{id:>5}  {at}  {way}  {}  {from} .. {last}  {state}{undone}  by {actor}: {reason}",
                Counted(*readings, "reading")
            ),
        );
    }
    if changes.is_empty() { "no changes\n".to_owned() } else { text }
}

pub(crate) fn events_text(events: &[Event]) -> String {
    let mut text = String::new();
    for Event { id, at, topic, tenant, facility, subject, payload } in events {
        line(&mut text, format_args!("{id:>5}  {at}  {topic}  {tenant}/{facility}  {subject}  {payload}"));
    }
    if events.is_empty() { "no events\n".to_owned() } else { text }
}

fn line(text: &mut String, said: std::fmt::Arguments<'_>) {
    writeln!(text, "{said}").expect("a string takes every line");
}
