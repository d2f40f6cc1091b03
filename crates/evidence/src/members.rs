//! Which documents a bundle has, and what is in them.

use std::collections::BTreeMap;

use calculator::tariff::Tariff;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use settlement::Contract;

use crate::canonical::{canonical_json, sha256_hex};
use crate::derive::Derived;
use crate::error::BundleError;
use crate::inputs::{BaselineInputs, Facility, Inputs, IssueInputs, Meter, MeterProfile, Reporting, Series};
use crate::rows;

/// Documents by name, uncompressed.
pub(crate) type Members = BTreeMap<String, Vec<u8>>;

pub(crate) const CONTRACT: &str = "contract.json";
pub(crate) const INPUTS: &str = "inputs.json";
pub(crate) const TARIFF: &str = "tariff.json";
pub(crate) const WEATHER: &str = "rows/weather.csv";

/// The model of the baseline by its weather, with every candidate.
pub(crate) const FIT: &str = "derived/fit.json";
/// The model that knows what grew; only where produce stands in it.
const DRIVEN: &str = "derived/driven.json";
/// The categories of verification and the trust score; only where somebody asked for one.
const STANDING: &str = "derived/trust.json";
/// The expected value with its shape and its draws; only where it was drawn.
const PRICE: &str = "derived/price.json";

/// The derived documents in the order of their causes: what does not match first explains what does not match later.
pub(crate) const DERIVED: [&str; 9] = [
    "derived/days.json",
    FIT,
    DRIVEN,
    "derived/avoided.json",
    STANDING,
    PRICE,
    "derived/statement.json",
    "derived/invoice.json",
    "derived/postings.json",
];

/// Whether a document is large enough to be compressed in a bundle.
pub(crate) fn is_compressed(name: &str) -> bool {
    name.ends_with(".csv") || name == FIT || name == DRIVEN
}

/// `inputs.json`: everything but the rows and what has a document of its own.
#[derive(Serialize)]
struct HeadRef<'a> {
    facility: &'a Facility,
    baseline: &'a BaselineInputs,
    weather: &'a Series,
    reporting: &'a Reporting,
    issue: &'a IssueInputs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    facility: Facility,
    baseline: BaselineInputs,
    weather: Series,
    reporting: Reporting,
    issue: IssueInputs,
}

pub(crate) fn baseline_rows(series: &Series) -> String {
    format!("rows/baseline/{}.{}.csv", series.device, series.point)
}

fn meter_rows(meter: &Meter) -> String {
    format!("rows/meters/{}.{}.csv", meter.device, meter.point)
}

fn profile_text(profile: &MeterProfile) -> String {
    let hash = profile.hash.get(..12).unwrap_or(&profile.hash);
    format!("profiles/{}.{hash}.toml", profile.id)
}

pub(crate) fn of_inputs(inputs: &Inputs) -> Result<Members, serde_json::Error> {
    let mut members = Members::new();
    let Inputs { facility, contract, tariff, baseline, weather, reporting, issue } = inputs;
    members.insert(INPUTS.to_owned(), canonical_json(&HeadRef { facility, baseline, weather, reporting, issue })?);
    members.insert(CONTRACT.to_owned(), canonical_json(contract)?);
    if let Some(tariff) = tariff {
        members.insert(TARIFF.to_owned(), canonical_json(tariff)?);
    }
    members.insert(WEATHER.to_owned(), rows::samples(&weather.rows));
    for series in &baseline.energy {
        members.insert(baseline_rows(series), rows::samples(&series.rows));
    }
    for meter in &reporting.meters {
        members.insert(meter_rows(meter), rows::counters(&meter.rows));
        members.insert(profile_text(&meter.profile), meter.profile.text.clone().into_bytes());
    }
    Ok(members)
}

pub(crate) fn of_derived(derived: &Derived) -> Result<Members, serde_json::Error> {
    let [days, fit, driven, avoided, standing, price, statement, invoice, postings] = DERIVED.map(str::to_owned);
    let mut members = Members::from([
        (days, canonical_json(&derived.days)?),
        (fit, canonical_json(&derived.fit)?),
        (avoided, canonical_json(&derived.avoided)?),
        (statement, canonical_json(&derived.statement)?),
        (invoice, canonical_json(&derived.invoice)?),
        (postings, canonical_json(&derived.issue.iter().collect::<Vec<_>>())?),
    ]);
    if let Some(fit) = &derived.driven {
        members.insert(driven, canonical_json(fit)?);
    }
    if let Some(found) = &derived.standing {
        members.insert(standing, canonical_json(found)?);
    }
    if let Some(expected) = &derived.expected {
        members.insert(price, canonical_json(expected)?);
    }
    Ok(members)
}

pub(crate) fn digests(members: &Members) -> BTreeMap<String, String> {
    members.iter().map(|(name, content)| (name.clone(), sha256_hex(content))).collect()
}

/// Puts the inputs together again.
///
/// * Shape: `content` gives a document by its name, uncompressed, or nothing where there is none.
pub(crate) fn read_inputs(content: impl Fn(&str) -> Result<Option<Vec<u8>>, BundleError>) -> Result<Inputs, BundleError> {
    let needed = |name: &str| content(name)?.ok_or_else(|| BundleError::Missing(name.to_owned()));
    let head: Head = json(INPUTS, &needed(INPUTS)?)?;
    let contract: Contract = json(CONTRACT, &needed(CONTRACT)?)?;
    let tariff: Option<Tariff> = content(TARIFF)?.map(|bytes| json(TARIFF, &bytes)).transpose()?;
    let Head { facility, mut baseline, mut weather, mut reporting, issue } = head;
    weather.rows = rows::read_samples(WEATHER, &needed(WEATHER)?)?;
    for series in &mut baseline.energy {
        let name = baseline_rows(series);
        series.rows = rows::read_samples(&name, &needed(&name)?)?;
    }
    for meter in &mut reporting.meters {
        let name = meter_rows(meter);
        meter.rows = rows::read_counters(&name, &needed(&name)?)?;
        let name = profile_text(&meter.profile);
        meter.profile.text = String::from_utf8(needed(&name)?).map_err(|_not_text| BundleError::Text(name))?;
    }
    Ok(Inputs { facility, contract, tariff, baseline, weather, reporting, issue })
}

fn json<T: DeserializeOwned>(member: &str, bytes: &[u8]) -> Result<T, BundleError> {
    serde_json::from_slice(bytes).map_err(|err| BundleError::Json { member: member.to_owned(), err })
}
