//! Avoided energy: what the baseline would have used under the reporting weather, minus what was used.
//!
//! Energy leaves the calculator here, once, as whole watt-hours. Totals are rounded once; the rows of the days are cut so
//! that they sum exactly to the totals. [`compare`] does the same for a model of any method, and [`normal_year`] for two
//! models in the weather of a normal year.

mod avoided;
mod comparison;
mod driven;
mod normal_year;
mod rounding;

pub use avoided::{Avoided, AvoidedDay, BILLABLE_COVERAGE, Exact, Missing, SavingsError, avoided, avoided_at};
pub use comparison::{ComparedRow, Comparison, ComparisonError, compare};
pub use driven::avoided_driven;
pub use normal_year::{NormalYear, NormalYearBands, NormalYearError, normal_days, normal_hours, normal_year};
pub(crate) use rounding::{Running, whole_wh};
