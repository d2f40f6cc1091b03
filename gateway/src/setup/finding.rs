//! What a technician is told: how something stands, in plain words, and what to do next.

use serde::{Deserialize, Serialize};

/// How something stands. Never shown by colour alone: every state has its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing to look at here: the device or the technician gave nothing to judge by.
    Grey,
    /// As it must be.
    Green,
    /// Look at it; readings may be right.
    Amber,
    /// Wrong: readings must not be billed before it is put right.
    Red,
}

impl State {
    /// The word beside the colour.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Grey => "-",
            Self::Green => "ok",
            Self::Amber => "look",
            Self::Red => "WRONG",
        }
    }
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Short name of the check: `current-direction`.
    pub check: String,
    /// How it stands.
    pub state: State,
    /// Why, in plain words, with the numbers.
    pub says: String,
    /// What to do; always there when the state is amber or red.
    pub next: Option<String>,
}

impl Finding {
    /// As it must be.
    pub fn green(check: &str, says: impl Into<String>) -> Self {
        Self { check: check.to_owned(), state: State::Green, says: says.into(), next: None }
    }

    /// Nothing to judge by; `next` says how it could be judged.
    pub fn grey(check: &str, says: impl Into<String>, next: Option<&str>) -> Self {
        Self { check: check.to_owned(), state: State::Grey, says: says.into(), next: next.map(str::to_owned) }
    }

    /// To be looked at.
    pub fn amber(check: &str, says: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check: check.to_owned(), state: State::Amber, says: says.into(), next: Some(next.into()) }
    }

    /// Wrong.
    pub fn red(check: &str, says: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check: check.to_owned(), state: State::Red, says: says.into(), next: Some(next.into()) }
    }

    /// One or two lines: `WRONG  current-direction  L2 …`, then the next step.
    #[must_use]
    pub fn text(&self) -> String {
        let line = format!("{:<5}  {:<18} {}", self.state.word(), self.check, self.says);
        match &self.next {
            Some(next) => format!("{line}\n{:26}next: {next}", ""),
            None => line,
        }
    }
}

/// The worst state of many; grey when there are none.
#[must_use]
pub fn worst(findings: &[Finding]) -> State {
    findings.iter().map(|finding| finding.state).max().unwrap_or(State::Grey)
}
