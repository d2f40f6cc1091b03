//! Which room may know which.

use std::collections::BTreeSet;

use crate::house::members;

/// Every member, and the members it may depend on when it is built for use. `*` is all of them.
const ARROWS: [(&str, &[&str]); 25] = [
    ("ids", &[]),
    ("units", &[]),
    ("money", &[]),
    ("config", &[]),
    ("daemon", &[]),
    ("broker", &[]),
    ("stripe-sim", &[]),
    ("otlp", &["config", "daemon"]),
    ("wire", &["ids", "units"]),
    ("devices", &["units"]),
    ("settlement", &["ids", "units", "money"]),
    ("ledger", &["ids", "money"]),
    ("report", &["settlement", "ids", "money", "units"]),
    ("store", &["ids", "units"]),
    ("stripe", &["ids", "money"]),
    ("sinks", &["store", "wire", "ids", "units", "config", "daemon"]),
    ("calculator", &["units"]),
    ("evidence", &["ids", "units", "money", "calculator", "settlement", "ledger", "devices"]),
    ("simulator", &["daemon", "devices", "units"]),
    ("gateway", &["wire", "devices", "ids", "units", "config", "daemon"]),
    ("collector", &["wire", "store", "sinks", "otlp", "ids", "units", "config", "daemon"]),
    (
        "api",
        &[
            "calculator",
            "settlement",
            "ledger",
            "store",
            "stripe",
            "evidence",
            "report",
            "otlp",
            "money",
            "ids",
            "units",
            "config",
            "daemon",
        ],
    ),
    ("negawatt", &["*"]),
    ("tests", &["*"]),
    ("xtask", &[]),
];

#[test]
fn arrows_point_down_only() {
    let members = members();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = members.keys().map(String::as_str).collect();
    assert_eq!(known, found, "a member came or went: say in tests/tidy/arrows.rs what it may know, and in ARCHITECTURE.md what it is");
    let mut wrong = Vec::new();
    for (name, allowed) in ARROWS {
        for room in &members[name].rooms {
            if !allowed.contains(&room.as_str()) && !allowed.contains(&"*") {
                wrong.push(format!("{name} depends on {room}: move what it needs into a crate that both may know"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn nothing_depends_on_the_binary_or_on_the_tests() {
    for (name, member) in members() {
        for top in ["negawatt", "tests", "xtask"] {
            let depends = member.rooms.contains(top) || member.rooms_of_tests.contains(top);
            assert!(!depends, "{name} depends on {top}: what it needs of it belongs into a crate below both");
        }
    }
}

#[test]
fn the_edge_daemon_stays_small() {
    let members = members();
    let mut reached = BTreeSet::from(["gateway"]);
    let mut next = vec!["gateway"];
    while let Some(name) = next.pop() {
        // axum is let in: it carries the local page, and the program stays within its 8 MiB.
        let heavy = ["polars", "parquet", "sqlx", "reqwest", "krilla", "rumqttd"];
        for heavy in heavy {
            let depends = members[name].foreign.contains(heavy);
            assert!(!depends, "{name} brings {heavy} into negawatt-gateway, which runs on facility hardware: keep it out");
        }
        for room in &members[name].rooms {
            if reached.insert(room) {
                next.push(room);
            }
        }
    }
}
