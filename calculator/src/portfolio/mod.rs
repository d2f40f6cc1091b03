//! Many facilities: what they avoided together, how sure that is, and what is drawn and listed of them.
//!
//! Each meter is [assessed](crate::assessment) on its own; here is what follows from many of them. [`crate::uncertainty::portfolio()`]
//! adds up, [`differences`] takes away what a comparison group changed without a project, [`Likeness`] measures how much
//! facilities err together, [`Months`] adds up months, [`ranked`] finds the best and the worst, [`cusum`] and [`response`]
//! are the two charts. Reading files, threads and tables are the caller's: nothing here asks in which order meters come.

mod charts;
mod difference;
mod likeness;
mod months;
mod ranking;

pub use charts::{ChartRow, Part, ResponseRow, cusum, response};
pub use difference::{Compared, Difference, DifferenceError, Differences, Role, differences};
pub use likeness::Likeness;
pub use months::{Month, Months, months_of};
pub use ranking::ranked;
