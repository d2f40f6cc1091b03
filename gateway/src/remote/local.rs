//! A configuration that comes from whoever stands beside the gateway: the same trial as one from afar.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{Refusal, Remote, apply::Staged, apply::fixed, versions};
use crate::config::Config;

/// Configurations that may wait.
pub(crate) const PROPOSALS_MAX: usize = 1;
/// How long one has to prove itself where `commands.confirm_within` does not say.
const CONFIRM_WITHIN: Duration = Duration::from_secs(300);

/// A configuration to be tried.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) text: String,
    /// Gets the version that it is tried as, and for how long; or why not.
    pub(crate) reply: oneshot::Sender<Result<(u64, Duration), String>>,
}

impl Remote {
    pub(super) async fn consider(&mut self, proposal: Proposal) {
        let Proposal { text, reply } = proposal;
        let staged = self.propose(&text).map_err(|refusal| refusal.detail);
        if let Err(detail) = &staged {
            tracing::warn!(detail, "a configuration from the local page was not taken");
        }
        // Whoever asked may have gone; what was staged is tried all the same.
        drop(reply.send(staged));
        self.begin_trial().await;
    }

    /// Takes a configuration on trial. Where the broker cannot be reached now, that it cannot be reached then proves nothing.
    fn propose(&mut self, text: &str) -> Result<(u64, Duration), Refusal> {
        if let Some(version) = self.on_trial() {
            return Err(Refusal::refused(
                "busy",
                format_args!("version {version} is on trial: wait until it has proven itself or has gone"),
            ));
        }
        let before = self.active();
        let version = self.kept.versions.highest() + 1;
        let parsed = Config::parse(&versions::named(version), text);
        let config = parsed.map_err(|faults| Refusal::refused("configuration", faults))?;
        fixed(&before.config, &config)?;
        if config.text_hash() == before.config.text_hash() {
            return Err(Refusal::refused("same", "this is the configuration that is followed already"));
        }
        let asked = before.config.commands.as_ref().map(|rules| rules.confirm_within);
        let confirm_within = asked.unwrap_or(CONFIRM_WITHIN.max(config.interval * 2));
        self.kept.versions.stage(version, text, &self.base).map_err(|err| Refusal::failed("disk", err))?;
        let config = Config { file: before.config.file.clone(), ..config };
        let uplink = self.status.snapshot().connected;
        self.staged = Some(Staged { config, version, before, confirm_within, uplink });
        tracing::info!(config.version = version, "a configuration came from the local page");
        Ok((version, confirm_within))
    }
}
