//! A payout, and what each fact makes of it.
//!
//! A payout is one payee's part of one invoice. Facts come late, twice and out of order: from our own steps, from
//! webhooks and from asking the processor. [`Payout::apply`] is total over states and facts. What is known already
//! changes nothing; what cannot be true beside what is known is a [`Contradiction`] that a person must see.
//!
//! ```text
//! pending --released--> ready --sent--> processing --confirmed--> completed --reversed--> cancelled
//!                         ^               |      \--no answer--> unknown --confirmed--> completed
//!                         |               \--refused--> failed     |  |
//!                         |<--retried------------------/  ^--refused  |
//!                         |<----------not found-----------------------/
//! pending, ready, failed --withdrawn--> cancelled
//! ```
//!
//! An answer that did not come is not a refusal: from `unknown` only the processor's word leads on. A refusal ends an
//! attempt, and the next attempt has the next number, hence another idempotency key.

use ids::{InvoiceId, PayeeId, PayoutId};
use money::Money;
use serde::{Deserialize, Serialize};

use crate::contract::PartyKind;

/// Where a payout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutState {
    /// It waits: for the money, the hold, or the payee's account.
    Pending,
    /// It may be sent.
    Ready,
    /// It was asked for under this attempt's key.
    Processing,
    /// It was asked for and no answer came.
    Unknown,
    /// It was transferred.
    Completed,
    /// This attempt was refused, definitely.
    Failed,
    /// It will not be paid, or was taken back in full.
    Cancelled,
}

impl PayoutState {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Ready, Self::Processing, Self::Unknown, Self::Completed, Self::Failed, Self::Cancelled];

    /// The word for it, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Unknown => "unknown",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl std::fmt::Display for PayoutState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One payee's part of one invoice, on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payout {
    /// Its identifier.
    pub id: PayoutId,
    /// The invoice it is a part of.
    pub invoice: InvoiceId,
    /// Who is paid.
    pub payee: PayeeId,
    /// As what.
    pub kind: PartyKind,
    /// How much; positive.
    pub amount: Money,
    /// Where it stands.
    pub state: PayoutState,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The processor's name for the transfer, once there is one.
    pub transfer: Option<String>,
}

/// Something that is true now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The money is there, the hold is over, the payee can be paid.
    Released,
    /// We are about to ask the processor, under this attempt's key.
    Sent {
        /// Which attempt.
        attempt: u32,
    },
    /// We asked and heard nothing.
    NoAnswer {
        /// Which attempt.
        attempt: u32,
    },
    /// The processor has the transfer.
    Confirmed {
        /// Its name for it.
        transfer: String,
        /// How much it moved.
        amount: Money,
    },
    /// The processor was asked, and has no transfer of this attempt.
    NotFound {
        /// Which attempt.
        attempt: u32,
    },
    /// The processor refused this attempt for good.
    Refused {
        /// Which attempt.
        attempt: u32,
    },
    /// Somebody, or the schedule, wants another attempt.
    Retried,
    /// The transfer was taken back in full.
    Reversed {
        /// The processor's name for the transfer.
        transfer: String,
    },
    /// It shall not be paid.
    Withdrawn,
}

/// What the ledger must say about a transition, in the same database transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The payee was paid.
    Transfer,
    /// The payee gave it back.
    Reverse,
}

/// What a fact made of a payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// It was known already, or came too late to matter.
    Unchanged,
    /// The payout moved.
    Moved {
        /// The payout from now on.
        to: Payout,
        /// What to post with it.
        post: Option<Entry>,
    },
}

/// Facts that cannot both be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// The processor moved another amount.
    #[error("payout {payout} is {expected}, but transfer {transfer} moved {found}")]
    Amount {
        /// The payout.
        payout: PayoutId,
        /// The transfer.
        transfer: String,
        /// What is owed.
        expected: Money,
        /// What was moved.
        found: Money,
    },
    /// The processor has two transfers for one payout.
    #[error("payout {payout} was transferred as {known}, and now as {found} too")]
    Transfer {
        /// The payout.
        payout: PayoutId,
        /// The transfer that was known.
        known: String,
        /// The other.
        found: String,
    },
    /// The fact cannot follow from the state.
    #[error("payout {payout} is {state}, attempt {attempt}, which cannot have led to: {fact}")]
    State {
        /// The payout.
        payout: PayoutId,
        /// Where it stands.
        state: PayoutState,
        /// Which attempt it is in.
        attempt: u32,
        /// What was said.
        fact: String,
    },
}

impl Payout {
    /// A payout that waits.
    #[must_use]
    pub const fn pending(id: PayoutId, invoice: InvoiceId, payee: PayeeId, kind: PartyKind, amount: Money) -> Self {
        Self { id, invoice, payee, kind, amount, state: PayoutState::Pending, attempt: 1, transfer: None }
    }

    /// What a fact makes of it.
    ///
    /// * Law: total over states and facts; applying the same fact twice is applying it once; at most one [`Entry::Transfer`]
    ///   and one [`Entry::Reverse`] ever come out of a payout.
    /// * Errors: facts that cannot be true beside what is known. Nothing has changed then.
    pub fn apply(&self, fact: &Fact) -> Result<Transition, Contradiction> {
        use PayoutState::{Cancelled, Completed, Failed, Pending, Processing, Ready, Unknown};
        let attempt = match fact {
            Fact::Sent { attempt } | Fact::NoAnswer { attempt } | Fact::NotFound { attempt } | Fact::Refused { attempt } => *attempt,
            _ => self.attempt,
        };
        if attempt > self.attempt {
            return Err(self.impossible(fact));
        }
        match (fact, self.state) {
            (Fact::Confirmed { transfer, amount }, state) => self.confirmed(fact, state, transfer, *amount),
            (Fact::Reversed { transfer }, state) => self.reversed(fact, state, transfer),
            // News of an attempt that is over changes nothing about the one that runs.
            _ if attempt < self.attempt => Ok(Transition::Unchanged),
            (Fact::Released, Pending) => Ok(self.to(Ready)),
            (Fact::Released, _) => Ok(Transition::Unchanged),
            (Fact::Sent { .. }, Ready) => Ok(self.to(Processing)),
            (Fact::Sent { .. }, Pending) => Err(self.impossible(fact)),
            (Fact::Sent { .. }, _) => Ok(Transition::Unchanged),
            (Fact::NoAnswer { .. }, Processing) => Ok(self.to(Unknown)),
            (Fact::NoAnswer { .. }, Pending) => Err(self.impossible(fact)),
            (Fact::NoAnswer { .. }, _) => Ok(Transition::Unchanged),
            (Fact::NotFound { .. }, Unknown | Processing) => Ok(self.to(Ready)),
            (Fact::NotFound { .. }, Completed) => Err(self.impossible(fact)),
            (Fact::NotFound { .. }, _) => Ok(Transition::Unchanged),
            (Fact::Refused { .. }, Processing | Unknown) => Ok(self.to(Failed)),
            (Fact::Refused { .. }, Failed | Cancelled) => Ok(Transition::Unchanged),
            (Fact::Refused { .. }, Pending | Ready | Completed) => Err(self.impossible(fact)),
            (Fact::Retried, Failed) => {
                Ok(Transition::Moved { to: Self { state: Ready, attempt: self.attempt + 1, ..self.clone() }, post: None })
            }
            (Fact::Retried, _) => Ok(Transition::Unchanged),
            (Fact::Withdrawn, Pending | Ready | Failed) => Ok(self.to(Cancelled)),
            (Fact::Withdrawn, Cancelled) => Ok(Transition::Unchanged),
            (Fact::Withdrawn, Processing | Unknown | Completed) => Err(self.impossible(fact)),
        }
    }

    fn confirmed(&self, fact: &Fact, state: PayoutState, transfer: &str, amount: Money) -> Result<Transition, Contradiction> {
        if amount != self.amount {
            return Err(Contradiction::Amount { payout: self.id, transfer: transfer.to_owned(), expected: self.amount, found: amount });
        }
        match (&self.transfer, state) {
            (Some(known), _) if known == transfer => Ok(Transition::Unchanged),
            (Some(known), _) => Err(Contradiction::Transfer { payout: self.id, known: known.clone(), found: transfer.to_owned() }),
            (None, PayoutState::Processing | PayoutState::Unknown) => Ok(Transition::Moved {
                to: Self { state: PayoutState::Completed, transfer: Some(transfer.to_owned()), ..self.clone() },
                post: Some(Entry::Transfer),
            }),
            (None, _) => Err(self.impossible(fact)),
        }
    }

    fn reversed(&self, fact: &Fact, state: PayoutState, transfer: &str) -> Result<Transition, Contradiction> {
        match (&self.transfer, state) {
            (Some(known), _) if known != transfer => {
                Err(Contradiction::Transfer { payout: self.id, known: known.clone(), found: transfer.to_owned() })
            }
            (Some(_), PayoutState::Completed) => {
                Ok(Transition::Moved { to: Self { state: PayoutState::Cancelled, ..self.clone() }, post: Some(Entry::Reverse) })
            }
            (Some(_), _) => Ok(Transition::Unchanged),
            (None, _) => Err(self.impossible(fact)),
        }
    }

    fn to(&self, state: PayoutState) -> Transition {
        Transition::Moved { to: Self { state, ..self.clone() }, post: None }
    }

    fn impossible(&self, fact: &Fact) -> Contradiction {
        Contradiction::State { payout: self.id, state: self.state, attempt: self.attempt, fact: format!("{fact:?}") }
    }
}

#[cfg(test)]
#[path = "payout_tests.rs"]
mod tests;
