//! What people read of an import.

use std::fmt::Write as _;
use std::path::Path;

use crate::counted::Counted;
use crate::import::bulk::{Committed, Fault, ImportSeen, Plan, Undone};

/// Faults that are shown; the plan's JSON has up to ten thousand.
const SHOWN_MAX: usize = 20;
/// Of an identity or a hash, what tells it from others.
const SHORT: usize = 12;

pub(super) fn plan(plan: &Plan, faults: &[Fault], path: &Path) -> String {
    let mut text = format!("import {} into {}/{}\n\n", short(&plan.id), plan.tenant, plan.facility);
    let files: Vec<Vec<String>> = plan
        .files
        .iter()
        .map(|file| vec![file.path.display().to_string(), file.format.clone(), file.rows.to_string(), short(&file.sha256).to_owned()])
        .collect();
    table(&mut text, &["file", "format", "rows", "sha256"], &files);
    text.push('\n');
    let series: Vec<Vec<String>> = plan
        .series
        .iter()
        .map(|one| {
            let range = one.smallest.as_ref().zip(one.largest.as_ref());
            vec![
                format!("{}/{}", one.device, one.point),
                one.readings.to_string(),
                one.new.to_string(),
                one.without_value.to_string(),
                one.missing.map_or_else(|| "?".to_owned(), |missing| missing.to_string()),
                one.first.to_string(),
                one.last.to_string(),
                range.map_or_else(|| "none".to_owned(), |(least, most)| format!("{least} .. {most} {}", one.unit)),
                format!("{} {}", one.sum, one.unit),
            ]
        })
        .collect();
    table(&mut text, &["point", "readings", "new", "empty", "missing", "first", "last", "smallest .. largest", "sum"], &series);
    text.push('\n');
    let Plan { readings, new, same, contradicting, returning, repeated, skipped, sealed, .. } = plan;
    let readings = Counted(*readings, "reading");
    line(&mut text, format_args!("{readings}: {new} new, {same} stored already, {contradicting} in contradiction to the store"));
    for (what, count) in [
        ("without a value in the store, to get theirs by an amendment", returning),
        ("rows that repeat another row", repeated),
        ("cells without a value, left out", skipped),
        ("in a month that was billed, kept until somebody approves them", sealed),
    ] {
        if *count > 0 {
            line(&mut text, format_args!("{what}: {count}"));
        }
    }
    for (what, count) in &plan.unasked {
        line(&mut text, format_args!("no point of the mapping asks for {} in {what}", Counted(*count, "reading")));
    }
    if plan.fault_count() > 0 {
        text.push('\n');
        text.push_str(&self::faults(faults, plan.fault_count()));
    }
    text.push('\n');
    match (plan.fault_count(), plan.accept_faults) {
        (0, _) => line(&mut text, format_args!("planned: negawatt import commit {}", path.display())),
        (count, true) => {
            line(&mut text, format_args!("planned without {}: negawatt import commit {}", Counted(count, "fault"), path.display()))
        }
        (_, false) => line(&mut text, format_args!("not to be committed as it is: correct the faults, or plan again with --accept-faults")),
    }
    text.trim_end().to_owned()
}

pub(super) fn faults(faults: &[Fault], count: u64) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("faults: {count}"));
    let rows: Vec<Vec<String>> = faults
        .iter()
        .take(SHOWN_MAX)
        .map(|fault| vec![format!("{}:{}", fault.file, fault.row), fault.point.clone(), fault.rule.name().to_owned(), fault.reason.clone()])
        .collect();
    table(&mut text, &["row", "point", "rule", "it"], &rows);
    let more = count.saturating_sub(rows.len() as u64);
    if more > 0 {
        line(&mut text, format_args!("and {more} more; --output json has them"));
    }
    text
}

pub(super) fn committed(committed: &Committed) -> String {
    let Committed { id, changed, accepted, duplicate, conflict, brought_back, audit_entry } = committed;
    if !changed {
        return format!("import {}: nothing to do, each of its {} is stored", short(id), Counted(*duplicate, "reading"));
    }
    let stored = Counted(*accepted, "reading");
    let mut text =
        format!("import {}: {stored} stored ({conflict} in contradiction to a stored value), {duplicate} known before", short(id));
    if *brought_back > 0 {
        write!(text, ", {brought_back} put where there was no value").unwrap_or_default();
    }
    if let Some(entry) = audit_entry {
        write!(text, "\nentry {entry} of the audit log; to take it back: negawatt import undo {}", short(id)).unwrap_or_default();
    }
    text
}

pub(super) fn undone(undone: &Undone) -> String {
    let Undone { id, taken_back, restored, changed_since, audit_entries } = undone;
    let mut text = match audit_entries {
        None => format!("import {}: nothing to do, none of its readings counts", short(id)),
        Some((first, last)) => format!(
            "import {}: {} taken back, {restored} with the value again that was there before\nentries {first} to {last} of the audit log; every version is kept",
            short(id),
            Counted(*taken_back, "reading")
        ),
    };
    if *changed_since > 0 {
        write!(text, "\nchanged by somebody since, and left as they are: {changed_since}").unwrap_or_default();
    }
    text
}

pub(super) fn list(imports: &[ImportSeen]) -> String {
    if imports.is_empty() {
        return "no import yet".to_owned();
    }
    let rows: Vec<Vec<String>> = imports
        .iter()
        .map(|one| {
            let or = |text: Option<String>| text.unwrap_or_else(|| "?".to_owned());
            let state = match (&one.undone_at, &one.undone_by) {
                (Some(at), by) => format!("undone {at} by {}", or(by.clone())),
                (None, _) if !one.can_be_undone => "committed, by an earlier version".to_owned(),
                (None, _) => "committed".to_owned(),
            };
            vec![
                short(&one.id).to_owned(),
                format!("{}/{}", one.tenant, one.facility),
                or(one.committed_at.map(|at| at.to_string())),
                or(one.by.clone()),
                or(one.readings.map(|readings| readings.to_string())),
                or(one.from.zip(one.to).map(|(from, to)| format!("{from} .. {to}"))),
                state,
                one.reason.clone().unwrap_or_else(|| "one point, unplanned".to_owned()),
            ]
        })
        .collect();
    let mut text = String::new();
    table(&mut text, &["import", "facility", "committed", "by", "readings", "times", "state", "why"], &rows);
    text.trim_end().to_owned()
}

fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // A text in memory can be written to.
    writeln!(text, "{what}").unwrap_or_default();
}

/// Columns as wide as their widest cell; the last one as it is.
fn table(text: &mut String, head: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(head.get(column).map(|cell| cell.len())).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let head = head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    for row in std::iter::once(&head).chain(rows) {
        let mut written = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            write!(written, "{cell:<width$}  ").unwrap_or_default();
        }
        line(text, format_args!("{}", written.trim_end()));
    }
}
