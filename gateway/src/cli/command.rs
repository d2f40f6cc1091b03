//! `command`: keys for orders from afar, and orders signed with them.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Subcommand;
use config::DurationText;
use daemon::{Clock, ExitCode, SystemClock};
use serde_json::{Map, Value, json};
use wire::{
    Channel, Command, GatewayPath,
    command::{COMMAND_SCHEMA, to_hex},
};

use super::{Output, complain, say};
use crate::{
    remote::{PublicKey, Verb},
    setup::SigningKey,
};

#[derive(Debug, Subcommand)]
pub(super) enum Order {
    /// Make a key to sign commands with, and print the public one for `commands.keys`
    Keygen {
        /// File for the secret key; it must not be there yet
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Sign a command, and print where it goes and what it is; nothing is sent
    Sign(Sign),
}

#[derive(Debug, clap::Args)]
pub(super) struct Sign {
    /// File of the secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The gateway: TENANT/FACILITY/GATEWAY
    #[arg(long, value_name = "PATH")]
    to: String,
    /// What to do: ping, status, identify, replay, probe, reload, config, level or restart
    #[arg(long, value_name = "VERB")]
    verb: String,
    /// An argument of the verb: from=17, device=main-meter, log=debug
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    args: Vec<String>,
    /// An argument whose value is the content of a file: toml=gateway.toml
    #[arg(long = "file", value_name = "NAME=FILE")]
    files: Vec<String>,
    /// For how long the command is valid
    #[arg(long, value_name = "TIME", default_value = "5m")]
    expires: String,
    /// Id of the command, which its reply carries too; one is drawn if not given
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

pub(super) fn run(order: Order) -> ExitCode {
    match order {
        Order::Keygen { key } => keygen(&key),
        Order::Sign(sign) => match sign.message() {
            Ok((topic, payload)) => {
                let line = match sign.output {
                    Output::Human => format!("topic    {topic}\npayload  {payload}"),
                    Output::Json => json!({ "schema": "negawatt.signed-command/1", "topic": topic, "payload": payload }).to_string(),
                };
                say(&line).err().unwrap_or(ExitCode::Ok)
            }
            Err(message) => complain(&format!("error: {message}"), ExitCode::Usage),
        },
    }
}

fn keygen(path: &std::path::Path) -> ExitCode {
    match SigningKey::create(path) {
        Ok(key) => match PublicKey::from_bytes(key.public()) {
            Some(public) => say(&public.to_string()).err().unwrap_or(ExitCode::Ok),
            None => complain(&"error: this is no key of ours", ExitCode::Bug),
        },
        Err(err) => complain(&format!("error: {}", daemon::chain(&err)), ExitCode::Usage),
    }
}

impl Sign {
    /// The topic, and the message for it.
    fn message(&self) -> Result<(String, String), String> {
        let key = SigningKey::load(&self.key).map_err(|err| daemon::chain(&err))?;
        let verb = Verb::parse(&self.verb).ok_or_else(|| {
            let known: Vec<&str> = Verb::ALL.iter().map(|verb| verb.name()).collect();
            format!("`{}` is not a command; there are {}", self.verb, known.join(", "))
        })?;
        let slugs: Result<Vec<ids::Slug>, _> = self.to.split('/').map(ids::Slug::parse).collect();
        let slugs = slugs.ok().and_then(|slugs| <[ids::Slug; 3]>::try_from(slugs).ok());
        let [tenant, facility, gateway] = slugs.ok_or_else(|| format!("`{}` is not TENANT/FACILITY/GATEWAY", self.to))?;
        let path = GatewayPath { tenant, facility, gateway };
        let verb_level = ids::Slug::parse(verb.name()).map_err(|err| err.to_string())?;
        let expires: DurationText = self.expires.parse().map_err(|err| format!("--expires {}: {err}", self.expires))?;
        let issued_ms = SystemClock.now().as_millisecond();
        let id = match &self.id {
            Some(id) => id.clone(),
            None => to_hex(&daemon::entropy().map_err(|err| format!("no randomness from the system: {err}"))?),
        };
        let command = Command {
            schema: COMMAND_SCHEMA.to_owned(),
            id,
            to: path.to_string(),
            verb: verb.name().to_owned(),
            issued_ms,
            expires_ms: issued_ms.saturating_add(i64::try_from(expires.duration().as_millis()).unwrap_or(i64::MAX)),
            key: to_hex(key.public()),
            args: self.arguments()?,
        };
        let bytes = command.signed_bytes().map_err(|err| daemon::chain(&err))?;
        let signature = <[u8; 64]>::try_from(key.sign(&bytes)).map_err(|_length| "the signature has another length".to_owned())?;
        let message = command.message(&signature).map_err(|err| daemon::chain(&err))?;
        Ok((path.topic(&Channel::Command(verb_level)), message))
    }

    fn arguments(&self) -> Result<Map<String, Value>, String> {
        let split = |text: &str| {
            let parts = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            parts.ok_or_else(|| format!("`{text}` is not NAME=VALUE"))
        };
        let mut args = BTreeMap::new();
        for text in &self.args {
            let (name, value) = split(text)?;
            args.insert(name, value.parse::<i64>().map_or(Value::String(value), Value::from));
        }
        for text in &self.files {
            let (name, file) = split(text)?;
            let content = std::fs::read_to_string(&file).map_err(|err| format!("{file}: {err}"))?;
            args.insert(name, Value::String(content));
        }
        Ok(args.into_iter().collect())
    }
}
