//! Stripe's form encoding: `metadata[invoice]=NW-1&expand[0]=charge`.

use std::fmt::Write as _;

/// One value of a form: a scalar, a list or a nested form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Text(String),
    List(Vec<Field>),
    Map(Form),
}

/// An ordered set of parameters, encoded with brackets.
///
/// Empty lists and maps have no encoding and vanish; an absent parameter and an empty one are the same to Stripe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, Field)>);

impl Form {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds any field.
    #[must_use]
    pub fn with(mut self, name: &str, field: Field) -> Self {
        self.0.push((name.to_owned(), field));
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, name: &str, text: &str) -> Self {
        self.with(name, Field::Text(text.to_owned()))
    }

    /// Adds a text if there is one.
    #[must_use]
    pub fn optional(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    /// Adds an integer.
    #[must_use]
    pub fn integer(self, name: &str, number: i64) -> Self {
        self.with(name, Field::Text(number.to_string()))
    }

    /// Adds `true` or `false`.
    #[must_use]
    pub fn flag(self, name: &str, on: bool) -> Self {
        self.text(name, if on { "true" } else { "false" })
    }

    /// Adds a list of texts.
    #[must_use]
    pub fn list(self, name: &str, texts: &[&str]) -> Self {
        self.with(name, Field::List(texts.iter().map(|text| Field::Text((*text).to_owned())).collect()))
    }

    /// Adds a nested form.
    #[must_use]
    pub fn map(self, name: &str, form: Form) -> Self {
        self.with(name, Field::Map(form))
    }

    /// Adds key-value pairs of our own.
    #[must_use]
    pub fn metadata(self, pairs: &[(String, String)]) -> Self {
        let form = pairs.iter().fold(Form::new(), |form, (key, text)| form.text(key, text));
        self.map("metadata", form)
    }

    /// The parameters in order.
    pub fn fields(&self) -> &[(String, Field)] {
        &self.0
    }

    /// The body or query text, percent-encoded, in the order the parameters were added.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        for (name, field) in &self.0 {
            write_field(&mut out, &component(name), field);
        }
        out
    }
}

fn write_field(out: &mut String, name: &str, field: &Field) {
    match field {
        Field::Text(text) => {
            if !out.is_empty() {
                out.push('&');
            }
            out.push_str(name);
            out.push('=');
            out.push_str(&component(text));
        }
        Field::List(items) => {
            for (index, item) in items.iter().enumerate() {
                write_field(out, &format!("{name}[{index}]"), item);
            }
        }
        Field::Map(form) => {
            for (key, item) in form.fields() {
                write_field(out, &format!("{name}[{}]", component(key)), item);
            }
        }
    }
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
pub(crate) fn component(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn brackets_nest() {
        let form = Form::new()
            .integer("amount", 1_250)
            .map("controller", Form::new().map("fees", Form::new().text("payer", "application")))
            .list("expand", &["balance_transaction", "customer"])
            .metadata(&[("invoice".to_owned(), "NW 2026/1 & more".to_owned())])
            .flag("confirm", true)
            .list("empty", &[]);
        assert_eq!(
            form.encode(),
            "amount=1250&controller[fees][payer]=application&expand[0]=balance_transaction&expand[1]=customer\
             &metadata[invoice]=NW%202026%2F1%20%26%20more&confirm=true"
        );
    }

    proptest! {
        #[test]
        fn only_safe_bytes_leave(name in "[a-z_]{1,8}", key in ".{1,12}", text in ".{0,40}") {
            let form = Form::new().map(&name, Form::new().text(&key, &text));
            let encoded = form.encode();
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%[]=".contains(&b)));
            prop_assert_eq!(encoded.matches('=').count(), 1);
            prop_assert_eq!(encoded.matches('[').count(), 1);
        }
    }
}
