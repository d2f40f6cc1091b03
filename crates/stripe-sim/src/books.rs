//! The simulator's own double-entry books: what really happened to the money.

use std::collections::BTreeMap;

/// Where money can be, seen from the processor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BookAccount {
    /// Everybody who pays; negative by what they paid.
    Payers,
    /// The processor's earnings.
    Fees,
    /// The platform's balance.
    Platform,
    /// A connected account's balance.
    Connected(String),
    /// Banks that payouts went to.
    Banks,
}

/// One side of an entry, in minor units; positive is towards the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    pub account: BookAccount,
    pub amount: i64,
}

/// One movement. Its legs add up to zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Unix seconds.
    pub at_s: i64,
    /// The charge, transfer, reversal or payout behind it.
    pub source: String,
    /// Lower case.
    pub currency: String,
    pub legs: Vec<Leg>,
}

/// A transfer as executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRecord {
    pub id: String,
    pub destination: String,
    pub amount: i64,
    pub reversed: i64,
    pub currency: String,
    pub source_transaction: Option<String>,
    pub transfer_group: Option<String>,
}

/// Everything that moved, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    pub entries: Vec<Entry>,
    pub transfers: Vec<TransferRecord>,
    /// Balance transactions as reported, by owner and currency: their nets.
    pub(crate) reported: BTreeMap<(BookAccount, String), i64>,
    /// Amounts of succeeded charges, by id.
    pub(crate) charges: BTreeMap<String, i64>,
}

/// What is wrong with the books.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BooksFault {
    #[error("the entry for {entry} is off by {off}")]
    Unbalanced { entry: String, off: i64 },
    #[error("{account:?} holds {booked} but its balance transactions say {reported}")]
    Disagree { account: BookAccount, booked: i64, reported: i64 },
    #[error("charge {charge} of {amount} was transferred on by {transferred}")]
    Overdrawn { charge: String, amount: i64, transferred: i64 },
    #[error("connected account {account} is at {balance}")]
    Negative { account: String, balance: i64 },
}

impl Books {
    /// What an account holds in a currency (lower case).
    pub fn balance(&self, account: &BookAccount, currency: &str) -> i64 {
        let entries = self.entries.iter().filter(|entry| entry.currency == currency);
        entries.flat_map(|entry| &entry.legs).filter(|leg| leg.account == *account).map(|leg| leg.amount).sum()
    }

    /// What payers paid so far.
    pub fn collected(&self, currency: &str) -> i64 {
        -self.balance(&BookAccount::Payers, currency)
    }

    /// What was transferred within a group, less reversals.
    pub fn transferred(&self, transfer_group: &str) -> i64 {
        let group = self.transfers.iter().filter(|transfer| transfer.transfer_group.as_deref() == Some(transfer_group));
        group.map(|transfer| transfer.amount - transfer.reversed).sum()
    }

    /// Whether every entry adds to zero, the reported movements agree, no charge was spent twice and no payee owes.
    pub fn check(&self) -> Result<(), BooksFault> {
        let mut held: BTreeMap<(BookAccount, String), i64> = BTreeMap::new();
        for entry in &self.entries {
            let off: i64 = entry.legs.iter().map(|leg| leg.amount).sum();
            if off != 0 {
                return Err(BooksFault::Unbalanced { entry: entry.source.clone(), off });
            }
            for leg in &entry.legs {
                *held.entry((leg.account.clone(), entry.currency.clone())).or_default() += leg.amount;
            }
        }
        for ((account, currency), booked) in &held {
            if !matches!(account, BookAccount::Platform | BookAccount::Connected(_)) {
                continue;
            }
            let reported = self.reported.get(&(account.clone(), currency.clone())).copied().unwrap_or(0);
            if reported != *booked {
                return Err(BooksFault::Disagree { account: account.clone(), booked: *booked, reported });
            }
            if let BookAccount::Connected(id) = account
                && *booked < 0
            {
                return Err(BooksFault::Negative { account: id.clone(), balance: *booked });
            }
        }
        for (charge, amount) in &self.charges {
            let sourced = self.transfers.iter().filter(|transfer| transfer.source_transaction.as_ref() == Some(charge));
            let transferred: i64 = sourced.map(|transfer| transfer.amount).sum();
            if transferred > *amount {
                return Err(BooksFault::Overdrawn { charge: charge.clone(), amount: *amount, transferred });
            }
        }
        Ok(())
    }
}
