//! serde's complaints in the words of a person who edits the file.

use toml::Value;

use crate::{Fault, load::Hint};

/// What serde could not do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// There is no such key.
    Unknown { key: String, known: Vec<String> },
    /// A required key is absent.
    Missing { key: String },
    /// A value is of the wrong type or out of range.
    Refused { message: String, allowed: Option<String> },
}

impl Complaint {
    /// Reads serde's message; `found` is the value it is about, when there is one.
    pub(super) fn of(message: &str, found: Option<&Value>) -> Self {
        let message = message.trim();
        if let Some(rest) = message.strip_prefix("unknown field ") {
            let mut quoted = quoted(rest);
            if !quoted.is_empty() {
                let key = quoted.remove(0);
                return Self::Unknown { key, known: quoted };
            }
        }
        if let Some(rest) = message.strip_prefix("missing field ")
            && let Some(key) = quoted(rest).into_iter().next()
        {
            return Self::Missing { key };
        }
        if let Some(rest) = message.strip_prefix("unknown variant ") {
            let mut quoted = quoted(rest);
            if !quoted.is_empty() {
                let found = quoted.remove(0);
                let allowed = (!quoted.is_empty()).then(|| quoted.join(", "));
                return Self::Refused { message: format!("\"{found}\" is not a choice here"), allowed };
            }
        }
        for prefix in ["invalid type: ", "invalid value: "] {
            if let Some(rest) = message.strip_prefix(prefix)
                && let Some((_, expected)) = rest.rsplit_once(", expected ")
            {
                let (noun, allowed) = noun_of(expected);
                // A text has no range.
                let noun = if noun == WHOLE && !found.is_some_and(Value::is_integer) { "a whole number" } else { noun };
                let found = found.map_or_else(|| "this".to_owned(), shown);
                return Self::Refused { message: format!("{found} is not {noun}"), allowed: allowed.map(str::to_owned) };
            }
        }
        Self::Refused { message: message.to_owned(), allowed: None }
    }

    pub(super) fn fault(&self, key: &str, hints: &[Hint<'_>]) -> Fault {
        match self {
            Self::Missing { .. } => Fault::at(key, "missing").help("add the key; it has no default"),
            Self::Refused { message, allowed } => {
                let fault = Fault::at(key, message);
                match allowed {
                    Some(allowed) => fault.allowed(allowed),
                    None => fault,
                }
            }
            Self::Unknown { key: name, known } => {
                let fault = Fault::at(key, "unknown key");
                let place = without_positions(key);
                if let Some((_, help)) = hints.iter().find(|(path, _)| *path == place) {
                    return fault.help(help);
                }
                let fault = if known.is_empty() { fault } else { fault.allowed(known.join(", ")) };
                match nearest(name, known) {
                    Some(meant) => fault.help(format_args!("did you mean `{meant}`?")),
                    None => fault.help("remove the line"),
                }
            }
        }
    }
}

/// The texts between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `meters[1].unit_id` to `meters[].unit_id`.
fn without_positions(key: &str) -> String {
    let mut inside = false;
    key.chars()
        .filter(|&c| {
            inside = (inside && c != ']') || c == '[';
            c == '[' || !inside
        })
        .collect()
}

/// A value as it is written, tables and lists by their names, long texts cut.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 40;
    match value {
        Value::Table(_) => "a table".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.chars().count() > LONGEST => {
            format!("\"{}…\"", text.chars().take(LONGEST).collect::<String>())
        }
        other => other.to_string(),
    }
}

const WHOLE: &str = "a whole number of this range";

/// What serde expected, as a noun and, where it has bounds, what is allowed.
fn noun_of(expected: &str) -> (&str, Option<&'static str>) {
    match expected {
        "u8" => (WHOLE, Some("0–255")),
        "u16" => (WHOLE, Some("0–65535")),
        "u32" => (WHOLE, Some("0–4294967295")),
        "i8" => (WHOLE, Some("-128–127")),
        "i16" => (WHOLE, Some("-32768–32767")),
        "i32" => (WHOLE, Some("-2147483648–2147483647")),
        "u64" | "u128" | "usize" => ("a whole number", Some("0 or more")),
        "i64" | "i128" | "isize" => ("a whole number", None),
        "f32" | "f64" => ("a number", None),
        "a boolean" => ("a truth value", Some("true, false")),
        "a string" | "string" | "str" | "a borrowed string" => ("a string", Some("text in quotes")),
        "path string" => ("a path", Some("text in quotes")),
        "a sequence" => ("a list", Some("[ … ]")),
        "a map" => ("a table", None),
        other if other.starts_with("struct ") => ("a table", None),
        other => (other, None),
    }
}

/// The known key that a mistyped one most likely stands for.
fn nearest<'k>(typed: &str, known: &'k [String]) -> Option<&'k str> {
    const FARTHEST: usize = 2;
    known
        .iter()
        .map(|key| (distance(typed, key), key.as_str()))
        .filter(|&(distance, key)| distance <= FARTHEST && distance < key.chars().count())
        .min()
        .map(|(_, key)| key)
}

/// Insertions, deletions and replacements between two words.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        for (cell, r) in row.iter_mut().skip(1).zip(&right) {
            let here = (diagonal + usize::from(l != *r)).min(previous + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = here;
            previous = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_the_textbook_one() {
        for (left, right, expected) in
            [("", "", 0), ("a", "", 1), ("", "abc", 3), ("kitten", "sitting", 3), ("unit", "unit_id", 3), ("hsot", "host", 2)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn positions_are_left_out_of_hints() {
        assert_eq!(without_positions("meters[12].points[3].id"), "meters[].points[].id");
        assert_eq!(without_positions("uplink.qos"), "uplink.qos");
    }
}
