//! The criteria of eemeter 2.10 for a daily baseline, by its names.
//!
//! They are not ours: what the method's text asks besides is a warning here, and a clause in strict mode.

use serde::{Deserialize, Serialize};

use super::spans::{DAY, Span};
use crate::baseline::{BASELINE_DAYS, Bound, COVERAGE, Severity};
use crate::model::Mode;

/// Days that a baseline of bills may be longer or shorter.
const BILLING_TOLERANCE: i64 = 35;

/// Whether the baseline may be used, and everything that speaks against it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sufficiency {
    /// `PASS` or `FAIL`.
    pub status: Verdict,
    /// What was found, gravest first; warnings do not fail.
    pub findings: Vec<Found>,
    /// The counts that the published program's criteria look at, by its names; none where ours judged.
    pub data: Option<Counts>,
}

/// The outcome of the criteria.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// May be used.
    Pass,
    /// May not.
    Fail,
}

/// One rule that does not hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The name of the rule; in compatible mode the published program's.
    pub name: String,
    /// Its number in the method's text.
    pub clause: String,
    /// Whether it forbids a fit.
    pub severity: Severity,
    /// What was found.
    pub measured: f64,
    /// How it must lie to the limit.
    #[serde(default)]
    pub bound: Bound,
    /// What is allowed.
    pub limit: f64,
    /// The rule in words, with both.
    pub message: String,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the published program")]
pub struct Counts {
    pub n_days_total: i64,
    pub n_days_end_gap: i64,
    pub n_valid_days: i64,
    pub n_valid_meter_data_days: i64,
    pub n_valid_temperature_data_days: i64,
    pub n_negative_meter_values: i64,
    pub n_extreme_values: i64,
    pub n_zero_values: i64,
    pub median: f64,
    pub upper_quantile: f64,
    pub lower_quantile: f64,
    pub extreme_value_limit: f64,
    pub max_value: f64,
}

impl Counts {
    /// Counts the spans of a baseline that was asked for up to `cut`; `used` says which have energy and weather.
    pub(super) fn of(spans: &[Span], cut: i64) -> Self {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Self::default() };
        let end_gap = (cut - last.end()).div_euclid(DAY).max(0);
        let complete = |span: &Span| span.value.is_some() && span.mean_f.is_some();
        let warm = |span: &Span| span.hours > 0 && f64::from(span.present) / f64::from(span.hours) > COVERAGE;
        // The published program blanks a day that lacks either before it counts, so that both counts see the same days.
        let days = |valid: &dyn Fn(&Span) -> bool| whole(spans.iter().filter(|span| valid(span)).map(Span::days).sum());
        let values = spans.iter().filter(|span| complete(span)).filter_map(|span| span.value.map(|value| value / span.days()));
        let values = crate::baseline::sorted(values);
        let negative = values.iter().filter(|value| **value < 0.0).count();
        let zeros = values.iter().filter(|value| **value == 0.0).count();
        let quarter = |quarters| crate::baseline::quantile(&values, quarters).unwrap_or_default();
        let (lower, median, upper) = (quarter(1), quarter(2), quarter(3));
        let limit = median + 3.0 * (upper - lower);
        Self {
            n_days_total: (last.end() - first.start).div_euclid(DAY) + end_gap,
            n_days_end_gap: end_gap,
            n_valid_days: days(&|span| complete(span) && warm(span)),
            n_valid_meter_data_days: days(&complete),
            n_valid_temperature_data_days: days(&|span| complete(span) && warm(span)),
            n_negative_meter_values: count(negative),
            n_extreme_values: count(values.iter().filter(|value| **value > limit).count()),
            n_zero_values: count(zeros),
            median,
            upper_quantile: upper,
            lower_quantile: lower,
            extreme_value_limit: limit,
            max_value: values.last().copied().unwrap_or_default(),
        }
    }

    /// The same when so many of the days with energy were estimated, which count as missing.
    ///
    /// * Source: CalTRACK 2.2.3.1.
    pub(super) fn without_estimated(self, days: i64) -> Self {
        Self {
            n_valid_days: (self.n_valid_days - days).max(0),
            n_valid_meter_data_days: (self.n_valid_meter_data_days - days).max(0),
            ..self
        }
    }

    /// As [`Self::judge`] for bills: ours need not be 365 days to the day, but they must be enough.
    ///
    /// * Source: CalTRACK 2.2.1.1 with the boundary nearest to a year, a month more or less.
    pub(super) fn judge_bills(self, mode: Mode, bills: usize) -> Sufficiency {
        let mut judged = self.judge(false);
        if mode == Mode::Compatible {
            return judged;
        }
        let span = self.n_days_total - self.n_days_end_gap;
        judged
            .findings
            .retain(|found| found.name != "incorrect_number_of_total_days" || (span - i64::from(BASELINE_DAYS)).abs() > BILLING_TOLERANCE);
        judged.findings.extend(super::criteria::TOO_FEW_BILLS.found(f64::from(u16::try_from(bills).unwrap_or(u16::MAX))));
        let failed = judged.findings.iter().any(|found| found.severity == Severity::Disqualification);
        judged.status = if failed { Verdict::Fail } else { Verdict::Pass };
        judged
    }

    /// What the published program says of these counts, in its order, and what only we say.
    #[expect(clippy::cast_precision_loss, reason = "days of a year")]
    pub(super) fn judge(self, zero_is_missing: bool) -> Sufficiency {
        let mut findings = Vec::new();
        let mut find = |name: &str, clause: &str, severity, holds: bool, measured: f64, limit: f64, what: &str| {
            if !holds {
                let message = format!("{clause}: {what}: {}, allowed {limit}", (measured * 1e4).round() / 1e4);
                // What is looked at here are shares, a length, and counts of what should not be.
                let bound = match (limit > 1.0, limit > 0.0) {
                    (true, _) => Bound::Exactly,
                    (false, true) => Bound::AtLeast,
                    (false, false) => Bound::AtMost,
                };
                findings.push(Found { name: name.to_owned(), clause: clause.to_owned(), severity, measured, bound, limit, message });
            }
        };
        let total = self.n_days_total as f64;
        let share = |days: i64| if self.n_days_total > 0 { days as f64 / total } else { 0.0 };
        use Severity::{Disqualification, Warning};
        let negative = self.n_negative_meter_values;
        find(
            "negative_meter_values",
            "2.3.5",
            Disqualification,
            negative == 0,
            negative as f64,
            0.0,
            "days with negative use, which may be export",
        );
        let length = self.n_days_total == i64::from(BASELINE_DAYS);
        find(
            "incorrect_number_of_total_days",
            "2.2.1.1",
            Disqualification,
            length,
            total,
            f64::from(BASELINE_DAYS),
            "days in the baseline",
        );
        for (name, days, what) in [
            ("too_many_days_with_missing_data", self.n_valid_days, "share of days with energy and weather"),
            ("too_many_days_with_missing_meter_data", self.n_valid_meter_data_days, "share of days with energy"),
            ("too_many_days_with_missing_temperature_data", self.n_valid_temperature_data_days, "share of days with weather"),
        ] {
            let share = share(days);
            find(name, "2.2.1.2", Disqualification, share >= COVERAGE, share, COVERAGE, what);
        }
        let extreme = self.n_extreme_values;
        find(
            "extreme_values_detected",
            "2.3.6",
            Warning,
            extreme == 0,
            extreme as f64,
            0.0,
            "days above the median plus three interquartile ranges",
        );
        let zeros = self.n_zero_values;
        let fine = !zero_is_missing || zeros == 0;
        find(
            "zero_meter_values",
            "2.2.1.4",
            Warning,
            fine,
            zeros as f64,
            0.0,
            "days without electricity, which strict mode counts as missing",
        );
        let failed = findings.iter().any(|found| found.severity == Disqualification);
        Sufficiency { status: if failed { Verdict::Fail } else { Verdict::Pass }, findings, data: Some(self) }
    }
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "the whole days of a year")]
fn whole(days: f64) -> i64 {
    days as i64
}
