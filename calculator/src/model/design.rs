//! The variables of one day in a fitted model, the derivatives by its change-points among them: what an interval is made of.

use jiff::civil::Date;

use super::change_point::{ChangePointKind, ChangePointModel};
use super::fitted::Fitted;
use super::splits::SplitFit;
use super::time_of_week::Bins;
use super::towt::{TowtFit, weekday_of};

impl ChangePointModel {
    /// The derivatives of a day's expectation by everything that was fitted.
    ///
    /// * Units: °F, and the length of the day in days of 24 hours.
    pub(crate) fn variables(&self, mean_f: f64, length: f64) -> Vec<f64> {
        let cold = |at_f: f64| (at_f - mean_f).max(0.0);
        let warm = |at_f: f64| (mean_f - at_f).max(0.0);
        let below = |at_f: f64| if mean_f < at_f { 1.0 } else { 0.0 };
        let mut row = vec![length];
        match (self.kind, self.heating, self.cooling) {
            (ChangePointKind::TwoParameter, ..) => row.push(mean_f * length),
            // One change-point moves both lines.
            (ChangePointKind::FourParameter, Some(heating), Some(cooling)) => {
                let at_f = heating.at_f;
                row.extend([cold(at_f), warm(at_f), heating.slope * below(at_f) - cooling.slope * (1.0 - below(at_f))]);
            }
            (ChangePointKind::FiveParameterSloped, Some(heating), Some(cooling)) => {
                let (low, high) = (heating.at_f, cooling.at_f);
                let middle = (mean_f.min(high) - low).max(0.0);
                row.extend([middle * length, cold(low), warm(high)]);
                row.push(heating.slope * below(low) - self.slope * length * (1.0 - below(low)));
                row.push((self.slope * length - cooling.slope) * (1.0 - below(high)));
            }
            (_, heating, cooling) => {
                row.extend(heating.into_iter().flat_map(|knee| [cold(knee.at_f), knee.slope * below(knee.at_f)]));
                row.extend(cooling.into_iter().flat_map(|knee| [warm(knee.at_f), -knee.slope * (1.0 - below(knee.at_f))]));
            }
        }
        row
    }
}

impl SplitFit {
    /// The variables of the part that the day belongs to, among those of all parts, which are zero.
    fn variables(&self, date: Date, mean_f: f64, length: f64) -> Option<Vec<f64>> {
        let mut row = Vec::new();
        let mut found = false;
        for part in &self.parts {
            let own = part.model.variables(mean_f, length);
            let is_its = !found && self.model_of(date) == Some(&part.model) && part.holds(date);
            found |= is_its;
            row.extend(own.into_iter().map(|value| if is_its { value } else { 0.0 }));
        }
        found.then_some(row)
    }
}

impl TowtFit {
    /// The level of the weekday, and the temperature segments of its group.
    fn variables(&self, date: Date, mean_f: f64, length: f64) -> Vec<f64> {
        let slot = weekday_of(date);
        let own = !self.slopes_occupied.is_empty() && self.occupied.binary_search(&slot).is_ok();
        let features = Bins(&self.knots_f).features(mean_f);
        let mut row: Vec<f64> = (0..self.slots).map(|level| if level == slot { length } else { 0.0 }).collect();
        for (slopes, is_its) in [(&self.slopes, !own), (&self.slopes_occupied, own)] {
            row.extend(features.iter().take(slopes.len()).map(|feature| if is_its { feature * length } else { 0.0 }));
        }
        row
    }
}

impl Fitted {
    /// The variables of a day, as many for every day; `None` for a model that is not one of days with change-points or
    /// weekdays, and for a day that it knows nothing of.
    pub(crate) fn day_variables(&self, date: Date, mean_f: f64, length: f64) -> Option<Vec<f64>> {
        match self {
            Self::ChangePoint(fit) => Some(fit.model.variables(mean_f, length)),
            Self::Splits(fit) => fit.variables(date, mean_f, length),
            Self::Towt(fit) if fit.slots == 7 => Some(fit.variables(date, mean_f, length)),
            Self::Towt(_) | Self::Cea(_) | Self::CaltrackDaily(_) | Self::CaltrackBilling(_) | Self::CaltrackHourly(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::change_point::Knee;
    use super::*;

    fn knee(at_f: f64, slope: f64) -> Option<Knee> {
        Some(Knee { at_f, slope, interval_f: None })
    }

    /// Each variable is what the expectation changes by when its quantity does.
    #[test]
    fn variables_are_derivatives() {
        let five = |base, slope, low, heat, high, cool| ChangePointModel {
            kind: ChangePointKind::FiveParameterSloped,
            base,
            slope,
            heating: knee(low, heat),
            cooling: knee(high, cool),
        };
        let given = [20_000.0, 40.0, 52.0, 900.0, 67.0, 1_400.0];
        let of = |q: [f64; 6]| five(q[0], q[1], q[2], q[3], q[4], q[5]);
        // The order of the variables: base, slope, heating, cooling, lower point, upper point.
        let order = [0, 1, 3, 5, 2, 4];
        for mean_f in [30.0, 60.0, 80.0] {
            let variables = of(given).variables(mean_f, 1.0);
            for (variable, quantity) in variables.iter().zip(order) {
                let mut moved = given;
                moved[quantity] += 1e-4;
                let derivative = (of(moved).predict_wh(mean_f) - of(given).predict_wh(mean_f)) / 1e-4;
                assert!((variable - derivative).abs() < 1e-3, "{mean_f} °F, quantity {quantity}: {variable} and {derivative}");
            }
        }
        let four = |at: f64| ChangePointModel {
            kind: ChangePointKind::FourParameter,
            base: 1.0,
            slope: 0.0,
            heating: knee(at, 5.0),
            cooling: knee(at, 7.0),
        };
        for mean_f in [40.0, 70.0] {
            let derivative = (four(55.001).predict_wh(mean_f) - four(55.0).predict_wh(mean_f)) / 0.001;
            assert!((four(55.0).variables(mean_f, 1.0)[3] - derivative).abs() < 1e-6);
        }
    }
}
