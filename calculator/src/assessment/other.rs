//! The methods beside the daily one: bills, hours, change-points, and the best of all that fit the rows.
//!
//! Rows are made as each method wants them, [`fit_by`] fits, [`compare`] compares; what is said of the result is said as of
//! the daily method. Only bills have published bands, and an interval of ours; for the others there is none yet, and none is
//! shown.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::days::{self, YEAR};
use super::error::AssessError;
use super::outcome::{Assessment, AvoidedEnergy, FittedModel, Status};
use super::question::Question;
use super::series::{Row, Series};
use super::spans::{DAY, HOUR, Span};
use super::statistics::Statistics;
use super::sufficiency::{Counts, Sufficiency, Verdict};
use super::{Method, Mode, Weather};
use crate::baseline::{
    Bill, Commodity, Cut, Day, EnergyRow, Hour, Period, TemperatureRow, bills, bills_after, bills_before, energy_days, hours, join,
    qualify, temperature_days,
};
use crate::degree_days;
use crate::model::{BillingFit, Conditions, FitError, Fitted, MethodError, Observations, fit_by};
use crate::savings::{Comparison, ComparisonError, compare};
use crate::uncertainty::{self, CONFIDENCE, Cadence, Design};

pub(super) fn assess(question: &Question, meter: &Series, weather: &Weather) -> Result<Assessment, AssessError> {
    days::is_hourly(weather)?;
    let (baseline, reporting) = days::periods(question)?;
    let rows = Rows::of(question, meter, weather)?;
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
}

impl<'a> Rows<'a> {
    fn of(question: &'a Question, meter: &'a Series, weather: &'a Weather) -> Result<Self, AssessError> {
        let zone = match &question.zone {
            Some(zone) => zone.clone(),
            None if meter.step_seconds() > 12 * HOUR && meter.rows().iter().all(|row| row.at.rem_euclid(DAY) == 0) => TimeZone::UTC,
            None => return Err(AssessError::Zone),
        };
        let unit = question.unit;
        let energy = meter.rows().iter().map(|row| EnergyRow { start: instant(row.at), value: row.value, unit }).collect();
        let unit = weather.unit;
        let temperatures = weather.series.rows().iter().map(|row| TemperatureRow { at: instant(row.at), value: row.value, unit }).collect();
        Ok(Self { question, meter, weather, zone, energy, temperatures, per_unit: question.unit.to_wh(1.0) })
    }

    fn kind(&self, method: Method) -> Kind {
        let step = self.meter.step_seconds();
        match method {
            Method::CaltrackBilling => Kind::Bills,
            Method::CaltrackHourly => Kind::Hours,
            Method::CaltrackDaily | Method::ChangePoint => Kind::Days,
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

    fn empty(&self, status: Status, sufficiency: Sufficiency) -> Assessment {
        Assessment {
            method: self.question.method,
            mode: self.question.mode,
            status,
            model: None,
            r_squared_adj: None,
            metrics: None,
            sufficiency,
            avoided: None,
            candidates: Vec::new(),
        }
    }

    /// The model with what is known of it; `None` in place of a model is an answer too.
    fn fitted(&self, sufficiency: Sufficiency, rows: Observations<'_>) -> Result<(Assessment, Option<Fitted>), AssessError> {
        let question = self.question;
        let fitted = match fit_by(question.method, question.mode, question.commodity, rows) {
            Ok(fitted) => fitted,
            Err(MethodError::Fit(FitError::NoneAdmissible { candidates })) => {
                return Ok((Assessment { candidates, ..self.empty(Status::NoModel, sufficiency) }, None));
            }
            Err(MethodError::Fit(_)) => return Ok((self.empty(Status::NoModel, sufficiency), None)),
            Err(MethodError::Rows { .. }) => return Err(AssessError::Method { method: question.method }),
        };
        let status = if sufficiency.status == Verdict::Pass { Status::Qualified } else { Status::Disqualified };
        let assessment = Assessment {
            model: Some(FittedModel::from(fitted.parameters(self.per_unit))),
            r_squared_adj: Some(fitted.r_squared_adj()),
            candidates: fitted.candidates().to_vec(),
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

    /// The comparison in the unit of the meter, without bands.
    #[expect(clippy::cast_precision_loss, reason = "whole watt-hours that came from a float")]
    fn avoided(&self, comparison: &Comparison) -> AvoidedEnergy {
        let per_unit = self.per_unit;
        AvoidedEnergy {
            counterfactual: comparison.exact.counterfactual_wh / per_unit,
            observed: comparison.exact.observed_wh / per_unit,
            savings: comparison.exact.avoided_wh / per_unit,
            fsu_band: None,
            ols_band: None,
            ols_band_model: None,
            ols_band_noise: None,
            interval_90: None,
            interval_90_half_width: None,
            base_load: comparison.base_wh as f64 / per_unit,
            heating_load: comparison.heating_wh as f64 / per_unit,
            cooling_load: comparison.cooling_wh as f64 / per_unit,
            rows: comparison.rows_total,
            rows_compared: comparison.rows_compared,
            coverage: comparison.coverage,
        }
    }

    /// Statistics of predictions beside observations, in the unit of the meter, where both are there.
    fn statistics(&self, fitted: &Fitted, rows: Conditions<'_>) -> Option<Statistics> {
        let loads = fitted.predict(rows).ok()?;
        let both = rows.observed().into_iter().zip(loads).filter_map(|(used, load)| Some((used?, load?.total_wh())));
        let (observed, predicted): (Vec<f64>, Vec<f64>) = both.map(|(used, load)| (used / self.per_unit, load / self.per_unit)).unzip();
        (!observed.is_empty()).then(|| Statistics::of(&observed, &predicted, fitted.metrics().slopes))
    }
}

fn of_days(rows: &Rows<'_>, baseline: Period, reporting: Option<Period>) -> Result<Assessment, AssessError> {
    let question = rows.question;
    let days_of = |period: Period| -> Result<Vec<Day>, AssessError> {
        let energy =
            energy_days(rows.opened(), rows.interval_minutes(), &rows.zone, period, question.commodity).map_err(AssessError::Days)?;
        let weather = temperature_days(&rows.temperatures, &rows.zone, period).map_err(AssessError::Days)?;
        join(&energy, &weather).map_err(AssessError::Days)
    };
    let until = rows.midnight(baseline.end());
    days::has_use(rows.meter, rows.days_between(rows.midnight(baseline.first()), until), baseline.end())?;
    days::reaches(rows.weather, until.as_second().min(rows.meter.rows().last().map_or(0, |row| row.at)), "baseline")?;
    let energy =
        energy_days(rows.opened(), rows.interval_minutes(), &rows.zone, baseline, question.commodity).map_err(AssessError::Days)?;
    let weather = temperature_days(&rows.temperatures, &rows.zone, baseline).map_err(AssessError::Days)?;
    let qualified = match qualify(&energy, &weather, question.commodity, baseline) {
        Ok(qualified) => qualified,
        Err(refused) => return Ok(rows.empty(Status::Disqualified, super::strict::of_refused(&refused))),
    };
    let (mut assessment, fitted) = rows.fitted(super::strict::of_qualified(&qualified), Observations::Days(&qualified))?;
    let Some(fitted) = fitted else { return Ok(assessment) };
    assessment.metrics = rows.statistics(&fitted, Conditions::Days(qualified.days()));
    if let Some(period) = reporting {
        let days = days_of(period)?;
        assessment.avoided = Some(rows.avoided(&rows.compared(&fitted, Conditions::Days(&days))?));
    }
    Ok(assessment)
}

fn of_hours(rows: &Rows<'_>, baseline: Period, reporting: Option<Period>) -> Result<Assessment, AssessError> {
    let hours_of = |period: Period| -> Result<Vec<Hour>, AssessError> {
        let (from, to) = (rows.midnight(period.first()), rows.midnight(period.end()));
        hours(rows.opened(), rows.interval_minutes(), &rows.temperatures, &rows.zone, from, to).map_err(AssessError::Days)
    };
    let (from, until) = (rows.midnight(baseline.first()), rows.midnight(baseline.end()));
    days::has_use(rows.meter, rows.days_between(from, until), baseline.end())?;
    days::reaches(rows.weather, until.as_second().min(rows.meter.rows().last().map_or(0, |row| row.at)), "baseline")?;
    let before = hours_of(baseline)?;
    let sufficiency = Counts::of(&spans_of_hours(&before), until.as_second()).judge(false);
    let (mut assessment, fitted) = rows.fitted(sufficiency, Observations::Hours(&before))?;
    let Some(fitted) = fitted else { return Ok(assessment) };
    assessment.metrics = rows.statistics(&fitted, Conditions::Hours(&before));
    if let Some(period) = reporting {
        let hours = hours_of(period)?;
        assessment.avoided = Some(rows.avoided(&rows.compared(&fitted, Conditions::Hours(&hours))?));
    }
    Ok(assessment)
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
    let closed: Vec<Row> =
        before.iter().map(|bill| Row { at: bill.start.as_second(), value: bill.use_wh }).chain([Row { at: 0, value: None }]).collect();
    days::has_use(rows.meter, &closed, baseline.end())?;
    days::reaches(rows.weather, before.last().map_or(0, |bill| bill.end.as_second()), "baseline")?;
    let sufficiency = Counts::of(&spans_of_bills(before, rows.per_unit), until.as_second()).judge_bills(question.mode, before.len());
    let (mut assessment, fitted) = rows.fitted(sufficiency, Observations::Bills(before))?;
    let Some(fitted) = fitted else { return Ok(assessment) };
    let Fitted::CaltrackBilling(fit) = &fitted else { return Ok(assessment) };
    let observed: Vec<f64> = fit.bills.iter().map(|bill| bill.use_wh / rows.per_unit).collect();
    let predicted: Vec<f64> = fit.bills.iter().map(|bill| (bill.use_wh - bill.residual_wh) / rows.per_unit).collect();
    assessment.metrics = Some(Statistics::of(&observed, &predicted, fit.metrics.slopes));
    let Some(period) = reporting else { return Ok(assessment) };
    let after = bills_after(&all, rows.midnight(period.first()), YEAR);
    days::reaches(rows.weather, after.last().map_or(0, |bill| bill.end.as_second()), "reporting")?;
    let comparison = rows.compared(&fitted, Conditions::Bills(after))?;
    let mut avoided = rows.avoided(&comparison);
    let length = after.first().zip(after.last()).map_or(0, |(first, last)| last.end.duration_since(first.start).as_hours() / 24);
    let months = (f64::from(i32::try_from(length).unwrap_or(0)) / 30.0).round_ties_even();
    let mean = comparison.exact.observed_wh / f64::from(comparison.rows_compared);
    let bands = uncertainty::bands_of(Cadence::Billing, &fitted.metrics().into(), months, mean, CONFIDENCE);
    let band = |wh: f64| (wh / rows.per_unit).is_finite().then(|| wh / rows.per_unit);
    avoided.fsu_band = band(bands.fsu_wh);
    avoided.ols_band = band(bands.ols_wh);
    avoided.ols_band_model = band(bands.ols_model_wh);
    avoided.ols_band_noise = band(bands.ols_noise_wh);
    let half = interval_of_bills(fit, before, after, question.commodity) / rows.per_unit;
    avoided.interval_90 = Some([avoided.savings - half, avoided.savings + half]);
    avoided.interval_90_half_width = Some(half);
    assessment.avoided = Some(avoided);
    Ok(assessment)
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

/// Half of our interval of bills: as that of days, with a bill in the place of a day, so that neighbours are bills.
fn interval_of_bills(fit: &BillingFit, before: &[Bill], after: &[Bill], commodity: Commodity) -> f64 {
    let columns = |bills: &[&Bill]| -> Vec<Vec<f64>> {
        let mut columns: Vec<Vec<f64>> = vec![bills.iter().map(|bill| bill.days()).collect()];
        let mut add = |value: &dyn Fn(f64) -> f64| {
            let of = |bill: &&Bill| bill.days_f.iter().map(|degrees| value(*degrees)).sum::<f64>() / bill.kept_days() * bill.days();
            columns.push(bills.iter().map(of).collect());
        };
        if let Some(term) = fit.model.hdd {
            add(&|degrees| degree_days::heating(term.balance_f, degrees));
            add(&|degrees| if degrees < term.balance_f { term.beta } else { 0.0 });
        }
        if let Some(term) = fit.model.cdd {
            add(&|degrees| degree_days::cooling(term.balance_f, degrees));
            add(&|degrees| if degrees > term.balance_f { -term.beta } else { 0.0 });
        }
        columns
    };
    let used = |bill: &&Bill| !bill.days_f.is_empty() && bill.use_wh.is_some_and(|wh| wh != 0.0 || commodity == Commodity::Gas);
    let (before, after): (Vec<&Bill>, Vec<&Bill>) = (before.iter().filter(used).collect(), after.iter().filter(used).collect());
    let turn = |index: usize| {
        let days = i64::try_from(index).unwrap_or(0) * 24;
        Date::constant(2000, 1, 1).checked_add(SignedDuration::from_hours(days)).unwrap_or(Date::constant(2000, 1, 1))
    };
    let dates: Vec<Date> = (0..before.len()).map(turn).collect();
    let reporting: Vec<Date> = (before.len() + 1..=before.len() + after.len()).map(turn).collect();
    let totals: Vec<f64> = columns(&after).iter().map(|column| column.iter().sum()).collect();
    let residuals_wh: Vec<f64> = fit.bills.iter().map(|bill| bill.residual_wh).collect();
    let design = Design {
        dates: &dates,
        residuals_wh: &residuals_wh,
        columns: &columns(&before),
        totals: &totals,
        reporting: &reporting,
        fitted_quantities: f64::from(fit.metrics.fitted_quantities),
        autocorrelation: fit.metrics.autocorrelation,
    };
    uncertainty::interval_of(&design, CONFIDENCE).half_width_wh
}

fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}
