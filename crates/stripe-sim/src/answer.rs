//! Replies, and the errors as Stripe words them.

use serde_json::{Value, json};

/// A reply before it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// Whether execution had begun, so that an idempotency key keeps this answer.
    pub(crate) stored: bool,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self { status: 200, body, stored: true }
    }
}

/// A refusal: an error in Stripe's JSON shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal(pub(crate) Box<Answer>);

impl Refusal {
    pub(crate) fn new(status: u16, kind: &str, code: Option<&str>, message: &str) -> Self {
        let mut error = json!({ "type": kind, "message": message });
        if let Some(code) = code {
            error["code"] = json!(code);
            error["doc_url"] = json!(format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-")));
        }
        Self(Box::new(Answer { status, body: json!({ "error": error }), stored: false }))
    }

    /// A request that is wrong in itself.
    pub(crate) fn invalid(code: Option<&str>, message: &str) -> Self {
        Self::new(400, "invalid_request_error", code, message)
    }

    pub(crate) fn missing(kind: &str, id: &str, param: &str) -> Self {
        let status = if param == "id" { 404 } else { 400 };
        Self::new(status, "invalid_request_error", Some("resource_missing"), &format!("No such {kind}: '{id}'")).param(param)
    }

    pub(crate) fn param(mut self, param: &str) -> Self {
        self.0.body["error"]["param"] = json!(param);
        self
    }

    /// Adds a field to the error object.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.0.body["error"][name] = value;
        self
    }

    /// The refusal came from executing, not from validating: an idempotency key keeps it.
    pub(crate) fn executed(mut self) -> Self {
        self.0.stored = true;
        self
    }
}

/// A text member of an object.
pub(crate) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// An integer member of an object; absent counts as zero.
pub(crate) fn int(object: &Value, name: &str) -> i64 {
    object.get(name).and_then(Value::as_i64).unwrap_or(0)
}

/// A member, or null.
pub(crate) fn member(object: &Value, name: &str) -> Value {
    object.get(name).cloned().unwrap_or(Value::Null)
}

/// A member, or an empty object: metadata.
pub(crate) fn metadata(params: &Value) -> Value {
    match params.get("metadata") {
        Some(Value::Object(map)) => Value::Object(map.clone()),
        _ => json!({}),
    }
}
