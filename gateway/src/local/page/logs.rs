//! `/logs`: the newest lines of the log, from memory.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Query, State as Extracted},
    http::StatusCode,
    response::Response,
};
use maud::html;
use serde::Deserialize;

use super::super::{Local, guard::Paired};

/// Lines on the page.
const SHOWN_MAX: usize = 200;

#[derive(Debug, Deserialize)]
pub(in crate::local) struct Asked {
    only: Option<String>,
}

pub(in crate::local) async fn logs(
    Extracted(local): Extracted<Arc<Local>>,
    Extension(Paired(token)): Extension<Paired>,
    Query(asked): Query<Asked>,
) -> Response {
    let urgent = asked.only.as_deref() == Some("urgent");
    let lines: Vec<daemon::LogLine> =
        daemon::recent_log().into_iter().rev().filter(|line| !urgent || line.is_urgent()).take(SHOWN_MAX).collect();
    let body = html! {
        h2 { "Log" }
        p {
            @if urgent { a href="/logs" { "All lines" } " · warnings and errors only" }
            @else { "All lines · " a href="/logs?only=urgent" { "warnings and errors only" } }
        }
        @if lines.is_empty() {
            p.quiet { "Nothing was said yet." }
        } @else {
            p.quiet { "The newest first; older ones are in the journal of the machine." }
            ul.log { @for line in &lines { li {
                small {
                    (line.at.strftime("%Y-%m-%d %H:%M:%S UTC")) " "
                    span.bad[line.is_error()].look[line.is_urgent() && !line.is_error()] { (line.level.as_str().to_ascii_lowercase()) }
                }
                (line.text)
            } } }
        }
    };
    local.frame("/logs", "Log", Some(10), &token).page(StatusCode::OK, &body)
}
