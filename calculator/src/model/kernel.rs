//! All candidates at once, in closed form from the running sums.
//!
//! Heating and cooling days are disjoint when the heating point is not above the cooling point, so Σ h·c is zero and the
//! covariance of the two is the product of their means. With every variable in its own length, two numbers of a balance
//! point are all that a pair needs: how it goes with the use, and its mean. Adjusted R² and the signs of a pair are then
//! twenty operations, four heating points side by side.

use std::array::from_fn;

use super::candidate::{Candidate, Estimate, Outcome, Reason};
use super::candidates::{CLOSE, Finalists};
use super::lanes::sum;
use super::shape::{BalancePoints, Search, Shape};
use super::sums::{GridSums, Sums};
use crate::baseline::Commodity;

/// A determinant smaller than this share of its largest term is zero.
const SINGULAR: f64 = 1e-12;

/// The use of the baseline around its mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    days: f64,
    /// Σ y.
    pub(super) sum: f64,
    pub(super) mean: f64,
    /// Σ (y − ȳ)².
    total: f64,
    /// √Σ (y − ȳ)².
    length: f64,
    /// √n.
    root: f64,
}

impl Spread {
    pub(super) fn of(use_wh: &[f64]) -> Self {
        let days = use_wh.len() as f64;
        let of_all = sum([use_wh], |[use_wh]| use_wh);
        let mean = of_all / days;
        let total = sum([use_wh], |[use_wh]| (use_wh - mean) * (use_wh - mean));
        Self { days, sum: of_all, mean, total, length: total.sqrt(), root: days.sqrt() }
    }

    /// Adjusted R² of a model of this shape that leaves this much of the total unexplained.
    ///
    /// Zero by definition for the mean, and for use that never varies.
    pub(super) fn r_squared_adj(&self, unexplained: f64, shape: Shape) -> f64 {
        if shape == Shape::InterceptOnly || self.total <= 0.0 { 0.0 } else { 1.0 - unexplained * (self.penalty(shape) / self.total) }
    }

    /// (n−1)/(n−c−1).
    fn penalty(&self, shape: Shape) -> f64 {
        (self.days - 1.0) / (self.days - f64::from(shape.slopes()) - 1.0)
    }
}

/// One degree-day variable at one balance point, around its mean and in its own length √Σ(x − x̄)².
#[derive(Clone, Copy, Debug)]
struct Variable {
    point: u8,
    /// Why no candidate with this variable is attempted.
    refused: Option<Reason>,
    mean: f64,
    /// The correlation with the use.
    along: f64,
    /// √n·x̄ in the variable's length.
    level: f64,
    /// The length of the use in that of the variable: what turns a share into a slope.
    scale: f64,
}

impl Variable {
    fn new(point: u8, sums: &Sums, spread: &Spread, search: &Search, few_degree_days: Reason, few_days: Reason) -> Self {
        let mean = sums.x / spread.days;
        let square = sums.xx - sums.x * mean;
        let refused = if sums.x < search.degree_days_min {
            Some(few_degree_days)
        } else if sums.days < u32::from(search.days_min) {
            Some(few_days)
        } else if square <= SINGULAR * sums.xx || spread.total <= 0.0 {
            Some(Reason::Singular)
        } else {
            None
        };
        let per_length = 1.0 / square.sqrt();
        Self {
            point,
            refused,
            mean,
            along: sums.xy * per_length / spread.length,
            level: spread.root * mean * per_length,
            scale: spread.length * per_length,
        }
    }
}

/// What every candidate of a search follows from.
#[derive(Clone, Debug)]
pub(super) struct Solved {
    spread: Spread,
    heating: Vec<Variable>,
    /// Empty where nothing is cooled.
    cooling: Vec<Variable>,
}

impl Solved {
    /// * Shape: temperature and use of the same days.
    pub(super) fn new(temperatures_f: &[f64], use_wh: &[f64], spread: Spread, search: &Search, commodity: Commodity) -> Self {
        let sums = GridSums::new(search.grid.points(), temperatures_f, use_wh, spread.mean);
        let variables = |sums: &[Sums], few_degree_days, few_days| -> Vec<Variable> {
            let points = search.grid.points().zip(sums);
            points.map(|(point, sums)| Variable::new(point, sums, &spread, search, few_degree_days, few_days)).collect()
        };
        let heating = variables(&sums.heating, Reason::FewHeatingDegreeDays, Reason::FewHeatingDays);
        let cooling = match commodity {
            Commodity::Gas => Vec::new(),
            Commodity::Electricity => variables(&sums.cooling, Reason::FewCoolingDegreeDays, Reason::FewCoolingDays),
        };
        Self { spread, heating, cooling }
    }

    /// How many candidates there are.
    pub(super) const fn len(&self) -> usize {
        1 + self.heating.len() + self.cooling.len() * (self.cooling.len() + 3) / 2
    }

    /// Every candidate in canonical order with its outcome.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let mut candidates = Vec::with_capacity(self.len());
        let mut list = |heating: Option<&Variable>, cooling: Option<&Variable>| {
            let points = BalancePoints { heating_f: heating.map(|own| own.point), cooling_f: cooling.map(|own| own.point) };
            candidates.push(Candidate { points, outcome: self.outcome(heating, cooling) });
        };
        list(None, None);
        self.heating.iter().for_each(|heating| list(Some(heating), None));
        self.cooling.iter().for_each(|cooling| list(None, Some(cooling)));
        for (index, cooling) in self.cooling.iter().enumerate() {
            self.heating.iter().take(index + 1).for_each(|heating| list(Some(heating), Some(cooling)));
        }
        candidates
    }

    fn outcome(&self, heating: Option<&Variable>, cooling: Option<&Variable>) -> Outcome {
        if let Some(reason) = heating.and_then(|own| own.refused).or_else(|| cooling.and_then(|own| own.refused)) {
            return Outcome::NotAttempted(reason);
        }
        let (mean, r_squared_adj) = (self.spread.mean, |shape, explained| 1.0 - (1.0 - explained) * self.spread.penalty(shape));
        judge(match (heating, cooling) {
            (None, None) => Estimate { intercept: mean, hdd: 0.0, cdd: 0.0, r_squared_adj: 0.0 },
            (Some(own), None) => {
                let hdd = own.along * own.scale;
                let r_squared_adj = r_squared_adj(Shape::HddOnly, own.along * own.along);
                Estimate { intercept: mean - hdd * own.mean, hdd, cdd: 0.0, r_squared_adj }
            }
            (None, Some(own)) => {
                let cdd = own.along * own.scale;
                let r_squared_adj = r_squared_adj(Shape::CddOnly, own.along * own.along);
                Estimate { intercept: mean - cdd * own.mean, hdd: 0.0, cdd, r_squared_adj }
            }
            (Some(heating), Some(cooling)) => {
                let pair = Pair::of(heating.along, heating.level, cooling);
                if pair.determinant <= SINGULAR {
                    return Outcome::NotAttempted(Reason::Singular);
                }
                let (hdd, cdd) = (pair.heating / pair.determinant * heating.scale, pair.cooling / pair.determinant * cooling.scale);
                let intercept = mean - hdd * heating.mean - cdd * cooling.mean;
                let r_squared_adj = r_squared_adj(Shape::CddHdd, pair.explained(heating.along, cooling));
                Estimate { intercept, hdd, cdd, r_squared_adj }
            }
        })
    }

    /// The candidates that come close to the best of those that may take part, by their places in canonical order.
    pub(super) fn finalists(&self) -> impl Iterator<Item = (usize, BalancePoints)> {
        let mut finalists = Finalists::new();
        let mut alone = |place: usize, heating, cooling| {
            if let Outcome::Qualified(estimate) = self.outcome(heating, cooling) {
                finalists.offer(place, estimate.r_squared_adj);
            }
        };
        alone(0, None, None);
        (1..).zip(&self.heating).for_each(|(place, heating)| alone(place, Some(heating), None));
        let after = 1 + self.heating.len();
        (after..).zip(&self.cooling).for_each(|(place, cooling)| alone(place, None, Some(cooling)));
        self.pairs(&mut finalists);
        finalists.places().into_iter().map(|place| (place, self.points(place)))
    }

    /// Pairs of a heating and a cooling point.
    ///
    /// Whether a pair explains as much as the best so far takes half the operations of whether it may take part, so that is asked first;
    /// and some rows of cooling points are looked at before the others, because a good pair spares most of what comes after it.
    fn pairs(&self, finalists: &mut Finalists) {
        // Cold points admit no heating, and warm ones no cooling; nothing is looked for there.
        let Some(first) = self.heating.iter().position(|own| own.refused.is_none()) else { return };
        let groups: Vec<Group> = self.heating.chunks(LANES).map(Group::of).collect();
        // The mean of the use in the length of the use, as levels are in that of their variables.
        let level = self.spread.mean * self.spread.root / self.spread.length;
        let penalty = self.spread.penalty(Shape::CddHdd);
        let before = 1 + self.heating.len() + self.cooling.len();
        let mut row = |index: usize, cooling: &Variable| {
            // 1 − (1−R²)·penalty is at the bar; rounding stays far below what is close.
            let bar = 1.0 - (1.0 - finalists.bar() + CLOSE / 16.0) / penalty;
            let reached = first / LANES..index / LANES + 1;
            for (number, group) in reached.clone().zip(&groups[reached]).filter(|(_, group)| group.may_reach(bar, cooling)) {
                let shares = (number * LANES..=index).zip(group.explained(cooling, level));
                shares.filter(|(_, share)| *share >= bar).for_each(|(heating, share)| {
                    finalists.offer(before + index * (index + 1) / 2 + heating, 1.0 - (1.0 - share) * penalty);
                });
            }
        };
        let attempted = || self.cooling.iter().enumerate().skip(first).filter(|(_, own)| own.refused.is_none());
        let is_early = |index: usize| index % EARLY == EARLY / 2;
        attempted().filter(|(index, _)| is_early(*index)).for_each(|(index, cooling)| row(index, cooling));
        attempted().filter(|(index, _)| !is_early(*index)).for_each(|(index, cooling)| row(index, cooling));
    }

    /// The balance points of the candidate at a place.
    fn points(&self, place: usize) -> BalancePoints {
        let point = |variables: &[Variable], index: usize| variables.get(index).map(|own| own.point);
        let (heating, cooling) = (self.heating.len(), self.cooling.len());
        let Some(index) = place.checked_sub(1) else { return BalancePoints::default() };
        if index < heating {
            return BalancePoints { heating_f: point(&self.heating, index), cooling_f: None };
        }
        let mut index = index - heating;
        if index < cooling {
            return BalancePoints { heating_f: None, cooling_f: point(&self.cooling, index) };
        }
        index -= cooling;
        let mut row = 0;
        while index > row {
            row += 1;
            index -= row;
        }
        BalancePoints { heating_f: point(&self.heating, index), cooling_f: point(&self.cooling, row) }
    }
}

/// The normal equations of a pair in the lengths of its variables, solved up to their determinant.
#[derive(Clone, Copy)]
struct Pair {
    heating: f64,
    cooling: f64,
    determinant: f64,
}

impl Pair {
    #[inline]
    fn of(along: f64, level: f64, cooling: &Variable) -> Self {
        // Of disjoint variables the correlation is minus this.
        let apart = level * cooling.level;
        Self { heating: along + apart * cooling.along, cooling: cooling.along + apart * along, determinant: 1.0 - apart * apart }
    }

    /// R².
    #[inline]
    fn explained(&self, along: f64, cooling: &Variable) -> f64 {
        (self.heating * along + self.cooling * cooling.along) / self.determinant
    }
}

/// Heating points that are solved side by side.
const LANES: usize = 4;
/// One cooling point of so many is looked at before the others.
const EARLY: usize = 8;

/// Some heating points beside one another.
struct Group {
    along: [f64; LANES],
    level: [f64; LANES],
    /// R² of each alone.
    alone: [f64; LANES],
}

impl Group {
    /// * Shape: as many points as there are lanes, or fewer; a lane without a point that may take part explains nothing.
    fn of(heating: &[Variable]) -> Self {
        let taken = |lane: usize| heating.get(lane).filter(|own| own.refused.is_none());
        Self {
            along: from_fn(|lane| taken(lane).map_or(f64::NAN, |own| own.along)),
            level: from_fn(|lane| taken(lane).map_or(0.0, |own| own.level)),
            alone: from_fn(|lane| taken(lane).map_or(f64::NAN, |own| own.along * own.along)),
        }
    }

    /// Whether R² of a pair with this cooling point comes to the bar, if it may take part; where rounding could decide, it does.
    #[inline]
    fn may_reach(&self, bar: f64, cooling: &Variable) -> bool {
        const ROUNDING: f64 = 1e-13;
        let (alone, twice) = (cooling.along * cooling.along + ROUNDING, 2.0 * cooling.along);
        let reaches: [bool; LANES] = from_fn(|lane| {
            let apart = self.level[lane] * cooling.level;
            self.alone[lane] + alone + twice * self.along[lane] * apart >= bar * (1.0 - apart * apart)
        });
        reaches.into_iter().fold(false, |any, reaches| any | reaches)
    }

    /// R² of each pair with this cooling point; less than nothing for one that must not take part.
    #[inline]
    fn explained(&self, cooling: &Variable, level: f64) -> [f64; LANES] {
        from_fn(|lane| {
            let pair = Pair::of(self.along[lane], self.level[lane], cooling);
            let base = level * pair.determinant - pair.heating * self.level[lane] - pair.cooling * cooling.level;
            // The least of what must not be negative; what is no number stays so.
            let least = |one: f64, other: f64| if other < one { other } else { one };
            let least = least(least(pair.heating, pair.cooling), least(base, pair.determinant - SINGULAR));
            if least >= 0.0 { pair.explained(self.along[lane], cooling) } else { f64::NEG_INFINITY }
        })
    }
}

/// Whether an estimate may take part.
///
/// * Source: CalTRACK 2.0, 3.3.4 and the reference code, which rejects negative values only.
pub(super) fn judge(estimate: Estimate) -> Outcome {
    if estimate.intercept < 0.0 {
        Outcome::Disqualified(Reason::NegativeIntercept, estimate)
    } else if estimate.hdd < 0.0 {
        Outcome::Disqualified(Reason::NegativeHeating, estimate)
    } else if estimate.cdd < 0.0 {
        Outcome::Disqualified(Reason::NegativeCooling, estimate)
    } else {
        Outcome::Qualified(estimate)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        /// Whatever is asked first and left out: who comes close to the best of all candidates is found, and nobody else.
        #[test]
        fn the_walk_finds_all_that_come_close(
            days in 12..380_usize,
            (coldest, span) in (-20.0..70.0_f64, 0.0..90.0_f64),
            (base, heat, cool) in (-500.0..5e3_f64, -80.0..200.0_f64, -80.0..200.0_f64),
            (heating_f, gap, noise) in (35.0..60.0_f64, -5.0..20.0_f64, 0.0..900.0_f64),
            gas in any::<bool>(),
        ) {
            let swing = |day: usize, of: f64| (day as f64 * of).sin();
            let temperatures: Vec<f64> = (0..days).map(|day| coldest + span * (0.5 + 0.4 * swing(day, 0.017) + 0.1 * swing(day, 2.3))).collect();
            let used = |(day, degrees): (usize, &f64)| {
                base + heat * (heating_f - degrees).max(0.0) + cool * (degrees - heating_f - gap).max(0.0) + noise * swing(day, 7.7)
            };
            let use_wh: Vec<f64> = temperatures.iter().enumerate().map(used).collect();
            let commodity = if gas { Commodity::Gas } else { Commodity::Electricity };
            let solved = Solved::new(&temperatures, &use_wh, Spread::of(&use_wh), &Search::compatible(), commodity);
            let scores: Vec<(BalancePoints, f64)> = solved.candidates().iter().map(|candidate| match candidate.outcome {
                Outcome::Qualified(estimate) => (candidate.points, estimate.r_squared_adj),
                Outcome::Disqualified(..) | Outcome::NotAttempted(_) => (candidate.points, f64::NEG_INFINITY),
            }).collect();
            let best = scores.iter().map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max);
            let found: Vec<(usize, BalancePoints)> = solved.finalists().collect();
            prop_assert!(found.is_sorted_by_key(|(place, _)| *place));
            for (place, points) in &found {
                prop_assert_eq!(scores[*place].0, *points);
                prop_assert!(scores[*place].1 >= best - 1.01 * CLOSE, "{} is not close to {}", scores[*place].1, best);
            }
            for (place, (points, score)) in scores.iter().enumerate().filter(|(_, (_, score))| *score >= best - 0.99 * CLOSE && *score > f64::NEG_INFINITY) {
                prop_assert!(found.iter().any(|(at, _)| *at == place), "{points:?} with {score} beside {best} was left out");
            }
        }
    }
}
