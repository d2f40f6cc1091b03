//! What is wrong with a configuration, in the shape a person reads.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Path of the key, `meters[1].unit_id`; empty when the file as a whole is meant.
    key: String,
    /// What was found, and what it is not.
    message: String,
    /// What would be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<String>,
    /// The next step, when we know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    /// Line in the file, counted from 1, when the key is written there.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
}

impl Fault {
    /// A fault of one key: `Fault::at("meters[1].unit_id", "300 is not a Modbus unit id")`.
    pub fn at(key: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self { key: key.to_string(), message: message.to_string(), allowed: None, help: None, line: None }
    }

    /// A fault of the file as a whole.
    pub fn of_file(message: impl fmt::Display) -> Self {
        Self::at("", message)
    }

    /// Adds what would be accepted: `1–247 on a serial bus`.
    #[must_use]
    pub fn allowed(mut self, allowed: impl fmt::Display) -> Self {
        self.allowed = Some(allowed.to_string());
        self
    }

    /// Adds the next step.
    #[must_use]
    pub fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }

    #[must_use]
    pub(crate) fn on_line(mut self, line: Option<usize>) -> Self {
        self.line = self.line.or(line);
        self
    }

    /// The path of the key; empty when the file as a whole is meant.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The line in the file, counted from 1, when the key is written there.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "  × {}", self.message)?;
        } else {
            write!(f, "  × {}: {}", self.key, self.message)?;
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "\n    │ allowed: {allowed}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n    help: {help}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with one file.
///
/// `Display` is the whole message, first line `error: 2 faults in site.toml`: a `main` prints it as it is, on stderr,
/// and exits with 78.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Faults {
    file: PathBuf,
    faults: Vec<Fault>,
}

impl Faults {
    /// No faults yet.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), faults: Vec::new() }
    }

    /// Notes a fault.
    pub fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Takes over what else was found in the file.
    pub(crate) fn extend(&mut self, others: Self) {
        self.faults.extend(others.faults);
    }

    /// Keeps the value of a checked key, or notes its fault: `let port = faults.keep(check_port(raw.port))?`.
    pub fn keep<T>(&mut self, checked: Result<T, Fault>) -> Option<T> {
        checked.map_err(|fault| self.add(fault)).ok()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The faults, in the order of the file where it is known.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter()
    }

    /// The file they were found in.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Puts faults in the order of their lines; those without a line stay behind, in the order they were noted.
    pub(crate) fn sort(&mut self) {
        self.faults.sort_by_key(|fault| fault.line.unwrap_or(usize::MAX));
    }

    pub(crate) fn faults_mut(&mut self) -> &mut Vec<Fault> {
        &mut self.faults
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        let noun = if count == 1 { "fault" } else { "faults" };
        write!(f, "error: {count} {noun} in {}", self.file.display())?;
        for fault in &self.faults {
            write!(f, "\n{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
