//! How sure a change-point is: all places that the data would not refuse.

use super::exact::{sse_with_one, sse_with_one_of_two};
use super::pieces::Sorted;
use super::{ChangePointKind, ChangePointModel};
use crate::uncertainty;

/// The confidence of the interval.
const CONFIDENCE: f64 = 0.9;
/// Halvings of the gap in which the limit lies: finer than a thousandth of a degree.
const HALVINGS: u8 = 24;

/// Adds to every change-point the interval in which Σr² is less than Σr²_min·(1 + F/(n − q)), F of 1 and n − q degrees.
pub(super) fn add_intervals(model: &mut ChangePointModel, sorted: &Sorted, sse: f64) {
    let free = sorted.rows.len() as f64 - f64::from(model.kind.quantities());
    if free < 1.0 || sse <= 0.0 {
        return;
    }
    let t = uncertainty::quantile(f64::midpoint(1.0, CONFIDENCE), free);
    let limit = sse * (1.0 + t * t / free);
    let kind = model.kind;
    let both = matches!(kind, ChangePointKind::FiveParameter | ChangePointKind::FiveParameterSloped);
    let profile =
        |lower: bool| move |at: f64| if both { sse_with_one_of_two(kind, sorted, at, lower) } else { sse_with_one(kind, sorted, at) };
    if let Some(knee) = &mut model.heating {
        knee.interval_f = Some(interval(sorted, knee.at_f - sorted.mean_f, limit, profile(true)));
    }
    if let Some(knee) = &mut model.cooling {
        knee.interval_f = Some(interval(sorted, knee.at_f - sorted.mean_f, limit, profile(false)));
    }
}

/// From the optimum outwards to where the profile first exceeds the limit; the end of the data where it never does.
fn interval(sorted: &Sorted, at: f64, limit: f64, profile: impl Fn(f64) -> Option<f64>) -> (f64, f64) {
    let refused = |at: f64| profile(at).is_none_or(|sse| sse > limit);
    let split = sorted.below(at);
    let edge = |points: &mut dyn Iterator<Item = f64>| {
        let mut inside = at;
        for point in points {
            if refused(point) {
                let mut outside = point;
                for _ in 0..HALVINGS {
                    let middle = f64::midpoint(inside, outside);
                    if refused(middle) { outside = middle } else { inside = middle }
                }
                return inside;
            }
            inside = point;
        }
        inside
    };
    let low = edge(&mut sorted.points[..split].iter().rev().copied());
    let high = edge(&mut sorted.points[split..].iter().copied());
    (low + sorted.mean_f, high + sorted.mean_f)
}
