//! The methods by the names that contracts and command lines give them, and how they are told apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How a baseline is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// CalTRACK 2.0 on civil days.
    CaltrackDaily,
    /// CalTRACK 2.0 on bills.
    CaltrackBilling,
    /// CalTRACK 2.0 on hours: twelve weighted segments.
    CaltrackHourly,
    /// Time of week and temperature, on hours or days.
    Towt,
    /// Change-point models of two to five parameters, on days.
    ChangePoint,
    /// A greenhouse or an indoor farm, on days: weather, light, moisture, water, crop.
    ControlledEnvironment,
    /// Of all methods that fit the rows, the one with the least information criterion.
    Best,
}

impl Method {
    /// All of them in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::CaltrackDaily,
        Self::CaltrackBilling,
        Self::CaltrackHourly,
        Self::Towt,
        Self::ChangePoint,
        Self::ControlledEnvironment,
        Self::Best,
    ];

    /// The name on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CaltrackDaily => "caltrack-daily",
            Self::CaltrackBilling => "caltrack-billing",
            Self::CaltrackHourly => "caltrack-hourly",
            Self::Towt => "towt",
            Self::ChangePoint => "change-point",
            Self::ControlledEnvironment => "controlled-environment",
            Self::Best => "best",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no method.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is not a method; known: caltrack-daily, caltrack-billing, caltrack-hourly, towt, change-point, controlled-environment, best"
)]
pub struct UnknownMethod {
    /// The name as given.
    pub found: String,
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(name: &str) -> Result<Self, UnknownMethod> {
        Self::ALL.into_iter().find(|method| method.name() == name).ok_or_else(|| UnknownMethod { found: name.to_owned() })
    }
}

/// Whether the reference is followed to the letter, or only where it is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The numbers of the reference implementation.
    Compatible,
    /// Our rules: a weather model must explain something, slopes have their sign, thin data make no invoice.
    #[default]
    Strict,
}

impl Mode {
    /// Both, the published program's first.
    pub const ALL: [Self; 2] = [Self::Compatible, Self::Strict];

    /// The name on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compatible => "compatible",
            Self::Strict => "strict",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_its_name_and_written_by_it() {
        for method in Method::ALL {
            assert_eq!(method.name().parse(), Ok(method));
            assert_eq!(serde_json::to_string(&method).unwrap(), format!("\"{method}\""));
        }
        let message = "caltrack".parse::<Method>().unwrap_err().to_string();
        assert!(message.starts_with("`caltrack` is not a method; known: caltrack-daily,"));
        assert!(Method::ALL.iter().all(|method| message.contains(method.name())));
    }
}
