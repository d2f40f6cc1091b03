//! What of a frame can be given up to keep the rest: diagnostics first, then power, energy never.
//!
//! A spool that is full of frames nobody has fetched rewrites its oldest frames without the points that money does not
//! depend on. A frame keeps its number and says how many points it left out, so that the collector sees neither a hole
//! nor a whole frame.

use units::Unit;
use wire::{Frame, Message, PointReading};

/// What a point is for, the most dispensable first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Tells whether the installation is healthy: volts, amperes, hertz, power factors.
    Diagnostic,
    /// What was going on: power, temperature, light, weight.
    Power,
    /// Counters, and everything whose registers are kept as evidence.
    Energy,
}

/// What is left of the frames of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kept {
    All,
    PowerAndEnergy,
    EnergyOnly,
}

impl Kept {
    /// The next smaller choice.
    pub(super) const fn less(self) -> Option<Self> {
        match self {
            Self::All => Some(Self::PowerAndEnergy),
            Self::PowerAndEnergy => Some(Self::EnergyOnly),
            Self::EnergyOnly => None,
        }
    }

    const fn keeps(self, class: Class) -> bool {
        match self {
            Self::All => true,
            Self::PowerAndEnergy => !matches!(class, Class::Diagnostic),
            Self::EnergyOnly => matches!(class, Class::Energy),
        }
    }
}

/// What a point is for.
///
/// * Source: registers travel with billing points only; for the others the unit says it. A unit that is not known here
///   is kept like energy.
pub(crate) fn class(point: &PointReading) -> Class {
    if !point.words.is_empty() {
        return Class::Energy;
    }
    match point.unit() {
        Ok(Unit::Ratio | Unit::Volt | Unit::Ampere | Unit::Hertz | Unit::Degree | Unit::Second | Unit::Percent) => Class::Diagnostic,
        Ok(
            Unit::Watt
            | Unit::Kilowatt
            | Unit::Var
            | Unit::VoltAmpere
            | Unit::Celsius
            | Unit::Fahrenheit
            | Unit::PercentRh
            | Unit::Ppm
            | Unit::Lux
            | Unit::MicromolePerSquareMetreSecond
            | Unit::Gram
            | Unit::Kilogram
            | Unit::WattPerSquareMetre
            | Unit::Hectopascal,
        ) => Class::Power,
        _ => Class::Energy,
    }
}

/// A frame without the points that are not kept, and how many those are; nothing when all are kept.
///
/// What is not a frame of ours is left as it is.
pub(super) fn thin(frame: &[u8], kept: Kept) -> Option<(Vec<u8>, u64)> {
    let mut frame = Frame::decode(frame).ok()?;
    let mut left_out = 0_u32;
    for device in &mut frame.devices {
        device.points.retain(|point| {
            let stays = kept.keeps(class(point));
            left_out += u32::from(!stays);
            stays
        });
    }
    if left_out == 0 {
        return None;
    }
    frame.left_out = frame.left_out.saturating_add(left_out);
    Some((frame.encode_to_vec(), u64::from(left_out)))
}

#[cfg(test)]
mod tests {
    use wire::DeviceReading;

    use super::*;

    fn frame() -> Frame {
        let profile = devices::find("eastron-sdm630").unwrap();
        let point = |point: &devices::Point| PointReading {
            point: point.id.clone(),
            raw: Some(5),
            exponent: i32::from(point.exponent),
            unit: u32::from(point.unit.code()),
            quality: 0,
            words: if point.billing { vec![1, 2, 3, 4] } else { Vec::new() },
        };
        let points = profile.points().iter().map(point).collect();
        Frame { schema: 1, tick_ms: 7, devices: vec![DeviceReading { points, ..DeviceReading::default() }], ..Frame::default() }
    }

    fn ids(frame: &[u8]) -> (String, u32) {
        let frame = Frame::decode(frame).unwrap();
        let ids: Vec<_> = frame.devices[0].points.iter().map(|point| point.point.as_str()).collect();
        (ids.join(" "), frame.left_out)
    }

    #[test]
    fn diagnostics_go_first_then_power_and_energy_stays() {
        let whole = frame().encode_to_vec();
        assert_eq!(thin(&whole, Kept::All), None);
        let (power, left_out) = thin(&whole, Kept::PowerAndEnergy).unwrap();
        assert_eq!(left_out, 11);
        let energy = "e_imp e_exp e_sum e_imp1 e_imp2 e_imp3 e_exp1 e_exp2 e_exp3";
        assert_eq!(ids(&power), (format!("p1 p2 p3 p s q {energy}"), 11));
        assert_eq!(thin(&power, Kept::PowerAndEnergy), None);
        let (least, left_out) = thin(&power, Kept::EnergyOnly).unwrap();
        assert_eq!((left_out, ids(&least)), (6, (energy.to_owned(), 17)));
        assert_eq!(thin(&least, Kept::EnergyOnly), None);
        assert_eq!(thin(b"not a frame", Kept::EnergyOnly), None);
    }

    #[test]
    fn what_is_not_known_is_not_given_up() {
        let point = |unit, words: &[u8]| PointReading { unit, words: words.to_vec(), ..PointReading::default() };
        assert_eq!(class(&point(60_000, &[])), Class::Energy);
        assert_eq!(class(&point(u32::from(Unit::Pulse.code()), &[])), Class::Energy);
        assert_eq!(class(&point(u32::from(Unit::Therm.code()), &[])), Class::Energy);
        assert_eq!(class(&point(u32::from(Unit::Volt.code()), &[1, 2])), Class::Energy);
    }
}
