//! Strict reading that does not stop at the first fault.
//!
//! serde stops at the first key it cannot use. So the file is read again with that key cut out, until it reads or
//! nothing is left to cut: every cut is a fault. A cut that makes a required key go missing takes the table around it
//! along, without a second fault for the same cause.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use crate::{Faults, load::Hint};

mod lines;
mod wording;

pub(crate) use lines::Lines;
use wording::Complaint;

/// What came of reading a text.
pub(crate) struct Reading<Raw> {
    /// The raw configuration, when what is left after the cuts says what the author meant: unknown keys may be cut,
    /// values may not.
    pub(crate) raw: Option<Raw>,
    pub(crate) lines: Lines,
}

/// A step from a table or list to what is in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

/// Reads `text` as strictly as `Raw` asks, noting every fault.
pub(crate) fn read<Raw: DeserializeOwned>(text: &str, hints: &[Hint<'_>], faults: &mut Faults) -> Reading<Raw> {
    let mut rest = match text.parse::<Table>() {
        Ok(table) => Value::Table(table),
        Err(err) => {
            faults.add(lines::syntax_fault(text, &err));
            return Reading { raw: None, lines: Lines::default() };
        }
    };
    let lines = Lines::new(text);
    let mut cuts = Cuts::default();
    let mut only_unknown_keys = true;
    loop {
        let err = match serde_path_to_error::deserialize::<_, Raw>(rest.clone()) {
            Ok(raw) => return Reading { raw: only_unknown_keys.then_some(raw), lines },
            Err(err) => err,
        };
        let mut at = steps(err.path());
        let complaint = Complaint::of(err.inner().message(), value_at(&rest, &at));
        if let Complaint::Unknown { key, .. } | Complaint::Missing { key } = &complaint
            && at.last() != Some(&Step::Key(key.clone()))
        {
            at.push(Step::Key(key.clone()));
        }
        let told = cuts.original(&at);
        let caused_by_a_cut = matches!(complaint, Complaint::Missing { .. }) && cuts.has(&told);
        if !caused_by_a_cut {
            let key = written(&told);
            let line = lines.of(&key);
            faults.add(complaint.fault(&key, hints).on_line(line));
        }
        let is_unknown = matches!(complaint, Complaint::Unknown { .. });
        only_unknown_keys &= is_unknown;
        if matches!(complaint, Complaint::Missing { .. }) {
            at.pop();
        }
        // A value that cannot be cut out on its own takes along what holds it.
        while !cuts.cut(&mut rest, &at) {
            if at.pop().is_none() {
                return Reading { raw: None, lines };
            }
        }
    }
}

/// Which keys were cut out, by their places in the file as written.
#[derive(Default)]
struct Cuts {
    keys: BTreeSet<Vec<Step>>,
    /// Per list, the positions that are gone, ascending.
    positions: BTreeMap<Vec<Step>, BTreeSet<usize>>,
}

impl Cuts {
    fn has(&self, original: &[Step]) -> bool {
        self.keys.contains(original)
    }

    /// The place in the file as written, of a place in what is left.
    fn original(&self, at: &[Step]) -> Vec<Step> {
        let mut told = Vec::with_capacity(at.len());
        for step in at {
            let step = match step {
                Step::Key(_) => step.clone(),
                Step::Index(left) => {
                    let gone = self.positions.get(&told);
                    let mut index = *left;
                    for &position in gone.into_iter().flatten() {
                        if position <= index {
                            index += 1;
                        }
                    }
                    Step::Index(index)
                }
            };
            told.push(step);
        }
        told
    }

    /// Cuts out what is at a place; false when nothing is there, or when it is the whole file.
    fn cut(&mut self, rest: &mut Value, at: &[Step]) -> bool {
        let Some((last, parents)) = at.split_last() else { return false };
        let original = self.original(at);
        let Some(parent) = value_at_mut(rest, parents) else { return false };
        match (parent, last) {
            (Value::Table(table), Step::Key(key)) => {
                if table.remove(key).is_none() {
                    return false;
                }
            }
            (Value::Array(list), Step::Index(index)) if *index < list.len() => {
                list.remove(*index);
                if let Some((Step::Index(position), list)) = original.split_last() {
                    self.positions.entry(list.to_vec()).or_default().insert(*position);
                }
            }
            _ => return false,
        }
        self.keys.insert(original);
        true
    }
}

fn steps(path: &serde_path_to_error::Path) -> Vec<Step> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Index(*index)),
            // An enum's variant is written as the only key of a table; a unit variant as a value, where there is no step.
            Segment::Enum { variant } => Some(Step::Key(variant.clone())),
            Segment::Unknown => None,
        })
        .collect()
}

fn value_at<'v>(root: &'v Value, at: &[Step]) -> Option<&'v Value> {
    at.iter().try_fold(root, |value, step| match step {
        Step::Key(key) => value.get(key.as_str()),
        Step::Index(index) => value.get(*index),
    })
}

fn value_at_mut<'v>(root: &'v mut Value, at: &[Step]) -> Option<&'v mut Value> {
    at.iter().try_fold(root, |value, step| match step {
        Step::Key(key) => value.get_mut(key.as_str()),
        Step::Index(index) => value.get_mut(*index),
    })
}

/// `meters[1].unit_id`
fn written(at: &[Step]) -> String {
    let mut text = String::new();
    for step in at {
        match step {
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
