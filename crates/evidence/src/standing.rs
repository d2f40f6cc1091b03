//! How far a period's savings may be believed: what the rows themselves show, what people signed, and the score of both.
//!
//! What the rows show replaces what anybody says of it. Certificates, bills, clocks, inventories and auditors are in no row:
//! of them counts what the dossier of the baseline says, and what it does not say nobody knows.

use std::collections::BTreeMap;

use calculator::assessment::{Shown, beyond, changes};
use calculator::baseline::Baseline;
use calculator::events::{Adjusted, Event, Ledger};
use calculator::model::Fit;
use calculator::savings::Avoided;
use calculator::verification::{Dossier, Examined, Facts, Verdict, baseline_facts, out_of_sample};
use serde::Serialize;
use settlement::{Trust, TrustPart};
use units::FacilityCalendar;

use crate::canonical::{canonical_json, sha256_hex};
use crate::crop::Grown;
use crate::days;
use crate::error::DeriveError;
use crate::inputs::{BaselineInputs, SampleRow, Series};
use crate::rows;

const HOUR_MS: i64 = 3_600_000;

/// A baseline and a period beside it, as they are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looked<'a> {
    pub(crate) calendar: &'a FacilityCalendar,
    pub(crate) inputs: &'a BaselineInputs,
    pub(crate) weather: &'a Series,
    pub(crate) baseline: &'a Baseline,
    pub(crate) fit: &'a Fit,
    pub(crate) avoided: &'a Avoided,
    pub(crate) adjusted: &'a Adjusted,
    pub(crate) ledger: &'a Ledger,
    pub(crate) grown: Option<&'a Grown>,
}

/// What was examined, over which digest of the baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Examination {
    /// SHA-256 over the baseline's inputs, its settings, the method and the model; the same in every month and on every machine.
    pub digest: String,
    /// The fifteen categories, the tickets and the score.
    #[serde(flatten)]
    pub examined: Examined,
}

impl Examination {
    /// Judges a period by the dossier of its baseline; the ledger of adjustments is the period's own.
    pub(crate) fn of(dossier: &Dossier, looked: &Looked<'_>) -> Result<Self, DeriveError> {
        let digest = looked.digest()?;
        let dossier = Dossier { adjustments: looked.ledger.clone(), ..dossier.clone() };
        let end = looked.avoided.last.tomorrow().map_err(|err| days::beyond(looked.calendar, err))?;
        let period = calculator::baseline::Period::new(looked.avoided.first, end).map_err(DeriveError::Period)?;
        let saved = Some((period, looked.adjusted.avoided_wh));
        let examined = dossier.examine(&looked.shown(dossier.facts)?, &digest, saved).map_err(DeriveError::Dossier)?;
        Ok(Self { digest, examined })
    }

    /// The score as the statement says it.
    ///
    /// * Shape: `past` is what the dossier says of earlier invoices.
    pub(crate) fn trust(&self, past: calculator::verification::Past) -> Option<Trust> {
        let score = self.examined.trust.as_ref()?;
        let names = |verdict: Verdict| {
            let found = self.examined.checks.iter().filter(|check| check.verdict == verdict && check.waiver.is_none());
            found.map(|check| check.category.name().replace('_', " ")).collect::<Vec<_>>()
        };
        let parts: Vec<TrustPart> = score
            .parts
            .iter()
            .map(|part| TrustPart { name: part.name.to_owned(), score_ppm: ppm(part.score), weight_ppm: ppm(part.weight) })
            .collect();
        // The mean is of the parts before they were rounded.
        let greatest = parts.iter().map(|part| part.score_ppm).max().unwrap_or(0);
        Some(Trust {
            version: score.version.to_owned(),
            date: score.date,
            score_ppm: ppm(score.score / 100.0).min(greatest),
            capped: score.capped,
            parts,
            passed: self.examined.judged.passed,
            conditional: names(Verdict::Conditional),
            failed: names(Verdict::Fail),
            invoices: past.invoices,
            disputed: past.disputed,
        })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shares between 0 and 1")]
fn ppm(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * 1e6).round() as u32
}

/// What [`Examination::digest`] is made over.
#[derive(Serialize)]
struct Digested<'a> {
    inputs: BTreeMap<String, String>,
    settings: &'a BaselineInputs,
    zone: &'a str,
    method: &'a str,
    fit: String,
}

impl Looked<'_> {
    /// One digest over rows, weather of the baseline's days, settings, method and model.
    pub(crate) fn digest(&self) -> Result<String, DeriveError> {
        let year = self.year()?;
        let of_the_year = |row: &&SampleRow| year.contains(&row.ts_ms);
        let weather: Vec<SampleRow> = self.weather.rows.iter().filter(of_the_year).copied().collect();
        let mut inputs = BTreeMap::from([(crate::members::WEATHER.to_owned(), sha256_hex(&rows::samples(&weather)))]);
        for series in &self.inputs.energy {
            inputs.insert(crate::members::baseline_rows(series), sha256_hex(&rows::samples(&series.rows)));
        }
        let digested = Digested {
            inputs,
            settings: self.inputs,
            zone: self.calendar.zone().iana_name().unwrap_or_default(),
            method: &self.fit.method,
            fit: sha256_hex(&canonical_json(self.fit).map_err(DeriveError::Json)?),
        };
        Ok(sha256_hex(&canonical_json(&digested).map_err(DeriveError::Json)?))
    }

    /// The facts, those of `given` that no row shows among them.
    pub(crate) fn shown(&self, given: Facts) -> Result<Shown, DeriveError> {
        // Where production explains the use, the model that is billed is the one that knows it.
        let driven = self.grown.and_then(Grown::looked_at);
        let (unseen, changes) = driven.unwrap_or_else(|| (out_of_sample(self.fit), changes(self.fit)));
        let covers = |event: &&Event| {
            let entries = self.ledger.entries();
            entries.iter().any(|entry| entry.first <= event.last && entry.end.is_none_or(|end| event.first < end))
        };
        let explained = changes.iter().filter(covers).count();
        let saved = self.adjusted.avoided_wh > 0;
        #[expect(clippy::cast_precision_loss, reason = "watt-hours of a month and counts of changes")]
        let number = |count: i64| count as f64;
        let counted = |count: usize| number(i64::try_from(count).unwrap_or(i64::MAX));
        let fsu = saved.then(|| number(self.adjusted.uncertainty_wh) / number(self.adjusted.avoided_wh));
        let known = self.fit.days.iter().map(|day| day.temperature_f);
        let later = self.avoided.days.iter().map(|day| day.temperature_f);
        let facts = Facts {
            expected_fsu: fsu.or(given.expected_fsu),
            temperature_beyond: Some(beyond(known, later).unwrap_or(0.0)),
            weather_coverage: Some(self.weather_coverage()?),
            estimated_energy_share: Some(not_measured(&self.inputs.energy)),
            production_relevant: self.grown.is_some() || given.production_relevant,
            production_coverage: self.grown.map(|grown| grown.coverage).or(given.production_coverage),
            production_beyond: self.grown.and_then(|grown| grown.beyond(self.baseline, self.avoided)).or(given.production_beyond),
            explained_changes: Some(given.explained_changes.unwrap_or(0.0) + counted(explained)),
            unexplained_changes: Some(counted(changes.len() - explained)),
            ..given
        };
        Ok(Shown { facts: baseline_facts(facts, self.baseline, unseen), out_of_sample: unseen, changes })
    }

    /// The instants of the baseline's days.
    fn year(&self) -> Result<std::ops::Range<i64>, DeriveError> {
        let period = self.inputs.period;
        let instant = |date| self.calendar.start_of(date).map(|at| at.as_millisecond()).map_err(|err| days::beyond(self.calendar, err));
        Ok(instant(period.first())?..instant(period.end())?)
    }

    /// Hours of the baseline with a temperature over its hours.
    fn weather_coverage(&self) -> Result<f64, DeriveError> {
        let year = self.year()?;
        let mut hours = 0_i32;
        let mut last = None;
        for row in &self.weather.rows {
            let hour = row.ts_ms.div_euclid(HOUR_MS);
            if year.contains(&row.ts_ms) && self.weather.value(row).is_some() && last != Some(hour) {
                hours += 1;
                last = Some(hour);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "hours of a year")]
        let all = ((year.end - year.start) / HOUR_MS).max(1) as f64;
        Ok((f64::from(hours) / all).min(1.0))
    }
}

/// The share of the baseline's energy that was estimated, edited or taken from elsewhere.
fn not_measured(energy: &[Series]) -> f64 {
    let (mut all, mut other) = (0.0, 0.0);
    for series in energy {
        for row in &series.rows {
            let wh = series.value(row).unwrap_or(0.0).abs();
            all += wh;
            other += if row.quality.is_measured() { 0.0 } else { wh };
        }
    }
    if all > 0.0 { other / all } else { 0.0 }
}
