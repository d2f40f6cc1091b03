//! What was agreed: which savings are billed, at which price, and who gets which part.

use ids::{BaselineId, ContractId, FacilityId, PayeeId};
use jiff::civil::Date;
use money::{Currency, Money, Share};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::number::{InvoiceNumber, NumberError};
use crate::period::Period;

/// What a party is to the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyKind {
    /// Ourselves. Its part is income and is not paid out.
    Platform,
    /// The umbrella organisation.
    Network,
    /// The owner's side, such as a venture account. Not the share of the savings that is never billed.
    Facility,
    /// Who paid for the retrofit.
    Investor,
    /// Who brought the customer.
    Partner,
}

impl PartyKind {
    /// The word for it, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Network => "network",
            Self::Facility => "facility",
            Self::Investor => "investor",
            Self::Partner => "partner",
        }
    }

    /// Whether its part stays with us as income instead of becoming a payout.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Platform)
    }
}

impl std::fmt::Display for PartyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody who gets a part of what is billed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Who is paid.
    pub payee: PayeeId,
    /// As what.
    pub kind: PartyKind,
    /// The name on the statement.
    pub name: String,
    /// The part of the invoice total, in parts per million.
    pub share: Share,
}

/// What a kilowatt-hour that was not used is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PriceTerms {
    /// One price, in major units of the contract's currency per kilowatt-hour.
    Flat {
        /// The price; a decimal string on the wire.
        price_per_kwh: Decimal,
    },
    /// The tariff of that name, which is kept beside the contract.
    Tariff {
        /// The tariff's name.
        name: String,
    },
}

/// What happens when more was used than the baseline says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NegativeMonth {
    /// The shortfall is set against later months, before anything of them is billed.
    CarryForward,
    /// The month counts as zero and the shortfall is forgotten.
    FloorZero,
}

/// A fixed amount on every invoice, such as for measurement and verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fee {
    /// What it is for, as the invoice says it.
    pub name: String,
    /// The amount; not negative.
    pub amount: Money,
}

/// The terms of a contract before they are checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The contract.
    pub id: ContractId,
    /// Whose savings.
    pub facility: FacilityId,
    /// The currency of everything.
    pub currency: Currency,
    /// Against which baseline.
    pub baseline: BaselineId,
    /// The first local day that counts.
    pub starts_on: Date,
    /// The local day after the last that counts; open where there is none.
    pub ends_on: Option<Date>,
    /// What saved energy is worth.
    pub price: PriceTerms,
    /// The share of the savings' value that is billed; the rest stays with the facility.
    pub billed_share: Share,
    /// Fixed amounts on every invoice.
    #[serde(default)]
    pub fees: Vec<Fee>,
    /// Who gets which part of the invoice total; the order decides who gets an odd cent.
    pub split: Vec<Party>,
    /// What a month of more use does.
    pub negative_month: NegativeMonth,
    /// The prefix of invoice numbers.
    pub invoice_prefix: String,
    /// Days from issue to the due date.
    pub due_days: u16,
    /// Days that collected money waits before it is paid out.
    pub hold_days: u16,
}

/// A contract whose terms hold together. It can only be made from [`Terms`], also when read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Terms", into = "Terms")]
pub struct Contract(Terms);

/// Terms that make no contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// Nobody to split for.
    #[error("contract {0} splits between nobody")]
    NoParties(ContractId),
    /// The shares are not the whole.
    #[error("the shares of contract {contract} sum to {found} parts per million; they must sum to 1000000")]
    Shares {
        /// The contract.
        contract: ContractId,
        /// The sum.
        found: u64,
    },
    /// One payee twice in the same role.
    #[error("contract {contract} names {payee} twice as {kind}")]
    Repeated {
        /// The contract.
        contract: ContractId,
        /// The payee.
        payee: PayeeId,
        /// The role.
        kind: PartyKind,
    },
    /// It ends before it starts.
    #[error("contract {contract} ends on {ends_on}, which is not after its start on {starts_on}")]
    Dates {
        /// The contract.
        contract: ContractId,
        /// The first day.
        starts_on: Date,
        /// The day after the last.
        ends_on: Date,
    },
    /// A price below zero.
    #[error("the price of contract {contract} is {found} per kWh; it must not be negative")]
    Price {
        /// The contract.
        contract: ContractId,
        /// The price.
        found: Decimal,
    },
    /// A fee that is negative or in another currency.
    #[error("the fee `{name}` of contract {contract} is {found}; it must be {currency} and not negative")]
    Fee {
        /// The contract.
        contract: ContractId,
        /// The fee.
        name: String,
        /// The amount.
        found: Money,
        /// The contract's currency.
        currency: Currency,
    },
    /// The invoice prefix is none.
    #[error("contract {contract} has no usable invoice prefix")]
    Prefix {
        /// The contract.
        contract: ContractId,
        /// Why.
        #[source]
        err: NumberError,
    },
}

impl TryFrom<Terms> for Contract {
    type Error = ContractError;

    fn try_from(terms: Terms) -> Result<Self, ContractError> {
        Self::new(terms)
    }
}

impl From<Contract> for Terms {
    fn from(contract: Contract) -> Self {
        contract.0
    }
}

impl Contract {
    /// Checks the terms.
    ///
    /// * Errors: the first term that does not hold.
    pub fn new(terms: Terms) -> Result<Self, ContractError> {
        let contract = terms.id;
        if terms.split.is_empty() {
            return Err(ContractError::NoParties(contract));
        }
        let found: u64 = terms.split.iter().map(|party| u64::from(party.share.ppm())).sum();
        if found != u64::from(Share::WHOLE.ppm()) {
            return Err(ContractError::Shares { contract, found });
        }
        for (index, party) in terms.split.iter().enumerate() {
            if terms.split.iter().take(index).any(|earlier| earlier.payee == party.payee && earlier.kind == party.kind) {
                return Err(ContractError::Repeated { contract, payee: party.payee, kind: party.kind });
            }
        }
        if let Some(ends_on) = terms.ends_on.filter(|ends_on| *ends_on <= terms.starts_on) {
            return Err(ContractError::Dates { contract, starts_on: terms.starts_on, ends_on });
        }
        if let PriceTerms::Flat { price_per_kwh } = terms.price
            && price_per_kwh.is_sign_negative()
            && !price_per_kwh.is_zero()
        {
            return Err(ContractError::Price { contract, found: price_per_kwh });
        }
        if let Some(fee) = terms.fees.iter().find(|fee| fee.amount.minor < 0 || fee.amount.currency != terms.currency) {
            return Err(ContractError::Fee { contract, name: fee.name.clone(), found: fee.amount, currency: terms.currency });
        }
        InvoiceNumber::check_prefix(&terms.invoice_prefix).map_err(|err| ContractError::Prefix { contract, err })?;
        Ok(Self(terms))
    }

    /// The terms.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.0
    }

    /// Whether every day of the period is under contract.
    #[must_use]
    pub fn covers(&self, period: Period) -> bool {
        self.0.starts_on <= period.first() && self.0.ends_on.is_none_or(|ends_on| period.end() <= ends_on)
    }

    /// The shares of the split, in order.
    #[must_use]
    pub fn shares(&self) -> Vec<Share> {
        self.0.split.iter().map(|party| party.share).collect()
    }
}
