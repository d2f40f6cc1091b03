//! Names that people choose and that travel in topics, paths and payloads.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A short name: lower-case letters, digits and hyphens, 1 to 63 of them, not starting with a hyphen.
///
/// It is safe in an MQTT topic level, a file name and a URL path without escaping. A copy is one more owner of the same text: every
/// reading carries the name of its device.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(Arc<str>);

/// Why a text is not a [`Slug`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a short name: use 1 to {} lower-case letters, digits and hyphens, not starting with a hyphen", Slug::LENGTH_MAX)]
pub struct SlugError {
    /// The text as given.
    pub found: String,
}

impl Slug {
    /// The longest slug, in characters.
    pub const LENGTH_MAX: usize = 63;

    /// Reads a slug.
    ///
    /// * Errors: [`SlugError`] names the text and the rule.
    pub fn parse(text: &str) -> Result<Self, SlugError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let valid = (1..=Self::LENGTH_MAX).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(allowed);
        if valid { Ok(Self(text.into())) } else { Err(SlugError { found: text.to_owned() }) }
    }

    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for Slug {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Slug {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = SlugError;

    fn from_str(text: &str) -> Result<Self, SlugError> {
        Self::parse(text)
    }
}

crate::as_text!(Slug);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_is_safe_in_a_topic_passes() {
        for good in ["a", "north-hall", "7", &"x".repeat(63)] {
            assert_eq!(Slug::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "North", "a/b", "a+b", "#", "ä", "a b", &"x".repeat(64)] {
            assert_eq!(Slug::parse(bad).unwrap_err().found, bad);
        }
    }

    proptest! {
        /// Whatever text is given: what passes is the text itself and needs no escape in a topic, a path or a file name.
        #[test]
        fn what_passes_is_the_text_itself(text in "\\PC{0,70}|[a-z0-9-]{0,70}") {
            if let Ok(slug) = Slug::parse(&text) {
                prop_assert_eq!(slug.to_string(), text.clone());
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
                prop_assert!((1..=63).contains(&text.len()) && !text.starts_with('-'));
            }
        }
    }
}
