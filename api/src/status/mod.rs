//! The status page: one page that says how things stand, readable without JavaScript.
//!
//! The page is made on the server. With JavaScript it stays live: `/v1/events` sends the same fragment again whenever
//! something changed, and forty lines of our own put it in place. Without, the page asks to be loaded again.

mod collector;
mod page;

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::Markup;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::config::StatusPage;
use crate::http::problem::Problem;
use crate::state::Api;

/// How often the live page is made again when nothing of ours changed: readings arrive all the time.
const REFRESH: Duration = Duration::from_secs(2);
/// Fragments that may wait for a slow reader; a newer one is then sent later, none piles up.
const WAITING_MAX: usize = 1;

/// The page, its stream and its two files.
pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/", get(show))
        .route("/v1/events", get(live))
        .route("/assets/page.css", get(|| asset("text/css; charset=utf-8", include_str!("page.css"))))
        .route("/assets/live.js", get(|| asset("text/javascript; charset=utf-8", include_str!("live.js"))))
}

async fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

fn allowed(api: &Api, path: &str) -> Result<(), Problem> {
    match api.status_page {
        StatusPage::Public => Ok(()),
        StatusPage::Off => Err(Problem::not_found("page", &path)),
    }
}

async fn show(State(api): State<Api>) -> Result<Response, Problem> {
    allowed(&api, "/")?;
    let facts = page::facts(&api).await?;
    let mut response = html(&page::whole(&facts));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn html(markup: &Markup) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], markup.0.clone()).into_response()
}

/// Server-sent events: the page's fragment at once, after every change, and every two seconds. With
/// `Accept: text/html` nothing streams: people who open the address get a sentence.
async fn live(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    allowed(&api, "/v1/events")?;
    if headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html")) {
        return Ok("This address is a stream of events for the status page at /\n".into_response());
    }
    let (sender, receiver) = mpsc::channel::<Result<Event, Infallible>>(WAITING_MAX);
    let mut changes = api.changes.subscribe();
    tokio::spawn(async move {
        let mut last = String::new();
        let mut number = 0_u64;
        loop {
            if let Ok(facts) = page::facts(&api).await {
                let fragment = page::fragment(&facts).0;
                if fragment != last {
                    number += 1;
                    let event = Event::default().event("status").id(number.to_string()).data(&fragment);
                    if sender.send(Ok(event)).await.is_err() {
                        return;
                    }
                    last = fragment;
                }
            }
            tokio::select! {
                () = api.stop.cancelled() => return,
                () = sender.closed() => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(REFRESH) => {}
            }
        }
    });
    let stream = Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)));
    Ok(([("x-accel-buffering", "no"), ("cache-control", "no-store")], stream).into_response())
}
