//! Where frames stand in the queue, and how far each lane was sent.

/// Where a frame stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The oldest that is not confirmed, and what follows.
    Backlog,
    /// What was made durable since the backlog was found to be one.
    Live,
    /// What somebody asked to see again. A frame that is gone is left out.
    Replay,
}

/// How far a lane was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// In this round: everything up to here.
    pub(super) upto: u64,
    /// Ever on this connection.
    pub(super) highest: u64,
}

/// The lane of live frames: all after a sequence number.
#[derive(Clone, Copy, Debug)]
pub(super) struct LiveLane {
    pub(super) after: u64,
    pub(super) sent: Sent,
}

impl Sent {
    /// A lane of which everything up to here was sent before.
    pub(super) const fn upto(seq: u64) -> Self {
        Self { upto: seq, highest: seq }
    }

    /// Notes a frame. Says whether it was sent before.
    pub(super) fn note(&mut self, seq: u64) -> bool {
        self.upto = self.upto.max(seq);
        let again = seq <= self.highest;
        self.highest = self.highest.max(seq);
        again
    }
}
