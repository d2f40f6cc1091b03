//! The methods beside the daily one: bills, hours, change-points, and the best of all that fit the rows.
//!
//! Rows are made as each method wants them, [`fit_by`] fits, [`compare`] compares, [`interval_by`] says how sure that is; what
//! is said of the result is said as of the daily method. Only bills have published bands besides.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::criteria::{Cycle, cycle};
use super::days::{self, YEAR};
use super::error::AssessError;
use super::outcome::{AssessedRow, Assessment, AvoidedEnergy, FittedModel, Status, masked, months};
use super::question::Question;
use super::rows::assessed;
use super::series::{Row, Series};
use super::spans::{DAY, HOUR, Span};
use super::statistics::Statistics;
use super::sufficiency::{Counts, Sufficiency, Verdict};
use super::{Method, Mode, Weather};
use crate::baseline::{
    Bill, Commodity, Cut, EnergyRow, Hour, Period, Severity, TemperatureRow, bills, bills_after, bills_before, energy_days, hours, join,
    qualify, temperature_days,
};
use crate::model::cea::CeaFit;
use crate::model::{CandidateRow, Conditions, FitError, Fitted, Load, MethodError, Observations, fit_best, fit_by};
use crate::savings::{ComparedRow, Comparison, ComparisonError, compare};
use crate::uncertainty::{self, CONFIDENCE, Cadence, Quantity, TotalInterval, Tried, gates_by, interval_by};

/// Hours without a temperature over which a line is drawn.
const GAP_HOURS: u32 = 6;

/// * Determinism: `seed` is from where weeks are drawn; it follows from the inputs and is asked only when drawing.
pub(super) fn assess(question: &Question, meter: &Series, weather: &Weather, seed: &dyn Fn() -> u64) -> Result<Assessment, AssessError> {
    days::is_hourly(weather)?;
    let (baseline, reporting) = days::periods(question)?;
    let rows = Rows::of(question, meter, weather, seed)?;
    match rows.kind(question.method) {
        Kind::Bills => of_bills(&rows, baseline, reporting),
        Kind::Hours => of_hours(&rows, baseline, reporting),
        Kind::Days => of_days(&rows, baseline, reporting),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bills,
    Hours,
    Days,
}

/// The rows of both files with their units.
struct Rows<'a> {
    question: &'a Question,
    meter: &'a Series,
    weather: &'a Weather,
    zone: TimeZone,
    energy: Vec<EnergyRow>,
    temperatures: Vec<TemperatureRow>,
    /// Watt-hours of one unit.
    per_unit: f64,
    seed: &'a dyn Fn() -> u64,
}

impl<'a> Rows<'a> {
    fn of(question: &'a Question, meter: &'a Series, weather: &'a Weather, seed: &'a dyn Fn() -> u64) -> Result<Self, AssessError> {
        let zone = match &question.zone {
            Some(zone) => zone.clone(),
            None if meter.step_seconds() > 12 * HOUR && meter.rows().iter().all(|row| row.at.rem_euclid(DAY) == 0) => TimeZone::UTC,
            None => return Err(AssessError::Zone),
        };
        let unit = question.unit;
        let energy = meter.rows().iter().map(|row| EnergyRow { start: instant(row.at), value: row.value, unit }).collect();
        let unit = weather.unit;
        let temperatures = weather.series.rows().iter().map(|row| TemperatureRow { at: instant(row.at), value: row.value, unit }).collect();
        Ok(Self { question, meter, weather, zone, energy, temperatures, per_unit: question.unit.to_wh(1.0), seed })
    }

    fn kind(&self, method: Method) -> Kind {
        let step = self.meter.step_seconds();
        match method {
            Method::CaltrackBilling => Kind::Bills,
            Method::CaltrackHourly => Kind::Hours,
            Method::CaltrackDaily | Method::ChangePoint | Method::ControlledEnvironment => Kind::Days,
            Method::Towt | Method::Best if step > 2 * DAY => Kind::Bills,
            Method::Towt if step <= HOUR => Kind::Hours,
            Method::Towt | Method::Best => Kind::Days,
        }
    }

    fn midnight(&self, date: Date) -> Timestamp {
        let start = self.zone.to_ambiguous_timestamp(date.to_datetime(jiff::civil::Time::midnight())).compatible();
        start.unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Minutes between rows; a day where they are longer.
    fn interval_minutes(&self) -> u16 {
        u16::try_from((self.meter.step_seconds() / 60).clamp(1, 1_440)).unwrap_or(1_440)
    }

    /// The rows of the meter between two instants, for the rules about them.
    fn days_between(&self, from: Timestamp, to: Timestamp) -> &[Row] {
        super::spans::between(self.meter.rows(), from.as_second(), to.as_second())
    }

    /// The rows that have energy: the last one of the file only closes it.
    fn opened(&self) -> &[EnergyRow] {
        self.energy.split_last().map_or(&[], |(_, rows)| rows)
    }

    const fn empty(&self, status: Status, sufficiency: Sufficiency) -> Assessment {
        Assessment::without_model(self.question, status, sufficiency)
    }

    /// The model with what is known of it; `None` in place of a model is an answer too.
    fn fitted(&self, sufficiency: Sufficiency, rows: Observations<'_>) -> Result<(Assessment, Option<Fitted>), AssessError> {
        let question = self.question;
        let fitted = if question.method == Method::Best {
            fit_best(question.mode, question.commodity, rows)
        } else {
            fit_by(question.method, question.mode, question.commodity, rows).map(|fitted| (fitted, Vec::new()))
        };
        let (fitted, contenders) = match fitted {
            Ok(fitted) => fitted,
            Err(MethodError::Fit(FitError::NoneAdmissible { candidates })) => {
                return Ok((Assessment { candidates, ..self.empty(Status::NoModel, sufficiency) }, None));
            }
            Err(MethodError::Fit(_)) => return Ok((self.empty(Status::NoModel, sufficiency), None)),
            Err(MethodError::Driven(err)) => return Err(AssessError::Drivers(err)),
            Err(MethodError::Rows { .. }) => return Err(AssessError::Method { method: question.method }),
        };
        let status = if sufficiency.status == Verdict::Pass { Status::Qualified } else { Status::Disqualified };
        let assessment = Assessment {
            model: Some(FittedModel::from(fitted.parameters(self.per_unit))),
            r_squared_adj: Some(fitted.r_squared_adj()),
            candidates: fitted.candidates().clone(),
            tried: CandidateRow::of_contenders(&contenders, &fitted).into_iter().chain(fitted.other_candidates(self.per_unit)).collect(),
            ..self.empty(status, sufficiency)
        };
        Ok((assessment, Some(fitted)))
    }

    fn compared(&self, fitted: &Fitted, rows: Conditions<'_>) -> Result<Comparison, AssessError> {
        compare(fitted, rows).map_err(|err| match err {
            ComparisonError::NothingToCompare { .. } => {
                let edge = |row: Option<&Row>| instant(row.map_or(0, |row| row.at));
                let rows = self.meter.rows();
                let start = self.question.blackout_end.unwrap_or(self.question.blackout_start);
                AssessError::NoReporting { row: rows.len(), start, first: edge(rows.first()), last: edge(rows.last()) }
            }
            ComparisonError::NotFinite { .. } | ComparisonError::Overflow { .. } | ComparisonError::Rows(_) => {
                AssessError::Method { method: self.question.method }
            }
        })
    }

    /// The comparison in the unit of the meter with its interval, without bands.
    #[expect(clippy::cast_precision_loss, reason = "whole watt-hours that came from a float")]
    fn avoided(&self, comparison: &Comparison, interval: Option<&TotalInterval>, observed: &[Option<f64>]) -> AvoidedEnergy {
        let per_unit = self.per_unit;
        let savings = comparison.exact.avoided_wh / per_unit;
        let half = interval.map(TotalInterval::half_width_wh).map(|half| half / per_unit).filter(|half| half.is_finite());
        AvoidedEnergy {
            counterfactual: comparison.exact.counterfactual_wh / per_unit,
            observed: comparison.exact.observed_wh / per_unit,
            savings,
            fsu_band: None,
            ols_band: None,
            ols_band_model: None,
            ols_band_noise: None,
            interval_90: half.map(|half| [savings - half, savings + half]),
            interval_90_half_width: half,
            base_load: comparison.base_wh as f64 / per_unit,
            heating_load: comparison.heating_wh as f64 / per_unit,
            cooling_load: comparison.cooling_wh as f64 / per_unit,
            rows: comparison.rows_total,
            rows_compared: comparison.rows_compared,
            coverage: comparison.coverage,
            energy_masked: masked(observed.iter().zip(&comparison.rows).map(|(used, row)| (*used, row.is_some()))),
        }
    }

    /// The limits of protocols; none where there is no interval.
    fn gates(fitted: &Fitted, comparison: &Comparison, interval: Option<&TotalInterval>, days: f64) -> Vec<Tried> {
        let avoided_wh = comparison.exact.avoided_wh;
        interval.map_or_else(Vec::new, |interval| gates_by(fitted.metrics(), avoided_wh, interval, months(days), Quantity::Energy))
    }

    /// The interval of the total over the rows that were compared; none where there are too few weeks to draw from.
    fn interval(&self, fitted: &Fitted, before: Conditions<'_>, compared: Conditions<'_>) -> Option<TotalInterval> {
        // Only hours are drawn, and hashing their rows is most of the work of days.
        let seed = if matches!(before, Conditions::Hours(_)) { (self.seed)() } else { 0 };
        interval_by(fitted, before, compared, seed, CONFIDENCE).ok()
    }

    /// Statistics of predictions beside observations, in the unit of the meter, where both are there, and the rows themselves.
    fn statistics(&self, fitted: &Fitted, rows: Conditions<'_>) -> (Option<Statistics>, Vec<AssessedRow>) {
        let Ok(loads) = fitted.predict(rows) else { return (None, Vec::new()) };
        let pair = |(used, load): (Option<f64>, Option<Load>)| Some((used? / self.per_unit, load?.total_wh() / self.per_unit));
        let pairs: Vec<Option<(f64, f64)>> = rows.observed().into_iter().zip(loads).map(pair).collect();
        let (observed, predicted): (Vec<f64>, Vec<f64>) = pairs.iter().flatten().copied().unzip();
        let statistics = (!observed.is_empty()).then(|| Statistics::of(&observed, &predicted, fitted.metrics().slopes));
        (statistics, assessed(rows, pairs, &self.zone))
    }

    /// The rows that were compared, in the unit of the meter.
    #[expect(clippy::cast_precision_loss, reason = "whole watt-hours that came from a float")]
    fn rows_of(&self, comparison: &Comparison, rows: Conditions<'_>) -> Vec<AssessedRow> {
        let share = |wh: i64| wh as f64 / self.per_unit;
        let pair = |row: &Option<ComparedRow>| row.map(|row| (share(row.observed_wh), share(row.counterfactual_wh)));
        assessed(rows, comparison.rows.iter().map(pair), &self.zone)
    }
}

fn of_days(rows: &Rows<'_>, baseline: Period, reporting: Option<Period>) -> Result<Assessment, AssessError> {
    let question = rows.question;
    let until = rows.midnight(baseline.end());
    days::has_use(rows.meter, rows.days_between(rows.midnight(baseline.first()), until), baseline.end())?;
    days::reaches(rows.weather, until.as_second().min(rows.meter.rows().last().map_or(0, |row| row.at)), "baseline")?;
    let both = |period: Period| {
        let energy = energy_days(rows.opened(), rows.interval_minutes(), &rows.zone, period, question.commodity)?;
        Ok((energy, temperature_days(&rows.temperatures, &rows.zone, period)?))
    };
    let (energy, weather) = both(baseline).map_err(AssessError::Days)?;
    let qualified = match qualify(&energy, &weather, question.commodity, baseline) {
        Ok(qualified) => qualified,
        Err(refused) => return Ok(rows.empty(Status::Disqualified, super::strict::of_refused(&refused))),
    };
    let drivers = match (question.method, &question.drivers) {
        (Method::ControlledEnvironment, None) => return Err(AssessError::NoDrivers),
        (Method::ControlledEnvironment, Some(drivers)) => Some(drivers),
        (method, Some(_)) => return Err(AssessError::DriversUnused { method }),
        (_, None) => None,
    };
    let observations = drivers.map_or(Observations::Days(&qualified), |drivers| Observations::Driven(&qualified, drivers));
    let (mut assessment, fitted) = rows.fitted(super::strict::of_qualified(&qualified), observations)?;
    let Some(fitted) = fitted else { return Ok(assessment) };
    let driven = drivers.map(|drivers| drivers.beside(qualified.days()));
    let before = driven.as_deref().map_or(Conditions::Days(qualified.days()), Conditions::Driven);
    (assessment.metrics, assessment.before) = rows.statistics(&fitted, before);
    let Some(period) = reporting else { return Ok(assessment) };
    let (energy, weather) = both(period).map_err(AssessError::Days)?;
    let days = join(&energy, &weather).map_err(AssessError::Days)?;
    let driven = drivers.map(|drivers| drivers.beside(&days));
    let after = driven.as_deref().map_or(Conditions::Days(&days), Conditions::Driven);
    let comparison = rows.compared(&fitted, after)?;
    assessment.after = rows.rows_of(&comparison, after);
    let interval = match after {
        Conditions::Driven(days) => rows.interval(&fitted, before, Conditions::Driven(&kept(days, &comparison))),
        _ => rows.interval(&fitted, before, Conditions::Days(&kept(&days, &comparison))),
    };
    assessment.gates = Rows::gates(&fitted, &comparison, interval.as_ref(), f64::from(comparison.rows_total));
    assessment.avoided = Some(rows.avoided(&comparison, interval.as_ref(), &after.observed()));
    if let (Fitted::Cea(fit), Some(driven)) = (&fitted, &driven) {
        look_at_ranges(&mut assessment, fit, driven);
    }
    Ok(assessment)
}

/// The rows that were compared.
fn kept<T: Clone>(rows: &[T], comparison: &Comparison) -> Vec<T> {
    rows.iter().zip(&comparison.rows).filter(|(_, compared)| compared.is_some()).map(|(row, _)| row.clone()).collect()
}

/// What leaves the baseline's range is said, and far outside of it there is nothing to bill.
fn look_at_ranges(assessment: &mut Assessment, fit: &CeaFit, reporting: &[crate::model::cea::CeaDay]) {
    for found in fit.range_findings(reporting) {
        let severity = if found.billable { Severity::Warning } else { Severity::Disqualification };
        if !found.billable {
            assessment.status = Status::Disqualified;
            assessment.sufficiency.status = Verdict::Fail;
        }
        let (name, (low, high)) = (found.variable.name(), found.baseline);
        let message = format!(
            "house: the mean of {name} is {:.4} {} after the intervention, and between {low:.4} and {high:.4} before it",
            found.mean,
            found.variable.unit()
        );
        assessment.sufficiency.findings.push(super::Found {
            name: format!("{name}_outside_baseline"),
            clause: "house".to_owned(),
            severity,
            measured: found.beyond,
            bound: crate::baseline::Bound::AtMost,
            limit: crate::model::cea::EXTRAPOLATES,
            message,
        });
    }
}

fn of_hours(rows: &Rows<'_>, baseline: Period, reporting: Option<Period>) -> Result<Assessment, AssessError> {
    let hours_of = |period: Period| -> Result<Vec<Hour>, AssessError> {
        let (from, to) = (rows.midnight(period.first()), rows.midnight(period.end()));
        let mut hours =
            hours(rows.opened(), rows.interval_minutes(), &rows.temperatures, &rows.zone, from, to).map_err(AssessError::Days)?;
        if rows.question.mode == Mode::Strict && rows.question.commodity == Commodity::Electricity && rows.interval_minutes() >= 60 {
            // As of days: no electricity at all is no reading. Shorter rows may be zero, because a counter has a resolution.
            hours.iter_mut().for_each(|hour| hour.use_wh = hour.use_wh.filter(|wh| *wh != 0.0));
        }
        Ok(hours)
    };
    let (from, until) = (rows.midnight(baseline.first()), rows.midnight(baseline.end()));
    days::has_use(rows.meter, rows.days_between(from, until), baseline.end())?;
    days::reaches(rows.weather, until.as_second().min(rows.meter.rows().last().map_or(0, |row| row.at)), "baseline")?;
    let mut before = hours_of(baseline)?;
    let mut sufficiency = Counts::of(&spans_of_hours(&before), until.as_second()).judge(false);
    if rows.question.mode == Mode::Strict {
        sufficiency.findings.extend(super::criteria::FILLED.found(f64::from(filled(&mut before))));
    }
    let (mut assessment, fitted) = rows.fitted(sufficiency, Observations::Hours(&before))?;
    let Some(fitted) = fitted else { return Ok(assessment) };
    (assessment.metrics, assessment.before) = rows.statistics(&fitted, Conditions::Hours(&before));
    if let Some(period) = reporting {
        let mut hours = hours_of(period)?;
        if rows.question.mode == Mode::Strict {
            filled(&mut hours);
        }
        let comparison = rows.compared(&fitted, Conditions::Hours(&hours))?;
        assessment.after = rows.rows_of(&comparison, Conditions::Hours(&hours));
        let interval = rows.interval(&fitted, Conditions::Hours(&before), Conditions::Hours(&kept(&hours, &comparison)));
        assessment.gates = Rows::gates(&fitted, &comparison, interval.as_ref(), f64::from(comparison.rows_total) / 24.0);
        assessment.avoided = Some(rows.avoided(&comparison, interval.as_ref(), &Conditions::Hours(&hours).observed()));
    }
    Ok(assessment)
}

/// Draws a line over each gap of temperatures of at most six hours; how many hours that are.
///
/// * Source: CalTRACK 2.0, 2.2.4.1; longer gaps stay open.
fn filled(hours: &mut [Hour]) -> u32 {
    let known: Vec<(usize, f64)> = hours.iter().enumerate().filter_map(|(index, hour)| Some((index, hour.temperature_f?))).collect();
    let mut count = 0;
    for pair in known.windows(2) {
        let ((from, first), (to, last)) = (pair[0], pair[1]);
        let Some(gap) = u32::try_from(to - from - 1).ok().filter(|gap| (1..=GAP_HOURS).contains(gap)) else { continue };
        for (hour, step) in hours[from + 1..to].iter_mut().zip(1..) {
            hour.temperature_f = Some(first + (last - first) * f64::from(step) / f64::from(gap + 1));
        }
        count += gap;
    }
    count
}

/// Hours as the criteria count them.
fn spans_of_hours(hours: &[Hour]) -> Vec<Span> {
    let of = |hour: &Hour| Span {
        start: hour.start.as_second(),
        seconds: HOUR,
        value: hour.use_wh,
        mean_f: hour.temperature_f,
        present: u32::from(hour.temperature_f.is_some()),
        hours: 1,
    };
    hours.iter().map(of).collect()
}

fn of_bills(rows: &Rows<'_>, baseline: Period, reporting: Option<Period>) -> Result<Assessment, AssessError> {
    let question = rows.question;
    let cut = match question.mode {
        Mode::Compatible => Cut::FromStart,
        Mode::Strict => Cut::CivilDays(rows.zone.clone()),
    };
    let all = bills(&rows.energy, &rows.temperatures, &cut).map_err(AssessError::Days)?;
    let until = rows.midnight(baseline.end());
    let before = bills_before(&all, until, YEAR);
    let (before, off_cycle) = if question.mode == Mode::Strict { on_cycle(before, rows.meter) } else { (before.to_vec(), Vec::new()) };
    let before = before.as_slice();
    let closed: Vec<Row> =
        before.iter().map(|bill| Row { at: bill.start.as_second(), value: bill.use_wh }).chain([Row { at: 0, value: None }]).collect();
    days::has_use(rows.meter, &closed, baseline.end())?;
    days::reaches(rows.weather, before.last().map_or(0, |bill| bill.end.as_second()), "baseline")?;
    let mut counts = Counts::of(&spans_of_bills(before, rows.per_unit), until.as_second());
    if question.mode == Mode::Strict {
        let estimated = |bill: &Bill| rows.meter.estimated_seconds(bill.start.as_second(), bill.end.as_second());
        counts = counts.without_estimated(before.iter().filter(|bill| bill.use_wh.is_some()).map(estimated).sum::<i64>() / DAY);
    }
    let mut sufficiency = counts.judge_bills(question.mode, before.len());
    sufficiency.findings.extend(off_cycle);
    let (mut assessment, fitted) = rows.fitted(sufficiency, Observations::Bills(before))?;
    let Some(fitted) = fitted else { return Ok(assessment) };
    let Fitted::CaltrackBilling(fit) = &fitted else { return Ok(assessment) };
    let observed: Vec<f64> = fit.bills.iter().map(|bill| bill.use_wh / rows.per_unit).collect();
    let predicted: Vec<f64> = fit.bills.iter().map(|bill| (bill.use_wh - bill.residual_wh) / rows.per_unit).collect();
    assessment.metrics = Some(Statistics::of(&observed, &predicted, fit.metrics.slopes));
    assessment.before = rows.statistics(&fitted, Conditions::Bills(before)).1;
    let Some(period) = reporting else { return Ok(assessment) };
    let after = bills_after(&all, rows.midnight(period.first()), YEAR);
    let (after, short) = if question.mode == Mode::Strict { carried_forward(after, rows.meter) } else { (after.to_vec(), Vec::new()) };
    let after = after.as_slice();
    assessment.sufficiency.findings.extend(short);
    days::reaches(rows.weather, after.last().map_or(0, |bill| bill.end.as_second()), "reporting")?;
    let comparison = rows.compared(&fitted, Conditions::Bills(after))?;
    assessment.after = rows.rows_of(&comparison, Conditions::Bills(after));
    let interval = rows.interval(&fitted, Conditions::Bills(before), Conditions::Bills(after));
    assessment.gates = Rows::gates(&fitted, &comparison, interval.as_ref(), after.iter().map(Bill::days).sum());
    let mut avoided = rows.avoided(&comparison, interval.as_ref(), &Conditions::Bills(after).observed());
    let length = after.first().zip(after.last()).map_or(0, |(first, last)| last.end.duration_since(first.start).as_hours() / 24);
    let rounded_months = (f64::from(i32::try_from(length).unwrap_or(0)) / 30.0).round_ties_even();
    let mean = comparison.exact.observed_wh / f64::from(comparison.rows_compared);
    let bands = uncertainty::bands_of(Cadence::Billing, &fitted.metrics().into(), rounded_months, mean, CONFIDENCE);
    let band = |wh: f64| (wh / rows.per_unit).is_finite().then(|| wh / rows.per_unit);
    avoided.fsu_band = band(bands.fsu_wh);
    avoided.ols_band = band(bands.ols_wh);
    avoided.ols_band_model = band(bands.ols_model_wh);
    avoided.ols_band_noise = band(bands.ols_noise_wh);
    assessment.avoided = Some(avoided);
    Ok(assessment)
}

/// The longest bill that takes part, months: two where bills are of two, and where one was joined with one that nobody read.
fn longest_months(bill: &Bill, meter: &Series) -> f64 {
    let estimated = meter.estimated_seconds(bill.start.as_second(), bill.end.as_second()) > 0;
    if estimated || meter.step_seconds() > 45 * DAY { 2.0 } else { 1.0 }
}

/// Bills of the baseline that are too short or too long take no part, and are said; those without weather are said too.
fn on_cycle(bills: &[Bill], meter: &Series) -> (Vec<Bill>, Vec<super::Found>) {
    let mut bills = bills.to_vec();
    let (mut short, mut long, mut thin) = (0, 0, 0);
    for bill in &mut bills {
        thin += u32::from(bill.use_wh.is_some() && bill.days_f.is_empty());
        match cycle(bill.days(), longest_months(bill, meter)) {
            Cycle::Regular => continue,
            Cycle::Short => short += 1,
            Cycle::Long => long += 1,
        }
        bill.use_wh = None;
    }
    (bills, super::criteria::of_cycles(short, long, thin))
}

/// After the intervention a short bill is joined with the next one, and a long one is only said.
///
/// * Source: CalTRACK 2.0, 3.5.5.
fn carried_forward(bills: &[Bill], meter: &Series) -> (Vec<Bill>, Vec<super::Found>) {
    let mut kept: Vec<Bill> = Vec::with_capacity(bills.len());
    let mut open: Option<Bill> = None;
    let (mut short, mut long) = (0, 0);
    for bill in bills {
        let own = cycle(bill.days(), longest_months(bill, meter));
        (short, long) = (short + u32::from(own == Cycle::Short), long + u32::from(own == Cycle::Long));
        let bill = open.take().map_or_else(|| bill.clone(), |first| first.joined(bill));
        if cycle(bill.days(), f64::MAX) == Cycle::Short { open = Some(bill) } else { kept.push(bill) }
    }
    kept.extend(open);
    let found = [(super::criteria::SHORT_AFTER, short), (super::criteria::LONG_AFTER, long)];
    (kept, found.iter().filter_map(|(rule, count)| rule.found(f64::from(*count))).collect())
}

fn spans_of_bills(bills: &[Bill], per_unit: f64) -> Vec<Span> {
    let of = |bill: &Bill| Span {
        start: bill.start.as_second(),
        seconds: bill.end.duration_since(bill.start).as_secs(),
        value: bill.use_wh.map(|wh| wh / per_unit),
        mean_f: bill.heating_f(65.0),
        present: u32::try_from(bill.days_f.len()).unwrap_or(0),
        hours: bill.days_total,
    };
    bills.iter().map(of).collect()
}

fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}
