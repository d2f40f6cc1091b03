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
        Self::along(columns.to_vec(), &mut []).0
    }

    /// The same, and the coefficients that come closest to `y`.
    pub(crate) fn solving(columns: Vec<Vec<f64>>, y: &[f64]) -> (Self, Vec<f64>) {
        let (decomposed, along) = Self::along(columns, &mut [y.to_vec()]);
        let solution = decomposed.back(&along.concat());
        (decomposed, solution)
    }

    /// Makes columns orthonormal, and says how far the others reach along each of them, which they lose.
    ///
    /// A column is projected on all that come after it at once: their sums do not wait for each other.
    fn along(columns: Vec<Vec<f64>>, others: &mut [Vec<f64>]) -> (Self, Vec<Vec<f64>>) {
        let count = columns.len();
        let squares: Vec<f64> = columns.iter().map(|column| dot(column, column)).collect();
        let mut coordinates = vec![Vec::with_capacity(count); count];
        let mut along = vec![Vec::with_capacity(count); others.len()];
        let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
        let mut kept = Vec::with_capacity(count);
        let mut rests = columns.into_iter();
        let mut index = 0;
        while let Some(mut rest) = rests.next() {
            let mut own = std::mem::take(&mut coordinates[index]);
            for (coordinate, direction) in own.iter_mut().zip(&basis) {
                let along = dot(direction, &rest);
                *coordinate += along;
                subtract(&mut rest, along, direction);
            }
            let square = if basis.is_empty() { squares[index] } else { dot(&rest, &rest) };
            let length = square.sqrt();
            index += 1;
            if length > DEPENDENT * squares[index - 1].sqrt() {
                for rest in &mut rest {
                    *rest /= length;
                }
                own.push(length);
                kept.push((index - 1, own));
                let later = rests.as_mut_slice().iter_mut().chain(others.iter_mut());
                let mut later: Vec<(&mut Vec<f64>, &mut Vec<f64>)> = later.zip(coordinates[index..].iter_mut().chain(&mut along)).collect();
                project(&rest, &mut later);
                basis.push(rest);
            }
        }
        (Self { basis, kept, columns: count }, along)
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

    /// The coefficients of something that reaches so far along each kept column.
    fn back(&self, along: &[f64]) -> Vec<f64> {
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

/// Takes a direction out of columns, and notes how far each of them reached along it.
fn project(direction: &[f64], columns: &mut [(&mut Vec<f64>, &mut Vec<f64>)]) {
    for group in columns.chunks_mut(4) {
        let mut found = [0.0; 4];
        match group {
            [one, two, three, four] => found = dots(direction, [&*one.0, &*two.0, &*three.0, &*four.0]),
            [one, two, three] => found[..3].copy_from_slice(&dots(direction, [&*one.0, &*two.0, &*three.0])),
            [one, two] => found[..2].copy_from_slice(&dots(direction, [&*one.0, &*two.0])),
            [one] => found[0] = dot(direction, one.0),
            _ => {}
        }
        for ((column, noted), along) in group.iter_mut().zip(found) {
            subtract(column, along, direction);
            noted.push(along);
        }
    }
}

fn subtract(column: &mut [f64], along: f64, direction: &[f64]) {
    for (rest, direction) in column.iter_mut().zip(direction) {
        *rest -= along * direction;
    }
}

/// As [`dot`] for some columns at once.
///
/// * Shape: all of one length.
fn dots<const N: usize>(direction: &[f64], columns: [&Vec<f64>; N]) -> [f64; N] {
    let columns = columns.map(|column| &column[..direction.len()]);
    let mut sums = [-0.0; N];
    for (row, along) in direction.iter().enumerate() {
        for (sum, column) in sums.iter_mut().zip(columns) {
            *sum += along * column[row];
        }
    }
    sums
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
        let (_, solution) = Orthogonal::solving(vec![ones.clone(), x.clone()], &y);
        assert!((solution[0] - 3.0).abs() < 1e-12 && (solution[1] - 2.0).abs() < 1e-12);

        let (twice, solution) = Orthogonal::solving(vec![ones, x.clone(), x], &y);
        assert!(!twice.is_full_rank());
        assert!((solution[1] - 2.0).abs() < 1e-12);
    }

    #[test]
    fn weights_reproduce_a_prediction() {
        let (ones, x) = (vec![1.0; 4], vec![0.0, 1.0, 3.0, 7.0]);
        let y = [1.0, 4.0, 2.0, 9.0];
        let (design, solution) = Orthogonal::solving(vec![ones, x], &y);
        let weights = design.weights(&[1.0, 5.0], 4);
        assert!((dot(&weights, &y) - (solution[0] + 5.0 * solution[1])).abs() < 1e-12);
    }
}
