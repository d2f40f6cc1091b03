//! Where a counter does not go on, and why: a misread register, the end of its digits, a reset, another meter.
//!
//! A counter is not an amount: what it says is the difference of two readings. Where it goes back, or rises by more than
//! can have passed, the readings around the break say which of the few things it was. What passed in between is known
//! after a rollover alone; of an exchange somebody has to write the displays down.

use units::Unit;

use crate::row::Sample;

/// Misread registers come alone or in a short run.
const MISREADS_MAX: usize = 3;

/// Whether the point counts for ever: an energy in or out, and not that of an interval or a balance, which may fall.
#[must_use]
pub fn is_counter(point: &str, unit: Unit) -> bool {
    let energy = matches!(
        unit,
        Unit::WattHour
            | Unit::KilowattHour
            | Unit::VarHour
            | Unit::KilovarHour
            | Unit::VoltAmpereHour
            | Unit::KilovoltAmpereHour
            | Unit::MilliwattHour
    );
    energy && (point.starts_with("e_imp") || point.starts_with("e_exp"))
}

/// What breaks a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakKind {
    /// It ran out of digits, and began again.
    Rollover,
    /// It was set back.
    Reset,
    /// Another meter, by its profile or by somebody's word.
    Exchange,
    /// It rose by more than can have passed.
    Jump,
}

impl BreakKind {
    /// The rule that found it.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Rollover => "counter-rollover/1",
            Self::Reset => "counter-reset/1",
            Self::Exchange => "meter-exchange/1",
            Self::Jump => "counter-jump/1",
        }
    }
}

/// Two neighbouring readings between which a counter did not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Break {
    pub kind: BreakKind,
    /// Time and value.
    pub before: (i64, i64),
    pub after: (i64, i64),
    /// What passed between them, where that is known.
    pub passed: Option<i64>,
    /// Where a counter that ran out of digits began again.
    pub modulus: Option<i64>,
}

/// What is known of a counter besides its readings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nameplate {
    /// More than this cannot pass in an hour, in the counter's own steps.
    pub per_hour_max: Option<i64>,
    /// When another meter was put in its place.
    pub exchanged: Vec<Exchange>,
}

/// Another meter in the place of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// UTC milliseconds: the first moment of the new one.
    pub at_ms: i64,
    /// The last display of the old meter and the first of the new, where somebody has written them down.
    pub displays: Option<(i64, i64)>,
}

impl Nameplate {
    /// Steps of a counter in an hour at this power; none when the unit is no energy.
    #[must_use]
    pub fn steps_per_hour(power_w: u64, unit: Unit, exponent: i8) -> Option<i64> {
        let shift = i32::from(unit.watt_hour_exponent()?) + i32::from(exponent);
        let power = i128::from(power_w);
        let ten = 10_i128.checked_pow(shift.unsigned_abs())?;
        let steps = if shift >= 0 { power / ten } else { power.checked_mul(ten)? };
        Some(i64::try_from(steps).unwrap_or(i64::MAX).max(1))
    }

    /// What can have passed between two times; one step is always possible.
    pub(crate) fn passes_max(&self, from_ms: i64, to_ms: i64) -> i128 {
        self.per_hour_max.map_or(i128::MAX, |steps| i128::from(steps) * i128::from((to_ms - from_ms).max(0)) / 3_600_000 + 1)
    }

    pub(crate) fn exchange(&self, from_ms: i64, to_ms: i64) -> Option<&Exchange> {
        let mut between = self.exchanged.iter().filter(|exchange| (from_ms + 1..=to_ms).contains(&exchange.at_ms));
        let first = between.next()?;
        // Of a profile that changed and somebody's word for the same exchange, the word says more.
        Some(between.find(|exchange| first.displays.is_none() && exchange.displays.is_some()).unwrap_or(first))
    }
}

/// What became of a counter's readings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    pub breaks: Vec<Break>,
    /// Readings that the counter cannot have shown, by their place in what was given.
    pub misread: Vec<usize>,
}

/// Usable readings in order of time, with their place.
type Known = (usize, i64, i64);

/// Looks through the readings of a counter, in order of time.
#[must_use]
pub fn examine(samples: &[Sample], nameplate: &Nameplate) -> Examined {
    let known: Vec<Known> = samples.iter().enumerate().filter_map(|(at, sample)| Some((at, sample.ts_ms, usable(sample)?))).collect();
    let mut found = Examined::default();
    let mut last: Vec<Known> = Vec::new();
    let mut at = 0;
    while let Some(now) = known.get(at).copied() {
        let Some(before) = last.last().copied() else {
            last.push(now);
            at += 1;
            continue;
        };
        if follows(before, now, nameplate) {
            last.push(now);
            at += 1;
            continue;
        }
        // Does a later reading go on where this one does not? Then this one was misread.
        let later = (1..=MISREADS_MAX).find(|ahead| known.get(at + ahead).is_some_and(|next| follows(before, *next, nameplate)));
        let exchanged = nameplate.exchange(before.1, now.1).is_some();
        if let Some(ahead) = later.filter(|_| !exchanged) {
            found.misread.extend(known.iter().skip(at).take(ahead).map(|(place, ..)| *place));
            at += ahead;
            continue;
        }
        // Does this one go on where an earlier reading stood? Then those after it were misread.
        let earlier = (1..=MISREADS_MAX.min(last.len().saturating_sub(1)))
            .find(|back| last.get(last.len() - 1 - back).is_some_and(|earlier| follows(*earlier, now, nameplate)));
        if let Some(back) = earlier.filter(|_| !exchanged && now.2 < before.2) {
            found.misread.extend(last.drain(last.len() - back..).map(|(place, ..)| place));
            continue;
        }
        found.breaks.push(classify(before, now, nameplate));
        last.clear();
        last.push(now);
        at += 1;
    }
    found.misread.sort_unstable();
    found
}

fn usable(sample: &Sample) -> Option<i64> {
    sample.raw.filter(|_| sample.quality.is_usable())
}

/// Whether a counter can have gone from one to the other.
fn follows(before: Known, now: Known, nameplate: &Nameplate) -> bool {
    let rise = i128::from(now.2) - i128::from(before.2);
    rise >= 0 && rise <= nameplate.passes_max(before.1, now.1) && nameplate.exchange(before.1, now.1).is_none()
}

fn classify(before: Known, now: Known, nameplate: &Nameplate) -> Break {
    let broken = |kind, passed, modulus| Break { kind, before: (before.1, before.2), after: (now.1, now.2), passed, modulus };
    if let Some(exchange) = nameplate.exchange(before.1, now.1) {
        let passed = exchange.displays.and_then(|(closing, opening)| {
            let (old, new) = (closing.checked_sub(before.2)?, now.2.checked_sub(opening)?);
            old.checked_add(new).filter(|_| old >= 0 && new >= 0)
        });
        return broken(BreakKind::Exchange, passed, None);
    }
    if now.2 >= before.2 {
        return broken(BreakKind::Jump, None, None);
    }
    match rollover(before, now, nameplate) {
        Some((passed, modulus)) => broken(BreakKind::Rollover, Some(passed), Some(modulus)),
        None => broken(BreakKind::Reset, None, None),
    }
}

/// The number of digits or bits that a counter ran out of, and what passed: the counter must have been in the last
/// tenth of them, and what passed must be possible.
fn rollover(before: Known, now: Known, nameplate: &Nameplate) -> Option<(i64, i64)> {
    let (from, to) = (before.2, now.2);
    if from <= 0 || to < 0 {
        return None;
    }
    let powers = (4..=18).map(|digits| 10_i64.pow(digits)).chain([1 << 16, 1 << 24, 1 << 31, 1 << 32]);
    let fits = powers.filter(|modulus| from < *modulus && from >= modulus - modulus / 10);
    let passed = fits.map(|modulus| (modulus - from + to, modulus));
    let possible = |(passed, modulus): &(i64, i64)| {
        // Without a limit, a hundredth of all digits is much already.
        let most = if nameplate.per_hour_max.is_some() { nameplate.passes_max(before.1, now.1) } else { i128::from(modulus / 100) };
        i128::from(*passed) <= most
    };
    passed.filter(possible).min()
}

/// From one reading of a counter to the next that it can have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rise {
    /// Time and value.
    pub before: (i64, i64),
    pub after: (i64, i64),
    /// What passed between them; none where a break says nothing.
    pub passed: Option<i64>,
    /// Whether the counter did not simply go on.
    pub broken: bool,
}

/// From reading to reading of a counter, those left out that it cannot have shown.
#[must_use]
pub fn rises(samples: &[Sample], nameplate: &Nameplate) -> Vec<Rise> {
    let Examined { breaks, misread } = examine(samples, nameplate);
    let kept = samples.iter().enumerate().filter(|(place, _)| misread.binary_search(place).is_err());
    let known: Vec<(i64, i64)> = kept.filter_map(|(_, sample)| Some((sample.ts_ms, usable(sample)?))).collect();
    let rise = |pair: &[(i64, i64)]| {
        let [before, after] = pair else { return None };
        let broken = breaks.iter().find(|broken| broken.before == *before && broken.after == *after);
        let passed = match broken {
            Some(broken) => broken.passed,
            None => after.1.checked_sub(before.1),
        };
        Some(Rise { before: *before, after: *after, passed, broken: broken.is_some() })
    };
    known.windows(2).filter_map(rise).collect()
}

/// What a counter says has passed between its first and its last reading: the sum of its rises, and of what is known to
/// have passed over its breaks. None where a break says nothing.
#[must_use]
pub fn passed(samples: &[Sample], nameplate: &Nameplate) -> Option<i64> {
    let rises = rises(samples, nameplate);
    if rises.is_empty() {
        return None;
    }
    rises.iter().try_fold(0_i64, |sum, rise| sum.checked_add(rise.passed?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use units::{Quality, Reason};

    fn samples(values: &[i64]) -> Vec<Sample> {
        let one = |(minute, raw): (i64, &i64)| Sample {
            ts_ms: minute * 60_000,
            raw: Some(*raw),
            quality: Quality::GOOD,
            words: None,
            seq: 1,
            version: 0,
            lsn: 1,
        };
        (0..).zip(values).map(one).collect()
    }

    /// 100 kW at a hundredth of a kilowatt-hour: 166 steps a minute.
    fn nameplate() -> Nameplate {
        Nameplate { per_hour_max: Nameplate::steps_per_hour(100_000, Unit::KilowattHour, -2), exchanged: Vec::new() }
    }

    fn kinds(values: &[i64]) -> (Vec<BreakKind>, Vec<usize>) {
        let found = examine(&samples(values), &nameplate());
        (found.breaks.iter().map(|broken| broken.kind).collect(), found.misread)
    }

    #[test]
    fn a_counter_that_goes_on_has_no_breaks() {
        assert_eq!(nameplate().per_hour_max, Some(10_000));
        assert_eq!(kinds(&[100, 100, 110, 270, 300]), (vec![], vec![]));
    }

    #[test]
    fn each_break_is_told_from_the_others() {
        assert_eq!(kinds(&[99_999_950, 99_999_990, 20, 40, 60]), (vec![BreakKind::Rollover], vec![]));
        assert_eq!(kinds(&[500_000, 500_010, 0, 10, 20, 30]), (vec![BreakKind::Reset], vec![]));
        assert_eq!(kinds(&[500_000, 500_010, 900_000, 900_010, 900_020, 900_030]), (vec![BreakKind::Jump], vec![]));
        assert_eq!(kinds(&[500, 510, 9_000_000, 530, 540]), (vec![], vec![2]), "one that is too high");
        assert_eq!(kinds(&[500, 510, 0, 0, 530, 540]), (vec![], vec![2, 3]), "two that are too low");
        assert_eq!(kinds(&[500, 510, 600, 520, 530, 540]), (vec![], vec![2]), "one that could be, had the counter not gone back");
        let exchange = Exchange { at_ms: 120_000, displays: None };
        let exchanged = Nameplate { exchanged: vec![exchange], ..nameplate() };
        let found = examine(&samples(&[500, 510, 515, 530]), &exchanged);
        assert_eq!(found.breaks[0].kind, BreakKind::Exchange, "another meter that happens to go on");
        assert_eq!((found.breaks[0].before, found.breaks[0].after), ((60_000, 510), (120_000, 515)));
        assert_eq!(passed(&samples(&[500, 510, 515, 530]), &exchanged), None, "what passed between them nobody knows");
        let written = Exchange { displays: Some((512, 514)), ..exchange };
        let known = Nameplate { exchanged: vec![exchange, written], ..nameplate() };
        assert_eq!(passed(&samples(&[500, 510, 515, 530]), &known), Some(10 + 2 + 1 + 15), "somebody wrote the displays down");
    }

    #[test]
    fn what_is_bad_or_missing_is_no_reading() {
        let mut readings = samples(&[500, 0, 510, 520]);
        readings[1].quality = Quality::bad(Reason::OutOfRange);
        assert_eq!(examine(&readings, &nameplate()), Examined::default());
        assert_eq!(passed(&readings, &nameplate()), Some(20));
    }

    #[test]
    fn what_passed_over_a_break_is_known_after_a_rollover_alone() {
        let broken = examine(&samples(&[9_990, 9_999, 5, 9]), &nameplate()).breaks;
        assert_eq!((broken[0].passed, broken[0].modulus), (Some(6), Some(10_000)));
        assert_eq!(passed(&samples(&[9_990, 9_999, 5, 9]), &nameplate()), Some(19));
        assert_eq!(passed(&samples(&[5_000, 5_005, 5, 9, 12, 15]), &nameplate()), None);
        assert_eq!(passed(&samples(&[5]), &nameplate()), None);
    }

    proptest! {
        /// However a counter with so many digits is read, what passed is what passed.
        #[test]
        fn energy_is_conserved_over_every_rollover(start in 0_i64..10_000, steps in prop::collection::vec(0_i64..90, 2..200)) {
            let mut values = vec![start];
            for step in &steps {
                values.push((values[values.len() - 1] + step) % 10_000);
            }
            let found = passed(&samples(&values), &nameplate());
            prop_assert_eq!(found, Some(steps.iter().sum::<i64>()));
        }

        /// A misread register changes nothing of what passed.
        #[test]
        fn a_misread_register_does_not_count(steps in prop::collection::vec(0_i64..90, 8..60), place in 2_usize..6, wrong in 0_i64..100_000_000) {
            let mut values = vec![5_000_i64];
            for step in &steps {
                values.push(values[values.len() - 1] + step);
            }
            let total = passed(&samples(&values), &nameplate());
            let can_be = wrong >= values[place - 1] && wrong <= values[place + 1];
            values[place] = wrong;
            prop_assert_eq!(passed(&samples(&values), &nameplate()), total);
            if !can_be {
                let found = examine(&samples(&values), &nameplate());
                prop_assert!(found.breaks.is_empty() && found.misread.len() <= MISREADS_MAX, "{:?}", found);
            }
        }
    }
}
