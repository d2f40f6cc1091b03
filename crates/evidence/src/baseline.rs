//! What a bundle shows of its baseline: the categories of its verification that can be computed from what is inside, and
//! one digest over inputs, settings, method and model.
//!
//! Certificates, bills, inventories and auditors are not in a bundle; their categories are listed as not shown, and the
//! bundle alone never says that a baseline is verified.

use calculator::assessment::Shown;
use calculator::baseline::Baseline;
use calculator::events::Event;
use calculator::verification::{Category, Check, Facts, Verdict, check};
use serde::Serialize;

use crate::derive::{Derived, calendar, grown};
use crate::error::DeriveError;
use crate::inputs::Inputs;
use crate::standing::Looked;

/// The categories that a bundle can show.
const SHOWN: [Category; 6] =
    [Category::Completeness, Category::LongestGap, Category::Seasonality, Category::ModelFit, Category::Uncertainty, Category::Stability];

/// A baseline, looked at by somebody who has only the bundle.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BaselineShown {
    /// SHA-256 over the baseline's inputs, its settings, the method and the model; equal in every month and on every machine.
    pub digest: String,
    /// The categories that the bundle can show. Stability is judged by changes alone: the inventory is not in a bundle.
    pub checks: Vec<Check>,
    /// Numbers of the categories that it cannot show.
    pub not_shown: Vec<u8>,
    /// Changes of level within the baseline year that neither weather nor model explains.
    pub changes: Vec<Event>,
}

/// * Shape: what was derived is of these inputs.
pub(crate) fn shown(given: &Inputs, derived: &Derived, baseline: &Baseline) -> Result<BaselineShown, DeriveError> {
    let calendar = calendar(&given.facility)?;
    let grown = grown(&given.reporting, &given.baseline, baseline)?;
    let looked = Looked {
        calendar: &calendar,
        inputs: &given.baseline,
        weather: &given.weather,
        baseline,
        fit: &derived.fit,
        avoided: &derived.avoided,
        adjusted: &derived.adjusted,
        ledger: &given.reporting.adjustments,
        grown: grown.as_ref(),
    };
    let digest = looked.digest()?;
    let Shown { facts, changes, .. } = looked.shown(Facts { inventory_signed: Some(true), ..Facts::default() })?;
    let (mut checks, rest): (Vec<Check>, Vec<Check>) =
        check(&facts, &digest).into_iter().partition(|check| SHOWN.contains(&check.category));
    for check in &mut checks {
        // What the bundle does not have must not look as if it had been seen.
        check.measurements.retain(|measurement| measurement.name != "inventory of static factors signed");
    }
    Ok(BaselineShown { digest, checks, not_shown: rest.iter().map(|check| check.number).collect(), changes })
}

impl std::fmt::Display for BaselineShown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers = |verdict| {
            let found: Vec<String> =
                self.checks.iter().filter(|check| check.verdict == verdict).map(|check| check.number.to_string()).collect();
            if found.is_empty() { "none".to_owned() } else { found.join(", ") }
        };
        let (passed, conditional, failed) = (numbers(Verdict::Pass), numbers(Verdict::Conditional), numbers(Verdict::Fail));
        let not_shown: Vec<String> = self.not_shown.iter().map(u8::to_string).collect();
        writeln!(f, "baseline {}", self.digest)?;
        write!(
            f,
            "  categories that pass: {passed}; conditional: {conditional}; that fail: {failed}; not in a bundle: {}",
            not_shown.join(", ")
        )
    }
}
