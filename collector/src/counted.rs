//! A number with its noun, for people: `1 reading`, `2 readings`.

use std::fmt::{self, Display, Formatter};

/// So many of a noun that takes an `s`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted<N>(pub(crate) N, pub(crate) &'static str);

impl<N: Display + Copy + PartialEq + From<u8>> Display for Counted<N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(count, noun) = *self;
        write!(f, "{count} {noun}{}", if count == N::from(1) { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::Counted;

    #[test]
    fn one_alone_has_no_s() {
        assert_eq!([0_u64, 1, 2].map(|count| Counted(count, "reading").to_string()), ["0 readings", "1 reading", "2 readings"]);
    }
}
