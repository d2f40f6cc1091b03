//! The pages: made here, whole, from what is known now. No script, nothing from elsewhere, nothing that needs a wide screen.

mod checks;
mod configuration;
mod devices;
mod logs;
mod overview;
mod scan;
mod spool;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::pairing::Token;
use crate::setup::{Finding, State};

pub(super) use checks::{begin_check, begin_machine, checks};
pub(super) use configuration::{configuration, propose};
pub(super) use devices::{device, devices, read_now};
pub(super) use logs::logs;
pub(super) use overview::{overview, stranger};
pub(super) use scan::{begin_identify, begin_scan, scan};
pub(super) use spool::spool;

/// The one style sheet.
pub(super) const CSS: &str = include_str!("page/page.css");

/// Nothing but our own style sheet, and forms to ourselves; in nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const TABS: [(&str, &str); 7] = [
    ("/", "Overview"),
    ("/devices", "Devices"),
    ("/scan", "Scan"),
    ("/checks", "Checks"),
    ("/spool", "Spool"),
    ("/logs", "Logs"),
    ("/configuration", "Configuration"),
];

/// What surrounds every page.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// The address of its tab.
    pub(super) tab: &'static str,
    pub(super) title: &'a str,
    /// Seconds after which it is loaded again.
    pub(super) refresh: Option<u32>,
    /// Whose it is; nothing before pairing.
    pub(super) session: Option<&'a Token>,
    /// The gateway's name and path, for those who are paired.
    pub(super) gateway: Option<(String, String)>,
    pub(super) now: Timestamp,
}

impl Frame<'_> {
    pub(super) fn page(&self, status: StatusCode, body: &Markup) -> Response {
        let whole = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    @if let Some(seconds) = self.refresh { meta http-equiv="refresh" content=(seconds); }
                    title { (self.title) @if let Some((name, _)) = &self.gateway { " · " (name) } }
                    link rel="stylesheet" href="/page.css";
                }
                body {
                    a.skip href="#main" { "To the content" }
                    header {
                        h1 { @match &self.gateway { Some((name, _)) => { "Gateway " (name) }, None => "Negawatt gateway" } }
                        p { @if let Some((_, path)) = &self.gateway { (path) " · " } (clock(self.now)) @if let Some(seconds) = self.refresh { " · loaded again every " (seconds) " s" } }
                        @if let Some(session) = self.session {
                            nav aria-label="Pages" {
                                @for (address, name) in TABS {
                                    a href=(address) aria-current=[(address == self.tab).then_some("page")] { (name) }
                                }
                                form method="post" action="/leave" { (key(session)) button type="submit" { "Leave" } }
                            }
                        }
                    }
                    main id="main" { (body) }
                }
            }
        };
        (status, headers("text/html; charset=utf-8"), whole.0).into_response()
    }
}

/// What goes with everything that a browser gets.
pub(super) fn headers(kind: &'static str) -> [(header::HeaderName, HeaderValue); 7] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ]
}

/// What makes a form one of this session.
pub(super) fn key(session: &Token) -> Markup {
    html! { input type="hidden" name="key" value=(session.form_key()); }
}

/// Findings as the command line tells them: a word for the state, what is so, and the next step.
pub(super) fn findings(findings: &[Finding]) -> Markup {
    html! {
        ul.findings {
            @for finding in findings {
                li {
                    span class=(class(finding.state)) { (finding.state.word()) }
                    div {
                        p { (finding.says) }
                        @if !finding.check.is_empty() { p.quiet { (finding.check) @if let Some(next) = &finding.next { " · next: " (next) } } }
                    }
                }
            }
        }
    }
}

fn class(state: State) -> &'static str {
    match state {
        State::Grey => "quiet",
        State::Green => "good",
        State::Amber => "look",
        State::Red => "bad",
    }
}

/// A moment, to the second.
fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How long ago something was, in the largest unit that says enough.
fn age(at_ms: i64, now: Timestamp) -> String {
    let seconds = (now.as_millisecond() - at_ms).max(0) / 1_000;
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Bytes in the largest unit that says enough.
fn bytes(count: u64) -> String {
    match count {
        0..10_240 => format!("{count} B"),
        10_240..10_485_760 => format!("{} KiB", count >> 10),
        _ => format!("{} MiB", count >> 20),
    }
}

/// Digits in groups of three.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_short_and_never_in_the_future() {
        let now = Timestamp::from_millisecond(10_000_000_000).unwrap();
        let ago = |seconds: i64| age(now.as_millisecond() - seconds * 1_000, now);
        assert_eq!([ago(-5), ago(119), ago(120), ago(7_200), ago(200_000)], ["0 s ago", "119 s ago", "2 min ago", "2 h ago", "2 days ago"]);
        assert_eq!([bytes(512), bytes(20_480), bytes(64 << 20)], ["512 B", "20 KiB", "64 MiB"]);
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(clock(Timestamp::UNIX_EPOCH), "1970-01-01 00:00:00 UTC");
    }
}
