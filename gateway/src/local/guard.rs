//! Who may pass: paired browsers that ask for this machine by a name that nobody else can claim, with forms of their own session.

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

use super::{Local, pairing::Token};

/// Longest form: a configuration, every byte of it written as three.
pub(super) const FORM_BYTES_MAX: usize = 768 << 10;
/// What the cookie is called.
pub(super) const COOKIE: &str = "negawatt_gateway";

/// The session behind a request that passed.
#[derive(Clone, Debug)]
pub(super) struct Paired(pub(super) Token);

/// What a form says.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// What a field says, or nothing.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// The session of a browser, if it is paired.
pub(super) fn session(local: &Local, headers: &HeaderMap) -> Option<Token> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    let ours = cookies.filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    ours.filter_map(Token::parse).find(|token| local.pairing.is_paired(token, local.clock.now()))
}

/// Before everything but health.
pub(super) async fn known_by_name(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !is_ours(host) {
        let says = format!(
            "`{host}` may be somebody else's name for this machine: use its address, such as http://192.168.1.5:7501/, or its name in the local network\n"
        );
        return (StatusCode::MISDIRECTED_REQUEST, says).into_response();
    }
    // Browsers say where a form comes from; older ones say nothing, and the form's own key decides.
    let from = request.headers().get("sec-fetch-site").and_then(|from| from.to_str().ok());
    if request.method() == Method::POST && from.is_some_and(|from| !matches!(from, "same-origin" | "none")) {
        return (StatusCode::FORBIDDEN, "this form comes from another page\n").into_response();
    }
    next.run(request).await
}

/// Before everything that only paired browsers may see or do.
pub(super) async fn paired(State(local): State<Arc<Local>>, mut request: Request, next: Next) -> Response {
    let Some(token) = session(&local, request.headers()) else {
        let is_look = matches!(*request.method(), Method::GET | Method::HEAD);
        let refusal = || (StatusCode::FORBIDDEN, "this browser is not paired with the gateway\n").into_response();
        return if is_look { Redirect::to("/").into_response() } else { refusal() };
    };
    if request.method() == Method::POST {
        let (parts, body) = request.into_parts();
        let Ok(bytes) = to_bytes(body, FORM_BYTES_MAX).await else {
            return (StatusCode::PAYLOAD_TOO_LARGE, "this form is too long\n").into_response();
        };
        let fields = Fields::parse(&bytes);
        if !token.is_form_key(fields.get("key")) {
            return (StatusCode::FORBIDDEN, "this form is of another session: load the page again\n").into_response();
        }
        request = Request::from_parts(parts, Body::empty());
        request.extensions_mut().insert(fields);
    }
    request.extensions_mut().insert(Paired(token));
    next.run(request).await
}

/// Whether a name in `Host` is one that a stranger cannot point at this machine: addresses, and names that exist in local networks
/// only. Otherwise a page from afar could have the browser ask us in its name.
fn is_ours(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let local = [".local", ".lan", ".internal", ".localhost", ".home.arpa"];
    !name.is_empty() && (name.parse::<IpAddr>().is_ok() || !name.contains('.') || local.iter().any(|ending| name.ends_with(ending)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_cannot_name_this_machine() {
        for ours in ["127.0.0.1:7501", "192.168.1.5", "[::1]:7501", "[fe80::1]", "localhost:7501", "gw-1", "gw-1.local:80", "GW-1.LAN."] {
            assert!(is_ours(ours), "{ours}");
        }
        for strange in ["", "evil.example", "127.0.0.1.evil.example", "local", "evil.example:7501", "a.local.evil.example"] {
            assert_eq!(is_ours(strange), strange == "local", "{strange}");
        }
    }

    #[test]
    fn fields_are_what_was_typed() {
        let fields = Fields::parse(b"key=ab&toml=%5Bgateway%5D%0D%0Aid+%3D+%22gw%22&key=other");
        assert_eq!((fields.get("key"), fields.get("toml"), fields.get("nothing")), ("ab", "[gateway]\r\nid = \"gw\"", ""));
    }
}
