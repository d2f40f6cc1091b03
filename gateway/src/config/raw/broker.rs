//! `[broker]`: where readings go.

use std::time::Duration;

use config::{ByteSizeText, DurationText, Fault, Faults, FromMachine, SecretRef};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    super::BrokerConfig,
    schedule::DurationTextOf,
    tls::{self, RawTls},
};
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
    spread: Option<DurationText>,
    tls: Option<RawTls>,
}

/// Longest that a gateway may wait before it sends what is new, so that not all of them send at once.
const SPREAD_MAX: Duration = Duration::from_secs(60);

pub(super) fn check(raw: RawBroker, gateway: &str, now: Option<Timestamp>, faults: &mut Faults) -> Option<BrokerConfig> {
    let (plain, secure) = (["mqtt", "tcp"], ["mqtts", "ssl"]);
    let scheme = raw.url.split_once("://").filter(|(scheme, _)| plain.contains(scheme) || secure.contains(scheme));
    let is_secure = scheme.is_some_and(|(scheme, _)| secure.contains(&scheme));
    let address = match scheme {
        // Not repeated: a name may have its password with it.
        Some((_, address)) if address.contains('@') => {
            Err(Fault::at("broker.url", "who logs in does not belong into the address").help("write broker.username and broker.password"))
        }
        Some((_, address)) => {
            let address = address.trim_end_matches('/');
            let port = if is_secure { 8_883 } else { 1_883 };
            let has_port = address.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
            let address = if has_port { address.to_owned() } else { format!("{address}:{port}") };
            host_and_port(&address).map_err(|err| Fault::at("broker.url", err)).map(|address| address.trim_end_matches('/').to_owned())
        }
        None => Err(Fault::at("broker.url", format_args!("`{}` does not name a broker", raw.url))
            .allowed("mqtt://HOST:PORT, the usual port is 1883; mqtts://HOST:PORT with TLS, the usual port is 8883")),
    };
    if raw.tls.is_some() && scheme.is_some() && !is_secure {
        let fault = Fault::at("broker.tls", "the broker is reached without TLS, so this would have no effect");
        faults.add(fault.help("write mqtts:// in broker.url, or remove the table"));
    }
    let spread = raw.spread.map_or(Duration::from_millis(250), Duration::from);
    if spread > SPREAD_MAX {
        faults.add(Fault::at("broker.spread", "readings would be late").allowed("0s to 60s"));
    }
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
    }
    let ack_timeout = raw.ack_timeout.map_or(Duration::from_secs(2), Duration::from);
    if ack_timeout < Duration::from_millis(100) {
        faults.add(Fault::at("broker.ack_timeout", "this would send everything again and again").allowed("at least 100ms"));
    }
    let host_of = |address: &str| address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']).to_owned();
    let tls = match (is_secure, &address) {
        (true, Some(address)) => Some(tls::check(raw.tls.unwrap_or_default(), &host_of(address), now, faults)),
        _ => None,
    };
    let address = address?;
    let (host, port) = address.rsplit_once(':')?;
    let password = match password {
        Some(kept) => Some(kept?),
        None => None,
    };
    let tls = match tls {
        Some(checked) => Some(checked?),
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
        spread,
        tls,
    })
}
