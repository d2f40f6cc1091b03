//! The daily method as eemeter 2.10 runs it: its rows, its criteria, its statistics, its bands.
//!
//! What it gets wrong is not repeated: a day of 25 hours has its degree days once. Everything else is compared with its
//! published results to nine digits.

use jiff::civil::Date;

use super::Weather;
use super::days::{self, Calendar};
use super::error::AssessError;
use super::outcome::{AssessedRow, Assessment, AvoidedEnergy, FittedModel, Status, masked, months};
use super::question::Question;
use super::series::{Row, Series};
use super::spans::{self, Span};
use super::statistics::Statistics;
use super::sufficiency::{Counts, Verdict};
use crate::baseline::{Commodity, Period};
use crate::model::{Candidates, Fit, FitError, FittedDay, Search, fit_days};
use crate::uncertainty::{self, BandInputs, Bands, CONFIDENCE, Cadence, Quantity, Tried};

pub(super) fn daily(question: &Question, meter: &Series, weather: &Weather) -> Result<Assessment, AssessError> {
    days::is_hourly(weather)?;
    let (baseline, reporting) = days::periods(question)?;
    let calendar = Calendar::of(question, meter)?;
    let hours = spans::hourly(&weather.series);
    let spans_of = |rows: &[Row]| {
        let mut spans = spans::spans(rows, i64::MIN, i64::MAX);
        let unit = weather.unit;
        spans::warm(&mut spans, &hours, |degrees| unit.to_fahrenheit(degrees));
        spans
    };

    let rows = calendar.days_of(meter, baseline);
    days::has_use(meter, &rows, baseline.end())?;
    let before = spans_of(&rows);
    days::reaches(weather, before.last().map_or(0, Span::end), "baseline")?;
    let after = match reporting {
        Some(period) => {
            let rows = calendar.days_of(meter, period);
            days::has_reporting(meter, &rows, period.first())?;
            let spans = spans_of(&rows);
            days::reaches(weather, spans.last().map_or(0, Span::end), "reporting")?;
            Some(spans)
        }
        None => None,
    };

    let counts = Counts::of(&before, calendar.midnight(baseline.end()));
    let sufficiency = counts.judge(question.commodity == Commodity::Electricity);
    let empty = |sufficiency, candidates| Assessment { candidates, ..Assessment::without_model(question, Status::NoModel, sufficiency) };
    let fit = match fit_spans(&before, &calendar, question.commodity, baseline) {
        Ok(fit) => fit,
        Err(FitError::NoneAdmissible { candidates }) => return Ok(empty(sufficiency, candidates)),
        Err(FitError::NoUse { .. } | FitError::Empty) => return Ok(empty(sufficiency, Candidates::none())),
    };
    let (statistics, before) = totals(&fit, &before);
    let compared = after.and_then(|spans| avoided(&fit, &statistics, &spans, |second| calendar.date(second)));
    let (avoided, (gates, after)) = compared.map_or_else(Default::default, |(avoided, gates, rows)| (Some(avoided), (gates, rows)));
    Ok(Assessment {
        status: if sufficiency.status == Verdict::Pass { Status::Qualified } else { Status::Disqualified },
        model: Some(FittedModel::from(fit.model.parameters(1.0))),
        r_squared_adj: Some(fit.r_squared_adj),
        metrics: Some(statistics),
        avoided,
        gates,
        before,
        after,
        ..empty(sufficiency, fit.candidates)
    })
}

/// The days of a span list that have both, as a fit takes them: use per 24 hours, in the unit of the meter.
fn fit_spans(spans: &[Span], calendar: &Calendar, commodity: Commodity, period: Period) -> Result<Fit, FitError> {
    let days = spans.iter().filter_map(|span| {
        let (temperature_f, value) = (span.mean_f?, span.value?);
        Some(FittedDay { date: calendar.date(span.start), temperature_f, use_wh: value / span.days(), residual_wh: 0.0 })
    });
    fit_days(days.collect(), commodity, period, &Search::compatible())
}

/// The statistics over whole rows, which is what the published program makes its bands of.
fn totals(fit: &Fit, spans: &[Span]) -> (Statistics, Vec<AssessedRow>) {
    let lengths = spans.iter().filter(|span| span.mean_f.is_some() && span.value.is_some()).map(Span::days);
    let (mut observed, mut predicted) = (Vec::with_capacity(fit.days.len()), Vec::with_capacity(fit.days.len()));
    let mut rows = Vec::with_capacity(fit.days.len());
    for (day, length) in fit.days.iter().zip(lengths) {
        let (used, expected) = (day.use_wh * length, fit.model.predict_wh(day.temperature_f, 1.0) * length);
        observed.push(used);
        predicted.push(expected);
        rows.push(AssessedRow { date: day.date, temperature_f: day.temperature_f, observed: used, expected });
    }
    (Statistics::of(&observed, &predicted, fit.metrics.slopes), rows)
}

/// What the reporting rows with energy and weather avoided, the limits it is held against, and the rows; nothing when there is none.
fn avoided(
    fit: &Fit,
    statistics: &Statistics,
    spans: &[Span],
    date: impl Fn(i64) -> Date,
) -> Option<(AvoidedEnergy, Vec<Tried>, Vec<AssessedRow>)> {
    let (mut observed, mut base, mut heating, mut cooling) = (0.0, 0.0, 0.0, 0.0);
    let (mut weather, mut seen) = (Vec::with_capacity(spans.len()), Vec::with_capacity(spans.len()));
    for span in spans {
        let (Some(mean_f), Some(value)) = (span.mean_f, span.value) else { continue };
        observed += value;
        let (flat, cold, warm) = (fit.model.intercept * span.days(), fit.model.heating_wh(mean_f), fit.model.cooling_wh(mean_f));
        base += flat;
        heating += cold;
        cooling += warm;
        let date = date(span.start);
        weather.push((date, mean_f, span.days()));
        seen.push(AssessedRow { date, temperature_f: mean_f, observed: value, expected: flat + cold + warm });
    }
    let compared = u32::try_from(weather.len()).ok().filter(|rows| *rows > 0)?;
    let rows = u32::try_from(spans.len()).ok()?;
    let days = f64::from(compared);
    let bands = bands(statistics, days, observed / days);
    let band = |part: fn(&Bands) -> f64| bands.as_ref().map(part).filter(|band| band.is_finite());
    let interval = uncertainty::interval(fit, &weather, CONFIDENCE);
    let half = interval.half_width_wh;
    let counterfactual = base + heating + cooling;
    let savings = counterfactual - observed;
    let gates = uncertainty::gates(&fit.metrics, savings, &interval, months(f64::from(rows)), Quantity::Energy);
    let avoided = AvoidedEnergy {
        counterfactual,
        observed,
        savings,
        fsu_band: band(|bands| bands.fsu_wh),
        ols_band: band(|bands| bands.ols_wh),
        ols_band_model: band(|bands| bands.ols_model_wh),
        ols_band_noise: band(|bands| bands.ols_noise_wh),
        interval_90: Some([savings - half, savings + half]),
        interval_90_half_width: Some(half),
        base_load: base,
        heating_load: heating,
        cooling_load: cooling,
        rows,
        rows_compared: compared,
        coverage: days / f64::from(rows),
        energy_masked: masked(spans.iter().map(|span| (span.value, span.mean_f.is_some()))),
    };
    Some((avoided, gates, seen))
}

/// The published program's bands in the unit of the meter; none where it would divide by zero.
fn bands(statistics: &Statistics, days: f64, reporting_mean: f64) -> Option<Bands> {
    let inputs = BandInputs {
        observations: statistics.observed_length,
        effective_observations: statistics.n_prime.filter(|n_prime| n_prime.abs() > 0.0)?,
        slopes: statistics.num_parameters,
        observed_mean_wh: statistics.observed_mean,
        observed_variance: statistics.observed_variance,
        rmse_adj_wh: statistics.rmse_adj,
        cv_rmse_adj: statistics.cvrmse_adj?,
    };
    let varies = inputs.observed_variance > 0.0;
    varies.then(|| uncertainty::bands_of(Cadence::Daily, &inputs, days, reporting_mean, CONFIDENCE))
}
