//! What is asked of the customer, and who gets which part of it.

use ids::{ContractId, FacilityId, InvoiceId, PayeeId, StatementId};
use jiff::Timestamp;
use jiff::civil::Date;
use money::{Currency, Money, MoneyError, Share};
use serde::{Deserialize, Serialize};

use crate::contract::{Contract, PartyKind};
use crate::line::{Line, LineKind};
use crate::number::InvoiceNumber;
use crate::period::Period;
use crate::statement::Statement;

/// One party's part of the total, as computed at issue and never again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Who is paid.
    pub payee: PayeeId,
    /// As what.
    pub kind: PartyKind,
    /// The name at issue.
    pub name: String,
    /// The share of the total.
    pub share: Share,
    /// The part of the total.
    pub amount: Money,
}

impl Part {
    /// Whether it is the exact share of the total to less than one minor unit, as largest remainders are.
    fn is_its_share_of(&self, total: Money) -> bool {
        let whole = i128::from(Share::WHOLE.ppm());
        let exact = i128::from(total.minor) * i128::from(self.share.ppm());
        (i128::from(self.amount.minor) * whole - exact).abs() < whole
    }
}

/// What an invoice says that neither contract nor statement do.
#[derive(Clone, Debug)]
pub struct Issue {
    /// The invoice's identifier.
    pub id: InvoiceId,
    /// Its number.
    pub number: InvoiceNumber,
    /// When it is issued.
    pub issued_at: Timestamp,
    /// The local day of issue, from which the due date counts.
    pub issued_on: Date,
}

/// An issued invoice, frozen.
///
/// * Law: the lines sum to the total, the parts sum to the total, each part is its share of it to less than one minor unit,
///   the total is not negative, and it is not due before it is issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Paper")]
pub struct Invoice(Paper);

/// What an invoice says, before its figures are checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paper {
    id: InvoiceId,
    number: InvoiceNumber,
    statement: StatementId,
    contract: ContractId,
    facility: FacilityId,
    currency: Currency,
    period: Period,
    issued_at: Timestamp,
    issued_on: Date,
    due_on: Date,
    lines: Vec<Line>,
    total: Money,
    parts: Vec<Part>,
}

/// What makes no invoice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceError {
    /// The statement was made under another contract.
    #[error("statement {statement} belongs to contract {found}, not to {expected}")]
    Contract {
        /// The statement.
        statement: StatementId,
        /// Its contract.
        found: ContractId,
        /// The contract that was given.
        expected: ContractId,
    },
    /// The number has another prefix than the contract.
    #[error("invoice number {number} does not begin with the contract's prefix {prefix}")]
    Prefix {
        /// The number.
        number: InvoiceNumber,
        /// The prefix.
        prefix: String,
    },
    /// The due date is beyond the calendar.
    #[error("{days} days after {issued_on} is beyond the calendar")]
    DueDate {
        /// The day of issue.
        issued_on: Date,
        /// The days until it is due.
        days: u16,
    },
    /// The figures of a stored invoice do not add up.
    #[error("invoice {number}: {what} sum to {found}, the total is {total}")]
    DoesNotAddUp {
        /// The invoice.
        number: InvoiceNumber,
        /// The lines, or the parts.
        what: &'static str,
        /// Their sum.
        found: Money,
        /// The total.
        total: Money,
    },
    /// A stored invoice that owes the customer something.
    #[error("invoice {number} asks for {total}; an invoice is never negative, a credit is a document of its own")]
    Negative {
        /// The invoice.
        number: InvoiceNumber,
        /// What it asks for.
        total: Money,
    },
    /// A part of a stored invoice that is not the share beside it.
    #[error("invoice {number}: the part of {kind} is {found}, which is not {share} of {total}")]
    Part {
        /// The invoice.
        number: InvoiceNumber,
        /// Whose part.
        kind: PartyKind,
        /// The part.
        found: Money,
        /// The share.
        share: Share,
        /// The total.
        total: Money,
    },
    /// A stored invoice that is due before it exists.
    #[error("invoice {number} is due on {due_on}, before it was issued on {issued_on}")]
    DueBefore {
        /// The invoice.
        number: InvoiceNumber,
        /// The day of issue.
        issued_on: Date,
        /// The due date.
        due_on: Date,
    },
    /// Money that cannot be counted.
    #[error("the total cannot be counted")]
    Money(#[from] MoneyError),
}

impl TryFrom<Paper> for Invoice {
    type Error = InvoiceError;

    fn try_from(read: Paper) -> Result<Self, InvoiceError> {
        read.adds_up()?;
        Ok(Self(read))
    }
}

impl Paper {
    /// Whether every law of an invoice holds.
    fn adds_up(&self) -> Result<(), InvoiceError> {
        let (number, total) = (|| self.number.clone(), self.total);
        for (what, found) in [
            ("the lines", Money::sum(self.currency, self.lines.iter().map(|line| line.amount))?),
            ("the parts", Money::sum(self.currency, self.parts.iter().map(|part| part.amount))?),
        ] {
            if found != total {
                return Err(InvoiceError::DoesNotAddUp { number: number(), what, found, total });
            }
        }
        if total.minor < 0 {
            return Err(InvoiceError::Negative { number: number(), total });
        }
        if let Some(part) = self.parts.iter().find(|part| !part.is_its_share_of(total)) {
            return Err(InvoiceError::Part { number: number(), kind: part.kind, found: part.amount, share: part.share, total });
        }
        if self.due_on < self.issued_on {
            return Err(InvoiceError::DueBefore { number: number(), issued_on: self.issued_on, due_on: self.due_on });
        }
        Ok(())
    }
}

impl Invoice {
    /// Issues the invoice of a statement.
    ///
    /// * Breakdown: the savings by price, what earlier and later months do to them, what the facility keeps, fees; the
    ///   lines sum to the total. Lines that would be zero are left out, but for the savings.
    /// * Split: the total by the shares of the contract, by largest remainder.
    /// * Errors: another contract's statement, a number of another series, money that cannot be counted.
    pub fn issue(contract: &Contract, statement: &Statement, issue: Issue) -> Result<Self, InvoiceError> {
        let terms = contract.terms();
        let Issue { id, number, issued_at, issued_on } = issue;
        if statement.contract() != terms.id {
            return Err(InvoiceError::Contract { statement: statement.id(), found: statement.contract(), expected: terms.id });
        }
        if number.prefix() != terms.invoice_prefix {
            return Err(InvoiceError::Prefix { number, prefix: terms.invoice_prefix.clone() });
        }
        let due_on = issued_on
            .checked_add(jiff::Span::new().days(i64::from(terms.due_days)))
            .map_err(|_beyond| InvoiceError::DueDate { issued_on, days: terms.due_days })?;
        let lines = breakdown(contract, statement)?;
        let total = Money::sum(terms.currency, lines.iter().map(|line| line.amount))?;
        let amounts = total.split(&contract.shares())?;
        let part = |(party, amount): (&crate::Party, Money)| Part {
            payee: party.payee,
            kind: party.kind,
            name: party.name.clone(),
            share: party.share,
            amount,
        };
        Ok(Self(Paper {
            id,
            number,
            statement: statement.id(),
            contract: terms.id,
            facility: terms.facility,
            currency: terms.currency,
            period: statement.period(),
            issued_at,
            issued_on,
            due_on,
            lines,
            total,
            parts: terms.split.iter().zip(amounts).map(part).collect(),
        }))
    }

    /// Its identifier.
    #[must_use]
    pub const fn id(&self) -> InvoiceId {
        self.0.id
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> &InvoiceNumber {
        &self.0.number
    }

    /// The statement it bills.
    #[must_use]
    pub const fn statement(&self) -> StatementId {
        self.0.statement
    }

    /// The contract.
    #[must_use]
    pub const fn contract(&self) -> ContractId {
        self.0.contract
    }

    /// Who owes it.
    #[must_use]
    pub const fn facility(&self) -> FacilityId {
        self.0.facility
    }

    /// The currency.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.0.currency
    }

    /// The days it bills.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.0.period
    }

    /// When it was issued.
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.0.issued_at
    }

    /// The local day of issue.
    #[must_use]
    pub const fn issued_on(&self) -> Date {
        self.0.issued_on
    }

    /// When it is due.
    #[must_use]
    pub const fn due_on(&self) -> Date {
        self.0.due_on
    }

    /// The breakdown; sums to the total.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.0.lines
    }

    /// What is asked for; not negative.
    #[must_use]
    pub const fn total(&self) -> Money {
        self.0.total
    }

    /// Who gets which part; sums to the total.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0.parts
    }
}

fn breakdown(contract: &Contract, statement: &Statement) -> Result<Vec<Line>, MoneyError> {
    let mut lines = statement.lines().to_vec();
    let mut add = |kind, description: String, amount: Money| {
        if amount.minor != 0 {
            lines.push(Line { kind, description, energy_wh: None, price_per_kwh: None, bills: None, amount });
        }
    };
    add(LineKind::CarriedIn, "Shortfall of earlier months".to_owned(), statement.carried_in());
    add(LineKind::CarriedOut, "Shortfall carried to later months".to_owned(), statement.carried_out().checked_neg()?);
    add(LineKind::Floored, "Shortfall not charged".to_owned(), statement.floored());
    let retained = statement.billed().checked_sub(statement.billable())?;
    let kept_ppm = Share::WHOLE.ppm() - statement.billed_share().ppm();
    let kept = Share::parts_per_million(kept_ppm).map_or_else(|_over| String::new(), |share| share.to_string());
    add(LineKind::Retained, format!("Savings kept by the facility, {kept}"), retained);
    for fee in &contract.terms().fees {
        add(LineKind::Fee, fee.name.clone(), fee.amount);
    }
    Ok(lines)
}

#[cfg(test)]
#[path = "invoice_tests.rs"]
mod tests;
