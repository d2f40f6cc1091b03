//! Which facilities somebody is for.

use std::fmt;
use std::str::FromStr;

use crate::slug::Slug;

/// What of a tenant somebody is for: one facility, or all. As text `TENANT/FACILITY` or `TENANT/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacilityFilter {
    pub tenant: Slug,
    /// Every facility when none.
    pub facility: Option<Slug>,
}

/// A text that is no [`FacilityFilter`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{found}\" is no facility")]
pub struct FacilityFilterError {
    /// The text as given.
    pub found: String,
}

impl FacilityFilter {
    /// What may be written.
    pub const ALLOWED: &str = "TENANT/FACILITY, or TENANT/* for all of a tenant";

    /// Whether it takes what is of this facility.
    #[must_use]
    pub fn takes(&self, tenant: &Slug, facility: &Slug) -> bool {
        self.tenant == *tenant && self.facility.as_ref().is_none_or(|one| one == facility)
    }

    /// Whether some facility is of both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let facilities = self.facility.as_ref().zip(other.facility.as_ref());
        self.tenant == other.tenant && facilities.is_none_or(|(one, two)| one == two)
    }
}

impl FromStr for FacilityFilter {
    type Err = FacilityFilterError;

    fn from_str(text: &str) -> Result<Self, FacilityFilterError> {
        let read = || {
            let (tenant, facility) = text.split_once('/')?;
            let facility = if facility == "*" { None } else { Some(Slug::parse(facility).ok()?) };
            Some(Self { tenant: Slug::parse(tenant).ok()?, facility })
        };
        read().ok_or_else(|| FacilityFilterError { found: text.to_owned() })
    }
}

impl fmt::Display for FacilityFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.facility.as_ref().map_or("*", Slug::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> FacilityFilter {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        for text in ["acme/hall", "acme/*"] {
            assert_eq!(filter(text).to_string(), text);
        }
        for text in ["", "acme", "acme/", "/hall", "*/hall", "*/*", "acme/hall/x", "Acme/hall", "acme/h*"] {
            let err = text.parse::<FacilityFilter>().unwrap_err();
            assert_eq!(err.to_string(), format!("\"{text}\" is no facility"));
        }
    }

    #[test]
    fn all_of_a_tenant_meets_each_of_its_facilities() {
        let (all, hall, annex, other) = (filter("acme/*"), filter("acme/hall"), filter("acme/annex"), filter("zeta/*"));
        let slug = |text| Slug::parse(text).unwrap();
        assert!(all.takes(&slug("acme"), &slug("hall")) && hall.takes(&slug("acme"), &slug("hall")));
        assert!(!hall.takes(&slug("acme"), &slug("annex")) && !all.takes(&slug("zeta"), &slug("hall")));
        assert!(all.meets(&hall) && hall.meets(&all) && hall.meets(&hall));
        assert!(!hall.meets(&annex) && !all.meets(&other));
    }
}
