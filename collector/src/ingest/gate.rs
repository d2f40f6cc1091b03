//! What stands between reading a message and committing it: how much one gateway may bring, what its readings say of
//! themselves, and the number of a message that has none.

use std::collections::HashMap;

use store::Batch;
use tokio::time::Instant;
use wire::GatewayPath;

use super::{Bucket, Checks, Message, Refusal, random_spool};

/// Gateways that are remembered by each of the maps here. Beyond it a map forgets all: a bucket is full again then, and
/// an unnumbered gateway begins a new spool.
const GATEWAYS_MAX: usize = 100_000;

/// One for all gateways.
#[derive(Debug)]
pub(crate) struct Gate {
    points_per_second: Option<u32>,
    rates: HashMap<GatewayPath, Bucket>,
    numbers: HashMap<GatewayPath, ([u8; 16], u64)>,
    checks: Checks,
}

impl Gate {
    pub(crate) fn new(points_per_second: Option<u32>) -> Self {
        Self { points_per_second, rates: HashMap::new(), numbers: HashMap::new(), checks: Checks::default() }
    }

    /// Lets messages through in the order of their arrival.
    ///
    /// A frame of a gateway that brings too much is left out: it is not acknowledged, so its gateway keeps it and sends
    /// it again. A message that nobody would send again becomes a dead letter instead.
    pub(crate) fn pass(&mut self, message: &mut Message, topic: &str, payload: &[u8], received_ms: i64) -> bool {
        let points = message.points();
        let Message::Batch { path, batch, numbered, .. } = message else { return true };
        if self.is_too_much(path, points) {
            if *numbered {
                return false;
            }
            let (topic, reason) = (topic.to_owned(), Refusal::Rate.code().to_owned());
            batch.rows.clear();
            batch.letter = Some(store::DeadLetter { topic, reason, payload: payload.to_vec(), points: points.max(1), received_ms });
        }
        self.checks.mark(&batch.origin, &mut batch.rows);
        if !*numbered {
            self.number(path, batch);
        }
        true
    }

    fn is_too_much(&mut self, path: &GatewayPath, points: u64) -> bool {
        let Some(rate) = self.points_per_second else { return false };
        if self.rates.len() >= GATEWAYS_MAX && !self.rates.contains_key(path) {
            self.rates.clear();
        }
        let bucket = self.rates.entry(path.clone()).or_insert_with(|| Bucket::new(rate));
        if bucket.wait(Instant::now()).is_some() {
            return true;
        }
        bucket.spend(points);
        false
    }

    fn number(&mut self, path: &GatewayPath, batch: &mut Batch) {
        if self.numbers.len() >= GATEWAYS_MAX && !self.numbers.contains_key(path) {
            self.numbers.clear();
        }
        let (spool_id, seq) = self.numbers.entry(path.clone()).or_insert_with(|| (random_spool(), 0));
        *seq += 1;
        (batch.spool_id, batch.seq) = (*spool_id, *seq);
    }
}
