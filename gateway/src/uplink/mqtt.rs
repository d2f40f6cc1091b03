//! MQTT 5 through `rumqttc`, with its weak spots fenced in.
//!
//! * A new event loop for every connection: nothing of a failed one survives in the client.
//! * The event loop runs in its own task and is never cancelled half way through a write; frames enter through a
//!   bounded channel with `try_publish`, so neither side can block the other.
//! * Our own window is half of the client's, so that packet ids never collide.
//! * No sign of life for one and a half keep-alives, and the connection is given up.

use std::time::Duration;

use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{ConnectProperties, LastWill, Packet, PubAckReason, SubscribeReasonCode},
    },
};
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};
use wire::{Channel, GatewayPath, Message};

use super::{Link, LinkError, LinkEvent, Uplink};
use crate::config::BrokerConfig;

/// Frames handed to the broker and not yet taken.
const WINDOW: usize = 64;
/// Events between the event loop and us. The event loop waits when it is full, which is the broker's problem.
const EVENTS_MAX: usize = 4 * WINDOW;
/// Longest that connecting and subscribing may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that the broker may take nothing while frames wait.
const TAKEN_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest message accepted: an acknowledgement with thousands of holes is some ten kilobytes.
const MESSAGE_BYTES_MAX: u32 = 1 << 20;
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Makes connections to one broker.
#[derive(Debug)]
pub(crate) struct Mqtt {
    config: BrokerConfig,
    path: GatewayPath,
    /// Told while connected, and the last will when not.
    online: String,
    offline: String,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct MqttLink {
    broker: String,
    client: AsyncClient,
    events: mpsc::Receiver<Result<Event, ConnectionError>>,
    driver: AbortHandle,
    data: String,
    ack: String,
    state: String,
    offline: String,
    in_flight: usize,
    last_taken: Instant,
}

impl Mqtt {
    /// * `online` and `offline` are what the retained state topic says.
    pub(crate) fn new(config: BrokerConfig, path: GatewayPath, online: String, offline: String) -> Self {
        Self { config, path, online, offline }
    }

    fn broker(&self) -> String {
        format!("{}:{}", self.config.host, self.config.port)
    }

    fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(self.config.client_id.clone(), self.config.host.clone(), self.config.port);
        options.set_keep_alive(self.config.keep_alive);
        options.set_clean_start(true);
        options.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
        options.set_outgoing_inflight_upper_limit(u16::try_from(2 * WINDOW).unwrap_or(u16::MAX));
        options.set_connect_properties(ConnectProperties { max_packet_size: Some(MESSAGE_BYTES_MAX), ..ConnectProperties::new() });
        let state = self.path.topic(&Channel::State);
        options.set_last_will(LastWill::new(state, self.offline.clone(), QoS::AtLeastOnce, true, None));
        if let Some(username) = &self.config.username {
            let password = self.config.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
            options.set_credentials(username.clone(), password);
        }
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        options
    }
}

impl Uplink for Mqtt {
    type Link = MqttLink;

    async fn connect(&mut self) -> Result<MqttLink, LinkError> {
        let (client, event_loop) = AsyncClient::new(self.options(), WINDOW);
        let (told, events) = mpsc::channel(EVENTS_MAX);
        let driver = tokio::spawn(drive(event_loop, told, self.config.keep_alive * 3 / 2)).abort_handle();
        let mut link = MqttLink {
            broker: self.broker(),
            client,
            events,
            driver,
            data: self.path.topic(&Channel::Data),
            ack: self.path.topic(&Channel::Ack),
            state: self.path.topic(&Channel::State),
            offline: self.offline.clone(),
            in_flight: 0,
            last_taken: Instant::now(),
        };
        match timeout(CONNECT_TIMEOUT, link.greet(&self.online)).await {
            Ok(greeted) => greeted.map(|()| link),
            Err(_elapsed) => Err(LinkError::Silent { broker: self.broker(), seconds: CONNECT_TIMEOUT.as_secs() }),
        }
    }
}

/// Moves the client until the connection ends or nobody listens. Ends after the first error.
async fn drive(mut event_loop: EventLoop, told: mpsc::Sender<Result<Event, ConnectionError>>, patience: Duration) {
    loop {
        let Ok(event) = timeout(patience, event_loop.poll()).await else { return };
        let ended = event.is_err();
        if told.send(event).await.is_err() || ended {
            return;
        }
    }
}

impl MqttLink {
    /// Waits for the connection, subscribes to acknowledgements and says that we are here.
    async fn greet(&mut self, online: &str) -> Result<(), LinkError> {
        loop {
            match self.events.recv().await {
                Some(Ok(Event::Incoming(Packet::ConnAck(_)))) => break,
                Some(Ok(_)) => {}
                Some(Err(err)) => return Err(LinkError::Connect { broker: self.broker.clone(), err: Box::new(err) }),
                None => return Err(LinkError::Silent { broker: self.broker.clone(), seconds: CONNECT_TIMEOUT.as_secs() }),
            }
        }
        let full = |broker: &str| LinkError::Ended { broker: broker.to_owned(), err: None };
        self.client.try_subscribe(self.ack.clone(), QoS::AtLeastOnce).map_err(|_full| full(&self.broker))?;
        loop {
            match self.next().await? {
                Event::Incoming(Packet::SubAck(granted)) => {
                    if let Some(SubscribeReasonCode::Success(_)) = granted.return_codes.first() {
                        break;
                    }
                    let reason = format!("{:?}", granted.return_codes);
                    return Err(LinkError::Refused { broker: self.broker.clone(), what: "the subscription to acknowledgements", reason });
                }
                _ => continue,
            }
        }
        self.publish_state(online.to_owned())
    }

    fn publish_state(&mut self, state: String) -> Result<(), LinkError> {
        let sent = self.client.try_publish(self.state.clone(), QoS::AtLeastOnce, true, state);
        sent.map_err(|_full| LinkError::Ended { broker: self.broker.clone(), err: None })?;
        self.in_flight += 1;
        Ok(())
    }

    async fn next(&mut self) -> Result<Event, LinkError> {
        let patience = if self.in_flight > 0 { self.last_taken + TAKEN_TIMEOUT } else { Instant::now() + CONNECT_TIMEOUT * 360 };
        match timeout_at(patience, self.events.recv()).await {
            Ok(Some(Ok(event))) => Ok(event),
            Ok(Some(Err(err))) => Err(LinkError::Ended { broker: self.broker.clone(), err: Some(Box::new(err)) }),
            Ok(None) => Err(LinkError::Ended { broker: self.broker.clone(), err: None }),
            Err(_elapsed) => Err(LinkError::Silent { broker: self.broker.clone(), seconds: TAKEN_TIMEOUT.as_secs() }),
        }
    }
}

impl Drop for MqttLink {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link for MqttLink {
    fn has_room(&self) -> bool {
        self.in_flight < WINDOW
    }

    fn send(&mut self, envelope: Vec<u8>) -> Result<(), LinkError> {
        let sent = self.client.try_publish(self.data.clone(), QoS::AtLeastOnce, false, envelope);
        sent.map_err(|_full| LinkError::Ended { broker: self.broker.clone(), err: None })?;
        if self.in_flight == 0 {
            self.last_taken = Instant::now();
        }
        self.in_flight += 1;
        Ok(())
    }

    async fn event(&mut self) -> Result<LinkEvent, LinkError> {
        loop {
            match self.next().await? {
                Event::Incoming(Packet::PubAck(taken)) => {
                    if !matches!(taken.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers) {
                        let reason = format!("{:?}", taken.reason);
                        return Err(LinkError::Refused { broker: self.broker.clone(), what: "a frame", reason });
                    }
                    self.in_flight = self.in_flight.saturating_sub(1);
                    self.last_taken = Instant::now();
                    return Ok(LinkEvent::Taken);
                }
                Event::Incoming(Packet::Publish(publish)) if publish.topic == self.ack.as_bytes() => {
                    match wire::Ack::decode(&publish.payload[..]) {
                        Ok(ack) => return Ok(LinkEvent::Ack(ack)),
                        Err(err) => tracing::warn!(error = %err, "an acknowledgement could not be read; left aside"),
                    }
                }
                _ => {}
            }
        }
    }

    async fn close(mut self) {
        let goodbye = async {
            let offline = self.offline.clone();
            if self.publish_state(offline).is_ok() && self.client.try_disconnect().is_ok() {
                while self.next().await.is_ok() {}
            }
        };
        // Whoever does not listen to a goodbye gets the last will instead.
        drop(timeout(CLOSE_TIMEOUT, goodbye).await);
    }
}

#[cfg(test)]
mod tests;
