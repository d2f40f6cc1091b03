//! The file as it is written, and what makes it a configuration: one file for each table of it.

mod broker;
mod bus;
mod commands;
mod device;
mod http;
mod profiles;
mod schedule;
mod shelf;
mod spool;
mod tls;

use std::{path::PathBuf, time::Duration};

use config::{DurationText, Fault, Faults};
use ids::Slug;
use jiff::Timestamp;
use serde::Deserialize;
use wire::GatewayPath;

use self::{broker::RawBroker, bus::RawBus, commands::RawCommands, http::RawHttp, schedule::RawPoll, spool::RawSpool};
use super::Config;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    gateway: RawGateway,
    broker: RawBroker,
    #[serde(default)]
    poll: RawPoll,
    #[serde(default)]
    spool: RawSpool,
    commands: Option<RawCommands>,
    http: Option<RawHttp>,
    #[serde(default)]
    bus: Vec<RawBus>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGateway {
    tenant: String,
    facility: String,
    id: String,
    data_dir: PathBuf,
    /// Folder of the user's own profiles.
    profiles: Option<PathBuf>,
}

/// Checks everything, and notes every fault. Certificates are judged at `now`, if the time is known and matters.
pub(super) fn validate(raw: Raw, now: Option<Timestamp>, faults: &mut Faults) -> Option<Config> {
    let mut slug = |key: &str, text: &str| {
        let checked = Slug::parse(text).map_err(|err| Fault::at(key, err));
        faults.keep(checked)
    };
    let tenant = slug("gateway.tenant", &raw.gateway.tenant);
    let facility = slug("gateway.facility", &raw.gateway.facility);
    let gateway = slug("gateway.id", &raw.gateway.id);
    let own_profiles = raw.gateway.profiles.as_deref().map(|folder| profiles::load(folder, faults)).unwrap_or_default();
    let broker = broker::check(raw.broker, &raw.gateway.id, now, faults);
    let interval = schedule::check_interval("poll.interval", raw.poll.interval.unwrap_or(DurationText::from_secs(60)), faults);
    let spool = spool::check(&raw.spool, faults);
    let listen = raw.http.map(|raw| http::check(raw, faults));
    let commands = raw.commands.map(|raw| commands::check(raw, interval, faults));
    let gateway_name = format!("{}/{}/{}", raw.gateway.tenant, raw.gateway.facility, raw.gateway.id);
    let buses = bus::check(raw.bus, &gateway_name, &own_profiles, interval, faults);
    let commands = match commands {
        Some(checked) => Some(checked?),
        None => None,
    };
    let listen = match listen {
        Some(checked) => Some(checked?),
        None => None,
    };
    Some(Config {
        path: GatewayPath { tenant: tenant?, facility: facility?, gateway: gateway? },
        data_dir: raw.gateway.data_dir,
        listen,
        broker: broker?,
        interval: interval?,
        jitter_budget: raw.poll.jitter_budget.map_or(schedule::JITTER_BUDGET, Duration::from),
        spool: spool?,
        commands,
        buses: buses?,
        file: None,
        text: "".into(),
        text_hash: [0; 32],
    })
}
