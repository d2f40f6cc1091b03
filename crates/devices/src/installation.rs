//! What was done at one installation that the meter does not know of: transformers, a reversed direction, phases in another order.
//!
//! These facts become part of the profile, as a table in its text: the words that were read stay as they are, and whoever decodes
//! them later with that text gets the same numbers. Hence also another hash.

use std::fmt::Write as _;

use serde::Deserialize;
use units::Unit;

use crate::point::{Point, Scale};
use crate::profile::{Profile, ProfileError};

/// Beyond any transformer that is made.
const RATIO_MAX: i64 = 100_000;
/// Point ids that belong to one phase end in its number.
const OF_PHASE: [&str; 6] = ["v", "i", "p", "pf", "e_imp", "e_exp"];
/// What turns its sign with the direction of the current.
const SIGNED: [&str; 6] = ["p", "q", "pf", "e_net", "p_dc", "e_net_nr"];

/// Facts of one installation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Installation {
    /// Primary by secondary current, where the meter shows the secondary side: a decimal such as "40".
    pub ct_ratio: String,
    /// Primary by secondary voltage, likewise.
    pub vt_ratio: String,
    /// Whether import and export are exchanged.
    pub reversed: bool,
    /// The real phase behind each of the meter's inputs.
    pub phase_order: [u8; 3],
}

impl Default for Installation {
    fn default() -> Self {
        Self { ct_ratio: "1".to_owned(), vt_ratio: "1".to_owned(), reversed: false, phase_order: [1, 2, 3] }
    }
}

impl Installation {
    /// Whether there is nothing to apply.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The facts as a line of a profile file.
    fn line(&self) -> String {
        let mut line = String::new();
        let [one, two, three] = self.phase_order;
        writeln!(
            line,
            "installation = {{ ct_ratio = {:?}, vt_ratio = {:?}, reversed = {}, phase_order = [{one}, {two}, {three}] }}",
            self.ct_ratio, self.vt_ratio, self.reversed
        )
        .expect("writing to a string cannot fail");
        line
    }

    /// Applies the facts to points.
    pub(crate) fn apply(&self, points: &mut [Point], faults: &mut Vec<String>) {
        let mut ratio = |key: &str, text: &str| {
            let ratio = Scale::parse(text).filter(|ratio| (1..=RATIO_MAX).contains(&ratio.mantissa));
            if ratio.is_none() {
                faults.push(format!("installation.{key}: {text:?} is not a positive decimal up to {RATIO_MAX}"));
            }
            ratio
        };
        let (ct, vt) = (ratio("ct_ratio", &self.ct_ratio), ratio("vt_ratio", &self.vt_ratio));
        let mut sorted = self.phase_order;
        sorted.sort_unstable();
        if sorted != [1, 2, 3] {
            faults.push(format!("installation.phase_order: {:?} does not name 1, 2 and 3 once each", self.phase_order));
        }
        let (Some(ct), Some(vt)) = (ct, vt) else { return };
        for point in points.iter_mut() {
            let factors: &[Scale] = match point.unit {
                Unit::Ampere => &[ct],
                Unit::Volt => &[vt],
                Unit::Watt | Unit::Kilowatt | Unit::Var | Unit::VoltAmpere => &[ct, vt],
                Unit::WattHour | Unit::KilowattHour | Unit::VarHour | Unit::KilovarHour => &[ct, vt],
                Unit::VoltAmpereHour | Unit::KilovoltAmpereHour => &[ct, vt],
                _ => &[],
            };
            let scaled = factors.iter().try_fold(point.scale, |scale, factor| scale.times(*factor));
            match scaled {
                Some(scale) => point.scale = scale,
                None => faults.push(format!("installation: the ratios are too large for point {}", point.id)),
            }
            point.exponent = point.exponent.min(point.scale.exponent);
            self.rename(point);
        }
    }

    fn rename(&self, point: &mut Point) {
        let phase = OF_PHASE.iter().find_map(|prefix| {
            let number = point.id.strip_prefix(prefix)?;
            let input = ["1", "2", "3"].iter().position(|known| *known == number)?;
            Some((*prefix, self.phase_order.get(input).copied()?))
        });
        let mut id = phase.map_or_else(|| point.id.clone(), |(prefix, real)| format!("{prefix}{real}"));
        if self.reversed {
            let stem = id.trim_end_matches(['1', '2', '3']);
            point.negated = SIGNED.contains(&stem);
            id = match (id.split_once("_imp"), id.split_once("_exp")) {
                (Some((energy, rest)), _) => format!("{energy}_exp{rest}"),
                (_, Some((energy, rest))) => format!("{energy}_imp{rest}"),
                _ => id,
            };
        }
        point.id = id;
    }
}

impl Profile {
    /// The profile of one installation: its points by their real phase and direction, in primary units.
    ///
    /// * Errors: what is wrong with the facts.
    pub fn installed(&self, facts: &Installation) -> Result<Self, ProfileError> {
        if facts.is_plain() {
            return Ok(self.clone());
        }
        Self::parse(&(facts.line() + self.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode, find};

    fn facts() -> Installation {
        Installation { ct_ratio: "40".to_owned(), vt_ratio: "1".to_owned(), reversed: true, phase_order: [2, 3, 1] }
    }

    #[test]
    fn ratios_signs_and_phases_are_applied_exactly() {
        let plain = find("carlo-gavazzi-em340").unwrap();
        let installed = plain.installed(&facts()).unwrap();
        let shown = |profile: &Profile, id: &str, words: &[u16]| decode(profile.point(id).unwrap(), words).unwrap().decimal_text();
        // The meter's first input is the real second phase: 12.345 A of the secondary side are 493.8 A.
        assert_eq!(installed.point("i2").unwrap().address, plain.point("i1").unwrap().address);
        assert_eq!(shown(&installed, "i2", &[0x3039, 0]), "493.8");
        assert_eq!(shown(&installed, "v2", &[0x08FD, 0]), "230.1");
        assert_eq!(shown(&installed, "p", &[0xCE6D, 0]), "-211380");
        assert_eq!(installed.point("e_imp").unwrap().address, plain.point("e_exp").unwrap().address);
        assert_eq!(shown(&installed, "e_imp", &[0x000F, 0]), "60");
        assert!(installed.point("e_imp").unwrap().billing);
    }

    #[test]
    fn a_float_is_multiplied_from_its_exact_binary_value() {
        let facts = Installation { ct_ratio: "37.5".to_owned(), ..Installation::default() };
        let installed = find("eastron-sdm630").unwrap().installed(&facts).unwrap();
        // 0x4145851F is 12.345000267…; times 37.5 that is 462.937510… A.
        let point = installed.point("i1").unwrap();
        assert_eq!(decode(point, &[0x4145, 0x851F]).unwrap().decimal_text(), "462.938");
        assert_eq!(crate::encode(point, decode(point, &[0x4145, 0x851F]).unwrap()).unwrap().first(), Some(&0x4145));
    }

    #[test]
    fn the_facts_are_in_the_text_and_in_the_hash() {
        let plain = find("eastron-sdm630").unwrap();
        let installed = plain.installed(&facts()).unwrap();
        assert_ne!(installed.hash(), plain.hash());
        assert_eq!(Profile::parse(installed.text()).unwrap().hash(), installed.hash());
        assert_eq!(plain.installed(&Installation::default()).unwrap().hash(), plain.hash());
    }

    #[test]
    fn facts_that_cannot_be_are_refused() {
        let refused = |facts: Installation| match find("eastron-sdm630").unwrap().installed(&facts) {
            Err(ProfileError::Faults { faults, .. }) => faults,
            other => panic!("{other:?}"),
        };
        let wrong = Installation { ct_ratio: "0".to_owned(), vt_ratio: "-3".to_owned(), phase_order: [1, 1, 3], ..Installation::default() };
        assert_eq!(
            refused(wrong),
            [
                "installation.ct_ratio: \"0\" is not a positive decimal up to 100000",
                "installation.vt_ratio: \"-3\" is not a positive decimal up to 100000",
                "installation.phase_order: [1, 1, 3] does not name 1, 2 and 3 once each",
            ]
        );
    }
}
