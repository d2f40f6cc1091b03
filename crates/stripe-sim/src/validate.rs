//! Judges requests and replies by the published shapes.
//!
//! Request shapes are closed: an unknown parameter is refused, as Stripe refuses it. Reply shapes are open.

use serde_json::{Map, Value, json};

use crate::form::Tree;
use crate::spec::Spec;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Violation {
    /// Stripe's error code, where it has one.
    pub code: Option<&'static str>,
    /// The parameter, in brackets notation.
    pub param: String,
    pub message: String,
}

impl Violation {
    fn new(code: Option<&'static str>, param: &str, message: String) -> Self {
        Self { code, param: param.to_owned(), message }
    }
}

/// Checks the decoded form against `schema` and gives it its types: integers, booleans, lists.
pub fn request(spec: &Spec, schema: &Value, form: &Tree) -> Result<Value, Violation> {
    coerce(spec, schema, form, "")
}

fn coerce(spec: &Spec, schema: &Value, tree: &Tree, at: &str) -> Result<Value, Violation> {
    let schema = spec.resolve(schema);
    if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
        let mut first = None;
        for option in options {
            match coerce(spec, option, tree, at) {
                Ok(value) => return Ok(value),
                Err(violation) => first = first.or(Some(violation)),
            }
        }
        return Err(first.unwrap_or_else(|| Violation::new(None, at, format!("Invalid {at}"))));
    }
    if let Some(constant) = schema.get("const") {
        let same = matches!((constant.as_str(), tree), (Some(want), Tree::Text(text)) if want == text);
        return if same { Ok(constant.clone()) } else { Err(Violation::new(None, at, format!("Invalid {at}"))) };
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => object(spec, schema, tree, at),
        Some("array") => array(spec, schema, tree, at),
        Some(scalar) => match tree {
            Tree::Text(text) => scalar_of(schema, scalar, text, at),
            Tree::List(_) | Tree::Map(_) => Err(Violation::new(None, at, format!("Invalid {scalar}: {at}"))),
        },
        None => match tree {
            Tree::Text(text) => Ok(json!(text)),
            Tree::List(_) | Tree::Map(_) => Err(Violation::new(None, at, format!("Invalid value: {at}"))),
        },
    }
}

fn scalar_of(schema: &Value, kind: &str, text: &str, at: &str) -> Result<Value, Violation> {
    if text.is_empty() {
        let message = format!(
            "You passed an empty string for '{at}'. We assume empty values are an attempt to unset a parameter; however '{at}' cannot be unset."
        );
        return Err(Violation::new(Some("parameter_invalid_empty"), at, message));
    }
    match kind {
        "integer" => match text.parse::<i64>() {
            Ok(number) => Ok(json!(number)),
            Err(_) => Err(Violation::new(Some("parameter_invalid_integer"), at, format!("Invalid integer: {text}"))),
        },
        "number" => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(json!(number)),
            _ => Err(Violation::new(None, at, format!("Invalid decimal: {text}"))),
        },
        "boolean" => match text {
            "true" => Ok(json!(true)),
            "false" => Ok(json!(false)),
            _ => Err(Violation::new(None, at, format!("Invalid boolean: {text}"))),
        },
        _ => {
            if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
                && !allowed.iter().any(|word| word == text)
            {
                let words: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
                let message = format!("Invalid {at}: must be one of {}", words.join(", "));
                return Err(Violation::new(None, at, message));
            }
            Ok(json!(text))
        }
    }
}

fn object(spec: &Spec, schema: &Value, tree: &Tree, at: &str) -> Result<Value, Violation> {
    let Tree::Map(map) = tree else {
        return Err(Violation::new(None, at, "Invalid object".to_owned()));
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let additional = schema.get("additionalProperties");
    let mut out = Map::new();
    for (key, inner) in map {
        let param = if at.is_empty() { key.clone() } else { format!("{at}[{key}]") };
        let inner_schema = match (properties.and_then(|known| known.get(key)), additional) {
            (Some(known), _) => known,
            (None, Some(open)) if open.is_object() => open,
            _ => {
                let message = format!("Received unknown parameter: {param}");
                return Err(Violation::new(Some("parameter_unknown"), &param, message));
            }
        };
        out.insert(key.clone(), coerce(spec, inner_schema, inner, &param)?);
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !out.contains_key(name) {
            let param = if at.is_empty() { name.to_owned() } else { format!("{at}[{name}]") };
            let message = format!("Missing required param: {param}.");
            return Err(Violation::new(Some("parameter_missing"), &param, message));
        }
    }
    let most = schema.get("maxProperties").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok());
    if most.is_some_and(|most| out.len() > most) {
        return Err(Violation::new(None, at, format!("Too many keys in {at}")));
    }
    Ok(Value::Object(out))
}

fn array(spec: &Spec, schema: &Value, tree: &Tree, at: &str) -> Result<Value, Violation> {
    let invalid = || Violation::new(None, at, "Invalid array".to_owned());
    let items: Vec<&Tree> = match tree {
        Tree::List(items) => items.iter().collect(),
        Tree::Map(map) => {
            let mut indexed: Vec<(usize, &Tree)> = Vec::new();
            for (key, item) in map {
                indexed.push((key.parse().map_err(|_not_an_index| invalid())?, item));
            }
            indexed.sort_by_key(|(index, _)| *index);
            indexed.into_iter().map(|(_, item)| item).collect()
        }
        Tree::Text(_) => return Err(invalid()),
    };
    let inner = schema.get("items").unwrap_or(&Value::Null);
    let coerced = items.iter().enumerate().map(|(index, item)| coerce(spec, inner, item, &format!("{at}[{index}]")));
    coerced.collect::<Result<Vec<Value>, Violation>>().map(Value::Array)
}

/// Checks a reply against `schema`; the error is the path and what was expected there.
pub fn reply(spec: &Spec, schema: &Value, value: &Value) -> Result<(), String> {
    check(spec, schema, value, "")
}

fn check(spec: &Spec, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = spec.resolve(schema);
    if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
        let mut reasons = Vec::new();
        for option in options {
            match check(spec, option, value, at) {
                Ok(()) => return Ok(()),
                Err(reason) => reasons.push(reason),
            }
        }
        return Err(format!("{at}: none of: {}", reasons.join(" | ")));
    }
    if let Some(constant) = schema.get("const")
        && constant != value
    {
        return Err(format!("{at}: {value} is not {constant}"));
    }
    if let Some(kinds) = schema.get("type") {
        let allowed = match kinds {
            Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
            kind => is(kind, value),
        };
        if !allowed {
            return Err(format!("{at}: {value} is not of type {kinds}"));
        }
    }
    match value {
        Value::Object(map) => {
            for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
                if name.as_str().is_some_and(|name| !map.contains_key(name)) {
                    return Err(format!("{at}: {name} is missing"));
                }
            }
            let properties = schema.get("properties").and_then(Value::as_object);
            let additional = schema.get("additionalProperties").filter(|open| open.is_object());
            for (name, inner) in map {
                if let Some(inner_schema) = properties.and_then(|known| known.get(name)).or(additional) {
                    check(spec, inner_schema, inner, &format!("{at}/{name}"))?;
                }
            }
            Ok(())
        }
        Value::Array(items) => match schema.get("items") {
            Some(inner) => items.iter().enumerate().try_for_each(|(index, item)| check(spec, inner, item, &format!("{at}/{index}"))),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::decode;

    fn judge(method: &str, path: &str, form: &str) -> Result<Value, Violation> {
        let spec = Spec::get();
        let (operation, _) = spec.operation(method, path).unwrap();
        request(spec, operation.params(), &decode(form).unwrap())
    }

    #[test]
    fn types_are_given() {
        let params =
            judge("POST", "/v1/payment_intents", "amount=100&currency=usd&confirm=true&allowed_payment_method_types[0]=card&metadata[0]=x")
                .unwrap();
        assert_eq!(
            params,
            json!({ "amount": 100, "currency": "usd", "confirm": true, "allowed_payment_method_types": ["card"], "metadata": { "0": "x" } })
        );
        let range = judge("GET", "/v1/events", "created[gte]=5&types[]=transfer.created").unwrap();
        assert_eq!(range, json!({ "created": { "gte": 5 }, "types": ["transfer.created"] }));
        assert_eq!(judge("GET", "/v1/events", "created=5").unwrap(), json!({ "created": 5 }));
    }

    #[test]
    fn violations_are_named() {
        let cases = [
            ("currency=usd", "amount", Some("parameter_missing")),
            ("amount=1.5&currency=usd", "amount", Some("parameter_invalid_integer")),
            ("amount=1&currency=usd&payment_method_types[]=card", "payment_method_types", Some("parameter_unknown")),
            ("amount=1&currency=usd&confirm=yes", "confirm", None),
            ("amount=1&currency=usd&capture_method=later", "capture_method", None),
            ("amount=1&currency=", "currency", Some("parameter_invalid_empty")),
            ("amount=1&currency=usd&metadata[a][b]=c", "metadata[a]", None),
            ("amount=1&currency=usd&allowed_payment_method_types[]=barter", "allowed_payment_method_types[0]", None),
        ];
        for (form, param, code) in cases {
            let violation = judge("POST", "/v1/payment_intents", form).unwrap_err();
            assert_eq!((violation.param.as_str(), violation.code), (param, code), "{form}");
        }
    }
}
