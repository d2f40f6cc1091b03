//! Which points share a read, and how long the reads are.

use super::{BlockRequest, Line};
use crate::point::Point;
use crate::profile::Profile;

/// What a grouping must respect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub(super) profile: &'a Profile,
    pub(super) max_registers: u16,
    /// Registers of no chosen point that a read may run over in one go.
    pub(super) gap: u16,
    pub(super) line: Line,
}

impl Rules<'_> {
    /// The cheapest way to read points that are sorted by table and span.
    ///
    /// Every cut between two points in their order is weighed, so that there is no cheaper grouping under these rules.
    pub(super) fn cheapest(&self, points: &[&Point], limit: u16) -> Vec<BlockRequest> {
        // For the first n points: the least cost, and where the last block of it begins.
        let mut best: Vec<(u64, usize)> = vec![(0, 0)];
        for end in 1..=points.len() {
            let mut found = (u64::MAX, end - 1);
            for begin in (0..end).rev() {
                let Some(count) = self.registers_of(&points[begin..end], limit) else {
                    // Points that begin even earlier need even more, unless this one alone is the reason.
                    if begin + 1 < end {
                        break;
                    }
                    continue;
                };
                let cost = best[begin].0.saturating_add(self.line.cost_us(count));
                if cost < found.0 {
                    found = (cost, begin);
                }
            }
            best.push(found);
        }
        let mut blocks = Vec::new();
        let mut end = points.len();
        while end > 0 {
            let begin = best[end].1;
            blocks.push(block(&points[begin..end]));
            end = begin;
        }
        blocks.reverse();
        blocks
    }

    /// How many registers one read of these points takes; `None` where one read must not have them together.
    fn registers_of(&self, points: &[&Point], limit: u16) -> Option<u16> {
        let (first, last) = (points.first()?, points.last()?);
        let begin = first.span().0;
        let mut end = first.span().1;
        for point in points.get(1..)? {
            let (next, until) = point.span();
            if next > end + u32::from(self.gap) {
                return None;
            }
            end = end.max(until);
        }
        let count = u16::try_from(end - begin).ok().filter(|count| *count <= limit)?;
        let apart = first.table != last.table || (points.len() > 1 && !self.is_free(begin, end));
        (!apart).then_some(count)
    }

    /// Whether no register in the range must be left alone.
    fn is_free(&self, from: u32, to: u32) -> bool {
        !self.profile.keep_out().iter().any(|&out| (from..to).contains(&u32::from(out)))
    }

    /// Widens blocks until neighbours differ in length, first and last included.
    pub(super) fn distinct(&self, mut blocks: Vec<BlockRequest>) -> Option<Vec<BlockRequest>> {
        for index in 1..blocks.len() {
            let before = blocks[index - 1].count;
            let first = if index + 1 == blocks.len() { blocks[0].count } else { before };
            while blocks[index].count == before || blocks[index].count == first {
                blocks[index] = self.widened(&blocks[index])?;
            }
        }
        Some(blocks)
    }

    /// The block with a step more registers, behind it or before it; rather over registers that the device has than over others.
    pub(super) fn widened(&self, block: &BlockRequest) -> Option<BlockRequest> {
        let align = self.profile.align();
        let count = block.count.checked_add(align).filter(|count| *count <= self.max_registers)?;
        let (first, end) = (u32::from(block.address), block.end());
        let behind = (end + u32::from(align) <= 0x1_0000).then_some((block.address, end, end + u32::from(align)));
        let before = block.address.checked_sub(align).map(|address| (address, u32::from(address), first));
        let free = |(_, from, to): &(u16, u32, u32)| self.is_free(*from, *to);
        let known = |(_, from, to): &(u16, u32, u32)| (*from..*to).all(|register| self.is_known(block, register));
        let sides: Vec<(u16, u32, u32)> = behind.into_iter().chain(before).filter(free).collect();
        let (address, ..) = sides.iter().find(|side| known(side)).or(sides.first())?;
        Some(BlockRequest { address: *address, count, ..block.clone() })
    }

    /// Whether some point of the profile lies there.
    fn is_known(&self, block: &BlockRequest, register: u32) -> bool {
        self.profile.points().iter().any(|point| point.table == block.table && point.has_register(register))
    }
}

/// One read of points that are sorted by their span.
pub(super) fn block(points: &[&Point]) -> BlockRequest {
    let table = points.first().map_or(crate::Table::Input, |point| point.table);
    let begin = points.iter().map(|point| point.span().0).min().unwrap_or(0);
    let end = points.iter().map(|point| point.span().1).max().unwrap_or(0);
    BlockRequest {
        table,
        address: u16::try_from(begin).unwrap_or(u16::MAX),
        count: u16::try_from(end - begin).unwrap_or(u16::MAX),
        points: points.iter().map(|point| (*point).clone()).collect(),
    }
}
