//! Letting go of readings as the configuration says: first a plan that somebody looks at, then exactly that plan.

use ids::Slug;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use store::{Account, Fate, Letting, OldMonth, Reader, RetentionError, Store};

use crate::config::{RetentionRule, rule};

/// What would be dropped, and what would not. Schema `negawatt.retention/1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Plan {
    schema: &'static str,
    /// What to name to do this and nothing else.
    pub(crate) plan: String,
    pub(crate) facilities: Vec<OfFacility>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct OfFacility {
    tenant: Slug,
    facility: Slug,
    /// Months that end before this may go.
    keep_from: String,
    archive: Option<String>,
    months: Vec<Month>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Month {
    month: String,
    readings: u64,
    bytes: u64,
    /// `drop`, `archive`, `blocked`, `keep`.
    outcome: &'static str,
    why: &'static str,
}

/// What was dropped. Schema `negawatt.retention.applied/1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Applied {
    schema: &'static str,
    plan: String,
    pub(crate) months: u64,
    pub(crate) readings: u64,
    pub(crate) files_archived: u64,
    pub(crate) audit_entries: Vec<u64>,
}

/// Why nothing, or not everything, was dropped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("the plan is `{now}` now, and not `{named}`: look at it again")]
    Changed { named: String, now: String },
    #[error("{tenant}/{facility}: {blocked} months were billed or may be what a baseline rests on, and the rule names no archive")]
    Blocked { tenant: Slug, facility: Slug, blocked: usize },
    #[error(transparent)]
    Store(#[from] RetentionError),
}

impl Month {
    fn of(month: OldMonth, rule: &RetentionRule) -> Self {
        let (outcome, why) = match (month.fate, rule.archive.is_some()) {
            (Fate::Drop, _) => ("drop", "nothing of this facility was ever billed"),
            (Fate::Billed, true) => ("archive", "was billed"),
            (Fate::Billed, false) => ("blocked", "was billed, and the rule names no archive"),
            (Fate::History, true) => ("archive", "may be what a baseline rests on"),
            (Fate::History, false) => ("blocked", "may be what a baseline rests on, and the rule names no archive"),
            (Fate::Open, _) => ("keep", "is not billed yet"),
        };
        Self { month: month.month, readings: month.rows, bytes: month.bytes, outcome, why }
    }

    fn goes(&self) -> bool {
        matches!(self.outcome, "drop" | "archive")
    }
}

impl Plan {
    pub(crate) fn of(reader: &Reader, rules: &[RetentionRule], now: Timestamp) -> Self {
        let mut facilities = Vec::new();
        for (tenant, facility) in reader.facilities() {
            let Some(rule) = rule(rules, &tenant, &facility) else { continue };
            let keep_from_ms = keep_from(rule, now);
            let months = reader.old_months(&tenant, &facility, keep_from_ms).into_iter().map(|month| Month::of(month, rule)).collect();
            let keep_from = Timestamp::from_millisecond(keep_from_ms).unwrap_or_default().to_string();
            let archive = rule.archive.as_ref().map(|folder| folder.display().to_string());
            facilities.push(OfFacility { tenant, facility, keep_from, archive, months });
        }
        // What goes, and not when: a plan of this morning is the same in the afternoon.
        let mut hasher = Sha256::new();
        for one in &facilities {
            for month in one.months.iter().filter(|month| month.goes()) {
                let Month { month, readings, bytes, outcome, .. } = month;
                hasher.update(format!("{}/{} {month} {readings} {bytes} {outcome} {:?}\n", one.tenant, one.facility, one.archive));
            }
        }
        let plan = wire::command::to_hex(&hasher.finalize()).chars().take(12).collect();
        Self { schema: "negawatt.retention/1", plan, facilities }
    }

    fn months(&self) -> impl Iterator<Item = &Month> {
        self.facilities.iter().flat_map(|one| &one.months)
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        for one in &self.facilities {
            lines.push(format!("{}/{}: readings from {} on are kept", one.tenant, one.facility, one.keep_from));
            for month in &one.months {
                let Month { month, readings, bytes, outcome, why } = month;
                lines.push(format!("  {month}  {readings:>12} readings  {bytes:>12} bytes  {outcome:<8} {why}"));
            }
        }
        if self.facilities.is_empty() {
            lines.push("no rule lets anything go: everything is kept for ever".to_owned());
        }
        let (months, readings) = (
            self.months().filter(|month| month.goes()).count(),
            self.months().filter(|month| month.goes()).map(|month| month.readings).sum::<u64>(),
        );
        lines.push(format!("plan {}: {months} months go, with {readings} readings; their quarters of an hour stay", self.plan));
        lines.join("\n")
    }
}

fn keep_from(rule: &RetentionRule, now: Timestamp) -> i64 {
    now.as_millisecond().saturating_sub(i64::try_from(rule.keep.as_millis()).unwrap_or(i64::MAX))
}

/// Does what a plan says, if it still says so.
pub(crate) fn apply(
    store: &Store,
    reader: &Reader,
    rules: &[RetentionRule],
    named: &str,
    account: &Account,
) -> Result<Applied, ApplyError> {
    let now = Timestamp::from_millisecond(account.at_ms).unwrap_or_default();
    let plan = Plan::of(reader, rules, now);
    if plan.plan != named {
        return Err(ApplyError::Changed { named: named.to_owned(), now: plan.plan });
    }
    for one in &plan.facilities {
        let blocked = one.months.iter().filter(|month| month.outcome == "blocked").count();
        if blocked > 0 {
            return Err(ApplyError::Blocked { tenant: one.tenant.clone(), facility: one.facility.clone(), blocked });
        }
    }
    let mut applied = Applied {
        schema: "negawatt.retention.applied/1",
        plan: plan.plan,
        months: 0,
        readings: 0,
        files_archived: 0,
        audit_entries: Vec::new(),
    };
    for OfFacility { tenant, facility, months, .. } in plan.facilities {
        let Some(rule) = rule(rules, &tenant, &facility).filter(|_| months.iter().any(Month::goes)) else { continue };
        let (keep_from_ms, archive) = (keep_from(rule, now), rule.archive.clone());
        let dropped = store.let_go_of(&Letting { tenant, facility, keep_from_ms, archive, account: account.clone() })?;
        applied.months += dropped.months.len() as u64;
        applied.readings += dropped.months.iter().map(|month| month.rows).sum::<u64>();
        applied.files_archived += dropped.archived;
        applied.audit_entries.extend(dropped.entries);
    }
    Ok(applied)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use store::{Batch, Options, Origin, Row, Seal};
    use units::{Quality, Unit};

    use super::*;

    fn slug(text: &str) -> Slug {
        Slug::parse(text).unwrap()
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn account(now: &str) -> Account {
        let (actor, reason) = ("anna".to_owned(), "three years are over".to_owned());
        Account { actor, reason, document: String::new(), approval: String::new(), at_ms: at(now) }
    }

    /// A reading on the tenth of each of three months, of which the second is billed, in two facilities.
    fn store(dir: &Path) -> Store {
        let store = Store::open(dir, Options::default()).unwrap();
        let row = |ts_ms: i64| Row {
            device: slug("main"),
            point: "e_imp".into(),
            unit: Unit::KilowattHour,
            exponent: 0,
            ts_ms,
            raw: Some(ts_ms / 1_000),
            quality: Quality::GOOD,
            words: None,
        };
        for facility in ["hall", "other"] {
            let origin = Origin { tenant: slug("acme"), facility: slug(facility), gateway: slug("gw") };
            let rows = ["2020-01-10T00:00:00Z", "2020-02-10T00:00:00Z", "2020-03-10T00:00:00Z"].map(|time| row(at(time))).into();
            store.commit(&[Batch { origin, spool_id: [1; 16], seq: 1, rows, profiles: Vec::new(), letter: None }]).unwrap();
        }
        let (from_ms, to_ms) = (at("2020-02-01T00:00:00Z"), at("2020-03-01T00:00:00Z"));
        store
            .seal(&Seal { tenant: slug("acme"), facility: slug("hall"), from_ms, to_ms, account: account("2020-03-05T00:00:00Z") })
            .unwrap();
        store
    }

    fn rule(archive: Option<&Path>) -> RetentionRule {
        RetentionRule {
            of: Some((slug("acme"), slug("hall"))),
            keep: Duration::from_secs(730 * 86_400),
            archive: archive.map(Path::to_owned),
        }
    }

    #[test]
    fn what_is_done_is_what_was_shown() {
        let (dir, archive) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = store(dir.path());
        let now = "2026-01-01T00:00:00Z";
        let plan = |rules: &[RetentionRule]| Plan::of(&Reader::open(dir.path()).unwrap(), rules, now.parse().unwrap());
        let outcomes = |plan: &Plan| plan.months().map(|month| (month.month.clone(), month.outcome)).collect::<Vec<_>>();
        let named = |all: [&'static str; 3]| ["2020-01", "2020-02", "2020-03"].map(str::to_owned).into_iter().zip(all).collect::<Vec<_>>();
        assert!(plan(&[]).facilities.is_empty() && plan(&[]).text().contains("everything is kept for ever"));
        let blocked = [rule(None)];
        assert_eq!(outcomes(&plan(&blocked)), named(["blocked", "blocked", "keep"]));
        let rules = [rule(Some(archive.path()))];
        let shown = plan(&rules);
        assert_eq!(outcomes(&shown), named(["archive", "archive", "keep"]));
        assert!(shown.text().contains(&format!("plan {}: 2 months go, with 2 readings", shown.plan)), "{}", shown.text());

        let apply =
            |rules: &[RetentionRule], plan: &str| super::apply(&store, &Reader::open(dir.path()).unwrap(), rules, plan, &account(now));
        let err = apply(&blocked, &plan(&blocked).plan).unwrap_err();
        assert!(matches!(err, ApplyError::Blocked { blocked: 2, .. }), "{err}");
        let err = apply(&rules, "000000000000").unwrap_err();
        assert!(matches!(err, ApplyError::Changed { .. }), "{err}");
        assert_eq!(Reader::open(dir.path()).unwrap().totals().rows, 6);
        let applied = apply(&rules, &shown.plan).unwrap();
        assert_eq!((applied.months, applied.readings, applied.files_archived), (2, 2, 2));
        let reader = Reader::open(dir.path()).unwrap();
        assert_eq!((reader.totals().rows, reader.audit().len()), (4, 3));
        assert!(matches!(apply(&rules, &shown.plan), Err(ApplyError::Changed { .. })), "it is done already");
        assert_eq!(store::fsck(dir.path()).unwrap().problems, []);
    }
}
