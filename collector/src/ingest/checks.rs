//! What a single reading says of itself: whether it can be, and whether a counter has gone on.
//!
//! A reading that fails is stored with the reason in its quality, never changed and never left out.

use std::collections::HashMap;
use std::sync::Arc;

use ids::Slug;
pub(crate) use store::counter::is_counter;
use store::{Origin, Row};
use units::{Measured, Quality, Reason, Severity, Unit};

/// Counters that are remembered. Beyond it all are forgotten, and each is compared again from its next reading on.
const COUNTERS_MAX: usize = 1_000_000;

/// The latest reading of a counter.
#[derive(Clone, Copy, Debug)]
struct Last {
    ts_ms: i64,
    measured: Measured,
}

type Points = HashMap<Arc<str>, Last>;
type Devices = HashMap<Slug, Points>;

/// The counters of all gateways.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    facilities: HashMap<Slug, HashMap<Slug, Devices>>,
    counters: usize,
}

impl Checks {
    /// Marks the readings of a batch that cannot be.
    pub(crate) fn mark(&mut self, origin: &Origin, rows: &mut [Row]) {
        for row in rows {
            let Some(raw) = row.raw else { continue };
            let measured = Measured { raw, exponent: row.exponent, unit: row.unit };
            if !is_possible(measured) {
                row.quality = bad(row.quality, Reason::OutOfRange);
            } else if is_counter(&row.point, row.unit) && self.goes_back(origin, row, measured) {
                row.quality = uncertain(row.quality, Reason::CounterReset);
            }
        }
    }

    /// Whether a counter shows less than at an earlier time. A reading that comes late says nothing of it.
    fn goes_back(&mut self, origin: &Origin, row: &Row, measured: Measured) -> bool {
        let known = self.facilities.get_mut(&origin.tenant).and_then(|facilities| facilities.get_mut(&origin.facility));
        let known = known.and_then(|devices| devices.get_mut(&row.device)).and_then(|points| points.get_mut(&*row.point));
        let now = Last { ts_ms: row.ts_ms, measured };
        match known {
            Some(last) if last.ts_ms >= now.ts_ms => false,
            Some(last) => {
                let back = std::mem::replace(last, now).measured;
                is_less(measured, back)
            }
            None => {
                self.remember(origin, row, now);
                false
            }
        }
    }

    fn remember(&mut self, origin: &Origin, row: &Row, now: Last) {
        if self.counters >= COUNTERS_MAX {
            *self = Self::default();
        }
        self.counters += 1;
        let devices = self.facilities.entry(origin.tenant.clone()).or_default().entry(origin.facility.clone()).or_default();
        devices.entry(row.device.clone()).or_default().insert(row.point.clone(), now);
    }
}

/// Exactly, where both are in the same unit; a unit that changes says nothing.
fn is_less(now: Measured, before: Measured) -> bool {
    if now.unit != before.unit {
        return false;
    }
    let exponent = now.exponent.min(before.exponent);
    match (now.rescale(exponent), before.rescale(exponent)) {
        (Ok(now), Ok(before)) => now.raw < before.raw,
        _ => now.to_f64() < before.to_f64(),
    }
}

/// What no device in a building measures, whatever is connected to it.
fn is_possible(measured: Measured) -> bool {
    let range = match measured.unit {
        Unit::Volt | Unit::Ampere => -1e6..=1e6,
        Unit::Hertz => 0.0..=1e3,
        Unit::Celsius => -273.15..=2_000.0,
        Unit::Fahrenheit => -459.67..=3_632.0,
        Unit::PercentRh => 0.0..=105.0,
        Unit::Ppm => 0.0..=1e6,
        Unit::Lux => 0.0..=1e6,
        Unit::MicromolePerSquareMetreSecond => 0.0..=1e5,
        Unit::WattPerSquareMetre => -1e3..=1e4,
        Unit::Hectopascal => 0.0..=1e6,
        Unit::Watt | Unit::Var | Unit::VoltAmpere => -1e12..=1e12,
        Unit::Kilowatt => -1e9..=1e9,
        _ => return true,
    };
    range.contains(&measured.to_f64())
}

fn bad(quality: Quality, reason: Reason) -> Quality {
    let worst = if quality.is_usable() { Quality::from_bits(quality.bits() & 0x3fff | Quality::bad(reason).bits()) } else { quality };
    worst.with(reason)
}

fn uncertain(quality: Quality, reason: Reason) -> Quality {
    match quality.severity() {
        Severity::Good => Quality::from_bits(quality.bits() | Quality::uncertain(reason).bits()),
        _ => quality.with(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        let slug = |text| Slug::parse(text).unwrap();
        Origin { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw") }
    }

    fn row(point: &str, unit: Unit, exponent: i8, ts_ms: i64, raw: i64) -> Row {
        let device = Slug::parse("main").unwrap();
        Row { device, point: point.into(), unit, exponent, ts_ms, raw: Some(raw), quality: Quality::GOOD, words: None }
    }

    fn marked(checks: &mut Checks, row: Row) -> String {
        let mut rows = [row];
        checks.mark(&origin(), &mut rows);
        rows[0].quality.to_string()
    }

    #[test]
    fn a_counter_that_goes_back_is_marked_once() {
        let mut checks = Checks::default();
        let mut at = |ts_ms, exponent, raw| marked(&mut checks, row("e_imp", Unit::KilowattHour, exponent, ts_ms, raw));
        assert_eq!(at(1_000, -2, 500), "good");
        assert_eq!(at(2_000, -2, 510), "good");
        assert_eq!(at(3_000, -1, 50), "uncertain:counter_reset", "5.0 after 5.1");
        assert_eq!(at(4_000, -2, 501), "good");
        assert_eq!(at(1_500, -2, 505), "good", "what comes late is compared with nothing");
        assert_eq!(at(4_000, -2, 400), "good", "nor is another value of the same time");
        assert_eq!(at(5_000, -2, 501), "good");
        let mut checks = Checks::default();
        for raw in [5, 3] {
            assert_eq!(marked(&mut checks, row("e_int", Unit::KilowattHour, 0, raw * -1_000, raw)), "good", "no counter");
        }
    }

    #[test]
    fn what_cannot_be_is_bad_and_kept() {
        let mut checks = Checks::default();
        let mut of = |unit, exponent, raw| marked(&mut checks, row("x", unit, exponent, 0, raw));
        assert_eq!(of(Unit::Celsius, -1, -2_732), "bad:out_of_range");
        assert_eq!(of(Unit::Celsius, -1, -2_731), "good");
        assert_eq!(of(Unit::PercentRh, 0, 106), "bad:out_of_range");
        assert_eq!(of(Unit::Hertz, -2, 5_000), "good");
        assert_eq!(of(Unit::Volt, 9, 1), "bad:out_of_range");
        let mut rows = [Row { quality: Quality::uncertain(Reason::Late), ..row("x", Unit::Ppm, 0, 0, -1) }];
        checks.mark(&origin(), &mut rows);
        assert_eq!(rows[0].quality.to_string(), "bad:out_of_range+late");
    }
}
