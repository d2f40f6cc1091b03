//! What the files of a question show of its baseline: the facts that the fifteen categories are judged by.
//!
//! Certificates, signatures and auditors are in no file of rows; what is given of them stays as it is given, and what nobody
//! gives nobody knows.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::cleaning::{self, Cleaned};
use super::days::{self, Calendar};
use super::lag;
use super::outcome::Assessment;
use super::question::Question;
use super::series::{Row, Series};
use super::spans::{self, HOUR, Span};
use super::{AssessError, Method, Mode, Weather};
use crate::baseline::{Commodity, Day, Period};
use crate::events::{DayResidual, Event, Ledger, Noise, Trigger, detect};
use crate::model::cea::{CeaDay, CeaFit, Drivers, Variable, fit_cea};
use crate::model::{Fit, FittedDay, Search, fit_days};
use crate::uncertainty::{self, CONFIDENCE, Interval};
use crate::verification::{Facts, MeterClock, OutOfSample, out_of_sample, out_of_sample_driven};

/// What the files show.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The facts, with those that were given.
    pub facts: Facts,
    /// How well the baseline's model of days predicts months that it has not seen; none where there are no days.
    pub out_of_sample: Option<OutOfSample>,
    /// Changes of level within the baseline that neither weather nor model explains.
    pub changes: Vec<Event>,
}

/// Takes the facts from the files that an assessment was made of.
///
/// * Shape: `ledger` explains changes of the days that its entries cover.
/// * Errors: as the assessment; files that gave one give facts.
pub fn facts(
    question: &Question,
    meter: &Series,
    weather: &Weather,
    assessment: &Assessment,
    given: Facts,
    ledger: &Ledger,
) -> Result<Shown, AssessError> {
    let cleaned = cleaning::clean(question, meter);
    let (baseline, reporting) = days::periods(question)?;
    let mut facts = of_rows(question, meter, &cleaned, given);
    facts.expected_fsu = assessment
        .avoided
        .as_ref()
        .filter(|avoided| avoided.savings > 0.0)
        .and_then(|avoided| Some(avoided.interval_90_half_width? / avoided.savings))
        .or(facts.expected_fsu);
    facts.hourly = meter.step_seconds() <= HOUR && matches!(question.method, Method::CaltrackHourly | Method::Towt);
    of_production(question, baseline, reporting, &mut facts);
    // Bills have no days; the categories that look at days stay as they are given.
    let Ok(calendar) = Calendar::of(question, meter) else {
        return Ok(Shown { facts, out_of_sample: None, changes: Vec::new() });
    };
    let hours = spans::hourly(&weather.series);
    let spans_of = |period: Period| {
        let mut spans = spans::spans(&calendar.days_of(&cleaned.meter, period), i64::MIN, i64::MAX);
        spans::warm(&mut spans, &hours, |degrees| weather.unit.to_fahrenheit(degrees));
        let missing = |span: &Span| question.commodity == Commodity::Electricity && span.value == Some(0.0);
        spans.iter_mut().for_each(|span| span.value = span.value.filter(|_| !missing(span)));
        spans
    };
    let before = spans_of(baseline);
    of_days(&calendar, baseline, &before, &mut facts);
    let (from, to) = (calendar.midnight(baseline.first()), calendar.midnight(baseline.end()));
    if meter.step_seconds() <= HOUR
        && let Some(clock) = &mut facts.clock
    {
        clock.lag_stable = clock.lag_stable.or_else(|| lag::is_stable(&spans::hourly(&cleaned.meter), &hours, from, to));
    }
    let present = spans::between(&hours, from, to - 1).iter().filter(|row| row.value.is_some()).count();
    facts.weather_coverage = Some(present as f64 / number((to - from) / HOUR).max(1.0));
    if let Some(after) = reporting.map(spans_of) {
        facts.temperature_beyond = beyond(before.iter().filter_map(|span| span.mean_f), after.iter().filter_map(|span| span.mean_f));
    }
    let Some(modelled) = Modelled::of(question, &calendar, baseline, &before) else {
        return Ok(Shown { facts, out_of_sample: None, changes: Vec::new() });
    };
    let changes = modelled.changes();
    let explains =
        |event: &&Event| ledger.entries().iter().any(|entry| entry.first <= event.last && entry.end.is_none_or(|end| event.first < end));
    let explained = changes.iter().filter(explains).count();
    facts.explained_changes = Some(facts.explained_changes.unwrap_or(0.0) + explained as f64);
    facts.unexplained_changes = Some(facts.unexplained_changes.unwrap_or(0.0) + (changes.len() - explained) as f64);
    let unseen = modelled.out_of_sample();
    if !facts.hourly
        && let Some(unseen) = unseen
    {
        (facts.cv_out_of_sample, facts.nmbe_out_of_sample) = (Some(unseen.cv), Some(unseen.nmbe));
    }
    Ok(Shown { facts, out_of_sample: unseen, changes })
}

/// The model of the baseline's days that it is judged by.
enum Modelled {
    /// Of their weather, whatever other method was asked for.
    Days(Box<Fit>),
    /// Of what is kept beside them too, where that is what explains the use.
    Driven(Box<CeaFit>, Vec<CeaDay>),
}

impl Modelled {
    fn of(question: &Question, calendar: &Calendar, baseline: Period, spans: &[Span]) -> Option<Self> {
        let Some(drivers) = question.drivers.as_ref().filter(|_| question.method == Method::ControlledEnvironment) else {
            return fit(question, calendar, baseline, spans).map(|fit| Self::Days(Box::new(fit)));
        };
        let day = |span: &Span| Day {
            date: calendar.date(span.start),
            minutes: u16::try_from(span.seconds / 60).unwrap_or(0),
            use_wh: span.value,
            temperature_f: span.mean_f,
        };
        let days = drivers.beside(&spans.iter().map(day).collect::<Vec<_>>());
        let Drivers { variables, plan, election, .. } = drivers;
        let fit = fit_cea(&days, variables, plan, *election, question.commodity, &search(question)).ok()?;
        Some(Self::Driven(Box::new(fit), days))
    }

    fn changes(&self) -> Vec<Event> {
        match self {
            Self::Days(fit) => changes(fit),
            Self::Driven(fit, days) => changes_driven(fit, days),
        }
    }

    fn out_of_sample(&self) -> Option<OutOfSample> {
        match self {
            Self::Days(fit) => out_of_sample(fit),
            Self::Driven(fit, days) => out_of_sample_driven(fit, days),
        }
    }
}

/// What the cleaning saw: flags, estimates, sums, clocks.
fn of_rows(question: &Question, meter: &Series, cleaned: &Cleaned<'_>, given: Facts) -> Facts {
    let step = |name: &str| cleaned.log.iter().find(|step| step.name == name);
    let flagged: usize = ["spikes", "stuck values"].iter().filter_map(|name| step(name)).map(|step| step.flagged + step.changed).sum();
    let rows = step("zeros").map_or(0, |step| step.rows).max(1);
    // Rows that were excluded since still had their energy before.
    let energy_rows = if question.meter.register_digits.is_some() { cleaned.meter.rows() } else { meter.rows() };
    let wrong_days = step("time").map_or(0, |step| step.flagged);
    let usual = MeterClock { zone_known: true, offset_minutes: f64::INFINITY, long_days_right: true, lag_stable: None };
    Facts {
        flagged_share: Some(flagged as f64 / rows as f64),
        unexplained_energy_share: given.unexplained_energy_share.or((flagged == 0).then_some(0.0)),
        estimated_energy_share: Some(not_measured(energy_rows, meter)),
        register_difference: cleaned.lost.or(given.register_difference),
        worst_bill_difference: cleaned.sum_check.map(|check| check.worst).or(given.worst_bill_difference),
        year_bill_difference: cleaned.sum_check.map(|check| check.whole).or(given.year_bill_difference),
        // How far the clock was off no row says: what nobody gives is as far as can be.
        clock: Some(MeterClock { zone_known: question.zone.is_some(), long_days_right: wrong_days == 0, ..given.clock.unwrap_or(usual) }),
        station_distance_km: question.site.station_km.or(given.station_distance_km),
        ..given
    }
}

/// The share of the energy that was estimated or edited.
fn not_measured(rows: &[Row], meter: &Series) -> f64 {
    let (mut all, mut other) = (0.0, 0.0);
    for row in rows {
        let value = row.value.unwrap_or(0.0).abs();
        all += value;
        let stretch = meter.stretches().partition_point(|stretch| stretch.to <= row.at);
        other += if meter.stretches().get(stretch).is_some_and(|stretch| stretch.from <= row.at) { value } else { 0.0 };
    }
    if all > 0.0 { other / all } else { 0.0 }
}

fn of_days(calendar: &Calendar, baseline: Period, spans: &[Span], facts: &mut Facts) {
    let complete: BTreeMap<Date, bool> =
        spans.iter().map(|span| (calendar.date(span.start), span.value.is_some() && span.mean_f.is_some())).collect();
    let valid: Vec<(Date, bool)> = baseline.dates().map(|date| (date, complete.get(&date).copied().unwrap_or(false))).collect();
    let count = |days: &[(Date, bool)]| days.iter().filter(|(_, valid)| *valid).count() as f64;
    facts.valid_share = Some(count(&valid) / valid.len() as f64);
    let months = valid.chunk_by(|(one, _), (other, _)| (one.year(), one.month()) == (other.year(), other.month()));
    facts.worst_month_share = Some(months.map(|days| count(days) / days.len() as f64).fold(1.0, f64::min));
    let gaps = valid.split(|(_, valid)| *valid).map(<[(Date, bool)]>::len);
    facts.longest_gap_days = Some(gaps.max().unwrap_or(0) as f64);
    let edge = |found: Option<usize>| found.unwrap_or(valid.len());
    let (first, last) = (valid.iter().position(|(_, valid)| *valid), valid.iter().rposition(|(_, valid)| *valid));
    facts.baseline_days = Some(last.map_or(0.0, |last| (last + 1 - edge(first)) as f64));
}

/// How far other values go beyond the range of some, over that range; none where there is no range, or nothing else.
pub fn beyond(known: impl Iterator<Item = f64>, others: impl Iterator<Item = f64>) -> Option<f64> {
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (mut known, mut others) = (known, others);
    let ((low, high), (least, most)) = (range(&mut known), range(&mut others));
    (high > low && most >= least).then(|| (low - least).max(most - high).max(0.0) / (high - low))
}

/// Where production explains the use, how much of it is known and how far it leaves the baseline's range.
fn of_production(question: &Question, baseline: Period, reporting: Option<Period>, facts: &mut Facts) {
    let Some((drivers, column)) = question
        .drivers
        .as_ref()
        .and_then(|drivers| Some((drivers, drivers.variables.iter().position(|variable| *variable == Variable::Production)?)))
    else {
        return;
    };
    facts.production_relevant = true;
    let of = |period: Period| period.dates().filter_map(move |date| drivers.rows.get(&date)?.values.get(column).copied().flatten());
    facts.production_coverage = Some(of(baseline).count() as f64 / baseline.len() as f64);
    facts.production_beyond = reporting.and_then(|reporting| beyond(of(baseline), of(reporting))).or(facts.production_beyond);
}

/// What the daily model of the baseline leaves of each of its days, in the unit of the meter and in order of time.
///
/// * Errors: files that gave no answer; rows that are no days, and a baseline without a model, leave nothing.
pub fn residuals(question: &Question, meter: &Series, weather: &Weather) -> Result<Vec<(Date, f64)>, AssessError> {
    let cleaned = cleaning::clean(question, meter);
    let (baseline, _) = days::periods(question)?;
    let Ok(calendar) = Calendar::of(question, meter) else { return Ok(Vec::new()) };
    let mut spans = spans::spans(&calendar.days_of(&cleaned.meter, baseline), i64::MIN, i64::MAX);
    spans::warm(&mut spans, &spans::hourly(&weather.series), |degrees| weather.unit.to_fahrenheit(degrees));
    let fit = fit(question, &calendar, baseline, &spans);
    Ok(fit.map_or_else(Vec::new, |fit| fit.days.iter().map(|day| (day.date, day.residual_wh)).collect()))
}

/// The daily model of the baseline, whatever the method asked for.
fn fit(question: &Question, calendar: &Calendar, period: Period, spans: &[Span]) -> Option<Fit> {
    let days = spans.iter().filter_map(|span| {
        let (temperature_f, value) = (span.mean_f?, span.value?);
        Some(FittedDay { date: calendar.date(span.start), temperature_f, use_wh: value / span.days(), residual_wh: 0.0 })
    });
    fit_days(days.collect(), question.commodity, period, &search(question)).ok()
}

fn search(question: &Question) -> Search {
    if question.mode == Mode::Strict { Search::strict() } else { Search::compatible() }
}

/// Changes of level in a model's own residuals.
pub fn changes(fit: &Fit) -> Vec<Event> {
    changes_of(&fit.days, &uncertainty::interval(fit, &[], CONFIDENCE))
}

/// As [`changes`], of the model of a controlled environment and the days that it was fitted to.
pub fn changes_driven(fit: &CeaFit, baseline: &[CeaDay]) -> Vec<Event> {
    changes_of(&fit.days, &uncertainty::interval_driven(fit, baseline, &[], CONFIDENCE))
}

fn changes_of(days: &[FittedDay], interval: &Interval) -> Vec<Event> {
    let days: Vec<DayResidual> = days
        .iter()
        .map(|day| DayResidual { date: day.date, expected_wh: day.use_wh - day.residual_wh, residual_wh: day.residual_wh })
        .collect();
    let noise = Noise::of(interval);
    // A model without residuals has no changes, and no standard deviation to see them by.
    if noise.sigma_wh > 0.0 { detect(&days, noise, &Trigger::USUAL) } else { Vec::new() }
}

#[expect(clippy::cast_precision_loss, reason = "hours of a year")]
fn number(count: i64) -> f64 {
    count as f64
}
