//! Produce beside energy: what grew, and what would have been used for it where the exogeneity rule lets anybody say so.
//!
//! Energy over produce alone says nothing: with a base load it falls when more grows, although nothing was saved. So the
//! counterfactual is the baseline's relation at the output that was reached, and both sides are divided by this same output.

use calculator::assessment::{beyond, changes_driven};
use calculator::baseline::{Baseline, Day};
use calculator::events::Event;
use calculator::model::Search;
use calculator::model::cea::{CeaDay, CeaFit, Crop, Drivers, RangeFinding, Variable, fit_cea};
use calculator::savings::{self, Avoided};
use calculator::verification::{OutOfSample, out_of_sample_driven};
use settlement::{Savings, Yield};

use crate::error::DeriveError;

/// Produce by days, and the model that knows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Grown {
    drivers: Drivers,
    /// Days of the baseline of which production is known, over its days.
    pub(crate) coverage: f64,
    standing: Stands,
}

/// Whether produce explains what is used.
#[derive(Clone, Debug, PartialEq)]
enum Stands {
    /// It stands in the model, which was fitted to these days.
    InModel(Box<CeaFit>, Vec<CeaDay>),
    /// It must not, for this reason.
    Refused(String),
}

impl Grown {
    /// Spreads harvests over their cycles, and fits the baseline with what grew where that is allowed.
    ///
    /// * Errors: harvests that cannot be, a baseline that does not carry the model.
    pub(crate) fn of(crop: &Crop, baseline: &Baseline, search: &Search) -> Result<Self, DeriveError> {
        let drivers = crop.drivers().map_err(DeriveError::Harvest)?;
        let days = baseline.days();
        let known = days.iter().filter(|day| drivers.production_on(day.date).is_some()).count();
        #[expect(clippy::cast_precision_loss, reason = "days of a year")]
        let coverage = known as f64 / days.len().max(1) as f64;
        let standing = match crop.exogenous() {
            Err(refused) => Stands::Refused(refused.to_string()),
            Ok(()) => {
                let beside = drivers.beside(days);
                let fit = fit_cea(&beside, &[Variable::Production], &drivers.plan, crop.election, baseline.commodity(), search);
                Stands::InModel(Box::new(fit.map_err(DeriveError::Production)?), beside)
            }
        };
        Ok(Self { drivers, coverage, standing })
    }

    /// What was not used at this output; nothing where produce must not explain it.
    pub(crate) fn avoided(&self, days: &[Day]) -> Option<Result<Avoided, DeriveError>> {
        match &self.standing {
            Stands::InModel(fit, before) => {
                let after = self.drivers.beside(days);
                Some(savings::avoided_driven(fit, before, &after).map_err(DeriveError::Savings))
            }
            Stands::Refused(_) => None,
        }
    }

    /// The model with production in it.
    pub(crate) fn model(&self) -> Option<&CeaFit> {
        match &self.standing {
            Stands::InModel(fit, _) => Some(fit),
            Stands::Refused(_) => None,
        }
    }

    /// How well that model predicts months that it has not seen, and changes of level that it does not explain.
    pub(crate) fn looked_at(&self) -> Option<(Option<OutOfSample>, Vec<Event>)> {
        match &self.standing {
            Stands::InModel(fit, before) => Some((out_of_sample_driven(fit, before), changes_driven(fit, before))),
            Stands::Refused(_) => None,
        }
    }

    /// Output far outside of what the baseline has seen.
    pub(crate) fn findings(&self, days: &[Day]) -> Vec<RangeFinding> {
        self.model().map_or_else(Vec::new, |fit| fit.range_findings(&self.drivers.beside(days)))
    }

    /// How far the mean output of some days leaves the baseline's range, over that range; nothing where nobody knows it.
    pub(crate) fn beyond(&self, baseline: &Baseline, avoided: &Avoided) -> Option<f64> {
        let known = baseline.days().iter().filter_map(|day| self.drivers.production_on(day.date));
        let after: Vec<f64> = avoided.days.iter().filter_map(|day| self.drivers.production_on(day.date)).collect();
        #[expect(clippy::cast_precision_loss, reason = "days of a month")]
        let mean = after.iter().sum::<f64>() / after.len() as f64;
        beyond(known, (!after.is_empty()).then_some(mean).into_iter())
    }

    /// The yield of the days that were compared, as the statement says it.
    pub(crate) fn yielded(&self, avoided: &Avoided, savings: &Savings) -> Yield {
        let kg: f64 = avoided.days.iter().filter_map(|day| self.drivers.production_on(day.date)).sum();
        #[expect(clippy::cast_possible_truncation, reason = "the harvest of a month is far below 2^53 g")]
        let grown_g = (kg * 1_000.0).round() as i64;
        match &self.standing {
            Stands::InModel(..) => Yield::claimed(grown_g, savings),
            Stands::Refused(why) => Yield::not_claimed(grown_g, why.clone()),
        }
    }
}
