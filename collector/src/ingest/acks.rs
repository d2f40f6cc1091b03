//! When a gateway is told what is durable.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use wire::GatewayPath;

/// A spool of a gateway.
pub(crate) type Spool = (GatewayPath, [u8; 16]);

/// Who is to be told, and when. At once after a quiet time, then at most once per interval.
#[derive(Debug)]
pub(crate) struct Acks {
    interval: Duration,
    spools: HashMap<Spool, Told>,
}

#[derive(Debug)]
struct Told {
    last: Option<Instant>,
    news: bool,
}

impl Acks {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, spools: HashMap::new() }
    }

    /// Something of this spool is durable. It need not be new: a repeat means that the gateway has missed what it was told.
    pub(crate) fn note(&mut self, spool: Spool) {
        self.spools.entry(spool).or_insert(Told { last: None, news: false }).news = true;
    }

    /// Takes the spools that are due, as if they had been told.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Spool> {
        let interval = self.interval;
        let due = self.spools.iter_mut().filter(|(_, told)| told.news && told.last.is_none_or(|last| now >= last + interval));
        due.map(|(spool, told)| {
            *told = Told { last: Some(now), news: false };
            spool.clone()
        })
        .collect()
    }

    /// Takes all that have news, however recently they were told.
    pub(crate) fn take_all(&mut self) -> Vec<Spool> {
        let news = self.spools.iter_mut().filter(|(_, told)| told.news);
        news.map(|(spool, told)| {
            told.news = false;
            spool.clone()
        })
        .collect()
    }

    /// When [`take_due`](Self::take_due) should be asked again.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.spools.values().filter(|told| told.news).filter_map(|told| told.last).map(|last| last + self.interval).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(gateway: &str) -> Spool {
        let slug = |text| ids::Slug::parse(text).unwrap();
        (GatewayPath { tenant: slug("a"), facility: slug("b"), gateway: slug(gateway) }, [1; 16])
    }

    #[test]
    fn at_once_after_quiet_and_then_once_per_interval() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut acks = Acks::new(Duration::from_secs(1));
        assert_eq!((acks.take_due(at(0)), acks.next_due()), (vec![], None));
        acks.note(spool("g"));
        assert_eq!(acks.take_due(at(0)), [spool("g")]);
        acks.note(spool("g"));
        acks.note(spool("h"));
        assert_eq!(acks.take_due(at(1)), [spool("h")]);
        assert_eq!(acks.next_due(), Some(at(1_000)));
        assert_eq!(acks.take_due(at(999)), []);
        assert_eq!(acks.take_due(at(1_000)), [spool("g")]);
        assert_eq!(acks.next_due(), None);
        acks.note(spool("g"));
        assert_eq!(acks.take_all(), [spool("g")]);
    }
}
