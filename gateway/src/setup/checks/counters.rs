//! Do the counters count what the power says, are they the ones that nobody can reset, and does the meter live?

use devices::{Encoding, Kind, Point};
use units::Unit;

use super::{super::Finding, Evidence, power::ratio};

/// Samples and seconds from which a meter that never changes is frozen.
const STILL_SAMPLES: usize = 3;
const STILL_SECONDS: i64 = 60;
/// Steps of the counter from which its movement can be judged.
const STEPS_MIN: f64 = 20.0;
const SHARE: f64 = 0.10;

/// Import and export of the same energy, the best first.
const COUNTERS: [(&str, &str); 3] = [("e_imp", "e_exp"), ("e_imp_f32", "e_exp_f32"), ("e_sum", "")];

/// A meter whose registers all keep their words.
pub(super) fn frozen(evidence: &Evidence<'_>) -> Option<Finding> {
    let (first, last) = (evidence.samples.first()?, evidence.samples.last()?);
    let seconds = last.at.as_second() - first.at.as_second();
    if evidence.samples.len() < STILL_SAMPLES || seconds < STILL_SECONDS {
        return None;
    }
    if evidence.profile.kind() != Kind::PowerMeter {
        // A room may well keep its temperature.
        return None;
    }
    let measuring =
        |sample: &super::Sample| sample.reads.iter().filter(|(id, _)| *id != "clock").all(|(id, read)| first.reads.get(id) == Some(read));
    let alive = |id: &str| first.reads.get(id).and_then(|read| read.measured).is_some_and(|measured| measured.raw != 0);
    if !evidence.samples.iter().all(measuring) || !["v1", "f", "p"].into_iter().any(alive) {
        return None;
    }
    if !["p", "i1"].into_iter().any(alive) {
        let what = format!("nothing changed in {seconds} s, and there is no load");
        return Some(Finding::amber("frozen", what, "switch something on and repeat: the power must follow"));
    }
    let what = format!("not one of {} registers changed in {seconds} s, not even the voltage: the meter is frozen", first.reads.len());
    Some(Finding::red("frozen", what, "switch the meter off and on; if it freezes again, or a converter answers from memory, exchange it"))
}

/// The counter moves as the power says.
pub(super) fn moves_with_power(evidence: &Evidence<'_>) -> Option<Finding> {
    let (import, export) = COUNTERS.into_iter().find(|(import, _)| evidence.last().contains_key(*import))?;
    let point = evidence.profile.point(import)?;
    let (first, last) = (evidence.samples.first()?, evidence.samples.last()?);
    let seconds = last.at.as_second() - first.at.as_second();
    if seconds < STILL_SECONDS {
        return None;
    }
    let watt_hours = |sample: &super::Sample, id: &str| {
        Some(sample.reads.get(id)?.measured?.to_f64() * in_watt_hours(evidence.profile.point(id)?.unit)?)
    };
    let moved = |id: &str| Some(watt_hours(last, id)? - watt_hours(first, id)?);
    let counted = moved(import)? - moved(export).unwrap_or(0.0);
    let expected = integral(evidence)?;
    let step = step_wh(point, last.reads.get(import)?.measured?.to_f64())?;
    let said = format!("in {seconds} s {import} moved by {counted:.0} Wh; the power says {expected:.0} Wh");
    if expected.abs() < STEPS_MIN * step {
        let watts = STEPS_MIN * step * 3_600.0 / 180.0;
        let what = format!("{said}; one step of the counter is {step:.0} Wh, so this is too little to judge");
        return Some(Finding::amber("energy", what, format!("repeat with a load of more than {watts:.0} W, or watch for longer")));
    }
    if (counted - expected).abs() <= SHARE * expected.abs() + 2.0 * step {
        return Some(Finding::green("energy", said));
    }
    let next = if counted.abs() < step {
        "the counter stands still under load: see whether this register is the running total of the right tariff and direction"
    } else {
        "see whether the counter has the unit that the profile says (Wh or kWh), and the same transformer ratio as the power"
    };
    Some(Finding::red("energy", format!("{said}: {} times as much", ratio(counted, expected)), next))
}

/// The energy under the power, by trapezoids.
fn integral(evidence: &Evidence<'_>) -> Option<f64> {
    let mut watt_hours = 0.0;
    for pair in evidence.samples.windows(2) {
        let [one, two] = pair else { continue };
        let watts = |sample: &super::Sample| Some(sample.reads.get("p")?.measured?.to_f64());
        let millis = i32::try_from(two.at.as_millisecond() - one.at.as_millisecond()).ok()?;
        watt_hours += (watts(one)? + watts(two)?) / 2.0 * f64::from(millis) / 3_600_000.0;
    }
    let kilo = evidence.profile.point("p")?.unit.symbol().starts_with('k');
    Some(if kilo { watt_hours * 1_000.0 } else { watt_hours })
}

fn in_watt_hours(unit: Unit) -> Option<f64> {
    unit.watt_hour_exponent().map(|exponent| 10_f64.powi(i32::from(exponent)))
}

/// The smallest movement the counter can show: its step, or what a binary fraction can hold at this height.
fn step_wh(point: &Point, now: f64) -> Option<f64> {
    let decimal = 10_f64.powi(i32::from(point.exponent));
    let binary = if point.encoding == Encoding::F32 { now.abs() * f64::from(f32::EPSILON) } else { 0.0 };
    Some(decimal.max(binary) * in_watt_hours(point.unit)?)
}

/// Counters that anybody can set to zero.
pub(super) fn resettable(evidence: &Evidence<'_>) -> Vec<Finding> {
    let energy: Vec<&Point> = evidence
        .points
        .iter()
        .filter_map(|id| evidence.profile.point(id))
        .filter(|point| point.unit.watt_hour_exponent().is_some())
        .collect();
    if energy.is_empty() {
        return Vec::new();
    }
    for point in &energy {
        if let Some((id, total)) = known_as_resettable(evidence, point) {
            let what = format!("{} reads register {}, the partial counter of {id}: anybody can set it to zero", point.id, point.address);
            let next = match total {
                Some(total) => format!("read the running total instead: {} at register {}", total.id, total.address),
                None => "read the running total instead".to_owned(),
            };
            return vec![Finding::red("resettable", what, next)];
        }
    }
    let names: Vec<&str> = energy.iter().filter(|point| !is_resettable(point)).map(|point| point.id.as_str()).collect();
    if names.is_empty() {
        let what = format!(
            "only {} is read, and anybody can set it to zero",
            energy.iter().map(|point| point.id.as_str()).collect::<Vec<_>>().join(", ")
        );
        return vec![Finding::red("resettable", what, "read the running total as well: e_imp")];
    }
    vec![Finding::green("resettable", format!("read from counters that are not known to be resettable: {}", names.join(", ")))]
}

/// Whether a profile itself calls a counter partial.
fn is_resettable(point: &Point) -> bool {
    let label = point.label.as_deref().unwrap_or_default().to_lowercase();
    ["partial", "resettable", "trip"].iter().any(|word| point.id.contains(word) || label.contains(word))
}

/// A point of ours that a known map of this very device calls partial.
fn known_as_resettable(evidence: &Evidence<'_>, point: &Point) -> Option<(String, Option<&'static Point>)> {
    if is_resettable(point) && point.billing {
        return Some((evidence.profile.id().to_owned(), None));
    }
    let is_candidate = |id: &str| evidence.identity.candidates.iter().any(|candidate| candidate.profile == id);
    let others = devices::builtin().iter().filter(|other| other.id() != evidence.profile.id() && is_candidate(other.id()));
    others.into_iter().find_map(|other| {
        let same = other.points().iter().find(|theirs| theirs.table == point.table && theirs.address == point.address)?;
        (is_resettable(same) && !is_resettable(point)).then(|| (other.id().to_owned(), other.point("e_imp")))
    })
}
