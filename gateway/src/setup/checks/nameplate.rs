//! What is written on things against what the meter says: transformer ratio, clock, serial number.

use super::{super::Finding, Evidence, power::ratio as times};

/// A clamp and a meter on the same conductor.
const CLAMP_SHARE: f64 = 0.10;
const CLAMP_AMPERE: f64 = 0.3;
/// A clock that is so far off sorts readings into the wrong quarter of an hour.
const CLOCK_LOOK_S: i64 = 30;
const CLOCK_WRONG_S: i64 = 300;

/// The ratio of the current transformers: what the meter is set to, what the label says, what a clamp measures.
///
/// Where currents are known to be on the wrong phases, a clamp is held against the phase its current went to.
pub(super) fn ratio(evidence: &Evidence<'_>, crossed: bool) -> Vec<Finding> {
    evidence.mean("i1").map(|_| judge_ratio(evidence, crossed)).unwrap_or_default()
}

fn is_near(shown: f64, clamp: f64) -> bool {
    (shown - clamp).abs() <= CLAMP_SHARE * clamp + CLAMP_AMPERE
}

fn judge_ratio(evidence: &Evidence<'_>, crossed: bool) -> Vec<Finding> {
    let last = evidence.last();
    let at = |id: &str| last.get(id).copied();
    let set = at("ct_ratio").or_else(|| Some(at("ct_primary")? / at("ct_secondary").unwrap_or(1.0)));
    let mut findings = Vec::new();
    if let (Some(set), Some((primary, secondary))) = (set, evidence.known.transformer) {
        let label = primary / secondary;
        findings.push(if (set - label).abs() <= 0.01 * label {
            Finding::green("ct-label", format!("the meter is set to a ratio of {set} as the label says: {primary}/{secondary}"))
        } else {
            let what = format!(
                "the meter is set to a ratio of {set} and the label says {primary}/{secondary}, which is {label}: readings are {} times what they should be",
                times(set, label)
            );
            Finding::red("ct-label", what, format!("set the transformer ratio in the meter to {primary}/{secondary}"))
        });
    }
    for (id, &clamp) in &evidence.known.clamp {
        let Some(shown) = evidence.mean(id) else {
            findings.push(Finding::amber("ct-clamp", format!("the meter has no {id} to compare the clamp with"), "measure a phase it has"));
            continue;
        };
        let elsewhere =
            ["i1", "i2", "i3"].into_iter().find(|other| other != id && evidence.mean(other).is_some_and(|other| is_near(other, clamp)));
        findings.push(if is_near(shown, clamp) {
            Finding::green("ct-clamp", format!("{id} is {shown:.1} A, the clamp says {clamp:.1} A"))
        } else if let (Some(other), true) = (elsewhere, crossed) {
            Finding::green(
                "ct-clamp",
                format!("the clamp's {clamp:.1} A on {id} is what the meter shows as {other}: the ratio is right, the phase is not"),
            )
        } else if let Some(other) = elsewhere {
            let what = format!("{id} is {shown:.1} A and the clamp says {clamp:.1} A, which is what the meter shows as {other}");
            Finding::amber(
                "ct-clamp",
                what,
                format!("see that the clamp was on the conductor of {id}; if it was, the phases have other names at the meter"),
            )
        } else {
            let what = format!(
                "{id} is {shown:.1} A and the clamp says {clamp:.1} A: the meter shows {} times the real current",
                times(shown, clamp)
            );
            let next = match evidence.known.transformer {
                Some((primary, secondary)) => format!("set the transformer ratio in the meter to {primary}/{secondary}, as the label says"),
                None => "read the label of the transformer and set that ratio in the meter".to_owned(),
            };
            Finding::red("ct-clamp", what, next)
        });
    }
    if findings.is_empty() {
        findings.push(Finding::amber(
            "ct-ratio",
            "nobody compared the transformer ratio with anything, and every reading depends on it",
            "measure one conductor with a clamp (--clamp i1=42.5) and read the label (--ct 200/5); meters without transformers: clamp only",
        ));
    }
    findings
}

/// The meter's own clock.
pub(super) fn clock(evidence: &Evidence<'_>) -> Option<Finding> {
    let sample = evidence.samples.last()?;
    let shown = sample.reads.get("clock")?.measured?;
    let ahead = shown.rescale(0).ok()?.raw - sample.at.as_second();
    let offset = if ahead >= 0 { format!("{ahead} s ahead") } else { format!("{} s behind", -ahead) };
    Some(match ahead.abs() {
        0..=CLOCK_LOOK_S => Finding::green("meter-clock", format!("the clock of the meter is {offset}")),
        off if off <= CLOCK_WRONG_S => {
            Finding::amber("meter-clock", format!("the clock of the meter is {offset}"), "set the clock of the meter to UTC")
        }
        _ => Finding::red(
            "meter-clock",
            format!("the clock of the meter is {offset}: its tariffs and load profiles belong to other hours"),
            "set the clock of the meter to UTC, and see why it was lost: battery, time server, or somebody set local time",
        ),
    })
}

/// The serial number against the work order.
pub(super) fn serial(evidence: &Evidence<'_>) -> Option<Finding> {
    let wanted = evidence.known.serial.as_deref()?;
    let plate = evidence.identity.sunspec.as_ref().map(|plate| plate.serial.clone());
    let plate = plate.or_else(|| evidence.identity.texts.get("serial").cloned());
    let shown = plate.or_else(|| evidence.last().get("serial").map(|serial| format!("{serial:.0}")));
    Some(match shown {
        Some(shown) if shown == wanted => Finding::green("serial", format!("the serial number is the one of the work order: {wanted}")),
        Some(shown) => Finding::red(
            "serial",
            format!("the meter says serial number {shown}, the work order says {wanted}"),
            "see that this is the right meter and not its neighbour",
        ),
        None if evidence.identity.objects.iter().any(|text| text.contains(wanted)) => {
            Finding::green("serial", format!("the device names the serial number of the work order: {wanted}"))
        }
        None => Finding::grey("serial", "the meter does not tell its serial number", Some("compare the nameplate by eye")),
    })
}
