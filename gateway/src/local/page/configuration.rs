//! `/configuration`: what the gateway is told, and telling it something else: checked, tried, and taken back if it does not work.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{Extension, extract::State as Extracted, http::StatusCode, response::Response};
use maud::{Markup, html};
use tokio::{sync::oneshot, time::timeout};

use super::{
    super::{
        Local,
        guard::{Fields, Paired},
        redact::{redacted, restored},
    },
    Token, key,
};
use crate::{config::Config, remote::Proposal};

/// Longest that a browser waits to hear whether a configuration is tried.
const PATIENCE: Duration = Duration::from_secs(12);

pub(in crate::local) async fn configuration(
    Extracted(local): Extracted<Arc<Local>>,
    Extension(Paired(token)): Extension<Paired>,
) -> Response {
    let text = redacted(&local.active().config.text);
    let refresh = local.active().facts.trial.then_some(5);
    local.frame("/configuration", "Configuration", refresh, &token).page(StatusCode::OK, &body(&local, &token, &text, None))
}

/// What is said above the form.
enum Notice {
    Good(String),
    Bad(String),
}

fn body(local: &Local, token: &Token, text: &str, notice: Option<&Notice>) -> Markup {
    let active = local.active();
    let facts = &active.facts;
    let source = match (facts.version, &active.config.file) {
        (0, Some(file)) => format!("the gateway's own file, {}", file.display()),
        (0, None) => "the gateway's own".to_owned(),
        (version, _) => format!("version {version}"),
    };
    html! {
        h2 { "Configuration" }
        @match notice {
            Some(Notice::Good(says)) => p.notice role="status" { (says) },
            Some(Notice::Bad(says)) => div.notice.bad role="alert" { pre { (says) } },
            None => {},
        }
        dl {
            div { dt { "followed now" } dd { (source) } }
            div { dt { "trial" } dd { @if facts.trial { span.look { "on trial" } } @else { "none" } } }
            div { dt { "hash" } dd { (facts.hash.chars().take(16).collect::<String>()) "…" } }
            @if let Some(last) = &facts.last {
                div { dt { "last tried" } dd {
                    "version " (last.version) ": "
                    @if last.applied { span.good { "stays" } } @else { span.bad { "taken back" } " " (last.reason) }
                } }
            }
        }
        @if facts.trial {
            p.notice { "It stays when a device has given a value with it, and the collector has confirmed something where the broker was connected before. Otherwise the one before is followed again." }
            pre { (text) }
        } @else {
            h2 { "Change it" }
            form method="post" action="/configuration" {
                (key(token))
                p {
                    label for="toml" { "Secrets are references, and passwords in addresses are shown as ***; what is left so stays as it is. [gateway] and [http] cannot change while the gateway runs." }
                    textarea id="toml" name="toml" spellcheck="false" autocomplete="off" required { (text) }
                }
                p { button type="submit" name="do" value="check" { "Check it" } " " button type="submit" name="do" value="try" { "Check and try it" } }
            }
        }
    }
}

pub(in crate::local) async fn propose(
    Extracted(local): Extracted<Arc<Local>>,
    Extension(Paired(token)): Extension<Paired>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let shown = fields.get("toml").replace("\r\n", "\n");
    let answer = |status, notice| {
        local.frame("/configuration", "Configuration", None, &token).page(status, &body(&local, &token, &shown, Some(&notice)))
    };
    let text = match restored(&shown, &local.active().config.text) {
        Ok(text) => text,
        Err(why) => return answer(StatusCode::UNPROCESSABLE_ENTITY, Notice::Bad(why)),
    };
    // Certificates and profiles are files: reading them may take a while.
    let checked = {
        let text = text.clone();
        tokio::task::spawn_blocking(move || Config::parse(Path::new("this text"), &text).map_err(|faults| faults.to_string())).await
    };
    match checked {
        Ok(Ok(config)) if fields.get("do") != "try" => {
            let says = format!("This configuration is right: {}. Nothing was changed.", config.extent());
            return answer(StatusCode::OK, Notice::Good(says));
        }
        Ok(Ok(_)) => {}
        Ok(Err(faults)) => return answer(StatusCode::UNPROCESSABLE_ENTITY, Notice::Bad(faults)),
        Err(err) => return answer(StatusCode::INTERNAL_SERVER_ERROR, Notice::Bad(format!("checking it failed: {err}"))),
    }
    let (reply, replied) = oneshot::channel();
    if local.proposals.try_send(Proposal { text, reply }).is_err() {
        return answer(StatusCode::CONFLICT, Notice::Bad("another configuration is being looked at".to_owned()));
    }
    match timeout(PATIENCE, replied).await {
        Ok(Ok(Ok((version, within)))) => {
            let says = format!("It is tried as version {version}, for at most {} s.", within.as_secs());
            answer(StatusCode::ACCEPTED, Notice::Good(says))
        }
        Ok(Ok(Err(why))) => answer(StatusCode::CONFLICT, Notice::Bad(why)),
        _ => answer(
            StatusCode::SERVICE_UNAVAILABLE,
            Notice::Bad("the gateway is busy with another order; see below whether it is tried".to_owned()),
        ),
    }
}
