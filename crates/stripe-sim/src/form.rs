//! Reading bracketed forms.

use std::collections::BTreeMap;

/// A decoded form: what the brackets say, before anybody knows the types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    Text(String),
    /// Written with empty brackets, `expand[]=`. Indexed lists are maps until a schema says otherwise.
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
}

impl Default for Tree {
    fn default() -> Self {
        Self::Map(BTreeMap::new())
    }
}

/// Decodes `a=1&b[c]=2&d[]=3`. The error names the parameter whose brackets make no sense.
pub fn decode(text: &str) -> Result<Tree, String> {
    let mut root = Tree::default();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // Brackets are split before percent-decoding, unless the client encoded the brackets themselves.
        let name = name.replace("%5B", "[").replace("%5b", "[").replace("%5D", "]").replace("%5d", "]");
        let keys = keys(&name).ok_or_else(|| name.clone())?;
        insert(&mut root, &keys, unescape(value)).ok_or(name)?;
    }
    Ok(root)
}

fn keys(name: &str) -> Option<Vec<String>> {
    let (head, mut rest) = match name.find('[') {
        Some(at) => name.split_at(at),
        None => (name, ""),
    };
    if head.is_empty() {
        return None;
    }
    let mut keys = vec![unescape(head)];
    while !rest.is_empty() {
        let (key, tail) = rest.strip_prefix('[')?.split_once(']')?;
        keys.push(unescape(key));
        rest = tail;
    }
    Some(keys)
}

fn insert(tree: &mut Tree, keys: &[String], text: String) -> Option<()> {
    let (key, rest) = keys.split_first()?;
    if key.is_empty() {
        if matches!(tree, Tree::Map(map) if map.is_empty()) {
            *tree = Tree::List(Vec::new());
        }
        let Tree::List(items) = tree else { return None };
        if rest.is_empty() {
            items.push(Tree::Text(text));
            return Some(());
        }
        let mut item = Tree::default();
        insert(&mut item, rest, text)?;
        items.push(item);
        return Some(());
    }
    let Tree::Map(map) = tree else { return None };
    if rest.is_empty() {
        let fresh = map.insert(key.clone(), Tree::Text(text));
        return fresh.is_none().then_some(());
    }
    insert(map.entry(key.clone()).or_default(), rest, text)
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = match byte {
            b'%' => bytes.get(at + 1..at + 3).and_then(|digits| {
                let mut decoded = [0];
                hex::decode_to_slice(digits, &mut decoded).ok().map(|()| decoded[0])
            }),
            _ => None,
        };
        match (byte, escaped) {
            (_, Some(decoded)) => {
                out.push(decoded);
                at += 2;
            }
            (b'+', None) => out.push(b' '),
            (other, None) => out.push(*other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_brackets_both_ways() {
        let plain = decode("metadata[a+b]=1%202&expand[]=x&expand[]=y").unwrap();
        let encoded = decode("metadata%5Ba+b%5D=1+2&expand%5B%5D=x&expand%5B%5D=y").unwrap();
        assert_eq!(plain, encoded);
        for nonsense in ["[a]=1", "a[b=1", "a=1&a[b]=2", "a[b]c=1", "a=1&a=2", "a[]=1&a[b]=2"] {
            assert!(decode(nonsense).is_err(), "{nonsense}");
        }
        assert_eq!(decode("").unwrap(), Tree::default());
    }
}
