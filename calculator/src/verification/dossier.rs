//! A baseline with everything that speaks for it: what its files show, what people signed, and what follows from both.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::categories::{Category, Check, Judged, Waiver, WaiverError, check, verdict};
use super::facts::Facts;
use super::inventory::{Inventory, InventoryError, Ticket};
use super::trust::{Record, Trust, trust};
use super::workflow::{Stage, Workflow};
use crate::assessment::Shown;
use crate::baseline::Period;
use crate::events::{Ledger, Standing};

/// What is kept beside the files of a baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dossier {
    /// What no file shows: certificates, clocks, signatures.
    pub facts: Facts,
    /// What does not vary.
    pub inventory: Inventory,
    /// What somebody found of it since.
    pub observed: Vec<Observed>,
    /// What the parties agreed upon.
    pub adjustments: Ledger,
    /// The auditor's reasons for accepting what is conditional.
    pub waivers: BTreeMap<Category, Waiver>,
    /// Every step from draft to signature.
    pub workflow: Workflow,
    /// What happened to invoices before.
    pub past: Past,
    /// The day of the trust score; without one there is none.
    pub date: Option<Date>,
}

/// A static factor, looked at again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Its name in the inventory.
    pub factor: String,
    /// How much of it there was.
    pub value: f64,
    /// When.
    pub on: Date,
}

/// What a trust score asks of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Past {
    /// Records that are signed and without a gap, over all records.
    pub signed_share: f64,
    /// Past invoices.
    pub invoices: u32,
    /// Of them, those that were disputed.
    pub disputed: u32,
}

/// A dossier that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DossierError {
    /// A waiver that is none.
    #[error("a waiver in the dossier is none")]
    Waiver(#[source] WaiverError),
    /// A static factor that is not in the inventory.
    #[error("an observation in the dossier cannot be compared with its inventory")]
    Inventory(#[source] InventoryError),
}

/// What follows from a baseline's files and its dossier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Examined {
    /// The fifteen categories.
    pub checks: Vec<Check>,
    /// All of them together.
    pub judged: Judged,
    /// Whether the auditor's signature stands over this very digest, and nothing forbids it.
    pub verified: bool,
    /// Where the baseline stands.
    pub stage: Stage,
    /// Static factors that changed beyond their tolerance.
    pub tickets: Vec<Ticket>,
    /// The score, where the dossier has a date.
    pub trust: Option<Trust>,
}

impl Dossier {
    /// Judges a baseline.
    ///
    /// * Shape: `digest` is that of the answer, which was computed again before; `saved` is what was avoided in a reporting
    ///   period, Wh.
    /// * Errors: [`DossierError`].
    pub fn examine(&self, shown: &Shown, digest: &str, saved: Option<(Period, i64)>) -> Result<Examined, DossierError> {
        let seen = |observed: &Observed| self.inventory.compare(&observed.factor, observed.value, observed.on);
        let tickets: Vec<Ticket> = self
            .observed
            .iter()
            .filter_map(|observed| seen(observed).transpose())
            .collect::<Result<_, _>>()
            .map_err(DossierError::Inventory)?;
        let is_explained = |ticket: &&Ticket| {
            let day = ticket.seen_on;
            self.adjustments.entries().iter().any(|entry| entry.first <= day && entry.end.is_none_or(|end| day < end))
        };
        let explained = tickets.iter().filter(is_explained).count();
        let more = |known: Option<f64>, count: usize| Some(known.unwrap_or(0.0) + count as f64);
        let facts = Facts {
            explained_changes: more(shown.facts.explained_changes, explained),
            unexplained_changes: more(shown.facts.unexplained_changes, tickets.len() - explained),
            // An inventory of nothing says nothing, whoever signed it.
            inventory_signed: shown.facts.inventory_signed.filter(|_| !self.inventory.factors().is_empty()),
            ..shown.facts
        };
        let mut checks = check(&facts, digest);
        for (category, waiver) in &self.waivers {
            for check in checks.iter_mut().filter(|check| check.category == *category) {
                check.waive(waiver.clone()).map_err(DossierError::Waiver)?;
            }
        }
        let judged = verdict(&checks);
        let signed = self.workflow.steps().iter().any(|step| step.to == Stage::Signed && step.digest == digest);
        let stage = self.workflow.stage();
        let adjusted_share = saved.map_or(0.0, |(period, avoided_wh)| match self.adjustments.standing(period, avoided_wh) {
            Standing::Stands { share } => share,
            Standing::Rebaseline { share } => share.unwrap_or(1.0),
        });
        let record = Record {
            skill: shown.out_of_sample.map_or(0.0, |unseen| unseen.skill),
            fsu: facts.expected_fsu.unwrap_or(f64::INFINITY),
            signed_share: self.past.signed_share,
            adjusted_share,
            invoices: self.past.invoices,
            disputed: self.past.disputed,
        };
        Ok(Examined {
            trust: self.date.map(|date| trust(&checks, &record, date)),
            verified: judged.acceptable && signed && matches!(stage, Stage::Signed | Stage::Active),
            checks,
            judged,
            stage,
            tickets,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::super::categories::tests::good;
    use super::super::inventory::StaticFactor;
    use super::super::workflow::Step;
    use super::*;

    fn shown() -> Shown {
        let unseen = super::super::unseen::OutOfSample { cv: 0.1, nmbe: 0.0, skill: 0.9 };
        Shown { facts: good(), out_of_sample: Some(unseen), changes: Vec::new() }
    }

    fn dossier(digest: &str) -> Dossier {
        let lamps = StaticFactor {
            name: "lamps".to_owned(),
            unit: "piece".to_owned(),
            value: 500.0,
            tolerance: 5.0,
            evidence: "a".repeat(64),
            valid_from: date(2025, 1, 1),
            valid_to: None,
            formula: None,
        };
        let step =
            |to, day| Step { to, by: "A. Uditor".to_owned(), on: date(2025, 2, day), digest: digest.to_owned(), signed: "5".repeat(64) };
        let way = [Stage::DataFrozen, Stage::AutoChecked, Stage::AuditorAssigned, Stage::Signed];
        let steps: Vec<Step> = way.into_iter().zip(1..).map(|(to, day)| step(to, day)).collect();
        Dossier {
            inventory: Inventory::try_from(vec![lamps]).unwrap(),
            workflow: Workflow::try_from(steps).unwrap(),
            past: Past { signed_share: 1.0, ..Past::default() },
            date: Some(date(2025, 3, 1)),
            ..Dossier::default()
        }
    }

    #[test]
    fn what_is_signed_over_this_digest_is_verified_and_has_a_score_of_its_day() {
        let digest = "1".repeat(64);
        let found = dossier(&digest).examine(&shown(), &digest, None).unwrap();
        assert!(found.verified && found.judged.acceptable && found.tickets.is_empty(), "{found:?}");
        let trust = found.trust.unwrap();
        assert!(trust.score > 80.0 && trust.date == date(2025, 3, 1) && trust.parts.len() == 7, "{trust:?}");
        assert!(!dossier(&"2".repeat(64)).examine(&shown(), &digest, None).unwrap().verified, "signed over something else");
        let undated = Dossier { date: None, ..dossier(&digest) };
        assert_eq!(undated.examine(&shown(), &digest, None).unwrap().trust, None);
    }

    #[test]
    fn a_static_factor_that_moved_fails_until_somebody_explains_it() {
        let digest = "1".repeat(64);
        let moved =
            Dossier { observed: vec![Observed { factor: "lamps".to_owned(), value: 620.0, on: date(2025, 2, 20) }], ..dossier(&digest) };
        let found = moved.examine(&shown(), &digest, None).unwrap();
        assert_eq!((found.tickets.len(), found.judged.failed, found.verified), (1, 1, false));
        assert!(found.trust.is_some_and(|trust| trust.capped));
        let unknown = Dossier { observed: vec![Observed { factor: "screens".to_owned(), ..moved.observed[0].clone() }], ..moved };
        assert!(matches!(unknown.examine(&shown(), &digest, None), Err(DossierError::Inventory(_))));
        let empty = Dossier { inventory: Inventory::default(), ..dossier(&digest) };
        assert_eq!(empty.examine(&shown(), &digest, None).unwrap().judged.failed, 1, "an inventory of nothing");
    }

    #[test]
    fn only_a_condition_is_waived_and_a_dossier_survives_its_text() {
        let digest = "1".repeat(64);
        let waiver = Waiver { reason: "the gap is a holiday".to_owned(), auditor: "A. Uditor".to_owned(), signed: "6".repeat(64) };
        let with = Dossier { waivers: [(Category::LongestGap, waiver)].into(), ..dossier(&digest) };
        assert!(matches!(with.examine(&shown(), &digest, None), Err(DossierError::Waiver(WaiverError::NotConditional(_)))));
        let mut gap = shown();
        gap.facts.longest_gap_days = Some(9.0);
        let found = with.examine(&gap, &digest, None).unwrap();
        assert_eq!((found.judged.conditional, found.judged.waived, found.verified), (1, 1, true));
        let text = serde_json::to_string(&with).unwrap();
        assert_eq!(serde_json::from_str::<Dossier>(&text).unwrap(), with);
        assert!(serde_json::from_str::<Dossier>(r#"{"fact":{}}"#).is_err());
    }
}
