//! A seeded fleet: facilities of ten meters with ten points each, one reading of each point a minute.

use ids::{Slug, SlugError};
use store::{Batch, Origin, Row, Words};
use units::{Quality, Unit};

/// Meters of a facility.
pub const METERS: usize = 10;
/// 2025-01-01T00:00:00Z.
pub const START_MS: i64 = 1_735_689_600_000;
/// Milliseconds between two readings of a point.
pub const MINUTE_MS: i64 = 60_000;

/// Name, unit, exponent, middle, and how far it moves in a minute; the first is a counter.
pub const POINTS: [(&str, Unit, i8, i64, i64); 10] = [
    ("e_imp", Unit::KilowattHour, -2, 0, 40),
    ("p", Unit::Kilowatt, -2, 1_200, 60),
    ("u_1", Unit::Volt, -1, 2_301, 4),
    ("u_2", Unit::Volt, -1, 2_298, 4),
    ("u_3", Unit::Volt, -1, 2_305, 4),
    ("i_1", Unit::Ampere, -2, 1_740, 80),
    ("i_2", Unit::Ampere, -2, 1_690, 80),
    ("i_3", Unit::Ampere, -2, 1_810, 80),
    ("pf", Unit::Ratio, -3, 930, 6),
    ("t", Unit::Celsius, -1, 214, 1),
];

/// Numbers that a seed decides.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// The same numbers for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 up to `below`.
    pub fn roll(&mut self, below: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33).cast_signed() % below.max(1)
    }
}

/// One batch for each facility, moved on from minute to minute in place.
#[derive(Debug)]
pub struct Fleet {
    /// One for each facility.
    pub batches: Vec<Batch>,
    dice: Dice,
}

impl Fleet {
    /// `meters` meters, ten to a facility and the rest in the last one.
    ///
    /// * Errors: there are more facilities than names.
    pub fn new(meters: usize, seed: u64) -> Result<Self, SlugError> {
        let mut batches = Vec::new();
        for facility in 0..meters.div_ceil(METERS) {
            let here = METERS.min(meters - facility * METERS);
            let mut rows = Vec::with_capacity(here * POINTS.len());
            for meter in 0..here {
                let device = Slug::parse(&format!("meter-{meter:02}"))?;
                for (point, unit, exponent, middle, _) in POINTS {
                    let (device, point) = (device.clone(), point.into());
                    rows.push(Row { device, point, unit, exponent, ts_ms: 0, raw: Some(middle), quality: Quality::GOOD, words: None });
                }
            }
            let origin = Origin {
                tenant: Slug::parse("bench")?,
                facility: Slug::parse(&format!("facility-{facility:04}"))?,
                gateway: Slug::parse("gateway")?,
            };
            batches.push(Batch { origin, spool_id: [7; 16], seq: 0, rows, profiles: Vec::new(), letter: None });
        }
        Ok(Self { batches, dice: Dice::new(seed) })
    }

    /// Readings of a minute.
    #[must_use]
    pub fn points(&self) -> u64 {
        self.batches.iter().map(|batch| batch.rows.len() as u64).sum()
    }

    /// The readings of the next minute. What is billed comes with its registers.
    pub fn advance(&mut self, minute: i64) {
        for batch in &mut self.batches {
            batch.seq += 1;
            for (row, (_, _, _, middle, step)) in batch.rows.iter_mut().zip(POINTS.iter().cycle()) {
                let value = row.raw.unwrap_or(*middle);
                let moved = self.dice.roll(2 * step + 1) - step;
                row.ts_ms = START_MS + minute * MINUTE_MS;
                let next = if *middle == 0 { value + 10 + self.dice.roll(*step) } else { value + moved + (middle - value) / 8 };
                row.raw = Some(next);
                row.words = if *middle == 0 { u32::try_from(next).ok().and_then(|next| Words::new(&next.to_be_bytes())) } else { None };
            }
        }
    }
}
