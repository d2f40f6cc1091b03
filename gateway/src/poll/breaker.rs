//! How much effort a device gets. One that does not answer must not cost the others their time. Pure.

/// Failed cycles after which a device is asked once instead of twice.
const FAILURES_TO_PROBE: u32 = 3;
/// Failed cycles after which it is asked only now and then.
const FAILURES_TO_REST: u32 = 10;
/// How often: every so many cycles.
const CYCLES_BETWEEN_PROBES: u32 = 4;

/// How hard to try in one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Every block, and one failed request again.
    Full,
    /// One request; the rest follows when it is answered.
    Probe,
    /// Nothing.
    Rest,
}

/// What a device deserves after what it did so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Breaker {
    failed_cycles: u32,
}

impl Breaker {
    pub(crate) fn effort(&self) -> Effort {
        match self.failed_cycles {
            0..FAILURES_TO_PROBE => Effort::Full,
            FAILURES_TO_PROBE..FAILURES_TO_REST => Effort::Probe,
            failed if failed.is_multiple_of(CYCLES_BETWEEN_PROBES) => Effort::Probe,
            _ => Effort::Rest,
        }
    }

    /// Notes how a cycle ended. Says whether the device was lost or came back by it.
    pub(crate) fn note(&mut self, answered: bool) -> Option<Change> {
        let before = self.failed_cycles;
        self.failed_cycles = if answered { 0 } else { before.saturating_add(1) };
        match (before, self.failed_cycles) {
            (FAILURES_TO_PROBE.., 0) => Some(Change::Back { cycles: before }),
            (_, FAILURES_TO_PROBE) => Some(Change::Lost),
            _ => None,
        }
    }
}

/// What an operator wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The device no longer answers.
    Lost,
    /// It answers again after so many cycles.
    Back { cycles: u32 },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_device_gets_less_and_less_and_never_nothing() {
        let mut breaker = Breaker::default();
        let mut efforts = String::new();
        for _ in 0..24 {
            let effort = breaker.effort();
            efforts.push(match effort {
                Effort::Full => 'F',
                Effort::Probe => 'p',
                Effort::Rest => '.',
            });
            breaker.note(false);
        }
        assert_eq!(efforts, "FFFppppppp..p...p...p...");
        assert_eq!(breaker.note(true), Some(Change::Back { cycles: 24 }));
        assert_eq!(breaker.effort(), Effort::Full);
    }

    #[test]
    fn a_hiccup_is_not_told() {
        let mut breaker = Breaker::default();
        assert_eq!([breaker.note(false), breaker.note(false), breaker.note(true)], [None; 3]);
        assert_eq!([breaker.note(false), breaker.note(false), breaker.note(false)], [None, None, Some(Change::Lost)]);
    }
}
