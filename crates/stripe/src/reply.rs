//! Reading Stripe's error replies.

use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::error::{CardDecline, RateLimit, StripeError};

#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    error: ErrorDetail,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorDetail {
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    decline_code: Option<String>,
    advice_code: Option<String>,
    message: Option<String>,
    param: Option<String>,
    charge: Option<String>,
    payment_intent: Option<IntentReference>,
}

#[derive(Debug, Deserialize)]
struct IntentReference {
    id: String,
}

/// The typed error of a reply that is not 2xx. Total: a body that is no JSON (a proxy's page) is judged by its status.
pub(crate) fn error(status: u16, headers: &HeaderMap, body: &[u8]) -> StripeError {
    let detail = serde_json::from_slice::<ErrorBody>(body).unwrap_or_default().error;
    let message = detail.message.unwrap_or_else(|| "without message".to_owned());
    let request_id = header(headers, "request-id").map(str::to_owned);
    let code = detail.code.as_deref();
    match status {
        409 if matches!(code, Some("idempotency_key_in_use") | None) => StripeError::KeyInUse,
        429 => {
            let limit = if code == Some("lock_timeout") { RateLimit::Lock } else { RateLimit::Calls };
            StripeError::RateLimited { limit, message }
        }
        401 | 403 => StripeError::Authentication { status, message },
        500.. => {
            let replayed = header(headers, "idempotent-replayed") == Some("true");
            StripeError::Api { status, message, request_id, replayed }
        }
        _ if detail.kind == "idempotency_error" => StripeError::KeyReused { message },
        _ if detail.kind == "card_error" => StripeError::Card(Box::new(CardDecline {
            code: detail.code.unwrap_or_default(),
            decline_code: detail.decline_code,
            advice_code: detail.advice_code,
            message,
            charge: detail.charge,
            payment_intent: detail.payment_intent.map(|intent| intent.id),
        })),
        _ => StripeError::InvalidRequest { status, code: detail.code, param: detail.param, message, request_id },
    }
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Outcome;

    fn read(status: u16, body: &str) -> StripeError {
        error(status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn each_family_is_told_apart() {
        let decline = read(
            402,
            r#"{"error":{"type":"card_error","code":"card_declined","decline_code":"lost_card","payment_intent":{"id":"pi_1"}}}"#,
        );
        assert!(matches!(&decline, StripeError::Card(d) if d.payment_intent.as_deref() == Some("pi_1")));
        assert_eq!((decline.outcome(), decline.is_retryable()), (Outcome::Refused, false));
        assert!(matches!(read(409, r#"{"error":{"code":"idempotency_key_in_use"}}"#), StripeError::KeyInUse));
        assert!(matches!(read(400, r#"{"error":{"type":"idempotency_error"}}"#), StripeError::KeyReused { .. }));
        assert!(matches!(read(429, r#"{"error":{"code":"lock_timeout"}}"#), StripeError::RateLimited { limit: RateLimit::Lock, .. }));
        assert!(matches!(read(400, r#"{"error":{"type":"invalid_request_error","code":"parameter_unknown","param":"x"}}"#),
            StripeError::InvalidRequest { param: Some(p), .. } if p == "x"));
        let page = read(502, "<html>bad gateway</html>");
        assert_eq!((page.outcome(), page.is_retryable()), (Outcome::Unknown, true));
    }
}
