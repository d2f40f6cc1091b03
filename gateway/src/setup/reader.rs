//! Reading a device the way the daemon reads it, for those who judge whether it may.

use std::{collections::BTreeMap, time::Duration};

use devices::{BlockRequest, Point};

use super::plausible::Values;
use crate::modbus::{Bus, BusError, Endpoint, Request};

/// A device to be read again and again.
#[derive(Debug)]
pub(super) struct Reader {
    bus: Bus,
    endpoint: Endpoint,
    pub(super) unit: u8,
    pub(super) timeout: Duration,
    pub(super) gap: Duration,
}

/// A point as it was read: its words and what they mean.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Read {
    pub(super) words: Vec<u16>,
    pub(super) measured: Option<units::Measured>,
}

/// Points by id.
pub(super) type Reads = BTreeMap<String, Read>;

impl Reader {
    pub(super) fn new(endpoint: &Endpoint, unit: u8, timeout: Duration, gap: Duration) -> Self {
        Self { bus: Bus::new(endpoint.clone()), endpoint: endpoint.clone(), unit, timeout, gap }
    }

    /// Reads registers, once.
    pub(super) async fn registers(&mut self, function: u8, address: u16, count: u16) -> Result<Vec<u16>, BusError> {
        let request = Request { unit: self.unit, function, address, count, timeout: self.timeout, gap: self.gap };
        self.bus.read(request).await
    }

    /// Reads one block, a second time where the first attempt failed on the way.
    pub(super) async fn block(&mut self, block: &BlockRequest) -> Result<Reads, BusError> {
        let function = block.table.function();
        let mut answer = self.registers(function, block.address, block.count).await;
        if answer.as_ref().is_err_and(BusError::is_transient) {
            answer = self.registers(function, block.address, block.count).await;
        }
        let words = answer?;
        Ok(block
            .decode(&words)
            .map(|(point, words, measured)| (point.id.clone(), Read { words: words.into_owned(), measured: measured.ok() }))
            .collect())
    }

    /// Reads the blocks of a plan as far as the device answers.
    ///
    /// * Errors: the first block that failed otherwise than by a refusal.
    pub(super) async fn blocks(&mut self, blocks: &[BlockRequest]) -> Result<Reads, BusError> {
        let mut reads = Reads::new();
        for block in blocks {
            match self.block(block).await {
                Ok(more) => reads.extend(more),
                Err(err) if err.is_answer() => tracing::debug!(error = daemon::chain(&err), "a block was refused"),
                Err(err) => return Err(err),
            }
        }
        Ok(reads)
    }

    /// Forgets what was asked before; the line is left silent before the next question.
    pub(super) fn start_over(&mut self) {
        self.bus = Bus::new(self.endpoint.clone());
    }
}

/// The values of the points that have one.
pub(super) fn values(reads: &Reads) -> Values {
    reads.iter().filter_map(|(id, read)| Some((id.clone(), read.measured?.to_f64()))).collect()
}

/// What the same words mean to another map of the same points.
pub(super) fn reinterpret(reads: &Reads, change: impl Fn(&str) -> Option<Point>) -> Values {
    let value = |(id, read): (&String, &Read)| Some((id.clone(), devices::decode(&change(id)?, &read.words).ok()?.to_f64()));
    reads.iter().filter_map(value).collect()
}
