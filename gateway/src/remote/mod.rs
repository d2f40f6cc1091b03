//! Orders from afar, and configurations that come by them or by hand while the gateway runs.
//!
//! ```text
//! command ─> signature ─> right gateway, in time, allowed, not given before ─> audit line ─> verb ─> reply
//! configuration ─> checked whole ─> kept durably, on trial ─> followed from the next sweep on
//!                   ─> well within the deadline: it stays   ─> otherwise, or after a restart: the one before
//! ```

mod apply;
pub(crate) mod durable;
mod keys;
mod local;
mod outbox;
mod seen;
mod verbs;
mod versions;

#[cfg(test)]
mod tests;

use std::{io, path::Path, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    time::{Duration, Instant, interval},
};
use tokio_util::sync::CancellationToken;
use wire::{
    Command, ConfigFacts, Reply, Urgency,
    command::{Outcome, Problem, REPLY_SCHEMA, SignedCommand},
};

pub use keys::PublicKey;
pub(crate) use local::{PROPOSALS_MAX, Proposal};
pub(crate) use outbox::{Happened, Outbox};
pub use verbs::Verb;

use crate::{
    config::{CommandsConfig, Config},
    poll::Probe,
    status::Status,
    uplink::Identity,
};
use apply::{Staged, Trial};
use seen::Seen;
use versions::Versions;

/// Commands that may wait.
pub(crate) const COMMANDS_MAX: usize = 16;
/// Devices that may wait to be read out of turn.
pub(crate) const PROBES_MAX: usize = 4;
/// How far a sender's clock may be ahead of ours.
const AHEAD_MAX_MS: i64 = 5 * 60_000;
/// Longest that a command may be valid.
const VALID_MAX_MS: i64 = 24 * 3_600_000;
/// How often a configuration on trial is looked at.
const JUDGE: Duration = Duration::from_millis(100);

/// The configuration that is followed.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) config: Config,
    /// The next number for each configuration that is followed.
    pub(crate) generation: u64,
    pub(crate) facts: ConfigFacts,
}

/// A command as the broker gave it.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) verb: String,
    pub(crate) payload: Vec<u8>,
}

/// Why something was not done.
#[derive(Debug)]
struct Refusal {
    outcome: Outcome,
    code: &'static str,
    detail: String,
}

impl Refusal {
    fn refused(code: &'static str, detail: impl std::fmt::Display) -> Self {
        Self { outcome: Outcome::Refused, code, detail: detail.to_string() }
    }

    fn failed(code: &'static str, detail: impl std::fmt::Display) -> Self {
        Self { outcome: Outcome::Failed, code, detail: detail.to_string() }
    }
}

/// What is kept on disk between two runs.
#[derive(Debug)]
pub(crate) struct Kept {
    versions: Versions,
    seen: Seen,
}

/// What a run of the gateway starts with.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) active: Active,
    pub(crate) kept: Kept,
    /// The text of the gateway's own file, as a hash.
    pub(crate) base: [u8; 32],
}

/// What the task works with.
pub(crate) struct Remote {
    pub(crate) identity: Identity,
    pub(crate) clock: Arc<dyn daemon::Clock>,
    pub(crate) status: Arc<Status>,
    pub(crate) configs: watch::Sender<Arc<Active>>,
    pub(crate) probes: mpsc::Sender<Probe>,
    pub(crate) kept: Kept,
    pub(crate) base: [u8; 32],
    /// Cancelled to start anew.
    pub(crate) restart: CancellationToken,
    pub(crate) trial: Option<Trial>,
    pub(crate) staged: Option<Staged>,
    /// Configurations from whoever stands beside the gateway.
    pub(crate) proposals: mpsc::Receiver<Proposal>,
}

/// Decides which configuration a gateway starts with, of its own and those that came by command.
pub(crate) fn start(own: Config, status: &Status, clock: &dyn daemon::Clock) -> io::Result<Start> {
    let folder = own.data_dir.join("config");
    let mut kept = Kept { versions: Versions::open(&folder)?, seen: Seen::open(&own.data_dir.join("commands"))? };
    let (base, file) = (own.text_hash(), own.file.clone());
    let chosen = kept.versions.choose(own)?;
    if let Some((kind, detail)) = chosen.told {
        tracing::warn!(detail, "the configuration is another than before");
        let happened = Happened { kind, subject: "", urgency: Urgency::Warning, detail };
        status.outbox().raise(happened, clock.now().as_millisecond());
    }
    let config = Config { file, ..chosen.config };
    let facts = apply::facts(&config, chosen.version, false, &kept.versions);
    Ok(Start { active: Active { config, generation: 1, facts }, kept, base })
}

impl Remote {
    /// Obeys until stopped.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Received>, stop: CancellationToken) {
        let mut hangup = self.active().config.file.as_deref().and_then(watch_hangup);
        let mut judge = interval(JUDGE);
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(()) = hung_up => match self.reload() {
                    Ok(_) => {}
                    Err(refusal) => tracing::error!(detail = refusal.detail, "the configuration was not read again; the one before counts"),
                },
                _ = judge.tick(), if self.trial.is_some() => self.judge(Instant::now()),
                Some(received) = commands.recv() => self.obey(received).await,
                Some(proposal) = self.proposals.recv() => self.consider(proposal).await,
            }
        }
    }

    fn active(&self) -> Arc<Active> {
        Arc::clone(&self.configs.borrow())
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    fn raise(&self, kind: &'static str, urgency: Urgency, detail: String) {
        self.status.outbox().raise(Happened { kind, subject: "", urgency, detail }, self.now_ms());
    }

    /// One command, from its bytes to its answer.
    async fn obey(&mut self, received: Received) {
        let active = self.active();
        let Some(rules) = &active.config.commands else { return };
        let signed = match Command::read(&received.payload) {
            Ok(signed) => signed,
            Err(err) => {
                // Without an id there is nobody to answer.
                tracing::warn!(verb = received.verb, error = daemon::chain(&err), "a command that cannot be read; left aside");
                return;
            }
        };
        let SignedCommand { command, .. } = &signed;
        let admitted = self.admit(rules, &received.verb, &signed);
        let done = match admitted {
            Ok(verb) => {
                tracing::info!(
                    command.id, command.verb, command.key, args = %audit(command), "command `{}` is obeyed", command.verb
                );
                self.execute(verb, command, rules).await
            }
            Err(refusal) => Err(refusal),
        };
        let (outcome, result, problem) = match done {
            Ok(result) => (Outcome::Done, result, None),
            Err(Refusal { outcome, code, detail }) => {
                tracing::warn!(command.id, command.verb, command.key, code, detail, "command `{}` was not done", command.verb);
                (outcome, serde_json::Value::Null, Some(Problem { code: code.to_owned(), detail }))
            }
        };
        let (id, verb, at_ms) = (command.id.clone(), command.verb.clone(), self.now_ms());
        self.status.outbox().reply(Reply { schema: REPLY_SCHEMA.to_owned(), id, verb, at_ms, outcome, result, problem });
        self.begin_trial().await;
    }

    /// Whether a command may be obeyed. Remembers that it was given.
    fn admit(&mut self, rules: &CommandsConfig, topic_verb: &str, signed: &SignedCommand) -> Result<Verb, Refusal> {
        let SignedCommand { command, signed: bytes, signature } = signed;
        let key = PublicKey::from_hex(&command.key).filter(|key| rules.keys.contains(key));
        let Some(key) = key else { return Err(Refusal::refused("unknown_key", "this key is not among commands.keys")) };
        if !key.verifies(bytes, signature) {
            return Err(Refusal::refused("bad_signature", "the signature is not of this command and this key"));
        }
        let own = self.active().config.path.to_string();
        if command.to != own {
            return Err(Refusal::refused("wrong_gateway", format_args!("this is {own}, and the command is for {}", command.to)));
        }
        if command.verb != topic_verb {
            return Err(Refusal::refused("wrong_topic", format_args!("the topic says `{topic_verb}`")));
        }
        let Some(verb) = Verb::parse(&command.verb) else {
            return Err(Refusal::refused("unknown_verb", format_args!("`{}` is not a command", command.verb)));
        };
        if !rules.allow.contains(&verb) {
            return Err(Refusal::refused("not_allowed", format_args!("`{}` is not in commands.allow", command.verb)));
        }
        if !self.clock.is_set() {
            return Err(Refusal::refused("clock", "the clock of this gateway is not set, so nobody can tell whether the command is old"));
        }
        let now_ms = self.now_ms();
        if command.expires_ms <= now_ms {
            return Err(Refusal::refused("expired", format_args!("it was valid until {}, and it is {now_ms}", command.expires_ms)));
        }
        let ahead = command.issued_ms > now_ms.saturating_add(AHEAD_MAX_MS);
        if ahead || command.expires_ms.saturating_sub(command.issued_ms) > VALID_MAX_MS {
            return Err(Refusal::refused("valid_too_long", "it is from the future, or valid for more than a day"));
        }
        self.kept.seen.remember(&command.id, command.expires_ms, now_ms).map_err(|err| match err {
            seen::SeenError::Write(_) => Refusal::failed("disk", daemon::chain(&err)),
            err => Refusal::refused("given_before", err),
        })?;
        Ok(verb)
    }
}

/// The arguments of a command as a line of a log: long texts are cut.
fn audit(command: &Command) -> String {
    let mut args = command.args.clone();
    for value in args.values_mut() {
        if let Some(text) = value.as_str().filter(|text| text.len() > 80) {
            *value = format!("({} bytes)", text.len()).into();
        }
    }
    serde_json::Value::Object(args).to_string()
}

fn watch_hangup(file: &Path) -> Option<tokio::signal::unix::Signal> {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
        Ok(hangup) => Some(hangup),
        Err(err) => {
            tracing::warn!(error = %err, file = %file.display(), "SIGHUP cannot be watched: a changed file is read at the next start");
            None
        }
    }
}
