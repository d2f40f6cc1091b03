//! `[http]`: where the gateway says how it is.

use std::net::SocketAddr;

use config::{Fault, Faults};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    listen: Option<String>,
}

/// An address to listen on, if one is wanted; `None` is a fault that was noted.
pub(super) fn check(raw: RawHttp, faults: &mut Faults) -> Option<Option<SocketAddr>> {
    let Some(text) = raw.listen else { return Some(None) };
    let parsed = text.parse::<SocketAddr>().map_err(|_not_an_address| {
        Fault::at("http.listen", format_args!("`{text}` is not an address to listen on")).allowed("IP:PORT, such as 127.0.0.1:7501")
    });
    faults.keep(parsed).map(Some)
}
