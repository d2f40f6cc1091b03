//! The daily method as we bill by it: civil days, every clause, no spurious weather model.

use super::days::{self, Calendar};
use super::error::AssessError;
use super::outcome::{AssessedRow, Assessment, AvoidedEnergy, FittedModel, Status, masked, months};
use super::question::Question;
use super::series::Series;
use super::statistics::Statistics;
use super::sufficiency::{Found, Sufficiency, Verdict};
use super::{Weather, spans};
use crate::baseline::{
    Baseline, Disqualified, EnergyDay, EnergyRow, Finding, Period, Severity, TemperatureDay, TemperatureRow, energy_days, join, qualify,
    temperature_days,
};
use crate::model::{Fit, FitError, FittedDay, Search, fit};
use crate::savings;
use crate::uncertainty::{self, Quantity};

pub(super) fn daily(question: &Question, meter: &Series, weather: &Weather) -> Result<Assessment, AssessError> {
    days::is_hourly(weather)?;
    let (baseline, reporting) = days::periods(question)?;
    let calendar = Calendar::of(question, meter)?;
    let rows = calendar.days_of(meter, baseline);
    days::has_use(meter, &rows, baseline.end())?;
    let civil = Civil { question, meter, weather, calendar: &calendar, zone: question.zone.clone().unwrap_or(jiff::tz::TimeZone::UTC) };
    days::reaches(weather, rows.last().map_or(0, |row| row.at), "baseline")?;
    let (energy, temperatures) = civil.days(baseline)?;
    let empty = |status, sufficiency| Assessment::without_model(question, status, sufficiency);
    let qualified = match qualify(&energy, &temperatures, question.commodity, baseline) {
        Ok(qualified) => qualified,
        Err(refused) => return Ok(empty(Status::Disqualified, of_refused(&refused))),
    };
    let sufficiency = of_qualified(&qualified);
    let fit = match fit(&qualified, &Search::strict()) {
        Ok(fit) => fit,
        Err(FitError::NoneAdmissible { candidates }) => return Ok(Assessment { candidates, ..empty(Status::NoModel, sufficiency) }),
        Err(FitError::NoUse { .. } | FitError::Empty) => return Ok(empty(Status::NoModel, sufficiency)),
    };
    let (avoided, gates, after) = match reporting {
        Some(period) => {
            let rows = calendar.days_of(meter, period);
            days::has_reporting(meter, &rows, period.first())?;
            days::reaches(weather, rows.last().map_or(0, |row| row.at), "reporting")?;
            // Days after the last row are not yet, and not missing.
            let end = rows.last().map_or(period.end(), |row| calendar.date(row.at).min(period.end()));
            let period = Period::new(period.first(), end).unwrap_or(period);
            let (energy, temperatures) = civil.days(period)?;
            let days = join(&energy, &temperatures).map_err(AssessError::Days)?;
            let avoided = savings::avoided(&fit, &days).map_err(AssessError::Reporting)?;
            let months = months(f64::from(avoided.days_total));
            let gates = uncertainty::gates(&fit.metrics, avoided.exact.avoided_wh, &avoided.interval, months, Quantity::Energy);
            let masked = masked(days.iter().map(|day| (day.use_wh, day.temperature_f.is_some())));
            let rows = compared(&avoided, question);
            (Some(AvoidedEnergy { energy_masked: masked, ..of_avoided(&avoided, question) }), gates, rows)
        }
        None => (None, Vec::new(), Vec::new()),
    };
    Ok(Assessment {
        status: Status::Qualified,
        model: Some(FittedModel::from(fit.model.parameters(question.unit.to_wh(1.0)))),
        r_squared_adj: Some(fit.r_squared_adj),
        metrics: Some(statistics_of(&fit, question)),
        avoided,
        gates,
        before: fitted(&fit, question),
        after,
        candidates: fit.candidates,
        ..empty(Status::Qualified, sufficiency)
    })
}

/// What civil days are made of.
struct Civil<'a> {
    question: &'a Question,
    meter: &'a Series,
    weather: &'a Weather,
    calendar: &'a Calendar,
    zone: jiff::tz::TimeZone,
}

impl Civil<'_> {
    fn days(&self, period: Period) -> Result<(Vec<EnergyDay>, Vec<TemperatureDay>), AssessError> {
        let at = |second| jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let unit = self.question.unit;
        let hour = spans::HOUR;
        let (from, to) = (self.calendar.midnight(period.first()) - 48 * hour, self.calendar.midnight(period.end()) + 48 * hour);
        let near = |rows: &[super::Row]| spans::between(rows, from, to).to_vec();
        let temperatures: Vec<TemperatureRow> = near(self.weather.series.rows())
            .iter()
            .map(|row| TemperatureRow { at: at(row.at), value: row.value, unit: self.weather.unit })
            .collect();
        let temperatures = temperature_days(&temperatures, &self.zone, period).map_err(AssessError::Days)?;
        // The last row of the file closes it and has no energy of its own.
        let last = self.meter.rows().last().map_or(i64::MAX, |row| row.at);
        let rows: Vec<super::Row> = near(self.meter.rows()).into_iter().filter(|row| row.at < last).collect();
        let energy = if self.calendar.is_labelled {
            // Midnight UTC is how files write a date: the day is the facility's own, however long it was.
            rows.iter()
                .filter_map(|row| {
                    let date = self.calendar.date(row.at);
                    let value = row.value.filter(|value| *value != 0.0 || self.question.commodity == crate::baseline::Commodity::Gas);
                    let seconds = units::FacilityCalendar::new(self.zone.clone()).seconds(date).unwrap_or(spans::DAY);
                    let minutes = u16::try_from(seconds / 60).unwrap_or(1_440);
                    period.contains(date).then(|| EnergyDay { minutes, ..EnergyDay::whole(date, value.map(|value| unit.to_wh(value))) })
                })
                .collect()
        } else {
            let step = if self.calendar.is_daily { 1_440 } else { u16::try_from(self.meter.step_seconds() / 60).unwrap_or(u16::MAX) };
            let rows: Vec<EnergyRow> = rows.iter().map(|row| EnergyRow { start: at(row.at), value: row.value, unit }).collect();
            energy_days(&rows, step, &self.zone, period, self.question.commodity).map_err(AssessError::Days)?
        };
        Ok((energy, temperatures))
    }
}

fn found(finding: &Finding, severity: Severity) -> Found {
    Found {
        name: serde_json::to_value(finding.clause).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default(),
        clause: finding.number.to_owned(),
        severity,
        measured: finding.measured,
        bound: finding.bound,
        limit: finding.limit,
        message: finding.to_string(),
    }
}

pub(super) fn of_refused(refused: &Disqualified) -> Sufficiency {
    let violations = refused.violations.iter().map(|finding| found(finding, Severity::Disqualification));
    let warnings = refused.warnings.iter().map(|finding| found(finding, Severity::Warning));
    Sufficiency { status: Verdict::Fail, findings: violations.chain(warnings).collect(), data: None }
}

pub(super) fn of_qualified(baseline: &Baseline) -> Sufficiency {
    let findings = baseline.warnings().iter().map(|finding| found(finding, Severity::Warning)).collect();
    Sufficiency { status: Verdict::Pass, findings, data: None }
}

/// The published program's statistics with our autocorrelation and our clamp of n′.
fn statistics_of(fit: &Fit, question: &Question) -> Statistics {
    let per_unit = question.unit.to_wh(1.0);
    let observed: Vec<f64> = fit.days.iter().map(|day| day.use_wh / per_unit).collect();
    let predicted: Vec<f64> = fit.days.iter().map(|day| (day.use_wh - day.residual_wh) / per_unit).collect();
    let statistics = Statistics::of(&observed, &predicted, fit.metrics.slopes);
    Statistics {
        autocorr_resid: Some(fit.metrics.autocorrelation),
        n_prime: Some(fit.metrics.effective_observations),
        nmbe: Some(fit.metrics.nmbe),
        ..statistics
    }
}

/// The fitted days, of 24 hours each.
fn fitted(fit: &Fit, question: &Question) -> Vec<AssessedRow> {
    let per_unit = question.unit.to_wh(1.0);
    let row = |day: &FittedDay| AssessedRow {
        date: day.date,
        temperature_f: day.temperature_f,
        observed: day.use_wh / per_unit,
        expected: (day.use_wh - day.residual_wh) / per_unit,
    };
    fit.days.iter().map(row).collect()
}

/// The compared days.
#[expect(clippy::cast_precision_loss, reason = "whole watt-hours that came from a float")]
fn compared(avoided: &savings::Avoided, question: &Question) -> Vec<AssessedRow> {
    let per_unit = question.unit.to_wh(1.0);
    let row = |day: &savings::AvoidedDay| AssessedRow {
        date: day.date,
        temperature_f: day.temperature_f,
        observed: day.observed_wh as f64 / per_unit,
        expected: day.counterfactual_wh as f64 / per_unit,
    };
    avoided.days.iter().map(row).collect()
}

#[expect(clippy::cast_precision_loss, reason = "whole watt-hours that came from a float")]
fn of_avoided(avoided: &savings::Avoided, question: &Question) -> AvoidedEnergy {
    let per_unit = question.unit.to_wh(1.0);
    let share = |wh: i64| wh as f64 / per_unit;
    let (savings, half) = (avoided.exact.avoided_wh / per_unit, avoided.interval.half_width_wh / per_unit);
    AvoidedEnergy {
        counterfactual: avoided.exact.counterfactual_wh / per_unit,
        observed: avoided.exact.observed_wh / per_unit,
        savings,
        fsu_band: Some(avoided.reference.fsu_wh / per_unit),
        ols_band: Some(avoided.reference.ols_wh / per_unit),
        ols_band_model: Some(avoided.reference.ols_model_wh / per_unit),
        ols_band_noise: Some(avoided.reference.ols_noise_wh / per_unit),
        interval_90: Some([savings - half, savings + half]),
        interval_90_half_width: Some(half),
        base_load: share(avoided.base_wh),
        heating_load: share(avoided.heating_wh),
        cooling_load: share(avoided.cooling_wh),
        rows: avoided.days_total,
        rows_compared: avoided.days_compared,
        coverage: avoided.coverage,
        energy_masked: None,
    }
}
