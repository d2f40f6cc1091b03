//! What the readings of a tenant may come to: points per second of all its gateways and writers together, and series that
//! are in use. Off unless a `[[quota]]` says so.
//!
//! Nothing valid is lost by it. What comes too fast is put off: a gateway's frame is not acknowledged, a request is
//! answered with 429. A series too many makes dead letters, which can be read again when there is room; the series that
//! are known go on, so that a tenant who grows too far loses nothing of what it had.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use ids::Slug;
use store::{Origin, Row, SeriesKey};
use tokio::time::Instant;
use units::Unit;

use crate::config::QuotaRule;
use crate::ingest::Bucket;

/// A series that no reading came for in this time is not in use.
const IN_USE_MS: i64 = 86_400_000;
/// How often a full set is looked through for such series, at most.
const SWEEP_MS: i64 = 60_000;
/// Tenants that share the quota of all others. Beyond it they are forgotten: a bucket is full again then.
const TENANTS_MAX: usize = 10_000;

/// What makes two readings of one tenant readings of one series.
pub(crate) type Name<'a> = (&'a Slug, &'a str, Unit, i8);

/// The quotas of all tenants, and how much of them is used.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    rules: Vec<QuotaRule>,
    hasher: RandomState,
    tenants: Mutex<HashMap<Slug, Tenant>>,
}

#[derive(Debug)]
struct Tenant {
    own: bool,
    rate: Option<Bucket>,
    series: Option<Series>,
    used: Used,
}

/// The series in use, by a hash of their names: two that share one would count as one.
#[derive(Debug)]
struct Series {
    max: usize,
    heard_ms: HashMap<u64, i64>,
    swept_ms: i64,
}

/// What a tenant has used of its quota since this process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) points_per_second: Option<u32>,
    pub(crate) series_max: Option<usize>,
    pub(crate) points: u64,
    /// Frames and requests that have to come again, and messages that nobody would send again.
    pub(crate) put_off: u64,
    /// Points of series beyond the quota.
    pub(crate) refused: u64,
    pub(crate) series: usize,
}

impl Series {
    fn takes(&mut self, name: u64, now_ms: i64) -> bool {
        if let Some(heard) = self.heard_ms.get_mut(&name) {
            *heard = now_ms.max(*heard);
            return true;
        }
        if self.heard_ms.len() >= self.max && now_ms - self.swept_ms >= SWEEP_MS {
            self.swept_ms = now_ms;
            self.heard_ms.retain(|_, heard| now_ms - *heard < IN_USE_MS);
        }
        let room = self.heard_ms.len() < self.max;
        if room {
            self.heard_ms.insert(name, now_ms);
        }
        room
    }
}

impl Tenant {
    fn new(rule: &QuotaRule) -> Self {
        let QuotaRule { tenant, points_per_second, series } = rule;
        Self {
            own: tenant.is_some(),
            rate: points_per_second.map(Bucket::new),
            series: series.map(|max| Series { max, heard_ms: HashMap::new(), swept_ms: 0 }),
            used: Used { points_per_second: *points_per_second, series_max: *series, ..Used::default() },
        }
    }
}

impl Quotas {
    /// What is stored is in use until a day has passed without a reading of it.
    pub(crate) fn new<'a>(rules: Vec<QuotaRule>, stored: impl IntoIterator<Item = &'a SeriesKey>, now_ms: i64) -> Self {
        let quotas = Self { rules, ..Self::default() };
        for SeriesKey { tenant, facility, device, point, unit, exponent } in stored {
            let name = quotas.hashed(facility, (device, point, *unit, *exponent));
            quotas.of(tenant, |one| one.series.as_mut().map(|series| series.heard_ms.insert(name, now_ms)));
        }
        quotas
    }

    /// Whether anybody has a quota.
    pub(crate) fn any(&self) -> bool {
        !self.rules.is_empty()
    }

    fn hashed(&self, facility: &Slug, name: Name<'_>) -> u64 {
        self.hasher.hash_one((facility, name))
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<Slug, Tenant>> {
        self.tenants.lock().expect("no thread panics while it holds the quotas")
    }

    /// Asks a tenant's quota; nothing where it has none.
    fn of<T>(&self, tenant: &Slug, ask: impl FnOnce(&mut Tenant) -> T) -> Option<T> {
        let own = |rule: &&QuotaRule| rule.tenant.as_ref() == Some(tenant);
        let rule = self.rules.iter().find(own).or_else(|| self.rules.iter().find(|rule| rule.tenant.is_none()))?;
        let mut tenants = self.tenants();
        if tenants.len() >= TENANTS_MAX && !tenants.contains_key(tenant) {
            tenants.retain(|_, known| known.own);
        }
        Some(ask(tenants.entry(tenant.clone()).or_insert_with(|| Tenant::new(rule))))
    }

    /// How long a tenant has to wait before it may bring more; nothing when it need not. Counted when it has to.
    pub(crate) fn wait(&self, tenant: &Slug, now: Instant) -> Option<Duration> {
        self.of(tenant, |one| {
            let wait = one.rate.as_mut().and_then(|rate| rate.wait(now));
            one.used.put_off += u64::from(wait.is_some());
            wait
        })?
    }

    /// Takes what a tenant has brought.
    pub(crate) fn spend(&self, tenant: &Slug, points: u64) {
        self.of(tenant, |one| {
            one.used.points += points;
            if let Some(rate) = &mut one.rate {
                rate.spend(points);
            }
        });
    }

    /// Whether a tenant may have these series, all of them. Their points are counted when it may not.
    pub(crate) fn admits<'a>(&self, tenant: &Slug, facility: &Slug, names: impl Iterator<Item = Name<'a>>, now_ms: i64) -> bool {
        if !self.any() {
            return true;
        }
        let names: Vec<u64> = names.map(|name| self.hashed(facility, name)).collect();
        let admitted = self.of(tenant, |one| {
            let all = one.series.as_mut().is_none_or(|series| names.iter().all(|name| series.takes(*name, now_ms)));
            one.used.refused += if all { 0 } else { names.len() as u64 };
            all
        });
        admitted.unwrap_or(true)
    }

    /// Leaves out the readings of series that a tenant may not have. Gives their number.
    pub(crate) fn keep_admitted(&self, origin: &Origin, rows: &mut Vec<Row>, now_ms: i64) -> u64 {
        if !self.any() {
            return 0;
        }
        let before = rows.len();
        let left_out = self.of(&origin.tenant, |one| {
            if let Some(series) = &mut one.series {
                let name = |row: &Row| self.hashed(&origin.facility, (&row.device, &row.point, row.unit, row.exponent));
                rows.retain(|row| series.takes(name(row), now_ms));
            }
            let left_out = (before - rows.len()) as u64;
            one.used.refused += left_out;
            left_out
        });
        left_out.unwrap_or(0)
    }

    /// What each tenant that has a quota, and was heard of, has used of it.
    pub(crate) fn used(&self) -> BTreeMap<Slug, Used> {
        let used = |one: &Tenant| Used { series: one.series.as_ref().map_or(0, |series| series.heard_ms.len()), ..one.used };
        self.tenants().iter().map(|(tenant, one)| (tenant.clone(), used(one))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Quality;

    fn slug(text: &str) -> Slug {
        Slug::parse(text).unwrap()
    }

    fn rule(tenant: Option<&str>, points_per_second: Option<u32>, series: Option<usize>) -> QuotaRule {
        QuotaRule { tenant: tenant.map(slug), points_per_second, series }
    }

    fn admits(quotas: &Quotas, tenant: &str, points: &[&str], now_ms: i64) -> bool {
        let device = slug("main");
        let names = points.iter().map(|point| (&device, *point, Unit::Watt, 0));
        quotas.admits(&slug(tenant), &slug("hall"), names, now_ms)
    }

    #[test]
    fn a_tenant_waits_for_itself_alone() {
        let quotas = Quotas::new(vec![rule(Some("acme"), Some(100), None), rule(None, Some(10), None)], [], 0);
        let now = Instant::now();
        let (acme, other, third) = (slug("acme"), slug("other"), slug("third"));
        assert_eq!(quotas.wait(&acme, now), None);
        // A burst of ten seconds and half as much again.
        quotas.spend(&acme, 1_500);
        assert!(quotas.wait(&acme, now).is_some_and(|wait| wait > Duration::from_secs(4)));
        quotas.spend(&other, 101);
        assert!(quotas.wait(&other, now).is_some());
        assert_eq!((quotas.wait(&third, now), quotas.wait(&acme, now + Duration::from_secs(6))), (None, None));
        let used = quotas.used();
        assert_eq!((used[&acme].points, used[&acme].put_off, used[&other].put_off, used[&third].put_off), (1_500, 1, 1, 0));
    }

    #[test]
    fn a_series_too_many_is_refused_until_another_has_not_been_heard_of_for_a_day() {
        let quotas = Quotas::new(vec![rule(Some("acme"), None, Some(2))], [], 0);
        assert!(admits(&quotas, "acme", &["a", "b"], 1_000));
        assert!(!admits(&quotas, "acme", &["a", "c"], 2_000), "all or nothing");
        assert!(admits(&quotas, "acme", &["a"], 60_000_000) && admits(&quotas, "free", &["a", "b", "c"], 0));
        assert!(!admits(&quotas, "acme", &["c"], 1_000 + IN_USE_MS - 1));
        // Sooner than a minute later it is not looked again.
        assert!(!admits(&quotas, "acme", &["c"], 1_000 + IN_USE_MS));
        assert!(admits(&quotas, "acme", &["c"], 1_000 + IN_USE_MS + SWEEP_MS));
        assert!(!admits(&quotas, "acme", &["b"], 1_000 + IN_USE_MS + SWEEP_MS), "it went, and there is no room");
        let used = quotas.used()[&slug("acme")];
        assert_eq!((used.series, used.refused, used.series_max), (2, 5, Some(2)));
    }

    #[test]
    fn what_is_stored_may_go_on_whatever_the_quota() {
        let key = |point: &str| SeriesKey {
            tenant: slug("acme"),
            facility: slug("hall"),
            device: slug("main"),
            point: point.to_owned(),
            unit: Unit::Watt,
            exponent: 0,
        };
        let quotas = Quotas::new(vec![rule(None, None, Some(1))], &[key("a"), key("b"), key("c")], 0);
        assert!(admits(&quotas, "acme", &["a", "b", "c"], 1));
        assert!(!admits(&quotas, "acme", &["d"], 2));
        let row = |point: &str| Row {
            device: slug("main"),
            point: point.into(),
            unit: Unit::Watt,
            exponent: 0,
            ts_ms: 0,
            raw: Some(1),
            quality: Quality::GOOD,
            words: None,
        };
        let origin = Origin { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw") };
        let mut rows = ["a", "d", "b", "e"].map(row).to_vec();
        assert_eq!(quotas.keep_admitted(&origin, &mut rows, 3), 2);
        assert_eq!(rows.iter().map(|row| &*row.point).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn tenants_without_a_quota_of_their_own_are_forgotten_when_there_are_too_many() {
        let quotas = Quotas::new(vec![rule(Some("acme"), Some(1), None), rule(None, Some(1), None)], [], 0);
        quotas.spend(&slug("acme"), 100);
        for number in 0..TENANTS_MAX + 5 {
            quotas.spend(&slug(&format!("t{number}")), 1);
        }
        let used = quotas.used();
        assert!(used.len() <= TENANTS_MAX && used.contains_key(&slug("acme")), "{}", used.len());
        assert!(quotas.wait(&slug("acme"), Instant::now()).is_some());
    }
}
