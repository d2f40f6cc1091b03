//! The house as cargo and the file system see it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A member of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) folder: PathBuf,
    /// Short names of members it depends on when it is built for use, optional ones included.
    pub(crate) rooms: BTreeSet<String>,
    /// Names of everything else that it depends on when it is built for use.
    pub(crate) foreign: BTreeSet<String>,
    /// Short names of members that only its tests depend on.
    pub(crate) rooms_of_tests: BTreeSet<String>,
}

/// `negawatt-gateway` is the room `gateway`.
fn short(package: &str) -> &str {
    package.strip_prefix("negawatt-").unwrap_or(package)
}

/// All members by short name.
pub(crate) fn members() -> BTreeMap<String, Member> {
    let output = Command::new(env!("CARGO")).args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let is_member = |name: &str| packages.iter().any(|package| package["name"] == name);
    let member = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let mut member = Member {
            folder: manifest.parent().unwrap().to_owned(),
            rooms: BTreeSet::new(),
            foreign: BTreeSet::new(),
            rooms_of_tests: BTreeSet::new(),
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            match (is_member(name), dependency["kind"].as_str()) {
                (true, Some("dev")) => member.rooms_of_tests.insert(short(name).to_owned()),
                (true, _) => member.rooms.insert(short(name).to_owned()),
                (false, Some("dev")) => false,
                (false, _) => member.foreign.insert(name.to_owned()),
            };
        }
        (short(package["name"].as_str().unwrap()).to_owned(), member)
    };
    packages.iter().map(member).collect()
}

/// A Rust source file.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// The file as the workspace names it.
    pub(crate) fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap_or(&self.path).display().to_string()
    }

    /// Whether the whole file is compiled for tests only.
    fn is_test(&self) -> bool {
        let stem = self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let of_a_folder = self.path.components().any(|part| part.as_os_str() == "tests");
        of_a_folder || matches!(stem, "tests" | "fixture") || stem.ends_with("_tests")
    }

    /// What is compiled for use: lines with their numbers, without comments, up to the tests at the foot.
    pub(crate) fn code(&self) -> Vec<(usize, &str)> {
        if self.is_test() {
            return Vec::new();
        }
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let used = lines.take_while(|(_, line)| !line.starts_with("#[cfg(test)]") || is_declaration_of_a_file(&self.text, line));
        used.map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
            .filter(|(_, line)| !line.trim().is_empty())
            .collect()
    }
}

/// `#[cfg(test)] mod tests;` may stand anywhere; `mod tests {` ends what is compiled for use.
fn is_declaration_of_a_file(text: &str, line: &str) -> bool {
    let after = text.split_once(line).map_or("", |(_, after)| after);
    let next = after.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    next.trim_end().ends_with(';')
}

/// All Rust files below a folder, in the order of their names.
pub(crate) fn sources(folder: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                found.push(Source { text: fs::read_to_string(&path).unwrap(), path });
            }
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

/// Whether a word stands in a line as a word of its own.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}
