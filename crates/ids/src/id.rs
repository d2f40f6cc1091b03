//! Prefixed UUIDv7 identifiers.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A kind of identifier.
pub trait Id: Copy + Eq + Ord + fmt::Display {
    /// The text before the underscore.
    const PREFIX: &'static str;

    /// The identifier for a moment and ten bytes of randomness.
    ///
    /// * Units: `unix_ms` in milliseconds since 1970 UTC; identifiers made later sort later.
    fn from_parts(unix_ms: u64, random: [u8; 10]) -> Self;
}

/// Why a text is not an identifier of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The kind before the underscore is another one, or there is none.
    #[error("`{found}` is not an identifier of kind `{expected}_`")]
    Prefix {
        /// The prefix that was asked for.
        expected: &'static str,
        /// The text as given.
        found: String,
    },
    /// What follows the underscore is not 32 lower-case hexadecimal digits.
    #[error("`{found}` does not end in 32 lower-case hexadecimal digits")]
    Digits {
        /// The text as given.
        found: String,
    },
}

fn parse(prefix: &'static str, text: &str) -> Result<Uuid, IdError> {
    let digits = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('_'))
        .ok_or_else(|| IdError::Prefix { expected: prefix, found: text.to_owned() })?;
    let canonical = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !canonical {
        return Err(IdError::Digits { found: text.to_owned() });
    }
    Uuid::try_parse(digits).map_err(|_not_hex| IdError::Digits { found: text.to_owned() })
}

macro_rules! registry {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The identifier for a moment and ten bytes of randomness, see [`Id::from_parts`].
            #[must_use]
            pub fn from_parts(unix_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
            }

            /// The sixteen bytes, as they travel on the wire.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The identifier whose sixteen bytes are these.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl Id for $name {
            const PREFIX: &'static str = $prefix;

            fn from_parts(unix_ms: u64, random: [u8; 10]) -> Self {
                Self::from_parts(unix_ms, random)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse($prefix, text).map(Self)
            }
        }

        crate::as_text!($name);
    )+};
}

registry! {
    /// An organisation whose data nobody else sees.
    TenantId = "ten";
    /// A building or plant whose energy is measured.
    FacilityId = "fac";
    /// An edge daemon.
    GatewayId = "gw";
    /// A meter or sensor.
    DeviceId = "dev";
    /// A shared-savings agreement.
    ContractId = "ctr";
    /// A fitted baseline model and the data behind it.
    BaselineId = "bas";
    /// A month's savings under a contract.
    StatementId = "sta";
    /// What is asked of the customer.
    InvoiceId = "inv";
    /// An attempt to collect an invoice.
    PaymentId = "pmt";
    /// Money owed to one payee from one invoice.
    PayoutId = "pay";
    /// Somebody who is paid.
    PayeeId = "pye";
    /// A balanced set of postings.
    TransactionId = "txn";
    /// One side of a transaction.
    PostingId = "pst";
    /// A key to the HTTP interface (the name of it, never the secret).
    ApiKeyId = "key";
    /// A unit of background work.
    JobId = "job";
    /// A bulk import of historical data.
    ImportId = "imp";
    /// A spool directory on a gateway, from its creation to its end.
    SpoolId = "spl";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_back_is_the_same(unix_ms in 0_u64..(1 << 48), random: [u8; 10]) {
            let id = FacilityId::from_parts(unix_ms, random);
            prop_assert_eq!(id.to_string().parse::<FacilityId>(), Ok(id));
            prop_assert_eq!(FacilityId::from_bytes(*id.as_bytes()), id);
        }

        #[test]
        fn later_sorts_later(early in 0_u64..(1 << 40), gap in 1_u64..(1 << 40), a: [u8; 10], b: [u8; 10]) {
            prop_assert!(InvoiceId::from_parts(early, a) < InvoiceId::from_parts(early + gap, b));
        }
    }

    #[test]
    fn another_kind_is_refused() {
        let facility = FacilityId::from_parts(1, [7; 10]).to_string();
        assert!(matches!(facility.parse::<InvoiceId>(), Err(IdError::Prefix { expected: "inv", .. })));
        assert!(matches!("fac_00".parse::<FacilityId>(), Err(IdError::Digits { .. })));
        assert!(matches!(facility.replace("_0", "_A").parse::<FacilityId>(), Err(IdError::Digits { .. })));
    }

    #[test]
    fn the_version_is_seven() {
        assert_eq!(FacilityId::from_parts(0x0123_4567_89ab, [0; 10]).to_string(), "fac_0123456789ab70008000000000000000");
    }
}
