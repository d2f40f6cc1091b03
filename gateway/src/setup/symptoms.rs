//! From what was heard to what is wrong with the cable. Pure.

use serde::Serialize;

use super::{
    finding::Finding,
    speak::{Heard, Sound},
};

/// What came of the questions at one setting of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Questions.
    pub asked: u32,
    /// Right answers, refusals among them.
    pub answered: u32,
    /// Nothing came.
    pub silent: u32,
    /// Bytes that make no frame.
    pub garbled: u32,
    /// Those of them that begin as an answer must.
    pub broken_off: u32,
    /// A right answer and more bytes behind it.
    pub crowded: u32,
    /// Right frames in the name of another unit.
    pub other_unit: u32,
    /// The question was heard before the answer.
    pub echoed: u32,
}

impl Tally {
    pub(super) fn note(&mut self, heard: &Heard) {
        self.asked += 1;
        self.echoed += u32::from(heard.echo);
        match &heard.sound {
            Sound::Silence => self.silent += 1,
            Sound::Answer(_) => self.answered += 1,
            Sound::Crowd => self.crowded += 1,
            Sound::OtherUnit(_) => self.other_unit += 1,
            Sound::Garble => {
                self.garbled += 1;
                self.broken_off += u32::from(heard.begins_right);
            }
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            asked: self.asked + other.asked,
            answered: self.answered + other.answered,
            silent: self.silent + other.silent,
            garbled: self.garbled + other.garbled,
            broken_off: self.broken_off + other.broken_off,
            crowded: self.crowded + other.crowded,
            other_unit: self.other_unit + other.other_unit,
            echoed: self.echoed + other.echoed,
        }
    }
}

impl Tally {
    /// Whether this is what two devices with one address sound like: the same beginning, then two different answers at once.
    pub(super) fn is_collision(self) -> bool {
        self.answered * 4 < self.asked && (self.crowded > 0 || self.broken_off * 2 > self.garbled)
    }
}

/// Bytes per question from which a share of broken answers is told apart by its load.
const SHORT_ANSWER: u16 = 8;

/// What a tally of a serial line says about its wiring.
#[must_use]
pub fn explain(tally: Tally) -> Vec<Finding> {
    let mut findings = Vec::new();
    if tally.asked == 0 {
        return findings;
    }
    let broken = tally.garbled + tally.crowded;
    if tally.echoed > 0 {
        findings.push(Finding::green(
            "echo",
            format!(
                "the adapter hears its own questions ({} of {}); they are recognised and left out of the answers",
                tally.echoed, tally.asked
            ),
        ));
    }
    if tally.answered == 0 && tally.silent == tally.asked {
        findings.push(Finding::red(
            "silence",
            format!("not a byte came back on {} questions", tally.asked),
            "swap A and B on one side and try again; then check that the device has power, its unit id, and its baud rate and parity",
        ));
    } else if tally.answered == 0 && broken > 0 {
        findings.push(Finding::red(
            "garbled",
            format!("bytes come back on {broken} of {} questions, and none of them make an answer", tally.asked),
            "set the same baud rate and parity on both sides: parity first, many devices come with even parity; \
             if they agree, two devices may have the same unit id",
        ));
    }
    if tally.other_unit > 0 {
        findings.push(Finding::red(
            "other-unit",
            format!("{} answers came in the name of another unit than was asked", tally.other_unit),
            "look for a second master on this bus or a converter that answers from its memory; then check each unit id on its display",
        ));
    }
    // One alone is a coincidence, whatever its share of a few questions.
    if tally.answered > 0 && broken > 1 && broken * 50 > tally.asked {
        findings.push(Finding::amber(
            "noise",
            format!("{broken} of {} answers arrive damaged", tally.asked),
            "put 120 ohm at both ends of the cable and nowhere else, bias at one place, shield on one side; move it away from drives",
        ));
    }
    findings
}

/// What damaged answers say when they are counted by their length.
///
/// * Shape: registers per answer, questions, damaged answers.
#[must_use]
pub fn explain_load(by_length: &[(u16, u32, u32)]) -> Option<Finding> {
    let share = |want_short: bool| {
        let rows = by_length.iter().filter(|(registers, ..)| (*registers <= SHORT_ANSWER) == want_short);
        let (asked, damaged) = rows.fold((0, 0), |(asked, damaged), (_, a, d)| (asked + a, damaged + d));
        (asked >= 10).then(|| f64::from(damaged) / f64::from(asked))
    };
    let (short, long) = (share(true)?, share(false)?);
    (long > 0.02 && long > 3.0 * short).then(|| {
        Finding::amber(
            "termination",
            format!("short answers are damaged in {:.1} % and long ones in {:.1} % of cases", short * 100.0, long * 100.0),
            "errors that rise with load are reflections: put 120 ohm at both ends of the cable and check the bias",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(tally: Tally) -> Vec<(String, super::super::State)> {
        explain(tally).into_iter().map(|finding| (finding.check, finding.state)).collect()
    }

    #[test]
    fn each_symptom_has_its_cause() {
        use super::super::State::{Amber, Green, Red};
        let all = |count| Tally { asked: count, ..Tally::default() };
        assert_eq!(says(Tally::default()), []);
        assert_eq!(says(Tally { silent: 20, ..all(20) }), [("silence".into(), Red)]);
        assert_eq!(says(Tally { garbled: 18, silent: 2, ..all(20) }), [("garbled".into(), Red)]);
        assert_eq!(says(Tally { answered: 20, echoed: 20, ..all(20) }), [("echo".into(), Green)]);
        assert_eq!(says(Tally { answered: 19, other_unit: 1, ..all(20) }), [("other-unit".into(), Red)]);
        assert_eq!(says(Tally { answered: 95, garbled: 5, ..all(100) }), [("noise".into(), Amber)]);
        assert_eq!(says(Tally { answered: 100, ..all(100) }), []);
        assert_eq!(says(Tally { answered: 7, garbled: 1, ..all(8) }), []);
    }

    #[test]
    fn errors_that_rise_with_load_are_reflections() {
        assert_eq!(explain_load(&[(2, 100, 0), (80, 100, 9)]).map(|finding| finding.check), Some("termination".to_owned()));
        assert_eq!(explain_load(&[(2, 100, 9), (80, 100, 9)]), None);
        assert_eq!(explain_load(&[(2, 100, 0), (80, 5, 5)]), None);
    }
}
