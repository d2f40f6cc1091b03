//! The triangular factor of the few normal equations that are left when the levels of slots are eliminated.

use super::ols::dot;
use super::time_of_week::FEATURES;

/// Products of features with each other, in full.
pub(super) type Square = [[f64; FEATURES]; FEATURES];

/// A variance within slots below this share of the raw square is rounding.
const CONSTANT: f64 = 1e-13;
/// A pivot below this share of its variance belongs to a feature that the earlier ones span.
const DEPENDENT: f64 = 1e-11;

/// The triangular factor of a Gram matrix over the features that are independent, in their order.
#[derive(Debug)]
pub(super) struct Factor {
    kept: Vec<usize>,
    rows: Vec<Vec<f64>>,
    features: usize,
}

impl Factor {
    pub(super) fn new(gram: &Square, raw: &[f64; FEATURES], features: usize) -> Self {
        let mut factor = Self { kept: Vec::with_capacity(features), rows: Vec::with_capacity(features), features };
        for feature in 0..features {
            let variance = gram[feature][feature];
            if variance <= CONSTANT * raw[feature] {
                continue;
            }
            let column: Vec<f64> = factor.kept.iter().map(|kept| gram[*kept][feature]).collect();
            let mut row = factor.forward(&column);
            let pivot = variance - dot(&row, &row);
            if pivot > DEPENDENT * variance {
                row.push(pivot.sqrt());
                factor.rows.push(row);
                factor.kept.push(feature);
            }
        }
        factor
    }

    /// Whether no feature was dropped.
    pub(super) const fn is_full_rank(&self) -> bool {
        self.kept.len() == self.features
    }

    fn forward(&self, right: &[f64]) -> Vec<f64> {
        let mut solution: Vec<f64> = Vec::with_capacity(right.len());
        for (row, value) in self.rows.iter().zip(right) {
            let known = dot(row, &solution);
            solution.push((value - known) / row[solution.len()]);
        }
        solution
    }

    fn backward(&self, right: &[f64]) -> Vec<f64> {
        let mut solution = right.to_vec();
        for index in (0..solution.len()).rev() {
            let known: f64 = (index + 1..solution.len()).map(|later| self.rows[later][index] * solution[later]).sum();
            solution[index] = (solution[index] - known) / self.rows[index][index];
        }
        solution
    }

    /// The slopes of the kept features; the others have none.
    pub(super) fn solve(&self, right: &[f64; FEATURES]) -> Vec<f64> {
        let kept: Vec<f64> = self.kept.iter().map(|feature| right[*feature]).collect();
        let mut slopes = vec![0.0; self.features];
        for (feature, slope) in self.kept.iter().zip(self.backward(&self.forward(&kept))) {
            slopes[*feature] = slope;
        }
        slopes
    }

    /// One direction for every dropped feature along which no fitted value changes.
    pub(super) fn null_space(&self, gram: &Square) -> Vec<Vec<f64>> {
        (0..self.features)
            .filter(|feature| !self.kept.contains(feature))
            .map(|feature| {
                let mut direction = self.solve(&gram[feature]);
                for along in &mut direction {
                    *along = -*along;
                }
                direction[feature] = 1.0;
                direction
            })
            .collect()
    }
}
