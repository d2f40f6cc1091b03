//! Days told apart by season and by weekday, where the data say that they differ.
//!
//! A split gives each part of the year a change-point model of its own. All partitions of the three seasons are tried, and
//! each of their parts with weekdays and weekends together or apart; the least information criterion wins, so a split must
//! earn the quantities that it costs. Every part is fitted once and shared by the splits that contain it.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::change_point::{ChangePointModel, ChangePointSearch, change_points, fitted_days, information};
use super::parameters::{Parameter, Parameters};
use super::select::{FitError, FittedDay};
use super::statistics::{Metrics, metrics_of_days};
use crate::baseline::{Commodity, Day};

/// The name of the method and of our edition of it.
pub const SPLIT_METHOD: &str = "season-weekday-splits/1";

/// Fewer days than this are no part of their own.
const PART_DAYS: usize = 30;

/// A season as the months that belong to it.
///
/// * Source: the seasons of the OpenDSM daily model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// June to September.
    Summer,
    /// March to May, and October.
    Shoulder,
    /// November to February.
    Winter,
}

impl Season {
    /// The season of a day.
    pub fn of(date: Date) -> Self {
        match date.month() {
            6..=9 => Self::Summer,
            3..=5 | 10 => Self::Shoulder,
            _ => Self::Winter,
        }
    }
}

/// Which days of the week belong to a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weekdays {
    /// All seven.
    All,
    /// Monday to Friday.
    Working,
    /// Saturday and Sunday.
    Weekend,
}

impl Weekdays {
    fn holds(self, date: Date) -> bool {
        let working = date.weekday().to_monday_zero_offset() < 5;
        match self {
            Self::All => true,
            Self::Working => working,
            Self::Weekend => !working,
        }
    }
}

/// A part of the year with its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its seasons.
    pub seasons: Vec<Season>,
    /// Its days of the week.
    pub weekdays: Weekdays,
    /// Fitted days.
    pub days: u32,
    /// Σr², Wh².
    pub sse: f64,
    /// Its model.
    pub model: ChangePointModel,
}

impl Part {
    pub(super) fn holds(&self, date: Date) -> bool {
        self.seasons.contains(&Season::of(date)) && self.weekdays.holds(date)
    }
}

/// One way to split and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitCandidate {
    /// Its parts as (seasons, days of the week).
    pub parts: Vec<(Vec<Season>, Weekdays)>,
    /// Its information criterion; `None` when a part has too few days.
    pub bic: Option<f64>,
}

/// A selected split with those that lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitFit {
    /// [`SPLIT_METHOD`] at the time of the fit.
    pub method: String,
    /// What the meter measures.
    pub commodity: Commodity,
    /// What was allowed within a part.
    pub search: ChangePointSearch,
    /// The parts of the winner; one when the year is best left whole.
    pub parts: Vec<Part>,
    /// Its information criterion.
    pub bic: f64,
    /// How well it fits.
    pub metrics: Metrics,
    /// Every split in order, losers included.
    pub candidates: Vec<SplitCandidate>,
    /// The fitted days in order of time.
    pub days: Vec<FittedDay>,
}

impl SplitFit {
    /// The model of a day.
    pub fn model_of(&self, date: Date) -> Option<&ChangePointModel> {
        self.parts.iter().find(|part| part.holds(date)).map(|part| &part.model)
    }

    /// The parameters of every part, under names like `su_sh-wd`.
    pub fn parameters(&self, unit_wh: f64) -> Parameters {
        let part = |part: &Part| {
            let own = part.model.parameters(unit_wh);
            let name = name_of(&part.seasons, part.weekdays, &own.kind);
            (name, Parameter::Part(own.params))
        };
        Parameters { kind: "splits".to_owned(), params: self.parts.iter().map(part).collect() }
    }
}

impl SplitCandidate {
    /// Its parts, as `su-fw__sh_wi-wd__sh_wi-we`.
    pub fn name(&self) -> String {
        self.parts.iter().map(|(seasons, weekdays)| part_name(seasons, *weekdays)).collect::<Vec<_>>().join("__")
    }
}

/// Seasons, days of the week and the form, as `su_sh-wd-5p`.
fn name_of(seasons: &[Season], weekdays: Weekdays, kind: &str) -> String {
    format!("{}-{kind}", part_name(seasons, weekdays))
}

fn part_name(seasons: &[Season], weekdays: Weekdays) -> String {
    let seasons: Vec<&str> = seasons
        .iter()
        .map(|season| match season {
            Season::Summer => "su",
            Season::Shoulder => "sh",
            Season::Winter => "wi",
        })
        .collect();
    let weekdays = match weekdays {
        Weekdays::All => "fw",
        Weekdays::Working => "wd",
        Weekdays::Weekend => "we",
    };
    format!("{}-{weekdays}", seasons.join("_"))
}

/// The ways to put three seasons into groups, as sets of bits: summer 1, shoulder 2, winter 4.
const PARTITIONS: [&[u8]; 5] = [&[7], &[1, 6], &[2, 5], &[4, 3], &[1, 2, 4]];

fn seasons_of(bits: u8) -> Vec<Season> {
    [(1, Season::Summer), (2, Season::Shoulder), (4, Season::Winter)]
        .into_iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, season)| season)
        .collect()
}

/// A group of seasons with all days, with working days and with weekends: each a part, when it has enough days.
#[derive(Debug)]
struct Group {
    whole: Option<Part>,
    apart: Option<[Part; 2]>,
}

/// Fits every split and keeps the one with the least information criterion.
///
/// * Shape: days in order of time; those without energy or weather take no part.
/// * Units: Wh and °F.
/// * Errors: [`FitError::Empty`], [`FitError::NoUse`].
pub fn fit_splits(days: &[Day], commodity: Commodity, search: &ChangePointSearch) -> Result<SplitFit, FitError> {
    let mut days = fitted_days(days);
    if days.is_empty() {
        return Err(FitError::Empty);
    }
    if days.iter().map(|day| day.use_wh).sum::<f64>() == 0.0 {
        return Err(FitError::NoUse { days: days.len() });
    }
    // Indexed by the bits of the seasons.
    let groups: Vec<Group> = (0..8)
        .map(|bits| {
            let part = |weekdays| part(&days, seasons_of(bits), weekdays, commodity, search);
            let apart = part(Weekdays::Working).zip(part(Weekdays::Weekend)).map(|(working, weekend)| [working, weekend]);
            Group { whole: part(Weekdays::All), apart }
        })
        .collect();
    let mut candidates = Vec::with_capacity(22);
    let mut best: Option<(f64, Vec<Part>)> = None;
    for partition in PARTITIONS {
        for apart in 0..1_u8 << partition.len() {
            let chosen: Vec<(u8, bool)> = partition.iter().zip(0..).map(|(bits, index)| (*bits, apart & (1 << index) != 0)).collect();
            let parts: Option<Vec<Part>> = chosen
                .iter()
                .map(|(bits, apart)| groups[usize::from(*bits)].parts(*apart))
                .collect::<Option<Vec<_>>>()
                .map(|parts| parts.concat());
            let bic = parts.as_ref().map(|parts| {
                let sse = parts.iter().map(|part| part.sse).sum();
                information(sse, days.len(), parts.iter().map(|part| part.model.kind.quantities()).sum())
            });
            let named = chosen.iter().flat_map(|(bits, apart)| {
                let kinds: &[Weekdays] = if *apart { &[Weekdays::Working, Weekdays::Weekend] } else { &[Weekdays::All] };
                kinds.iter().map(|weekdays| (seasons_of(*bits), *weekdays))
            });
            candidates.push(SplitCandidate { parts: named.collect(), bic });
            if let (Some(parts), Some(bic)) = (parts, bic)
                && best.as_ref().is_none_or(|(least, _)| bic < *least)
            {
                best = Some((bic, parts));
            }
        }
    }
    let Some((bic, parts)) = best else { return Err(FitError::Empty) };
    for day in &mut days {
        let model = parts.iter().find(|part| part.holds(day.date)).map(|part| part.model);
        day.residual_wh = day.use_wh - model.map_or(0.0, |model| model.predict_wh(day.temperature_f));
    }
    let sum = |count: fn(&Part) -> u16| parts.iter().map(count).sum::<u16>();
    let slopes = sum(|part| part.model.kind.slopes() + 1) - 1;
    let metrics = metrics_of_days(&days, slopes, sum(|part| part.model.kind.quantities()));
    Ok(SplitFit { method: SPLIT_METHOD.to_owned(), commodity, search: *search, parts, bic, metrics, candidates, days })
}

impl Group {
    fn parts(&self, apart: bool) -> Option<Vec<Part>> {
        if apart { self.apart.clone().map(Vec::from) } else { self.whole.clone().map(|part| vec![part]) }
    }
}

/// The best model of a part; none when it has too few days, unless it is the whole year.
fn part(days: &[FittedDay], seasons: Vec<Season>, weekdays: Weekdays, commodity: Commodity, search: &ChangePointSearch) -> Option<Part> {
    let whole = seasons.len() == 3 && weekdays == Weekdays::All;
    let rows: Vec<(f64, f64)> = days
        .iter()
        .filter(|day| seasons.contains(&Season::of(day.date)) && weekdays.holds(day.date))
        .map(|day| (day.temperature_f, day.use_wh))
        .collect();
    if rows.is_empty() || (rows.len() < PART_DAYS && !whole) {
        return None;
    }
    let (candidates, best) = change_points(&rows, commodity, search);
    let best = candidates.get(best)?;
    Some(Part { seasons, weekdays, days: u32::try_from(rows.len()).unwrap_or(u32::MAX), sse: best.sse, model: best.model? })
}

#[cfg(test)]
#[path = "splits_tests.rs"]
mod tests;
