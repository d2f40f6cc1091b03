//! What is missing, and why.
//!
//! A gap is a run of moments without a reading that may be used. Where there is a row, it says why itself; where there
//! is none, what else was heard of the facility at that time says it.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Serialize;
use store::Sample;
use units::Reason;

use super::grid::Grid;

/// Gaps that are named, of one series in one question; those behind them are counted.
pub(crate) const GAPS_MAX: usize = 1_000;
/// A reading that came for a gap and could not be read came this long after it at most.
const LETTER_DELAY_MS: i64 = 120_000;

/// Why there is no reading that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// Nothing was heard of the whole facility.
    GatewaySilent,
    /// The gateway asked, and the device did not answer.
    DeviceSilent,
    /// Other devices were heard, of this one there is not even a row.
    DeviceAbsent,
    /// The gateway's clock was not set, or it was ahead, around this time.
    Clock,
    /// The gateway's copy was damaged on its disk.
    Damaged,
    /// The gateway's spool was full.
    SpoolFull,
    /// Something came and could not be read: it is a dead letter.
    DeadLetter,
    /// There is a value, and it cannot be.
    Invalid,
    /// Somebody took the value away.
    Withdrawn,
}

impl Cause {
    pub(crate) const ALL: [Self; 9] = [
        Self::GatewaySilent,
        Self::DeviceSilent,
        Self::DeviceAbsent,
        Self::Clock,
        Self::Damaged,
        Self::SpoolFull,
        Self::DeadLetter,
        Self::Invalid,
        Self::Withdrawn,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GatewaySilent => "gateway_silent",
            Self::DeviceSilent => "device_silent",
            Self::DeviceAbsent => "device_absent",
            Self::Clock => "clock",
            Self::Damaged => "damaged",
            Self::SpoolFull => "spool_full",
            Self::DeadLetter => "dead_letter",
            Self::Invalid => "invalid",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Why a gateway gave a frame up.
    pub(crate) const fn of_loss(code: u32) -> Self {
        if code == wire::Lost::MadeRoom.code() { Self::SpoolFull } else { Self::Damaged }
    }
}

/// What is known of a facility besides the readings of one series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// Minutes in which any device was heard.
    pub(crate) heard: BTreeSet<i64>,
    /// Frames that gateways had to give up: their minute, and why.
    pub(crate) lost: Vec<(i64, Cause)>,
    /// Dead letters: when they came, and whether their clock was the reason.
    pub(crate) letters: Vec<(i64, Cause)>,
}

impl Surroundings {
    pub(crate) const MINUTE_MS: i64 = 60_000;

    /// Why there is no row in a stretch of time.
    fn cause(&self, stretch: &Range<i64>) -> Cause {
        let told = self.lost.iter().find(|(at_ms, _)| stretch.contains(at_ms));
        let told = told.or_else(|| self.letters.iter().find(|(at_ms, _)| (stretch.start..stretch.end + LETTER_DELAY_MS).contains(at_ms)));
        if let Some((_, cause)) = told {
            return *cause;
        }
        let minutes = stretch.start.div_euclid(Self::MINUTE_MS)..=(stretch.end - 1).div_euclid(Self::MINUTE_MS);
        if self.heard.range(minutes).next().is_some() { Cause::DeviceAbsent } else { Cause::GatewaySilent }
    }
}

/// A run of moments without a reading that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// By the grid of the series.
    pub(crate) slots: Range<i64>,
    /// Half-open, UTC milliseconds.
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) cause: Cause,
}

/// How complete a series is in a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) expected: u64,
    /// With a row, whatever it says.
    pub(crate) present: u64,
    /// With a value that may be used.
    pub(crate) usable: u64,
    /// Of the usable: filled in by a method, or by hand.
    pub(crate) estimated: u64,
    pub(crate) edited: u64,
    pub(crate) gaps: Vec<Gap>,
    /// Gaps behind these.
    pub(crate) more_gaps: u64,
}

/// What stands at a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Usable(Reason),
    Measured,
    Missing(Cause),
}

impl Coverage {
    /// Looks through the newest versions of a series, in order of time.
    pub(crate) fn of(samples: &[Sample], grid: Grid, range: &Range<i64>, around: &Surroundings) -> Self {
        let mut found = Self::default();
        let slots = grid.slots(range);
        found.expected = u64::try_from(slots.end - slots.start).unwrap_or(0);
        let first = samples.partition_point(|sample| grid.slot(sample.ts_ms) < slots.start);
        let mut rest = samples.iter().skip(first).peekable();
        let mut run: Option<Gap> = None;
        let mut unset = false;
        for slot in slots {
            let mut here: Option<Slot> = None;
            while let Some(sample) = rest.next_if(|sample| grid.slot(sample.ts_ms) <= slot) {
                unset = sample.quality.has(Reason::ClockUnsynced);
                here = Some(better(here, standing(sample)));
            }
            found.present += u64::from(here.is_some());
            let cause = match here {
                Some(Slot::Measured) => None,
                Some(Slot::Usable(reason)) => {
                    if reason == Reason::Estimated {
                        found.estimated += 1
                    } else {
                        found.edited += 1
                    }
                    None
                }
                Some(Slot::Missing(cause)) => Some(cause),
                // What was read before the clock was set may stand at another time.
                None if unset || rest.peek().is_some_and(|next| next.quality.has(Reason::ClockUnsynced)) => Some(Cause::Clock),
                None => Some(around.cause(&(grid.at(slot)..grid.at(slot) + grid.interval_ms()))),
            };
            found.usable += u64::from(cause.is_none());
            match (&mut run, cause) {
                (Some(gap), Some(cause)) if gap.cause == cause => (gap.slots.end, gap.to_ms) = (slot + 1, grid.at(slot + 1)),
                (_, Some(cause)) => {
                    let next = Gap { slots: slot..slot + 1, from_ms: grid.at(slot), to_ms: grid.at(slot + 1), cause };
                    found.close(run.replace(next));
                }
                (_, None) => found.close(run.take()),
            }
        }
        found.close(run);
        found
    }

    fn close(&mut self, gap: Option<Gap>) {
        match gap {
            Some(gap) if self.gaps.len() < GAPS_MAX => self.gaps.push(gap),
            Some(_) => self.more_gaps += 1,
            None => {}
        }
    }
}

/// Of two rows of one moment the usable one counts.
fn better(one: Option<Slot>, other: Slot) -> Slot {
    match (one, other) {
        (Some(Slot::Measured), _) | (None | Some(Slot::Missing(_)), Slot::Measured) => Slot::Measured,
        (Some(Slot::Usable(reason)), Slot::Missing(_)) => Slot::Usable(reason),
        (_, other) => other,
    }
}

fn standing(sample: &Sample) -> Slot {
    let quality = sample.quality;
    if sample.raw.is_none() && quality.has(Reason::Edited) {
        return Slot::Missing(Cause::Withdrawn);
    }
    if sample.raw.is_none() {
        return Slot::Missing(if quality.has(Reason::InvalidMarker) { Cause::Invalid } else { Cause::DeviceSilent });
    }
    if !quality.is_usable() {
        return Slot::Missing(Cause::Invalid);
    }
    match [Reason::Estimated, Reason::Edited, Reason::Substituted].into_iter().find(|reason| quality.has(*reason)) {
        Some(reason) => Slot::Usable(reason),
        None => Slot::Measured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use units::Quality;

    fn sample(minute: i64, raw: Option<i64>, quality: Quality) -> Sample {
        Sample { ts_ms: minute * 60_000, raw, quality, words: None, seq: 1, version: 0, lsn: 1 }
    }

    fn minutes(coverage: &Coverage) -> Vec<(i64, i64, &'static str)> {
        coverage.gaps.iter().map(|gap| (gap.from_ms / 60_000, gap.to_ms / 60_000, gap.cause.name())).collect()
    }

    #[test]
    fn each_gap_has_its_cause() {
        let silent = |minute| sample(minute, None, Quality::SILENT);
        let good = |minute| sample(minute, Some(5), Quality::GOOD);
        let unset = |minute| sample(minute, Some(5), Quality::uncertain(Reason::ClockUnsynced));
        let samples = [
            good(0),
            silent(1),
            silent(2),
            good(3),
            // 4 and 5: nothing was heard. 6 and 7: others were.
            good(8),
            sample(9, Some(-1), Quality::bad(Reason::OutOfRange)),
            sample(10, None, Quality::bad(Reason::NoValue).with(Reason::Edited)),
            sample(11, Some(7), Quality::uncertain(Reason::Estimated)),
            // 12: damaged, 13: a dead letter.
            good(14),
            unset(15),
            // 16 and 17: the clock was set.
            good(18),
            sample(19, None, Quality::bad(Reason::InvalidMarker).with(Reason::NoValue)),
        ];
        let around = Surroundings {
            heard: [0, 1, 2, 3, 6, 7, 8, 9, 10, 14, 15, 18, 19].into(),
            lost: vec![(12 * 60_000, Cause::Damaged)],
            letters: vec![(13 * 60_000 + 900, Cause::DeadLetter)],
        };
        let found = Coverage::of(&samples, Grid::new(60_000, 0), &(0..20 * 60_000), &around);
        assert_eq!(
            minutes(&found),
            [
                (1, 3, "device_silent"),
                (4, 6, "gateway_silent"),
                (6, 8, "device_absent"),
                (9, 10, "invalid"),
                (10, 11, "withdrawn"),
                (12, 13, "damaged"),
                (13, 14, "dead_letter"),
                (16, 18, "clock"),
                (19, 20, "invalid"),
            ]
        );
        assert_eq!((found.expected, found.present, found.usable, found.estimated, found.edited), (20, 12, 7, 1, 0));
    }

    #[test]
    fn of_two_rows_of_a_moment_the_usable_one_counts() {
        let good = Sample { ts_ms: 61_000, ..sample(1, Some(5), Quality::GOOD) };
        let withdrawn = sample(1, None, Quality::bad(Reason::NoValue).with(Reason::Edited));
        let found = Coverage::of(&[withdrawn, good], Grid::new(60_000, 0), &(60_000..120_000), &Surroundings::default());
        assert_eq!((found.expected, found.usable, found.gaps.len()), (1, 1, 0));
    }

    proptest! {
        /// Every moment is usable or in exactly one gap.
        #[test]
        fn gaps_and_readings_are_the_whole(readings in prop::collection::btree_map(0_i64..200, 0_u8..4, 0..150), heard in prop::collection::btree_set(0_i64..200, 0..50), from in 0_i64..100, length in 1_i64..100) {
            let samples: Vec<Sample> = readings.iter().map(|(minute, kind)| match kind {
                0 => sample(*minute, None, Quality::SILENT),
                1 => sample(*minute, Some(1), Quality::bad(Reason::OutOfRange)),
                2 => sample(*minute, Some(1), Quality::uncertain(Reason::Estimated)),
                _ => sample(*minute, Some(1), Quality::GOOD),
            }).collect();
            let around = Surroundings { heard, ..Surroundings::default() };
            let range = from * 60_000..(from + length) * 60_000;
            let found = Coverage::of(&samples, Grid::new(60_000, 0), &range, &around);
            let mut missing: Vec<i64> = found.gaps.iter().flat_map(|gap| gap.slots.clone()).collect();
            let usable: Vec<i64> = (from..from + length).filter(|minute| readings.get(minute).is_some_and(|kind| *kind > 1)).collect();
            prop_assert_eq!(found.usable, usable.len() as u64);
            missing.extend(usable);
            missing.sort_unstable();
            prop_assert_eq!(missing, (from..from + length).collect::<Vec<_>>());
            prop_assert!(found.gaps.windows(2).all(|pair| pair[0].to_ms < pair[1].from_ms || pair[0].cause != pair[1].cause));
        }
    }
}
