//! The one derivation from rows to money.

use std::collections::BTreeMap;

use calculator::baseline::{
    Baseline, EnergyDay, EnergyRow, EnergyUnit, TemperatureDay, TemperatureRow, TemperatureUnit, join, qualify, temperature_days,
};
use calculator::events::{Adjusted, Adjustment, Ledger, Standing};
use calculator::model::cea::{CeaFit, RangeFinding};
use calculator::model::{self, Fit, FittedDay};
use calculator::savings::{self, Avoided};
use calculator::tariff::{EnergySlot, ExpectedValue, Flat, Tariff, spread};
use calculator::uncertainty::OtherErrors;
use calculator::verification::Past;
use jiff::{Timestamp, ToSpan};
use ledger::{Account, Transaction, flow};
use settlement::{Beside, Contract, Figures, Invoice, Issue, Part, PriceTerms, PricedEnergy, Savings, Statement, Trust, Worth, Yield};
use units::{Energy, FacilityCalendar, Unit};

use crate::bills;
use crate::canonical::{canonical_json, sha256_hex};
use crate::crop::Grown;
use crate::days::{self, MeterDays};
use crate::drawn;
use crate::error::DeriveError;
use crate::inputs::{BaselineInputs, Facility, Inputs, Reporting, SampleRow, Series};
use crate::members;
use crate::standing::{Examination, Looked};

/// What was measured in a period, before it has a price.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The days of each meter.
    pub days: Vec<MeterDays>,
    /// The model of the baseline by its weather.
    pub fit: Fit,
    /// The model that knows what grew besides; only where produce may explain what is used.
    pub driven: Option<CeaFit>,
    /// What was not used, as the model has it.
    pub avoided: Avoided,
    /// The same with the agreed adjustments.
    pub adjusted: Adjusted,
    /// What grew, where somebody weighs it.
    pub yielded: Option<Yield>,
    /// Output outside of what the baseline has seen.
    pub outside: Vec<RangeFinding>,
    /// The categories of verification, where the inputs have a dossier.
    pub standing: Option<Examination>,
    /// The score of it, where the dossier has a day.
    pub trust: Option<Trust>,
}

/// Everything that follows from [`Inputs`].
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    /// The days of each meter.
    pub days: Vec<MeterDays>,
    /// The model of the baseline by its weather.
    pub fit: Fit,
    /// The model that knows what grew besides; only where produce may explain what is used.
    pub driven: Option<CeaFit>,
    /// What was not used, as the model has it.
    pub avoided: Avoided,
    /// The same with the agreed adjustments.
    pub adjusted: Adjusted,
    /// The categories of verification, where the inputs have a dossier.
    pub standing: Option<Examination>,
    /// How its value was drawn; only under a rate, where the baseline has hours.
    pub expected: Option<ExpectedValue>,
    /// Its value, and what of it is billed.
    pub statement: Statement,
    /// What is asked for.
    pub invoice: Invoice,
    /// The posting of the issue; nothing when the invoice is of zero.
    pub issue: Option<Transaction>,
}

/// Fits the baseline.
///
/// * Errors: rows that make no days, days that may not be fitted (with every violated clause), no model.
pub fn fit_baseline(facility: &Facility, baseline: &BaselineInputs, weather: &Series) -> Result<Fit, DeriveError> {
    model::fit(&qualified_baseline(facility, baseline, weather)?, &baseline.search).map_err(DeriveError::Fit)
}

/// The days of the baseline, which may be fitted.
///
/// * Errors: rows that make no days, days that may not be fitted (with every violated clause).
pub fn qualified_baseline(facility: &Facility, baseline: &BaselineInputs, weather: &Series) -> Result<Baseline, DeriveError> {
    let calendar = calendar(facility)?;
    let energy = baseline_energy(baseline, &calendar)?;
    let temperatures = temperatures(weather, &calendar, baseline.period)?;
    qualify(&energy, &temperatures, baseline.commodity, baseline.period).map_err(DeriveError::Disqualified)
}

/// Measures what a period did not use.
pub fn measure(
    facility: &Facility,
    baseline: &BaselineInputs,
    weather: &Series,
    reporting: &Reporting,
) -> Result<Measurement, DeriveError> {
    let calendar = calendar(facility)?;
    unique(baseline.energy.iter().map(|series| (&series.device, &series.point)))?;
    unique(reporting.meters.iter().map(|meter| (&meter.device, &meter.point)))?;
    let qualified = qualified_baseline(facility, baseline, weather)?;
    let fit = model::fit(&qualified, &baseline.search).map_err(DeriveError::Fit)?;
    let range = reporting.period.first()..reporting.period.end();
    let days = reporting.meters.iter().map(|meter| days::meter_days(meter, &calendar, range.clone())).collect::<Result<Vec<_>, _>>()?;
    let energy = days::energy_days(&days, &calendar)?;
    let period = calculator::baseline::Period::new(range.start, range.end).map_err(DeriveError::Period)?;
    let temperatures = temperatures(weather, &calendar, period)?;
    let ledger = &reporting.adjustments;
    as_signed(ledger)?;
    let mut joined = join(&energy, &temperatures).map_err(DeriveError::Join)?;
    joined.retain(|day| !ledger.excludes(day.date));
    let grown = grown(reporting, baseline, &qualified)?;
    let by_output = grown.as_ref().and_then(|grown| grown.avoided(&joined));
    let avoided = by_output.unwrap_or_else(|| savings::avoided(&fit, &joined).map_err(DeriveError::Savings))?;
    let adjusted = ledger.adjust(&avoided, OtherErrors::default()).map_err(DeriveError::Adjusted)?;
    let looked = Looked {
        calendar: &calendar,
        inputs: baseline,
        weather,
        baseline: &qualified,
        fit: &fit,
        avoided: &avoided,
        adjusted: &adjusted,
        ledger,
        grown: grown.as_ref(),
    };
    let standing = reporting.dossier.as_ref().map(|dossier| Examination::of(dossier, &looked)).transpose()?;
    let past = reporting.dossier.as_ref().map_or_else(Past::default, |dossier| dossier.past);
    let trust = standing.as_ref().and_then(|standing| standing.trust(past));
    let driven = grown.as_ref().and_then(Grown::model).cloned();
    let outside = grown.as_ref().map_or_else(Vec::new, |grown| grown.findings(&joined));
    let figures = savings_of(&avoided, &adjusted, method(&fit, driven.as_ref()));
    let yielded = grown.as_ref().map(|grown| grown.yielded(&avoided, &figures));
    Ok(Measurement { days, fit, driven, avoided, adjusted, yielded, outside, standing, trust })
}

/// What grew, where the inputs say.
pub(crate) fn grown(reporting: &Reporting, inputs: &BaselineInputs, baseline: &Baseline) -> Result<Option<Grown>, DeriveError> {
    reporting.crop.as_ref().map(|crop| Grown::of(crop, baseline, &inputs.search)).transpose()
}

/// The name of the model that the savings are of.
fn method<'a>(fit: &'a Fit, driven: Option<&'a CeaFit>) -> &'a str {
    driven.map_or(&fit.method, |driven| &driven.method)
}

/// Derives an invoice, and everything on the way to it, from its inputs.
///
/// * Determinism: no clock, no random number, no map without an order: equal inputs, equal bits.
/// * Errors: the first step that cannot be taken, with its reason.
pub fn derive(inputs: &Inputs) -> Result<Derived, DeriveError> {
    let terms = inputs.contract.terms();
    if terms.facility != inputs.facility.id {
        return Err(DeriveError::Facility { contract: terms.id, found: terms.facility, expected: inputs.facility.id });
    }
    if terms.baseline != inputs.baseline.id {
        return Err(DeriveError::Baseline { contract: terms.id, expected: terms.baseline, found: inputs.baseline.id });
    }
    let measured = measure(&inputs.facility, &inputs.baseline, &inputs.weather, &inputs.reporting)?;
    let Measurement { days, fit, driven, avoided, adjusted, yielded, outside, standing, trust } = measured;
    if !avoided.is_billable() {
        return Err(DeriveError::NotBillable { compared: avoided.days_compared, total: avoided.days_total });
    }
    if matches!(adjusted.standing, Standing::Rebaseline { .. }) {
        return Err(DeriveError::Rebaseline);
    }
    if let Some(RangeFinding { mean, baseline: (low, high), .. }) = outside.into_iter().find(|finding| !finding.billable) {
        return Err(DeriveError::Output { grown: mean, low, high });
    }
    let digests = members::digests(&members::of_inputs(inputs).map_err(DeriveError::Json)?);
    let fitted = driven.as_ref().map_or(&fit.days, |driven| &driven.days);
    let (worth, expected) = worth(inputs, &avoided, fitted, &digests)?;
    let beside = Beside { trust, yielded, drawn: expected.as_ref().map(drawn::shown) };
    let statement = Statement::settle(
        &inputs.contract,
        Figures {
            id: inputs.issue.statement,
            period: inputs.reporting.period,
            savings: savings_of(&avoided, &adjusted, method(&fit, driven.as_ref())),
            worth,
            carried_in: inputs.issue.carried_in,
            beside,
            inputs: digests,
        },
    )
    .map_err(DeriveError::Settle)?;
    let issued_on = calendar(&inputs.facility)?.day_of(inputs.issue.issued_at);
    let issue = Issue { id: inputs.issue.invoice, number: inputs.issue.number.clone(), issued_at: inputs.issue.issued_at, issued_on };
    let invoice = Invoice::issue(&inputs.contract, &statement, issue).map_err(DeriveError::Invoice)?;
    let issue = posting(inputs, &invoice)?;
    Ok(Derived { days, fit, driven, avoided, adjusted, standing, expected, statement, invoice, issue })
}

impl Derived {
    /// The SHA-256 of each derived document, by its name in a bundle.
    pub fn digests(&self) -> Result<BTreeMap<String, String>, DeriveError> {
        Ok(members::digests(&members::of_derived(self).map_err(DeriveError::Json)?))
    }
}

pub(crate) fn calendar(facility: &Facility) -> Result<FacilityCalendar, DeriveError> {
    FacilityCalendar::named(&facility.zone).map_err(|err| DeriveError::Zone { zone: facility.zone.clone(), err })
}

fn unique<'a>(names: impl Iterator<Item = (&'a ids::Slug, &'a String)>) -> Result<(), DeriveError> {
    let mut seen = std::collections::BTreeSet::new();
    for (device, point) in names {
        if !seen.insert((device, point)) {
            return Err(DeriveError::Repeated { device: device.clone(), point: point.clone() });
        }
    }
    Ok(())
}

/// The baseline's days: the sum of its meters, missing where one of them is.
fn baseline_energy(baseline: &BaselineInputs, calendar: &FacilityCalendar) -> Result<Vec<EnergyDay>, DeriveError> {
    let mut sum: Option<Vec<EnergyDay>> = None;
    for series in &baseline.energy {
        let unit = match series.unit {
            Unit::WattHour => EnergyUnit::WattHour,
            Unit::KilowattHour => EnergyUnit::KilowattHour,
            Unit::Therm => EnergyUnit::Therm,
            found => return Err(DeriveError::Unit { device: series.device.clone(), point: series.point.clone(), found, wanted: "energy" }),
        };
        let rows = rows(series)?.map(|(start, row)| EnergyRow { start, value: series.baseline_value(row), unit }).collect::<Vec<_>>();
        let days =
            calculator::baseline::energy_days(&rows, baseline.interval_minutes, calendar.zone(), baseline.period, baseline.commodity)
                .map_err(|err| DeriveError::Days { device: series.device.clone(), point: series.point.clone(), err })?;
        sum = Some(match sum {
            None => days,
            Some(mut sum) => {
                for (total, day) in sum.iter_mut().zip(days) {
                    total.wh = total.wh.zip(day.wh).map(|(total, wh)| total + wh);
                    total.present += day.present;
                    total.expected += day.expected;
                }
                sum
            }
        });
    }
    sum.ok_or(DeriveError::NoMeters("the baseline"))
}

fn temperatures(
    weather: &Series,
    calendar: &FacilityCalendar,
    period: calculator::baseline::Period,
) -> Result<Vec<TemperatureDay>, DeriveError> {
    let unit = match weather.unit {
        Unit::Fahrenheit => TemperatureUnit::Fahrenheit,
        Unit::Celsius => TemperatureUnit::Celsius,
        found => {
            return Err(DeriveError::Unit { device: weather.device.clone(), point: weather.point.clone(), found, wanted: "temperature" });
        }
    };
    let rows = rows(weather)?.map(|(at, row)| TemperatureRow { at, value: weather.value(row), unit }).collect::<Vec<_>>();
    temperature_days(&rows, calendar.zone(), period).map_err(|err| DeriveError::Days {
        device: weather.device.clone(),
        point: weather.point.clone(),
        err,
    })
}

/// The rows with their instants, in the order of time that they must have.
fn rows(series: &Series) -> Result<impl Iterator<Item = (Timestamp, &SampleRow)>, DeriveError> {
    let order = |ts_ms| DeriveError::Order { device: series.device.clone(), point: series.point.clone(), ts_ms };
    if let Some([_, late]) = series.rows.windows(2).find(|pair| matches!(pair, [a, b] if b.ts_ms <= a.ts_ms)) {
        return Err(order(late.ts_ms));
    }
    // In order, so that the first and the last bound all others.
    for end in [series.rows.first(), series.rows.last()].into_iter().flatten() {
        Timestamp::from_millisecond(end.ts_ms).map_err(|_beyond| order(end.ts_ms))?;
    }
    Ok(series.rows.iter().filter_map(|row| Some((Timestamp::from_millisecond(row.ts_ms).ok()?, row))))
}

/// The SHA-256 that both parties sign: of the adjustment in the one spelling, its own digest and its signatures left empty.
pub fn adjustment_digest(adjustment: &Adjustment) -> Result<String, DeriveError> {
    let unsigned = Adjustment { digest: String::new(), signatures: Vec::new(), ..adjustment.clone() };
    Ok(sha256_hex(&canonical_json(&unsigned).map_err(DeriveError::Json)?))
}

/// Whether every adjustment says what was signed.
fn as_signed(ledger: &Ledger) -> Result<(), DeriveError> {
    for entry in ledger.entries() {
        let found = adjustment_digest(entry)?;
        if found != entry.digest {
            return Err(DeriveError::Adjustment { name: entry.name.clone(), signed: entry.digest.clone(), found });
        }
    }
    Ok(())
}

fn savings_of(avoided: &Avoided, adjusted: &Adjusted, method: &str) -> Savings {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a confidence lies between 0 and 1")]
    let confidence_ppm = (avoided.confidence * 1e6).round() as u32;
    Savings {
        counterfactual_wh: Energy::wh(adjusted.avoided_wh + adjusted.observed_wh),
        adjustments_wh: Energy::wh(adjusted.adjustments_wh),
        observed_wh: Energy::wh(adjusted.observed_wh),
        avoided_wh: Energy::wh(adjusted.avoided_wh),
        uncertainty_wh: Energy::wh(adjusted.uncertainty_wh),
        confidence_ppm,
        days_total: avoided.days_total,
        days_compared: avoided.days_compared,
        method: method.to_owned(),
    }
}

/// What the avoided energy is worth: by its price, or under a rate by two bills.
fn worth(
    inputs: &Inputs,
    avoided: &Avoided,
    fitted: &[FittedDay],
    digests: &BTreeMap<String, String>,
) -> Result<(Worth, Option<ExpectedValue>), DeriveError> {
    match tariff(&inputs.contract, inputs.tariff.as_ref())? {
        Tariff::Rate(rate) => match drawn::drawn(inputs, avoided, fitted, &rate, digests)? {
            Some(expected) => Ok((Worth::Billed(bills::charges(expected.differences.clone())), Some(expected))),
            None => Ok((bills::billed(inputs, avoided, &rate).map(Worth::Billed)?, None)),
        },
        priced_by => Ok((priced(inputs, avoided, &priced_by).map(Worth::Priced)?, None)),
    }
}

/// The avoided energy by price.
///
/// A flat price takes each day as it is. Under a tariff with hours a day's avoided energy is spread over its hours in
/// proportion to what the meters counted in them.
fn priced(inputs: &Inputs, avoided: &Avoided, tariff: &Tariff) -> Result<Vec<PricedEnergy>, DeriveError> {
    let calendar = calendar(&inputs.facility)?;
    let mut slots = Vec::new();
    for day in &avoided.days {
        let wh = day.avoided_wh + inputs.reporting.adjustments.on(day.date);
        let bounds = calendar.bounds(day.date).map_err(|err| days::beyond(&calendar, err))?;
        if matches!(tariff, Tariff::Flat(_)) {
            slots.push(EnergySlot { start: bounds.start, wh });
            continue;
        }
        let starts: Vec<Timestamp> = bounds.start.series(1.hour()).take_while(|start| *start < bounds.end).collect();
        let weights = days::hour_weights(&inputs.reporting.meters, &starts, bounds.end)?;
        let parts = spread(wh, &weights);
        slots.extend(starts.into_iter().zip(parts).map(|(start, wh)| EnergySlot { start, wh }));
    }
    let priced = tariff.price(&slots, calendar.zone()).map_err(DeriveError::Price)?;
    Ok(priced
        .lines
        .into_iter()
        .map(|line| PricedEnergy { label: line.period, price_per_kwh: line.price_per_kwh, energy_wh: line.energy_wh })
        .collect())
}

fn tariff(contract: &Contract, given: Option<&Tariff>) -> Result<Tariff, DeriveError> {
    let terms = contract.terms();
    let tariff = match (&terms.price, given) {
        (PriceTerms::Flat { price_per_kwh }, None) => {
            Tariff::Flat(Flat::new("flat price", terms.currency.code(), *price_per_kwh).map_err(DeriveError::Tariff)?)
        }
        (PriceTerms::Tariff { name }, Some(tariff)) if tariff.name() == name => tariff.clone(),
        (expected, found) => {
            let expected = match expected {
                PriceTerms::Flat { .. } => "a flat price".to_owned(),
                PriceTerms::Tariff { name } => name.clone(),
            };
            let found = found.map_or_else(|| "none".to_owned(), |tariff| tariff.name().to_owned());
            return Err(DeriveError::TariffName { contract: terms.id, expected, found });
        }
    };
    if tariff.currency() != terms.currency.code() {
        return Err(DeriveError::Currency { expected: terms.currency.code().to_owned(), found: tariff.currency().to_owned() });
    }
    Ok(tariff)
}

fn posting(inputs: &Inputs, invoice: &Invoice) -> Result<Option<Transaction>, DeriveError> {
    if invoice.total().minor == 0 {
        return Ok(None);
    }
    let credited: Vec<_> = invoice.parts().iter().map(|part| flow::Credited { account: account_of(part), amount: part.amount }).collect();
    flow::issue(inputs.issue.transaction, invoice.issued_at(), invoice.id(), invoice.facility(), invoice.total(), &credited)
        .map(Some)
        .map_err(DeriveError::Posting)
}

/// The account that is credited with a part of an invoice: our own part is income, every other is owed.
fn account_of(part: &Part) -> Account {
    if part.kind.is_ours() { Account::PlatformRevenue } else { Account::Payable(part.payee) }
}
