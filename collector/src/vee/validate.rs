//! What readings say that cannot be so, or that somebody should look at. It is said, and changes nothing.
//!
//! | rule | of what | when |
//! |---|---|---|
//! | `misread/1` | counters | up to three readings that the counter cannot have shown |
//! | `counter-rollover/1`, `counter-reset/1`, `meter-exchange/1`, `counter-jump/1` | counters | it does not go on, see `counter` |
//! | `counter-stuck/1` | counters | it stands still while the device's own power says that ten steps and more have passed |
//! | `spike/1` | sampled values | ten times as far from the six around it as these are from each other, and by a fifth |
//! | `spike-peak/1` | intervals | the day's highest is 2.8 times its third highest: the usual check of interval meters |
//! | `frozen/1` | voltage, current, power, temperature | the same value that is not zero, so many times in a row |

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use store::Sample;
use units::{Measured, Unit};

use super::counter::{self, Break, BreakKind, Nameplate};
use super::estimate::Kind;

/// Findings of one series in one question; more say nothing new.
pub(crate) const FINDINGS_MAX: usize = 500;
/// Readings on each side of one that may be a spike.
const AROUND: usize = 3;

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: &'static str,
    /// The first and the last reading that it is about, UTC milliseconds.
    pub(crate) from_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) readings: usize,
    pub(crate) detail: String,
}

/// A series as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    pub(crate) exponent: i8,
    /// The newest version of each time, in order.
    pub(crate) samples: &'a [Sample],
    pub(crate) nameplate: &'a Nameplate,
    pub(crate) zone: &'a TimeZone,
    /// So often the same value is suspicious.
    pub(crate) frozen_readings: usize,
    /// The device's own power, with its unit and exponent.
    pub(crate) power: Option<(&'a [Sample], Unit, i8)>,
}

type Reading = (i64, i64);

impl Checked<'_> {
    /// Everything that the rules find, in order of time.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let readings: Vec<Reading> = self.samples.iter().filter_map(|sample| Some((sample.ts_ms, usable(sample)?))).collect();
        let mut found = match self.kind {
            Kind::Counter => self.counter(&readings),
            Kind::Interval => self.peaks(&readings),
            Kind::Sampled => {
                let mut found = self.spikes(&readings);
                found.extend(self.frozen(&readings));
                found
            }
        };
        found.sort_by_key(|finding| (finding.from_ms, finding.rule));
        found.truncate(FINDINGS_MAX);
        found
    }

    fn text(&self, raw: i64) -> String {
        Measured { raw, exponent: self.exponent, unit: self.unit }.to_string()
    }

    fn counter(&self, readings: &[Reading]) -> Vec<Finding> {
        let examined = counter::examine(self.samples, self.nameplate);
        let broken = examined.breaks.iter().map(|broken| self.broken(broken));
        let misread = examined.misread.iter().filter_map(|place| self.samples.get(*place)).map(|sample| {
            one("misread/1", sample.ts_ms, format!("the counter cannot have shown {}", self.text(sample.raw.unwrap_or_default())))
        });
        broken.chain(misread).chain(self.stuck(readings)).collect()
    }

    fn broken(&self, broken: &Break) -> Finding {
        let Break { kind, before, after, passed, .. } = broken;
        let said = match kind {
            BreakKind::Rollover => "ran out of digits",
            BreakKind::Reset => "was set back",
            BreakKind::Exchange => "is that of another meter",
            BreakKind::Jump => "rose by more than can have passed",
        };
        let passed = passed.map_or_else(String::new, |passed| format!(", {} passed", self.text(passed)));
        let detail = format!("the counter {said}: {}, then {}{passed}", self.text(before.1), self.text(after.1));
        Finding { rule: kind.rule(), from_ms: before.0, last_ms: after.0, readings: 2, detail }
    }

    /// Runs of one value while power says that ten steps have passed.
    fn stuck(&self, readings: &[Reading]) -> Vec<Finding> {
        let Some((power, unit, exponent)) = self.power else { return Vec::new() };
        let to_watt = match unit {
            Unit::Watt => 0,
            Unit::Kilowatt => 3,
            _ => return Vec::new(),
        };
        let Some(energy) = self.unit.watt_hour_exponent() else { return Vec::new() };
        // Steps of the power, times milliseconds, in one step of the counter.
        let shift = i32::from(energy) + i32::from(self.exponent) - to_watt - i32::from(exponent);
        let Some(ten) = 10_i128.checked_pow(shift.unsigned_abs()) else { return Vec::new() };
        let hour = 3_600_000_i128;
        let runs = readings.chunk_by(|one, next| one.1 == next.1).filter(|run| run.len() > AROUND);
        let stuck = runs.filter_map(|run| {
            let (from_ms, last_ms) = (run.first()?.0, run.last()?.0);
            let from = power.partition_point(|sample| sample.ts_ms < from_ms);
            let to = power.partition_point(|sample| sample.ts_ms <= last_ms);
            let mut worked = 0_i128;
            for pair in power.get(from..to)?.windows(2) {
                let [one, next] = pair else { continue };
                worked += i128::from(usable(one).unwrap_or(0).max(0)) * i128::from(next.ts_ms - one.ts_ms);
            }
            let (worked, step) = if shift >= 0 { (worked, hour * ten) } else { (worked * ten, hour) };
            let steps = worked / step;
            let passed = self.text(i64::try_from(steps).unwrap_or(i64::MAX));
            let detail = format!("the counter stands at {} while its device says that {passed} passed", self.text(run.first()?.1));
            (steps >= 10).then_some(Finding { rule: "counter-stuck/1", from_ms, last_ms, readings: run.len(), detail })
        });
        stuck.collect()
    }

    fn spikes(&self, readings: &[Reading]) -> Vec<Finding> {
        let spike = |window: &[Reading]| {
            let (ts_ms, value) = *window.get(AROUND)?;
            let mut around: Vec<i64> = window.iter().enumerate().filter(|(at, _)| *at != AROUND).map(|(_, reading)| reading.1).collect();
            around.sort_unstable();
            let middle = *around.get(AROUND - 1)?;
            let mut apart: Vec<i64> = around.iter().map(|value| value.saturating_sub(middle).saturating_abs()).collect();
            apart.sort_unstable();
            let spread = i128::from(*apart.get(AROUND)?);
            let off = i128::from(value).abs_diff(i128::from(middle)).cast_signed();
            let is_spike = off > 10 * spread.max(1) && 5 * off > i128::from(middle).abs() && i128::from(middle) != 0;
            is_spike.then(|| one("spike/1", ts_ms, format!("{} among {}", self.text(value), self.text(middle))))
        };
        readings.windows(2 * AROUND + 1).filter_map(spike).collect()
    }

    /// The highest of a day against its third highest.
    fn peaks(&self, readings: &[Reading]) -> Vec<Finding> {
        let mut days: BTreeMap<Date, Vec<Reading>> = BTreeMap::new();
        for (ts_ms, value) in readings {
            let Ok(at) = Timestamp::from_millisecond(*ts_ms) else { continue };
            days.entry(self.zone.to_datetime(at).date()).or_default().push((*ts_ms, *value));
        }
        let peak = |mut day: Vec<Reading>| {
            day.sort_by_key(|(_, value)| std::cmp::Reverse(*value));
            let [(ts_ms, highest), _, (_, third), ..] = day.as_slice() else { return None };
            let is_peak = *third > 0 && i128::from(*highest) * 5 > i128::from(*third) * 14;
            let detail = || format!("{} where the day's third highest is {}", self.text(*highest), self.text(*third));
            is_peak.then(|| one("spike-peak/1", *ts_ms, detail()))
        };
        days.into_values().filter_map(peak).collect()
    }

    fn frozen(&self, readings: &[Reading]) -> Vec<Finding> {
        let trembles = matches!(
            self.unit,
            Unit::Volt | Unit::Ampere | Unit::Watt | Unit::Kilowatt | Unit::Var | Unit::VoltAmpere | Unit::Celsius | Unit::Fahrenheit
        );
        if !trembles || self.frozen_readings == 0 {
            return Vec::new();
        }
        let runs = readings.chunk_by(|one, next| one.1 == next.1).filter(|run| run.len() >= self.frozen_readings);
        let frozen = runs.filter_map(|run| {
            let ((from_ms, value), (last_ms, _)) = (*run.first()?, *run.last()?);
            let detail = format!("{} times {}", run.len(), self.text(value));
            (value != 0).then_some(Finding { rule: "frozen/1", from_ms, last_ms, readings: run.len(), detail })
        });
        frozen.collect()
    }
}

fn usable(sample: &Sample) -> Option<i64> {
    sample.raw.filter(|_| sample.quality.is_usable())
}

fn one(rule: &'static str, ts_ms: i64, detail: String) -> Finding {
    Finding { rule, from_ms: ts_ms, last_ms: ts_ms, readings: 1, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Quality;

    fn samples(step_ms: i64, values: &[i64]) -> Vec<Sample> {
        let one = |(at, raw): (i64, &i64)| Sample {
            ts_ms: at * step_ms,
            raw: Some(*raw),
            quality: Quality::GOOD,
            words: None,
            seq: 1,
            version: 0,
            lsn: 1,
        };
        (0..).zip(values).map(one).collect()
    }

    fn found(kind: Kind, unit: Unit, samples: &[Sample], power: Option<&[Sample]>) -> Vec<String> {
        let nameplate = Nameplate { per_hour_max: Nameplate::steps_per_hour(100_000, unit, -2), exchanged: Vec::new() };
        let checked = Checked {
            kind,
            unit,
            exponent: -2,
            samples,
            nameplate: &nameplate,
            zone: &TimeZone::UTC,
            frozen_readings: 10,
            power: power.map(|power| (power, Unit::Watt, 0)),
        };
        let line = |finding: &Finding| format!("{}-{} {} {}", finding.from_ms, finding.last_ms, finding.rule, finding.detail);
        checked.findings().iter().map(line).collect()
    }

    #[test]
    fn each_rule_says_what_it_saw() {
        let mut said = found(Kind::Counter, Unit::KilowattHour, &samples(60_000, &[9_980, 9_990, 5, 9_000_000, 20, 30]), None);
        said.extend(found(Kind::Counter, Unit::KilowattHour, &samples(60_000, &[500, 510, 0, 10, 20, 30]), None));
        let volts = [2300, 2310, 2305, 2290, 9999, 2300, 2302, 2299, 2310];
        said.extend(found(Kind::Sampled, Unit::Volt, &samples(60_000, &volts), None));
        said.extend(found(Kind::Sampled, Unit::Volt, &samples(60_000, &[2300; 12]), None));
        said.extend(found(Kind::Interval, Unit::KilowattHour, &samples(3_600_000, &[100, 120, 130, 900, 110]), None));
        let power = samples(60_000, &[60_000; 8]);
        said.extend(found(Kind::Counter, Unit::KilowattHour, &samples(60_000, &[7; 8]), Some(&power)));
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn what_is_usual_is_not_said() {
        let none: Vec<String> = Vec::new();
        assert_eq!(found(Kind::Counter, Unit::KilowattHour, &samples(60_000, &[1, 1, 2, 3, 5, 5, 5]), None), none);
        assert_eq!(found(Kind::Sampled, Unit::Watt, &samples(60_000, &[0; 50]), None), none, "nothing runs at night");
        assert_eq!(found(Kind::Sampled, Unit::Ratio, &samples(60_000, &[98; 50]), None), none, "a power factor stands still");
        let steps = [100, 101, 102, 500, 501, 499, 503, 500, 502];
        assert_eq!(found(Kind::Sampled, Unit::Watt, &samples(60_000, &steps), None), none, "something is switched on");
        assert_eq!(found(Kind::Interval, Unit::KilowattHour, &samples(3_600_000, &[100, 120, 130, 300, 110]), None), none);
        let night = samples(60_000, &[3; 8]);
        assert_eq!(found(Kind::Counter, Unit::KilowattHour, &samples(60_000, &[7; 8]), Some(&night)), none);
    }
}
