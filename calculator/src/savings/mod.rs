//! Avoided energy: what the baseline would have used under the reporting weather, minus what was used.
//!
//! Energy leaves the calculator here, once, as whole watt-hours. Totals are rounded once; the rows of the days are cut so
//! that they sum exactly to the totals. Normalised savings (a normal year) will be a second function beside [`avoided`].

mod avoided;
mod comparison;
mod rounding;

pub use avoided::{Avoided, AvoidedDay, BILLABLE_COVERAGE, Exact, Missing, SavingsError, avoided, avoided_at};
pub use comparison::{ComparedRow, Comparison, ComparisonError, compare};
pub(crate) use rounding::whole_wh;
