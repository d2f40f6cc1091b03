//! What every member of the workspace has.

use std::fs;

use crate::house::{members, root};

#[test]
fn every_member_opts_into_the_lints() {
    for (name, member) in members() {
        let manifest = fs::read_to_string(member.folder.join("Cargo.toml")).unwrap();
        let section = manifest.split("[lints]").nth(1).unwrap_or_default();
        let opted = section.trim_start().starts_with("workspace = true");
        assert!(opted, "{name}: add `[lints]` with `workspace = true` to its Cargo.toml");
    }
}

#[test]
fn every_member_says_what_it_is() {
    for (name, member) in members() {
        for root_file in ["src/lib.rs", "src/main.rs", "harness/lib.rs"] {
            let path = member.folder.join(root_file);
            if path.is_file() {
                let text = fs::read_to_string(&path).unwrap();
                assert!(text.starts_with("//!"), "{name}: open {root_file} with `//!` and what it is for");
            }
        }
    }
}

#[test]
fn the_map_lists_every_member() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for name in members().keys() {
        assert!(map.contains(&format!("`{name}`")), "ARCHITECTURE.md does not say what `{name}` is");
    }
}
