//! How long readings are kept. For ever, where nobody says anything else.

use std::path::PathBuf;
use std::time::Duration;

use config::{DurationText, Fault, Faults};
use ids::Slug;
use serde::Deserialize;

/// A rule that lets readings of a facility go, or of every one without a rule of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// Tenant and facility; every other one when there is none.
    pub of: Option<(Slug, Slug)>,
    /// Months that ended longer ago may go. Their quarters of an hour stay.
    pub keep: Duration,
    /// Where what was billed is copied to before it goes.
    pub archive: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetention {
    tenant: Option<Slug>,
    facility: Option<Slug>,
    keep: DurationText,
    archive: Option<PathBuf>,
}

/// Late readings come days later, and a month is billed weeks later.
const KEEP_MIN: Duration = Duration::from_secs(92 * 86_400);

pub(super) fn validate(raw: Vec<RawRetention>, faults: &mut Faults) -> Vec<RetentionRule> {
    let mut rules: Vec<RetentionRule> = Vec::new();
    for (at, raw) in raw.into_iter().enumerate() {
        let key = |name: &str| format!("retention[{at}]{name}");
        let keep = raw.keep.duration();
        if keep < KEEP_MIN {
            faults
                .add(Fault::at(key(".keep"), format_args!("{} is too short: bills are written from it", raw.keep)).allowed("92d or more"));
        }
        let of = match (raw.tenant, raw.facility) {
            (Some(tenant), Some(facility)) => Some((tenant, facility)),
            (None, None) => None,
            _ => {
                let fault = Fault::at(key(""), "names a tenant or a facility alone");
                faults.add(fault.help("write both, or none for every facility without a rule of its own"));
                continue;
            }
        };
        if rules.iter().any(|rule| rule.of == of) {
            faults.add(Fault::at(key(""), "the same facility again"));
        }
        rules.push(RetentionRule { of, keep, archive: raw.archive });
    }
    rules
}

/// The rule of a facility.
pub(crate) fn rule<'a>(rules: &'a [RetentionRule], tenant: &Slug, facility: &Slug) -> Option<&'a RetentionRule> {
    let own = |rule: &&RetentionRule| rule.of.as_ref().is_some_and(|of| of.0 == *tenant && of.1 == *facility);
    rules.iter().find(own).or_else(|| rules.iter().find(|rule| rule.of.is_none()))
}
