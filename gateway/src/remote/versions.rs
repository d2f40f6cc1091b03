//! The configuration that came by command: two places for its text, and a record of which of them counts.
//!
//! ```text
//! config/a.toml, b.toml   the text that is followed, and the one on trial or before
//! config/record.json      which is which; replaced whole, so that a power cut leaves one record or the other
//! ```
//!
//! A version is on trial until the gateway has shown that it is well with it. Whatever stops the program meanwhile, it
//! starts with the one before. A gateway whose own file was changed by hand since follows that file: whoever stands in
//! front of it is right.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wire::{ConfigOutcome, command::to_hex};

use super::durable;
use crate::config::Config;

const NAME: &str = "record.json";
const SCHEMA: &str = "negawatt.gateway-config/1";

/// The versions on disk.
#[derive(Debug)]
pub(super) struct Versions {
    folder: PathBuf,
    record: Record,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    schema: String,
    /// The highest version that was ever tried: none of them is tried twice.
    highest: u64,
    followed: Option<Kept>,
    trial: Option<Kept>,
    last: Option<ConfigOutcome>,
}

/// A text in one of the two places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    version: u64,
    place: Place,
    /// SHA-256 of the text.
    text: String,
    /// SHA-256 of the gateway's own file when the text came.
    base: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    A,
    B,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::A => "a.toml",
            Self::B => "b.toml",
        }
    }
}

/// What a gateway starts with.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) config: Config,
    pub(super) version: u64,
    /// What must be told: a kind of event, and words.
    pub(super) told: Option<(&'static str, String)>,
}

impl Versions {
    /// Reads the record. One that makes no sense is told and begun anew.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let empty = Record { schema: SCHEMA.to_owned(), highest: 0, followed: None, trial: None, last: None };
        let record = match durable::read(&folder.join(NAME))?.map(|bytes| serde_json::from_slice::<Record>(&bytes)) {
            Some(Ok(record)) if record.schema == SCHEMA => record,
            None => empty,
            Some(_) => {
                tracing::error!(folder = %folder.display(), "the record of configurations is damaged; the gateway's own file counts");
                empty
            }
        };
        Ok(Self { folder: folder.to_owned(), record })
    }

    pub(super) fn highest(&self) -> u64 {
        self.record.highest
    }

    pub(super) fn last(&self) -> Option<ConfigOutcome> {
        self.record.last.clone()
    }

    /// What to start with, given the gateway's own file.
    ///
    /// * A version that was on trial when the program stopped is not tried again.
    pub(super) fn choose(&mut self, own: Config) -> io::Result<Chosen> {
        let mut told = None;
        if let Some(trial) = self.record.trial.clone() {
            let reason = "the gateway stopped while this configuration was on trial".to_owned();
            self.reject(&reason)?;
            told = Some(("config_rolled_back", format!("version {}: {reason}", trial.version)));
        }
        let Some(kept) = self.record.followed.clone() else { return Ok(Chosen { config: own, version: 0, told }) };
        if kept.base != to_hex(&own.text_hash()) {
            self.forget()?;
            let detail = format!("the gateway's own file was changed: it counts, and version {} no longer does", kept.version);
            return Ok(Chosen { config: own, version: 0, told: Some(("config_local", detail)) });
        }
        match self.load(&kept) {
            Ok(config) => Ok(Chosen { config, version: kept.version, told }),
            Err(reason) => {
                let detail = format!("version {} cannot be followed any more, so the gateway's own file is: {reason}", kept.version);
                Ok(Chosen { config: own, version: 0, told: Some(("config_rolled_back", detail)) })
            }
        }
    }

    /// The version that is followed, read and checked again.
    pub(super) fn followed(&self) -> Option<Result<Config, String>> {
        self.record.followed.as_ref().map(|kept| self.load(kept))
    }

    fn load(&self, kept: &Kept) -> Result<Config, String> {
        let path = self.folder.join(kept.place.name());
        let text = std::fs::read_to_string(&path).map_err(|err| format!("{}: {err}", path.display()))?;
        if text_hash(&text) != kept.text {
            return Err(format!("{} is not what was written", path.display()));
        }
        Config::parse_to_run(&named(kept.version), &text).map_err(|faults| faults.to_string())
    }

    /// Keeps a text durably as the one on trial.
    pub(super) fn stage(&mut self, version: u64, text: &str, base: &[u8; 32]) -> io::Result<()> {
        let place = match &self.record.followed {
            Some(Kept { place: Place::A, .. }) => Place::B,
            _ => Place::A,
        };
        durable::place(&self.folder, place.name(), text.as_bytes())?;
        let trial = Kept { version, place, text: text_hash(text), base: to_hex(base) };
        self.write(Record { highest: version.max(self.record.highest), trial: Some(trial), ..self.record.clone() })
    }

    /// The one on trial is followed from now on.
    pub(super) fn confirm(&mut self) -> io::Result<()> {
        let Some(trial) = self.record.trial.clone() else { return Ok(()) };
        let last = Some(ConfigOutcome { version: trial.version, applied: true, reason: String::new() });
        self.write(Record { followed: Some(trial), trial: None, last, ..self.record.clone() })
    }

    /// The one on trial goes.
    pub(super) fn reject(&mut self, reason: &str) -> io::Result<()> {
        let Some(trial) = self.record.trial.clone() else { return Ok(()) };
        let last = Some(ConfigOutcome { version: trial.version, applied: false, reason: reason.to_owned() });
        self.write(Record { trial: None, last, ..self.record.clone() })
    }

    /// The gateway's own file counts from now on.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.write(Record { followed: None, ..self.record.clone() })
    }

    fn write(&mut self, record: Record) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&record).expect("texts and numbers are JSON");
        durable::place(&self.folder, NAME, &text)?;
        self.record = record;
        Ok(())
    }
}

/// What stands for the name of a file in the faults of a version.
pub(super) fn named(version: u64) -> PathBuf {
    PathBuf::from(format!("configuration version {version}"))
}

fn text_hash(text: &str) -> String {
    to_hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(points: &str) -> String {
        format!(
            "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"data\"\n[broker]\nurl = \"mqtt://localhost\"\n\
             [[bus]]\nname = \"main\"\nkind = \"tcp\"\naddress = \"127.0.0.1:502\"\n\
             [[bus.device]]\nid = \"m\"\nunit = 1\nprofile = \"eastron-sdm630\"\npoints = [{points}]\n"
        )
    }

    fn own() -> Config {
        Config::parse(Path::new("gateway.toml"), &text("\"v1\"")).unwrap()
    }

    fn points(chosen: &Chosen) -> String {
        chosen.config.devices().flat_map(|device| device.points().to_vec()).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn a_version_counts_after_its_trial_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Versions::open(folder.path()).unwrap();
        let chosen = open().choose(own()).unwrap();
        assert_eq!((chosen.version, points(&chosen).as_str()), (0, "v1"));
        let base = own().text_hash();
        open().stage(3, &text("\"p\""), &base).unwrap();
        // The program is killed now: the trial is over.
        let mut versions = open();
        let chosen = versions.choose(own()).unwrap();
        assert_eq!((chosen.version, points(&chosen).as_str(), chosen.told.unwrap().0), (0, "v1", "config_rolled_back"));
        assert_eq!((versions.highest(), versions.last().unwrap().applied), (3, false));
        versions.stage(4, &text("\"p\""), &base).unwrap();
        versions.confirm().unwrap();
        let chosen = open().choose(own()).unwrap();
        assert_eq!((chosen.version, points(&chosen).as_str()), (4, "p"));
        // The next one fails its trial: back to the one before, not to the file.
        versions.stage(5, &text("\"f\""), &base).unwrap();
        versions.reject("no acknowledgement").unwrap();
        let chosen = open().choose(own()).unwrap();
        assert_eq!((chosen.version, points(&chosen).as_str(), open().last().unwrap().version), (4, "p", 5));
    }

    #[test]
    fn a_file_changed_by_hand_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut versions = Versions::open(folder.path()).unwrap();
        versions.stage(1, &text("\"p\""), &own().text_hash()).unwrap();
        versions.confirm().unwrap();
        let changed = Config::parse(Path::new("gateway.toml"), &text("\"v1\", \"v2\"")).unwrap();
        let chosen = Versions::open(folder.path()).unwrap().choose(changed).unwrap();
        assert_eq!((chosen.version, points(&chosen).as_str(), chosen.told.unwrap().0), (0, "v1,v2", "config_local"));
        assert_eq!(Versions::open(folder.path()).unwrap().choose(own()).unwrap().version, 0);
    }

    #[test]
    fn damage_leads_back_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut versions = Versions::open(folder.path()).unwrap();
        versions.stage(1, &text("\"p\""), &own().text_hash()).unwrap();
        versions.confirm().unwrap();
        std::fs::write(folder.path().join("a.toml"), text("\"i1\"")).unwrap();
        let chosen = Versions::open(folder.path()).unwrap().choose(own()).unwrap();
        assert_eq!((chosen.version, points(&chosen).as_str()), (0, "v1"));
        assert!(chosen.told.unwrap().1.contains("is not what was written"));
        std::fs::write(folder.path().join(NAME), "{").unwrap();
        assert_eq!(Versions::open(folder.path()).unwrap().choose(own()).unwrap().version, 0);
    }
}
