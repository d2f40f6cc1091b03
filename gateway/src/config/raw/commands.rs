//! `[commands]`: who may give orders from afar, and which.

use std::{collections::BTreeSet, time::Duration};

use config::{DurationText, Fault, Faults};
use serde::Deserialize;

use super::super::CommandsConfig;
use crate::remote::{PublicKey, Verb};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCommands {
    allow: Option<Vec<String>>,
    #[serde(default)]
    keys: Vec<String>,
    confirm_within: Option<DurationText>,
}

pub(super) fn check(raw: RawCommands, interval: Option<Duration>, faults: &mut Faults) -> Option<CommandsConfig> {
    let before = faults.iter().count();
    let mut allow = BTreeSet::from([Verb::Ping, Verb::Status, Verb::Identify]);
    if let Some(verbs) = raw.allow {
        allow.clear();
        for (at, text) in verbs.iter().enumerate() {
            match Verb::parse(text) {
                Some(verb) => drop(allow.insert(verb)),
                None => {
                    let known: Vec<&str> = Verb::ALL.iter().map(|verb| verb.name()).collect();
                    let fault = Fault::at(format_args!("commands.allow[{at}]"), format_args!("`{text}` is not a command"));
                    faults.add(fault.allowed(known.join(", ")));
                }
            }
        }
    }
    let mut keys = Vec::new();
    for (at, text) in raw.keys.iter().enumerate() {
        match PublicKey::parse(text) {
            Some(key) => keys.push(key),
            None => {
                let fault = Fault::at(format_args!("commands.keys[{at}]"), "this is no public key");
                faults.add(
                    fault.allowed("ed25519: and 64 hexadecimal digits").help("`negawatt-gateway command keygen` makes a key and prints it"),
                );
            }
        }
    }
    if raw.keys.is_empty() {
        let fault = Fault::at("commands.keys", "there is no key, so no command could be obeyed");
        faults.add(fault.help("`negawatt-gateway command keygen` makes one, or leave the table out"));
    }
    let least = Duration::from_secs(60).max(interval.unwrap_or_default() * 2);
    let confirm_within = raw.confirm_within.map_or(least.max(Duration::from_secs(300)), Duration::from);
    if confirm_within.is_zero() || confirm_within > Duration::from_secs(86_400) {
        let fault = Fault::at("commands.confirm_within", "a new configuration must have a time to prove itself");
        faults.add(fault.allowed("more than two times poll.interval is wise, 24h is the most"));
    }
    (faults.iter().count() == before).then_some(CommandsConfig { allow, keys, confirm_within })
}
