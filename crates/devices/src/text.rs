//! Texts in registers: what a device calls itself.

use crate::point::Table;

/// Which bytes of a register hold characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextBytes {
    /// Two characters, the first in the high byte.
    Both,
    /// Two characters, the first in the low byte.
    Swapped,
    /// One character, in the low byte.
    Low,
    /// One character, in the high byte.
    High,
}

impl TextBytes {
    /// The name used in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Swapped => "swapped",
            Self::Low => "low",
            Self::High => "high",
        }
    }

    /// Reads a text: up to the first zero byte, without blanks around it.
    ///
    /// * Errors: `None` where a byte is no printable character of ASCII, or where nothing is left: a text that is not there.
    #[must_use]
    pub fn decode(self, words: &[u16]) -> Option<String> {
        let mut text = String::new();
        for byte in words.iter().flat_map(|word| self.characters(*word)) {
            match byte {
                0 => break,
                b' '..=b'~' => text.push(char::from(byte)),
                _ => return None,
            }
        }
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn characters(self, word: u16) -> impl Iterator<Item = u8> {
        let [high, low] = word.to_be_bytes();
        let (first, second) = match self {
            Self::Both => (high, Some(low)),
            Self::Swapped => (low, Some(high)),
            Self::Low => (low, None),
            Self::High => (high, None),
        };
        std::iter::once(first).chain(second)
    }

    /// The words of a text, filled up with zeros.
    ///
    /// * Errors: `None` where the text does not fit, or has characters beyond printable ASCII.
    #[must_use]
    pub fn encode(self, text: &str, registers: u16) -> Option<Vec<u16>> {
        let bytes = text.as_bytes();
        let per_register = if matches!(self, Self::Both | Self::Swapped) { 2 } else { 1 };
        if bytes.len() > usize::from(registers) * per_register || !bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return None;
        }
        let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
        let word = |register: usize| match self {
            Self::Both => u16::from_be_bytes([at(2 * register), at(2 * register + 1)]),
            Self::Swapped => u16::from_le_bytes([at(2 * register), at(2 * register + 1)]),
            Self::Low => u16::from_be_bytes([0, at(register)]),
            Self::High => u16::from_be_bytes([at(register), 0]),
        };
        Some((0..usize::from(registers)).map(word).collect())
    }
}

/// A text that a device knows of itself, such as its serial number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextField {
    /// `manufacturer`, `model`, `serial`, `version`.
    pub id: String,
    pub table: Table,
    pub address: u16,
    pub registers: u16,
    pub bytes: TextBytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_kind() {
        assert_eq!(TextBytes::Both.decode(&[0x4232, 0x3320]), Some("B23".to_owned()));
        assert_eq!(TextBytes::Swapped.decode(&[0x3242, 0x0033]), Some("B23".to_owned()));
        assert_eq!(TextBytes::Low.decode(&[0x0042, 0x0032, 0x0033]), Some("B23".to_owned()));
        assert_eq!(TextBytes::Both.decode(&[0x4200, 0xFFFF]), Some("B".to_owned()), "what follows the end is no text");
        assert_eq!(TextBytes::Both.decode(&[0xFFFF]), None);
        assert_eq!(TextBytes::Both.decode(&[0, 0]), None);
        for bytes in [TextBytes::Both, TextBytes::Swapped, TextBytes::Low, TextBytes::High] {
            assert_eq!(bytes.decode(&bytes.encode("SN-0815 a", 9).unwrap()), Some("SN-0815 a".to_owned()));
            assert_eq!(bytes.encode("0123456789ABCDEFGHI", 9), None);
        }
    }
}
