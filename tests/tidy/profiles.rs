//! A meter profile is worth what stands behind it.

use std::{collections::BTreeSet, fs};

use crate::house::root;

#[test]
fn every_profile_has_source_confidence_and_vector() {
    let folder = root().join("config/devices");
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let has_key = |key: &str| text.lines().any(|line| line.split('=').next().is_some_and(|written| written.trim() == key));
        assert!(has_key("source"), "{name}: say in `source` where its registers come from");
        assert!(has_key("confidence"), "{name}: say in `confidence` how sure we are of it");
        let profile = devices::Profile::parse(&text).unwrap_or_else(|err| panic!("{name}: {err}"));
        assert_eq!(profile.id(), name, "a profile's id is the name of its file");
        assert!(!profile.sources().is_empty(), "{name}: `source` is empty");
        assert!(!profile.vectors().is_empty(), "{name}: add a vector, registers as read and what the display showed then");
        profile.verify().unwrap_or_else(|err| panic!("{name}: {err}"));
        files.insert(name);
    }
    let built_in: BTreeSet<String> = devices::builtin().iter().map(|profile| profile.id().to_owned()).collect();
    assert_eq!(files, built_in, "every file in config/devices is listed in crates/devices/src/catalogue.rs, and nothing else");
    assert!(files.len() >= 10);
}
