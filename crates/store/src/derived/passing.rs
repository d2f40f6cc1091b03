//! What a counter says has passed, quarter by quarter.
//!
//! What passes between two readings belongs to the quarter of the earlier one: with a reading at every full minute, ten
//! o'clock to a quarter past is the reading at a quarter past less the reading at ten. So the quarters of a counter add up
//! to the difference of its last and its first reading, gaps included.
//!
//! Where a counter simply goes on, two numbers of each quarter say so. Where it does not (a misread register, the end of
//! its digits, a reset, another meter), the readings around are looked at as the rules of validation look at them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::quarter::{Figures, QUARTER_MS, Quarter, quarter_of};
use crate::counter::{Nameplate, rises};
use crate::row::Sample;

/// So many usable readings on each side of a break are looked at with it: misreads come in shorter runs.
const AROUND: u32 = 4;

/// What passed from the first reading of a quarter on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// None where a break says nothing of it, and where there are no readings any more that could.
    pub(crate) raw: Option<i64>,
    /// The reading up to which it passed: the first one behind the quarter, or else the last one in it.
    pub(crate) to_ms: i64,
    /// How often the counter did not simply go on.
    pub(crate) breaks: u32,
}

/// What passed in each of the quarters, in order; none of a quarter without a usable value.
///
/// * `readings`: the newest version of each time in a range, of the readings that there are.
pub(crate) fn passed<E>(
    quarters: &[Quarter],
    nameplate: &Nameplate,
    mut readings: impl FnMut(Range<i64>) -> Result<Vec<Sample>, E>,
) -> Result<Vec<Option<Passed>>, E> {
    let known: Vec<(usize, &Quarter, &Figures)> =
        quarters.iter().enumerate().filter_map(|(at, quarter)| Some((at, quarter, quarter.figures.as_ref()?))).collect();
    let mut found: Vec<Passed> = Vec::with_capacity(known.len());
    let mut rough: Vec<usize> = Vec::new();
    for (at, (_, _, here)) in known.iter().enumerate() {
        let next = known.get(at + 1).map(|(_, _, next)| next.first);
        let (inner_goes_on, to) = (here.falls == 0 && goes_on(here.first, here.last, nameplate), next.unwrap_or(here.last));
        let step_goes_on = goes_on(here.last, to, nameplate);
        if !inner_goes_on || !step_goes_on {
            rough.push(at);
        }
        if !step_goes_on {
            rough.push(at + 1);
        }
        found.push(Passed { raw: to.1.checked_sub(here.first.1), to_ms: to.0, breaks: 0 });
    }
    rough.dedup();
    for zone in zones(&known, &rough) {
        let wide = widened(&known, zone.clone());
        let Some(window) = known.get(wide.clone()).and_then(|known| Some(known.first()?.1.start_ms..known.last()?.1.start_ms + QUARTER_MS))
        else {
            continue;
        };
        let samples = readings(window)?;
        let usable = samples.iter().filter(|sample| sample.raw.is_some() && sample.quality.is_usable()).count();
        let expected: u64 = known.get(wide).unwrap_or_default().iter().map(|(_, quarter, _)| u64::from(quarter.usable())).sum();
        if usable as u64 != expected {
            for passed in found.get_mut(zone).unwrap_or_default() {
                (passed.raw, passed.breaks) = (None, 1);
            }
            continue;
        }
        let by_quarter = sums(&samples, nameplate);
        for ((_, quarter, figures), passed) in
            known.get(zone.clone()).unwrap_or_default().iter().zip(found.get_mut(zone).unwrap_or_default())
        {
            // A quarter of which every reading was misread saw nothing pass.
            let nothing = Passed { raw: Some(0), to_ms: figures.last.0, breaks: 0 };
            *passed = by_quarter.get(&quarter.start_ms).copied().unwrap_or(nothing);
        }
    }
    let mut all = vec![None; quarters.len()];
    for ((at, ..), passed) in known.iter().zip(found) {
        if let Some(place) = all.get_mut(*at) {
            *place = Some(passed);
        }
    }
    Ok(all)
}

/// Whether a counter can simply have gone from one reading to the other.
fn goes_on(before: (i64, i64), after: (i64, i64), nameplate: &Nameplate) -> bool {
    let rise = i128::from(after.1) - i128::from(before.1);
    rise >= 0 && rise <= nameplate.passes_max(before.0, after.0) && nameplate.exchange(before.0, after.0).is_none()
}

type Known<'a> = (usize, &'a Quarter, &'a Figures);

/// Runs of quarters that are looked at closely: each rough one with what stands around it.
fn zones(known: &[Known<'_>], rough: &[usize]) -> Vec<Range<usize>> {
    let mut zones: Vec<Range<usize>> = Vec::new();
    for at in rough {
        let zone = widened(known, *at..at + 1);
        match zones.last_mut() {
            Some(last) if zone.start <= last.end => last.end = last.end.max(zone.end),
            _ => zones.push(zone),
        }
    }
    zones
}

/// With the quarters on both sides that have [`AROUND`] usable readings.
fn widened(known: &[Known<'_>], zone: Range<usize>) -> Range<usize> {
    let usable = |at: usize| known.get(at).map_or(0, |(_, quarter, _)| quarter.usable());
    let (mut start, mut end) = (zone.start, zone.end.min(known.len()));
    let mut seen = 0;
    while start > 0 && seen < AROUND {
        start -= 1;
        seen += usable(start);
    }
    seen = 0;
    while end < known.len() && seen < AROUND {
        seen += usable(end);
        end += 1;
    }
    start..end
}

/// What passed from each quarter's readings on.
fn sums(samples: &[Sample], nameplate: &Nameplate) -> BTreeMap<i64, Passed> {
    let mut found: BTreeMap<i64, Passed> = BTreeMap::new();
    for rise in rises(samples, nameplate) {
        let nothing = Passed { raw: Some(0), to_ms: rise.before.0, breaks: 0 };
        let passed = found.entry(quarter_of(rise.before.0)).or_insert(nothing);
        passed.raw = passed.raw.zip(rise.passed).and_then(|(sum, more)| sum.checked_add(more));
        passed.to_ms = rise.after.0;
        passed.breaks += u32::from(rise.broken);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Exchange, passed as passed_in_all};
    use crate::derived::quarter::quarters;
    use proptest::prelude::*;
    use units::Quality;

    fn samples(times: &[(i64, i64)]) -> Vec<Sample> {
        let one = |(ts_ms, raw): &(i64, i64)| Sample {
            ts_ms: *ts_ms,
            raw: Some(*raw),
            quality: Quality::GOOD,
            words: None,
            seq: 1,
            version: 0,
            lsn: 1,
        };
        times.iter().map(one).collect()
    }

    fn of(samples: &[Sample], nameplate: &Nameplate) -> Vec<Passed> {
        let scan = |range: Range<i64>| Ok::<_, ()>(samples.iter().filter(|sample| range.contains(&sample.ts_ms)).copied().collect());
        passed(&quarters(samples), nameplate, scan).unwrap().into_iter().flatten().collect()
    }

    #[test]
    fn a_quarter_ends_with_the_first_reading_of_the_next() {
        let minutes: Vec<(i64, i64)> = (0..46).map(|minute| (minute * 60_000, 1_000 + minute * minute)).collect();
        let found = of(&samples(&minutes), &Nameplate::default());
        let expected = [(225, 15), (675, 30), (1_125, 45), (0, 45)];
        assert_eq!(found.iter().map(|one| (one.raw.unwrap(), one.to_ms / 60_000)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_nobody_knows_is_not_a_number() {
        // Set back in the third quarter; the others stay what they are.
        let values = [100, 110, 120, 130, 0, 5, 10, 15];
        let times: Vec<(i64, i64)> = (0..).zip(values).map(|(at, raw)| (at * 450_000, raw)).collect();
        let found = of(&samples(&times), &Nameplate::default());
        assert_eq!(
            found.iter().map(|one| (one.raw, one.breaks)).collect::<Vec<_>>(),
            [(Some(20), 0), (None, 1), (Some(10), 0), (Some(5), 0)]
        );
        let exchanged = Exchange { at_ms: 1_700_000, displays: Some((131, 0)) };
        let known = Nameplate { per_hour_max: None, exchanged: vec![exchanged] };
        let found = of(&samples(&times), &known);
        assert_eq!(found.iter().map(|one| one.raw).collect::<Vec<_>>(), [Some(20), Some(11), Some(10), Some(5)]);
    }

    proptest! {
        /// Whatever breaks a counter: the quarters say together what its readings say together.
        #[test]
        fn quarters_add_up_to_what_the_readings_say(
            steps in proptest::collection::vec((1_i64..9, 0_i64..90), 20..160),
            digits in prop_oneof![Just(10_000_i64), Just(1_000_000_000)],
            start in 0_i64..10_000,
            wrong in proptest::collection::btree_map(4_usize..150, 0_i64..2, 0..3),
        ) {
            let (mut at, mut value, mut times) = (0, start, Vec::new());
            for (minutes, rise) in &steps {
                times.push((at, value));
                at += minutes * 60_000;
                value = (value + rise) % digits;
            }
            // Misread as nothing, or as far too much; not next to each other, nor at the ends.
            let mut last = 0;
            for (place, much) in wrong {
                if place > last + 8 && place + 8 < times.len() && times[place - 8].1 < times[place + 8].1 {
                    times[place].1 = much * 5_000_000_000;
                    last = place;
                }
            }
            let samples = samples(&times);
            let nameplate = Nameplate::default();
            let total = of(&samples, &nameplate).iter().try_fold(0_i64, |sum, one| Some(sum + one.raw?));
            prop_assert_eq!(total, passed_in_all(&samples, &nameplate));
            prop_assert_eq!(total.is_some(), true);
        }
    }
}
