//! Which candidates are attempted at all: a limit is met exactly at its value, and one less is too little.

use negawatt_calculator::baseline::{Baseline, Commodity, EnergyDay, Period, TemperatureDay, qualify};
use negawatt_calculator::model::{Candidate, Outcome, Reason, Search, fit};

use crate::fixtures::BLACKOUT_START;

/// A year at 60 °F but for so many days at this temperature; use rises on them, so that no slope is refused for its sign.
fn year(days: usize, mean_f: f64) -> Baseline {
    let period = Period::before(BLACKOUT_START, 365).unwrap();
    let (energy, weather): (Vec<_>, Vec<_>) = period
        .dates()
        .enumerate()
        .map(|(index, date)| {
            // The days stand apart, and the noise knows nothing of them.
            let unusual = index % 7 == 3 && index / 7 < days;
            let wh = 10_000.0 + if unusual { 4_000.0 } else { 0.0 } + if index % 2 == 0 { 100.0 } else { -100.0 };
            (EnergyDay::whole(date, Some(wh)), TemperatureDay::whole(date, Some(if unusual { mean_f } else { 60.0 })))
        })
        .unzip();
    qualify(&energy, &weather, Commodity::Electricity, period).unwrap()
}

/// Why the candidate of one slope at this point was not attempted.
fn refused(baseline: &Baseline, search: &Search, heating_f: Option<u8>, cooling_f: Option<u8>) -> Option<Reason> {
    let fit = fit(baseline, search).unwrap();
    let of_the_points = |candidate: &&Candidate| candidate.points.heating_f == heating_f && candidate.points.cooling_f == cooling_f;
    match fit.candidates.iter().find(of_the_points).unwrap().outcome {
        Outcome::NotAttempted(reason) => Some(reason),
        Outcome::Qualified(_) | Outcome::Disqualified(..) => None,
    }
}

#[test]
fn ten_days_with_degree_days_are_enough_and_nine_are_not() {
    let search = Search::compatible();
    assert_eq!(refused(&year(10, 75.0), &search, None, Some(70)), None);
    assert_eq!(refused(&year(9, 75.0), &search, None, Some(70)), Some(Reason::FewCoolingDays));
    assert_eq!(refused(&year(10, 45.0), &search, Some(50), None), None);
    assert_eq!(refused(&year(9, 45.0), &search, Some(50), None), Some(Reason::FewHeatingDays));
    // A contract may ask for more.
    let stricter = Search { days_min: 11, ..search };
    assert_eq!(refused(&year(10, 75.0), &stricter, None, Some(70)), Some(Reason::FewCoolingDays));
}

#[test]
fn twenty_degree_days_are_enough_and_less_is_not() {
    let search = Search::compatible();
    // Ten days of 2 °F, and of 1.75 °F, which floats hold exactly.
    assert_eq!(refused(&year(10, 72.0), &search, None, Some(70)), None);
    assert_eq!(refused(&year(10, 71.75), &search, None, Some(70)), Some(Reason::FewCoolingDegreeDays));
    assert_eq!(refused(&year(10, 48.0), &search, Some(50), None), None);
    assert_eq!(refused(&year(10, 48.25), &search, Some(50), None), Some(Reason::FewHeatingDegreeDays));
    let stricter = Search { degree_days_min: 20.5, ..search };
    assert_eq!(refused(&year(10, 72.0), &stricter, None, Some(70)), Some(Reason::FewCoolingDegreeDays));
}

/// A pair needs both; the colder half is named first.
#[test]
fn a_pair_is_refused_with_either_half() {
    let search = Search::compatible();
    assert_eq!(refused(&year(12, 75.0), &search, Some(50), Some(70)), Some(Reason::FewHeatingDegreeDays));
    assert_eq!(refused(&year(9, 75.0), &search, Some(62), Some(70)), Some(Reason::FewCoolingDays));
}
