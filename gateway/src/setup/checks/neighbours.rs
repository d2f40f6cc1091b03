//! What several devices of one facility say about one another.

use std::collections::BTreeSet;

use super::{
    super::{
        Finding,
        reader::{Reads, values},
    },
    Evidence,
};

/// One grid has one frequency; meters differ by their resolution and by the moment.
const HERTZ: f64 = 0.15;
/// Points whose equality cannot be chance.
const EQUAL_MIN: usize = 5;

/// One number everywhere.
pub(super) fn same_everywhere(evidence: &Evidence<'_>) -> Option<Finding> {
    let last = evidence.last();
    let first = last.values().next()?;
    let all_same = last.len() >= EQUAL_MIN && last.values().all(|value| (value - first).abs() < 1e-9);
    all_same.then(|| {
        let what = format!("all {} points have the value {first}: these are not readings", last.len());
        Finding::red(
            "identical",
            what,
            "a converter or the meter answers with a constant: restart it, then see that its firmware is current",
        )
    })
}

/// One grid, one frequency.
pub(super) fn frequency(evidence: &Evidence<'_>) -> Option<Finding> {
    let mine = evidence.last().get("f").copied()?;
    let mut others: Vec<f64> = evidence.neighbours.iter().filter_map(|(_, reads)| values(reads).get("f").copied()).collect();
    if others.is_empty() {
        return None;
    }
    others.sort_by(f64::total_cmp);
    let median = others.get(others.len() / 2).copied()?;
    Some(if (mine - median).abs() <= HERTZ {
        Finding::green("frequency", format!("{mine:.2} Hz, as the {} other meters say", others.len()))
    } else {
        let what = format!("{mine:.2} Hz, while the other meters of this facility say {median:.2} Hz");
        Finding::red("frequency", what, "one grid has one frequency: see whether map and scale are right, here and there")
    })
}

/// The readings of another unit under this one's address.
pub(super) fn another_unit(evidence: &Evidence<'_>) -> Option<Finding> {
    let mine = &evidence.samples.last()?.reads;
    if evidence.neighbours.is_empty() {
        return None;
    }
    let twin = evidence.neighbours.iter().find(|(_, theirs)| is_twin(mine, theirs));
    Some(match twin {
        Some((name, _)) => Finding::red(
            "another-unit",
            format!("every register is the same as of `{name}`: these are the readings of one meter under two names"),
            "compare unit ids and serial numbers; a converter with a memory may answer for the wrong unit",
        ),
        None => Finding::green("another-unit", "no other device shows the same readings"),
    })
}

fn is_twin(mine: &Reads, theirs: &Reads) -> bool {
    let common: Vec<&String> = mine.keys().filter(|id| theirs.contains_key(*id) && !is_setting(id)).collect();
    let differing = |id: &&&String| mine.get(**id) != theirs.get(**id);
    let telling: BTreeSet<_> =
        common.iter().filter_map(|id| mine.get(*id)?.measured).filter(|measured| measured.raw != 0).map(|measured| measured.raw).collect();
    telling.len() >= EQUAL_MIN && !common.iter().any(|id| differing(&id))
}

/// What meters of one make have in common.
fn is_setting(id: &str) -> bool {
    matches!(id, "clock" | "f") || id.starts_with("ct_")
}
