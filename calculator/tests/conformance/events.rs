//! Steps in simulated facilities: how soon the alarm rings, how often it rings for nothing, how well a step is dated.
//!
//! The design's goal (7.2, 6) is a 10 % step at CV 15 % within 21 days in nine of ten runs with at most one false alarm a
//! year. Even a test that knew the day of the step cannot ring within 21 days that often: 21 days carry the step with
//! 0.667·√21 = 3.06 standard errors, a false alarm a year leaves 21 days an error of 21/365, and P(N > 1.90 − 3.06) is 0.876
//! where both directions count. So two things are held here: what the alarm reaches of that bound, and that the step, once
//! there is something to look back on, is dated within 21 days in nine of ten runs.

use jiff::civil::date;
use negawatt_calculator::events::{Alarm, Cusum, DayResidual, Direction, Noise, Trigger, detect, watch, whiten};

use crate::coverage::noise::{Noise as Random, Season, Tail};

const EXPECTED: f64 = 100_000.0;
const STEP_ON: usize = 160;

/// A year of CV 15 % with a step of this share of the use.
fn year(rho: f64, step: f64, run: u64) -> Vec<DayResidual> {
    let shocks = Random::new(77, 3_000, run).series(rho, Tail::Normal, Season::None, 365);
    date(2025, 1, 1)
        .series(jiff::Span::new().days(1))
        .zip(shocks)
        .enumerate()
        .map(|(index, (date, shock))| DayResidual {
            date,
            expected_wh: EXPECTED,
            residual_wh: 0.15 * EXPECTED * shock + if index >= STEP_ON { step * EXPECTED } else { 0.0 },
        })
        .collect()
}

const RUNS: u64 = 400;

#[derive(Debug)]
struct Found {
    /// Alarms in a year without a step.
    false_alarms: f64,
    /// Changes that count, found in a year without a step.
    false_events: f64,
    /// The share of steps that ring within 21 days, in their direction.
    rang: f64,
    /// The share of steps that are dated within 21 days at the end of the year.
    dated: f64,
    /// The last two of [`Trigger::KEEN`].
    keen: [f64; 2],
}

fn measure(rho: f64) -> Found {
    let noise = Noise { rho, sigma_wh: 0.15 * EXPECTED };
    let cusum = Cusum::tuned(0.10 / 0.15 * ((1.0 - rho) / (1.0 + rho)).sqrt(), 1.0);
    let (mut alarms, mut rang) = (0_usize, 0_u32);
    // False and dated, as usual and keen.
    let (mut events, mut dated) = ([0_usize; 2], [0_u32; 2]);
    for run in 0..RUNS {
        let (quiet, stepped) = (year(rho, 0.0, run), year(rho, 0.10, run));
        let (first, until) = (stepped[STEP_ON].date, stepped[STEP_ON + 20].date);
        let in_time = |alarm: &Alarm| (first..=until).contains(&alarm.date) && alarm.direction == Direction::More;
        alarms += watch(&whiten(&quiet, noise), cusum).len();
        rang += u32::from(watch(&whiten(&stepped, noise), cusum).iter().any(in_time));
        let window = stepped[STEP_ON - 21].date..=until;
        for (index, trigger) in [Trigger::USUAL, Trigger::KEEN].iter().enumerate() {
            events[index] += detect(&quiet, noise, trigger).len();
            let found = detect(&stepped, noise, trigger);
            dated[index] += u32::from(found.iter().any(|event| window.contains(&event.first) && event.direction == Direction::More));
        }
    }
    let runs = RUNS as f64;
    Found {
        false_alarms: alarms as f64 / runs,
        false_events: events[0] as f64 / runs,
        rang: f64::from(rang) / runs,
        dated: f64::from(dated[0]) / runs,
        keen: [events[1] as f64 / runs, f64::from(dated[1]) / runs],
    }
}

#[test]
fn a_step_of_a_tenth_is_found_and_a_quiet_year_stays_quiet() {
    for (rho, rang_min, dated_min, keen_min) in [(0.0, 0.70, 0.90, 0.90), (0.3, 0.47, 0.55, 0.65), (0.6, 0.20, 0.05, 0.20)] {
        let found = measure(rho);
        println!("correlation {rho}: {found:?}");
        assert!(found.false_alarms <= 1.1 && found.false_events <= 0.1 && found.keen[0] <= 1.0, "correlation {rho}: {found:?}");
        assert!(found.rang >= rang_min && found.dated >= dated_min && found.keen[1] >= keen_min, "correlation {rho}: {found:?}");
    }
}

/// What the goal asks for is kept where the facility is quieter: the same step at CV 8 %.
#[test]
fn a_quieter_facility_rings_in_time() {
    let noise = Noise { rho: 0.3, sigma_wh: 0.15 * EXPECTED };
    // 18.75 % at CV 15 % is 10 % at CV 8 %.
    let step = 0.10 * 15.0 / 8.0;
    let cusum = Cusum::tuned(step / 0.15 * f64::sqrt(0.7 / 1.3), 1.0);
    let mut rang = 0;
    for run in 0..RUNS {
        let days = year(0.3, -step, run);
        let (first, until) = (days[STEP_ON].date, days[STEP_ON + 20].date);
        let alarms = watch(&whiten(&days, noise), cusum);
        rang += u32::from(alarms.iter().any(|alarm| (first..=until).contains(&alarm.date) && alarm.direction == Direction::Less));
    }
    let share = f64::from(rang) / RUNS as f64;
    assert!(share >= 0.9, "{share} of the steps rang within 21 days");
}
