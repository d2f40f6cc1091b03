//! What somebody asked for on the page and that takes a while: a scan, an identification, a check. One at a time.
//!
//! Nothing here disturbs polling. A scan asks only where no bus of the configuration is; a check reads devices through the actor of
//! their bus, between two sweeps, and leaves time before the next one.

mod checks;
mod scan;

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::setup::{Finding, Identity, PlaceReport};

pub(super) use checks::{CheckOrder, check, machine, read};
pub(super) use scan::{ScanOrder, ask_who, look_around};

/// Lines of progress that are kept.
const STEPS_MAX: usize = 40;

/// What a job is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Scan,
    Identify,
    Check,
    Machine,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Scan, Self::Identify, Self::Check, Self::Machine];
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Places(Vec<PlaceReport>),
    Identity(Box<Identity>),
    Findings(Vec<Finding>),
    /// It could not be done, and why.
    Nothing(String),
}

/// A job, running or done.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) kind: Kind,
    /// What was asked for, in words.
    pub(super) about: String,
    pub(super) begun: Timestamp,
    stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    steps: VecDeque<String>,
    found: Option<Found>,
}

impl Job {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever looks how far it is.
    pub(super) fn step(&self, line: impl Into<String>) {
        let mut state = self.state();
        if state.steps.len() == STEPS_MAX {
            state.steps.pop_front();
        }
        state.steps.push_back(line.into());
    }

    pub(super) fn steps(&self) -> Vec<String> {
        self.state().steps.iter().cloned().collect()
    }

    /// What came of it, once it is done.
    pub(super) fn found(&self) -> Option<Found> {
        self.state().found.clone()
    }

    pub(super) fn is_done(&self) -> bool {
        self.state().found.is_some()
    }
}

/// The jobs of a gateway: the one that runs, and the last of every kind.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    last: Mutex<Vec<Arc<Job>>>,
}

impl Jobs {
    fn last(&self) -> MutexGuard<'_, Vec<Arc<Job>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last job of a kind.
    pub(super) fn of(&self, kind: Kind) -> Option<Arc<Job>> {
        self.last().iter().find(|job| job.kind == kind).cloned()
    }

    /// The one that runs now.
    pub(super) fn running(&self) -> Option<Arc<Job>> {
        self.last().iter().find(|job| !job.is_done()).cloned()
    }

    /// Begins a job, unless one runs; gives that one then.
    ///
    /// * `stop`: the end of the gateway, which is the end of the job.
    pub(super) fn begin<F>(
        &self,
        kind: Kind,
        about: String,
        now: Timestamp,
        stop: &CancellationToken,
        work: impl FnOnce(Arc<Job>) -> F,
    ) -> Result<(), Arc<Job>>
    where
        F: Future<Output = Found> + Send + 'static,
    {
        let mut last = self.last();
        if let Some(running) = last.iter().find(|job| !job.is_done()) {
            return Err(Arc::clone(running));
        }
        let job = Arc::new(Job { kind, about, begun: now, stop: stop.child_token(), state: Mutex::default() });
        last.retain(|before| before.kind != kind && Kind::ALL.contains(&before.kind));
        last.push(Arc::clone(&job));
        drop(last);
        let work = work(Arc::clone(&job));
        tokio::spawn(async move {
            let found = tokio::select! {
                found = work => found,
                () = job.stop.cancelled() => Found::Nothing("stopped before the end".to_owned()),
            };
            job.state().found = Some(found);
        });
        Ok(())
    }

    /// Ends the one that runs.
    pub(super) fn end(&self) {
        if let Some(running) = self.running() {
            running.stop.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    async fn done(jobs: &Jobs) {
        while jobs.running().is_some() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn there_is_one_at_a_time_and_it_can_be_ended() {
        let (jobs, stop, now) = (Jobs::default(), CancellationToken::new(), Timestamp::UNIX_EPOCH);
        jobs.begin(Kind::Scan, "all ports".to_owned(), now, &stop, |job| {
            for number in 0..STEPS_MAX + 5 {
                job.step(number.to_string());
            }
            pending()
        })
        .unwrap();
        let running = jobs.begin(Kind::Machine, String::new(), now, &stop, |_| ready(Found::Findings(Vec::new()))).unwrap_err();
        assert_eq!((running.about.as_str(), running.steps().len(), running.steps()[0].as_str()), ("all ports", STEPS_MAX, "5"));
        jobs.end();
        done(&jobs).await;
        assert!(matches!(jobs.of(Kind::Scan).unwrap().found(), Some(Found::Nothing(why)) if why.contains("stopped")));
        jobs.begin(Kind::Machine, String::new(), now, &stop, |_| ready(Found::Findings(Vec::new()))).unwrap();
        done(&jobs).await;
        assert!(matches!(jobs.of(Kind::Machine).unwrap().found(), Some(Found::Findings(_))));
        jobs.begin(Kind::Check, String::new(), now, &stop, |_| pending()).unwrap();
        stop.cancel();
        done(&jobs).await;
        assert!(jobs.of(Kind::Scan).is_some(), "the last of every kind stays");
    }
}
