//! Do the current transformers look the right way, and do they sit on the phases whose voltage the meter multiplies them with?
//!
//! A load draws its current behind its voltage by an angle of 0 to about 35 degrees. A transformer that is turned round adds 180
//! degrees; one on the next phase adds 120 and on the one after takes 120 away. So the angle that a phase shows, the arc cosine of
//! P/(V·I), tells which of these happened, where two phases were exchanged as a pair of both.

use super::{super::Finding, Evidence, power::LOAD_VA};

/// Angles of loads as they are, with a little for the meter's own error.
const LAG_MIN: f64 = -5.0;
const LAG_MAX: f64 = 37.0;

/// What the angle of a phase speaks for.
#[derive(Clone, Copy, Debug)]
struct Phase {
    number: u8,
    power: f64,
    angle: f64,
}

impl Phase {
    fn is_right(self) -> bool {
        // Machines without load lag by far more than 37 degrees, never by 90.
        self.angle < 80.0
    }

    fn is_reversed(self) -> bool {
        self.angle >= 180.0 - LAG_MAX
    }

    /// 120 degrees and the load's own lag.
    fn is_ahead(self) -> bool {
        (120.0 + LAG_MIN..=120.0 + LAG_MAX).contains(&self.angle)
    }

    /// 120 degrees less the load's own lag.
    fn is_behind(self) -> bool {
        (120.0 - LAG_MAX..=120.0 - LAG_MIN).contains(&self.angle)
    }
}

/// Direction and order of the transformers.
pub(super) fn direction_and_order(evidence: &Evidence<'_>) -> Vec<Finding> {
    if evidence.profile.phases() == 1 {
        return single(evidence).into_iter().collect();
    }
    let phases: Vec<Phase> = (1..=3).filter_map(|number| phase(evidence, number)).collect();
    if phases.is_empty() {
        return match evidence.mean("p1") {
            Some(_) => vec![no_load()],
            None => Vec::new(),
        };
    }
    let wrong: Vec<Phase> = phases.iter().copied().filter(|phase| !phase.is_right()).collect();
    let powers = phases.iter().map(|phase| format!("L{} {:.0} W", phase.number, phase.power)).collect::<Vec<_>>().join(", ");
    match wrong.as_slice() {
        [] if phases.len() == 3 => vec![
            Finding::green("current-direction", format!("every phase draws power: {powers}")),
            Finding::green("phase-order", "every current belongs to the voltage it is multiplied with"),
        ],
        [] => vec![Finding::amber(
            "current-direction",
            format!("only {} of 3 phases have a load: {powers}", phases.len()),
            "switch a load on for every phase and repeat",
        )],
        [a, b] if (a.is_ahead() && b.is_behind()) || (b.is_ahead() && a.is_behind()) => vec![Finding::red(
            "phase-order",
            format!(
                "the current transformers of L{} and L{} are exchanged: their currents are 120 degrees from their voltages ({powers})",
                a.number, b.number
            ),
            format!("exchange the wires of the transformers of L{} and L{} at the meter", a.number, b.number),
        )],
        [_, _, _] if wrong.iter().all(|phase| phase.is_reversed()) => vec![Finding::amber(
            "current-direction",
            format!("all phases deliver power: {powers}"),
            "right if a generator is measured; if it is a load, all three transformers are turned round: exchange S1 and S2 of each",
        )],
        [_, _, _] if wrong.iter().all(|phase| phase.is_ahead()) || wrong.iter().all(|phase| phase.is_behind()) => vec![Finding::red(
            "phase-order",
            format!("all three current transformers sit one phase further than their voltages ({powers})"),
            "move the wires of all three transformers on by one phase at the meter",
        )],
        some => some
            .iter()
            .map(|phase| {
                let Phase { number, power, angle } = *phase;
                if phase.is_reversed() {
                    Finding::red(
                        "current-direction",
                        format!("the current transformer of L{number} is turned round: L{number} delivers {:.0} W while the others draw ({powers})", -power),
                        format!("turn the transformer of L{number} round, or exchange its wires S1 and S2 at the meter"),
                    )
                } else {
                    Finding::red(
                        "phase-order",
                        format!("the current of L{number} is {angle:.0} degrees from its voltage: it is the current of another phase"),
                        format!("see which conductor the transformer of L{number} is on"),
                    )
                }
            })
            .collect(),
    }
}

fn no_load() -> Finding {
    Finding::amber("current-direction", "there is no load to judge by", "switch something on, at least 100 W on every phase, and repeat")
}

fn phase(evidence: &Evidence<'_>, number: u8) -> Option<Phase> {
    let mean = |letter: &str| evidence.mean(&format!("{letter}{number}"));
    let (volt, ampere, power) = (mean("v")?, mean("i")?, mean("p")?);
    let apparent = (volt * ampere).abs();
    if apparent < LOAD_VA {
        return None;
    }
    Some(Phase { number, power, angle: (power / apparent).clamp(-1.0, 1.0).acos().to_degrees() })
}

fn single(evidence: &Evidence<'_>) -> Option<Finding> {
    let power = evidence.mean("p")?;
    let apparent = (evidence.mean("v1")? * evidence.mean("i1")?).abs();
    Some(if apparent < LOAD_VA {
        no_load()
    } else if power < 0.0 {
        Finding::amber(
            "current-direction",
            format!("the meter says that {:.0} W are delivered", -power),
            "right if a generator is measured; if it is a load, exchange the wires of the transformer or the terminals in and out",
        )
    } else {
        Finding::green("current-direction", format!("power is drawn: {power:.0} W"))
    })
}
