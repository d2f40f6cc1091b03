//! From a choice of points to read requests.
//!
//! A bus spends most of its time on requests rather than on registers, so neighbouring points share one read. On a serial line a late
//! answer carries no number that would say which question it belongs to, except its length: therefore *neighbouring requests never
//! ask for the same number of registers*. The last and the first block of a plan are neighbours too, because a plan is read again and
//! again; and a plan of a single block alternates between two lengths.

use units::Measured;

use crate::decode::{DecodeError, decode};
use crate::point::{Point, Table};
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
    pub fn words(&self, point: &Point, answer: &[u16]) -> Option<Vec<u16>> {
        if answer.len() != usize::from(self.count) || point.table != self.table {
            return None;
        }
        let at = |address: u16| address.checked_sub(self.address).map(usize::from);
        let start = at(point.address)?;
        let mut words = answer.get(start..start + usize::from(point.encoding.words()))?.to_vec();
        if let Some(factor) = point.scale_factor {
            words.push(*answer.get(at(factor.address)?)?);
        }
        Some(words)
    }

    /// Decodes every point of the block: the point, its words, and what they mean.
    ///
    /// * Errors: per point; an answer of another length than asked for makes every point a `Width` error.
    pub fn decode<'a>(&'a self, answer: &'a [u16]) -> impl Iterator<Item = (&'a Point, Vec<u16>, Result<Measured, DecodeError>)> + 'a {
        self.points.iter().map(|point| {
            let words = self.words(point, answer).unwrap_or_default();
            let measured = decode(point, &words);
            (point, words, measured)
        })
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
}

impl Profile {
    /// A plan for the named points with the profile's own limits; an empty choice means all points.
    ///
    /// * Errors: an unknown point; see [`plan`] for the rest.
    pub fn plan(&self, selected: &[&str]) -> Result<ReadPlan, PlanError> {
        plan(self, selected, self.max_registers(), self.bridge())
    }
}

/// Groups the named points into as few reads as the limits allow.
///
/// * Shape: `selected` are point ids, an empty slice means all; `max_registers` per read; `gap` is how many unwanted registers one
///   read may run over.
/// * Errors: an unknown point, a point wider than the limit, a limit that leaves no room for distinct lengths.
pub fn plan(profile: &Profile, selected: &[&str], max_registers: u16, gap: u16) -> Result<ReadPlan, PlanError> {
    let mut points = Vec::new();
    for id in selected {
        let point = profile.point(id);
        let unknown = || PlanError::UnknownPoint { profile: profile.id().to_owned(), point: (*id).to_owned() };
        points.push(point.ok_or_else(unknown)?);
    }
    if selected.is_empty() {
        points.extend(profile.points());
    }
    points.sort_by_key(|point| (point.table, point.span(), point.id.as_str()));
    points.dedup_by(|a, b| a.id == b.id);
    let widest = points.iter().max_by_key(|point| point.span().1 - point.span().0);
    if let Some(point) = widest.filter(|point| point.span().1 - point.span().0 > u32::from(max_registers)) {
        return Err(PlanError::TooWide { point: point.id.clone(), span: point.span().1 - point.span().0, max_registers });
    }
    let widest = widest.map_or(0, |point| point.span().1 - point.span().0);
    let align = profile.align();
    // Full blocks cannot be widened; smaller ones leave the room that three different lengths need.
    for reserve in 0..=2 {
        let limit = max_registers.saturating_sub(reserve * align);
        if u32::from(limit) < widest {
            break;
        }
        let blocks = group(&points, limit, gap, profile.keep_out());
        if let [only] = blocks.as_slice() {
            if let Some(wider) = widened(only, align, max_registers, profile.keep_out()) {
                return Ok(ReadPlan { blocks, alternate: Some(vec![wider]) });
            }
        } else if let Some(blocks) = distinct(blocks, max_registers, align, profile.keep_out()) {
            return Ok(ReadPlan { blocks, alternate: None });
        }
    }
    Err(PlanError::Indistinct { max_registers })
}

/// Walks the sorted points and starts a new block where the table, the limit, the gap or a forbidden register demands it.
fn group(points: &[&Point], limit: u16, gap: u16, keep_out: &[u16]) -> Vec<BlockRequest> {
    let mut blocks: Vec<BlockRequest> = Vec::new();
    for &point in points {
        let (first, end) = point.span();
        if let Some(last) = blocks.last_mut() {
            let reaches = end.max(last.end()) - u32::from(last.address);
            let near = first <= last.end() + u32::from(gap);
            let crosses = keep_out.iter().any(|&out| (last.end()..first).contains(&u32::from(out)));
            if last.table == point.table && near && !crosses && reaches <= u32::from(limit) {
                last.count = u16::try_from(reaches).unwrap_or(limit);
                last.points.push(point.clone());
                continue;
            }
        }
        let (address, count) = (u16::try_from(first).unwrap_or(u16::MAX), u16::try_from(end - first).unwrap_or(limit));
        blocks.push(BlockRequest { table: point.table, address, count, points: vec![point.clone()] });
    }
    blocks
}

/// Widens blocks until neighbours differ in length, first and last included.
fn distinct(mut blocks: Vec<BlockRequest>, max_registers: u16, align: u16, keep_out: &[u16]) -> Option<Vec<BlockRequest>> {
    for index in 1..blocks.len() {
        let before = blocks[index - 1].count;
        let first = if index + 1 == blocks.len() { blocks[0].count } else { before };
        while blocks[index].count == before || blocks[index].count == first {
            blocks[index] = widened(&blocks[index], align, max_registers, keep_out)?;
        }
    }
    Some(blocks)
}

/// The block with `align` more registers, behind it or, where that is not possible, before it.
fn widened(block: &BlockRequest, align: u16, max_registers: u16, keep_out: &[u16]) -> Option<BlockRequest> {
    let count = block.count.checked_add(align).filter(|count| *count <= max_registers)?;
    let free = |from: u32, to: u32| !keep_out.iter().any(|&out| (from..to).contains(&u32::from(out)));
    let (first, end) = (u32::from(block.address), block.end());
    let after = end + u32::from(align);
    if after <= 0x1_0000 && free(end, after) {
        return Some(BlockRequest { count, ..block.clone() });
    }
    let address = block.address.checked_sub(align)?;
    free(u32::from(address), first).then(|| BlockRequest { address, count, ..block.clone() })
}
