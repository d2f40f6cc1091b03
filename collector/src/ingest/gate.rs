//! What stands between reading a message and committing it: how much one gateway and its tenant may bring, what its
//! readings say of themselves, and the number of a message that has none.

use std::collections::HashMap;
use std::sync::Arc;

use store::Batch;
use tokio::time::Instant;
use wire::GatewayPath;

use super::{Bucket, Checks, Message, Refusal, random_spool};
use crate::quota::Quotas;

/// Gateways that are remembered by each of the maps here. Beyond it a map forgets all: a bucket is full again then, and
/// an unnumbered gateway begins a new spool.
const GATEWAYS_MAX: usize = 100_000;

/// One for all gateways.
#[derive(Debug)]
pub(crate) struct Gate {
    points_per_second: Option<u32>,
    quotas: Arc<Quotas>,
    rates: HashMap<GatewayPath, Bucket>,
    numbers: HashMap<GatewayPath, ([u8; 16], u64)>,
    checks: Checks,
}

impl Gate {
    pub(crate) fn new(points_per_second: Option<u32>, quotas: Arc<Quotas>) -> Self {
        Self { points_per_second, quotas, rates: HashMap::new(), numbers: HashMap::new(), checks: Checks::default() }
    }

    /// Lets messages through in the order of their arrival.
    ///
    /// A frame of a gateway that brings too much, or of a tenant that does, is left out: it is not acknowledged, so its
    /// gateway keeps it and sends it again. A message that nobody would send again becomes a dead letter instead, and so
    /// does what is of series that its tenant may not have.
    pub(crate) fn pass(&mut self, message: &mut Message, topic: &str, payload: &[u8], received_ms: i64) -> bool {
        let points = message.points();
        let Message::Batch { path, batch, numbered, .. } = message else { return true };
        let letter = |refusal: Refusal, points: u64| store::DeadLetter {
            topic: topic.to_owned(),
            reason: refusal.code().to_owned(),
            payload: payload.to_vec(),
            points,
            received_ms,
        };
        if let Some(refusal) = self.is_too_much(path, points) {
            if *numbered {
                return false;
            }
            batch.rows.clear();
            batch.letter = Some(letter(refusal, points.max(1)));
        }
        let left_out = self.quotas.keep_admitted(&batch.origin, &mut batch.rows, received_ms);
        if left_out > 0 {
            // A letter is of one reason: the first that there was.
            batch.letter.get_or_insert_with(|| letter(Refusal::TenantSeries, 0)).points += left_out;
        }
        self.checks.mark(&batch.origin, &mut batch.rows);
        if !*numbered {
            self.number(path, batch);
        }
        true
    }

    /// Why a message has to wait. What needs not is taken from both buckets.
    fn is_too_much(&mut self, path: &GatewayPath, points: u64) -> Option<Refusal> {
        let now = Instant::now();
        if self.points_per_second.is_some_and(|rate| self.bucket(path, rate).wait(now).is_some()) {
            return Some(Refusal::Rate);
        }
        if self.quotas.wait(&path.tenant, now).is_some() {
            return Some(Refusal::TenantRate);
        }
        if let Some(rate) = self.points_per_second {
            self.bucket(path, rate).spend(points);
        }
        self.quotas.spend(&path.tenant, points);
        None
    }

    fn bucket(&mut self, path: &GatewayPath, rate: u32) -> &mut Bucket {
        if self.rates.len() >= GATEWAYS_MAX && !self.rates.contains_key(path) {
            self.rates.clear();
        }
        self.rates.entry(path.clone()).or_insert_with(|| Bucket::new(rate))
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
