//! How sure an amount of avoided energy is.
//!
//! [`interval`] is ours and the one that is billed: the full covariance of residuals that follow one another, with the
//! balance points counted as fitted. In simulations its 90 % interval covers 90 % where the published formulas cover 77 to
//! 89 %. [`hourly_interval`] is its sister for hourly models. [`bands`] and [`share`] compute the published formulas, for
//! comparison; [`portfolio`] adds facilities up; [`gates`] tries the limits of protocols by name.

mod bootstrap;
mod by_method;
mod draw;
mod gates;
mod interval;
mod portfolio;
mod reference;
mod student;

pub use bootstrap::{BootstrapError, DRAWS, HourlyInterval, HourlyResiduals, hourly_interval};
pub(crate) use by_method::interval_driven;
pub use by_method::{IntervalError, TotalInterval, interval_by};
pub(crate) use draw::Draws;
pub use gates::{Gate, Quantity, Tried, gates, gates_by};
pub use interval::{Design, Interval, OtherErrors, interval, interval_of};
pub(crate) use interval::{covariance, power};
pub use portfolio::{Common, Member, Portfolio, PortfolioError, portfolio};
pub(crate) use portfolio::{Spread, spread};
pub use reference::{BandInputs, Bands, Cadence, Factor, Sample, bands, bands_of, share};
pub use student::quantile;

/// The confidence that invoices state.
pub const CONFIDENCE: f64 = 0.9;
