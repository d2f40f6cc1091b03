//! Outdoor temperature, a sampled thing.

use serde::{Deserialize, Serialize};

/// A temperature, finite by construction.
///
/// * Unit: degrees Celsius inside; Fahrenheit in and out, because the published methods speak it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Temperature(f64);

impl Temperature {
    /// From degrees Celsius; nothing for what is not finite.
    #[must_use]
    pub fn celsius(degrees: f64) -> Option<Self> {
        degrees.is_finite().then_some(Self(degrees))
    }

    /// From degrees Fahrenheit; nothing for what is not finite.
    #[must_use]
    pub fn fahrenheit(degrees: f64) -> Option<Self> {
        Self::celsius((degrees - 32.0) / 1.8)
    }

    /// In degrees Celsius.
    #[must_use]
    pub const fn as_celsius(self) -> f64 {
        self.0
    }

    /// In degrees Fahrenheit.
    #[must_use]
    pub fn as_fahrenheit(self) -> f64 {
        self.0 * 1.8 + 32.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_points_of_water() {
        assert!((Temperature::fahrenheit(212.0).unwrap().as_celsius() - 100.0).abs() < 1e-12);
        assert!((Temperature::celsius(0.0).unwrap().as_fahrenheit() - 32.0).abs() < 1e-12);
        assert_eq!(Temperature::celsius(f64::NAN), None);
    }
}
