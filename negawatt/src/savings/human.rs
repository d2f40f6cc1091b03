//! An answer for people.

use std::fmt::Write as _;

use calculator::assessment::{Answer, AvoidedEnergy, Status};
use calculator::baseline::{Bound, Severity};

use super::fit::About;

/// The answer in a few lines: what was found first, what speaks against it beside it, the digest last.
pub(super) fn answer(answer: &Answer, about: About) -> String {
    let assessment = &answer.assessment;
    let unit = answer.inputs.settings.unit.symbol();
    let mut text = String::new();
    let mut line = |name: &str, value: &str| writeln!(text, "{name:<18}{value}").unwrap_or_default();
    line(
        "method",
        &format!("{}, by {}", assessment.method, serde_json::to_value(assessment.mode).map(|mode| plain(&mode)).unwrap_or_default()),
    );
    line(
        "status",
        match assessment.status {
            Status::Qualified => "qualified",
            Status::NoModel => "no model: no candidate may be used, so there is no number",
            Status::Disqualified => "disqualified: numbers below are for comparison, and no invoice may rest on them",
        },
    );
    for step in answer.inputs.cleaning.iter().filter(|step| !step.found.is_empty()) {
        line("cleaning", &format!("{}. {}: {}; {} rows, {:.3} {unit}", step.step, step.name, step.found, step.rows, step.energy));
    }
    for finding in &assessment.sufficiency.findings {
        let name = if finding.severity == Severity::Disqualification { "forbidden by" } else { "look at" };
        line(name, &finding.message);
    }
    if let Some(model) = &assessment.model {
        let number = |name: &String| model.number(name).map(|value| format!("{name} {}", (value * 1e6).round() / 1e6));
        let params: Vec<String> = model.params.keys().filter_map(number).collect();
        line("model", &format!("{}: {}", model.kind, params.join(", ")));
    }
    if let (Some(fit), Some(metrics)) = (assessment.r_squared_adj, &assessment.metrics) {
        let cv = metrics.cvrmse_adj.map_or_else(|| "none".to_owned(), |cv| format!("{:.2} %", cv * 100.0));
        line("fit", &format!("adjusted R² {fit:.6}, CV(RMSE) {cv}, {} observations", metrics.observed_length));
    }
    if let Some(avoided) = &assessment.avoided {
        for (name, value) in comparison(avoided, unit) {
            line(name, &value);
        }
    } else if about == About::Savings && assessment.model.is_some() {
        line("savings", "none: no day after the intervention has energy and weather");
    }
    for tried in &assessment.gates {
        let measured = tried.measured.map_or_else(|| "none".to_owned(), |measured| format!("{measured:.4}"));
        let bound = if tried.bound == Bound::AtLeast { "at least" } else { "at most" };
        let holds = if tried.holds { "holds" } else { "does not hold" };
        line("gate", &format!("{}: {measured}, allowed {bound} {}: {holds}", tried.gate.name(), (tried.limit * 1e6).round() / 1e6));
    }
    line("digest", &answer.digest);
    text
}

fn plain(value: &serde_json::Value) -> String {
    format!("{} rules", value.as_str().unwrap_or_default())
}

fn comparison(avoided: &AvoidedEnergy, unit: &str) -> Vec<(&'static str, String)> {
    let AvoidedEnergy { counterfactual, observed, savings, .. } = avoided;
    let interval = avoided.interval_90.map_or_else(String::new, |[low, high]| format!(", at 90 % between {low:.2} and {high:.2}"));
    let band = |band: Option<f64>| band.map_or_else(|| "none".to_owned(), |band| format!("± {band:.2} {unit}"));
    vec![
        (
            "would have used",
            format!(
                "{counterfactual:.2} {unit} (base {:.2}, heating {:.2}, cooling {:.2})",
                avoided.base_load, avoided.heating_load, avoided.cooling_load
            ),
        ),
        ("used", format!("{observed:.2} {unit}")),
        ("savings", format!("{savings:.2} {unit}{interval}")),
        ("published bands", format!("FSU {}, least squares {}", band(avoided.fsu_band), band(avoided.ols_band))),
        (
            "compared",
            format!(
                "{} of {} rows, {:.1} %; {:.1} % of the energy is in the others",
                avoided.rows_compared,
                avoided.rows,
                avoided.coverage * 100.0,
                avoided.energy_masked.unwrap_or(0.0) * 100.0
            ),
        ),
    ]
}
