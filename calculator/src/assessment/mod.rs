//! From the rows of two files to an answer that can be kept, compared and recomputed.
//!
//! [`assess`] takes a [`Question`], the rows of a meter and those of a weather station, and gives an [`Assessment`]: the
//! model, how well it fits, what speaks against it, and what was avoided, in the unit of the meter. In compatible mode it
//! does what eemeter 2.10 does, row by row, and says so by its names; in strict mode it goes the way that invoices go.
//! [`Answer`] adds one digest over inputs, settings, code version and result.
//!
//! ```
//! use jiff::civil::date;
//! use negawatt_calculator::assessment::{MeterSettings, Method, Mode, Question, Row, Series, Site, Status, Weather, assess};
//! use negawatt_calculator::baseline::{Commodity, EnergyUnit, TemperatureUnit};
//!
//! const HOUR: i64 = 3_600;
//! let first = 1_704_067_200; // 2024-01-01T00:00:00Z
//! let degrees = |day: i64| 20.0 + (day * 29 % 61) as f64;
//! let use_of = |day: i64| 20.0 + 0.9 * (55.0 - degrees(day)).max(0.0) + (day % 3) as f64 * 0.1;
//! let meter = (0..=700).map(|day| Row { at: first + day * 24 * HOUR, value: (day < 700).then(|| use_of(day)) }).collect();
//! let weather = (0..=700 * 24).map(|hour| Row { at: first + hour * HOUR, value: Some(degrees(hour / 24)) }).collect();
//! let question = Question {
//!     method: Method::CaltrackDaily,
//!     mode: Mode::Compatible,
//!     commodity: Commodity::Electricity,
//!     unit: EnergyUnit::KilowattHour,
//!     zone: None,
//!     blackout_start: date(2025, 1, 1),
//!     blackout_end: Some(date(2025, 1, 11)),
//!     drivers: None,
//!     site: Site::default(),
//!     meter: MeterSettings::default(),
//! };
//! let answer = assess(&question, &Series::new(meter)?, &Weather { series: Series::new(weather)?, unit: TemperatureUnit::Fahrenheit })?;
//! assert_eq!(answer.status, Status::Qualified);
//! assert_eq!(answer.model.map(|model| model.kind).as_deref(), Some("hdd_only"));
//! assert!(answer.avoided.is_some_and(|avoided| avoided.interval_90_half_width > Some(avoided.savings.abs())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cleaning;
mod compatible;
mod criteria;
mod days;
mod digest;
mod error;
mod facts;
mod lag;
mod other;
mod outcome;
mod question;
mod rows;
mod series;
mod spans;
mod statistics;
mod strict;
mod sufficiency;

use cleaning::Cleaned;
pub use cleaning::{CleaningStep, SumCheck};
pub use criteria::{CRITERIA, Criterion};
pub use digest::{Answer, CODE_VERSION, Inputs, Settings};
pub use error::{AssessError, Source};
pub use facts::{Shown, beyond, changes, changes_driven, facts, residuals};
pub use outcome::{AssessedRow, Assessment, AvoidedEnergy, FittedModel, SCHEMA, Status};
pub use question::{MeterSettings, Question, Site};

pub use crate::model::{Method, Mode};
pub use series::{Origin, Remark, Row, RowFault, Series, Stretch};
pub use statistics::Statistics;
pub use sufficiency::{Counts, Found, Sufficiency, Verdict};

use crate::baseline::TemperatureUnit;

/// The rows of a weather station with their unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Weather {
    /// The rows.
    pub series: Series,
    /// What they mean.
    pub unit: TemperatureUnit,
}

/// Answers a question from the rows of a meter and of a weather station.
///
/// * Shape: see [`Series`]; the last row of the meter closes its last period.
/// * Units: energies as [`Question::unit`] says, in and out; temperatures as [`Weather::unit`] says.
/// * Errors: input that no method may use, with file, row and rule; a baseline that is merely insufficient is an answer.
pub fn assess(question: &Question, meter: &Series, weather: &Weather) -> Result<Assessment, AssessError> {
    let cleaned = cleaning::clean(question, meter);
    let seed = || digest::seed(&digest::inputs(question, &cleaned.meter, weather, cleaned.log.clone(), None));
    seeded(question, &cleaned, weather, &seed)
}

/// As [`assess`], with where weeks are drawn from, which is asked only when they are.
fn seeded(question: &Question, cleaned: &Cleaned<'_>, weather: &Weather, seed: &dyn Fn() -> u64) -> Result<Assessment, AssessError> {
    let meter = cleaned.meter.as_ref();
    let hourly = if question.mode == Mode::Strict { spans::by_minutes(&weather.series) } else { None };
    let hourly = hourly.map(|series| Weather { series, unit: weather.unit });
    let weather = hourly.as_ref().unwrap_or(weather);
    let assessment = match (question.method, question.mode) {
        (Method::CaltrackDaily, Mode::Compatible) => compatible::daily(question, meter, weather),
        (Method::CaltrackDaily, Mode::Strict) => strict::daily(question, meter, weather),
        _ => other::assess(question, meter, weather, seed),
    }?;
    criteria::judged(assessment, question, meter, weather, &cleaned.found)
}
