//! What a model looks like, and which ones are tried.

use serde::{Deserialize, Serialize};

use crate::baseline::Commodity;
use crate::degree_days;

/// Which terms a model has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A base load that the weather does not move.
    InterceptOnly,
    /// Base load and heating.
    HddOnly,
    /// Base load and cooling.
    CddOnly,
    /// Base load, heating and cooling.
    CddHdd,
}

impl Shape {
    /// Explanatory variables without the intercept: `c` in the formulas.
    pub const fn slopes(self) -> u8 {
        match self {
            Self::InterceptOnly => 0,
            Self::HddOnly | Self::CddOnly => 1,
            Self::CddHdd => 2,
        }
    }

    /// All fitted quantities, balance points included: `q` in the formulas.
    pub const fn fitted_quantities(self) -> u8 {
        1 + 2 * self.slopes()
    }
}

/// The balance points of a candidate, °F.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BalancePoints {
    /// Below this mean temperature the facility heats.
    pub heating_f: Option<u8>,
    /// Above this mean temperature the facility cools.
    pub cooling_f: Option<u8>,
}

impl BalancePoints {
    /// The shape with these balance points.
    pub const fn shape(self) -> Shape {
        match (self.heating_f, self.cooling_f) {
            (None, None) => Shape::InterceptOnly,
            (Some(_), None) => Shape::HddOnly,
            (None, Some(_)) => Shape::CddOnly,
            (Some(_), Some(_)) => Shape::CddHdd,
        }
    }
}

/// Balance points to try: whole degrees Fahrenheit from `first_f` to `last_f`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "GridEnds")]
pub struct Grid {
    first_f: u8,
    last_f: u8,
}

#[derive(Deserialize)]
struct GridEnds {
    first_f: u8,
    last_f: u8,
}

/// A grid without points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a grid of balance points from {first_f} to {last_f} °F has no points")]
pub struct GridError {
    /// The lowest point asked for.
    pub first_f: u8,
    /// The highest point asked for.
    pub last_f: u8,
}

impl TryFrom<GridEnds> for Grid {
    type Error = GridError;

    fn try_from(ends: GridEnds) -> Result<Self, GridError> {
        Self::new(ends.first_f, ends.last_f)
    }
}

impl Grid {
    /// The grid of the reference: 30 to 90 °F.
    pub const CALTRACK: Self = Self { first_f: 30, last_f: 90 };

    /// A grid of the contract's own.
    pub const fn new(first_f: u8, last_f: u8) -> Result<Self, GridError> {
        if first_f > last_f { Err(GridError { first_f, last_f }) } else { Ok(Self { first_f, last_f }) }
    }

    /// The balance points in ascending order.
    pub fn points(self) -> std::ops::RangeInclusive<u8> {
        self.first_f..=self.last_f
    }
}

/// What is tried and how the best is chosen: a contract term, stored with the fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The balance points.
    pub grid: Grid,
    /// A candidate is not attempted below this many degree days in the baseline.
    pub degree_days_min: f64,
    /// A candidate is not attempted with fewer days that have degree days.
    pub days_min: u16,
    /// A weather model must explain at least this much more (adjusted R²) than the mean.
    pub gain_min: f64,
}

impl Search {
    /// Exactly the candidates and rules of the reference implementation.
    ///
    /// * Source: CalTRACK 2.0, 3.3-3.4, with the defaults of eemeter 2.10.
    pub const fn compatible() -> Self {
        Self { grid: Grid::CALTRACK, degree_days_min: 20.0, days_min: 10, gain_min: 0.0 }
    }

    /// As [`Self::compatible`], but a weather model must explain at least one per cent of the variance.
    ///
    /// Without this a facility that does not respond to the weather can get a spurious weather model.
    pub const fn strict() -> Self {
        Self { gain_min: 0.01, ..Self::compatible() }
    }

    /// As [`Self::compatible`], for bills: no least number of periods with degree days.
    pub const fn billing() -> Self {
        Self { days_min: 0, ..Self::compatible() }
    }

    /// All candidates in canonical order: the mean, heating ascending, cooling ascending, then pairs (cooling outer).
    pub fn candidates(&self, commodity: Commodity) -> impl Iterator<Item = BalancePoints> + use<> {
        let grid = self.grid;
        let heating = grid.points().map(|point| BalancePoints { heating_f: Some(point), cooling_f: None });
        let cooling = grid.points().map(|point| BalancePoints { heating_f: None, cooling_f: Some(point) });
        let pairs = grid.points().flat_map(move |cool| {
            grid.points()
                .take_while(move |heat| *heat <= cool)
                .map(move |heat| BalancePoints { heating_f: Some(heat), cooling_f: Some(cool) })
        });
        let cools = commodity == Commodity::Electricity;
        std::iter::once(BalancePoints::default()).chain(heating).chain(cooling.chain(pairs).filter(move |_| cools))
    }
}

impl Default for Search {
    fn default() -> Self {
        Self::compatible()
    }
}

/// A slope and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// The balance point, °F.
    pub balance_f: f64,
    /// Wh per °F·day, never negative.
    pub beta: f64,
}

/// A fitted model of one day's use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Which terms it has.
    pub kind: Shape,
    /// Base load, Wh per day of 24 hours.
    pub intercept: f64,
    /// Heating.
    pub hdd: Option<Term>,
    /// Cooling.
    pub cdd: Option<Term>,
}

impl Model {
    /// Wh of heating on a day with this mean temperature.
    pub fn heating_wh(&self, mean_f: f64) -> f64 {
        self.hdd.map_or(0.0, |term| term.beta * degree_days::heating(term.balance_f, mean_f))
    }

    /// Wh of cooling on a day with this mean temperature.
    pub fn cooling_wh(&self, mean_f: f64) -> f64 {
        self.cdd.map_or(0.0, |term| term.beta * degree_days::cooling(term.balance_f, mean_f))
    }

    /// Wh of a day with this mean temperature and this length in days (1, or 23/24 and 25/24 where the clocks change).
    ///
    /// The base load follows the hours; a civil day has one degree-day value whatever its length.
    pub fn predict_wh(&self, mean_f: f64, length: f64) -> f64 {
        self.intercept * length + self.heating_wh(mean_f) + self.cooling_wh(mean_f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_has_2014_candidates_for_electricity_and_62_for_gas() {
        let all: Vec<_> = Search::compatible().candidates(Commodity::Electricity).collect();
        assert_eq!(all.len(), 1 + 61 + 61 + 1_891);
        assert_eq!(all.first().map(|points| points.shape()), Some(Shape::InterceptOnly));
        assert_eq!(all.get(124), Some(&BalancePoints { heating_f: Some(30), cooling_f: Some(31) }));
        assert_eq!(Search::compatible().candidates(Commodity::Gas).count(), 62);
    }

    #[test]
    fn a_long_day_has_more_base_load_but_the_same_degree_days() {
        let model = Model { kind: Shape::HddOnly, intercept: 10_000.0, hdd: Some(Term { balance_f: 60.0, beta: 1_000.0 }), cdd: None };
        assert!((model.predict_wh(40.0, 1.0) - 30_000.0).abs() < 1e-9);
        assert!((model.predict_wh(40.0, 25.0 / 24.0) - 30_416.666_666_666_668).abs() < 1e-9, "the reference says 50,416.7 here");
    }
}
