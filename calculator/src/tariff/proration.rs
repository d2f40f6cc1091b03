//! Amounts of a month, cut to days so that the parts are the whole.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::profile::BillPeriod;
use super::rate::Proration;

/// Decimal places of a part of an amount; a difference of two parts has no more.
pub(super) const PLACES: u32 = 16;

/// Days of a bill within one calendar month and one version of the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) month: i8,
    /// Where it begins and ends on the way through its whole, which has `whole` days.
    from: u16,
    to: u16,
    whole: u16,
}

impl Segment {
    /// The days of a bill from `from` to `to`, counted from its first; they must lie in one calendar month.
    pub(super) fn new(bill: BillPeriod, first: Date, days: u16, offset: u16, proration: Proration) -> Self {
        let (from, whole) = match proration {
            Proration::BillingMonth => (offset, bill.days()),
            Proration::ThirtyDays => (offset, 30),
            Proration::CalendarDays => (u16::from(first.day().unsigned_abs()) - 1, u16::from(first.days_in_month().unsigned_abs())),
        };
        Self { month: first.month(), from, to: from + days, whole }
    }

    /// The part of an amount of a month that falls on these days.
    ///
    /// It is a difference of two rounded sums, so the parts of neighbouring days sum to the part of all of them, exactly.
    pub(super) fn share(&self, amount: Decimal) -> Option<Decimal> {
        self.until(amount, self.to)?.checked_sub(self.until(amount, self.from)?)
    }

    fn until(&self, amount: Decimal, days: u16) -> Option<Decimal> {
        if days == self.whole {
            return Some(amount);
        }
        let sum = amount.checked_mul(Decimal::from(days))?;
        sum.checked_div(Decimal::from(self.whole)).map(|part| part.round_dp(PLACES))
    }
}

/// The part of an amount of a month that falls on several segments.
pub(super) fn share<'a>(segments: impl Iterator<Item = &'a Segment>, amount: Decimal) -> Option<Decimal> {
    let mut sum = Decimal::ZERO;
    for segment in segments {
        sum = sum.checked_add(segment.share(amount)?)?;
    }
    Some(sum)
}
