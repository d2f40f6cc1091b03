//! What was posted, in order, each key once.

use std::collections::BTreeMap;

use crate::{BalanceError, Balances, Effect, Transaction};

/// A list of transactions in the order of posting.
///
/// This is the law that a stored ledger must obey; tests hold the database against it.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    transactions: Vec<Transaction>,
    by_key: BTreeMap<(String, Effect), usize>,
}

/// What became of a posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It is new.
    New,
    /// The same was posted before; nothing changed.
    Repeated,
}

/// Why something was not posted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The key is taken by other content. Somebody must look.
    #[error("{key} was posted before with other content, as {earlier}")]
    KeyTaken {
        /// The source and the effect.
        key: String,
        /// The transaction that has it.
        earlier: ids::TransactionId,
    },
}

impl Journal {
    /// Nothing posted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Posts a transaction, once.
    ///
    /// * Idempotency: the same source and effect with the same postings is [`Posted::Repeated`], whatever its identifier.
    /// * Errors: the same source and effect with other postings.
    pub fn post(&mut self, transaction: Transaction) -> Result<Posted, JournalError> {
        let key = (transaction.source().to_owned(), transaction.effect());
        if let Some(earlier) = self.by_key.get(&key).and_then(|index| self.transactions.get(*index)) {
            return if earlier.postings() == transaction.postings() {
                Ok(Posted::Repeated)
            } else {
                Err(JournalError::KeyTaken { key: transaction.key(), earlier: earlier.id() })
            };
        }
        self.by_key.insert(key, self.transactions.len());
        self.transactions.push(transaction);
        Ok(Posted::New)
    }

    /// What was posted, in order.
    #[must_use]
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// The balances after everything posted.
    pub fn balances(&self) -> Result<Balances, BalanceError> {
        Balances::fold(&self.transactions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow;
    use ids::{PayeeId, PayoutId, TransactionId};
    use jiff::Timestamp;
    use money::{Currency, Money};
    use proptest::prelude::*;

    fn paid(seed: u8, minor: i64) -> Transaction {
        let id = TransactionId::from_parts(1, [seed; 10]);
        let payout = PayoutId::from_parts(1, [7; 10]);
        flow::transfer(id, Timestamp::UNIX_EPOCH, payout, PayeeId::from_parts(1, [1; 10]), Money::new(minor, Currency::Usd)).unwrap()
    }

    #[test]
    fn a_key_is_posted_once_and_never_twice_differently() {
        let mut journal = Journal::new();
        assert_eq!(journal.post(paid(1, 500)), Ok(Posted::New));
        assert_eq!(journal.post(paid(2, 500)), Ok(Posted::Repeated));
        assert!(matches!(journal.post(paid(3, 501)), Err(JournalError::KeyTaken { .. })));
        assert_eq!(journal.transactions().len(), 1);
        let paid = crate::Account::Payable(PayeeId::from_parts(1, [1; 10]));
        assert_eq!(journal.balances().unwrap().of(paid, Currency::Usd).minor, 500);
    }

    proptest! {
        /// Whatever is posted again, and wherever in between: the balances are those of each key once.
        #[test]
        fn repetitions_change_nothing(
            payouts in prop::collection::vec((0_u8..6, 1_i64..1_000_000), 1..12),
            again in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let of = |(key, minor): (u8, i64)| {
                let (id, payout) = (TransactionId::from_parts(u64::from(key), [9; 10]), PayoutId::from_parts(1, [key; 10]));
                let payee = PayeeId::from_parts(1, [key % 3; 10]);
                flow::transfer(id, Timestamp::UNIX_EPOCH, payout, payee, Money::new(minor, Currency::Usd)).unwrap()
            };
            let mut journal = Journal::new();
            let mut first: BTreeMap<u8, i64> = BTreeMap::new();
            let all = payouts.iter().copied().chain(again.iter().map(|pick| *pick.get(&payouts)));
            for (key, minor) in all {
                let posted = journal.post(of((key, minor)));
                match first.get(&key) {
                    None => {
                        prop_assert_eq!(posted, Ok(Posted::New));
                        first.insert(key, minor);
                    }
                    Some(known) if *known == minor => prop_assert_eq!(posted, Ok(Posted::Repeated)),
                    Some(_) => prop_assert!(posted.is_err(), "the key is taken by other content"),
                }
            }
            let balances = journal.balances().unwrap();
            prop_assert!(balances.trial().balanced);
            prop_assert_eq!(balances.of(crate::Account::ProcessorBalance, Currency::Usd).minor, -first.values().sum::<i64>());
        }
    }
}
