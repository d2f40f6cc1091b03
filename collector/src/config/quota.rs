//! What the readings of one tenant may come to. Without a quota: whatever comes.

use config::{Fault, Faults};
use ids::Slug;
use serde::Deserialize;

/// The quota of a tenant, or of every one without a quota of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaRule {
    pub tenant: Option<Slug>,
    /// Of all its gateways and writers together; what is more comes again later.
    pub points_per_second: Option<u32>,
    /// Series that readings came for within a day; readings of one more are dead letters.
    pub series: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuota {
    tenant: Option<Slug>,
    points_per_second: Option<u32>,
    series: Option<usize>,
}

/// Each is remembered with some thirty bytes.
const SERIES_MAX: usize = 1_000_000;

pub(super) fn validate(raw: Vec<RawQuota>, faults: &mut Faults) -> Vec<QuotaRule> {
    let mut rules: Vec<QuotaRule> = Vec::new();
    for (at, RawQuota { tenant, points_per_second, series }) in raw.into_iter().enumerate() {
        let key = |name: &str| format!("quota[{at}]{name}");
        if points_per_second == Some(0) {
            faults.add(Fault::at(key(".points_per_second"), "0 would let nothing in").allowed("1 or more"));
        }
        if let Some(series) = series.filter(|series| !(1..=SERIES_MAX).contains(series)) {
            faults.add(Fault::at(key(".series"), format_args!("{series} is not a useful limit")).allowed(format_args!("1–{SERIES_MAX}")));
        }
        if points_per_second.is_none() && series.is_none() {
            faults.add(Fault::at(key(""), "limits nothing").help("write points_per_second, series, or both"));
        }
        if rules.iter().any(|rule| rule.tenant == tenant) {
            faults.add(Fault::at(key(".tenant"), "the same tenant again"));
        }
        rules.push(QuotaRule { tenant, points_per_second, series });
    }
    rules
}
