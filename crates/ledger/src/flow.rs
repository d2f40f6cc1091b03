//! What each event of an invoice's life means in double entry.
//!
//! | event | debit | credit |
//! |---|---|---|
//! | issue | receivable of the facility: the total | platform revenue and payables: the parts of the split |
//! | collect | processor balance: what arrives; processor fees: what was kept | receivable: the total |
//! | transfer | payable of the payee | processor balance |
//! | reverse | processor balance | payable of the payee |
//! | write off | bad debt | receivable |

use ids::{FacilityId, InvoiceId, PayeeId, PaymentId, PayoutId, TransactionId};
use jiff::Timestamp;
use money::Money;

use crate::{Account, Effect, Posting, Transaction, TransactionError};

/// One part of an invoice's split: who is credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credited {
    /// [`Account::PlatformRevenue`] or a [`Account::Payable`].
    pub account: Account,
    /// The part; parts of zero are left out.
    pub amount: Money,
}

/// An invoice was issued: the facility owes the total, we owe the parts.
///
/// * Errors: a total that is not positive, or parts that do not sum to it.
pub fn issue(
    id: TransactionId,
    at: Timestamp,
    invoice: InvoiceId,
    facility: FacilityId,
    total: Money,
    parts: &[Credited],
) -> Result<Transaction, TransactionError> {
    positive("the total", invoice, total)?;
    let mut postings = vec![Posting::debit(Account::Receivable(facility), total)];
    for part in parts.iter().filter(|part| part.amount.minor != 0) {
        postings.push(Posting::credit(part.account, part.amount)?);
    }
    Transaction::balanced(id, invoice.to_string(), Effect::Issue, at, postings)
}

/// An invoice was collected: the processor holds what it did not keep as its fee.
///
/// * Shape: `total` is what the facility paid; `fee` is part of it and may be zero. A fee that is more than the total takes
///   the rest from what the processor holds already.
/// * Errors: a total that is not positive, a negative fee, a fee in another currency.
pub fn collect(
    id: TransactionId,
    at: Timestamp,
    payment: PaymentId,
    facility: FacilityId,
    total: Money,
    fee: Money,
) -> Result<Transaction, TransactionError> {
    positive("the amount", payment, total)?;
    if fee.minor < 0 {
        return Err(TransactionError::Negative { what: "the fee", source_of: payment.to_string(), found: fee });
    }
    let net = total.checked_sub(fee)?;
    let mut postings = Vec::with_capacity(3);
    if net.minor != 0 {
        postings.push(Posting::debit(Account::ProcessorBalance, net));
    }
    if fee.minor != 0 {
        postings.push(Posting::debit(Account::ProcessorFees, fee));
    }
    postings.push(Posting::credit(Account::Receivable(facility), total)?);
    Transaction::balanced(id, payment.to_string(), Effect::Collect, at, postings)
}

/// A payout was transferred to its payee.
pub fn transfer(
    id: TransactionId,
    at: Timestamp,
    payout: PayoutId,
    payee: PayeeId,
    amount: Money,
) -> Result<Transaction, TransactionError> {
    positive("the amount", payout, amount)?;
    let postings = vec![Posting::debit(Account::Payable(payee), amount), Posting::credit(Account::ProcessorBalance, amount)?];
    Transaction::balanced(id, payout.to_string(), Effect::Transfer, at, postings)
}

/// A transfer was taken back in full: the payee is owed it again.
pub fn reverse(id: TransactionId, at: Timestamp, payout: PayoutId, payee: PayeeId, amount: Money) -> Result<Transaction, TransactionError> {
    positive("the amount", payout, amount)?;
    let postings = vec![Posting::debit(Account::ProcessorBalance, amount), Posting::credit(Account::Payable(payee), amount)?];
    Transaction::balanced(id, payout.to_string(), Effect::Reverse, at, postings)
}

/// What is left of an invoice will not be paid.
pub fn write_off(
    id: TransactionId,
    at: Timestamp,
    invoice: InvoiceId,
    facility: FacilityId,
    left: Money,
) -> Result<Transaction, TransactionError> {
    positive("the rest", invoice, left)?;
    let postings = vec![Posting::debit(Account::BadDebt, left), Posting::credit(Account::Receivable(facility), left)?];
    Transaction::balanced(id, invoice.to_string(), Effect::WriteOff, at, postings)
}

fn positive(what: &'static str, source_of: impl std::fmt::Display, found: Money) -> Result<(), TransactionError> {
    if found.minor > 0 { Ok(()) } else { Err(TransactionError::NotPositive { what, source_of: source_of.to_string(), found }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Balances;
    use money::{Currency, Share};
    use proptest::prelude::*;

    proptest! {
        /// Whatever the total, the split and the fee: after everything was collected and paid out nobody owes anybody, and
        /// the processor holds the platform's part less its fee.
        #[test]
        fn an_invoice_from_issue_to_payout_leaves_nothing_open(total in 1_i64..1_000_000_000, ppm in prop::collection::vec(0_u32..=1_000_000, 1..6), fee_ppm in 0_i64..30_000) {
            prop_assume!(ppm.iter().any(|share| *share > 0));
            let (at, txn) = (Timestamp::UNIX_EPOCH, TransactionId::from_parts(1, [0; 10]));
            let usd = |minor| Money::new(minor, Currency::Usd);
            let (invoice, facility) = (InvoiceId::from_parts(1, [1; 10]), FacilityId::from_parts(1, [2; 10]));
            let shares: Vec<_> = ppm.iter().map(|share| Share::parts_per_million(*share).unwrap()).collect();
            let parts = usd(total).split(&shares).unwrap();
            let payee = |index: usize| PayeeId::from_parts(u64::try_from(index).unwrap(), [3; 10]);
            let credited: Vec<_> = parts.iter().enumerate().map(|(index, amount)| {
                let account = if index == 0 { Account::PlatformRevenue } else { Account::Payable(payee(index)) };
                Credited { account, amount: *amount }
            }).collect();
            let fee = usd(total * fee_ppm / 1_000_000);
            let mut all = vec![
                issue(txn, at, invoice, facility, usd(total), &credited).unwrap(),
                collect(txn, at, PaymentId::from_parts(1, [4; 10]), facility, usd(total), fee).unwrap(),
            ];
            for (index, amount) in parts.iter().enumerate().skip(1).filter(|(_, amount)| amount.minor > 0) {
                let payout = PayoutId::from_parts(u64::try_from(index).unwrap(), [5; 10]);
                all.push(transfer(txn, at, payout, payee(index), *amount).unwrap());
            }
            let balances = Balances::fold(&all).unwrap();
            prop_assert!(balances.trial().balanced);
            prop_assert_eq!(balances.of(Account::Receivable(facility), Currency::Usd), usd(0));
            for index in 1..parts.len() {
                prop_assert_eq!(balances.of(Account::Payable(payee(index)), Currency::Usd), usd(0));
            }
            prop_assert_eq!(balances.of(Account::ProcessorBalance, Currency::Usd), usd(parts[0].minor - fee.minor));
        }
    }

    /// The table at the head of this file, as postings: debits positive, credits negative.
    #[test]
    fn each_event_debits_and_credits_what_the_table_says() {
        let (at, txn, usd) = (Timestamp::UNIX_EPOCH, TransactionId::from_parts(1, [0; 10]), |minor| Money::new(minor, Currency::Usd));
        let (invoice, facility, payment) =
            (InvoiceId::from_parts(1, [1; 10]), FacilityId::from_parts(1, [2; 10]), PaymentId::from_parts(1, [3; 10]));
        let (payout, payee) = (PayoutId::from_parts(1, [4; 10]), PayeeId::from_parts(1, [5; 10]));
        let (owed, ours) = (Account::Payable(payee), Account::PlatformRevenue);
        let sides = |transaction: Result<Transaction, TransactionError>| {
            let transaction = transaction.unwrap();
            let sides: Vec<_> = transaction.postings().iter().map(|posting| (posting.account, posting.amount.minor)).collect();
            (transaction.key(), sides)
        };
        let receivable = Account::Receivable(facility);
        let parts = [Credited { account: ours, amount: usd(40) }, Credited { account: owed, amount: usd(60) }];
        let issued = sides(issue(txn, at, invoice, facility, usd(100), &parts));
        assert_eq!(issued, (format!("{invoice}:issue"), vec![(receivable, 100), (ours, -40), (owed, -60)]));
        let collected = sides(collect(txn, at, payment, facility, usd(100), usd(3)));
        let expected = vec![(Account::ProcessorBalance, 97), (Account::ProcessorFees, 3), (receivable, -100)];
        assert_eq!(collected, (format!("{payment}:collect"), expected));
        let transferred = sides(transfer(txn, at, payout, payee, usd(60)));
        assert_eq!(transferred, (format!("{payout}:transfer"), vec![(owed, 60), (Account::ProcessorBalance, -60)]));
        let taken_back = sides(reverse(txn, at, payout, payee, usd(60)));
        assert_eq!(taken_back, (format!("{payout}:reverse"), vec![(Account::ProcessorBalance, 60), (owed, -60)]));
        let written_off = sides(write_off(txn, at, invoice, facility, usd(7)));
        assert_eq!(written_off, (format!("{invoice}:write_off"), vec![(Account::BadDebt, 7), (receivable, -7)]));
        for nothing in [usd(0), usd(-1)] {
            let refused = [
                issue(txn, at, invoice, facility, nothing, &parts),
                collect(txn, at, payment, facility, nothing, usd(0)),
                transfer(txn, at, payout, payee, nothing),
                reverse(txn, at, payout, payee, nothing),
                write_off(txn, at, invoice, facility, nothing),
            ];
            assert!(refused.iter().all(|made| matches!(made, Err(TransactionError::NotPositive { .. }))), "{nothing}");
        }
    }

    #[test]
    fn a_fee_in_another_currency_is_named_as_what_it_is() {
        let (txn, payment, facility) =
            (TransactionId::from_parts(1, [0; 10]), PaymentId::from_parts(1, [1; 10]), FacilityId::from_parts(1, [2; 10]));
        let with = |total, fee| collect(txn, Timestamp::UNIX_EPOCH, payment, facility, total, fee).unwrap_err();
        let (euros, dollars) = (Money::new(5, Currency::Eur), Money::new(100, Currency::Usd));
        assert_eq!(with(dollars, euros), TransactionError::Money(money::MoneyError::Currencies(Currency::Usd, Currency::Eur)));
        let negative = with(dollars, Money::new(-1, Currency::Usd)).to_string();
        assert_eq!(negative, format!("the fee of {payment} is -0.01 USD; it must not be negative"));
    }

    #[test]
    fn parts_that_miss_a_cent_are_refused() {
        let usd = |minor| Money::new(minor, Currency::Usd);
        let part = Credited { account: Account::PlatformRevenue, amount: usd(99) };
        let (txn, invoice, facility) =
            (TransactionId::from_parts(1, [0; 10]), InvoiceId::from_parts(1, [1; 10]), FacilityId::from_parts(1, [2; 10]));
        let refused = issue(txn, Timestamp::UNIX_EPOCH, invoice, facility, usd(100), &[part]).unwrap_err();
        assert!(matches!(refused, TransactionError::Unbalanced { minor: 1, .. }));
        assert!(issue(txn, Timestamp::UNIX_EPOCH, invoice, facility, usd(0), &[]).is_err());
    }
}
