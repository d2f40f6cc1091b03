//! The CalTRACK daily method: candidates, their least squares, and which one wins.
//!
//! Every balance point of the grid is a candidate. All of them are fitted from running sums in closed form (one pass over
//! the days, then about two dozen operations per candidate), the best few again by an orthogonal decomposition of the raw
//! days. Losing candidates are kept with the reason, because an auditor asks why, not what.
//!
//! Bills and hourly segments will be further searches beside [`Search`]; they share shapes, outcomes and statistics.

mod candidate;
mod kernel;
mod ols;
mod select;
mod shape;
mod statistics;
mod sums;

pub use candidate::{Candidate, Estimate, Outcome, Reason};
pub(crate) use ols::{Orthogonal, dot};
pub(crate) use select::fit_days;
pub use select::{Fit, FitError, FittedDay, METHOD, fit};
pub use shape::{BalancePoints, Grid, GridError, Model, Search, Shape, Term};
pub(crate) use statistics::neighbour_correlation;
pub use statistics::{Metrics, ReferenceMetrics};
