//! MQTT 5 through `rumqttc`, with its weak spots fenced in.
//!
//! * A new event loop for every connection: nothing of a failed one survives in the client.
//! * The event loop runs in its own task and is never cancelled half way through a write; messages enter through a
//!   bounded channel with `try_publish`, so neither side can block the other.
//! * Our own window is no wider than the broker wants, and counted from the oldest message, so that packet ids never
//!   collide (see [`flight`](super::flight)).
//! * Nothing heard for one and a half keep-alives, and the connection is given up: the client itself would notice only
//!   with its second ping, and never while a write hangs.

use std::time::Duration;

use rumqttc::{
    Outgoing, TlsConfiguration, Transport,
    v5::{
        AsyncClient, ConnectionError, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{ConnAck, ConnectProperties, LastWill, Packet, PubAckReason, SubscribeReasonCode},
        },
    },
};
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};
use wire::{Channel, GatewayPath, Message};

use super::{Link, LinkError, LinkEvent, Sent, Uplink, flight::Flight};
use crate::config::{BrokerConfig, Config};

/// Messages from the oldest that the broker has not taken to the newest.
const WINDOW: u16 = 64;
/// What else passes through the client's queue: subscriptions and the goodbye.
const QUEUE: usize = 64 + 8;
/// Events between the event loop and us. The event loop waits when it is full, which is the broker's problem.
const EVENTS_MAX: usize = 256;
/// Longest that connecting and subscribing may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that the broker may take nothing while messages wait.
const TAKEN_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest that nothing at all may come from the client's task; it has its own watch.
const IDLE_MAX: Duration = Duration::from_secs(86_400);
/// Largest message accepted: an acknowledgement with thousands of holes is some ten kilobytes, a configuration more.
const MESSAGE_BYTES_MAX: u32 = 1 << 20;
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Makes connections to whatever broker the configuration names.
#[derive(Debug, Default)]
pub(crate) struct Mqtt;

/// One connection.
#[derive(Debug)]
pub(crate) struct MqttLink {
    broker: String,
    client: AsyncClient,
    events: mpsc::Receiver<Result<Event, Lost>>,
    driver: AbortHandle,
    path: GatewayPath,
    ack: String,
    flight: Flight,
    last_taken: Instant,
}

/// How the client's task ended.
#[derive(Debug)]
enum Lost {
    Client(ConnectionError),
    /// Nothing was heard for so long.
    Silent(Duration),
}

fn broker_name(config: &BrokerConfig) -> String {
    format!("{}:{}", config.host, config.port)
}

fn options(config: &BrokerConfig, client_id: String, will: Option<LastWill>) -> MqttOptions {
    let mut options = MqttOptions::new(client_id, config.host.clone(), config.port);
    options.set_keep_alive(config.keep_alive);
    options.set_clean_start(true);
    options.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
    options.set_outgoing_inflight_upper_limit(WINDOW);
    options.set_connect_properties(ConnectProperties { max_packet_size: Some(MESSAGE_BYTES_MAX), ..ConnectProperties::new() });
    if let Some(will) = will {
        options.set_last_will(will);
    }
    if let Some(username) = &config.username {
        let password = config.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
        options.set_credentials(username.clone(), password);
    }
    if let Some(tls) = &config.tls {
        options.set_transport(Transport::Tls(TlsConfiguration::Rustls(tls.client())));
    }
    let mut network = options.network_options();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    options
}

impl Mqtt {
    /// Connects under another name and leaves again, to see whether the broker lets us in.
    pub(crate) async fn try_connect(config: &BrokerConfig) -> Result<(), LinkError> {
        let mut link = MqttLink::start(config, options(config, format!("{}-check", config.client_id), None), None);
        let connected = link.within(CONNECT_TIMEOUT).await;
        if connected.is_ok() {
            link.leave().await;
        }
        connected.map(drop)
    }
}

impl Uplink for Mqtt {
    type Link = MqttLink;

    async fn connect(&mut self, config: &Config, will: String) -> Result<MqttLink, LinkError> {
        let will = LastWill::new(config.path.topic(&Channel::State), will, QoS::AtLeastOnce, true, None);
        let options = options(&config.broker, config.broker.client_id.clone(), Some(will));
        let mut link = MqttLink::start(&config.broker, options, Some(config.path.clone()));
        link.within(CONNECT_TIMEOUT).await?;
        let commands = config.commands.as_ref().map(|_| config.path.commands());
        match timeout(CONNECT_TIMEOUT, link.subscribe(commands)).await {
            Ok(subscribed) => subscribed.map(|()| link),
            Err(_elapsed) => Err(LinkError::Silent { broker: link.broker.clone(), seconds: CONNECT_TIMEOUT.as_secs() }),
        }
    }
}

/// Moves the client until the connection ends or nobody listens. Ends after the first error.
async fn drive(mut event_loop: EventLoop, told: mpsc::Sender<Result<Event, Lost>>) {
    let mut heard = Instant::now();
    let mut patience = CONNECT_TIMEOUT;
    loop {
        let event = match timeout_at(heard + patience, event_loop.poll()).await {
            Ok(event) => event.map_err(Lost::Client),
            Err(_elapsed) => Err(Lost::Silent(patience)),
        };
        let incoming = matches!(event, Ok(Event::Incoming(_)));
        let ended = event.is_err();
        if told.send(event).await.is_err() || ended {
            return;
        }
        if incoming {
            heard = Instant::now();
            // The broker may have asked for another keep-alive than ours.
            patience = event_loop.options.keep_alive() * 3 / 2;
        }
    }
}

impl MqttLink {
    fn start(config: &BrokerConfig, options: MqttOptions, path: Option<GatewayPath>) -> Self {
        let (client, event_loop) = AsyncClient::new(options, QUEUE);
        let (told, events) = mpsc::channel(EVENTS_MAX);
        let driver = tokio::spawn(drive(event_loop, told)).abort_handle();
        let path = path.unwrap_or_else(|| {
            let nobody = || ids::Slug::parse("check").expect("a short name");
            GatewayPath { tenant: nobody(), facility: nobody(), gateway: nobody() }
        });
        Self {
            broker: broker_name(config),
            client,
            events,
            driver,
            ack: path.topic(&Channel::Ack),
            path,
            flight: Flight::new(usize::from(WINDOW)),
            last_taken: Instant::now(),
        }
    }

    /// Waits for the connection.
    async fn within(&mut self, patience: Duration) -> Result<(), LinkError> {
        let silent = |broker: &str, seconds| LinkError::Silent { broker: broker.to_owned(), seconds };
        let greeted = timeout(patience, self.events.recv()).await;
        match greeted {
            Ok(Some(Ok(Event::Incoming(Packet::ConnAck(greeting))))) => {
                self.flight = Flight::new(usize::from(receive_maximum(&greeting).min(WINDOW)));
                Ok(())
            }
            Ok(Some(Err(Lost::Client(err)))) => Err(LinkError::Connect { broker: self.broker.clone(), err: Box::new(err) }),
            Ok(Some(Err(Lost::Silent(patience)))) => Err(silent(&self.broker, patience.as_secs())),
            Ok(_) | Err(_) => Err(silent(&self.broker, patience.as_secs())),
        }
    }

    /// Subscribes to acknowledgements, without which nothing works, and to commands, without which it does.
    async fn subscribe(&mut self, commands: Option<String>) -> Result<(), LinkError> {
        let topics = [Some(self.ack.clone()), commands];
        for (at, topic) in topics.into_iter().flatten().enumerate() {
            let full = |_full| LinkError::Ended { broker: self.broker.clone(), err: None };
            self.client.try_subscribe(topic.clone(), QoS::AtLeastOnce).map_err(full)?;
            let granted = loop {
                if let Event::Incoming(Packet::SubAck(granted)) = self.next().await? {
                    break granted;
                }
            };
            if matches!(granted.return_codes.first(), Some(SubscribeReasonCode::Success(_))) {
                continue;
            }
            let reason = format!("{:?}", granted.return_codes);
            if at == 0 {
                return Err(LinkError::Refused { broker: self.broker.clone(), what: "the subscription to acknowledgements", reason });
            }
            tracing::warn!(topic, reason, "the broker refused the subscription to commands: none will arrive");
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Event, LinkError> {
        let patience = if self.flight.is_empty() { Instant::now() + IDLE_MAX } else { self.last_taken + TAKEN_TIMEOUT };
        let event = match timeout_at(patience, self.events.recv()).await {
            Ok(Some(Ok(event))) => event,
            Ok(Some(Err(Lost::Client(err)))) => {
                return Err(LinkError::Ended { broker: self.broker.clone(), err: Some(Box::new(err)) });
            }
            Ok(Some(Err(Lost::Silent(patience)))) => {
                return Err(LinkError::Silent { broker: self.broker.clone(), seconds: patience.as_secs() });
            }
            Ok(None) => return Err(LinkError::Ended { broker: self.broker.clone(), err: None }),
            Err(_elapsed) => return Err(LinkError::Silent { broker: self.broker.clone(), seconds: TAKEN_TIMEOUT.as_secs() }),
        };
        if let Event::Outgoing(Outgoing::Publish(packet)) = event {
            self.flight.written(packet);
        }
        Ok(event)
    }

    /// Disconnects in good order, as far as the broker takes part.
    async fn leave(mut self) {
        let goodbye = async {
            if self.client.try_disconnect().is_ok() {
                while self.next().await.is_ok() {}
            }
        };
        // Whoever does not listen to a goodbye gets the last will instead.
        drop(timeout(CLOSE_TIMEOUT, goodbye).await);
    }
}

impl Drop for MqttLink {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link for MqttLink {
    fn has_room(&self, what: Sent) -> bool {
        self.flight.has_room(what)
    }

    fn send(&mut self, what: Sent, channel: &Channel, payload: Vec<u8>) -> Result<(), LinkError> {
        let sent = self.client.try_publish(self.path.topic(channel), QoS::AtLeastOnce, *channel == Channel::State, payload);
        sent.map_err(|_full| LinkError::Ended { broker: self.broker.clone(), err: None })?;
        if self.flight.is_empty() {
            self.last_taken = Instant::now();
        }
        self.flight.handed_over(what);
        Ok(())
    }

    async fn event(&mut self) -> Result<LinkEvent, LinkError> {
        loop {
            match self.next().await? {
                Event::Incoming(Packet::PubAck(answer)) => {
                    self.last_taken = Instant::now();
                    let Some(what) = self.flight.answered(answer.pkid) else { continue };
                    let said = answer.properties.and_then(|properties| properties.reason_string);
                    return Ok(match refusal(answer.reason) {
                        None => LinkEvent::Taken { what, heard: answer.reason == PubAckReason::Success },
                        Some(reason) => {
                            LinkEvent::Refused { what, reason: said.map_or_else(|| reason.to_owned(), |said| format!("{reason}: {said}")) }
                        }
                    });
                }
                Event::Incoming(Packet::Publish(publish)) if publish.topic == self.ack.as_bytes() => {
                    match wire::Ack::decode(&publish.payload[..]) {
                        Ok(ack) => return Ok(LinkEvent::Ack(ack)),
                        Err(err) => tracing::warn!(error = %err, "an acknowledgement could not be read; left aside"),
                    }
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    let topic = std::str::from_utf8(&publish.topic).unwrap_or_default();
                    if let Ok((_, Channel::Command(verb))) = wire::topic::parse(topic) {
                        return Ok(LinkEvent::Command { verb: verb.to_string(), payload: publish.payload.to_vec() });
                    }
                }
                _ => {}
            }
        }
    }

    async fn close(mut self, state: String) {
        if self.send(Sent::State, &Channel::State, state.into_bytes()).is_ok() {
            self.leave().await;
        }
    }
}

/// How many messages the broker takes at once.
fn receive_maximum(greeting: &ConnAck) -> u16 {
    greeting.properties.as_ref().and_then(|properties| properties.receive_max).unwrap_or(u16::MAX)
}

/// What a broker means by a refusal.
fn refusal(reason: PubAckReason) -> Option<&'static str> {
    Some(match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => return None,
        PubAckReason::UnspecifiedError => "0x80, unspecified",
        PubAckReason::ImplementationSpecificError => "0x83, for a reason of its own",
        PubAckReason::NotAuthorized => "0x87, not authorised: the broker's access list does not let this gateway publish there",
        PubAckReason::TopicNameInvalid => "0x90, topic name invalid",
        PubAckReason::PacketIdentifierInUse => "0x91, packet identifier in use",
        PubAckReason::QuotaExceeded => "0x97, quota exceeded",
        PubAckReason::PayloadFormatInvalid => "0x99, payload format invalid",
    })
}

#[cfg(test)]
mod tests;
