use devices::Profile;
use jiff::{Timestamp, ToSpan};
use units::{Measured, Unit};

use super::*;
use crate::setup::{State, reader::Read};

/// A sample of the SDM630 with the given values in the resolution of its points.
fn sample(minute: i64, values: &[(&str, f64)]) -> Sample {
    let profile = profile();
    let read = |(id, value): &(&str, f64)| {
        let point = profile.point(id).unwrap();
        let text = format!("{value:.*}", usize::from(point.exponent.unsigned_abs()));
        let measured = Measured::parse(&text, point.unit).unwrap().rescale(point.exponent).unwrap();
        ((*id).to_owned(), Read { words: devices::encode(point, measured).unwrap(), measured: Some(measured) })
    };
    Sample { at: Timestamp::UNIX_EPOCH + minute.minutes(), reads: values.iter().map(read).collect() }
}

fn profile() -> &'static Profile {
    devices::find("eastron-sdm630").unwrap()
}

/// Three phases of 230 V and 10 A, each with its angle in degrees, watched for three minutes.
fn watched(angles: [f64; 3], counted_share: f64) -> Vec<Sample> {
    let powers = angles.map(|angle| 2_300.0 * angle.to_radians().cos());
    let total: f64 = powers.iter().sum();
    (0..=3_i32)
        .map(|minute| {
            let energy = 1_000.0 + counted_share * total.max(0.0) * f64::from(minute) / 60_000.0;
            let export = 5.0 + counted_share * (-total).max(0.0) * f64::from(minute) / 60_000.0;
            let wander = 0.1 * f64::from(minute);
            sample(
                i64::from(minute),
                &[
                    ("v1", 230.0 + wander),
                    ("v2", 230.0),
                    ("v3", 230.0),
                    ("i1", 10.0),
                    ("i2", 10.0),
                    ("i3", 10.0),
                    ("f", 50.0),
                    ("p1", powers[0]),
                    ("p2", powers[1]),
                    ("p3", powers[2]),
                    ("p", total),
                    ("e_imp", energy),
                    ("e_exp", export),
                ],
            )
        })
        .collect()
}

fn judged(samples: &[Sample], known: &Known) -> Vec<(String, State)> {
    let identity = Identity::default();
    let points = ["p".to_owned(), "e_imp".to_owned()];
    let evidence = Evidence { profile: profile(), points: &points, samples, known, identity: &identity, neighbours: &[] };
    all(&evidence).into_iter().map(|finding| (finding.check, finding.state)).collect()
}

fn bad(samples: &[Sample]) -> Vec<(String, State)> {
    let known = Known { clamp: BTreeMap::from([("i1".to_owned(), 10.0)]), ..Known::default() };
    judged(samples, &known).into_iter().filter(|(_, state)| *state >= State::Amber).collect()
}

fn one(check: &str, state: State) -> Vec<(String, State)> {
    vec![(check.to_owned(), state)]
}

#[test]
fn angles_tell_direction_and_order() {
    assert_eq!(bad(&watched([18.0, 10.0, 30.0], 1.0)), []);
    for reversed in 0..3 {
        let mut angles = [18.0, 10.0, 30.0];
        angles[reversed] = 180.0 - angles[reversed];
        assert_eq!(bad(&watched(angles, 1.0)), one("current-direction", State::Red), "{angles:?}");
    }
    assert_eq!(bad(&watched([162.0, 170.0, 150.0], 1.0)), one("current-direction", State::Amber));
    for crossed in [[138.0, 102.0, 18.0], [18.0, 102.0, 138.0], [138.0, 130.0, 140.0], [102.0, 110.0, 90.0]] {
        let red: Vec<_> = bad(&watched(crossed, 1.0)).into_iter().filter(|(_, state)| *state == State::Red).collect();
        assert_eq!(red, one("phase-order", State::Red), "{crossed:?}");
    }
    let two = bad(&watched([162.0, 170.0, 18.0], 1.0));
    assert_eq!(two, [one("current-direction", State::Red), one("current-direction", State::Red)].concat());
    // A motor without load lags far and is right all the same.
    assert_eq!(bad(&watched([75.0, 18.0, 18.0], 1.0)), []);
}

#[test]
fn a_counter_follows_the_power_or_is_named() {
    assert_eq!(bad(&watched([0.0; 3], 1.04)), []);
    assert_eq!(bad(&watched([0.0; 3], 0.5)), one("energy", State::Red));
    assert_eq!(bad(&watched([0.0; 3], 0.0)), one("energy", State::Red));
    assert_eq!(bad(&watched([180.0; 3], 1.0)), one("current-direction", State::Amber));
    let idle: Vec<Sample> = watched([0.0; 3], 1.0)
        .into_iter()
        .map(|mut sample| {
            for (id, read) in &mut sample.reads {
                if id.starts_with('i') || id.starts_with('p') || id.starts_with("e_") {
                    *read = Read { words: vec![0, 0], measured: read.measured.map(|measured| Measured { raw: 0, ..measured }) };
                }
            }
            sample
        })
        .collect();
    let states: Vec<_> = judged(&idle, &Known::default()).into_iter().filter(|(_, state)| *state >= State::Amber).collect();
    assert!(states.iter().all(|(_, state)| *state == State::Amber) && states.len() >= 3, "no load is no proof: {states:?}");
}

#[test]
fn products_and_sums_are_held_against_one_another() {
    let changed = |id: &str, factor: i64| -> Vec<Sample> {
        let mut samples = watched([18.0; 3], 1.0);
        for sample in &mut samples {
            let read = sample.reads.get_mut(id).unwrap();
            read.measured = read.measured.map(|measured| Measured { raw: measured.raw * factor, ..measured });
        }
        samples
    };
    assert_eq!(bad(&changed("p", 10)), [one("power-sum", State::Red), one("energy", State::Red)].concat());
    let names: Vec<String> = bad(&changed("i3", 100)).into_iter().map(|(check, _)| check).collect();
    assert!(names.contains(&"phase-order".to_owned()), "{names:?}");
    let pf: Vec<Sample> = watched([18.0; 3], 1.0)
        .into_iter()
        .map(|mut sample| {
            sample.reads.insert(
                "pf1".to_owned(),
                Read { words: vec![0, 0], measured: Some(Measured { raw: 95, exponent: -3, unit: Unit::Ratio }) },
            );
            sample
        })
        .collect();
    assert_eq!(bad(&pf), one("power-product", State::Red));
}

#[test]
fn a_ratio_that_nobody_compared_is_not_green() {
    let samples = watched([18.0; 3], 1.0);
    let amber = judged(&samples, &Known::default()).into_iter().filter(|(_, state)| *state >= State::Amber).collect::<Vec<_>>();
    assert_eq!(amber, one("ct-ratio", State::Amber));
    let clamp = |ampere| Known { clamp: BTreeMap::from([("i2".to_owned(), ampere)]), ..Known::default() };
    let worst = |known: &Known| judged(&samples, known).into_iter().map(|(_, state)| state).max().unwrap();
    assert_eq!((worst(&clamp(10.4)), worst(&clamp(50.0))), (State::Green, State::Red));
}

#[test]
fn twins_and_strangers_are_noticed() {
    let samples = watched([18.0; 3], 1.0);
    let last = samples.last().unwrap().reads.clone();
    let known = Known { clamp: BTreeMap::from([("i1".to_owned(), 10.0)]), ..Known::default() };
    let (identity, points) = (Identity::default(), ["e_imp".to_owned()]);
    let with = |neighbours: &[(String, Reads)]| -> Vec<(String, State)> {
        let evidence = Evidence { profile: profile(), points: &points, samples: &samples, known: &known, identity: &identity, neighbours };
        all(&evidence).into_iter().filter(|finding| finding.state == State::Red).map(|finding| (finding.check, finding.state)).collect()
    };
    assert_eq!(with(&[("twin".to_owned(), last.clone())]), one("another-unit", State::Red));
    let mut stranger = last;
    stranger.insert("f".to_owned(), sample(0, &[("f", 60.0)]).reads.remove("f").unwrap());
    stranger.insert("v1".to_owned(), sample(0, &[("v1", 120.0)]).reads.remove("v1").unwrap());
    assert_eq!(with(&[("stranger".to_owned(), stranger)]), one("frequency", State::Red));
}

#[test]
fn the_clock_and_the_label_are_compared() {
    let mut samples = watched([18.0; 3], 1.0);
    let at = samples.last().unwrap().at.as_second();
    let with = |samples: &mut Vec<Sample>, id: &str, raw: i64, unit: Unit| {
        let read = Read { words: vec![0, 0], measured: Some(Measured { raw, exponent: 0, unit }) };
        samples.last_mut().unwrap().reads.insert(id.to_owned(), read);
    };
    for (ahead, expected) in [(0, State::Green), (-20, State::Green), (200, State::Amber), (-7_200, State::Red)] {
        with(&mut samples, "clock", at + ahead, Unit::Second);
        let known = Known { clamp: BTreeMap::from([("i1".to_owned(), 10.0)]), ..Known::default() };
        let found = judged(&samples, &known).into_iter().find(|(check, _)| check == "meter-clock").unwrap().1;
        assert_eq!(found, expected, "{ahead} s");
    }
    with(&mut samples, "clock", at, Unit::Second);
    with(&mut samples, "ct_ratio", 20, Unit::Ratio);
    let known = Known { transformer: Some((200.0, 5.0)), ..Known::default() };
    assert!(judged(&samples, &known).contains(&("ct-label".to_owned(), State::Red)));
    let known = Known { transformer: Some((100.0, 5.0)), ..Known::default() };
    assert!(judged(&samples, &known).contains(&("ct-label".to_owned(), State::Green)));
}
