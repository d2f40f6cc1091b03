//! Volt times ampere times power factor is watt, and the phases add up.

use super::{super::Finding, Evidence};

/// Below this a phase has too little load to judge.
pub(super) const LOAD_VA: f64 = 20.0;
/// Values of one reading are not taken at the same instant.
const SHARE: f64 = 0.05;
const WATT: f64 = 5.0;

/// V·I·PF = P on every phase that has a load.
pub(super) fn product(evidence: &Evidence<'_>) -> Option<Finding> {
    let mut judged = Vec::new();
    for (name, volt, ampere, factor, power) in [
        ("L1", "v1", "i1", "pf1", "p1"),
        ("L2", "v2", "i2", "pf2", "p2"),
        ("L3", "v3", "i3", "pf3", "p3"),
        ("the meter", "v1", "i1", "pf", "p"),
    ] {
        if power == "p" && evidence.profile.phases() != 1 {
            continue;
        }
        let (Some(volt), Some(ampere), Some(power)) = (evidence.mean(volt), evidence.mean(ampere), evidence.mean(power)) else { continue };
        let apparent = (volt * ampere).abs();
        if apparent < LOAD_VA {
            continue;
        }
        let allowed = SHARE * apparent + WATT;
        let (holds, expected) = match evidence.mean(factor) {
            Some(factor) => ((apparent * factor.abs() - power.abs()).abs() <= allowed, apparent * factor.abs()),
            None => (power.abs() <= apparent + allowed, apparent),
        };
        if !holds {
            let what =
                format!("on {name} V·I·PF is {expected:.0} W and the meter says {power:.0} W: {} times as much", ratio(power, expected));
            let next = "see whether current and power have the same scale in the profile, and the meter the same ratio for both";
            return Some(Finding::red("power-product", what, next));
        }
        judged.push(name);
    }
    Some(if judged.is_empty() {
        Finding::amber("power-product", "there is no load to judge by", "switch something on, at least 100 W on every phase, and repeat")
    } else {
        Finding::green("power-product", format!("V·I·PF is P on {}", judged.join(", ")))
    })
}

/// The phases add up to the total.
pub(super) fn sum(evidence: &Evidence<'_>) -> Option<Finding> {
    let phases: Vec<f64> = ["p1", "p2", "p3"].iter().filter_map(|id| evidence.mean(id)).collect();
    let (total, 3) = (evidence.mean("p")?, phases.len()) else { return None };
    let sum: f64 = phases.iter().sum();
    let size = phases.iter().map(|phase| phase.abs()).sum::<f64>().max(total.abs());
    Some(if (total - sum).abs() <= 0.02 * size + WATT {
        Finding::green("power-sum", format!("the phases add up: {sum:.0} W of {total:.0} W"))
    } else {
        let what = format!("the phases add up to {sum:.0} W and the meter says {total:.0} W: {} times as much", ratio(total, sum));
        Finding::red("power-sum", what, "see whether total and phases have the same scale in the profile")
    })
}

/// How many times larger, as people say it.
pub(super) fn ratio(one: f64, other: f64) -> String {
    if other == 0.0 {
        "infinitely many".to_owned()
    } else {
        format!("{:.3}", one / other).trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}
