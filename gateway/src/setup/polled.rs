//! The checks of commissioning on readings that the daemon took: nobody else need be on the bus for them.

use devices::Profile;
use jiff::Timestamp;
use units::Measured;

use super::{
    Finding, Identity, Known,
    checks::{self, Evidence, Sample},
    reader::{Read, Reads},
};

/// Values of a device by point id, as they were read at one moment.
pub(crate) type PolledValues = Vec<(String, Measured)>;

/// Holds what the daemon read against physics.
///
/// * Shape: `samples` in order of time; `neighbours` are the other devices with their profiles, as they were read last.
/// * What only a device asked alone can tell, its nameplate and how it answers, stays open: that is for `commission`.
pub(crate) fn judge_polled(
    profile: &Profile,
    points: &[String],
    samples: &[(Timestamp, PolledValues)],
    known: &Known,
    neighbours: &[(String, &Profile, PolledValues)],
) -> Vec<Finding> {
    let samples: Vec<Sample> = samples.iter().map(|(at, values)| Sample { at: *at, reads: reads(profile, values) }).collect();
    let neighbours: Vec<(String, Reads)> =
        neighbours.iter().map(|(name, profile, values)| (name.clone(), reads(profile, values))).collect();
    let identity = Identity::default();
    checks::all(&Evidence { profile, points, samples: &samples, known, identity: &identity, neighbours: &neighbours })
}

/// The registers that these values came from: `encode` is the inverse of `decode`.
fn reads(profile: &Profile, values: &PolledValues) -> Reads {
    let read = |(id, measured): &(String, Measured)| {
        let words = devices::encode(profile.point(id)?, *measured).ok()?;
        Some((id.clone(), Read { words, measured: Some(*measured) }))
    };
    values.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{State, worst},
        *,
    };

    fn polled(second: i64, reversed: bool) -> (Timestamp, PolledValues) {
        let profile = devices::find("eastron-sdm630").unwrap();
        let sign = |phase: usize| if reversed && phase == 2 { -1.0 } else { 1.0 };
        let moving = f64::from(i32::try_from(second).unwrap());
        let mut values =
            vec![("f".to_owned(), 50.01 + moving / 1e5), ("p".to_owned(), 0.0), ("e_imp".to_owned(), 4_321.0 + moving * 6.9 / 3_600.0)];
        for phase in 1..=3 {
            let (volt, ampere) = (230.0 + moving / 100.0, 10.0);
            values.push((format!("v{phase}"), volt));
            values.push((format!("i{phase}"), ampere));
            values.push((format!("p{phase}"), volt * ampere * sign(phase)));
            values.push((format!("pf{phase}"), sign(phase)));
        }
        let total: f64 = values.iter().filter(|(id, _)| ["p1", "p2", "p3"].contains(&id.as_str())).map(|(_, watt)| watt).sum();
        values[1].1 = total;
        let measured = |(id, value): (String, f64)| {
            let point = profile.point(&id)?;
            Some((id, Measured::parse(&format!("{value:.4}"), point.unit).ok()?))
        };
        let values = values.into_iter().filter_map(measured).collect();
        ("2026-03-02T09:00:00Z".parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(second), values)
    }

    fn judged(reversed: bool) -> Vec<Finding> {
        let profile = devices::find("eastron-sdm630").unwrap();
        let samples: Vec<_> = [0, 15, 30, 45, 60].map(|second| polled(second, reversed)).into();
        let points: Vec<String> = profile.points().iter().map(|point| point.id.clone()).collect();
        judge_polled(profile, &points, &samples, &Known::default(), &[])
    }

    #[test]
    fn polled_values_are_judged_as_those_of_a_commissioning() {
        let right = judged(false);
        assert!(right.iter().all(|finding| finding.state != State::Red), "{right:?}");
        let wrong = judged(true);
        assert_eq!(worst(&wrong), State::Red);
        assert!(wrong.iter().any(|finding| finding.state == State::Red && finding.says.contains("L2")), "{wrong:?}");
    }
}
