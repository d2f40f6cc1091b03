//! Balances: nothing but the fold of the postings.

use std::collections::BTreeMap;

use money::{Currency, Money, MoneyError};
use serde::Serialize;

use crate::{Account, Transaction};

/// What every account stands at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    sums: BTreeMap<(Account, Currency), Money>,
}

/// An account that holds more than can be counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the balance of {account} cannot be counted")]
pub struct BalanceError {
    /// The account.
    pub account: Account,
    /// Why.
    #[source]
    pub err: MoneyError,
}

/// Every account with its balance on the side where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrialBalance {
    /// One row per account and currency that does not stand at zero.
    pub rows: Vec<TrialRow>,
    /// Whether debits equal credits in every currency.
    pub balanced: bool,
}

/// A row of a trial balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TrialRow {
    /// The account.
    pub account: Account,
    /// The currency.
    pub currency: Currency,
    /// Minor units on the debit side, or zero.
    pub debit_minor: u64,
    /// Minor units on the credit side, or zero.
    pub credit_minor: u64,
}

impl Balances {
    /// The balances after these transactions.
    pub fn fold<'a>(transactions: impl IntoIterator<Item = &'a Transaction>) -> Result<Self, BalanceError> {
        let mut balances = Self::default();
        for transaction in transactions {
            balances.add(transaction)?;
        }
        Ok(balances)
    }

    /// Adds one transaction.
    ///
    /// * Errors: an account that overflows; the balances are then as they were.
    pub fn add(&mut self, transaction: &Transaction) -> Result<(), BalanceError> {
        let mut next: BTreeMap<(Account, Currency), Money> = BTreeMap::new();
        for posting in transaction.postings() {
            let (account, currency) = (posting.account, posting.amount.currency);
            let current = next.get(&(account, currency)).copied().unwrap_or_else(|| self.of(account, currency));
            let sum = current.checked_add(posting.amount).map_err(|err| BalanceError { account, err })?;
            next.insert((account, currency), sum);
        }
        self.sums.extend(next);
        Ok(())
    }

    /// What an account stands at: positive on the debit side, negative on the credit side.
    #[must_use]
    pub fn of(&self, account: Account, currency: Currency) -> Money {
        self.sums.get(&(account, currency)).copied().unwrap_or(Money::zero(currency))
    }

    /// Every account that was ever posted to, with its balance.
    pub fn iter(&self) -> impl Iterator<Item = (Account, Money)> {
        self.sums.iter().map(|((account, _), sum)| (*account, *sum))
    }

    /// The trial balance.
    #[must_use]
    pub fn trial(&self) -> TrialBalance {
        let mut totals: BTreeMap<Currency, i128> = BTreeMap::new();
        let mut rows = Vec::new();
        for (account, sum) in self.iter().filter(|(_, sum)| sum.minor != 0) {
            *totals.entry(sum.currency).or_default() += i128::from(sum.minor);
            let magnitude = sum.minor.unsigned_abs();
            let (debit_minor, credit_minor) = if sum.minor > 0 { (magnitude, 0) } else { (0, magnitude) };
            rows.push(TrialRow { account, currency: sum.currency, debit_minor, credit_minor });
        }
        TrialBalance { rows, balanced: totals.values().all(|total| *total == 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effect, Posting};
    use ids::{PayeeId, TransactionId};
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn account(which: u8) -> Account {
        match which % 4 {
            0 => Account::ProcessorBalance,
            1 => Account::PlatformRevenue,
            2 => Account::ProcessorFees,
            _ => Account::Payable(PayeeId::from_parts(1, [which; 10])),
        }
    }

    fn transactions() -> impl Strategy<Value = Vec<Transaction>> {
        let posting = (any::<u8>(), 1_i64..1_000_000);
        prop::collection::vec(prop::collection::vec(posting, 1..5), 0..20).prop_map(|all| {
            let make = |(index, sides): (usize, Vec<(u8, i64)>)| {
                let sum: i64 = sides.iter().map(|(_, minor)| minor).sum();
                let usd = |minor| Money::new(minor, Currency::Usd);
                let mut postings: Vec<_> =
                    sides.iter().map(|(which, minor)| Posting { account: account(*which), amount: usd(*minor) }).collect();
                postings.push(Posting { account: Account::BadDebt, amount: usd(-sum) });
                let id = TransactionId::from_parts(1, [0; 10]);
                Transaction::balanced(id, format!("inv_{index}"), Effect::Issue, Timestamp::UNIX_EPOCH, postings).unwrap()
            };
            all.into_iter().enumerate().map(make).collect()
        })
    }

    #[test]
    fn an_account_that_overflows_is_named_and_the_balances_stay() {
        let usd = |minor| Money::new(minor, Currency::Usd);
        let make = |amount: i64| {
            let postings = vec![
                Posting { account: Account::ProcessorBalance, amount: usd(amount) },
                Posting { account: Account::BadDebt, amount: usd(-amount) },
            ];
            Transaction::balanced(TransactionId::from_parts(1, [0; 10]), "inv_1", Effect::Issue, Timestamp::UNIX_EPOCH, postings).unwrap()
        };
        let mut balances = Balances::fold(&[make(i64::MAX)]).unwrap();
        let before = balances.clone();
        assert_eq!(balances.add(&make(1)).unwrap_err().to_string(), "the balance of processor_balance cannot be counted");
        assert_eq!(balances, before);
        let row = balances.trial().rows[0];
        assert_eq!((row.account, row.debit_minor, row.credit_minor), (Account::ProcessorBalance, i64::MAX.unsigned_abs(), 0));
    }

    proptest! {
        #[test]
        fn any_order_gives_the_same_balances_and_they_sum_to_zero(all in transactions(), turn in 0_usize..20) {
            let balances = Balances::fold(&all).unwrap();
            prop_assert!(balances.trial().balanced);
            let mut other = all.clone();
            let by = turn % other.len().max(1);
            other.rotate_left(by);
            other.reverse();
            prop_assert_eq!(Balances::fold(&other).unwrap(), balances.clone());
            let mut one_by_one = Balances::default();
            for transaction in &all {
                one_by_one.add(transaction).unwrap();
            }
            prop_assert_eq!(one_by_one, balances);
        }
    }
}
