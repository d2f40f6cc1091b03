//! One task per bus: nobody else talks on it, and a read is never cancelled half way.

use std::sync::Arc;

use daemon::Clock;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use wire::DeviceReading;

use super::{
    breaker::{Breaker, Change},
    reading::poll_device,
};
use crate::{config::BusConfig, modbus::Bus};

/// An order to read every device of the bus.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) clock_synced: bool,
    /// Gets the readings, in the order of the configuration.
    pub(super) reply: oneshot::Sender<Vec<DeviceReading>>,
}

/// Orders that may wait: one sweep orders once and waits for the reply.
pub(super) const ORDERS_MAX: usize = 1;

/// Reads a bus whenever ordered, until nobody orders any more.
///
/// After `stop` the exchange under way is finished and the devices after it are left out.
pub(super) async fn run(config: BusConfig, clock: Arc<dyn Clock>, mut orders: mpsc::Receiver<Order>, stop: CancellationToken) {
    let mut bus = Bus::new(config.endpoint.clone());
    let mut breakers = vec![Breaker::default(); config.devices.len()];
    let mut cycle: u64 = 0;
    while let Some(order) = orders.recv().await {
        let mut readings = Vec::with_capacity(config.devices.len());
        for (device, breaker) in config.devices.iter().zip(&mut breakers) {
            if stop.is_cancelled() {
                break;
            }
            let requested = clock.now();
            let polled = poll_device(&mut bus, device, cycle, breaker.effort()).await;
            match breaker.note(polled.answered) {
                Some(Change::Lost) => {
                    let error = polled.failure.as_ref().map(|err| daemon::chain(err)).unwrap_or_default();
                    tracing::warn!(device = %device.id, bus = %bus.endpoint(), error, "`{}` does not answer; it is asked less often from now on", device.id);
                }
                Some(Change::Back { cycles }) => tracing::info!(device = %device.id, cycles, "`{}` answers again", device.id),
                None => {}
            }
            readings.push(polled.reading(device, requested, order.clock_synced));
        }
        cycle += 1;
        // A sweep that was given up does not wait for its reply.
        drop(order.reply.send(readings));
    }
}
