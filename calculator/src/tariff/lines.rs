//! The lines of one bill, in their order: energy, demand, fixed amounts, riders, the least bill, taxes.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::bill::{Bill, BillError, BillLine, Biller, Laid, Note, PastDemand, Piece, Quantity};
use super::charge::{CoincidentCharge, DemandCharge, EnergyCharge, Export, LineKind, Per, PriceFrom, Rider, RiderPrice, TierUnit, Version};
use super::proration::{PLACES, Segment, share};
use super::schedule::Schedule;
use super::{demand, energy};

/// A bill that is being written.
struct Writer<'a> {
    biller: &'a Biller<'a>,
    laid: &'a Laid,
    /// The energy of each interval.
    wh: &'a [i64],
    history: &'a [PastDemand],
    grid_peaks: &'a [jiff::Timestamp],
    lines: Vec<BillLine>,
    /// The highest measured demand of each demand charge.
    demands: BTreeMap<&'a str, i64>,
    notes: Vec<Note>,
}

/// A line before it has its version and its rounding.
struct Draft<'a> {
    kind: LineKind,
    name: &'a str,
    period: Option<&'a str>,
    tier: Option<usize>,
    quantity: Quantity,
    price: Decimal,
    months: Option<Decimal>,
    amount: Decimal,
}

pub(super) fn bill(
    biller: &Biller<'_>,
    laid: &Laid,
    wh: &[i64],
    history: &[PastDemand],
    grid_peaks: &[jiff::Timestamp],
) -> Result<Bill, BillError> {
    let (lines, demands, notes) = (Vec::new(), BTreeMap::new(), Vec::new());
    let mut writer = Writer { biller, laid, wh, history, grid_peaks, lines, demands, notes };
    let mut peak_w = 0;
    for piece in &laid.pieces {
        peak_w = peak_w.max(writer.peak(piece)?);
        writer.piece(piece)?;
    }
    let Writer { lines, demands, notes, .. } = writer;
    let mut total = Decimal::ZERO;
    for line in &lines {
        total = total.checked_add(line.amount).ok_or_else(|| beyond(&line.name))?;
    }
    let demands = demands.into_iter().map(|(charge, watts)| PastDemand { charge: charge.to_owned(), end: laid.period.end, watts });
    Ok(Bill {
        period: laid.period,
        currency: biller.rate.currency().to_owned(),
        energy_wh: wh.iter().filter(|wh| **wh > 0).sum(),
        export_wh: -wh.iter().filter(|wh| **wh < 0).sum::<i64>(),
        peak_w,
        lines,
        total: total.normalize(),
        demands: demands.collect(),
        notes,
    })
}

/// What is charged by the month, and in which unit.
struct Power {
    kilo: Decimal,
    quantity: fn(Decimal) -> Quantity,
}

impl Power {
    const fn active(kilo: Decimal) -> Self {
        Self { kilo, quantity: Quantity::Kw }
    }

    /// What a charge makes of so much active power, kW.
    fn of(charge: &DemandCharge, kw: Decimal) -> Result<Self, BillError> {
        let Some(factor) = charge.power_factor else { return Ok(Self::active(kw)) };
        let kilo = factor.charged(kw).ok_or_else(|| beyond(&charge.name))?;
        Ok(Self { kilo, quantity: if factor.is_apparent() { Quantity::Kva } else { Quantity::Kw } })
    }

    fn at_least(self, minimum: Option<Decimal>) -> Self {
        Self { kilo: self.kilo.max(minimum.unwrap_or_default()), ..self }
    }
}

fn beyond(name: &str) -> BillError {
    BillError::Amount { name: name.to_owned() }
}

/// `a × b`, to the decimal places that are kept of any amount.
fn times(a: Decimal, b: Decimal, name: &str) -> Result<Decimal, BillError> {
    a.checked_mul(b).map(|product| product.normalize()).ok_or_else(|| beyond(name))
}

impl<'a> Writer<'a> {
    /// All lines of one version's days.
    fn piece(&mut self, piece: &'a Piece) -> Result<(), BillError> {
        let (version, compiled) = self.biller.rate.version(piece.version);
        let first_line = self.lines.len();
        for (charge, schedule) in version.energy.iter().zip(&compiled.energy) {
            self.energy(piece, version, charge, schedule)?;
        }
        let given: i64 = -self.wh[piece.slots.clone()].iter().filter(|wh| **wh < 0).sum::<i64>();
        if version.export == Export::Unpaid && given > 0 {
            self.notes.push(Note::ExportUnpaid { wh: given });
        }
        self.coarse(version, !version.demand.is_empty());
        for (charge, schedule) in version.demand.iter().zip(&compiled.demand) {
            self.demand(piece, version, charge, schedule)?;
        }
        for charge in &version.coincident {
            self.coincident(piece, version, charge)?;
        }
        for charge in &version.fixed {
            let (quantity, amount) = self.owed(piece, charge.amount, charge.per, &charge.name)?;
            let draft = Draft {
                kind: LineKind::Fixed,
                name: &charge.name,
                period: None,
                tier: None,
                quantity,
                price: charge.amount,
                months: None,
                amount,
            };
            self.push(version, draft);
        }
        for rider in &version.riders {
            self.rider(piece, version, rider, first_line)?;
        }
        if let Some(minimum) = &version.minimum {
            let (_, least) = self.owed(piece, minimum.amount, minimum.per, &minimum.name)?;
            let so_far = self.sum(first_line, &minimum.of)?;
            if so_far < least {
                let (name, kind, quantity) = (minimum.name.as_str(), LineKind::Minimum, Quantity::Amount(so_far.normalize()));
                let amount = least - so_far;
                self.push(version, Draft { kind, name, period: None, tier: None, quantity, price: minimum.amount, months: None, amount });
            }
        }
        let taxed = self.lines.len();
        for tax in &version.taxes {
            // Without a list a tax is not a part of the taxes before it.
            let base = if tax.of.is_empty() { self.sum_of(first_line..taxed, &[])? } else { self.sum(first_line, &tax.of)? };
            self.percent(version, LineKind::Tax, &tax.name, tax.percent, base)?;
        }
        Ok(())
    }

    fn energy(&mut self, piece: &Piece, version: &'a Version, charge: &'a EnergyCharge, schedule: &Schedule) -> Result<(), BillError> {
        let mut bounds = Vec::with_capacity(charge.periods.len());
        for period in &charge.periods {
            let mut of_period = Vec::with_capacity(period.tiers.len());
            for tier in &period.tiers {
                of_period.push(tier.up_to.map_or(Ok(i64::MAX), |bound| self.bound(piece, version, charge, bound))?);
            }
            bounds.push(of_period);
        }
        let net = version.export == Export::Net;
        // The schedule of energy covers every hour.
        let slots = piece.slots.clone().map(|slot| (schedule.at(piece.cells[slot]).unwrap_or_default(), self.wh[slot]));
        let given = if net {
            let sums = energy::sums(slots.clone(), charge.periods.len());
            sums.into_iter().map(|wh| wh.min(0)).collect()
        } else {
            energy::sums(slots.clone().filter(|(_, wh)| *wh < 0), charge.periods.len())
        };
        let tiers = if net {
            let sums = energy::sums(slots, charge.periods.len()).into_iter().map(|wh| wh.max(0)).enumerate();
            // One period after the other: with several tiers this order is refused when the rate is read.
            energy::tiers(sums, &bounds, charge.allocation)
        } else {
            energy::tiers(slots.filter(|(_, wh)| *wh > 0), &bounds, charge.allocation)
        };
        for (period, filled) in charge.periods.iter().zip(&tiers) {
            let several = period.tiers.len() > 1;
            for (index, (tier, wh)) in period.tiers.iter().zip(filled).enumerate() {
                if index > 0 && *wh == 0 {
                    continue;
                }
                let kwh = Decimal::new(*wh, 3).normalize();
                let amount = times(kwh, tier.price, &charge.name)?;
                let (kind, quantity, tier_number) = (LineKind::Energy, Quantity::Kwh(kwh), several.then_some(index + 1));
                let (name, period) = (charge.name.as_str(), Some(period.name.as_str()));
                self.push(version, Draft { kind, name, period, tier: tier_number, quantity, price: tier.price, months: None, amount });
            }
        }
        if version.export == Export::Unpaid {
            return Ok(());
        }
        for (period, wh) in charge.periods.iter().zip(given) {
            match period.sell_per_kwh {
                Some(price) if wh != 0 => {
                    let kwh = Decimal::new(wh, 3).normalize();
                    let amount = times(kwh, price, &charge.name)?;
                    let (kind, quantity) = (LineKind::Export, Quantity::Kwh(-kwh));
                    let (name, period) = (charge.name.as_str(), Some(period.name.as_str()));
                    self.push(version, Draft { kind, name, period, tier: None, quantity, price, months: None, amount });
                }
                None if wh != 0 => self.notes.push(Note::ExportUnpaid { wh: -wh }),
                _ => {}
            }
        }
        Ok(())
    }

    /// The bound of a tier on these days, Wh.
    fn bound(&mut self, piece: &Piece, version: &Version, charge: &EnergyCharge, bound: Decimal) -> Result<i64, BillError> {
        let name = &charge.name;
        let month = |bound| share(piece.segments.iter(), bound).ok_or_else(|| beyond(name));
        let days = Decimal::from(piece.days.end - piece.days.start);
        let kwh = match charge.tiers_by {
            TierUnit::Kwh => month(bound)?,
            TierUnit::KwhDaily => times(bound, days, name)?,
            TierUnit::KwhPerKw | TierUnit::KwhPerKwDaily => {
                self.coarse(version, true);
                let kw = Decimal::new(self.peak(piece)?, 3);
                let of_kw = times(bound, kw, name)?;
                if charge.tiers_by == TierUnit::KwhPerKw { month(of_kw)? } else { times(of_kw, days, name)? }
            }
        };
        let wh = times(kwh, Decimal::ONE_THOUSAND, name)?.round();
        i64::try_from(wh).map_err(|_beyond| beyond(name))
    }

    /// The highest average of all hours of the bill, W.
    fn peak(&self, piece: &Piece) -> Result<i64, BillError> {
        let (version, _) = self.biller.rate.version(piece.version);
        Ok(self.measured(version, 1, |_| Some(0))?.into_iter().flatten().max().unwrap_or(0))
    }

    fn measured(&self, version: &Version, periods: usize, period: impl Fn(usize) -> Option<usize>) -> Result<Vec<Option<i64>>, BillError> {
        let (meter, interval_minutes) = (version.demand_meter, self.biller.interval_minutes);
        demand::highest(self.wh, &self.laid.minute, meter, interval_minutes, periods, period)
            .ok_or(BillError::DemandWindow { interval_minutes, window_minutes: meter.window_minutes })
    }

    fn coarse(&mut self, version: &Version, asked: bool) {
        let (interval_minutes, window_minutes) = (self.biller.interval_minutes, version.demand_meter.window_minutes);
        let note = Note::CoarseIntervals { interval_minutes, window_minutes };
        if asked && interval_minutes > window_minutes && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn demand(&mut self, piece: &Piece, version: &'a Version, charge: &'a DemandCharge, schedule: &Schedule) -> Result<(), BillError> {
        let measured = self.measured(version, charge.periods.len(), |slot| schedule.at(piece.cells[slot]))?;
        let highest = measured.iter().flatten().copied().max().unwrap_or(0);
        let so_far = self.demands.entry(&charge.name).or_default();
        *so_far = highest.max(*so_far);

        let mut remembered = Decimal::ZERO;
        if let Some(ratchet) = &charge.ratchet {
            let (kw, known) =
                demand::ratcheted(ratchet, &charge.name, self.history, self.laid.period.first).ok_or_else(|| beyond(&charge.name))?;
            remembered = kw;
            if known < usize::from(ratchet.bills) {
                let note = Note::ShortHistory { charge: charge.name.clone(), known, wanted: ratchet.bills };
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
        }
        for (index, (period, watts)) in charge.periods.iter().zip(measured).enumerate() {
            let segments = piece.segments.iter().filter(|segment| schedule.has_month(index, segment.month));
            let kw = Decimal::new(watts.unwrap_or(0), 3).max(remembered);
            let power = Power::of(charge, kw)?.at_least(charge.minimum_kw);
            self.per_month(version, LineKind::Demand, &charge.name, Some(&period.name), power, &period.tiers, segments)?;
        }
        Ok(())
    }

    fn coincident(&mut self, piece: &Piece, version: &'a Version, charge: &'a CoincidentCharge) -> Result<(), BillError> {
        let charged = |segment: &&Segment| charge.months.is_empty() || charge.months.contains(&segment.month);
        if !piece.segments.iter().any(|segment| charged(&segment)) {
            return Ok(());
        }
        let length_ms = i64::from(self.biller.interval_minutes) * 60_000;
        let slot = |peak: &jiff::Timestamp| {
            let passed = peak.as_millisecond().checked_sub(self.laid.start.as_millisecond())?;
            usize::try_from(passed.div_euclid(length_ms)).ok().filter(|slot| *slot < self.wh.len())
        };
        let per_hour = 60 / i64::from(self.biller.interval_minutes);
        let watts = self.grid_peaks.iter().filter_map(slot).map(|slot| self.wh[slot].max(0) * per_hour).max();
        let Some(watts) = watts else {
            let (first, end) = (self.laid.period.first, self.laid.period.end);
            return Err(BillError::NoGridPeak { charge: charge.name.clone(), first, end });
        };
        let segments = piece.segments.iter().filter(charged);
        self.per_month(version, LineKind::Coincident, &charge.name, None, Power::active(Decimal::new(watts, 3)), &charge.tiers, segments)
    }

    /// The lines of a price per month and kW or kVA.
    #[expect(clippy::too_many_arguments, reason = "they are the columns of the line")]
    fn per_month<'s>(
        &mut self,
        version: &Version,
        kind: LineKind,
        name: &str,
        period: Option<&str>,
        power: Power,
        tiers: &[super::Tier],
        segments: impl Iterator<Item = &'s Segment> + Clone,
    ) -> Result<(), BillError> {
        let months = share(segments.clone(), Decimal::ONE).ok_or_else(|| beyond(name))?;
        if segments.clone().next().is_none() {
            return Ok(());
        }
        let several = tiers.len() > 1;
        for (index, (tier, part)) in tiers.iter().zip(demand::in_tiers(power.kilo, tiers)).enumerate() {
            if index > 0 && part.is_zero() {
                continue;
            }
            let monthly = times(part, tier.price, name)?;
            let amount = share(segments.clone(), monthly).ok_or_else(|| beyond(name))?;
            let (quantity, months) = ((power.quantity)(part.normalize()), (months != Decimal::ONE).then(|| months.normalize()));
            let tier_number = several.then_some(index + 1);
            self.push(version, Draft { kind, name, period, tier: tier_number, quantity, price: tier.price, months, amount });
        }
        Ok(())
    }

    /// What an amount of a month or a day is on these days.
    fn owed(&self, piece: &Piece, amount: Decimal, per: Per, name: &str) -> Result<(Quantity, Decimal), BillError> {
        match per {
            Per::Month => {
                let months = share(piece.segments.iter(), Decimal::ONE).ok_or_else(|| beyond(name))?;
                let amount = share(piece.segments.iter(), amount).ok_or_else(|| beyond(name))?;
                Ok((Quantity::Months(months.normalize()), amount))
            }
            Per::Day => {
                let days = piece.days.end - piece.days.start;
                Ok((Quantity::Days(days), times(amount, Decimal::from(days), name)?))
            }
        }
    }

    fn rider(&mut self, piece: &Piece, version: &Version, rider: &Rider, first_line: usize) -> Result<(), BillError> {
        match &rider.adds {
            RiderPrice::PerKwh { price } => self.per_kwh(version, rider, piece.slots.clone(), *price),
            RiderPrice::PerKwhFrom { prices } => self.per_kwh_from(piece, version, rider, prices),
            RiderPrice::Percent { percent, of } => {
                let base = self.sum(first_line, of)?;
                self.percent(version, LineKind::Rider, &rider.name, *percent, base)
            }
        }
    }

    fn per_kwh_from(&mut self, piece: &Piece, version: &Version, rider: &Rider, prices: &[PriceFrom]) -> Result<(), BillError> {
        let day_number = |from: jiff::civil::Date| super::BillPeriod { first: self.laid.period.first, end: from }.days();
        let mut first = piece.days.start;
        while first < piece.days.end {
            let known = prices.partition_point(|price| Some(price.from) <= self.day(first));
            let Some(price) = known.checked_sub(1).and_then(|index| prices.get(index)) else {
                let day = self.day(first).unwrap_or(self.laid.period.first);
                return Err(BillError::NoRiderPrice { rider: rider.name.clone(), day });
            };
            let end = prices.get(known).map_or(piece.days.end, |next| day_number(next.from).min(piece.days.end));
            let slots = self.laid.day.partition_point(|day| *day < first)..self.laid.day.partition_point(|day| *day < end);
            self.per_kwh(version, rider, slots, price.price)?;
            first = end;
        }
        Ok(())
    }

    /// A day of the bill by its number.
    fn day(&self, number: u16) -> Option<jiff::civil::Date> {
        self.laid.period.first.checked_add(jiff::Span::new().days(i64::from(number))).ok()
    }

    fn per_kwh(&mut self, version: &Version, rider: &Rider, slots: std::ops::Range<usize>, price: Decimal) -> Result<(), BillError> {
        let used = &self.wh[slots];
        let wh: i64 = match version.export {
            Export::Net => used.iter().sum::<i64>().max(0),
            Export::Unpaid | Export::Sell => used.iter().filter(|wh| **wh > 0).sum(),
        };
        let kwh = Decimal::new(wh, 3).normalize();
        let amount = times(kwh, price, &rider.name)?;
        let (kind, quantity) = (LineKind::Rider, Quantity::Kwh(kwh));
        self.push(version, Draft { kind, name: &rider.name, period: None, tier: None, quantity, price, months: None, amount });
        Ok(())
    }

    fn percent(&mut self, version: &Version, kind: LineKind, name: &str, percent: Decimal, base: Decimal) -> Result<(), BillError> {
        let amount = times(base, percent, name)?.checked_div(Decimal::ONE_HUNDRED).ok_or_else(|| beyond(name))?.round_dp(PLACES);
        let quantity = Quantity::Amount(base.normalize());
        self.push(version, Draft { kind, name, period: None, tier: None, quantity, price: percent, months: None, amount });
        Ok(())
    }

    /// The lines of some kinds from one on; of all kinds where none is named.
    fn sum(&self, from: usize, of: &[LineKind]) -> Result<Decimal, BillError> {
        self.sum_of(from..self.lines.len(), of)
    }

    fn sum_of(&self, lines: std::ops::Range<usize>, of: &[LineKind]) -> Result<Decimal, BillError> {
        let mut sum = Decimal::ZERO;
        for line in self.lines[lines].iter().filter(|line| of.is_empty() || of.contains(&line.kind)) {
            sum = sum.checked_add(line.amount).ok_or_else(|| beyond(&line.name))?;
        }
        Ok(sum)
    }

    fn push(&mut self, version: &Version, draft: Draft<'_>) {
        self.lines.push(BillLine {
            kind: draft.kind,
            name: draft.name.to_owned(),
            period: draft.period.map(str::to_owned),
            tier: draft.tier.and_then(|tier| u16::try_from(tier).ok()),
            version: version.from,
            quantity: draft.quantity,
            price: draft.price,
            months: draft.months,
            amount: self.biller.rate.rounded(draft.amount),
        });
    }
}
