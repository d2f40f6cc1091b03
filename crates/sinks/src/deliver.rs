//! Getting a batch across: one bad reading in it stops no other.

use std::time::Duration;

use crate::reading::Reading;

/// Why a batch did not get across.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nobody there, or cut off, or too slow. Whether it was taken is unknown.
    #[error("{destination} did not answer")]
    Unreachable {
        destination: String,
        #[source]
        err: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It asks us to come again.
    #[error("{destination} cannot take readings now ({status}): {said}")]
    Busy { destination: String, status: String, said: String, after: Option<Duration> },
    /// It does not know us, or not what we name: somebody has to change a configuration.
    #[error("{destination} does not let us write ({status}): {said}")]
    Denied { destination: String, status: String, said: String },
    /// It does not take these readings, whoever sends them: one of them is bad, or there are too many.
    #[error("{destination} refuses what was sent ({status}): {said}")]
    Refused { destination: String, status: String, said: String },
    /// So many are refused that it is not they that are bad.
    #[error("{refused} of {of} readings were refused, and that is no matter of single readings ({said})")]
    TooManyRefused { refused: usize, of: usize, said: String },
}

impl WriteError {
    /// How long it asked us to wait.
    #[must_use]
    pub fn after(&self) -> Option<Duration> {
        match self {
            Self::Busy { after, .. } => *after,
            _ => None,
        }
    }
}

/// Something that takes batches whole, or not at all, or in part: all the same, as sending again changes nothing.
pub(crate) trait Take {
    fn take(&self, readings: &[Reading]) -> impl Future<Output = Result<(), WriteError>> + Send;
}

/// A reading that is refused for what it is.
#[derive(Clone, Debug)]
pub struct Rejected {
    pub reading: Reading,
    pub reason: String,
}

/// What became of a batch that is across.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    pub written: usize,
    pub rejected: Vec<Rejected>,
    pub requests: usize,
}

/// So many may be refused of any batch, and of a large one every tenth.
const REFUSED_MAX: usize = 8;

/// Delivers a batch. What is refused is halved until the readings that are bad stand alone.
///
/// * Errors: it has to be sent again, whole.
pub(crate) async fn deliver(to: &impl Take, readings: &[Reading]) -> Result<Delivered, WriteError> {
    let mut delivered = Delivered::default();
    let (mut good, mut waiting) = (Vec::with_capacity(readings.len()), Vec::new());
    for reading in readings {
        match reading.line() {
            Ok(_) => good.push(reading.clone()),
            Err(err) => delivered.rejected.push(Rejected { reading: reading.clone(), reason: err.to_string() }),
        }
    }
    let refused_max = REFUSED_MAX.max(readings.len() / 10);
    waiting.push(0..good.len());
    while let Some(range) = waiting.pop() {
        let part = good.get(range.clone()).unwrap_or_default();
        if part.is_empty() {
            continue;
        }
        delivered.requests += 1;
        match to.take(part).await {
            Ok(()) => delivered.written += part.len(),
            Err(WriteError::Refused { said, .. }) if part.len() == 1 => {
                delivered.rejected.extend(part.iter().map(|reading| Rejected { reading: reading.clone(), reason: said.clone() }));
                let refused = delivered.rejected.len();
                if refused > refused_max {
                    return Err(WriteError::TooManyRefused { refused, of: readings.len(), said });
                }
            }
            Err(WriteError::Refused { .. }) => {
                let middle = range.start + part.len() / 2;
                waiting.push(middle..range.end);
                waiting.push(range.start..middle);
            }
            Err(err) => return Err(err),
        }
    }
    Ok(delivered)
}

/// How long to wait before the next attempt: twice as long each time, up to a minute, and a part of it by chance, so
/// that many who wait do not come back at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BackOff {
    attempts: u32,
}

impl BackOff {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(60);
    /// Nobody makes us wait longer than this.
    const ASKED_MAX: Duration = Duration::from_secs(300);

    /// * `chance`: any number.
    pub(crate) fn next(&mut self, asked: Option<Duration>, chance: u64) -> Duration {
        let whole = Self::FIRST.saturating_mul(1 << self.attempts.min(20)).min(Self::LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        let share = u32::try_from(chance % 512).unwrap_or(0);
        let jittered = whole / 2 + whole / 1024 * share;
        asked.map_or(jittered, |asked| asked.min(Self::ASKED_MAX).max(jittered.min(Self::FIRST)))
    }

    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Any number.
pub(crate) fn chance() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::tests::{reading, series};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    /// Refuses every batch that has one of the bad; is busy at one request.
    struct Judge {
        bad: BTreeSet<i64>,
        rows_max: usize,
        busy_at: usize,
        requests: Mutex<usize>,
        taken: Mutex<BTreeSet<i64>>,
    }

    impl Take for Judge {
        async fn take(&self, readings: &[Reading]) -> Result<(), WriteError> {
            let mut requests = self.requests.lock().unwrap();
            *requests += 1;
            let (destination, status, said) = ("judge".to_owned(), "4xx".to_owned(), "bad".to_owned());
            if *requests == self.busy_at {
                return Err(WriteError::Busy { destination, status, said, after: None });
            }
            let times = readings.iter().map(|reading| reading.sample.ts_ms);
            if readings.len() > self.rows_max || times.clone().any(|ts_ms| self.bad.contains(&ts_ms)) {
                return Err(WriteError::Refused { destination, status, said });
            }
            self.taken.lock().unwrap().extend(times);
            Ok(())
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    proptest! {
        #[test]
        fn the_bad_ones_stand_alone_and_all_others_are_taken(bad in proptest::collection::btree_set(0_i64..300, 0..9), rows in 1_i64..300, rows_max in 1_usize..400) {
            let series = series(1, "main", 0);
            let readings: Vec<_> = (0..rows).map(|ts_ms| reading(&series, ts_ms, Some(1))).collect();
            let bad: BTreeSet<i64> = bad.into_iter().filter(|ts_ms| *ts_ms < rows).collect();
            let judge = Judge { bad: bad.clone(), rows_max, busy_at: 0, requests: Mutex::default(), taken: Mutex::default() };
            let delivered = run(deliver(&judge, &readings)).unwrap();
            let rejected: BTreeSet<i64> = delivered.rejected.iter().map(|rejected| rejected.reading.sample.ts_ms).collect();
            prop_assert_eq!(&rejected, &bad);
            prop_assert_eq!(judge.taken.into_inner().unwrap(), (0..rows).filter(|ts_ms| !bad.contains(ts_ms)).collect::<BTreeSet<_>>());
            prop_assert_eq!(delivered.written + bad.len(), readings.len());
        }
    }

    #[test]
    fn who_refuses_everything_is_not_believed_and_who_is_busy_is_asked_again() {
        let series = series(1, "main", 0);
        let readings: Vec<_> = (0..100).map(|ts_ms| reading(&series, ts_ms, Some(1))).collect();
        let judge = |bad: std::ops::Range<i64>, busy_at| Judge {
            bad: bad.collect(),
            rows_max: 1_000,
            busy_at,
            requests: Mutex::default(),
            taken: Mutex::default(),
        };
        let refused = run(deliver(&judge(0..100, 0), &readings));
        assert!(matches!(refused, Err(WriteError::TooManyRefused { refused: 11, of: 100, .. })), "{refused:?}");
        assert_eq!(run(deliver(&judge(0..10, 0), &readings)).unwrap().rejected.len(), 10);
        assert!(matches!(run(deliver(&judge(0..1, 3), &readings)), Err(WriteError::Busy { .. })));
    }

    #[test]
    fn waits_grow_and_are_bounded() {
        let mut back_off = BackOff::default();
        let waits: Vec<u128> = (0..12).map(|_| back_off.next(None, 511).as_millis()).collect();
        assert!(waits.is_sorted() && waits.first() == Some(&199) && *waits.last().unwrap() <= 60_000, "{waits:?}");
        assert_eq!(back_off.next(Some(Duration::from_secs(7)), 0), Duration::from_secs(7));
        assert_eq!(back_off.next(Some(Duration::from_secs(7_000)), 0), BackOff::ASKED_MAX);
        back_off.reset();
        assert_eq!(back_off.next(None, 0), Duration::from_millis(100));
    }
}
