//! Where a key is written.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use crate::Fault;

/// The line of every key of a file, by its path.
#[derive(Debug, Default)]
pub(crate) struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// Of a text that is TOML.
    pub(super) fn new(text: &str) -> Self {
        let mut lines = BTreeMap::new();
        if let Ok(table) = DeTable::parse(text) {
            note_table(text, "", table.get_ref(), &mut lines);
        }
        Self(lines)
    }

    /// The line of a key, or of the nearest table around it that is written.
    pub(crate) fn of(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some(&line) = self.0.get(key) {
                return Some(line);
            }
            key = key.get(..key.rfind(['.', '['])?)?;
        }
    }
}

fn note_table(text: &str, path: &str, table: &DeTable<'_>, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table.iter() {
        let name = key.get_ref();
        let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        lines.insert(path.clone(), line_at(text, key.span().start));
        note_value(text, &path, value.get_ref(), lines);
    }
}

fn note_value(text: &str, path: &str, value: &DeValue<'_>, lines: &mut BTreeMap<String, usize>) {
    match value {
        DeValue::Table(table) => note_table(text, path, table, lines),
        DeValue::Array(list) => {
            for (index, element) in list.iter().enumerate() {
                let path = format!("{path}[{index}]");
                lines.insert(path.clone(), line_at(text, element.span().start));
                note_value(text, &path, element.get_ref(), lines);
            }
        }
        _ => {}
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

/// The fault of a text that is not TOML.
pub(super) fn syntax_fault(text: &str, err: &toml::de::Error) -> Fault {
    let message = err.message().lines().next().unwrap_or("this is not TOML");
    match err.span() {
        None => Fault::of_file(message),
        Some(span) => {
            let line = line_at(text, span.start);
            let written = text.lines().nth(line - 1).unwrap_or_default().trim();
            let fault = Fault::of_file(format_args!("line {line} is not TOML: {message}")).on_line(Some(line));
            if written.is_empty() { fault } else { fault.help(format_args!("look at `{written}`")) }
        }
    }
}
