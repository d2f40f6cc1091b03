//! Crates that are told everything and ask nothing: no tokio, no clock, no files, no environment, no sockets.

use crate::house::{has_word, members, sources};

const PURE: [&str; 10] = ["ids", "units", "money", "wire", "devices", "settlement", "ledger", "calculator", "evidence", "report"];

/// What asks the machine: names, and modules of std. `evidence` reads and writes its one file in one module.
const NAMES: [&str; 4] = ["tokio", "SystemTime", "Instant", "thread_rng"];
const MODULES: [&str; 5] = ["fs::", "env::", "net::", "process::", "thread::"];
const FILE_MODULE: &str = "crates/evidence/src/bundle.rs";

/// What a line asks the machine, if it does.
fn asks(line: &str) -> Option<&'static str> {
    let starts_a_name = |at: usize| !line.get(..at).and_then(|text| text.chars().next_back()).is_some_and(char::is_alphanumeric);
    let names = NAMES.into_iter().find(|name| has_word(line, name));
    names
        .or_else(|| MODULES.into_iter().find(|module| line.match_indices(module).any(|(at, _)| starts_a_name(at))))
        .or_else(|| line.contains("::now()").then_some("now()"))
}

#[test]
fn what_asks_is_seen() {
    for line in ["use std::fs::File;", "    let text = fs::read(path)?;", "tokio::spawn(task)", "Timestamp::now()", "std::env::var(name)"] {
        assert!(asks(line).is_some(), "{line}");
    }
    for line in ["let offs::x = 1;", "use std::fmt;", "instantaneous(now)", "env!(\"CARGO_MANIFEST_DIR\")"] {
        assert_eq!(asks(line), None, "{line}");
    }
}

#[test]
fn pure_crates_ask_the_machine_nothing() {
    let members = members();
    let mut wrong = Vec::new();
    for name in PURE {
        for source in sources(&members[name].folder.join("src")) {
            for (number, line) in source.code() {
                if let Some(word) = asks(line)
                    && !(word == "fs::" && source.name() == FILE_MODULE)
                {
                    wrong.push(format!("{}:{number}: {word} in a pure crate: let the caller pass what it gives", source.name()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn pure_crates_depend_on_nothing_that_asks() {
    const ASKING: [&str; 12] =
        ["tokio", "tokio-util", "mio", "reqwest", "rumqttc", "sqlx", "polars", "parquet", "rustix", "rand", "getrandom", "tempfile"];
    let members = members();
    for name in PURE {
        for foreign in ASKING {
            let depends = members[name].foreign.contains(foreign);
            assert!(!depends, "{name} depends on {foreign}, which reaches the machine: take it out, or into the room that calls {name}");
        }
    }
}

#[test]
fn no_float_touches_money() {
    let members = members();
    let mut wrong = Vec::new();
    for name in ["money", "settlement", "ledger"] {
        for source in sources(&members[name].folder.join("src")) {
            for (number, line) in source.code() {
                if ["f32", "f64"].iter().any(|float| has_word(line, float)) {
                    wrong.push(format!("{}:{number}: a float near money: use minor units, Decimal or parts per million", source.name()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
