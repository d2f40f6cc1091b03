//! From a choice of points to read requests.
//!
//! A bus spends most of its time on requests rather than on registers, so neighbouring points share one read, and a read may run over
//! registers that nobody wants where that costs less bus time than a further request. A device that refuses such a read is asked by
//! [`ReadPlan::without_gaps`] from then on.
//!
//! On a serial line a late answer carries no number that would say which question it belongs to, except its length: therefore *neighbouring requests never
//! ask for the same number of registers*. The last and the first block of a plan are neighbours too, because a plan is read again and
//! again; and a plan of a single block alternates between two lengths.

mod group;
mod line;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use units::Measured;

use self::group::Rules;
pub use self::line::Line;

use crate::decode::{DecodeError, decode};
use crate::point::{Group, Point, Table};
use crate::profile::Profile;

/// Why no plan can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("profile {profile} has no point {point}")]
    UnknownPoint { profile: String, point: String },
    #[error("point {point} spans {span} registers; the limit is {max_registers}")]
    TooWide { point: String, span: u32, max_registers: u16 },
    /// The limit leaves no room for two different lengths.
    #[error("a limit of {max_registers} registers leaves no room for distinct read lengths, and stale answers could not be told apart")]
    Indistinct { max_registers: u16 },
}

/// One read request and the points in its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRequest {
    pub table: Table,
    /// First register, counted from 0.
    pub address: u16,
    /// Number of registers to ask for.
    pub count: u16,
    pub points: Vec<Point>,
}

impl BlockRequest {
    /// The words of one point out of this block's answer, as [`decode`](crate::decode) wants them.
    ///
    /// * Errors: `None` where the answer has another length than asked for, or the point lies outside the block.
    #[must_use]
    pub fn words<'a>(&self, point: &Point, answer: &'a [u16]) -> Option<Cow<'a, [u16]>> {
        if answer.len() != usize::from(self.count) || point.table != self.table {
            return None;
        }
        let at = |address: u16| address.checked_sub(self.address).map(usize::from);
        let start = at(point.address)?;
        let words = answer.get(start..start + usize::from(point.encoding.words()))?;
        let Some(factor) = point.scale_factor else { return Some(Cow::Borrowed(words)) };
        let mut scaled = words.to_vec();
        scaled.push(*answer.get(at(factor.address)?)?);
        Some(Cow::Owned(scaled))
    }

    /// Decodes every point of the block: the point, its words, and what they mean.
    ///
    /// * Errors: per point; an answer of another length than asked for makes every point a `Width` error.
    pub fn decode<'a>(
        &'a self,
        answer: &'a [u16],
    ) -> impl Iterator<Item = (&'a Point, Cow<'a, [u16]>, Result<Measured, DecodeError>)> + 'a {
        self.points.iter().map(|point| {
            let words = self.words(point, answer).unwrap_or_default();
            let measured = decode(point, &words);
            (point, words, measured)
        })
    }

    /// Whether the read runs over registers that lie between its points.
    ///
    /// A device that refuses such a read may well answer the same points by [`ReadPlan::without_gaps`].
    #[must_use]
    pub fn bridges_gap(&self) -> bool {
        let wanted = |register: u32| self.points.iter().any(|point| (point.span().0..point.span().1).contains(&register));
        let begin = self.points.iter().map(|point| point.span().0).min().unwrap_or(0);
        let end = self.points.iter().map(|point| point.span().1).max().unwrap_or(0);
        (begin..end).any(|register| !wanted(register))
    }

    fn end(&self) -> u32 {
        u32::from(self.address) + u32::from(self.count)
    }
}

/// The read requests for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPlan {
    /// In the order in which they are sent; neighbours, last and first included, differ in `count`.
    pub blocks: Vec<BlockRequest>,
    /// The same reads for every second cycle; differs from `blocks` only where there is a single block.
    alternate: Option<Vec<BlockRequest>>,
    /// The same points, where reads between them are refused; nothing where this plan bridges no gap.
    ungapped: Option<Box<ReadPlan>>,
}

impl ReadPlan {
    /// The requests of the `cycle`-th round: consecutive rounds never repeat a length at their seam.
    #[must_use]
    pub fn cycle(&self, cycle: u64) -> &[BlockRequest] {
        match &self.alternate {
            Some(alternate) if cycle % 2 == 1 => alternate,
            _ => &self.blocks,
        }
    }

    /// How many registers one round asks for.
    #[must_use]
    pub fn registers(&self) -> u32 {
        self.blocks.iter().map(|block| u32::from(block.count)).sum()
    }

    /// The bus time of one round on a line, in microseconds.
    #[must_use]
    pub fn cost_us(&self, line: &Line) -> u64 {
        self.blocks.iter().map(|block| line.cost_us(block.count)).sum()
    }

    /// The plan for a device that refused a block which [bridges a gap](BlockRequest::bridges_gap): the same points, in reads that
    /// have no unwanted registers between them. This very plan where it bridges none, or where no other one exists.
    ///
    /// A read may still be a register or two longer than its points, because neighbouring reads must differ in length.
    #[must_use]
    pub fn without_gaps(&self) -> &Self {
        self.ungapped.as_deref().unwrap_or(self)
    }
}

impl Profile {
    /// A plan for the named points with the profile's own limits, on the line of a new device; an empty choice means all points.
    ///
    /// * Errors: an unknown point; see [`plan`] for the rest.
    pub fn plan(&self, selected: &[&str]) -> Result<ReadPlan, PlanError> {
        self.plan_on(selected, self.factory_line())
    }

    /// As [`plan`](Self::plan), on the line where the device really is.
    pub fn plan_on(&self, selected: &[&str], line: Line) -> Result<ReadPlan, PlanError> {
        plan_with(selected, Rules { profile: self, max_registers: self.max_registers(), gap: self.bridge(), line })
    }

    /// The chosen points of one group, in the order of the profile; an empty choice means all points.
    #[must_use]
    pub fn group<'a>(&'a self, selected: &[&str], group: Group) -> Vec<&'a str> {
        let chosen = |point: &&Point| point.group == group && (selected.is_empty() || selected.contains(&point.id.as_str()));
        self.points().iter().filter(chosen).map(|point| point.id.as_str()).collect()
    }

    /// A plan for the chosen points of one group; nothing where the choice has no point of it.
    ///
    /// * Errors: as [`plan`](Self::plan).
    pub fn plan_group(&self, selected: &[&str], group: Group, line: Line) -> Result<Option<ReadPlan>, PlanError> {
        self.chosen(selected)?;
        let chosen = self.group(selected, group);
        if chosen.is_empty() { Ok(None) } else { self.plan_on(&chosen, line).map(Some) }
    }

    /// The named points, sorted by table and span, each once.
    fn chosen(&self, selected: &[&str]) -> Result<Vec<&Point>, PlanError> {
        let mut points = Vec::new();
        for id in selected {
            let unknown = || PlanError::UnknownPoint { profile: self.id().to_owned(), point: (*id).to_owned() };
            points.push(self.point(id).ok_or_else(unknown)?);
        }
        if selected.is_empty() {
            points.extend(self.points());
        }
        points.sort_by_key(|point| (point.table, point.span(), point.id.as_str()));
        points.dedup_by(|a, b| a.id == b.id);
        Ok(points)
    }
}

/// Groups the named points into reads that take as little bus time as the limits allow.
///
/// * Shape: `selected` are point ids, an empty slice means all; `max_registers` per read; `gap` is how many unwanted registers in a
///   row one read may run over, at most: it does so only where that is cheaper than a further request.
/// * Errors: an unknown point, a point wider than the limit, a limit that leaves no room for distinct lengths.
pub fn plan(profile: &Profile, selected: &[&str], max_registers: u16, gap: u16) -> Result<ReadPlan, PlanError> {
    plan_with(selected, Rules { profile, max_registers, gap, line: profile.factory_line() })
}

fn plan_with(selected: &[&str], rules: Rules<'_>) -> Result<ReadPlan, PlanError> {
    let points = rules.profile.chosen(selected)?;
    let width = |point: &Point| point.span().1 - point.span().0;
    let widest = points.iter().copied().max_by_key(|point| width(point));
    if let Some(point) = widest.filter(|point| width(point) > u32::from(rules.max_registers)) {
        return Err(PlanError::TooWide { point: point.id.clone(), span: width(point), max_registers: rules.max_registers });
    }
    let mut plan = cheapest(&points, widest.map_or(0, width), rules)?;
    if plan.blocks.iter().any(BlockRequest::bridges_gap) {
        plan.ungapped = cheapest(&points, widest.map_or(0, width), Rules { gap: 0, ..rules }).ok().map(Box::new);
    }
    Ok(plan)
}

/// The cheapest plan whose lengths can be told apart.
fn cheapest(points: &[&Point], widest: u32, rules: Rules<'_>) -> Result<ReadPlan, PlanError> {
    // Full blocks cannot be widened; smaller ones leave the room that three different lengths need.
    let limits = (0..=2).map(|reserve| rules.max_registers.saturating_sub(reserve * rules.profile.align()));
    let grouped = limits.filter(|limit| u32::from(*limit) >= widest).map(|limit| rules.cheapest(points, limit));
    // One by one is what widening must not make dearer.
    let one_by_one = points.iter().map(|point| group::block(&[point])).collect();
    let plans = grouped.chain([one_by_one]).filter_map(|blocks| sendable(blocks, &rules));
    plans.min_by_key(|plan| plan.cost_us(&rules.line)).ok_or(PlanError::Indistinct { max_registers: rules.max_registers })
}

/// The plan of these blocks, with lengths that can be told apart.
fn sendable(blocks: Vec<BlockRequest>, rules: &Rules<'_>) -> Option<ReadPlan> {
    if let [only] = blocks.as_slice() {
        let alternate = Some(vec![rules.widened(only)?]);
        return Some(ReadPlan { blocks, alternate, ungapped: None });
    }
    Some(ReadPlan { blocks: rules.distinct(blocks)?, alternate: None, ungapped: None })
}
