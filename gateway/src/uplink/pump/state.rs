//! The state that the broker keeps for whoever asks how this gateway is.

use wire::{Channel, GatewayState, STATE_SCHEMA};

use super::{Connection, Leaving, Pump};
use crate::{
    remote::Active,
    uplink::{Link, Sent},
};

impl Pump {
    /// Sends the retained state, if there is news in it.
    pub(super) fn tell_state<L: Link>(&self, on: &mut Connection<L>) -> Result<(), Leaving> {
        on.state_due = false;
        let state = self.state_of(&on.active, true);
        let mut timeless = state.clone();
        if let Some(facts) = &mut timeless.facts {
            facts.at_ms = 0;
        }
        if on.told.as_ref() == Some(&timeless) {
            return Ok(());
        }
        on.told = Some(timeless);
        on.link.send(Sent::State, &Channel::State, text(&state).into_bytes()).map_err(Leaving::Link)
    }

    pub(super) fn state(&self, active: &Active, online: bool) -> String {
        text(&self.state_of(active, online))
    }

    fn state_of(&self, active: &Active, online: bool) -> GatewayState {
        GatewayState {
            schema: STATE_SCHEMA.to_owned(),
            online,
            spool_id: self.identity.spool_id.to_string(),
            boot_id: self.identity.boot_id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            facts: online.then(|| self.status.facts(active, &*self.clock)),
        }
    }
}

fn text(state: &GatewayState) -> String {
    serde_json::to_string(state).expect("texts and numbers are JSON")
}
