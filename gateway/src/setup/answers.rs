//! From answers to a configuration: what a guided setup asks, and the file it writes.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use config::Faults;
use serde::Deserialize;

use crate::{
    config::Config,
    modbus::{Caller, Endpoint, Framing, Listen},
};

/// What has to be known before a gateway can run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// Whose facility it is.
    pub tenant: Option<String>,
    /// Which facility.
    pub facility: Option<String>,
    /// The name of this gateway.
    pub gateway: Option<String>,
    /// Where readings go: `mqtt://HOST:1883`.
    pub broker: Option<String>,
    /// Folder of the spool.
    pub data_dir: Option<String>,
    /// Folder of profiles of one's own.
    pub profiles: Option<PathBuf>,
    /// The devices, found or known.
    #[serde(default)]
    pub device: Vec<DeviceAnswer>,
}

/// A device to be read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceAnswer {
    /// Its name in the facility.
    pub id: String,
    /// Where it is, as `scan` prints it.
    pub url: String,
    /// Its unit id.
    pub unit: u8,
    /// What it is: a profile, or `sunspec` for a device that describes itself.
    pub profile: String,
    /// The profile file, where the device has described itself and it is not in the folder yet.
    #[serde(skip)]
    pub text: Option<String>,
}

/// A question, its key in an answers file, and an answer that usually does.
pub const QUESTIONS: [(&str, &str, Option<&str>); 5] = [
    ("tenant", "whose facility is it (a short name such as acme)", None),
    ("facility", "which facility (a short name such as north-hall)", None),
    ("gateway", "a name for this gateway", Some("gw-1")),
    ("broker", "where readings go (mqtt://HOST:1883)", None),
    ("data_dir", "where readings are kept until they are delivered", Some("/var/lib/negawatt-gateway")),
];

impl Answers {
    /// Reads an answers file.
    ///
    /// * Errors: everything that is wrong with it.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Faults> {
        config::parse(file, text, &[], |raw: Self, _faults: &mut Faults| Some(raw))
    }

    /// The place of an answer by its key in [`QUESTIONS`].
    pub fn answer(&mut self, key: &str) -> Option<&mut Option<String>> {
        Some(match key {
            "tenant" => &mut self.tenant,
            "facility" => &mut self.facility,
            "gateway" => &mut self.gateway,
            "broker" => &mut self.broker,
            "data_dir" => &mut self.data_dir,
            _ => return None,
        })
    }

    /// The configuration that these answers make, as a file.
    ///
    /// * Errors: what `check` would say of it, all at once.
    pub fn configuration(&self, file: &Path) -> Result<String, Faults> {
        let text = self.text();
        Config::parse(file, &text).map(|_config| text)
    }

    fn text(&self) -> String {
        let given = |answer: &Option<String>| quoted(answer.as_deref().unwrap_or_default());
        let mut text = String::from("# Written by `negawatt-gateway setup`; every key is explained in the example configuration.\n\n");
        let mut line = |args: std::fmt::Arguments<'_>| writeln!(text, "{args}").expect("writing to a string cannot fail");
        line(format_args!("[gateway]\ntenant = {}\nfacility = {}", given(&self.tenant), given(&self.facility)));
        line(format_args!("id = {}\ndata_dir = {}", given(&self.gateway), given(&self.data_dir)));
        if let Some(folder) = &self.profiles {
            line(format_args!("profiles = {}", quoted(&folder.display().to_string())));
        }
        line(format_args!("\n[broker]\nurl = {}\n\n[poll]\ninterval = \"60s\"", given(&self.broker)));
        // One connection serves all devices behind it.
        let mut buses: BTreeMap<String, Vec<&DeviceAnswer>> = BTreeMap::new();
        for device in &self.device {
            buses.entry(device.url.clone()).or_default().push(device);
        }
        for (number, (url, devices)) in (1..).zip(buses) {
            line(format_args!("\n[[bus]]\nname = \"bus-{number}\""));
            match Endpoint::parse(&url) {
                Ok(Endpoint::Tcp(address)) => line(format_args!("kind = \"tcp\"\naddress = {}", quoted(&address))),
                Ok(Endpoint::RtuOverTcp(address)) => line(format_args!("kind = \"rtu-over-tcp\"\naddress = {}", quoted(&address))),
                Ok(Endpoint::Listen(listen)) => dials_in(&listen, &mut line),
                Ok(Endpoint::Rtu { .. }) | Err(_) => serial(&url, &mut line),
            }
            for DeviceAnswer { id, unit, profile, .. } in devices {
                line(format_args!("\n[[bus.device]]\nid = {}\nunit = {unit}\nprofile = {}", quoted(id), quoted(profile)));
            }
        }
        text
    }
}

fn dials_in(listen: &Listen, line: &mut impl FnMut(std::fmt::Arguments<'_>)) {
    let framing = if listen.framing == Framing::Tcp { "tcp" } else { "rtu" };
    line(format_args!("kind = \"tcp-listen\"\naddress = {}\nframing = \"{framing}\"", quoted(&listen.address)));
    match &listen.caller {
        Caller::Any => {}
        Caller::Peer(peer) => line(format_args!("peer = \"{peer}\"")),
        Caller::Hello(hello) => line(format_args!("hello = {}", quoted(&String::from_utf8_lossy(hello)))),
    }
}

fn serial(url: &str, line: &mut impl FnMut(std::fmt::Arguments<'_>)) {
    let rest = url.strip_prefix("rtu://").unwrap_or(url);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    line(format_args!("kind = \"rtu\"\npath = {}", quoted(path)));
    if let Some(setting) = super::LineSettings::from_query(query) {
        line(format_args!("baud = {}\nparity = \"{}\"", setting.baud, setting.parity.word()));
    }
}

/// A text as TOML writes it; JSON's way is one of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Answers {
        let device = |id: &str, url: &str, unit, profile: &str| DeviceAnswer {
            id: id.to_owned(),
            url: url.to_owned(),
            unit,
            profile: profile.to_owned(),
            text: None,
        };
        let some = |text: &str| Some(text.to_owned());
        Answers {
            tenant: some("acme"),
            facility: some("north-hall"),
            gateway: some("gw-1"),
            broker: some("mqtt://broker.example.com:1883"),
            data_dir: some("/var/lib/negawatt-gateway"),
            profiles: None,
            device: vec![
                device("main", "tcp://192.168.1.20:502", 1, "eastron-sdm630"),
                device("heat-pump", "rtu:///dev/ttyUSB0?baud=2400&parity=none", 1, "eastron-sdm120"),
                device("climate", "rtu:///dev/ttyUSB0?baud=2400&parity=none", 2, "xy-md02"),
                device("pump-house", "listen://0.0.0.0:5020?framing=rtu&hello=MODEM-7", 1, "eastron-sdm120"),
                device("well", "listen://0.0.0.0:5021?framing=tcp&peer=10.0.0.7", 1, "abb-b23"),
            ],
        }
    }

    #[test]
    fn answers_become_a_configuration_that_check_accepts() {
        let text = answers().configuration(Path::new("gateway.toml")).unwrap();
        insta::assert_snapshot!(text);
        let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
        assert_eq!((config.buses.len(), config.devices().count()), (4, 5));
    }

    #[test]
    fn what_check_would_refuse_is_not_written() {
        let mut bad = answers();
        bad.tenant = Some("ACME \"Ltd\"".to_owned());
        bad.broker = None;
        bad.device[0].profile = "nonsense".to_owned();
        let faults = bad.configuration(Path::new("gateway.toml")).unwrap_err().to_string();
        assert!(faults.contains("gateway.tenant") && faults.contains("broker.url") && faults.contains("profile"), "{faults}");
    }

    #[test]
    fn an_answers_file_is_strict() {
        let text = "tenant = \"acme\"\n[[device]]\nid = \"m\"\nurl = \"tcp://10.0.0.1:502\"\nunit = 1\nprofile = \"eastron-sdm630\"\n";
        let read = Answers::parse(Path::new("answers.toml"), text).unwrap();
        assert_eq!((read.tenant.as_deref(), read.device.len(), read.facility), (Some("acme"), 1, None));
        assert!(Answers::parse(Path::new("answers.toml"), "tennant = \"acme\"\n").is_err());
    }
}
