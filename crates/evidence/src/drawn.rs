//! A saving under a rate, drawn: the counterfactual is known by days, and the highest of mean days is lower than a mean highest.
//!
//! Where the baseline has intervals of an hour or less, each day of the counterfactual gets the shape of a real day of its kind
//! and each week the errors of a real week of the model, many times over; the expected bill is what counts. It is the
//! calculation of `savings price`: the draws follow from the hash of everything that the period is computed from.

use std::collections::BTreeMap;

use calculator::model::FittedDay;
use calculator::savings::Avoided;
use calculator::tariff::{Account, DailyCounterfactual, ExpectedValue, Profile, Rate, Shape, calendar_months, expected_value};
use jiff::civil::Date;
use settlement::Drawn;
use units::FacilityCalendar;

use crate::bills::{Both, minutes_of_meters, profiles, would_have_used};
use crate::canonical::{canonical_json, sha256_hex};
use crate::days;
use crate::derive::calendar;
use crate::error::DeriveError;
use crate::inputs::{BaselineInputs, Inputs};
use crate::members::INPUTS;

/// The expected value of a saving; nothing where the inputs ask for no draws, or the baseline has no intervals within an hour.
///
/// * Shape: `fitted` are the days of the model that the saving is of; `digests` those of the inputs by name.
pub(crate) fn drawn(
    inputs: &Inputs,
    avoided: &Avoided,
    fitted: &[FittedDay],
    rate: &Rate,
    digests: &BTreeMap<String, String>,
) -> Result<Option<ExpectedValue>, DeriveError> {
    let Some(draws) = inputs.reporting.draws else { return Ok(None) };
    let Some(minutes) = minutes_of_both(inputs) else { return Ok(None) };
    let calendar = calendar(&inputs.facility)?;
    let shape = Shape::fit(&baseline_profile(&inputs.baseline, &calendar, minutes)?, calendar.zone(), &[]).map_err(DeriveError::Shape)?;
    let Both { measured, .. } = profiles(inputs, avoided, minutes)?;
    let days: Vec<(Date, i64)> = avoided.days.iter().map(|day| (day.date, would_have_used(inputs, day))).collect();
    #[expect(clippy::cast_possible_truncation, reason = "the error of a day is far below 2^63 Wh")]
    let residuals: Vec<i64> = fitted.iter().map(|day| day.residual_wh.round() as i64).collect();
    let given = DailyCounterfactual { days: &days, shape: &shape, residuals_wh: &residuals };
    let months = calendar_months(inputs.reporting.period.first(), inputs.reporting.period.end());
    let account = Account::default();
    let sides = ((given, &account), (&measured, &account));
    let found = expected_value(rate, calendar.zone(), &months, sides.0, sides.1, draws, seed(digests)?).map_err(DeriveError::Expected)?;
    Ok(Some(found))
}

/// As a statement says it.
pub(crate) fn shown(expected: &ExpectedValue) -> Drawn {
    let ExpectedValue { draws, p10, p90, by_mean_shape, .. } = expected;
    Drawn { draws: *draws, p10: p10.normalize(), p90: p90.normalize(), by_mean_shape: by_mean_shape.normalize() }
}

/// From what the draws follow: rows, profiles, contract and tariff, but no name or day of what is issued.
fn seed(digests: &BTreeMap<String, String>) -> Result<u64, DeriveError> {
    let rows: BTreeMap<&String, &String> = digests.iter().filter(|(name, _)| *name != INPUTS).collect();
    let digest = sha256_hex(&canonical_json(&rows).map_err(DeriveError::Json)?);
    Ok(digest.bytes().take(16).fold(0, |seed, digit| {
        let value = char::from(digit).to_digit(16).unwrap_or(0);
        (seed << 4) | u64::from(value)
    }))
}

/// The finest intervals that the baseline's rows and the counters both have; nothing where a row is longer than an hour.
fn minutes_of_both(inputs: &Inputs) -> Option<u8> {
    let baseline = u8::try_from(inputs.baseline.interval_minutes).ok().filter(|minutes| (1..=60).contains(minutes))?;
    let meters = minutes_of_meters(&inputs.reporting.meters);
    [15, 30, 60].into_iter().find(|minutes| minutes % baseline == 0 && *minutes >= meters)
}

/// The baseline's intervals, its meters together; a day that lacks one has no energy here, and so no shape.
fn baseline_profile(baseline: &BaselineInputs, calendar: &FacilityCalendar, minutes: u8) -> Result<Profile, DeriveError> {
    let beyond = |err| days::beyond(calendar, err);
    let start = calendar.start_of(baseline.period.first()).map_err(beyond)?;
    let step_ms = i64::from(minutes) * 60_000;
    let per_interval = u32::from(minutes) / u32::from(baseline.interval_minutes).max(1);
    let mut wh = Vec::new();
    for date in FacilityCalendar::days(baseline.period.first()..baseline.period.end()) {
        let bounds = calendar.bounds(date).map_err(beyond)?;
        let (from, to) = (bounds.start.as_millisecond(), bounds.end.as_millisecond());
        let count = usize::try_from((to - from) / step_ms).unwrap_or(0);
        let mut day = vec![0_i64; count];
        let mut whole = true;
        for series in &baseline.energy {
            let mut present = vec![0_u32; count];
            let per_unit = series.unit_wh();
            let (_, rows) = series.rows.split_at(series.rows.partition_point(|row| row.ts_ms < from));
            for row in rows.iter().take_while(|row| row.ts_ms < to) {
                let index = usize::try_from((row.ts_ms - from) / step_ms).unwrap_or(usize::MAX);
                let (Some(value), Some(sum), Some(seen)) = (series.baseline_value(row), day.get_mut(index), present.get_mut(index)) else {
                    continue;
                };
                #[expect(clippy::cast_possible_truncation, reason = "the energy of an interval is far below 2^63 Wh")]
                let interval = (value * per_unit).round() as i64;
                *sum = sum.saturating_add(interval);
                *seen += 1;
            }
            whole &= present.iter().all(|seen| *seen == per_interval);
        }
        wh.extend(day.iter().map(|wh| if whole { *wh } else { 0 }));
    }
    Profile::new(start, minutes, wh).map_err(DeriveError::Profile)
}

#[cfg(test)]
#[cfg(feature = "audit")]
mod tests {
    use calculator::tariff::{Rate, Tariff};
    use rust_decimal::Decimal;
    use settlement::{Contract, PriceTerms};
    use units::{FacilityCalendar, Quality, Unit};

    use crate::{Inputs, SampleRow, audit_bytes, derive, encode, fixture};

    const RATE: &str = r#"{"name": "general service", "currency": "USD", "versions": [{
        "from": "2020-01-01",
        "energy": [{"name": "energy", "periods": [{"name": "all hours", "tiers": [{"price": "0.10"}]}]}],
        "demand_meter": {"window_minutes": 60, "averaging": "fixed"},
        "demand": [{"name": "capacity", "periods": [{"name": "all hours", "tiers": [{"price": "12"}]}]}]}]}"#;

    /// The fixture under a rate, its baseline by the hour with a peak that moves from day to day.
    fn by_hours(days: i8, draws: Option<u32>) -> Inputs {
        let mut inputs = fixture::inputs(days, 60);
        let calendar = FacilityCalendar::named(fixture::ZONE).unwrap();
        let series = &mut inputs.baseline.energy[0];
        assert_eq!((series.unit, series.exponent), (Unit::KilowattHour, -3));
        let mut rows = Vec::new();
        for (index, (row, day)) in
            (0_i64..).zip(series.rows.iter().zip(FacilityCalendar::days(inputs.baseline.period.first()..inputs.baseline.period.end())))
        {
            let bounds = calendar.bounds(day).unwrap();
            let hours = (bounds.end.as_millisecond() - bounds.start.as_millisecond()) / 3_600_000;
            let weights: Vec<i64> = (0..hours).map(|hour| if hour == 8 + index % 5 { 6 } else { 1 }).collect();
            let parts = calculator::tariff::spread(row.raw.unwrap(), &weights);
            rows.extend((0..hours).zip(parts).map(|(hour, wh)| SampleRow {
                ts_ms: bounds.start.as_millisecond() + hour * 3_600_000,
                raw: Some(wh),
                quality: Quality::GOOD,
            }));
        }
        series.rows = rows;
        inputs.baseline.interval_minutes = 60;
        let rate: Rate = serde_json::from_str(RATE).unwrap();
        let mut terms = inputs.contract.terms().clone();
        terms.price = PriceTerms::Tariff { name: rate.name().to_owned() };
        inputs.contract = Contract::new(terms).unwrap();
        inputs.tariff = Some(Tariff::Rate(Box::new(rate)));
        inputs.reporting.draws = draws;
        inputs
    }

    #[test]
    fn demand_that_mean_shapes_do_not_see_is_drawn_billed_and_drawn_again_by_the_audit() {
        let inputs = by_hours(31, Some(12));
        let derived = derive(&inputs).unwrap();
        let drawn = derived.statement.drawn().unwrap();
        assert_eq!(drawn.draws, 12);
        assert!(drawn.p10 <= drawn.p90 && drawn.by_mean_shape < drawn.p10, "moving peaks are lower in the mean: {drawn:?}");
        let expected = derived.expected.as_ref().unwrap();
        let worth: Decimal =
            derived.statement.lines().iter().map(|line| line.bills.unwrap()).map(|both| both.counterfactual - both.measured).sum();
        assert_eq!(worth.normalize(), expected.value.normalize(), "the expected bill is what counts");
        assert_eq!(expected.avoided_wh, derived.avoided.avoided_wh);

        // As statements were before: hours of the measured days, which the meters count evenly here.
        let before = derive(&by_hours(31, None)).unwrap();
        assert_eq!((before.statement.drawn(), &before.expected), (None, &None));
        assert!(before.statement.value().minor < derived.statement.value().minor, "an even day has no peak to save");

        let bytes = encode(&inputs, &derived).unwrap();
        let verified = audit_bytes(bytes).unwrap();
        assert_eq!((verified.drawn.as_ref(), verified.total_minor), (Some(drawn), derived.invoice.total().minor));
        assert!(verified.to_string().contains("value expected over 12 draws"), "{verified}");
        let mut other = inputs;
        other.reporting.draws = Some(13);
        let refused = audit_bytes(encode(&other, &derived).unwrap()).unwrap_err().to_string();
        assert!(refused.starts_with("derived/price.json at /"), "{refused}");
    }

    #[test]
    fn draws_follow_from_the_rows_and_not_from_the_day_of_issue() {
        let inputs = by_hours(3, Some(5));
        let mut later = inputs.clone();
        later.issue.issued_at = later.issue.issued_at.checked_add(jiff::Span::new().hours(50)).unwrap();
        let (one, two) = (derive(&inputs).unwrap(), derive(&later).unwrap());
        assert_eq!(one.expected, two.expected);
        let mut read = inputs.clone();
        read.weather.rows[0].raw = read.weather.rows[0].raw.map(|raw| raw + 1);
        assert_ne!(derive(&read).unwrap().expected.unwrap().seed, one.expected.unwrap().seed);
        let daily = {
            let mut daily = fixture::inputs(3, 60);
            daily.reporting.draws = Some(5);
            daily
        };
        assert_eq!(derive(&daily).unwrap().expected, None, "a baseline of days shows no hours");
    }

    #[test]
    fn a_baseline_whose_hours_are_missing_shows_no_shape() {
        let mut inputs = by_hours(3, Some(5));
        // One hour of each day but three is missing: the days are whole enough to fit, and too few to show a shape.
        for row in inputs.baseline.energy[0].rows.iter_mut().filter(|row| row.ts_ms.rem_euclid(86_400_000) == 18 * 3_600_000).skip(3) {
            row.raw = None;
        }
        let refused = derive(&inputs).unwrap_err();
        assert!(matches!(refused, crate::DeriveError::Shape(_)), "{refused}");
    }
}
