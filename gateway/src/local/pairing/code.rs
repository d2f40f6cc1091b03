//! The code itself: eight characters that nobody mistakes for others.

use std::{fmt, io};

/// Digits and letters without 0 O, 1 I L, and U, which looks like V in handwriting.
const ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 8;

/// A code to be typed once. 30 to the 8th of them: 39 bits, of which five may be tried in five minutes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Code([u8; LENGTH]);

impl Code {
    /// Draws one; every code is as likely as every other.
    pub(super) fn draw() -> io::Result<Self> {
        let mut code = Vec::with_capacity(LENGTH);
        while code.len() < LENGTH {
            // 240 is the largest multiple of 30 in a byte: what is above would favour some characters.
            let drawn = daemon::entropy()?.into_iter().filter(|byte| *byte < 240);
            code.extend(drawn.filter_map(|byte| ALPHABET.get(usize::from(byte % 30))).copied());
        }
        code.truncate(LENGTH);
        <[u8; LENGTH]>::try_from(code).map(Self).map_err(|_length| io::Error::other("a code has another length"))
    }

    /// Reads what somebody typed: case, spaces and dashes do not count.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let typed: Vec<u8> = text
            .bytes()
            .filter(|byte| !matches!(byte, b' ' | b'-' | b'\t' | b'\r' | b'\n'))
            .map(|byte| byte.to_ascii_uppercase())
            .collect();
        let code = <[u8; LENGTH]>::try_from(typed).ok()?;
        code.iter().all(|byte| ALPHABET.contains(byte)).then_some(Self(code))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// In two groups of four, as it is read aloud.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            if position == LENGTH / 2 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(*byte))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
