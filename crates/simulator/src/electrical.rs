//! What an installation looks like to a meter: voltages, currents and powers that fit the energy that flows.
//!
//! Only the energy is given. Voltage and power factor wander a little around plausible values, by a hash of seed and time; currents
//! follow from them, so that V·I·PF = P holds on each phase and the phases add up to the total.

use jiff::Timestamp;
use units::{Measured, Unit};

use crate::load::Load;
use crate::seed::{mix, wobble};

/// The supply of a country, as far as a meter sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Phase to neutral.
    pub nominal_mv: i64,
    pub frequency_mhz: i64,
}

impl Grid {
    /// 230 V, 50 Hz.
    pub const EUROPE: Self = Self { nominal_mv: 230_000, frequency_mhz: 50_000 };
    /// 277 V (480 V between phases), 60 Hz: large buildings in North America.
    pub const NORTH_AMERICA: Self = Self { nominal_mv: 277_000, frequency_mhz: 60_000 };
}

/// A part of a building behind one meter.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    phases: Vec<Load>,
    /// What the counter showed before the load began, by phase.
    offset_mwh: Vec<i64>,
    grid: Grid,
    seed: u64,
}

impl Installation {
    /// Spreads a load over one or three phases, unevenly as in real buildings.
    pub(crate) fn new(load: &Load, phases: u8, grid: Grid, seed: u64, offset_mwh: i64) -> Self {
        if phases < 3 {
            return Self { phases: vec![load.clone()], offset_mwh: vec![offset_mwh], grid, seed };
        }
        let lean = |phase: u64| u32::try_from(mix(seed, &[0x70, phase]) % 60_000).unwrap_or(0);
        let (first, second) = (303_333 + lean(1), 303_333 + lean(2));
        let parts = load.split(&[first, second, Load::WHOLE - first - second]).expect("three shares that add up");
        let third = offset_mwh / 3;
        Self { phases: parts, offset_mwh: vec![offset_mwh - 2 * third, third, third], grid, seed }
    }

    /// Everything a meter can show at one moment.
    pub(crate) fn snapshot(&self, at: Timestamp) -> Snapshot {
        let minute = at.as_millisecond().div_euclid(60_000).cast_unsigned();
        let mut snapshot =
            Snapshot { frequency_mhz: self.grid.frequency_mhz + wobble(self.seed, &[0x66, minute], 30), ..Snapshot::default() };
        for (index, (load, offset_mwh)) in self.phases.iter().zip(&self.offset_mwh).enumerate() {
            let phase = u64::try_from(index).unwrap_or(0);
            let spread = u32::try_from(self.grid.nominal_mv / 80).unwrap_or(0);
            let voltage_mv = self.grid.nominal_mv + wobble(self.seed, &[0x76, phase, minute], spread);
            let factor_ppm = 945_000 + wobble(self.seed, &[0x66, phase, minute / 15], 45_000);
            let power_mw = load.power_mw(at);
            snapshot.phases[index] = Phase::new(voltage_mv, factor_ppm, power_mw, offset_mwh + load.energy_mwh(at));
            snapshot.offset_mwh += offset_mwh;
        }
        snapshot
    }
}

/// One phase at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Phase {
    pub(crate) voltage_mv: i64,
    pub(crate) current_ua: i64,
    pub(crate) power_mw: i64,
    pub(crate) apparent_mva: i64,
    pub(crate) reactive_mvar: i64,
    pub(crate) factor_ppm: i64,
    pub(crate) import_mwh: i64,
    pub(crate) export_mwh: i64,
}

impl Phase {
    fn new(voltage_mv: i64, factor_ppm: i64, power_mw: i64, import_mwh: i64) -> Self {
        let factor_ppm = if power_mw == 0 { 1_000_000 } else { factor_ppm };
        let current_ua = i128::from(power_mw) * 1_000_000_000_000 / (i128::from(voltage_mv) * i128::from(factor_ppm));
        let apparent_mva = i128::from(power_mw) * 1_000_000 / i128::from(factor_ppm);
        let square = |number: i128| number.unsigned_abs().pow(2);
        let reactive_mvar = square(apparent_mva).saturating_sub(square(i128::from(power_mw))).isqrt();
        Self {
            voltage_mv,
            current_ua: i64::try_from(current_ua).unwrap_or(i64::MAX),
            power_mw,
            apparent_mva: i64::try_from(apparent_mva).unwrap_or(i64::MAX),
            reactive_mvar: i64::try_from(reactive_mvar).unwrap_or(i64::MAX),
            factor_ppm,
            import_mwh,
            export_mwh: 0,
        }
    }
}

/// Everything a meter can show at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) phases: [Phase; 3],
    frequency_mhz: i64,
    offset_mwh: i64,
}

impl Snapshot {
    /// A quantity by its point id, in the unit asked for; `None` for what this installation does not have.
    pub(crate) fn quantity(&self, id: &str, unit: Unit) -> Option<Measured> {
        let [one, two, three] = &self.phases;
        let sum = |part: fn(&Phase) -> i64| self.phases.iter().map(part).sum::<i64>();
        let import_mwh = sum(|phase| phase.import_mwh);
        let (raw, exponent) = match id {
            "v1" => (one.voltage_mv, -3),
            "v2" => (two.voltage_mv, -3),
            "v3" => (three.voltage_mv, -3),
            "i1" => (one.current_ua, -6),
            "i2" => (two.current_ua, -6),
            "i3" => (three.current_ua, -6),
            "i" => (sum(|phase| phase.current_ua), -6),
            "p1" => (one.power_mw, -3),
            "p2" => (two.power_mw, -3),
            "p3" => (three.power_mw, -3),
            "p" => (sum(|phase| phase.power_mw), -3),
            "s" => (sum(|phase| phase.apparent_mva), -3),
            "q" => (sum(|phase| phase.reactive_mvar), -3),
            "pf1" => (one.factor_ppm, -6),
            "pf2" => (two.factor_ppm, -6),
            "pf3" => (three.factor_ppm, -6),
            "pf" => (self.factor_ppm(), -6),
            "f" => (self.frequency_mhz, -3),
            "e_imp" | "e_imp_f32" | "e_imp_nr" => (import_mwh, -3),
            "e_sum" => (import_mwh + sum(|phase| phase.export_mwh), -3),
            "e_net" | "e_net_nr" => (import_mwh - sum(|phase| phase.export_mwh), -3),
            "e_imp_partial" => (import_mwh - self.offset_mwh, -3),
            "e_imp1" => (one.import_mwh, -3),
            "e_imp2" => (two.import_mwh, -3),
            "e_imp3" => (three.import_mwh, -3),
            "e_exp" | "e_exp_f32" | "e_exp_nr" => (sum(|phase| phase.export_mwh), -3),
            "e_exp1" => (one.export_mwh, -3),
            "e_exp2" => (two.export_mwh, -3),
            "e_exp3" => (three.export_mwh, -3),
            "qe_exp" => (0, -3),
            // A building at a power factor of about 0.95 draws a third of its energy as reactive energy.
            "qe_imp" => (import_mwh / 3, -3),
            _ => return None,
        };
        let kilo = matches!(unit, Unit::KilowattHour | Unit::KilovarHour | Unit::KilovoltAmpereHour);
        Some(Measured { raw, exponent: if kilo { exponent - 3 } else { exponent }, unit })
    }

    /// The power factor of all phases together.
    fn factor_ppm(&self) -> i64 {
        let sum = |part: fn(&Phase) -> i64| self.phases.iter().map(|phase| i128::from(part(phase))).sum::<i128>();
        let (power, apparent) = (sum(|phase| phase.power_mw), sum(|phase| phase.apparent_mva));
        if apparent == 0 { 1_000_000 } else { i64::try_from(power * 1_000_000 / apparent).unwrap_or(1_000_000) }
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    #[test]
    fn the_snapshot_obeys_the_laws_of_circuits() {
        let start = Timestamp::UNIX_EPOCH;
        let load = Load::hourly(&[(start, 48_321), (start + 1.hour(), 0), (start + 2.hours(), 7)]).unwrap();
        for (phases, seed) in [(1, 1), (3, 2), (3, 99)] {
            let installation = Installation::new(&load, phases, Grid::EUROPE, seed, 5_000_000);
            for minute in 0..200_i64 {
                let snapshot = installation.snapshot(start + minute.minutes());
                let shown = |id: &str| snapshot.quantity(id, Unit::Ratio).unwrap().to_f64();
                let mut sum = 0.0;
                for phase in 1..=phases {
                    let of = |letter: &str| shown(&format!("{letter}{phase}"));
                    let product = of("v") * of("i") * of("pf");
                    assert!((product - of("p")).abs() <= 0.001 + of("p") * 1e-4, "{product} W against {} W", of("p"));
                    assert!((217.0..243.0).contains(&of("v")));
                    assert!((0.9..=1.0).contains(&of("pf")));
                    sum += of("p");
                }
                assert!((sum - shown("p")).abs() < 0.01);
                assert!((shown("s").powi(2) - shown("p").powi(2) - shown("q").powi(2)).abs() <= shown("s").powi(2) * 0.01 + 1.0);
                assert_eq!(snapshot.quantity("e_imp", Unit::WattHour).unwrap().raw - 5_000_000, {
                    let parts = installation.phases.iter().map(|part| part.energy_mwh(start + minute.minutes()));
                    parts.sum::<i64>()
                });
            }
        }
    }
}
