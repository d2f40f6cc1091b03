//! A collector without a store: takes what a gateway sends and says at once that it is durable, so that the gateway does what it does
//! on a good day.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rumqttc::v5::mqttbytes::{
    QoS,
    v5::{ConnectProperties, Packet},
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use wire::{Ack, Channel, Envelope, Message as _, topic};

use super::Result;

/// The largest message: a frame of a thousand devices is long.
const PACKET_BYTES_MAX: u32 = 64 << 20;
/// Requests to the client that may wait.
const REQUESTS_MAX: usize = 64;

/// What has arrived.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    frames: AtomicU64,
    bytes: AtomicU64,
}

impl Arrived {
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Bytes of the frames as the spool keeps them.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Acknowledges until the process ends.
pub(super) fn start(broker: SocketAddr) -> Result<Arc<Arrived>> {
    let arrived = Arc::new(Arrived::default());
    let noted = Arc::clone(&arrived);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("acknowledger".to_owned()).spawn(move || {
        let mut options = MqttOptions::new("acknowledger", broker.ip().to_string(), broker.port());
        options.set_clean_start(true);
        options.set_connect_properties(ConnectProperties { max_packet_size: Some(PACKET_BYTES_MAX), ..ConnectProperties::new() });
        let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
        runtime.block_on(acknowledge(&client, events, &noted));
    })?;
    Ok(arrived)
}

/// Ends when the broker does.
async fn acknowledge(client: &AsyncClient, mut events: EventLoop, arrived: &Arrived) {
    if client.try_subscribe(topic::ALL_DATA, QoS::AtLeastOnce).is_err() {
        return;
    }
    loop {
        let publish = match events.poll().await {
            Ok(Event::Incoming(Packet::Publish(publish))) => publish,
            Ok(_) => continue,
            Err(err) => return tracing::debug!(error = %err, "the broker is gone"),
        };
        let place = std::str::from_utf8(&publish.topic).ok().and_then(|text| topic::parse(text).ok());
        let (Some((path, Channel::Data)), Ok(envelope)) = (place, Envelope::decode(&publish.payload[..])) else { continue };
        arrived.frames.fetch_add(1, Ordering::Relaxed);
        arrived.bytes.fetch_add(u64::try_from(envelope.frame.len()).unwrap_or(0), Ordering::Relaxed);
        let ack = Ack { schema: wire::SCHEMA, spool_id: envelope.spool_id, contiguous_seq: envelope.seq, holes: Vec::new() };
        // A lost acknowledgement is repeated with the next frame.
        drop(client.try_publish(path.topic(&Channel::Ack), QoS::AtLeastOnce, false, ack.encode_to_vec()));
    }
}
