//! Following another configuration while the gateway runs, and going back.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use wire::{ConfigFacts, Urgency, command::to_hex};

use super::{Active, Refusal, Remote, versions, versions::Versions};
use crate::config::{CommandsConfig, Config};

/// A configuration that must show that the gateway is well with it.
#[derive(Debug)]
pub(crate) struct Trial {
    version: u64,
    generation: u64,
    deadline: Instant,
    before: Arc<Active>,
    /// Whether the collector must confirm something for it to stay.
    uplink: bool,
}

/// What the state says of a configuration.
pub(super) fn facts(config: &Config, version: u64, trial: bool, versions: &Versions) -> ConfigFacts {
    ConfigFacts { version, hash: to_hex(&config.hash()), trial, last: versions.last() }
}

/// A configuration that is kept and not yet followed.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(super) config: Config,
    pub(super) version: u64,
    pub(super) before: Arc<Active>,
    pub(super) confirm_within: Duration,
    pub(super) uplink: bool,
}

/// Longest that a new configuration waits for the answer to whoever sent it.
const ANSWER: Duration = Duration::from_secs(1);

impl Remote {
    /// Follows a configuration from the next sweep on. Gives its number.
    fn follow(&mut self, config: Config, version: u64, trial: bool) -> u64 {
        let generation = self.active().generation + 1;
        let facts = facts(&config, version, trial, &self.kept.versions);
        let active = Arc::new(Active { config, generation, facts });
        self.status.followed(&active);
        self.configs.send_replace(active);
        generation
    }

    /// Reads the gateway's own file again and follows it. One that is wrong changes nothing.
    pub(super) fn reload(&mut self) -> Result<Value, Refusal> {
        let before = self.active();
        let Some(file) = before.config.file.clone() else {
            return Err(Refusal::refused("no_file", "this gateway was started without a configuration file"));
        };
        let own = Config::load(&file).map_err(|faults| {
            tracing::error!("{faults}");
            self.raise("config_refused", Urgency::Warning, faults.to_string());
            Refusal::refused("configuration", faults)
        })?;
        fixed(&before.config, &own)?;
        let disk = |err: std::io::Error| Refusal::failed("disk", err);
        if self.trial.take().is_some() {
            self.kept.versions.reject("the gateway's own file was read again meanwhile").map_err(disk)?;
        }
        let by_command = if own.text_hash() == self.base { self.kept.versions.followed() } else { None };
        let (config, version) = match by_command {
            // The file is as it was, so what came by command still counts; certificates and profiles are read again.
            Some(Ok(config)) => (Config { file: Some(file), ..config }, before.facts.version),
            Some(Err(reason)) => return Err(Refusal::failed("configuration", reason)),
            None => {
                self.kept.versions.forget().map_err(disk)?;
                self.base = own.text_hash();
                (own, 0)
            }
        };
        let hash = to_hex(&config.hash());
        self.follow(config, version, false);
        tracing::info!(config.version = version, config.hash = hash, "the configuration was read again");
        self.raise("config_applied", Urgency::Info, "the gateway's own file was read again".to_owned());
        Ok(json!({ "version": version, "hash": hash }))
    }

    /// Takes a configuration on trial.
    pub(super) fn stage(&mut self, version: u64, text: &str, key: &str, rules: &CommandsConfig) -> Result<Value, Refusal> {
        if let Some(trial) = &self.trial {
            return Err(Refusal::refused("busy", format_args!("version {} is on trial", trial.version)));
        }
        let highest = self.kept.versions.highest();
        if version <= highest {
            return Err(Refusal::refused("old_version", format_args!("version {highest} was tried already; versions only rise")));
        }
        let before = self.active();
        let parsed = Config::parse(&versions::named(version), text);
        let config = parsed.map_err(|faults| Refusal::refused("configuration", faults))?;
        fixed(&before.config, &config)?;
        let still_obeyed = config
            .commands
            .as_ref()
            .is_some_and(|rules| rules.allow.contains(&super::Verb::Config) && rules.keys.iter().any(|known| known.hex() == key));
        if !still_obeyed {
            return Err(Refusal::refused("lock_out", "with it, whoever sends this could not send another: commands.keys, commands.allow"));
        }
        self.kept.versions.stage(version, text, &self.base).map_err(|err| Refusal::failed("disk", err))?;
        let config = Config { file: before.config.file.clone(), ..config };
        self.staged = Some(Staged { config, version, before, confirm_within: rules.confirm_within, uplink: true });
        Ok(json!({ "version": version, "trial": true, "confirm_within_s": rules.confirm_within.as_secs() }))
    }

    /// Follows what was staged, once the answer has left: the way to the broker may be another afterwards.
    pub(super) async fn begin_trial(&mut self) {
        let Some(Staged { config, version, before, confirm_within, uplink }) = self.staged.take() else { return };
        let deadline = Instant::now() + ANSWER;
        while !self.status.outbox().is_empty() && Instant::now() < deadline {
            sleep(ANSWER / 50).await;
        }
        let generation = self.follow(config, version, true);
        self.trial = Some(Trial { version, generation, deadline: Instant::now() + confirm_within, before, uplink });
        tracing::info!(config.version = version, "a configuration is on trial");
    }

    /// The version that is on trial or about to be.
    pub(super) fn on_trial(&self) -> Option<u64> {
        self.trial.as_ref().map(|trial| trial.version).or(self.staged.as_ref().map(|staged| staged.version))
    }

    /// Looks whether the configuration on trial has proven itself, or has had its time.
    pub(super) fn judge(&mut self, now: Instant) {
        let Some(trial) = &self.trial else { return };
        let progress = self.status.progress();
        let connected = self.status.snapshot().connected;
        let delivers = !trial.uplink || (connected && progress.acknowledged >= trial.generation);
        if delivers && progress.swept >= trial.generation {
            self.keep();
        } else if now >= trial.deadline {
            let reason = if progress.swept < trial.generation {
                "no device gave a value"
            } else if !connected {
                "the broker could not be reached"
            } else {
                "the collector confirmed nothing"
            };
            self.go_back(reason);
        }
    }

    fn keep(&mut self) {
        let Some(trial) = self.trial.take() else { return };
        if let Err(err) = self.kept.versions.confirm() {
            tracing::error!(error = %err, "the configuration is good and could not be kept: the one before is followed again");
            self.trial = Some(trial);
            self.go_back("the disk refused it");
            return;
        }
        tracing::info!(config.version = trial.version, "the configuration has proven itself and stays");
        self.raise("config_applied", Urgency::Info, format!("version {} has proven itself and stays", trial.version));
        let active = self.active();
        let facts = facts(&active.config, trial.version, false, &self.kept.versions);
        let confirmed = Arc::new(Active { config: active.config.clone(), generation: active.generation, facts });
        self.status.followed(&confirmed);
        self.configs.send_replace(confirmed);
    }

    fn go_back(&mut self, reason: &str) {
        let Some(trial) = self.trial.take() else { return };
        let detail = format!("version {} goes, and the configuration before is followed again: {reason}", trial.version);
        tracing::error!(detail, "a configuration did not prove itself");
        if let Err(err) = self.kept.versions.reject(reason) {
            // It goes at the next start in any case.
            tracing::error!(error = %err, "the record of configurations could not be written");
        }
        let (config, version) = (trial.before.config.clone(), trial.before.facts.version);
        self.follow(config, version, false);
        self.raise("config_rolled_back", Urgency::Alarm, detail);
    }
}

/// What cannot change while a gateway runs.
pub(super) fn fixed(old: &Config, new: &Config) -> Result<(), Refusal> {
    let mut changed = Vec::new();
    if old.path != new.path {
        changed.push("gateway.tenant, gateway.facility and gateway.id");
    }
    if old.data_dir != new.data_dir {
        changed.push("gateway.data_dir");
    }
    if old.listen != new.listen {
        changed.push("the table [http]");
    }
    if changed.is_empty() {
        return Ok(());
    }
    let what = changed.join(", ");
    Err(Refusal::refused("fixed", format_args!("{what} cannot change while the gateway runs: change the file and start the gateway anew")))
}
