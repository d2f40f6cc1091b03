//! What no source file has.

use std::{
    io::{self, Write},
    path::Path,
};

use crate::house::{Source, has_word, root, sources};

/// Beyond this a file is asked which noun wants to leave it.
const LONG: usize = 500;

fn all() -> Vec<Source> {
    sources(&root())
}

#[test]
fn no_room_without_a_name() {
    for source in all() {
        let path = Path::new(&source.path);
        let names = path.strip_prefix(root()).unwrap().components().filter_map(|part| Path::new(part.as_os_str()).file_stem());
        for name in names {
            let nameless = ["utils", "util", "common", "helpers", "helper", "misc", "types"].iter().any(|word| name == *word);
            assert!(!nameless, "{}: name the module after what is in it", source.name());
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let marks = [["to", "do!"].concat(), ["unimpl", "emented!"].concat(), ["#[ig", "nore"].concat()];
    let mut wrong = Vec::new();
    for source in all() {
        for (index, line) in source.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(mark) = marks.iter().find(|mark| code.contains(mark.as_str())) {
                wrong.push(format!("{}:{}: {mark}: build it, or leave it out", source.name(), index + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn lints_are_silenced_with_a_reason() {
    let allow = ["#[al", "low("].concat();
    let allow_file = ["#![al", "low("].concat();
    let mut wrong = Vec::new();
    for source in all() {
        for (number, line) in source.code() {
            if line.contains(&allow) || line.contains(&allow_file) {
                wrong.push(format!("{}:{number}: use #[expect(lint, reason = \"…\")], or mend the cause", source.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn devices_have_unit_ids() {
    let word = ["sla", "ve"].concat();
    let callers = ["gateway/src/modbus", "crates/simulator"];
    for source in all() {
        // The Modbus crate's own interface uses the word, where we call it.
        if callers.iter().any(|folder| source.name().starts_with(folder)) {
            continue;
        }
        for (number, line) in source.code() {
            // In quotes it may be what somebody else wrote.
            let named = line.split('"').step_by(2).any(|code| has_word(&code.to_lowercase(), &word));
            assert!(!named, "{}:{number}: say unit id", source.name());
        }
    }
}

/// Listed, not failed: a long file is a question.
#[test]
fn long_files_are_listed() {
    let mut stderr = io::stderr().lock();
    for source in all() {
        let lines = source.text.lines().count();
        if lines > LONG {
            writeln!(stderr, "{}: {lines} lines; which noun wants to leave?", source.name()).unwrap();
        }
    }
}
