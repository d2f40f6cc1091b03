//! First principles that make variables of what is measured: light and moisture.

/// Mol of photosynthetic light in a megajoule of sunlight.
const MOL_PER_MJ: f64 = 2.06;
/// Atmospheric pressure where none is measured, kPa.
pub const PRESSURE_KPA: f64 = 101.325;

/// The daily light integral that the sun gives under a cover, mol/m²·d.
///
/// * Units: `ghi_mj` is the day's global radiation in MJ/m²; `transmission` is the share that the cover lets through.
pub fn sun_light(ghi_mj: f64, transmission: f64) -> f64 {
    ghi_mj * MOL_PER_MJ * transmission
}

/// The light that lamps have to add to reach a target, mol/m²·d; never negative.
pub fn light_demand(target_mol: f64, sun_mol: f64) -> f64 {
    (target_mol - sun_mol).max(0.0)
}

/// The energy of lamps that give this much light, kWh/m²·d.
///
/// * Units: `efficacy` is the photosynthetic photon efficacy in µmol/J.
pub fn lamp_energy(mol: f64, efficacy: f64) -> f64 {
    mol / (3.6 * efficacy)
}

/// The light of lamps of an indoor farm, mol/m²·d: hours of the photoperiod times photon flux in µmol/m²·s.
pub fn indoor_light(photoperiod_hours: f64, flux: f64) -> f64 {
    photoperiod_hours * flux * 3_600.0 / 1e6
}

/// Water in the air, kg per kg of dry air.
///
/// * Units: °F and relative humidity between 0 and 1.
/// * Source: saturation pressure over water by Magnus with the coefficients of the WMO guide (6.112 hPa, 17.62, 243.12 °C).
pub fn humidity_ratio(temperature_f: f64, relative_humidity: f64, pressure_kpa: f64) -> f64 {
    let celsius = (temperature_f - 32.0) * 5.0 / 9.0;
    let saturation_kpa = 0.6112 * libm::exp(17.62 * celsius / (243.12 + celsius));
    let vapour = relative_humidity * saturation_kpa;
    0.621_98 * vapour / (pressure_kpa - vapour)
}

/// What dehumidification has to take out of fresh air, kg/kg; never negative.
pub fn dehumidification(outdoor: f64, set_point: f64) -> f64 {
    (outdoor - set_point).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seventeen_mol_at_two_and_a_half_take_one_point_eight_nine_kilowatt_hours() {
        assert!((lamp_energy(17.0, 2.5) - 1.888_9).abs() < 1e-4);
        assert!((sun_light(10.0, 0.7) - 14.42).abs() < 1e-12);
        assert!((light_demand(17.0, 14.42) - 2.58).abs() < 1e-12 && light_demand(17.0, 30.0) == 0.0);
        assert!((indoor_light(16.0, 250.0) - 14.4).abs() < 1e-12);
    }

    #[test]
    fn moisture_is_that_of_the_psychrometric_chart() {
        // 25 °C and half saturated: 9.9 g/kg at sea level.
        assert!((humidity_ratio(77.0, 0.5, PRESSURE_KPA) - 0.009_9).abs() < 1e-4);
        assert!(humidity_ratio(32.0, 1.0, PRESSURE_KPA) < 0.004);
        assert!((dehumidification(0.012, 0.010) - 0.002).abs() < 1e-12 && dehumidification(0.008, 0.010) == 0.0);
    }
}
