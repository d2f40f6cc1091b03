//! The CalTRACK daily method: candidates, their least squares, and which one wins.
//!
//! Every balance point of the grid is a candidate. All of them are fitted from running sums in closed form (one pass over
//! the days, then less than two dozen operations per candidate), the best few again from the raw days. Losing candidates are
//! kept with the reason, because an auditor asks why, not what; they are listed when he does.
//!
//! The other methods stand beside it: bills, hours of the week, change-points. [`Fitted`] holds a model of any of them, so
//! that one switch chooses: [`fit_by`], [`Fitted::predict`], [`Fitted::parameters`].

mod best;
mod billing;
mod billing_kernel;
mod by_month;
mod candidate;
mod candidates;
pub mod cea;
mod change_point;
mod design;
mod factor;
mod fitted;
mod hour_sums;
mod hourly;
mod influence;
mod kernel;
mod lanes;
mod losers;
mod method;
mod ols;
mod parameters;
mod refit;
mod select;
mod shape;
mod splits;
mod statistics;
mod sums;
mod time_of_week;
mod towt;

pub use best::{Contender, fit_best};
pub use billing::{BILLING_METHOD, BILLS_MIN, BillingFit, FittedBill, fit_bills};
pub use candidate::{Candidate, Estimate, Outcome, Reason};
pub use candidates::Candidates;
pub use change_point::{
    CHANGE_POINT_METHOD, ChangePointCandidate, ChangePointFit, ChangePointKind, ChangePointModel, ChangePointSearch, Knee,
    fit_change_points,
};
pub use fitted::{Conditions, Fitted, Load, MethodError, Observations, fit_by};
pub use hourly::{HOURLY_METHOD, HourlyFit, Segment, fit_hours};
pub(crate) use influence::HourlyInfluence;
pub use losers::CandidateRow;
pub use method::{Method, Mode, UnknownMethod};
pub(crate) use ols::{Orthogonal, dot};
pub use parameters::{Parameter, Parameters};
pub(crate) use select::fit_days;
pub use select::{Fit, FitError, FittedDay, METHOD, fit};
pub use shape::{BalancePoints, Grid, GridError, Model, Search, Shape, Term};
pub use splits::{Part, SPLIT_METHOD, Season, SplitCandidate, SplitFit, Weekdays, fit_splits};
pub(crate) use statistics::neighbour_correlation;
pub use statistics::{Metrics, ReferenceMetrics};
pub use towt::{Slot, TOWT_METHOD, TowtFit, TowtSearch, fit_towt, slots_of_days, slots_of_hours};
