//! One spelling for every document, so that equal documents have equal hashes.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A document as JSON with sorted keys, without blanks, with a line feed at the end.
///
/// * Numbers: integers as they are; floats in the shortest form that reads back the same; decimals are strings already.
pub fn canonical_json(document: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let value = serde_json::to_value(document)?;
    let mut text = Vec::new();
    put(&mut text, &value)?;
    text.push(b'\n');
    Ok(text)
}

fn put(text: &mut Vec<u8>, value: &Value) -> Result<(), serde_json::Error> {
    match value {
        Value::Array(items) => {
            text.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                put(text, item)?;
            }
            text.push(b']');
        }
        Value::Object(fields) => {
            // The map may keep another order when some other crate asks serde_json for it.
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            text.push(b'{');
            for (index, (key, field)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                serde_json::to_writer(&mut *text, key)?;
                text.push(b':');
                put(text, field)?;
            }
            text.push(b'}');
        }
        plain => serde_json::to_writer(text, plain)?,
    }
    Ok(())
}

/// SHA-256 as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value: Value = serde_json::from_str(r#"{"b":[{"z":1,"a":"x\n"}],"a":0.1}"#).unwrap();
        assert_eq!(String::from_utf8(canonical_json(&value).unwrap()).unwrap(), "{\"a\":0.1,\"b\":[{\"a\":\"x\\n\",\"z\":1}]}\n");
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
