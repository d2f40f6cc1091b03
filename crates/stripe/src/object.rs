//! Shapes that every Stripe object shares: ids, lists, expandable references, open enums.

use serde::Deserialize;

macro_rules! object_ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as Stripe gave it; its form is Stripe's business.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

object_ids! {
    /// `acct_…`
    AccountId
    /// `txn_…`
    BalanceTransactionId
    /// `ch_…` (cards) or `py_…` (bank debits).
    ChargeId
    /// `cus_…`
    CustomerId
    /// `evt_…`
    EventId
    /// `pi_…`
    PaymentIntentId
    /// `pm_…`, or one of the documented test methods such as `pm_card_visa`.
    PaymentMethodId
    /// `po_…`
    PayoutId
    /// `trr_…`
    ReversalId
    /// `tr_…`
    TransferId
}

/// An enum that Stripe may widen at any time: what we do not know is kept as text.
macro_rules! open_enum {
    ($(#[$doc:meta])* pub enum $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($variant,)*
            /// A word that is newer than this program.
            Other(String),
        }

        impl $name {
            /// Stripe's word.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                Ok(Self::from(text.as_str()))
            }
        }
    };
}
pub(crate) use open_enum;

/// A reference that is an id, or the whole object when it was asked for with `expand`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expandable<T> {
    Id(String),
    Object { id: String, object: Box<T> },
}

impl<T> Expandable<T> {
    /// The id, expanded or not.
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) | Self::Object { id, .. } => id,
        }
    }

    /// The object, if it was expanded.
    pub fn object(&self) -> Option<&T> {
        match self {
            Self::Id(_) => None,
            Self::Object { object, .. } => Some(object),
        }
    }
}

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for Expandable<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let json = serde_json::Value::deserialize(deserializer)?;
        if let Some(id) = json.as_str() {
            return Ok(Self::Id(id.to_owned()));
        }
        let id = json.get("id").and_then(serde_json::Value::as_str);
        let id = id.ok_or_else(|| D::Error::custom("expanded object has no id"))?.to_owned();
        let object = serde_json::from_value(json).map_err(D::Error::custom)?;
        Ok(Self::Object { id, object: Box::new(object) })
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct List<T> {
    pub data: Vec<T>,
    pub has_more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
    struct Thing {
        size: i64,
    }

    #[test]
    fn a_reference_is_read_both_ways() {
        let id: Expandable<Thing> = serde_json::from_str("\"ch_1\"").unwrap();
        assert_eq!((id.id(), id.object()), ("ch_1", None));
        let whole: Expandable<Thing> = serde_json::from_str(r#"{"id":"ch_1","size":3,"new":[]}"#).unwrap();
        assert_eq!((whole.id(), whole.object()), ("ch_1", Some(&Thing { size: 3 })));
        assert!(serde_json::from_str::<Expandable<Thing>>(r#"{"size":3}"#).is_err());
    }
}
