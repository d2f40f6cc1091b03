//! The tar archive, in the one way we write it.
//!
//! Plain ustar: regular files, mode 0644, owner 0, time 0, no names of people. What is read is written again, header by
//! header, and compared, so that no byte of a bundle is without a meaning.

use std::ops::Range;

use crate::error::BundleError;

const BLOCK: usize = 512;
const NAME_MAX: usize = 99;

/// A member, where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) range: Range<usize>,
}

/// Writes members in the given order.
pub(crate) fn write<'a>(members: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    for (name, content) in members {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(allowed) {
            return Err(BundleError::Name(name.to_owned()));
        }
        bytes.extend_from_slice(&header(name.as_bytes(), u64::try_from(content.len()).unwrap_or(u64::MAX)));
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    Ok(bytes)
}

/// Finds the members, and the first byte that we would have written differently.
pub(crate) fn walk(bytes: &[u8]) -> Result<Vec<Entry>, BundleError> {
    let looks_right = bytes.starts_with(b"manifest.json\0") || bytes.get(257..263) == Some(b"ustar\0");
    if !looks_right {
        return Err(BundleError::NotABundle);
    }
    let truncated = |member: String| BundleError::Truncated { length: bytes.len(), member };
    let mut entries: Vec<Entry> = Vec::new();
    let mut offset = 0;
    loop {
        let after = entries.last().map_or_else(|| "manifest.json".to_owned(), |entry| format!("what follows {}", entry.name));
        let Some(found) = bytes.get(offset..offset + BLOCK) else { return Err(truncated(after)) };
        if found.iter().all(|byte| *byte == 0) {
            return end(bytes, offset + BLOCK).map(|()| entries);
        }
        let raw_name = found.get(..100).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
        let name = if raw_name.is_empty() { after } else { String::from_utf8_lossy(raw_name).into_owned() };
        let size = octal(found.get(124..135).unwrap_or_default());
        let expected = header(raw_name, size);
        if let Some(index) = found.iter().zip(&expected).position(|(found, expected)| found != expected) {
            let byte = |block: &[u8]| block.get(index).copied().unwrap_or_default();
            return Err(BundleError::Header { member: name, offset: offset + index, found: byte(found), expected: byte(&expected) });
        }
        let begin = offset + BLOCK;
        let range = usize::try_from(size).ok().and_then(|size| begin.checked_add(size)).map(|end| begin..end);
        let Some(range) = range.filter(|range| range.end <= bytes.len()) else { return Err(truncated(name)) };
        let padded = range.end.next_multiple_of(BLOCK);
        let Some(padding) = bytes.get(range.end..padded) else { return Err(truncated(name)) };
        if let Some(index) = padding.iter().position(|byte| *byte != 0) {
            let found = padding.get(index).copied().unwrap_or_default();
            return Err(BundleError::Padding { member: name, offset: range.end + index, found });
        }
        offset = padded;
        entries.push(Entry { name, range });
    }
}

/// The second block of the end, and nothing behind it.
fn end(bytes: &[u8], offset: usize) -> Result<(), BundleError> {
    let member = "the end of the archive".to_owned();
    let Some(block) = bytes.get(offset..offset + BLOCK) else {
        return Err(BundleError::Truncated { length: bytes.len(), member });
    };
    if let Some(index) = block.iter().position(|byte| *byte != 0) {
        let found = block.get(index).copied().unwrap_or_default();
        return Err(BundleError::Padding { member, offset: offset + index, found });
    }
    if bytes.len() > offset + BLOCK { Err(BundleError::Trailing { offset: offset + BLOCK }) } else { Ok(()) }
}

/// A size field; what is no octal number counts as zero, and the header then differs from ours.
fn octal(digits: &[u8]) -> u64 {
    std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 8).ok()).unwrap_or(0)
}

fn header(name: &[u8], size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        for (to, from) in block.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    };
    put(0, name);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    for (to, from) in block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").as_bytes()) {
        *to = *from;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn members_come_back_where_they_were_put(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1500), 0..6)) {
            let mut members = vec![("manifest.json".to_owned(), b"{}".to_vec())];
            members.extend(contents.into_iter().enumerate().map(|(index, content)| (format!("rows/{index}.csv"), content)));
            let bytes = write(members.iter().map(|(name, content)| (name.as_str(), content.as_slice()))).unwrap();
            let entries = walk(&bytes).unwrap();
            prop_assert_eq!(entries.len(), members.len());
            for (entry, (name, content)) in entries.iter().zip(&members) {
                prop_assert_eq!(&entry.name, name);
                prop_assert_eq!(&bytes[entry.range.clone()], content.as_slice());
            }
        }
    }

    #[test]
    fn names_that_could_leave_the_folder_or_the_header_are_refused() {
        let long = "x".repeat(100);
        for name in ["", "a b", "ä", long.as_str()] {
            assert!(matches!(write([(name, &b""[..])]), Err(BundleError::Name(_))), "{name}");
        }
    }
}
