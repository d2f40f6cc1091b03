//! The chart of accounts.

use std::fmt;
use std::str::FromStr;

use ids::{FacilityId, PayeeId};

/// What kind of thing an account counts, which decides the side on which it grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountKind {
    /// What is ours or owed to us; grows by debits.
    Asset,
    /// What we owe; grows by credits.
    Liability,
    /// What we earned; grows by credits.
    Income,
    /// What it cost; grows by debits.
    Expense,
}

impl AccountKind {
    /// Whether a debit makes it larger.
    #[must_use]
    pub const fn grows_by_debit(self) -> bool {
        matches!(self, Self::Asset | Self::Expense)
    }
}

/// An account, with its owner where it has one.
///
/// * Text: a word, and the owner's identifier after a colon: `receivable:fac_…`, `processor_balance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// What a facility has been invoiced and has not paid.
    Receivable(FacilityId),
    /// What the payment processor holds for us.
    ProcessorBalance,
    /// What is owed to a payee from issued invoices.
    Payable(PayeeId),
    /// The platform's own part of issued invoices.
    PlatformRevenue,
    /// What the payment processor keeps.
    ProcessorFees,
    /// Invoices that will not be paid.
    BadDebt,
}

/// A text that names no account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an account (receivable:<facility>, payable:<payee>, processor_balance, platform_revenue, processor_fees, bad_debt)")]
pub struct AccountError(pub String);

impl Account {
    /// The kind of the account.
    #[must_use]
    pub const fn kind(self) -> AccountKind {
        match self {
            Self::Receivable(_) | Self::ProcessorBalance => AccountKind::Asset,
            Self::Payable(_) => AccountKind::Liability,
            Self::PlatformRevenue => AccountKind::Income,
            Self::ProcessorFees | Self::BadDebt => AccountKind::Expense,
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receivable(facility) => write!(f, "receivable:{facility}"),
            Self::ProcessorBalance => f.write_str("processor_balance"),
            Self::Payable(payee) => write!(f, "payable:{payee}"),
            Self::PlatformRevenue => f.write_str("platform_revenue"),
            Self::ProcessorFees => f.write_str("processor_fees"),
            Self::BadDebt => f.write_str("bad_debt"),
        }
    }
}

impl FromStr for Account {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let unknown = || AccountError(text.to_owned());
        match text.split_once(':') {
            Some(("receivable", owner)) => owner.parse().map(Self::Receivable).map_err(|_not_a_facility| unknown()),
            Some(("payable", owner)) => owner.parse().map(Self::Payable).map_err(|_not_a_payee| unknown()),
            None if text == "processor_balance" => Ok(Self::ProcessorBalance),
            None if text == "platform_revenue" => Ok(Self::PlatformRevenue),
            None if text == "processor_fees" => Ok(Self::ProcessorFees),
            None if text == "bad_debt" => Ok(Self::BadDebt),
            _ => Err(unknown()),
        }
    }
}

ids::as_text!(Account);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let all = [
            Account::Receivable(FacilityId::from_parts(1, [1; 10])),
            Account::Payable(PayeeId::from_parts(1, [2; 10])),
            Account::ProcessorBalance,
            Account::PlatformRevenue,
            Account::ProcessorFees,
            Account::BadDebt,
        ];
        for account in all {
            assert_eq!(account.to_string().parse(), Ok(account));
        }
        let payee = PayeeId::from_parts(1, [2; 10]);
        assert!(format!("receivable:{payee}").parse::<Account>().is_err());
        assert!("bank".parse::<Account>().is_err());
    }

    #[test]
    fn each_account_grows_on_its_side() {
        let (facility, payee) = (FacilityId::from_parts(1, [1; 10]), PayeeId::from_parts(1, [2; 10]));
        let kinds = [
            (Account::Receivable(facility), AccountKind::Asset, true),
            (Account::ProcessorBalance, AccountKind::Asset, true),
            (Account::Payable(payee), AccountKind::Liability, false),
            (Account::PlatformRevenue, AccountKind::Income, false),
            (Account::ProcessorFees, AccountKind::Expense, true),
            (Account::BadDebt, AccountKind::Expense, true),
        ];
        for (account, kind, by_debit) in kinds {
            assert_eq!((account.kind(), account.kind().grows_by_debit()), (kind, by_debit), "{account}");
        }
    }
}
