//! Is the reading right? Each check holds what was read against a law that a right installation cannot break. Pure.
//!
//! A check that has nothing to judge by says so and is grey; it never passes for want of evidence. Where the want of evidence costs
//! money, as with a transformer ratio that nobody compared, it is amber.

mod counters;
mod currents;
mod map;
mod nameplate;
mod neighbours;
mod power;

use std::collections::BTreeMap;

use devices::Profile;
use jiff::Timestamp;

use super::{
    Finding, Identity, Values,
    reader::{Reads, values},
};

/// What was read of a device at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) reads: Reads,
}

/// What the technician knows without the bus.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// What the label of the current transformers says: 200/5.
    pub transformer: Option<(f64, f64)>,
    /// Currents measured with a clamp, by point id (`i1`).
    pub clamp: BTreeMap<String, f64>,
    /// The serial number on the work order.
    pub serial: Option<String>,
}

/// Everything a check may look at.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) profile: &'a Profile,
    /// The points that will be read and billed.
    pub(super) points: &'a [String],
    /// In order of time; never empty.
    pub(super) samples: &'a [Sample],
    pub(super) known: &'a Known,
    pub(super) identity: &'a Identity,
    /// The other devices of the facility, read at the time of the last sample.
    pub(super) neighbours: &'a [(String, Reads)],
}

impl Evidence<'_> {
    fn last(&self) -> Values {
        self.samples.last().map(|sample| values(&sample.reads)).unwrap_or_default()
    }

    /// The mean of a point over all samples that have it.
    fn mean(&self, id: &str) -> Option<f64> {
        let seen: Vec<f64> = self.samples.iter().filter_map(|sample| sample.reads.get(id)?.measured).map(units::Measured::to_f64).collect();
        let count = u32::try_from(seen.len()).ok().filter(|count| *count > 0)?;
        Some(seen.iter().sum::<f64>() / f64::from(count))
    }
}

/// Every check, in the order in which a technician would put things right.
///
/// A map that does not fit makes everything else meaningless, so nothing is said beyond it.
pub(super) fn all(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = vec![map::supply(evidence)];
    if findings.iter().any(|finding| finding.state == super::State::Red) {
        return findings;
    }
    findings.push(map::fits_best(evidence));
    if let Some(frozen) = counters::frozen(evidence) {
        findings.push(frozen);
        findings.extend(counters::resettable(evidence));
        return findings;
    }
    findings.push(Finding::green("alive", "the registers change while they are watched"));
    findings.extend(neighbours::same_everywhere(evidence));
    findings.extend(power::product(evidence));
    findings.extend(power::sum(evidence));
    let order = currents::direction_and_order(evidence);
    let crossed = order.iter().any(|finding| finding.check == "phase-order" && finding.state == super::State::Red);
    findings.extend(order);
    findings.extend(nameplate::ratio(evidence, crossed));
    findings.extend(counters::moves_with_power(evidence));
    findings.extend(counters::resettable(evidence));
    findings.extend(neighbours::frequency(evidence));
    findings.extend(neighbours::another_unit(evidence));
    findings.extend(nameplate::clock(evidence));
    findings.extend(nameplate::serial(evidence));
    findings
}

/// Whether one sample already shows that the map is wrong.
pub(super) fn is_hopeless(profile: &Profile, sample: &Sample) -> bool {
    profile.kind() == devices::Kind::PowerMeter && !super::plausible::is_supply(&values(&sample.reads))
}

#[cfg(test)]
mod tests;
