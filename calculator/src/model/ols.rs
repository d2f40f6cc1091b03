//! Least squares by orthogonal columns, for the few candidates that may win and for the variance of the result.

/// Columns made orthonormal one after another (Gram-Schmidt, done twice, which is enough for full precision).
///
/// A column that the earlier ones already span is dropped, and its coefficient is zero.
#[derive(Debug)]
pub(crate) struct Orthogonal {
    basis: Vec<Vec<f64>>,
    /// For each kept column: its index and its coordinates in the basis.
    kept: Vec<(usize, Vec<f64>)>,
    columns: usize,
}

/// A column whose remainder is smaller than this share of its length lies in the span of the others.
const DEPENDENT: f64 = 1e-9;

impl Orthogonal {
    /// * Shape: columns of equal length.
    pub(crate) fn new(columns: &[Vec<f64>]) -> Self {
        let mut basis: Vec<Vec<f64>> = Vec::with_capacity(columns.len());
        let mut kept = Vec::with_capacity(columns.len());
        for (index, column) in columns.iter().enumerate() {
            let mut rest = column.clone();
            let mut coordinates = vec![0.0; basis.len()];
            for _ in 0..2 {
                for (coordinate, direction) in coordinates.iter_mut().zip(&basis) {
                    let along = dot(direction, &rest);
                    *coordinate += along;
                    for (rest, direction) in rest.iter_mut().zip(direction) {
                        *rest -= along * direction;
                    }
                }
            }
            let length = dot(&rest, &rest).sqrt();
            if length > DEPENDENT * dot(column, column).sqrt() {
                for rest in &mut rest {
                    *rest /= length;
                }
                coordinates.push(length);
                kept.push((index, coordinates));
                basis.push(rest);
            }
        }
        Self { basis, kept, columns: columns.len() }
    }

    /// The orthonormal columns.
    pub(crate) fn basis(&self) -> &[Vec<f64>] {
        &self.basis
    }

    /// Whether a column was kept, so that its coefficient means something.
    pub(crate) fn keeps(&self, column: usize) -> bool {
        self.kept.iter().any(|(index, _)| *index == column)
    }

    /// Whether no column had to be dropped.
    #[cfg(test)]
    pub(crate) fn is_full_rank(&self) -> bool {
        self.kept.len() == self.columns
    }

    /// The coefficients that come closest to `y`.
    pub(crate) fn solve(&self, y: &[f64]) -> Vec<f64> {
        let mut rest = y.to_vec();
        let mut along = Vec::with_capacity(self.basis.len());
        for direction in &self.basis {
            let length = dot(direction, &rest);
            for (rest, direction) in rest.iter_mut().zip(direction) {
                *rest -= length * direction;
            }
            along.push(length);
        }
        let mut solution = vec![0.0; self.columns];
        for row in (0..self.kept.len()).rev() {
            let mut value = along[row];
            for (index, coordinates) in &self.kept[row + 1..] {
                value -= coordinates[row] * solution[*index];
            }
            let (index, coordinates) = &self.kept[row];
            solution[*index] = value / coordinates[row];
        }
        solution
    }

    /// The weights `w = X(XᵀX)⁻¹g`: how each observation enters the estimate of `gᵀβ`.
    pub(crate) fn weights(&self, g: &[f64], observations: usize) -> Vec<f64> {
        let mut weights = vec![0.0; observations];
        let mut forward: Vec<f64> = Vec::with_capacity(self.basis.len());
        for ((index, coordinates), direction) in self.kept.iter().zip(&self.basis) {
            let known: f64 = coordinates.iter().zip(&forward).map(|(coordinate, forward)| coordinate * forward).sum();
            let value = (g[*index] - known) / coordinates[coordinates.len() - 1];
            forward.push(value);
            for (weight, direction) in weights.iter_mut().zip(direction) {
                *weight += value * direction;
            }
        }
        weights
    }
}

/// The sum of products in order.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_and_a_repeated_column_is_dropped() {
        let ones = vec![1.0; 5];
        let x = vec![1.0, 2.0, 3.0, 4.0, 6.0];
        let y: Vec<f64> = x.iter().map(|x| 3.0 + 2.0 * x).collect();
        let solution = Orthogonal::new(&[ones.clone(), x.clone()]).solve(&y);
        assert!((solution[0] - 3.0).abs() < 1e-12 && (solution[1] - 2.0).abs() < 1e-12);

        let twice = Orthogonal::new(&[ones, x.clone(), x]);
        assert!(!twice.is_full_rank());
        assert!((twice.solve(&y)[1] - 2.0).abs() < 1e-12);
    }

    #[test]
    fn weights_reproduce_a_prediction() {
        let (ones, x) = (vec![1.0; 4], vec![0.0, 1.0, 3.0, 7.0]);
        let y = [1.0, 4.0, 2.0, 9.0];
        let design = Orthogonal::new(&[ones, x]);
        let solution = design.solve(&y);
        let weights = design.weights(&[1.0, 5.0], 4);
        assert!((dot(&weights, &y) - (solution[0] + 5.0 * solution[1])).abs() < 1e-12);
    }
}
