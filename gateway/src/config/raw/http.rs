//! `[http]`: where the gateway says how it is.

use std::net::{Ipv4Addr, SocketAddr};

use config::{Fault, Faults};
use serde::Deserialize;

/// Without an address the machine itself is told, and nobody else.
const LISTEN: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 7501);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    listen: Option<String>,
}

/// The address to listen on; `None` is a fault that was noted.
pub(super) fn check(raw: RawHttp, faults: &mut Faults) -> Option<SocketAddr> {
    let Some(text) = raw.listen else { return Some(LISTEN.into()) };
    let parsed = text.parse::<SocketAddr>().map_err(|_not_an_address| {
        Fault::at("http.listen", format_args!("`{text}` is not an address to listen on"))
            .allowed("IP:PORT, such as 127.0.0.1:7501; 0.0.0.0:7501 for every network of this machine")
    });
    faults.keep(parsed)
}
