//! A period's savings under a contract, and what of them is billed.

use std::collections::BTreeMap;

use ids::{BaselineId, ContractId, FacilityId, StatementId};
use money::{Currency, Money, MoneyError, Price, Share, charge, rounded};
use serde::{Deserialize, Serialize};
use units::Energy;

use crate::beside::{self, Beside, Drawn, Trust, Yield};
use crate::contract::{Contract, NegativeMonth};
use crate::figures::{BilledCharge, Figures, PricedEnergy, Worth};
use crate::line::{Bills, Line, LineKind};
use crate::period::Period;

/// What was measured.
///
/// * Units: Wh; the uncertainty is half of the interval at `confidence_ppm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Savings {
    /// What the baseline would have used, agreed adjustments included.
    pub counterfactual_wh: Energy,
    /// What the agreed adjustments are of that; absent when there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub adjustments_wh: Energy,
    /// What was used.
    pub observed_wh: Energy,
    /// The difference; negative when more was used.
    pub avoided_wh: Energy,
    /// Half of the interval around `avoided_wh`.
    pub uncertainty_wh: Energy,
    /// The confidence of the interval, in parts per million.
    pub confidence_ppm: u32,
    /// Days of the period.
    pub days_total: u32,
    /// Days with energy and weather; only these were compared.
    pub days_compared: u32,
    /// The name and edition of the method.
    pub method: String,
}

fn is_zero(energy: &Energy) -> bool {
    *energy == Energy::ZERO
}

/// A period's savings and their value, frozen.
///
/// * Law: each line is its energy at its price, rounded once, and the energies sum to what was avoided; or each line is a
///   charge of one bill less that of another, rounded once; never both. `value = Σ lines`,
///   `billable = value + carried_in − carried_out + floored ≥ 0`, a shortfall is carried on or forgotten as a whole,
///   `billed = billed_share × billable`, rounded once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Paper")]
pub struct Statement(Paper);

/// What a statement says, before its figures are checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Paper {
    id: StatementId,
    contract: ContractId,
    facility: FacilityId,
    baseline: BaselineId,
    currency: Currency,
    period: Period,
    savings: Savings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trust: Option<Trust>,
    #[serde(rename = "yield", default, skip_serializing_if = "Option::is_none")]
    yielded: Option<Yield>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drawn: Option<Drawn>,
    lines: Vec<Line>,
    value: Money,
    carried_in: Money,
    carried_out: Money,
    floored: Money,
    billable: Money,
    billed_share: Share,
    billed: Money,
    inputs: BTreeMap<String, String>,
}

/// Figures that make no statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// Days outside the contract.
    #[error("{period} is not wholly under contract {contract}")]
    NotCovered {
        /// The days.
        period: Period,
        /// The contract.
        contract: ContractId,
    },
    /// The difference is not the difference.
    #[error("{counterfactual} Wh expected less {observed} Wh used is not {avoided} Wh")]
    Difference {
        /// What the baseline would have used.
        counterfactual: i64,
        /// What was used.
        observed: i64,
        /// What was said to be the difference.
        avoided: i64,
    },
    /// Energy was priced that was not avoided, or the other way round.
    #[error("{priced} Wh were priced, but {avoided} Wh were avoided")]
    Priced {
        /// What was priced.
        priced: i64,
        /// What was avoided.
        avoided: i64,
    },
    /// An interval or days that cannot be.
    #[error("an uncertainty of {uncertainty} at {confidence_ppm} parts per million on {days_compared} of {days_total} days cannot be")]
    Implausible {
        /// Half of the interval.
        uncertainty: Energy,
        /// Its confidence.
        confidence_ppm: u32,
        /// Days that were compared.
        days_compared: u32,
        /// Days of the period.
        days_total: u32,
    },
    /// A trust score or a yield that cannot be.
    #[error("statement {statement}: {what}")]
    Beside {
        /// The statement.
        statement: StatementId,
        /// What is wrong.
        what: &'static str,
    },
    /// A line without what gives it its amount.
    #[error("statement {statement}: the line `{line}` has neither its energy and price nor its two bills, or not as the others have")]
    Unpriced {
        /// The statement.
        statement: StatementId,
        /// The line.
        line: String,
    },
    /// A claim instead of a shortfall.
    #[error("{0} cannot be carried into a month: only a shortfall is carried, as zero or a negative amount")]
    CarriedIn(Money),
    /// Figures of a stored statement that do not add up.
    #[error("statement {statement}: {what} is {found}, it should be {expected}")]
    DoesNotAddUp {
        /// The statement.
        statement: StatementId,
        /// Which figure.
        what: String,
        /// What it says.
        found: Money,
        /// What it should say.
        expected: Money,
    },
    /// Money that cannot be counted.
    #[error("the value of the savings cannot be counted")]
    Money(#[from] MoneyError),
}

impl TryFrom<Paper> for Statement {
    type Error = SettleError;

    fn try_from(read: Paper) -> Result<Self, SettleError> {
        read.adds_up()?;
        Ok(Self(read))
    }
}

impl Paper {
    /// Whether every law of a statement holds.
    fn adds_up(&self) -> Result<(), SettleError> {
        plausible(&self.savings)?;
        let (statement, currency) = (self.id, self.currency);
        beside::holds(statement, (self.trust.as_ref(), self.yielded.as_ref(), self.drawn.as_ref()), &self.savings)?;
        let check = |what: &dyn std::fmt::Display, found: Money, expected: Money| {
            if found == expected { Ok(()) } else { Err(SettleError::DoesNotAddUp { statement, what: what.to_string(), found, expected }) }
        };
        let billed = self.lines.iter().any(|line| line.bills.is_some());
        let mut priced = 0_i64;
        for line in &self.lines {
            let unpriced = || SettleError::Unpriced { statement, line: line.description.clone() };
            let amount = match (line.energy_wh, line.price_per_kwh, line.bills) {
                (Some(energy_wh), Some(price), None) if !billed => {
                    priced = priced.checked_add(energy_wh).ok_or(MoneyError::Overflow)?;
                    charge(energy_wh, Price::per_kwh(price, currency))?
                }
                (None, None, Some(bills)) => bills.difference(currency)?,
                _ => return Err(unpriced()),
            };
            check(&format_args!("the line `{}`", line.description), line.amount, amount)?;
        }
        if !billed {
            all_priced(priced, &self.savings)?;
        }
        check(&"the value", self.value, Money::sum(currency, self.lines.iter().map(|line| line.amount))?)?;
        let Balance { billable, short } = Balance::of(self.value, self.carried_in)?;
        check(&"the billable value", self.billable, billable)?;
        // A shortfall is carried on or forgotten, and never a part of it.
        let forgets = self.floored.minor != 0;
        let (carried, forgotten) = if forgets { (Money::zero(currency), short.checked_neg()?) } else { (short, Money::zero(currency)) };
        check(&"the shortfall carried on", self.carried_out, carried)?;
        check(&"the shortfall forgotten", self.floored, forgotten)?;
        check(&"the billed amount", self.billed, self.billed_share.of(billable)?)
    }
}

impl Statement {
    /// Prices what was measured under the contract.
    ///
    /// * Rounding: each price line once, half to even; then the billed share of their sum, once.
    /// * Errors: days outside the contract, figures that contradict one another, money that cannot be counted.
    pub fn settle(contract: &Contract, figures: Figures) -> Result<Self, SettleError> {
        let terms = contract.terms();
        let Figures { id, period, savings, worth, carried_in, beside: Beside { trust, yielded, drawn }, inputs } = figures;
        if !contract.covers(period) {
            return Err(SettleError::NotCovered { period, contract: terms.id });
        }
        plausible(&savings)?;
        beside::holds(id, (trust.as_ref(), yielded.as_ref(), drawn.as_ref()), &savings)?;
        let lines = match worth {
            Worth::Priced(priced) => {
                let sum = priced.iter().try_fold(0_i64, |sum, line| sum.checked_add(line.energy_wh)).ok_or(MoneyError::Overflow)?;
                all_priced(sum, &savings)?;
                priced.into_iter().map(|line| priced_line(line, terms.currency)).collect::<Result<Vec<_>, _>>()?
            }
            // Without a charge nothing was billed, and a statement of energy without a price is none.
            Worth::Billed(charges) if charges.is_empty() => {
                all_priced(0, &savings)?;
                Vec::new()
            }
            Worth::Billed(charges) => {
                charges.into_iter().map(|charge| billed_line(charge, terms.currency)).collect::<Result<Vec<_>, _>>()?
            }
        };
        let zero = Money::zero(terms.currency);
        let value = Money::sum(terms.currency, lines.iter().map(|line| line.amount))?;
        let Balance { billable, short } = Balance::of(value, carried_in)?;
        let (carried_out, floored) = match terms.negative_month {
            NegativeMonth::CarryForward => (short, zero),
            NegativeMonth::FloorZero => (zero, short.checked_neg()?),
        };
        Ok(Self(Paper {
            id,
            contract: terms.id,
            facility: terms.facility,
            baseline: terms.baseline,
            currency: terms.currency,
            period,
            savings,
            trust,
            yielded,
            drawn,
            lines,
            value,
            carried_in,
            carried_out,
            floored,
            billable,
            billed_share: terms.billed_share,
            billed: terms.billed_share.of(billable)?,
            inputs,
        }))
    }

    /// Its identifier.
    #[must_use]
    pub const fn id(&self) -> StatementId {
        self.0.id
    }

    /// The contract.
    #[must_use]
    pub const fn contract(&self) -> ContractId {
        self.0.contract
    }

    /// Whose savings.
    #[must_use]
    pub const fn facility(&self) -> FacilityId {
        self.0.facility
    }

    /// Against which baseline.
    #[must_use]
    pub const fn baseline(&self) -> BaselineId {
        self.0.baseline
    }

    /// The currency of everything.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.0.currency
    }

    /// The days it covers.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.0.period
    }

    /// What was measured.
    #[must_use]
    pub const fn savings(&self) -> &Savings {
        &self.0.savings
    }

    /// How far the savings may be believed; nothing on statements made before anybody asked.
    #[must_use]
    pub const fn trust(&self) -> Option<&Trust> {
        self.0.trust.as_ref()
    }

    /// What grew; nothing where nobody weighs it.
    #[must_use]
    pub const fn yielded(&self) -> Option<&Yield> {
        self.0.yielded.as_ref()
    }

    /// How the value was drawn; nothing where it was not.
    #[must_use]
    pub const fn drawn(&self) -> Option<&Drawn> {
        self.0.drawn.as_ref()
    }

    /// The avoided energy by price, each with its rounded amount.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.0.lines
    }

    /// What the avoided energy is worth.
    #[must_use]
    pub const fn value(&self) -> Money {
        self.0.value
    }

    /// The shortfall of earlier months; zero or negative.
    #[must_use]
    pub const fn carried_in(&self) -> Money {
        self.0.carried_in
    }

    /// The shortfall for later months; zero or negative. It is the next statement's `carried_in`.
    #[must_use]
    pub const fn carried_out(&self) -> Money {
        self.0.carried_out
    }

    /// The shortfall that is forgotten; zero or positive.
    #[must_use]
    pub const fn floored(&self) -> Money {
        self.0.floored
    }

    /// The value after shortfalls; not negative.
    #[must_use]
    pub const fn billable(&self) -> Money {
        self.0.billable
    }

    /// Which share of it is billed.
    #[must_use]
    pub const fn billed_share(&self) -> Share {
        self.0.billed_share
    }

    /// What is billed of it.
    #[must_use]
    pub const fn billed(&self) -> Money {
        self.0.billed
    }

    /// SHA-256 of everything it was computed from, by name.
    #[must_use]
    pub const fn inputs(&self) -> &BTreeMap<String, String> {
        &self.0.inputs
    }
}

fn priced_line(line: PricedEnergy, currency: Currency) -> Result<Line, MoneyError> {
    Ok(Line {
        kind: LineKind::Savings,
        description: format!("Energy not used, {}", line.label),
        energy_wh: Some(line.energy_wh),
        price_per_kwh: Some(line.price_per_kwh),
        bills: None,
        amount: charge(line.energy_wh, Price::per_kwh(line.price_per_kwh, currency))?,
    })
}

fn billed_line(BilledCharge { label, bills }: BilledCharge, currency: Currency) -> Result<Line, MoneyError> {
    let (would, was) = (bills.counterfactual.round_dp(2), bills.measured.round_dp(2));
    Ok(Line {
        kind: LineKind::Savings,
        description: format!("Not charged by the supplier, {label}: {would} would have been, {was} was"),
        energy_wh: None,
        price_per_kwh: None,
        bills: Some(bills),
        amount: bills.difference(currency)?,
    })
}

impl Bills {
    /// What was not charged, rounded once.
    fn difference(self, currency: Currency) -> Result<Money, MoneyError> {
        rounded(self.counterfactual.checked_sub(self.measured).ok_or(MoneyError::Overflow)?, currency)
    }
}

/// What a month's value and the shortfall of earlier months leave: something to bill, or a shortfall.
struct Balance {
    /// Not negative.
    billable: Money,
    /// Zero or negative.
    short: Money,
}

impl Balance {
    fn of(value: Money, carried_in: Money) -> Result<Self, SettleError> {
        if carried_in.minor > 0 {
            return Err(SettleError::CarriedIn(carried_in));
        }
        let (balance, zero) = (value.checked_add(carried_in)?, Money::zero(value.currency));
        let (billable, short) = if balance.minor < 0 { (zero, balance) } else { (balance, zero) };
        Ok(Self { billable, short })
    }
}

/// Whether what was measured can be: the difference is the difference, the interval an interval, the days some of the days.
fn plausible(savings: &Savings) -> Result<(), SettleError> {
    if !savings.counterfactual_wh.checked_sub(savings.observed_wh).is_ok_and(|difference| difference == savings.avoided_wh) {
        return Err(SettleError::Difference {
            counterfactual: savings.counterfactual_wh.as_wh(),
            observed: savings.observed_wh.as_wh(),
            avoided: savings.avoided_wh.as_wh(),
        });
    }
    let Savings { uncertainty_wh, confidence_ppm, days_compared, days_total, .. } = *savings;
    if uncertainty_wh < Energy::ZERO || confidence_ppm > Share::WHOLE.ppm() || days_compared > days_total {
        return Err(SettleError::Implausible { uncertainty: uncertainty_wh, confidence_ppm, days_compared, days_total });
    }
    Ok(())
}

fn all_priced(priced: i64, savings: &Savings) -> Result<(), SettleError> {
    let avoided = savings.avoided_wh.as_wh();
    if priced == avoided { Ok(()) } else { Err(SettleError::Priced { priced, avoided }) }
}
