//! The search itself: every place where the best change-points can be.
//!
//! A change-point is either inside a gap between two neighbouring temperatures, and then the pieces on its two sides can be
//! fitted apart and must cross in that gap; or it is one of the temperatures, and then the pieces share a hinge there.

use serde::{Deserialize, Serialize};

use super::pieces::{Run, Sorted, Straight, flat, line, solve};
use super::{ChangePointKind, ChangePointModel, Knee};
use crate::baseline::Commodity;

/// What a change-point model may look like: a contract term, stored with the fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangePointSearch {
    /// Whether heating must rise with cold, cooling with heat, and a flat part must not be negative.
    pub signed: bool,
    /// Least rows on every sloped side.
    pub rows_min: u16,
    /// Least share of the rows on every sloped side.
    pub share_min: f64,
    /// Whether the middle of five parameters may slope.
    pub sloped_middle: bool,
}

impl ChangePointSearch {
    /// Our rules: signs as in CalTRACK, at least ten days and a tenth of the days on every sloped side, a flat middle.
    pub const fn strict() -> Self {
        Self { signed: true, rows_min: 10, share_min: 0.1, sloped_middle: false }
    }

    /// The forms of nmecr: no signs, no least number of rows, a middle that slopes.
    pub const fn compatible() -> Self {
        Self { signed: false, rows_min: 2, share_min: 0.0, sloped_middle: true }
    }

    /// Whether a form takes part: fuel is not used for cooling, and a line of fuel is one of heating.
    pub(super) fn allows(&self, kind: ChangePointKind, commodity: Commodity) -> bool {
        match kind {
            ChangePointKind::Mean | ChangePointKind::TwoParameter | ChangePointKind::ThreeParameterHeating => true,
            ChangePointKind::FiveParameterSloped => self.sloped_middle,
            ChangePointKind::ThreeParameterCooling | ChangePointKind::FourParameter | ChangePointKind::FiveParameter => {
                commodity == Commodity::Electricity || !self.signed
            }
        }
    }

    fn least_rows(&self, rows: usize) -> f64 {
        f64::from(self.rows_min).max(self.share_min * rows as f64).max(1.0)
    }
}

impl Default for ChangePointSearch {
    fn default() -> Self {
        Self::strict()
    }
}

/// The best model of a form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) model: ChangePointModel,
    pub(super) sse: f64,
}

/// A model in centred coordinates while the search goes on.
#[derive(Clone, Copy, Debug)]
struct Trial {
    sse: f64,
    /// Value at the (lower) change-point, or of the flat part.
    base: f64,
    slope: f64,
    heating: Option<(f64, f64)>,
    cooling: Option<(f64, f64)>,
}

/// Keeps the best trial that the rules allow.
#[derive(Debug)]
struct Best<'a> {
    search: &'a ChangePointSearch,
    mean_wh: f64,
    best: Option<Trial>,
}

impl Best<'_> {
    fn offer(&mut self, trial: Trial) {
        if self.best.is_some_and(|best| best.sse <= trial.sse) {
            return;
        }
        let falls = |knee: Option<(f64, f64)>| knee.is_some_and(|(_, slope)| slope < 0.0);
        if self.search.signed && (falls(trial.heating) || falls(trial.cooling) || trial.base + self.mean_wh < 0.0) {
            return;
        }
        self.best = Some(trial);
    }
}

/// The best model of a form, or none when the rules leave none.
pub(super) fn search_kind(kind: ChangePointKind, sorted: &Sorted, search: &ChangePointSearch) -> Option<Found> {
    let mut best = Best { search, mean_wh: sorted.mean_wh, best: None };
    let all = sorted.run(0, sorted.points.len());
    match kind {
        ChangePointKind::Mean => {
            let mean = flat(all)?;
            best.best = Some(Trial { sse: mean.sse, base: mean.coefficients[0], slope: 0.0, heating: None, cooling: None });
        }
        ChangePointKind::TwoParameter => {
            let found = line(all)?;
            let [at_mean, slope] = found.coefficients;
            best.best = Some(Trial { sse: found.sse, base: at_mean, slope, heating: None, cooling: None });
        }
        ChangePointKind::ThreeParameterCooling | ChangePointKind::ThreeParameterHeating | ChangePointKind::FourParameter => {
            one_knee(kind, sorted, &mut best);
        }
        ChangePointKind::FiveParameter => two_knees::<1>(sorted, &mut best),
        ChangePointKind::FiveParameterSloped => two_knees::<2>(sorted, &mut best),
    }
    best.best.map(|trial| finish(kind, trial, sorted))
}

/// The value and the slope of a piece: a line, or a mean.
fn piece(run: Run, sloped: bool) -> Option<(f64, f64, f64)> {
    if sloped {
        let found = line(run)?;
        Some((found.coefficients[0], found.coefficients[1], found.sse))
    } else {
        let found = flat(run)?;
        Some((found.coefficients[0], 0.0, found.sse))
    }
}

/// Where two straight pieces meet, when that is strictly inside a gap.
fn crossing(left: (f64, f64), right: (f64, f64), gap: (f64, f64)) -> Option<f64> {
    let at = (right.0 - left.0) / (left.1 - right.1);
    (at > gap.0 && at < gap.1).then_some(at)
}

fn one_knee(kind: ChangePointKind, sorted: &Sorted, best: &mut Best<'_>) {
    let heats = kind != ChangePointKind::ThreeParameterCooling;
    let cools = kind != ChangePointKind::ThreeParameterHeating;
    let (count, least) = (sorted.points.len(), best.search.least_rows(sorted.rows.len()));
    for at in 0..count {
        let (left, right) = (sorted.run(0, at + 1), sorted.run(at + 1, count));
        let enough = |left: Run, right: Run| (!heats || left.n >= least) && (!cools || right.n >= least);
        // Inside the gap after this point.
        if at + 1 < count && enough(left, right) {
            let gap = (sorted.points[at], sorted.points[at + 1]);
            if let (Some(low), Some(high)) = (piece(left, heats), piece(right, cools))
                && let Some(tau) = crossing((low.0, low.1), (high.0, high.1), gap)
            {
                best.offer(Trial {
                    sse: low.2 + high.2,
                    base: low.0 + low.1 * tau,
                    slope: 0.0,
                    heating: heats.then_some((tau, -low.1)),
                    cooling: cools.then_some((tau, high.1)),
                });
            }
        }
        // On this point.
        let (below, above) = (sorted.run(0, at), right);
        if enough(below, above) {
            let tau = sorted.points[at];
            if let Some(trial) = hinge(kind, left, above, tau) {
                best.offer(trial);
            }
        }
    }
}

/// One change-point at a given temperature.
fn hinge(kind: ChangePointKind, left: Run, right: Run, tau: f64) -> Option<Trial> {
    let (cold, warm) = ((tau, -1.0), (-tau, 1.0));
    let (one, none) = ((1.0, 0.0), (0.0, 0.0));
    let trial = |sse, base, heating: Option<f64>, cooling: Option<f64>| Trial {
        sse,
        base,
        slope: 0.0,
        heating: heating.map(|slope| (tau, slope)),
        cooling: cooling.map(|slope| (tau, slope)),
    };
    match kind {
        ChangePointKind::ThreeParameterCooling => {
            let found = solve(&[(left, [one, none]), (right, [one, warm])])?;
            Some(trial(found.sse, found.coefficients[0], None, Some(found.coefficients[1])))
        }
        ChangePointKind::ThreeParameterHeating => {
            let found = solve(&[(left, [one, cold]), (right, [one, none])])?;
            Some(trial(found.sse, found.coefficients[0], Some(found.coefficients[1]), None))
        }
        _ => {
            let found = solve(&[(left, [one, cold, none]), (right, [one, none, warm])])?;
            Some(trial(found.sse, found.coefficients[0], Some(found.coefficients[1]), Some(found.coefficients[2])))
        }
    }
}

/// The model of one change-point form with its change-point fixed anywhere: for profiles.
pub(super) fn sse_with_one(kind: ChangePointKind, sorted: &Sorted, tau: f64) -> Option<f64> {
    let split = sorted.below(tau);
    hinge(kind, sorted.run(0, split), sorted.run(split, sorted.points.len()), tau).map(|trial| trial.sse)
}

/// Two change-points; `MIDDLE` functions describe what lies between: one is flat, two slope.
fn two_knees<const MIDDLE: usize>(sorted: &Sorted, best: &mut Best<'_>) {
    let (count, least) = (sorted.points.len(), best.search.least_rows(sorted.rows.len()));
    let sloped = MIDDLE == 2;
    for low in 0..count {
        let left = sorted.run(0, low + 1);
        if left.n < least {
            continue;
        }
        let below = sorted.run(0, low);
        let low_piece = piece(left, true);
        for high in low..count {
            let right = sorted.run(high + 1, count);
            if right.n < least {
                break;
            }
            let gap_low = low + 1 < count && low < high;
            let gap_high = high + 1 < count;
            let high_piece = piece(right, true);
            // Both inside gaps: after `low`, and after `high`, with the points between in the middle.
            if gap_low
                && gap_high
                && let (Some(first), Some(middle), Some(last)) = (low_piece, piece(sorted.run(low + 1, high + 1), sloped), high_piece)
                && let Some(tau) = crossing((first.0, first.1), (middle.0, middle.1), (sorted.points[low], sorted.points[low + 1]))
                && let Some(upper) = crossing((middle.0, middle.1), (last.0, last.1), (sorted.points[high], sorted.points[high + 1]))
            {
                best.offer(joined((first.1, middle.0, middle.1, last.1), (tau, upper), first.2 + middle.2 + last.2));
            }
            // The lower on a point, the upper inside the gap after `high`.
            if gap_high
                && below.n >= least
                && let Some(last) = high_piece
            {
                let tau = sorted.points[low];
                let runs = (sorted.run(0, low), sorted.run(low, high + 1));
                if let Some((slope, at, middle, sse)) = with_lower::<MIDDLE>(runs, tau)
                    && let Some(upper) =
                        crossing((at - middle * tau, middle), (last.0, last.1), (sorted.points[high], sorted.points[high + 1]))
                {
                    best.offer(joined((slope, at - middle * tau, middle, last.1), (tau, upper), sse + last.2));
                }
            }
            // The lower inside the gap after `low`, the upper on a point.
            if gap_low && let Some(first) = low_piece {
                let upper = sorted.points[high];
                let runs = (sorted.run(low + 1, high + 1), right);
                if let Some((at, middle, slope, sse)) = with_upper::<MIDDLE>(runs, upper)
                    && let Some(tau) =
                        crossing((first.0, first.1), (at - middle * upper, middle), (sorted.points[low], sorted.points[low + 1]))
                {
                    best.offer(joined((first.1, at - middle * upper, middle, slope), (tau, upper), first.2 + sse));
                }
            }
            // Both on points.
            if below.n >= least {
                best_with_both::<MIDDLE>(sorted, (low, high), best);
            }
        }
    }
}

/// A trial from the slopes (left, middle at zero, middle, right) and the change-points.
fn joined((left, at_zero, middle, right): (f64, f64, f64, f64), (tau, upper): (f64, f64), sse: f64) -> Trial {
    let base = at_zero + middle * tau;
    Trial { sse, base, slope: middle, heating: Some((tau, -left)), cooling: Some((upper, right)) }
}

/// Left line and middle that share a hinge: (left slope, value at the hinge, middle slope, SSE).
fn with_lower<const MIDDLE: usize>((left, middle): (Run, Run), tau: f64) -> Option<(f64, f64, f64, f64)> {
    let (one, none, cold, on) = ((1.0, 0.0), (0.0, 0.0), (tau, -1.0), (-tau, 1.0));
    if MIDDLE == 1 {
        let found = solve(&[(left, [one, cold]), (middle, [one, none])])?;
        Some((-found.coefficients[1], found.coefficients[0], 0.0, found.sse))
    } else {
        let found = solve(&[(left, [one, cold, none]), (middle, [one, none, on])])?;
        Some((-found.coefficients[1], found.coefficients[0], found.coefficients[2], found.sse))
    }
}

/// Middle and right line that share a hinge: (value at the hinge, middle slope, right slope, SSE).
fn with_upper<const MIDDLE: usize>((middle, right): (Run, Run), upper: f64) -> Option<(f64, f64, f64, f64)> {
    let (one, none, before, warm) = ((1.0, 0.0), (0.0, 0.0), (-upper, 1.0), (-upper, 1.0));
    if MIDDLE == 1 {
        let found = solve(&[(middle, [one, none]), (right, [one, warm])])?;
        Some((found.coefficients[0], 0.0, found.coefficients[1], found.sse))
    } else {
        let found = solve(&[(middle, [one, before, none]), (right, [one, none, warm])])?;
        Some((found.coefficients[0], found.coefficients[1], found.coefficients[2], found.sse))
    }
}

fn best_with_both<const MIDDLE: usize>(sorted: &Sorted, (low, high): (usize, usize), best: &mut Best<'_>) {
    let (tau, upper) = (sorted.points[low], sorted.points[high]);
    let runs = (sorted.run(0, low), sorted.run(low, high + 1), sorted.run(high + 1, sorted.points.len()));
    if let Some(trial) = hinges::<MIDDLE>(runs, tau, upper) {
        best.offer(trial);
    }
}

/// Two change-points at given temperatures; a middle of no length cannot slope.
fn hinges<const MIDDLE: usize>((left, middle, right): (Run, Run, Run), tau: f64, upper: f64) -> Option<Trial> {
    let (one, none, cold, warm) = ((1.0, 0.0), (0.0, 0.0), (tau, -1.0), (-upper, 1.0));
    let (base, slope, heating, cooling, sse) = if MIDDLE == 1 {
        let runs: [(Run, Straight<3>); 3] = [(left, [one, cold, none]), (middle, [one, none, none]), (right, [one, none, warm])];
        let found = solve(&runs)?;
        (found.coefficients[0], 0.0, found.coefficients[1], found.coefficients[2], found.sse)
    } else {
        let (on, whole) = ((-tau, 1.0), (upper - tau, 0.0));
        let runs: [(Run, Straight<4>); 3] =
            [(left, [one, cold, none, none]), (middle, [one, none, none, on]), (right, [one, none, warm, whole])];
        let found = solve(&runs)?;
        (found.coefficients[0], found.coefficients[3], found.coefficients[1], found.coefficients[2], found.sse)
    };
    Some(Trial { sse, base, slope, heating: Some((tau, heating)), cooling: Some((upper, cooling)) })
}

/// The least that two change-points leave when one is fixed anywhere and the other lies on a temperature: for profiles.
pub(super) fn sse_with_one_of_two(kind: ChangePointKind, sorted: &Sorted, fixed: f64, lower: bool) -> Option<f64> {
    let split = sorted.below(fixed);
    let count = sorted.points.len();
    let others = if lower { split..count } else { 0..split };
    others
        .filter_map(|other| {
            let point = sorted.points[other];
            let (tau, upper) = if lower { (fixed, point) } else { (point, fixed) };
            let (first, second) = if lower { (split, other) } else { (other, split) };
            let runs = (sorted.run(0, first), sorted.run(first, second), sorted.run(second, count));
            let trial = if kind == ChangePointKind::FiveParameter { hinges::<1>(runs, tau, upper) } else { hinges::<2>(runs, tau, upper) };
            trial.map(|trial| trial.sse)
        })
        .min_by(f64::total_cmp)
}

/// Back to real temperatures and energies; what the model leaves is counted again on the rows.
fn finish(kind: ChangePointKind, trial: Trial, sorted: &Sorted) -> Found {
    let knee = |knee: (f64, f64)| Knee { at_f: knee.0 + sorted.mean_f, slope: knee.1, interval_f: None };
    let base = trial.base + sorted.mean_wh;
    let base = if kind == ChangePointKind::TwoParameter { base - trial.slope * sorted.mean_f } else { base };
    let model = ChangePointModel { kind, base, slope: trial.slope, heating: trial.heating.map(knee), cooling: trial.cooling.map(knee) };
    let residual = |(t, y): &(f64, f64)| y + sorted.mean_wh - model.predict_wh(t + sorted.mean_f);
    let sse = sorted.rows.iter().map(residual).map(|residual| residual * residual).sum();
    Found { model, sse }
}
