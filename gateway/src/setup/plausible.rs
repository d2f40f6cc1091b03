//! How much a set of decoded values looks like electricity. Pure.
//!
//! A wrong map, word order or scale gives numbers too; what gives it away is that they do not belong together. Each law that holds
//! is evidence for the map, each that is broken is evidence against it, and a law that many maps could satisfy by chance counts less.

use std::collections::BTreeMap;

/// Decoded values by point id.
pub type Values = BTreeMap<String, f64>;

/// What supply systems of the world have, phase to neutral.
pub(super) const VOLTS: std::ops::RangeInclusive<f64> = 80.0..=300.0;
pub(super) const HERTZ: std::ops::RangeInclusive<f64> = 45.0..=65.0;

/// How much the values look like the quantities they are said to be.
///
/// * Shape: the score is open to both sides; above 0 speaks for the map. The reasons are for people.
#[must_use]
pub(super) fn score(values: &Values) -> (i32, Vec<String>) {
    let mut evidence = Evidence::default();
    let at = |id: &str| values.get(id).copied();
    if let Some(hertz) = at("f") {
        evidence.weigh(HERTZ.contains(&hertz), 4, -5, || format!("f is {hertz:.2} Hz"));
    }
    let volts: Vec<f64> = ["v1", "v2", "v3"].iter().filter_map(|id| at(id)).collect();
    for (phase, &volt) in (1..).zip(&volts) {
        let weight = if phase == 1 { 3 } else { 1 };
        evidence.weigh(VOLTS.contains(&volt), weight, -3, || format!("V{phase} is {volt:.1} V"));
    }
    if let [one, two, three] = volts[..]
        && volts.iter().all(|volt| VOLTS.contains(volt))
    {
        let spread = one.max(two).max(three) / one.min(two).min(three);
        evidence.weigh(spread < 1.2, 1, -1, || format!("the phase voltages differ by {:.0} %", (spread - 1.0) * 100.0));
    }
    for id in ["pf", "pf1", "pf2", "pf3"] {
        if let Some(factor) = at(id) {
            evidence.weigh(factor.abs() <= 1.001, 1, -3, || format!("{id} is {factor:.3}"));
        }
    }
    let phases: Vec<f64> = ["p1", "p2", "p3"].iter().filter_map(|id| at(id)).collect();
    if let (Some(total), true) = (at("p"), phases.len() == 3) {
        let sum: f64 = phases.iter().sum();
        let holds = (total - sum).abs() <= 0.02 * total.abs().max(sum.abs()) + 5.0;
        evidence
            .weigh(holds, if total.abs() > 10.0 { 3 } else { 0 }, -3, || format!("P is {total:.0} W and its phases add up to {sum:.0} W"));
    }
    for (volt, ampere, power) in [("v1", "i1", "p1"), ("v2", "i2", "p2"), ("v3", "i3", "p3"), ("v1", "i1", "p")] {
        let is_single = power == "p";
        if is_single && (!phases.is_empty() || volts.len() > 1) {
            continue;
        }
        if let (Some(volt), Some(ampere), Some(power)) = (at(volt), at(ampere), at(power)) {
            let apparent = volt * ampere;
            let holds = power.abs() <= apparent.abs() * 1.05 + 10.0;
            evidence.weigh(holds, i32::from(power.abs() > 10.0), -2, || format!("P is {power:.0} W where V·I is {apparent:.0} VA"));
        }
    }
    for id in ["e_imp", "e_imp_f32", "e_sum"] {
        if let Some(energy) = at(id) {
            evidence.weigh((0.0..1e9).contains(&energy), i32::from(energy > 0.0), -2, || format!("{id} is {energy}"));
            break;
        }
    }
    if let Some(celsius) = at("temperature") {
        evidence.weigh((-40.0..=85.0).contains(&celsius), 1, -3, || format!("temperature is {celsius:.1}"));
    }
    if let Some(percent) = at("humidity") {
        evidence.weigh((0.5..=100.0).contains(&percent), 1, -3, || format!("humidity is {percent:.1} %"));
    }
    (evidence.score, evidence.reasons)
}

/// Whether the values can be what they are said to be at all: the supply itself looks right.
#[must_use]
pub(super) fn is_supply(values: &Values) -> bool {
    let hertz = values.get("f").is_none_or(|hertz| HERTZ.contains(hertz));
    let volt = ["v1", "v2", "v3"].iter().filter_map(|id| values.get(*id)).all(|volt| VOLTS.contains(volt) || *volt == 0.0);
    let some = ["f", "v1", "v2", "v3"].iter().any(|id| values.get(*id).is_some_and(|value| *value > 0.0));
    hertz && volt && some
}

#[derive(Default)]
struct Evidence {
    score: i32,
    reasons: Vec<String>,
}

impl Evidence {
    fn weigh(&mut self, holds: bool, reward: i32, penalty: i32, reason: impl Fn() -> String) {
        self.score += if holds { reward } else { penalty };
        if !holds || reward > 1 {
            self.reasons.push(format!("{}{}", if holds { "" } else { "not plausible: " }, reason()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, f64)]) -> Values {
        pairs.iter().map(|(id, value)| ((*id).to_owned(), *value)).collect()
    }

    #[test]
    fn what_belongs_together_outweighs_what_does_not() {
        let right =
            values(&[("f", 50.0), ("v1", 230.0), ("v2", 231.0), ("v3", 229.0), ("p1", 100.0), ("p2", 50.0), ("p3", 25.0), ("p", 175.0)]);
        let single = values(&[("f", 50.0), ("v1", 230.0), ("p", 175.0)]);
        let mut swapped = right.clone();
        swapped.extend(values(&[("f", 4.2e-19), ("v1", 1.9e-23)]));
        let mut dead_phases = right.clone();
        dead_phases.extend(values(&[("v2", 0.0), ("v3", 0.0)]));
        let of = |values: &Values| score(values).0;
        assert!(
            of(&right) > of(&single) && of(&single) > of(&dead_phases) && of(&swapped) < 0,
            "{} {} {}",
            of(&right),
            of(&single),
            of(&swapped)
        );
        assert!(is_supply(&right) && is_supply(&single) && !is_supply(&swapped) && !is_supply(&values(&[("p", 1.0)])));
    }
}
