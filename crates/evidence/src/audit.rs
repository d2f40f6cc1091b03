//! The audit: the invoice again, from raw registers, by somebody who need not trust us.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use calculator::events::Adjustment;
use devices::{DecodeError, Point, Profile, ProfileError, decode};
use ids::{InvoiceId, Slug};
use jiff::Timestamp;
use money::{Currency, Money, Share};
use serde::Serialize;
use serde_json::Value;
use settlement::{Drawn, Invoice, InvoiceNumber, Line, Part, Period, Trust, Yield};
use units::Measured;

use crate::baseline::{self, BaselineShown};
use crate::bundle::{Bundle, Manifest, ManifestInvoice, stored_name};
use crate::canonical::canonical_json;
use crate::derive::{Derived, derive, qualified_baseline};
use crate::error::{BundleError, DeriveError};
use crate::inputs::{CounterRow, Inputs, Meter, Words};
use crate::members::{self, Members};

/// What an audit found to be true.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verified {
    /// The invoice.
    pub invoice: InvoiceId,
    /// Its number.
    pub number: InvoiceNumber,
    /// The days it bills.
    pub period: Period,
    /// Its currency.
    pub currency: Currency,
    /// Its total in minor units.
    pub total_minor: i64,
    /// Its lines, recomputed.
    pub lines: Vec<Line>,
    /// Its split, recomputed.
    pub parts: Vec<Part>,
    /// What was not used, Wh, agreed adjustments included.
    pub avoided_energy_wh: i64,
    /// The agreed adjustments, Wh; absent where there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub adjustments_wh: i64,
    /// By their names, in the order in which they were agreed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<AdjustmentShown>,
    /// How far the savings may be believed, judged again; absent where the statement has no score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// How the value was drawn, drawn again; absent where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Drawn>,
    /// What grew, and the energy of a kilogram; absent where nobody weighs it.
    #[serde(rename = "yield", skip_serializing_if = "Option::is_none")]
    pub yielded: Option<Yield>,
    /// Half of the interval around it, Wh.
    pub uncertainty_wh: i64,
    /// The confidence of that interval.
    #[serde(skip)]
    pub confidence: Share,
    /// The method's name.
    pub method: String,
    /// Meters whose counters were billed.
    pub meters: usize,
    /// Days of the period with energy and weather.
    pub days_compared: u32,
    /// Days of the period.
    pub days_total: u32,
    /// Counter readings in the bundle.
    pub readings: usize,
    /// Of them, those decoded again from their register words.
    pub decoded: usize,
    /// What the bundle shows of its baseline.
    pub baseline: BaselineShown,
    /// SHA-256 of each derived document.
    pub digests: BTreeMap<String, String>,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// An adjustment that both parties signed: the digest was computed again from what the bundle says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdjustmentShown {
    /// Its name.
    pub name: String,
    /// Wh a day.
    pub wh_per_day: i64,
    /// SHA-256 of what both parties signed.
    pub digest: String,
    /// Who signed.
    pub signers: Vec<String>,
}

impl From<&Adjustment> for AdjustmentShown {
    fn from(entry: &Adjustment) -> Self {
        let signers = entry.signatures.iter().map(|signature| signature.signer.clone()).collect();
        Self { name: entry.name.clone(), wh_per_day: entry.wh_per_day, digest: entry.digest.clone(), signers }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_zero(wh: &i64) -> bool {
    *wh == 0
}

/// The first thing that does not match.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// The file itself.
    #[error(transparent)]
    Bundle(BundleError),
    /// The inputs give no invoice at all.
    #[error("the inputs in the bundle give no invoice")]
    Derive(#[source] DeriveError),
    /// A profile that is none.
    #[error("the profile {profile} of {device} cannot be read")]
    Profile {
        /// The meter.
        device: Slug,
        /// Its profile.
        profile: String,
        /// Why.
        #[source]
        err: Box<ProfileError>,
    },
    /// A profile that is another than was stated.
    #[error("the profile of {device} is {found}, the bundle says {stated}")]
    ProfileHash {
        /// The meter.
        device: Slug,
        /// Id and hash as stated.
        stated: String,
        /// Id and hash of the text in the bundle.
        found: String,
    },
    /// A counter that the profile does not have, or has otherwise.
    #[error("{device} {point}: the profile says {found}, the bundle says {stated}")]
    Point {
        /// The meter.
        device: Slug,
        /// Its point.
        point: String,
        /// Unit and exponent as stated.
        stated: String,
        /// Unit and exponent in the profile.
        found: String,
    },
    /// Registers that say something else than the value beside them.
    #[error("{row}: the registers {} say {decoded}, the bundle says {}", row.words, row.stored)]
    Registers {
        /// The row.
        row: Box<DoubtedRow>,
        /// What the registers say.
        decoded: String,
    },
    /// Registers that say nothing where the row has a value.
    #[error("{row}: the registers {} give no reading, the bundle says {}", row.words, row.stored)]
    Undecodable {
        /// The row.
        row: Box<DoubtedRow>,
        /// Why they give none.
        #[source]
        err: DecodeError,
    },
    /// A fit by another edition of the method, which has other last digits.
    #[error("the bundle was fitted by {found}, this program fits by {ours}: audit it with a release of that edition")]
    Edition {
        /// What the bundle says.
        found: String,
        /// What this program has.
        ours: String,
    },
    /// A document that comes out otherwise.
    #[error("{member} at {place}: the bundle says {stored}, recomputed it is {recomputed}")]
    Document {
        /// The document.
        member: String,
        /// Where in it.
        place: String,
        /// What the bundle says there.
        stored: String,
        /// What comes out.
        recomputed: String,
    },
    /// A document that belongs to no bundle of this invoice.
    #[error("the bundle has {0}, which nothing in it accounts for")]
    Extra(String),
}

/// A row whose registers and value do not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubtedRow {
    /// The meter.
    pub device: Slug,
    /// Its point.
    pub point: String,
    /// When it was read.
    pub at: String,
    /// The register words.
    pub words: String,
    /// What the row says.
    pub stored: String,
}

impl fmt::Display for DoubtedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {}", self.device, self.point, self.at)
    }
}

impl From<BundleError> for Mismatch {
    fn from(err: BundleError) -> Self {
        Self::Bundle(err)
    }
}

/// Recomputes an invoice from its evidence bundle: hashes, registers, days, model, savings, statement, invoice, posting.
///
/// * Errors: the first thing that does not match, with both values.
pub fn audit(path: &Path) -> Result<Verified, Mismatch> {
    audit_bundle(&Bundle::read(path)?)
}

/// As [`audit`], of bytes that were read already.
pub fn audit_bytes(bytes: Vec<u8>) -> Result<Verified, Mismatch> {
    audit_bundle(&Bundle::decode(bytes)?)
}

fn audit_bundle(bundle: &Bundle) -> Result<Verified, Mismatch> {
    let inputs = bundle.inputs()?;
    let mut decoded = 0;
    for meter in &inputs.reporting.meters {
        decoded += registers(meter)?;
    }
    let written = members::of_inputs(&inputs).map_err(BundleError::Encode)?;
    for (name, content) in &written {
        same_document(bundle, name, content)?;
    }
    let derived = derive(&inputs).map_err(Mismatch::Derive)?;
    same_edition(bundle, &derived.fit.method)?;
    let documents = members::of_derived(&derived).map_err(BundleError::Encode)?;
    for name in members::DERIVED {
        // Some are only there where something asks for them; one that is there without a cause is found below.
        let Some(content) = documents.get(name) else { continue };
        same_document(bundle, name, content)?;
    }
    nothing_else(bundle, &written, &documents)?;
    let digests = members::digests(&documents);
    // The members were compared with their bytes on reading; what else the manifest says, and how, follows from the invoice.
    let recomputed = Manifest { invoice: ManifestInvoice::of(&derived), derived: digests.clone(), ..bundle.manifest().clone() };
    differ("manifest.json", bundle.manifest_bytes(), &canonical_json(&recomputed).map_err(BundleError::Encode)?)?;
    let qualified = qualified_baseline(&inputs.facility, &inputs.baseline, &inputs.weather).map_err(Mismatch::Derive)?;
    let baseline = baseline::shown(&inputs, &derived, &qualified).map_err(Mismatch::Derive)?;
    Ok(verified(bundle, &inputs, derived, baseline, digests, decoded))
}

fn verified(
    bundle: &Bundle,
    inputs: &Inputs,
    derived: Derived,
    baseline: BaselineShown,
    digests: BTreeMap<String, String>,
    decoded: usize,
) -> Verified {
    let invoice: &Invoice = &derived.invoice;
    Verified {
        invoice: invoice.id(),
        number: invoice.number().clone(),
        period: invoice.period(),
        currency: invoice.currency(),
        total_minor: invoice.total().minor,
        lines: invoice.lines().to_vec(),
        parts: invoice.parts().to_vec(),
        avoided_energy_wh: derived.adjusted.avoided_wh,
        adjustments_wh: derived.adjusted.adjustments_wh,
        adjustments: inputs.reporting.adjustments.entries().iter().map(AdjustmentShown::from).collect(),
        trust: derived.statement.trust().cloned(),
        yielded: derived.statement.yielded().cloned(),
        drawn: derived.statement.drawn().copied(),
        uncertainty_wh: derived.adjusted.uncertainty_wh,
        confidence: Share::parts_per_million(derived.statement.savings().confidence_ppm).unwrap_or(Share::WHOLE),
        meters: inputs.reporting.meters.len(),
        days_compared: derived.avoided.days_compared,
        days_total: derived.avoided.days_total,
        readings: inputs.reporting.meters.iter().map(|meter| meter.rows.len()).sum(),
        method: derived.statement.savings().method.clone(),
        decoded,
        baseline,
        digests,
        sha256: bundle.sha256(),
    }
}

/// Decodes every reading of a meter again; how many there were.
fn registers(meter: &Meter) -> Result<usize, Mismatch> {
    let device = || meter.device.clone();
    let profile = Profile::parse(&meter.profile.text).map_err(|err| Mismatch::Profile {
        device: device(),
        profile: meter.profile.id.clone(),
        err: Box::new(err),
    })?;
    if profile.id() != meter.profile.id || profile.hash_hex() != meter.profile.hash {
        return Err(Mismatch::ProfileHash {
            device: device(),
            stated: format!("{} {}", meter.profile.id, meter.profile.hash),
            found: format!("{} {}", profile.id(), profile.hash_hex()),
        });
    }
    let point = profile.point(&meter.point);
    let Some(point) = point.filter(|point| point.unit == meter.unit && point.exponent == meter.exponent) else {
        return Err(Mismatch::Point {
            device: device(),
            point: meter.point.clone(),
            stated: format!("{} with exponent {}", meter.unit, meter.exponent),
            found: point.map_or_else(|| "nothing".to_owned(), |point| format!("{} with exponent {}", point.unit, point.exponent)),
        });
    };
    let mut decoded = 0;
    for row in &meter.rows {
        decoded += usize::from(reading(meter, point, row)?);
    }
    Ok(decoded)
}

/// Whether a row has a value, which its registers must say too.
fn reading(meter: &Meter, point: &Point, row: &CounterRow) -> Result<bool, Mismatch> {
    let measured = |raw| Measured { raw, exponent: meter.exponent, unit: meter.unit };
    let doubted = || {
        Box::new(DoubtedRow {
            device: meter.device.clone(),
            point: meter.point.clone(),
            at: Timestamp::from_millisecond(row.ts_ms).map_or_else(|_beyond| format!("{} ms", row.ts_ms), |at| at.to_string()),
            words: if row.words == Words::NONE { "(none)".to_owned() } else { row.words.to_string() },
            stored: row.raw.map_or_else(|| "no value".to_owned(), |raw| measured(raw).to_string()),
        })
    };
    match (decode(point, row.words.as_slice()), row.raw) {
        (Ok(found), Some(raw)) if found.raw == raw => Ok(true),
        (Ok(found), _) => Err(Mismatch::Registers { row: doubted(), decoded: found.to_string() }),
        (Err(_), None) => Ok(false),
        // Nobody's registers said so, and so it stands for nothing: see the rule of the days.
        (Err(_), Some(_)) if row.words == Words::NONE && !row.quality.is_measured() => Ok(false),
        (Err(err), Some(_)) => Err(Mismatch::Undecodable { row: doubted(), err }),
    }
}

fn same_document(bundle: &Bundle, name: &str, recomputed: &[u8]) -> Result<(), Mismatch> {
    let stored = bundle.content(name)?.ok_or_else(|| BundleError::Missing(name.to_owned()))?;
    differ(name, &stored, recomputed)
}

/// The edition by which the bundle says that it was fitted; what it says is no proof, so another one is never verified.
fn same_edition(bundle: &Bundle, ours: &str) -> Result<(), Mismatch> {
    let stored = bundle.content(members::FIT)?.and_then(|fit| serde_json::from_slice::<Value>(&fit).ok());
    match stored.as_ref().and_then(|fit| fit["method"].as_str()) {
        Some(found) if found != ours => Err(Mismatch::Edition { found: found.to_owned(), ours: ours.to_owned() }),
        _ => Ok(()),
    }
}

fn nothing_else(bundle: &Bundle, written: &Members, documents: &Members) -> Result<(), Mismatch> {
    let known: BTreeSet<String> = written.keys().chain(documents.keys()).map(|name| stored_name(name)).collect();
    bundle.stored_names().find(|name| !known.contains(*name)).map_or(Ok(()), |extra| Err(Mismatch::Extra(extra.to_owned())))
}

/// Compares a document as stored with the same document as recomputed.
fn differ(member: &str, stored: &[u8], recomputed: &[u8]) -> Result<(), Mismatch> {
    if stored == recomputed {
        return Ok(());
    }
    let document = |place, stored, recomputed| Mismatch::Document { member: member.to_owned(), place, stored, recomputed };
    if let (Ok(left), Ok(right)) = (serde_json::from_slice::<Value>(stored), serde_json::from_slice::<Value>(recomputed))
        && let Some((place, left, right)) = first_difference(String::new(), &left, &right)
    {
        return Err(document(place, left, right));
    }
    let (left, right) = (String::from_utf8_lossy(stored), String::from_utf8_lossy(recomputed));
    let (mut left, mut right) = (left.lines(), right.lines());
    for line in 1.. {
        let (one, other) = (left.next(), right.next());
        if one != other || one.is_none() {
            let text = |line: Option<&str>| line.map_or_else(|| "the end".to_owned(), |line| line.chars().take(120).collect());
            return Err(document(format!("line {line}"), text(one), text(other)));
        }
    }
    Ok(())
}

/// The place where two documents first differ, and what each says there.
fn first_difference(place: String, left: &Value, right: &Value) -> Option<(String, String, String)> {
    let absent = || "nothing".to_owned();
    match (left, right) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            keys.into_iter().find_map(|key| {
                let place = format!("{place}/{key}");
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => first_difference(place, one, other),
                    (one, other) => Some((place, one.map_or_else(absent, short), other.map_or_else(absent, short))),
                }
            })
        }
        (Value::Array(one), Value::Array(other)) => {
            let differing = one
                .iter()
                .zip(other)
                .enumerate()
                .find_map(|(index, (one, other))| first_difference(format!("{place}/{index}"), one, other));
            let lengths = || {
                (one.len() != other.len()).then(|| (place.clone(), format!("{} entries", one.len()), format!("{} entries", other.len())))
            };
            differing.or_else(lengths)
        }
        _ if left == right => None,
        _ => Some((if place.is_empty() { "/".to_owned() } else { place }, short(left), short(right))),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(120).collect()
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let money = |minor| Money::new(minor, self.currency);
        writeln!(f, "invoice {} for {}: {}", self.number, self.period, money(self.total_minor))?;
        for line in &self.lines {
            writeln!(f, "  {:<48} {:>14}", line.description, line.amount.decimal_text())?;
        }
        writeln!(f, "split")?;
        for part in &self.parts {
            writeln!(f, "  {:<48} {:>14}", format!("{} ({}, {})", part.name, part.kind, part.share), part.amount.decimal_text())?;
        }
        writeln!(f, "avoided energy {} Wh ± {} Wh at {}, {}", self.avoided_energy_wh, self.uncertainty_wh, self.confidence, self.method)?;
        for AdjustmentShown { name, wh_per_day, signers, .. } in &self.adjustments {
            writeln!(f, "  adjusted for {name}: {wh_per_day} Wh a day, signed by {}", signers.join(" and "))?;
        }
        if !self.adjustments.is_empty() {
            writeln!(f, "  of the avoided energy the adjustments are {} Wh", self.adjustments_wh)?;
        }
        if let Some(yielded) = &self.yielded {
            write_yield(f, yielded)?;
        }
        if let Some(Drawn { draws, p10, p90, by_mean_shape }) = &self.drawn {
            writeln!(
                f,
                "  value expected over {draws} draws, 80 % of them between {} and {}; by mean shape {}",
                p10.round_dp(2),
                p90.round_dp(2),
                by_mean_shape.round_dp(2)
            )?;
        }
        if let Some(trust) = &self.trust {
            write_trust(f, trust)?;
        }
        writeln!(
            f,
            "from {} of {} days, {} meters, {} counter readings, {} of them decoded again from their registers",
            self.days_compared, self.days_total, self.meters, self.readings, self.decoded
        )?;
        writeln!(f, "{}", self.baseline)?;
        write!(f, "sha256 {}", self.sha256)
    }
}

fn write_yield(f: &mut fmt::Formatter<'_>, yielded: &Yield) -> fmt::Result {
    write!(f, "  {}.{:03} kg grew", yielded.grown_g / 1_000, yielded.grown_g % 1_000)?;
    if let Some(per_kg) = &yielded.per_kg {
        write!(f, ": {} Wh a kilogram expected, {} used, {} avoided", per_kg.expected_wh, per_kg.used_wh, per_kg.avoided_wh)?;
    }
    if let Some(why) = &yielded.not_claimed {
        write!(f, "; no saving is claimed by the kilogram: {why}")?;
    }
    writeln!(f)
}

fn write_trust(f: &mut fmt::Formatter<'_>, trust: &Trust) -> fmt::Result {
    let hundred = |ppm: u32| format!("{}.{:02}", ppm / 10_000, ppm / 100 % 100);
    let parts: Vec<String> = trust.parts.iter().map(|part| format!("{} {}", part.name, hundred(part.score_ppm))).collect();
    let held = if trust.capped { ", held down by what fails" } else { "" };
    writeln!(f, "trust {} of 100 on {} by {}{held}: {}", hundred(trust.score_ppm), trust.date, trust.version, parts.join(", "))?;
    let named = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    writeln!(f, "  {} categories pass; conditional: {}; that fail: {}", trust.passed, named(&trust.conditional), named(&trust.failed))
}
