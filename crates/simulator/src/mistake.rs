//! What installers do wrong, as the meter then sees it.
//!
//! A mistake changes what a meter measures and never how well it measures: every register agrees with every other, which is why
//! nobody notices. Counters follow the wrong power from the moment of the mistake on. What is a mistake of the configuration (a
//! wrong map, a wrong word order, a resettable counter) needs nothing here: configure something else than the meter is.

use jiff::Timestamp;
use units::{Measured, Unit};

use crate::electrical::{Installation, Snapshot};

/// Something that was done wrong when a meter was installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The current transformer of a phase (1 to 3) looks the wrong way.
    ReversedTransformer { phase: u8 },
    /// The transformers of two phases are exchanged.
    CrossedPhases { first: u8, second: u8 },
    /// The meter is set to another ratio: it shows `shown` where `real` flows.
    Ratio { shown: u32, real: u32 },
    /// The measuring part stands still, and the registers keep what they showed then.
    Frozen { at: Timestamp },
    /// Its clock is this many seconds ahead.
    Clock { ahead_s: i64 },
}

/// The ratio of the transformers of a meter that is set rightly: 200 to 5 A.
const RATIO: i64 = 40;
const MINUTE_MS: i64 = 60_000;
/// The sine of 120 degrees, in millionths.
const SIN_120: i128 = 866_025;

/// The moment whose quantities a meter shows.
pub(crate) fn moment(mistakes: &[Mistake], at: Timestamp) -> Timestamp {
    let frozen = mistakes.iter().find_map(|mistake| match mistake {
        Mistake::Frozen { at } => Some(*at),
        _ => None,
    });
    frozen.map_or(at, |frozen| frozen.min(at))
}

/// What a meter measures that was installed like this at `since`.
pub(crate) fn snapshot(installation: &Installation, mistakes: &[Mistake], since: Timestamp, at: Timestamp) -> Snapshot {
    let mut shown = spoil(installation.snapshot(at), mistakes);
    let spoils = |mistake: &Mistake| !matches!(mistake, Mistake::Frozen { .. } | Mistake::Clock { .. });
    if !mistakes.iter().any(spoils) || at <= since {
        return shown;
    }
    let before = installation.snapshot(since);
    // Power changes at full minutes: counters are the sum over the pieces.
    let (mut from_ms, end_ms) = (since.as_millisecond(), at.as_millisecond());
    let mut gained = [(0_i128, 0_i128); 3];
    while from_ms < end_ms {
        let to_ms = ((from_ms.div_euclid(MINUTE_MS) + 1) * MINUTE_MS).min(end_ms);
        let piece = spoil(installation.snapshot(Timestamp::from_millisecond(from_ms).unwrap_or(at)), mistakes);
        for (gained, phase) in gained.iter_mut().zip(&piece.phases) {
            let energy = i128::from(phase.power_mw) * i128::from(to_ms - from_ms);
            if energy >= 0 { gained.0 += energy } else { gained.1 -= energy }
        }
        from_ms = to_ms;
    }
    for ((phase, before), (import, export)) in shown.phases.iter_mut().zip(&before.phases).zip(gained) {
        let energy_mwh = |energy: i128| i64::try_from(energy / 3_600_000).unwrap_or(i64::MAX);
        phase.import_mwh = before.import_mwh + energy_mwh(import);
        phase.export_mwh = energy_mwh(export);
    }
    shown
}

/// What a meter shows of itself.
pub(crate) fn nameplate(mistakes: &[Mistake], id: &str, unit: Unit, at: Timestamp) -> Option<Measured> {
    let raw = match id {
        "clock" => {
            let ahead = mistakes.iter().map(|mistake| if let Mistake::Clock { ahead_s } = mistake { *ahead_s } else { 0 });
            at.as_second() + ahead.sum::<i64>()
        }
        "ct_ratio" => mistakes.iter().fold(RATIO, |ratio, mistake| match mistake {
            Mistake::Ratio { shown, real } => ratio * i64::from(*shown) / i64::from(*real),
            _ => ratio,
        }),
        _ => return None,
    };
    Some(Measured { raw, exponent: 0, unit })
}

fn spoil(mut snapshot: Snapshot, mistakes: &[Mistake]) -> Snapshot {
    for mistake in mistakes {
        match *mistake {
            Mistake::ReversedTransformer { phase } => {
                if let Some(phase) = snapshot.phases.get_mut(index(phase)) {
                    phase.power_mw = -phase.power_mw;
                    phase.factor_ppm = -phase.factor_ppm;
                }
            }
            Mistake::CrossedPhases { first, second } => cross(&mut snapshot, index(first), index(second)),
            Mistake::Ratio { shown, real } => {
                let scaled = |amount: i64| amount * i64::from(shown) / i64::from(real);
                for phase in &mut snapshot.phases {
                    phase.current_ua = scaled(phase.current_ua);
                    phase.power_mw = scaled(phase.power_mw);
                    phase.apparent_mva = scaled(phase.apparent_mva);
                    phase.reactive_mvar = scaled(phase.reactive_mvar);
                }
            }
            Mistake::Frozen { .. } | Mistake::Clock { .. } => {}
        }
    }
    snapshot
}

fn index(phase: u8) -> usize {
    usize::from(phase.saturating_sub(1))
}

/// The currents of two phases at one another's voltage, 120 degrees apart.
fn cross(snapshot: &mut Snapshot, first: usize, second: usize) {
    let (Some(&one), Some(&two)) = (snapshot.phases.get(first), snapshot.phases.get(second)) else { return };
    // Voltage 1 leads voltage 2 leads voltage 3 leads voltage 1.
    let leads = (first + 1) % 3 == second;
    for (at, mine, theirs, ahead) in [(first, one, two, leads), (second, two, one, !leads)] {
        let apparent = i128::from(mine.voltage_mv) * i128::from(theirs.current_ua) / 1_000_000;
        let cos = i128::from(theirs.factor_ppm);
        let sin = i128::try_from((1_000_000_000_000 - cos * cos).unsigned_abs().isqrt()).unwrap_or(0);
        let turn = if ahead { -SIN_120 } else { SIN_120 };
        let factor = -cos / 2 + turn * sin / 1_000_000;
        let part = |number: i128| i64::try_from(number).unwrap_or(i64::MAX);
        let rest = i128::try_from((1_000_000_000_000 - factor * factor).unsigned_abs().isqrt()).unwrap_or(0);
        if let Some(phase) = snapshot.phases.get_mut(at) {
            phase.current_ua = theirs.current_ua;
            phase.apparent_mva = part(apparent);
            phase.factor_ppm = part(factor);
            phase.power_mw = part(apparent * factor / 1_000_000);
            phase.reactive_mvar = part(apparent * rest / 1_000_000);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::ToSpan;

    use super::*;
    use crate::{DrivenClock, Grid, Load, Meter};

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn meter(mistake: Option<Mistake>) -> (Meter, DrivenClock) {
        let clock = DrivenClock::new(START, START + 10.hours());
        let load = Load::hourly(&[(START, 30_000), (START + 1.hour(), 30_000)]).unwrap();
        let profile = devices::find("eastron-sdm630").unwrap();
        let meter = Meter::electrical(profile, &load, Grid::EUROPE, 3, 100_000, Arc::new(clock.clone()));
        (
            match mistake {
                Some(mistake) => meter.with_mistake(mistake),
                None => meter,
            },
            clock,
        )
    }

    fn shown(meter: &Meter, id: &str, minutes: i64) -> f64 {
        meter.truth(id, START + minutes.minutes()).unwrap().to_f64()
    }

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() <= 0.01 * one.abs().max(other.abs()) + 0.01
    }

    #[test]
    fn a_reversed_transformer_turns_one_phase_round() {
        let ((right, _), (wrong, _)) = (meter(None), meter(Some(Mistake::ReversedTransformer { phase: 2 })));
        let of = |meter, id| shown(meter, id, 30);
        assert!(near(of(&wrong, "p2"), -of(&right, "p2")) && near(of(&wrong, "p1"), of(&right, "p1")));
        assert!(near(of(&wrong, "p"), of(&right, "p") - 2.0 * of(&right, "p2")));
        assert!(near(of(&wrong, "i2"), of(&right, "i2")) && near(of(&wrong, "pf2"), -of(&right, "pf2")));
        let net = of(&wrong, "e_imp") - of(&wrong, "e_exp") - 100.0;
        assert!(near(net, of(&wrong, "p") * 0.0005), "{net}");
    }

    #[test]
    fn crossed_phases_lose_three_halves_of_their_power() {
        let ((right, _), (wrong, _)) = (meter(None), meter(Some(Mistake::CrossedPhases { first: 1, second: 2 })));
        let of = |meter, id| shown(meter, id, 30);
        assert!(near(of(&wrong, "i1"), of(&right, "i2")) && near(of(&wrong, "v1"), of(&right, "v1")));
        for phase in 1..=3 {
            let of = |letter: &str| shown(&wrong, &format!("{letter}{phase}"), 30);
            assert!(near(of("v") * of("i") * of("pf"), of("p")), "phase {phase}");
        }
        assert!(of(&wrong, "pf1") < -0.5 && of(&wrong, "pf2") < 0.0 && near(of(&wrong, "p3"), of(&right, "p3")));
    }

    #[test]
    fn ratio_frost_and_clock_do_what_they_say() {
        let ((right, _), (half, _)) = (meter(None), meter(Some(Mistake::Ratio { shown: 20, real: 40 })));
        assert!(near(shown(&half, "i1", 30), shown(&right, "i1", 30) / 2.0) && near(shown(&half, "v1", 30), shown(&right, "v1", 30)));
        assert!(near(shown(&half, "e_imp", 60) - 100.0, (shown(&right, "e_imp", 60) - 100.0) / 2.0));
        let (frozen, _) = meter(Some(Mistake::Frozen { at: START + 10.minutes() }));
        assert!(near(shown(&frozen, "e_imp", 50), shown(&right, "e_imp", 10)));
        let at = |mistakes: &[Mistake]| nameplate(mistakes, "clock", Unit::Second, START + 1.hour()).unwrap().raw;
        assert_eq!((at(&[]), at(&[Mistake::Clock { ahead_s: 120 }])), (3_600, 3_720));
        assert_eq!(nameplate(&[Mistake::Ratio { shown: 20, real: 40 }], "ct_ratio", Unit::Ratio, START).unwrap().raw, 20);
    }
}
