//! `[broker]`: where readings go.

use std::time::Duration;

use config::{ByteSizeText, DurationText, Fault, Faults, FromMachine, SecretRef};
use serde::Deserialize;

use super::{super::BrokerConfig, schedule::DurationTextOf};
use crate::modbus::host_and_port;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBroker {
    url: String,
    client_id: Option<String>,
    username: Option<String>,
    password: Option<SecretRef>,
    keep_alive: Option<DurationText>,
    ack_timeout: Option<DurationText>,
    window: Option<ByteSizeText>,
}

pub(super) fn check(raw: RawBroker, gateway: &str, faults: &mut Faults) -> Option<BrokerConfig> {
    let address = match raw.url.split_once("://") {
        Some(("mqtt" | "tcp", address)) => {
            let address = address.trim_end_matches('/');
            let address = if address.contains(':') { address.to_owned() } else { format!("{address}:1883") };
            host_and_port(&address).map_err(|err| Fault::at("broker.url", err)).map(|address| address.trim_end_matches('/').to_owned())
        }
        _ => Err(Fault::at("broker.url", format_args!("`{}` does not name a broker", raw.url))
            .allowed("mqtt://HOST:PORT, the usual port is 1883")),
    };
    let address = faults.keep(address);
    let password = raw.password.map(|password| {
        let place = password.place();
        let resolved = password.resolve(&FromMachine);
        resolved.map_err(|err| Fault::at("broker.password", daemon::chain(&err)).help(format_args!("provide the {place} to the gateway")))
    });
    let password = password.map(|resolved| faults.keep(resolved));
    let keep_alive = raw.keep_alive.map_or(Duration::from_secs(30), Duration::from);
    if keep_alive < Duration::from_secs(5) || keep_alive > Duration::from_secs(3_600) {
        faults.add(
            Fault::at("broker.keep_alive", format_args!("{} is no useful time between pings", DurationTextOf(keep_alive)))
                .allowed("5s to 1h"),
        );
        return None;
    }
    let ack_timeout = raw.ack_timeout.map_or(Duration::from_secs(2), Duration::from);
    if ack_timeout < Duration::from_millis(100) {
        faults.add(Fault::at("broker.ack_timeout", "this would send everything again and again").allowed("at least 100ms"));
        return None;
    }
    let address = address?;
    let (host, port) = address.rsplit_once(':')?;
    let password = match password {
        Some(kept) => Some(kept?),
        None => None,
    };
    Some(BrokerConfig {
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: port.parse().ok()?,
        client_id: raw.client_id.unwrap_or_else(|| format!("negawatt-gateway-{gateway}")),
        username: raw.username,
        password,
        keep_alive,
        ack_timeout,
        window_bytes: raw.window.map_or(16 << 20, ByteSizeText::bytes),
    })
}
