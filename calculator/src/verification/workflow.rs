//! The way of a baseline from draft to signature: append-only, every step with its signer and its digest.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::events::is_sha256;

/// Where a baseline stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is being made.
    Draft,
    /// Its inputs are fixed by their hash.
    DataFrozen,
    /// The fifteen categories were checked.
    AutoChecked,
    /// Somebody independent looks at it.
    AuditorAssigned,
    /// And found something.
    Findings,
    /// Which was answered.
    Resubmitted,
    /// The auditor signed.
    Signed,
    /// It is invoiced against.
    Active,
    /// Another one has taken its place.
    Superseded,
}

impl Stage {
    /// Where it can go from here.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Draft => &[Self::DataFrozen],
            Self::DataFrozen => &[Self::AutoChecked],
            Self::AutoChecked => &[Self::AuditorAssigned, Self::Draft],
            Self::AuditorAssigned | Self::Resubmitted => &[Self::Findings, Self::Signed],
            Self::Findings => &[Self::Resubmitted, Self::Draft],
            Self::Signed => &[Self::Active],
            Self::Active => &[Self::Superseded],
            Self::Superseded => &[],
        }
    }
}

/// A step that somebody took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// To where.
    pub to: Stage,
    /// By whom.
    pub by: String,
    /// When.
    pub on: Date,
    /// SHA-256 of inputs, settings, code version and result at that time, in hexadecimal.
    pub digest: String,
    /// SHA-256 of the signed step; the signature is checked by the caller.
    pub signed: String,
}

/// A step, and from where it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// From.
    pub from: Stage,
    /// To.
    pub to: Stage,
}

/// A step that cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The way does not lead there.
    #[error("a baseline that is {:?} cannot become {:?}; it can become {:?}", .0.from, .0.to, .0.from.next())]
    NoWay(Transition),
    /// No name, or no hash.
    #[error("the step to {0:?} needs a name, a digest and a signature, both by their SHA-256 of 64 hexadecimal digits")]
    Unsigned(Stage),
    /// The inputs changed after they were frozen.
    #[error("the step to {0:?} stands over another digest than the one before; go back to a draft to change what is frozen")]
    Changed(Stage),
    /// It lies before the step that it follows.
    #[error("the step to {0:?} lies before the one that it follows")]
    TooEarly(Stage),
}

/// All steps of a baseline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Step>", into = "Vec<Step>")]
pub struct Workflow(Vec<Step>);

impl TryFrom<Vec<Step>> for Workflow {
    type Error = TransitionError;

    fn try_from(steps: Vec<Step>) -> Result<Self, TransitionError> {
        let mut workflow = Self::default();
        steps.into_iter().try_for_each(|step| workflow.take(step))?;
        Ok(workflow)
    }
}

impl From<Workflow> for Vec<Step> {
    fn from(workflow: Workflow) -> Self {
        workflow.0
    }
}

impl Workflow {
    /// Where it stands.
    pub fn stage(&self) -> Stage {
        self.0.last().map_or(Stage::Draft, |step| step.to)
    }

    /// Every step in order.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Takes a step.
    ///
    /// * Errors: [`TransitionError`]; nothing has changed then.
    pub fn take(&mut self, step: Step) -> Result<(), TransitionError> {
        let from = self.stage();
        if !from.next().contains(&step.to) {
            return Err(TransitionError::NoWay(Transition { from, to: step.to }));
        }
        if step.by.trim().is_empty() || !is_sha256(&step.digest) || !is_sha256(&step.signed) {
            return Err(TransitionError::Unsigned(step.to));
        }
        if let Some(last) = self.0.last() {
            if step.on < last.on {
                return Err(TransitionError::TooEarly(step.to));
            }
            // What is frozen stays so until the signature: a check, an auditor and a signature speak of the same thing. An
            // answer to findings may bring a new digest, and so does a draft.
            let may_change = matches!(step.to, Stage::Draft | Stage::DataFrozen | Stage::AutoChecked | Stage::Resubmitted);
            if !may_change && step.digest != last.digest {
                return Err(TransitionError::Changed(step.to));
            }
        }
        self.0.push(step);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn step(to: Stage, day: i8, digit: &str) -> Step {
        Step { to, by: "A. Uditor".to_owned(), on: date(2025, 2, day), digest: digit.repeat(64), signed: "5".repeat(64) }
    }

    fn taken(steps: &[(Stage, i8, &str)]) -> Result<Workflow, TransitionError> {
        steps.iter().map(|(to, day, digit)| step(*to, *day, digit)).collect::<Vec<_>>().try_into()
    }

    #[test]
    fn the_way_leads_through_findings_to_a_signature() {
        use Stage::{Active, AuditorAssigned, AutoChecked, DataFrozen, Findings, Resubmitted, Signed, Superseded};
        let whole = taken(&[
            (DataFrozen, 1, "1"),
            (AutoChecked, 1, "2"),
            (AuditorAssigned, 2, "2"),
            (Findings, 3, "2"),
            (Resubmitted, 5, "3"),
            (Signed, 6, "3"),
            (Active, 7, "3"),
            (Superseded, 20, "3"),
        ])
        .unwrap();
        assert_eq!((whole.stage(), whole.steps().len()), (Superseded, 8));
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(serde_json::from_str::<Workflow>(&text).unwrap(), whole);
    }

    #[test]
    fn no_step_is_left_out_and_nothing_changes_under_the_auditor() {
        use Stage::{AuditorAssigned, AutoChecked, DataFrozen, Signed};
        let refused = |steps: &[(Stage, i8, &str)]| taken(steps).unwrap_err().to_string();
        assert_eq!(refused(&[(Signed, 1, "1")]), "a baseline that is Draft cannot become Signed; it can become [DataFrozen]");
        let checked = [(DataFrozen, 1, "1"), (AutoChecked, 2, "2"), (AuditorAssigned, 3, "2")];
        let with = |last| checked.iter().copied().chain([last]).collect::<Vec<_>>();
        assert!(refused(&with((Signed, 4, "4"))).contains("another digest"));
        assert!(refused(&with((Signed, 2, "2"))).contains("lies before"));
        assert!(refused(&with((Signed, 4, "z"))).contains("64 hexadecimal digits"));
        assert!(taken(&with((Signed, 4, "2"))).is_ok());
    }
}
