//! What all meters come to.

use calculator::assessment::{CODE_VERSION, Method, Mode};
use calculator::baseline::EnergyUnit;
use calculator::portfolio::{Compared, Difference, DifferenceError, Differences, Role, differences};
use calculator::uncertainty::{CONFIDENCE, Common, Member, Portfolio, portfolio};
use jiff::civil::Date;
use serde::Serialize;

use super::super::input::{Fault, Refused};
use super::plan::Plan;
use super::row::{Outcome, Row};
use super::tally::Tally;

/// The name and edition of the object.
const SCHEMA: &str = "negawatt.savings.portfolio/1";
/// Refused meters that are named here; `meters.parquet` has all of them.
pub(super) const REFUSED_MAX: usize = 1_000;

/// `negawatt.savings.portfolio/1`. Nothing in it depends on threads, on time, or on what an earlier run left.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    schema: &'static str,
    code_version: &'static str,
    pub(super) method: Method,
    pub(super) mode: Mode,
    pub(super) unit: EnergyUnit,
    pub(super) meters: Counts,
    /// Over the treated meters that can be added up; none where there is none.
    pub(super) totals: Option<Totals>,
    pub(super) common: Shares,
    /// The difference from the comparison group, where the list has one.
    pub(super) comparison: Option<Comparison>,
    /// The cumulative chart of all.
    pub(super) months: Vec<MonthRow>,
    pub(super) top: Vec<Ranked>,
    pub(super) bottom: Vec<Ranked>,
    /// The first of them.
    pub(super) refused: Vec<RefusedMeter>,
    /// SHA-256 over the names, outcomes and digests of all meters, in order.
    pub(super) digest: String,
}

/// How many meters there are of each kind; they sum to `all`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) all: usize,
    /// Treated, qualified, and in the sums.
    pub(super) summed: usize,
    /// Of the comparison group, and qualified.
    pub(super) comparison: usize,
    /// Qualified, and without a comparison or an interval.
    pub(super) not_compared: usize,
    pub(super) disqualified: usize,
    pub(super) no_model: usize,
    pub(super) refused: usize,
}

/// A figure for meters that err each on its own, and for meters that share weather and method.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Both<T> {
    pub(super) independent: T,
    pub(super) shared: T,
}

/// Sums, in the unit of the portfolio.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Totals {
    pub(super) counterfactual: f64,
    pub(super) observed: f64,
    pub(super) savings: f64,
    /// Of the counterfactual.
    pub(super) share: Option<f64>,
    /// Half of the interval of the savings at 90 %.
    pub(super) half_width_90: Both<f64>,
    pub(super) interval_90: Both<[f64; 2]>,
    /// What the method's bias may add on either side.
    pub(super) bias: f64,
    /// Half-width and bias over the savings.
    pub(super) fractional: Both<Option<f64>>,
}

/// What errors have in common, and whether that was measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Shares {
    pub(super) station: f64,
    pub(super) method: f64,
    pub(super) bias: f64,
    /// `given`, `measured` on the baselines, or `none` where too few meters share a month.
    pub(super) source: &'static str,
}

/// Difference in differences.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// Why there is none; then the rest is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) net: Option<Net>,
    pub(super) strata: Vec<StratumRow>,
    /// Treated meters of strata without a comparison group.
    pub(super) uncompared: u32,
}

/// What the treated avoided beyond the comparison group.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Net {
    pub(super) gross: f64,
    pub(super) savings: f64,
    pub(super) half_width_90: Both<f64>,
    pub(super) interval_90: Both<[f64; 2]>,
}

#[derive(Debug, Serialize)]
pub(super) struct StratumRow {
    pub(super) stratum: String,
    pub(super) treated: u32,
    pub(super) comparison: u32,
    /// The share of its counterfactual that the comparison group avoided without a project.
    pub(super) drift: f64,
    pub(super) gross: f64,
    pub(super) net: f64,
    pub(super) half_width_90: Both<f64>,
    /// What the choice of the comparison meters alone gives.
    pub(super) sampling_90: f64,
}

/// A month of all summed meters.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct MonthRow {
    /// Its first day.
    pub(super) month: Date,
    pub(super) meters: u64,
    pub(super) counterfactual: f64,
    pub(super) observed: f64,
    pub(super) savings: f64,
    pub(super) cumulative: f64,
}

/// A meter of a list.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ranked {
    pub(super) meter: String,
    /// Of the meter.
    pub(super) unit: EnergyUnit,
    pub(super) model: String,
    pub(super) counterfactual: f64,
    pub(super) savings: f64,
    pub(super) share: f64,
    pub(super) half_width_90: f64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct RefusedMeter {
    pub(super) meter: String,
    #[serde(flatten)]
    pub(super) error: Fault,
}

impl Ranked {
    pub(super) fn of(row: &Row) -> Option<Self> {
        let figures = row.figures()?;
        Some(Self {
            meter: row.meter.clone(),
            unit: row.unit?,
            model: row.model.as_ref().map(|model| model.kind.clone()).unwrap_or_default(),
            counterfactual: figures.counterfactual,
            savings: figures.savings,
            share: figures.savings / figures.counterfactual,
            half_width_90: figures.half,
        })
    }
}

impl Summary {
    /// Everything that follows from the numbers of all meters; the lists are the caller's.
    pub(super) fn of(plan: &Plan<'_>, tally: &Tally) -> Result<Self, Refused> {
        let per_unit = plan.unit.to_wh(1.0);
        let (common, source) = common(plan, tally)?;
        let treated = || members(plan, tally).filter(|meter| meter.role == Role::Treated).map(|meter| meter.member);
        let observed: f64 = treated().map(|member| member.counterfactual_wh - member.avoided_wh).sum();
        let counterfactual: f64 = treated().map(|member| member.counterfactual_wh).sum();
        let summed = portfolio(treated(), common).ok();
        let compares = plan.meters.iter().any(|meter| meter.role() == Role::Comparison);
        let compared = || members(plan, tally).collect::<Vec<Compared>>();
        let comparison = compares.then(|| Comparison::of(differences(&compared(), common, CONFIDENCE), plan));
        Ok(Self {
            schema: SCHEMA,
            code_version: CODE_VERSION,
            method: plan.args.method,
            mode: plan.args.mode,
            unit: plan.unit,
            meters: counts(plan, tally),
            totals: summed.map(|summed| Totals::of(&summed, counterfactual, observed, per_unit)),
            common: Shares { station: common.station, method: common.method, bias: common.bias, source },
            comparison,
            months: months(tally, per_unit),
            top: Vec::new(),
            bottom: Vec::new(),
            refused: Vec::new(),
            digest: String::new(),
        })
    }

    pub(super) fn object(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl Totals {
    fn of(summed: &Portfolio, counterfactual_wh: f64, observed_wh: f64, per_unit: f64) -> Self {
        let savings = summed.avoided_wh / per_unit;
        let half = Both { independent: summed.independent_wh / per_unit, shared: summed.shared_wh / per_unit };
        Self {
            counterfactual: counterfactual_wh / per_unit,
            observed: observed_wh / per_unit,
            savings,
            share: (counterfactual_wh.abs() > 0.0).then(|| summed.avoided_wh / counterfactual_wh),
            half_width_90: half,
            interval_90: around(savings, half),
            bias: summed.bias_wh / per_unit,
            fractional: Both { independent: summed.fractional_independent, shared: summed.fractional_shared },
        }
    }
}

fn around(savings: f64, half: Both<f64>) -> Both<[f64; 2]> {
    let around = |half| [savings - half, savings + half];
    Both { independent: around(half.independent), shared: around(half.shared) }
}

impl Comparison {
    fn of(found: Result<Differences, DifferenceError>, plan: &Plan<'_>) -> Self {
        let per_unit = plan.unit.to_wh(1.0);
        let found = match found {
            Ok(found) => found,
            Err(err) => return Self { error: Some(daemon::chain(&err)), net: None, strata: Vec::new(), uncompared: 0 },
        };
        let (savings, half) =
            (found.net_wh / per_unit, Both { independent: found.independent_wh / per_unit, shared: found.shared_wh / per_unit });
        let net = Net { gross: found.gross_wh / per_unit, savings, half_width_90: half, interval_90: around(savings, half) };
        let name = |stratum: u32| usize::try_from(stratum).ok().and_then(|place| plan.strata.get(place)).cloned().unwrap_or_default();
        let row = |one: &Difference| StratumRow {
            stratum: name(one.stratum),
            treated: one.treated,
            comparison: one.comparison,
            drift: one.drift,
            gross: one.gross_wh / per_unit,
            net: one.net_wh / per_unit,
            half_width_90: Both { independent: one.independent_wh / per_unit, shared: one.shared_wh / per_unit },
            sampling_90: one.sampling_wh / per_unit,
        };
        Self { error: None, net: Some(net), strata: found.strata.iter().map(row).collect(), uncompared: found.uncompared }
    }
}

/// The shares that were given, those that the baselines show, or none.
fn common(plan: &Plan<'_>, tally: &Tally) -> Result<(Common, &'static str), Refused> {
    let bias = plan.args.bias;
    Ok(match (plan.args.given()?, tally.likeness.common(bias)) {
        (Some(given), _) => (given, "given"),
        (None, Some(measured)) => (measured, "measured"),
        (None, None) => (Common { bias, ..Common::NOTHING }, "none"),
    })
}

/// The meters that can be added up, in order. Nobody keeps them: there may be many thousands.
fn members(plan: &Plan<'_>, tally: &Tally) -> impl Iterator<Item = Compared> + Clone {
    let member = move |(meter, known): (&super::plan::Meter, &Option<super::tally::Known>)| {
        let (figures, unit) = (known.as_ref()?.figures?, plan.unit_of(meter).ok()?);
        let member = Member {
            avoided_wh: unit.to_wh(figures.savings),
            half_width_wh: unit.to_wh(figures.half),
            counterfactual_wh: unit.to_wh(figures.counterfactual),
            station: meter.station,
        };
        Some(Compared { member, role: meter.role(), stratum: meter.stratum })
    };
    plan.meters.iter().zip(&tally.known).filter_map(member)
}

fn counts(plan: &Plan<'_>, tally: &Tally) -> Counts {
    let mut counts = Counts { all: plan.meters.len(), ..Counts::default() };
    for (meter, known) in plan.meters.iter().zip(&tally.known) {
        let Some(known) = known else { continue };
        let count = match (known.outcome, known.figures, meter.role()) {
            (Outcome::Refused, ..) => &mut counts.refused,
            (Outcome::Disqualified, ..) => &mut counts.disqualified,
            (Outcome::NoModel, ..) => &mut counts.no_model,
            (Outcome::Qualified, None, _) => &mut counts.not_compared,
            (Outcome::Qualified, Some(_), Role::Treated) => &mut counts.summed,
            (Outcome::Qualified, Some(_), Role::Comparison) => &mut counts.comparison,
        };
        *count += 1;
    }
    counts
}

#[expect(clippy::cast_precision_loss, reason = "watt-hours of a month, below 2^53 for any portfolio")]
fn months(tally: &Tally, per_unit: f64) -> Vec<MonthRow> {
    let mut cumulative = 0;
    tally
        .months
        .all()
        .map(|(meters, month)| {
            let savings = month.counterfactual_wh - month.observed_wh;
            cumulative += savings;
            let share = |wh: i64| wh as f64 / per_unit;
            MonthRow {
                month: month.first(),
                meters,
                counterfactual: share(month.counterfactual_wh),
                observed: share(month.observed_wh),
                savings: share(savings),
                cumulative: share(cumulative),
            }
        })
        .collect()
}
