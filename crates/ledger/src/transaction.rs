//! Postings, and the transactions that hold them together.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ids::TransactionId;
use jiff::Timestamp;
use money::{Currency, Money, MoneyError};
use serde::{Deserialize, Serialize};

use crate::Account;

/// One side of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posting {
    /// The account.
    pub account: Account,
    /// The amount: debits are positive, credits negative, never zero.
    pub amount: Money,
}

impl Posting {
    /// A debit.
    #[must_use]
    pub const fn debit(account: Account, amount: Money) -> Self {
        Self { account, amount }
    }

    /// A credit of a positive amount.
    pub fn credit(account: Account, amount: Money) -> Result<Self, TransactionError> {
        Ok(Self { account, amount: amount.checked_neg()? })
    }
}

/// Which effect of its source a transaction is. With the source it is the key: each pair is posted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// An invoice was issued.
    Issue,
    /// An invoice was collected.
    Collect,
    /// A payout was transferred.
    Transfer,
    /// A transfer was taken back in full.
    Reverse,
    /// An invoice will not be paid.
    WriteOff,
}

/// A word that is no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an effect (issue, collect, transfer, reverse, write_off)")]
pub struct EffectError(pub String);

impl Effect {
    const ALL: [Self; 5] = [Self::Issue, Self::Collect, Self::Transfer, Self::Reverse, Self::WriteOff];

    /// The word for it, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Collect => "collect",
            Self::Transfer => "transfer",
            Self::Reverse => "reverse",
            Self::WriteOff => "write_off",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Effect {
    type Err = EffectError;

    fn from_str(word: &str) -> Result<Self, EffectError> {
        Self::ALL.into_iter().find(|effect| effect.as_str() == word).ok_or_else(|| EffectError(word.to_owned()))
    }
}

/// A balanced set of postings. It cannot be changed, and it cannot be made unbalanced, not even by reading JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Transaction {
    id: TransactionId,
    source: String,
    effect: Effect,
    effective_at: Timestamp,
    postings: Vec<Posting>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    id: TransactionId,
    source: String,
    effect: Effect,
    effective_at: Timestamp,
    postings: Vec<Posting>,
}

impl TryFrom<Unchecked> for Transaction {
    type Error = TransactionError;

    fn try_from(read: Unchecked) -> Result<Self, TransactionError> {
        Self::balanced(read.id, read.source, read.effect, read.effective_at, read.postings)
    }
}

/// Why postings are no transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Double entry needs two sides.
    #[error("transaction for {key} has {found} postings; it needs at least two")]
    TooFew {
        /// The source and the effect.
        key: String,
        /// How many there are.
        found: usize,
    },
    /// A posting that moves nothing.
    #[error("transaction for {key} posts nothing to {account}")]
    Zero {
        /// The source and the effect.
        key: String,
        /// The account.
        account: Account,
    },
    /// The postings do not sum to zero.
    #[error("transaction for {key} is off by {minor} minor units of {currency}")]
    Unbalanced {
        /// The source and the effect.
        key: String,
        /// The currency.
        currency: Currency,
        /// The sum, which should be zero.
        minor: i128,
    },
    /// A part that should be positive is not.
    #[error("{what} of {source_of} is {found}; it must be positive")]
    NotPositive {
        /// What it is.
        what: &'static str,
        /// The document.
        source_of: String,
        /// What was found.
        found: Money,
    },
    /// A part that may be zero is less.
    #[error("{what} of {source_of} is {found}; it must not be negative")]
    Negative {
        /// What it is.
        what: &'static str,
        /// The document.
        source_of: String,
        /// What was found.
        found: Money,
    },
    /// A transaction is posted for something.
    #[error("a transaction needs a source: the identifier of the document that it is posted for")]
    NoSource,
    /// Amounts that cannot be reckoned with one another.
    #[error("the amounts of the transaction cannot be counted")]
    Money(#[from] MoneyError),
}

impl Transaction {
    /// Puts postings together.
    ///
    /// * Shape: at least two postings, none of them zero; several currencies are allowed, each for itself.
    /// * Errors: the first rule that does not hold.
    pub fn balanced(
        id: TransactionId,
        source: impl Into<String>,
        effect: Effect,
        effective_at: Timestamp,
        postings: Vec<Posting>,
    ) -> Result<Self, TransactionError> {
        let source = source.into();
        if source.is_empty() {
            return Err(TransactionError::NoSource);
        }
        let key = format!("{source}:{effect}");
        if postings.len() < 2 {
            return Err(TransactionError::TooFew { key, found: postings.len() });
        }
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        for posting in &postings {
            if posting.amount.minor == 0 {
                return Err(TransactionError::Zero { key, account: posting.account });
            }
            *sums.entry(posting.amount.currency).or_default() += i128::from(posting.amount.minor);
        }
        match sums.into_iter().find(|(_, minor)| *minor != 0) {
            Some((currency, minor)) => Err(TransactionError::Unbalanced { key, currency, minor }),
            None => Ok(Self { id, source, effect, effective_at, postings }),
        }
    }

    /// Its identifier.
    #[must_use]
    pub const fn id(&self) -> TransactionId {
        self.id
    }

    /// The document it was posted for, by its identifier.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Which effect of the document it is.
    #[must_use]
    pub const fn effect(&self) -> Effect {
        self.effect
    }

    /// The idempotency key, `source:effect`: posted once, however often it is asked for.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}:{}", self.source, self.effect)
    }

    /// When it took effect, which may be long before it was recorded.
    #[must_use]
    pub const fn effective_at(&self) -> Timestamp {
        self.effective_at
    }

    /// Its sides.
    #[must_use]
    pub fn postings(&self) -> &[Posting] {
        &self.postings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::PayeeId;
    use proptest::prelude::*;

    fn make(amounts: &[(i64, Currency)]) -> Result<Transaction, TransactionError> {
        let account = Account::Payable(PayeeId::from_parts(1, [1; 10]));
        let postings = amounts.iter().map(|(minor, currency)| Posting { account, amount: Money::new(*minor, *currency) }).collect();
        Transaction::balanced(TransactionId::from_parts(1, [0; 10]), "inv_1", Effect::Issue, Timestamp::UNIX_EPOCH, postings)
    }

    proptest! {
        #[test]
        fn only_what_sums_to_zero_is_a_transaction(minor in prop::collection::vec(-1_000_i64..1_000, 2..8), close: bool) {
            prop_assume!(minor.iter().all(|minor| *minor != 0));
            let mut amounts: Vec<_> = minor.iter().map(|minor| (*minor, Currency::Usd)).collect();
            let sum: i64 = minor.iter().sum();
            if close && sum != 0 {
                amounts.push((-sum, Currency::Usd));
            }
            let balanced = close || sum == 0;
            let made = make(&amounts);
            prop_assert_eq!(made.is_ok(), balanced);
            if let Ok(transaction) = made {
                let text = serde_json::to_string(&transaction).unwrap();
                prop_assert_eq!(serde_json::from_str::<Transaction>(&text).unwrap(), transaction);
            }
        }
    }

    #[test]
    fn currencies_balance_each_for_itself() {
        let refused = make(&[(5, Currency::Usd), (-5, Currency::Eur)]).unwrap_err();
        assert_eq!(refused.to_string(), "transaction for inv_1:issue is off by 5 minor units of USD");
        assert!(make(&[(5, Currency::Usd), (-5, Currency::Usd), (7, Currency::Eur), (-7, Currency::Eur)]).is_ok());
    }

    #[test]
    fn nothing_and_one_side_are_refused_also_from_json() {
        assert!(matches!(make(&[]), Err(TransactionError::TooFew { found: 0, .. })));
        assert!(matches!(make(&[(0, Currency::Usd), (0, Currency::Usd)]), Err(TransactionError::Zero { .. })));
        assert!(matches!(make(&[(5, Currency::Usd)]), Err(TransactionError::TooFew { found: 1, .. })));
        let text = serde_json::to_string(&make(&[(5, Currency::Usd), (-5, Currency::Usd)]).unwrap()).unwrap();
        let changed = serde_json::from_str::<Transaction>(&text.replace("-5", "-4")).unwrap_err().to_string();
        assert!(changed.starts_with("transaction for inv_1:issue is off by 1 minor units of USD"), "{changed}");
        let sourceless = serde_json::from_str::<Transaction>(&text.replace("inv_1", "")).unwrap_err().to_string();
        assert!(sourceless.starts_with("a transaction needs a source"), "{sourceless}");
    }
}
