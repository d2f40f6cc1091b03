//! What a saving is worth: the bills of what would have been used less the bills of what was.

use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::bill::{Account, Bill, BillError, Biller};
use super::charge::LineKind;
use super::profile::{BillPeriod, Profile};
use super::rate::Rate;

/// The value of a saving.
///
/// * Law: `value` is the sum of the differences, and the counterfactual bills less the measured ones, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Valued {
    /// The code of the currency.
    pub currency: String,
    /// What was not used, Wh taken from the grid.
    pub avoided_wh: i64,
    /// What was not paid.
    pub value: Decimal,
    /// What was not paid, by charge and period in the order of the bills.
    pub differences: Vec<Difference>,
    /// The bills of what would have been used.
    pub counterfactual: Vec<Bill>,
    /// The bills of what was used.
    pub measured: Vec<Bill>,
}

/// One charge of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is for.
    pub kind: LineKind,
    /// The charge.
    pub name: String,
    /// The period of the charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// What it would have cost.
    pub counterfactual: Decimal,
    /// What it cost.
    pub measured: Decimal,
    /// The difference.
    pub value: Decimal,
}

/// Bills both profiles under the same versions of the same rate.
///
/// * Shape: both have the same intervals. Each has its own past demands; the grid's peaks are those of the first.
/// * Errors: as of a bill.
pub fn value(
    rate: &Rate,
    zone: &TimeZone,
    periods: &[BillPeriod],
    counterfactual: (&Profile, &Account),
    measured: (&Profile, &Account),
) -> Result<Valued, BillError> {
    let biller = Biller::new(rate, counterfactual.0, zone, periods)?;
    let measured_account = Account { grid_peaks: counterfactual.1.grid_peaks.clone(), ..measured.1.clone() };
    compare(biller.bills(counterfactual.0, counterfactual.1)?, biller.bills(measured.0, &measured_account)?, rate.currency())
}

/// Compares bills of the same days.
pub(super) fn compare(counterfactual: Vec<Bill>, measured: Vec<Bill>, currency: &str) -> Result<Valued, BillError> {
    let beyond = |name: &str| BillError::Amount { name: name.to_owned() };
    let mut differences: Vec<Difference> = Vec::new();
    let both = counterfactual.iter().map(|bill| (bill, true)).chain(measured.iter().map(|bill| (bill, false)));
    for (bill, would_have) in both {
        for line in &bill.lines {
            let same = |other: &Difference| other.kind == line.kind && other.name == line.name && other.period == line.period;
            let index = differences.iter().position(same).unwrap_or_else(|| {
                let (kind, name, period) = (line.kind, line.name.clone(), line.period.clone());
                let zero = Decimal::ZERO;
                differences.push(Difference { kind, name, period, counterfactual: zero, measured: zero, value: zero });
                differences.len() - 1
            });
            let difference = &mut differences[index];
            let side = if would_have { &mut difference.counterfactual } else { &mut difference.measured };
            *side = side.checked_add(line.amount).ok_or_else(|| beyond(&line.name))?;
        }
    }
    let mut value = Decimal::ZERO;
    for difference in &mut differences {
        difference.value = difference.counterfactual.checked_sub(difference.measured).ok_or_else(|| beyond(&difference.name))?.normalize();
        difference.counterfactual = difference.counterfactual.normalize();
        difference.measured = difference.measured.normalize();
        value = value.checked_add(difference.value).ok_or_else(|| beyond(&difference.name))?;
    }
    let taken = |bills: &[Bill]| bills.iter().map(|bill| bill.energy_wh).sum::<i64>();
    let avoided_wh = taken(&counterfactual) - taken(&measured);
    Ok(Valued { currency: currency.to_owned(), avoided_wh, value: value.normalize(), differences, counterfactual, measured })
}
