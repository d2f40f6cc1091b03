//! Every candidate of a fit for the reader: what was tried, what became of it, and why it lost.

use serde::Serialize;

use super::best::Contender;
use super::candidate::{Candidate, Outcome};
use super::fitted::Fitted;
use super::hourly::Segment;
use super::parameters::Parameters;
use super::select::model_of;
use super::shape::Model;

/// One candidate of any method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CandidateRow {
    /// The type of the model, or what distinguishes the candidate: a form, the parts of a split.
    pub kind: String,
    /// Balance points of the grid, °F: heating, cooling.
    pub points_f: (Option<u8>, Option<u8>),
    /// `qualified`, `disqualified` or `not_attempted`.
    pub status: &'static str,
    /// Why it does not take part.
    pub reason: Option<String>,
    /// Its parameters, where it was fitted.
    pub parameters: Option<Parameters>,
    /// By which CalTRACK candidates are compared.
    pub r_squared_adj: Option<f64>,
    /// By which the others are compared.
    pub bic: Option<f64>,
    /// Whether it was taken.
    pub selected: bool,
}

impl CandidateRow {
    /// The methods that took part, by their editions; none of them is selected: what is, is a candidate of one of them.
    pub fn of_contenders(contenders: &[Contender], taken: &Fitted) -> Vec<Self> {
        let least = taken.bic();
        let reason = |contender: &Contender| match &contender.outcome {
            Err(reason) => reason.clone(),
            Ok(_) if contender.edition == taken.edition() => "the best of its candidates is the selected one".to_owned(),
            Ok(bic) if *bic - least <= 1e-9 => "as good as the selected one, which comes first in order".to_owned(),
            Ok(bic) => format!("its information criterion is {:.1} higher", bic - least),
        };
        let row = |contender: &Contender| Self {
            kind: contender.edition.clone(),
            points_f: (None, None),
            status: if contender.outcome.is_ok() { "qualified" } else { "disqualified" },
            reason: Some(reason(contender)),
            parameters: None,
            r_squared_adj: None,
            bic: contender.outcome.as_ref().ok().copied(),
            selected: false,
        };
        contenders.iter().map(row).collect()
    }

    /// A model that nothing of its method competed with.
    fn alone(kind: String, parameters: Parameters, r_squared_adj: f64) -> Self {
        let (points_f, status) = ((None, None), "qualified");
        let (parameters, r_squared_adj) = (Some(parameters), Some(r_squared_adj));
        Self { kind, points_f, status, reason: None, parameters, r_squared_adj, bic: None, selected: true }
    }
}

impl Fitted {
    /// Every candidate in canonical order, the winner among them; a method that tries one model for each month has those.
    pub fn candidate_rows(&self, unit_wh: f64) -> Vec<CandidateRow> {
        let of_grid = |model: &Model| -> Vec<CandidateRow> {
            let taken = (model.hdd.map(|term| term.balance_f), model.cdd.map(|term| term.balance_f));
            self.candidates().iter().map(|own| of_grid(own, unit_wh, taken)).collect()
        };
        match self {
            Self::CaltrackDaily(fit) => of_grid(&fit.model),
            Self::CaltrackBilling(fit) => of_grid(&fit.model),
            _ => self.other_candidates(unit_wh),
        }
    }

    /// As [`Self::candidate_rows`], without those of a grid of balance points.
    pub fn other_candidates(&self, unit_wh: f64) -> Vec<CandidateRow> {
        match self {
            Self::CaltrackDaily(_) | Self::CaltrackBilling(_) => Vec::new(),
            Self::ChangePoint(fit) => {
                let row = |own: &super::change_point::ChangePointCandidate| CandidateRow {
                    kind: own.kind.name().to_owned(),
                    points_f: (None, None),
                    status: if own.model.is_some() { "qualified" } else { "disqualified" },
                    reason: own.model.is_none().then(|| "no_place_within_the_rules".to_owned()),
                    parameters: own.model.map(|model| model.parameters(unit_wh)),
                    r_squared_adj: None,
                    bic: own.model.map(|_| own.bic),
                    selected: own.kind == fit.model.kind,
                };
                fit.candidates.iter().map(row).collect()
            }
            Self::Splits(fit) => {
                let is_taken = |own: &super::splits::SplitCandidate| own.bic.is_some_and(|bic| bic.total_cmp(&fit.bic).is_eq());
                // Of equals the first was taken.
                let taken = fit.candidates.iter().position(is_taken);
                let row = |(index, own): (usize, &super::splits::SplitCandidate)| CandidateRow {
                    kind: own.name(),
                    points_f: (None, None),
                    status: if own.bic.is_some() { "qualified" } else { "not_attempted" },
                    reason: own.bic.is_none().then(|| "few_days_in_a_part".to_owned()),
                    parameters: None,
                    r_squared_adj: None,
                    bic: own.bic,
                    selected: taken == Some(index),
                };
                fit.candidates.iter().enumerate().map(row).collect()
            }
            Self::CaltrackHourly(fit) => {
                let row = |segment: &Segment| CandidateRow {
                    reason: Some("a month of the selected model".to_owned()),
                    selected: false,
                    ..CandidateRow::alone(segment.name.clone(), segment.parameters(unit_wh), segment.metrics.r_squared_adj)
                };
                // The whole has its parameters in the rows of its months.
                let whole = CandidateRow { parameters: None, ..self.whole(unit_wh) };
                std::iter::once(whole).chain(fit.segments.iter().map(row)).collect()
            }
            Self::Towt(_) | Self::Cea(_) => vec![self.whole(unit_wh)],
        }
    }
}

impl Fitted {
    /// The model as the one candidate there was.
    fn whole(&self, unit_wh: f64) -> CandidateRow {
        let parameters = self.parameters(unit_wh);
        CandidateRow::alone(parameters.kind.clone(), parameters, self.r_squared_adj())
    }
}

fn of_grid(candidate: &Candidate, unit_wh: f64, taken: (Option<f64>, Option<f64>)) -> CandidateRow {
    let (status, reason) = match candidate.outcome {
        Outcome::Qualified(_) => ("qualified", None),
        Outcome::Disqualified(reason, _) => ("disqualified", Some(reason.name().to_owned())),
        Outcome::NotAttempted(reason) => ("not_attempted", Some(reason.name().to_owned())),
    };
    let estimate = candidate.estimate();
    CandidateRow {
        kind: candidate.shape().name().to_owned(),
        points_f: (candidate.points.heating_f, candidate.points.cooling_f),
        status,
        reason,
        parameters: estimate.map(|estimate| model_of(candidate.points, estimate).parameters(unit_wh)),
        r_squared_adj: estimate.map(|estimate| estimate.r_squared_adj),
        bic: None,
        selected: (candidate.points.heating_f.map(f64::from), candidate.points.cooling_f.map(f64::from)) == taken,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Method, Mode, Observations, fit_best, fit_by};
    use crate::baseline::simulated::year;
    use crate::baseline::{Baseline, Commodity};

    fn baseline() -> Baseline {
        year(|date, day, mean_f| {
            let weekend = date.weekday().to_monday_zero_offset() >= 5;
            let base = if weekend { 12_000.0 } else { 30_000.0 };
            base + 800.0 * (55.0 - mean_f).max(0.0) + f64::from(day * 13 % 17) * 90.0
        })
    }

    #[test]
    fn every_method_lists_what_it_tried() {
        let baseline = baseline();
        let rows =
            |method| fit_by(method, Mode::Strict, Commodity::Electricity, Observations::Days(&baseline)).unwrap().candidate_rows(1_000.0);
        let daily = rows(Method::CaltrackDaily);
        assert_eq!(daily.len(), 2_014);
        let refused = daily.iter().find(|row| row.status == "not_attempted").unwrap();
        assert!(refused.reason.is_some() && refused.parameters.is_none());
        let forms: Vec<String> = rows(Method::ChangePoint).into_iter().map(|row| row.kind).collect();
        assert_eq!(forms, ["mean", "2p", "3pc", "3ph", "4p", "5p"]);
        let towt = rows(Method::Towt);
        assert!(towt.len() == 1 && towt[0].kind == "towt" && towt[0].selected);
        for method in [Method::CaltrackDaily, Method::ChangePoint, Method::Towt, Method::Best] {
            assert_eq!(rows(method).iter().filter(|row| row.selected).count(), 1, "{method}");
        }
    }

    #[test]
    fn the_best_of_days_whose_weekends_differ_knows_weekends() {
        let baseline = baseline();
        let (best, contenders) = fit_best(Mode::Strict, Commodity::Electricity, Observations::Days(&baseline)).unwrap();
        assert_eq!(contenders.len(), 4);
        let least = contenders.iter().filter_map(|contender| contender.outcome.as_ref().ok()).copied().fold(f64::MAX, f64::min);
        assert!((best.bic() - least).abs() < 1e-9);
        assert!(best.edition() == "season-weekday-splits/1" || best.edition() == "lbnl-towt/1", "{}", best.edition());
        assert_eq!(fit_by(Method::Best, Mode::Strict, Commodity::Electricity, Observations::Days(&baseline)).unwrap(), best);
    }

    #[test]
    fn a_method_that_does_not_take_the_rows_says_what_it_takes() {
        let baseline = baseline();
        let refused = fit_by(Method::CaltrackHourly, Mode::Strict, Commodity::Electricity, Observations::Days(&baseline)).unwrap_err();
        assert_eq!(refused.to_string(), "caltrack-hourly does not take days; give it hours");
    }
}
