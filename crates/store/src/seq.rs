//! Which sequence numbers have been received.

use std::collections::BTreeMap;

/// A set of sequence numbers, kept as closed ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeqSet {
    ranges: BTreeMap<u64, u64>,
}

/// What a gateway is told: everything up to `contiguous_seq` is durable, `holes` are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AckState {
    /// The largest `n` for which 1 to `n` are all durable; 0 when 1 is missing.
    pub contiguous_seq: u64,
    /// Missing ranges (first and last) between `contiguous_seq` and the highest durable number, lowest first,
    /// at most [`AckState::HOLES_MAX`] of them.
    pub holes: Vec<(u64, u64)>,
    /// The highest durable number.
    pub highest_seq: u64,
}

impl AckState {
    /// More are told when these are filled.
    pub const HOLES_MAX: usize = 64;
}

impl SeqSet {
    pub(crate) fn contains(&self, seq: u64) -> bool {
        self.ranges.range(..=seq).next_back().is_some_and(|(_, last)| *last >= seq)
    }

    /// Adds a range that is disjoint from the set, or lies in it.
    pub(crate) fn insert(&mut self, first: u64, last: u64) {
        if self.contains(first) {
            return;
        }
        let (mut first, mut last) = (first, last);
        if let Some((&before, &before_last)) = self.ranges.range(..first).next_back()
            && before_last.checked_add(1) == Some(first)
        {
            first = before;
        }
        if let Some(after) = last.checked_add(1)
            && let Some(after_last) = self.ranges.remove(&after)
        {
            last = after_last;
        }
        self.ranges.insert(first, last);
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(first, last)| (*first, *last))
    }

    pub(crate) fn ack_state(&self) -> AckState {
        let mut state = AckState::default();
        let mut expected = 1;
        for (first, last) in self.ranges() {
            if first > expected {
                if state.holes.len() < AckState::HOLES_MAX {
                    state.holes.push((expected, first - 1));
                }
            } else {
                state.contiguous_seq = last;
            }
            expected = last.saturating_add(1);
            state.highest_seq = last;
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(numbers in proptest::collection::vec(1_u64..60, 0..80)) {
            let mut set = SeqSet::default();
            let mut plain = BTreeSet::new();
            for seq in numbers {
                prop_assert_eq!(set.contains(seq), plain.contains(&seq));
                set.insert(seq, seq);
                plain.insert(seq);
            }
            let state = set.ack_state();
            let highest = plain.last().copied().unwrap_or(0);
            prop_assert_eq!(state.highest_seq, highest);
            prop_assert_eq!(state.contiguous_seq, (1..).take_while(|seq| plain.contains(seq)).last().unwrap_or(0));
            let missing: Vec<u64> = (1..=highest).filter(|seq| !plain.contains(seq)).collect();
            let holes: Vec<u64> = state.holes.iter().flat_map(|(first, last)| *first..=*last).collect();
            prop_assert_eq!(holes, missing);
        }
    }
}
