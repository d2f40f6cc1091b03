//! What a bundle shows of its baseline: the categories of its verification that can be computed from what is inside, and
//! one digest over inputs, settings, method and model.
//!
//! Certificates, bills, inventories and auditors are not in a bundle; their categories are listed as not shown, and the
//! bundle alone never says that a baseline is verified.

use std::collections::BTreeMap;

use calculator::baseline::Baseline;
use calculator::events::{DayResidual, Event, Noise, Trigger, detect};
use calculator::verification::{Category, Check, Facts, Verdict, baseline_facts, check};
use serde::Serialize;

use crate::canonical::{canonical_json, sha256_hex};
use crate::derive::Derived;
use crate::inputs::Inputs;
use crate::members::WEATHER;

/// The categories that a bundle can show.
const SHOWN: [Category; 6] =
    [Category::Completeness, Category::LongestGap, Category::Seasonality, Category::ModelFit, Category::Uncertainty, Category::Stability];

/// A baseline, looked at by somebody who has only the bundle.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BaselineShown {
    /// SHA-256 over the baseline's inputs, its settings, the method and the model; equal on every machine.
    pub digest: String,
    /// The categories that the bundle can show. Stability is judged by changes alone: the inventory is not in a bundle.
    pub checks: Vec<Check>,
    /// Numbers of the categories that it cannot show.
    pub not_shown: Vec<u8>,
    /// Changes of level within the baseline year that neither weather nor model explains.
    pub changes: Vec<Event>,
}

/// What [`BaselineShown::digest`] is made over.
#[derive(Serialize)]
struct Digested<'a> {
    inputs: BTreeMap<&'a str, &'a str>,
    settings: &'a crate::inputs::BaselineInputs,
    zone: &'a str,
    method: &'a str,
    fit: &'a str,
}

/// * Shape: `inputs` and `documents` are the digests of a bundle's members by name.
pub(crate) fn shown(
    given: &Inputs,
    derived: &Derived,
    baseline: &Baseline,
    inputs: &BTreeMap<String, String>,
    documents: &BTreeMap<String, String>,
) -> Result<BaselineShown, serde_json::Error> {
    let of_the_baseline = |name: &str| name.starts_with("rows/baseline/") || name == WEATHER;
    let digested = Digested {
        inputs: inputs.iter().filter(|(name, _)| of_the_baseline(name)).map(|(name, hash)| (name.as_str(), hash.as_str())).collect(),
        settings: &given.baseline,
        zone: &given.facility.zone,
        method: &derived.fit.method,
        fit: documents.get("derived/fit.json").map(String::as_str).unwrap_or_default(),
    };
    let digest = sha256_hex(&canonical_json(&digested)?);

    let changes = changes(derived);
    let avoided = &derived.avoided;
    let saved = avoided.avoided_wh > 0;
    let facts = Facts {
        expected_fsu: saved.then(|| avoided.interval.half_width_wh / avoided.exact.avoided_wh),
        temperature_beyond: Some(beyond(derived)),
        inventory_signed: Some(true),
        explained_changes: Some(0.0),
        unexplained_changes: Some(changes.len() as f64),
        ..Facts::default()
    };
    let all = check(&baseline_facts(facts, baseline, &derived.fit, None), &digest);
    let (mut checks, rest): (Vec<Check>, Vec<Check>) = all.into_iter().partition(|check| SHOWN.contains(&check.category));
    for check in &mut checks {
        // What the bundle does not have must not look as if it had been seen.
        check.measurements.retain(|measurement| measurement.name != "inventory of static factors signed");
    }
    Ok(BaselineShown { digest, checks, not_shown: rest.iter().map(|check| check.number).collect(), changes })
}

/// Changes of level in the baseline's own residuals.
fn changes(derived: &Derived) -> Vec<Event> {
    let days: Vec<DayResidual> = derived
        .fit
        .days
        .iter()
        .map(|day| DayResidual { date: day.date, expected_wh: day.use_wh - day.residual_wh, residual_wh: day.residual_wh })
        .collect();
    let noise = Noise::of(&derived.avoided.interval);
    // A model without residuals has no changes, and no standard deviation to see them by.
    if noise.sigma_wh > 0.0 { detect(&days, noise, &Trigger::USUAL) } else { Vec::new() }
}

/// How far the reporting weather goes beyond the baseline's, over the baseline's range.
fn beyond(derived: &Derived) -> f64 {
    let range = |temperatures: &mut dyn Iterator<Item = f64>| {
        temperatures.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), mean_f| (low.min(mean_f), high.max(mean_f)))
    };
    let (low, high) = range(&mut derived.fit.days.iter().map(|day| day.temperature_f));
    let (coldest, warmest) = range(&mut derived.avoided.days.iter().map(|day| day.temperature_f));
    let over = (low - coldest).max(warmest - high).max(0.0);
    if high > low { over / (high - low) } else { 0.0 }
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
