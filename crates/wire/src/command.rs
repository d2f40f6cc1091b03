//! Orders to a gateway and its answers: JSON that a person can read, signed so that a broker cannot forge one.
//!
//! What is signed is not the bytes as sent but their canonical form, so that a message may be formatted on its way:
//! the line `negawatt.command/1`, a line feed, and the object without its `signature`, keys sorted by their bytes, no
//! white space, numbers that are whole. `proto/MESSAGES.md` describes it for others; golden bytes hold us to it.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The `schema` of a command.
pub const COMMAND_SCHEMA: &str = "negawatt.command/1";
/// The `schema` of a reply.
pub const REPLY_SCHEMA: &str = "negawatt.reply/1";
/// Largest command that is read at all; a configuration is the largest of them.
pub const COMMAND_BYTES_MAX: usize = 256 << 10;
/// Longest id of a command.
pub const COMMAND_ID_MAX: usize = 64;

/// An order to one gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// [`COMMAND_SCHEMA`].
    pub schema: String,
    /// Chosen by the sender, never used again; the reply carries it too.
    pub id: String,
    /// The gateway it is meant for: `tenant/facility/gateway`.
    pub to: String,
    /// What to do; the last level of the topic says the same.
    pub verb: String,
    /// When it was signed, in milliseconds since 1970 UTC.
    pub issued_ms: i64,
    /// From when on it must not be obeyed.
    pub expires_ms: i64,
    /// The public key it is signed with, in 64 hexadecimal digits.
    pub key: String,
    /// What the verb needs.
    pub args: Map<String, Value>,
}

/// A command as it was received: what it says, what was signed, and the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCommand {
    /// What it says.
    pub command: Command,
    /// The bytes that the signature is of.
    pub signed: Vec<u8>,
    /// Ed25519.
    pub signature: [u8; 64],
}

/// Why a message is no command.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Longer than any command.
    #[error("a command of {0} bytes; the most is {COMMAND_BYTES_MAX}")]
    TooLong(usize),
    /// Not JSON, or not this object.
    #[error("this is no {COMMAND_SCHEMA} object")]
    Shape(#[source] serde_json::Error),
    /// Of another version.
    #[error("schema `{0}` is not known here; {COMMAND_SCHEMA} is")]
    Schema(String),
    /// There is no signature, or it is not 128 hexadecimal digits.
    #[error("`signature` is not 128 hexadecimal digits")]
    Signature,
    /// A fraction somewhere, which is written differently by different programs.
    #[error("`{0}` is not a whole number; write fractions as text")]
    Fraction(String),
    /// An id that cannot be kept.
    #[error("`id` has {0} bytes; 1 to {COMMAND_ID_MAX} are allowed")]
    Id(usize),
}

impl Command {
    /// The bytes to sign.
    ///
    /// * Errors: a fraction in `args`.
    pub fn signed_bytes(&self) -> Result<Vec<u8>, CommandError> {
        signed_bytes(&serde_json::to_value(self).map_err(CommandError::Shape)?)
    }

    /// The message: the command with its signature, in the canonical form.
    pub fn message(&self, signature: &[u8; 64]) -> Result<String, CommandError> {
        let mut value = serde_json::to_value(self).map_err(CommandError::Shape)?;
        if let Value::Object(members) = &mut value {
            members.insert("signature".to_owned(), Value::String(to_hex(signature)));
        }
        let mut text = String::new();
        canonical(&value, &mut text)?;
        Ok(text)
    }

    /// Reads a message. Whether the signature is right is for the caller to find out.
    pub fn read(message: &[u8]) -> Result<SignedCommand, CommandError> {
        if message.len() > COMMAND_BYTES_MAX {
            return Err(CommandError::TooLong(message.len()));
        }
        let mut value: Value = serde_json::from_slice(message).map_err(CommandError::Shape)?;
        let signature = value.as_object_mut().and_then(|members| members.remove("signature"));
        let signed = signed_bytes(&value)?;
        let command: Command = serde_json::from_value(value).map_err(CommandError::Shape)?;
        if command.schema != COMMAND_SCHEMA {
            return Err(CommandError::Schema(command.schema));
        }
        if command.id.is_empty() || command.id.len() > COMMAND_ID_MAX {
            return Err(CommandError::Id(command.id.len()));
        }
        let signature = signature.as_ref().and_then(Value::as_str).and_then(from_hex).ok_or(CommandError::Signature)?;
        Ok(SignedCommand { command, signed, signature })
    }
}

fn signed_bytes(value: &Value) -> Result<Vec<u8>, CommandError> {
    let mut text = format!("{COMMAND_SCHEMA}\n");
    canonical(value, &mut text)?;
    Ok(text.into_bytes())
}

/// Keys sorted by their bytes, no white space, whole numbers.
fn canonical(value: &Value, text: &mut String) -> Result<(), CommandError> {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            text.push('{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                push(text, &Value::String(key.clone()));
                text.push(':');
                canonical(value, text)?;
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for (at, value) in values.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                canonical(value, text)?;
            }
            text.push(']');
        }
        Value::Number(number) if number.is_f64() => return Err(CommandError::Fraction(number.to_string())),
        scalar => push(text, scalar),
    }
    Ok(())
}

fn push(text: &mut String, scalar: &Value) {
    write!(text, "{scalar}").expect("a string takes every text");
}

/// Two hexadecimal digits a byte.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes every text");
    }
    text
}

/// As many bytes as are asked for, of two hexadecimal digits each.
#[must_use]
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let mut bytes = [0; N];
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As asked; `result` says more.
    Done,
    /// Not begun; `problem` says why.
    Refused,
    /// Begun and not done; `problem` says why.
    Failed,
}

/// The answer to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// [`REPLY_SCHEMA`].
    pub schema: String,
    /// The id of the command.
    pub id: String,
    /// Its verb.
    pub verb: String,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// What it brought.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub result: Value,
    /// What was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What was wrong with an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// For programs; does not change.
    pub code: String,
    /// For people.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn command() -> Command {
        Command {
            schema: COMMAND_SCHEMA.to_owned(),
            id: "a-1".to_owned(),
            to: "acme/hall/gw-1".to_owned(),
            verb: "replay".to_owned(),
            issued_ms: 1_764_000_000_000,
            expires_ms: 1_764_000_300_000,
            key: to_hex(&[7; 32]),
            args: json!({"to": 20, "from": 3, "why": "Prüfung \"A\"\n"}).as_object().unwrap().clone(),
        }
    }

    #[test]
    fn what_is_signed_does_not_depend_on_how_it_is_formatted() {
        let message = command().message(&[9; 64]).unwrap();
        let read = Command::read(message.as_bytes()).unwrap();
        assert_eq!((&read.command, read.signature), (&command(), [9; 64]));
        assert_eq!(read.signed, command().signed_bytes().unwrap());
        let value: Value = serde_json::from_str(&message).unwrap();
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(Command::read(pretty.as_bytes()).unwrap(), read);
        let escaped = message.replace("Prüfung", "Pr\\u00fcfung");
        assert_eq!(Command::read(escaped.as_bytes()).unwrap(), read);
    }

    #[test]
    fn what_is_no_command_is_told_why() {
        let refusal = |change: fn(&mut Map<String, Value>)| {
            let mut value: Value = serde_json::from_str(&command().message(&[9; 64]).unwrap()).unwrap();
            change(value.as_object_mut().unwrap());
            Command::read(value.to_string().as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(refusal(|it| drop(it.insert("schema".into(), json!("x/2")))), "schema `x/2` is not known here; negawatt.command/1 is");
        assert_eq!(refusal(|it| drop(it.remove("signature"))), "`signature` is not 128 hexadecimal digits");
        assert_eq!(refusal(|it| drop(it.insert("signature".into(), json!("ff")))), "`signature` is not 128 hexadecimal digits");
        assert_eq!(refusal(|it| drop(it.insert("args".into(), json!({"x": 0.5})))), "`0.5` is not a whole number; write fractions as text");
        assert_eq!(refusal(|it| drop(it.insert("id".into(), json!("")))), "`id` has 0 bytes; 1 to 64 are allowed");
        assert_eq!(refusal(|it| drop(it.insert("extra".into(), json!(1)))), "this is no negawatt.command/1 object");
        assert!(matches!(Command::read(&vec![b' '; COMMAND_BYTES_MAX + 1]), Err(CommandError::TooLong(_))));
        assert!(matches!(Command::read(b"[]"), Err(CommandError::Shape(_))));
    }
}
