//! A saving under a rate: what the supplier would have billed less what it billed.
//!
//! The measured profile is what the counters passed in each interval, scaled to the day's energy as it is billed; what would
//! have been used lies in the same intervals in the same proportions. Days that are not compared are the same on both sides,
//! so that they claim nothing. The period is billed by calendar months. Where the baseline shows how its days lie in their hours
//! the counterfactual is drawn instead: see [`drawn`](crate::drawn).

use calculator::savings::{Avoided, AvoidedDay};
use calculator::tariff::{Account, Difference, Profile, Rate, calendar_months, spread, value};
use jiff::{Timestamp, ToSpan};
use settlement::{BilledCharge, Bills};

use crate::days;
use crate::derive::calendar;
use crate::error::DeriveError;
use crate::inputs::{Inputs, Meter};

/// The charges that differ.
///
/// * Errors: hours that are no profile, days without a price.
pub(crate) fn billed(inputs: &Inputs, avoided: &Avoided, rate: &Rate) -> Result<Vec<BilledCharge>, DeriveError> {
    let calendar = calendar(&inputs.facility)?;
    let Both { measured, counterfactual } = profiles(inputs, avoided, minutes_of_meters(&inputs.reporting.meters))?;
    let months = calendar_months(inputs.reporting.period.first(), inputs.reporting.period.end());
    let account = Account::default();
    let valued = value(rate, calendar.zone(), &months, (&counterfactual, &account), (&measured, &account)).map_err(DeriveError::Bills)?;
    Ok(charges(valued.differences))
}

/// What was used and what would have been, in the same intervals.
pub(crate) struct Both {
    pub(crate) measured: Profile,
    pub(crate) counterfactual: Profile,
}

/// Both sides of a period: what counters passed in each interval, scaled to what a compared day used and would have used.
pub(crate) fn profiles(inputs: &Inputs, avoided: &Avoided, minutes: u8) -> Result<Both, DeriveError> {
    let calendar = calendar(&inputs.facility)?;
    let period = inputs.reporting.period;
    let (mut measured, mut counterfactual) = (Vec::new(), Vec::new());
    let mut start = None;
    for date in units::FacilityCalendar::days(period.first()..period.end()) {
        let bounds = calendar.bounds(date).map_err(|err| days::beyond(&calendar, err))?;
        start = start.or(Some(bounds.start));
        let starts: Vec<Timestamp> = bounds.start.series(i64::from(minutes).minutes()).take_while(|start| *start < bounds.end).collect();
        let counted = days::hour_weights(&inputs.reporting.meters, &starts, bounds.end)?;
        match avoided.days.iter().find(|day| day.date == date) {
            Some(day) => {
                measured.extend(spread(day.observed_wh, &counted));
                counterfactual.extend(spread(would_have_used(inputs, day), &counted));
            }
            None => {
                measured.extend_from_slice(&counted);
                counterfactual.extend(counted);
            }
        }
    }
    let start = start.unwrap_or(Timestamp::UNIX_EPOCH);
    let profile = |wh| Profile::new(start, minutes, wh).map_err(DeriveError::Profile);
    Ok(Both { measured: profile(measured)?, counterfactual: profile(counterfactual)? })
}

/// What would have been used on a compared day, agreed adjustments included, Wh.
pub(crate) fn would_have_used(inputs: &Inputs, day: &AvoidedDay) -> i64 {
    day.observed_wh.saturating_add(day.avoided_wh).saturating_add(inputs.reporting.adjustments.on(day.date))
}

/// The charges of a saving; those that are the same on both bills are none of it.
pub(crate) fn charges(differences: Vec<Difference>) -> Vec<BilledCharge> {
    differences.into_iter().filter(|difference| difference.counterfactual != difference.measured).map(charge).collect()
}

/// Quarters of an hour where every counter is read often enough, else hours.
pub(crate) fn minutes_of_meters(meters: &[Meter]) -> u8 {
    if meters.iter().all(is_fine) { 15 } else { 60 }
}

fn charge(difference: Difference) -> BilledCharge {
    let Difference { name, period, counterfactual, measured, .. } = difference;
    let label = period.map_or_else(|| name.clone(), |period| format!("{name}, {period}"));
    BilledCharge { label, bills: Bills { counterfactual, measured } }
}

/// Whether a counter is read often enough to say what passed in a quarter of an hour.
fn is_fine(meter: &Meter) -> bool {
    let mut steps: Vec<i64> =
        meter.rows.windows(2).filter_map(|pair| if let [a, b] = pair { Some(b.ts_ms.saturating_sub(a.ts_ms)) } else { None }).collect();
    let middle = steps.len() / 2;
    !steps.is_empty() && *steps.select_nth_unstable(middle).1 <= 15 * 60_000
}

#[cfg(all(test, feature = "audit"))]
mod tests {
    use calculator::tariff::{Rate, Tariff};
    use settlement::PriceTerms;

    use crate::{Bundle, audit_bytes, derive, encode, fixture};

    const RATE: &str = r#"{"name": "general service", "currency": "USD", "versions": [{
        "from": "2020-01-01",
        "energy": [{"name": "energy", "periods": [{"name": "all hours", "tiers": [{"up_to": "500", "price": "0.10"}, {"price": "0.14"}]}]}],
        "demand_meter": {"window_minutes": 15, "averaging": "fixed"},
        "demand": [{"name": "capacity", "periods": [{"name": "all hours", "tiers": [{"price": "9.50"}]}]}],
        "fixed": [{"name": "customer", "amount": "25"}],
        "taxes": [{"name": "city", "percent": "5"}]}]}"#;

    #[test]
    fn a_contract_under_a_rate_bills_the_difference_of_two_bills() {
        let mut inputs = fixture::inputs(31, 60);
        let flat = derive(&inputs).unwrap();
        let rate: Rate = serde_json::from_str(RATE).unwrap();
        let mut terms = inputs.contract.terms().clone();
        terms.price = PriceTerms::Tariff { name: rate.name().to_owned() };
        inputs.contract = terms.try_into().unwrap();
        inputs.tariff = Some(Tariff::Rate(Box::new(rate)));
        let derived = derive(&inputs).unwrap();
        assert_eq!(derived.avoided, flat.avoided, "what was measured knows no price");
        let lines = derived.statement.lines();
        let labels: Vec<&str> =
            lines.iter().filter_map(|line| line.description.split(", ").nth(1)).map(|rest| rest.split(':').next().unwrap()).collect();
        assert!(labels.contains(&"energy") && labels.contains(&"capacity") && labels.contains(&"city"), "{labels:?}");
        assert!(!labels.contains(&"customer"), "what is charged anyway was not saved");
        let sum: i64 = lines.iter().map(|line| line.amount.minor).sum();
        assert_eq!((sum, derived.statement.value().minor), (derived.statement.value().minor, sum));
        assert!(lines.iter().all(|line| line.bills.is_some() && line.energy_wh.is_none()));
        let energy = lines.iter().find(|line| line.description.contains(" energy,") || line.description.contains(", energy")).unwrap();
        let kwh = derived.statement.savings().avoided_wh.as_wh() as f64 / 1_000.0;
        let per_kwh = energy.amount.minor as f64 / 100.0 / kwh;
        assert!((0.099..0.141).contains(&per_kwh), "{per_kwh} for a kilowatt-hour between the prices of two tiers");

        let bytes = encode(&inputs, &derived).unwrap();
        assert_eq!(audit_bytes(bytes.clone()).unwrap().total_minor, derived.invoice.total().minor);
        assert_eq!(Bundle::decode(bytes).unwrap().inputs().unwrap().tariff, inputs.tariff);
    }
}
