//! One task per bus: nobody else talks on it, and a read is never cancelled half way.

use std::sync::Arc;

use daemon::Clock;
use ids::Slug;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use wire::DeviceReading;

use super::{
    breaker::{Breaker, Change, Effort},
    reading::poll_device,
};
use crate::{config::BusConfig, modbus::Bus, status::Status};

/// An order to read every device of the bus.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) clock_synced: bool,
    /// Read this one alone, because somebody asked.
    pub(super) only: Option<Slug>,
    /// Gets the readings, in the order of the configuration.
    pub(super) reply: oneshot::Sender<Vec<DeviceReading>>,
}

/// Orders that may wait: one sweep orders once and waits for the reply.
pub(super) const ORDERS_MAX: usize = 1;

/// Reads a bus whenever ordered, until nobody orders any more.
///
/// After `stop` the exchange under way is finished and the devices after it are left out.
pub(super) async fn run(
    config: BusConfig,
    clock: Arc<dyn Clock>,
    status: Arc<Status>,
    mut orders: mpsc::Receiver<Order>,
    stop: CancellationToken,
) {
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
            if let Some(only) = &order.only {
                if *only == device.id {
                    let polled = poll_device(&mut bus, device, cycle, Effort::Full).await;
                    readings.push(polled.reading(device, requested, order.clock_synced));
                }
                continue;
            }
            let polled = poll_device(&mut bus, device, cycle, breaker.effort()).await;
            match breaker.note(polled.answered) {
                Some(Change::Lost) => {
                    let error = polled.failure.as_ref().map(|err| daemon::chain(err)).unwrap_or_default();
                    tracing::warn!(device = %device.id, bus = %bus.endpoint(), error, "`{}` does not answer; it is asked less often from now on", device.id);
                    status.device_lost(device.id.as_str(), requested, &error);
                }
                Some(Change::Back { cycles }) => {
                    tracing::info!(device = %device.id, cycles, "`{}` answers again", device.id);
                    status.device_back(device.id.as_str(), requested);
                }
                None => {}
            }
            readings.push(polled.reading(device, requested, order.clock_synced));
        }
        cycle += 1;
        // A sweep that was given up does not wait for its reply.
        drop(order.reply.send(readings));
    }
}
