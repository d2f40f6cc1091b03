//! Which profile a technician means: one that comes with the program, a file, or what the device says of itself.

use std::borrow::Cow;

use daemon::ExitCode;
use devices::Profile;

use super::complain;
use crate::{
    modbus::Endpoint,
    setup::{DescribeError, describe},
};

/// The name under which a device describes itself; `sunspec:203` is one of several models.
pub(super) const SUNSPEC: &str = "sunspec";

/// A device that is there now, as a technician names it.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// Where the device is: tcp://HOST:PORT, rtu+tcp://HOST:PORT or rtu:///dev/ttyUSB0?baud=9600&parity=none
    #[arg(value_name = "URL")]
    endpoint: String,
    /// Unit id; the profile's factory setting when not given
    #[arg(long, value_name = "1-247")]
    unit: Option<u8>,
    /// Profile of the device: eastron-sdm630, a file of your own, or sunspec where the device describes itself
    #[arg(long, value_name = "PROFILE")]
    device: String,
}

impl Target {
    /// Where it is, which unit id to ask, and what it is.
    ///
    /// * Errors: already told; the exit code.
    pub(super) async fn resolve(&self) -> Result<(Endpoint, u8, Cow<'static, Profile>), ExitCode> {
        let endpoint = Endpoint::parse(&self.endpoint).map_err(|err| complain(&format!("error: {err}"), ExitCode::Usage))?;
        let (profile, unit) = named(&self.device, &endpoint, self.unit).await?;
        Ok((endpoint, unit, profile))
    }
}

/// Finds the profile, and the unit id to ask: the one that was given, or the profile's factory setting.
///
/// * Errors: already told; the exit code.
async fn named(text: &str, endpoint: &Endpoint, unit: Option<u8>) -> Result<(Cow<'static, Profile>, u8), ExitCode> {
    let refuse = |message: String| Err(complain(&message, ExitCode::Usage));
    if let Some(model) = text.strip_prefix(SUNSPEC).filter(|rest| rest.is_empty() || rest.starts_with(':')) {
        let model = match model.strip_prefix(':').map(str::parse) {
            None => None,
            Some(Ok(number)) => Some(number),
            Some(Err(_)) => return refuse(format!("error: `{text}` names no model\nhelp: write sunspec, or sunspec:203")),
        };
        let unit = unit.unwrap_or(1);
        return Ok((Cow::Owned(described(endpoint, unit, model).await?), unit));
    }
    if text.contains('/') || text.ends_with(".toml") {
        let file = match std::fs::read_to_string(text) {
            Ok(file) => file,
            Err(err) => return refuse(format!("error: {text} cannot be read: {err}")),
        };
        return match Profile::parse(&file) {
            Ok(profile) => {
                let unit = unit.unwrap_or_else(|| profile.unit_id());
                Ok((Cow::Owned(profile), unit))
            }
            Err(err) => {
                let help = "help: `device lint` tells everything that is wrong with it";
                Err(complain(&format!("error: {text}: {}\n{help}", daemon::chain(&err)), ExitCode::Configuration))
            }
        };
    }
    match devices::find(text) {
        Some(profile) => Ok((Cow::Borrowed(profile), unit.unwrap_or_else(|| profile.unit_id()))),
        None => {
            let known: Vec<&str> = devices::builtin().iter().map(Profile::id).collect();
            let list = known.join(", ");
            refuse(format!("error: there is no profile `{text}`\nhelp: a file of your own, {SUNSPEC}, or one of {list}"))
        }
    }
}

/// The profile of a device that describes itself: all its models, or one of them.
///
/// * Errors: already told; the exit code.
pub(super) async fn described(endpoint: &Endpoint, unit: u8, model: Option<u16>) -> Result<Profile, ExitCode> {
    let profile = match describe(endpoint, unit).await {
        Ok(described) => described.profile(model),
        Err(err) => Err(err),
    };
    profile.map_err(|err| {
        let (help, code) = match &err {
            DescribeError::Bus(_) => ("check address and unit id: `scan` says who answers", ExitCode::DependencyDown),
            DescribeError::Walk(_) => ("`identify` says what it may be; some devices have SunSpec switched off", ExitCode::DataRefused),
            DescribeError::NothingKnown { .. } | DescribeError::Malformed(_) => {
                ("write a profile of your own from the maker's list of registers", ExitCode::DataRefused)
            }
        };
        complain(&format!("error: unit {unit} at {endpoint}: {}\nhelp: {help}", daemon::chain(&err)), code)
    })
}
