//! The only module that knows the MQTT client.
//!
//! One task polls the connection and does nothing else, because a client that is not polled neither sends nor receives.
//! After any error the client is made anew: confirmations of the old connection then go nowhere, as they must.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ids::Slug;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Filter, Packet, Publish, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::Config;
use crate::live::Live;

const KEEP_ALIVE: Duration = Duration::from_secs(10);
const CONNECT_SECONDS: u64 = 5;
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
const RECONNECT_CEILING: Duration = Duration::from_secs(5);
const GOODBYE: Duration = Duration::from_millis(500);

/// A message, and the right to confirm it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    /// It was taken note of, and is there to be confirmed in its turn: not every broker goes by what was subscribed.
    pub(crate) is_state: bool,
    /// When it was read from the socket.
    pub(crate) arrived: Instant,
    receipt: Publish,
    session: Session,
}

/// One connection.
#[derive(Clone)]
struct Session {
    client: AsyncClient,
    /// Cancelled when this connection must be given up.
    broken: CancellationToken,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("broken", &self.broken.is_cancelled()).finish_non_exhaustive()
    }
}

impl Delivery {
    /// Tells the broker that it may forget the message. To be called in the order of arrival.
    pub(crate) fn confirm(self) {
        if self.session.client.try_ack(&self.receipt).is_err() {
            // Either the connection is gone already, or its queue is full: then it has to go, and the broker sends again.
            self.session.broken.cancel();
        }
    }
}

/// Says things to gateways, when there is a connection.
#[derive(Debug, Default)]
pub(crate) struct Speaker {
    session: Mutex<Option<Session>>,
}

impl Speaker {
    /// Sends with QoS 0: what is said here is said again, and more, the next time. False when it could not be sent.
    pub(crate) fn say(&self, topic: String, payload: Vec<u8>) -> bool {
        let session = self.session.lock().expect("no thread panics while it holds the session").clone();
        session.is_some_and(|session| session.client.try_publish(topic, QoS::AtMostOnce, false, payload).is_ok())
    }

    fn set(&self, session: Option<Session>) {
        *self.session.lock().expect("no thread panics while it holds the session") = session;
    }
}

/// What a connection ended with.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("the broker at {broker} cannot be reached or went away")]
    Connection {
        broker: String,
        #[source]
        err: Box<ConnectionError>,
    },
    #[error("the broker at {broker} refuses the subscription to {filter}: {reason:?}")]
    Refused { broker: String, filter: String, reason: Vec<SubscribeReasonCode> },
    #[error("the connection to {broker} fell behind")]
    Behind { broker: String },
}

/// The subscription, for ever.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) config: Arc<Config>,
    pub(crate) live: Arc<Live>,
    pub(crate) speaker: Arc<Speaker>,
}

impl Subscriber {
    /// Delivers messages until `stop`; then keeps the connection for confirmations until `drained`.
    pub(crate) async fn run(self, deliveries: mpsc::Sender<Delivery>, stop: CancellationToken, drained: CancellationToken) {
        let mut pause = RECONNECT_FIRST;
        let mut deliveries = Some(deliveries);
        loop {
            let (session, mut events) = self.connect();
            let err = self.listen(&session, &mut events, &mut deliveries, &stop, &drained).await;
            let was_connected = self.live.connected.swap(false, Ordering::SeqCst);
            self.speaker.set(None);
            let Err(err) = err else {
                let goodbye = async { while events.poll().await.is_ok() {} };
                if session.client.try_disconnect().is_ok() && tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
                    debug!("the broker did not close the connection");
                }
                return;
            };
            if was_connected {
                pause = RECONNECT_FIRST;
            }
            warn!(error = daemon::chain(&err), retry_ms = pause.as_millis(), "no connection to the broker");
            self.live.count(&self.live.reconnects, 1);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            pause = (pause * 2).min(RECONNECT_CEILING);
        }
    }

    fn connect(&self) -> (Session, EventLoop) {
        let Config { broker: (host, port), client_id, receive_maximum, session_expiry, .. } = &*self.config;
        let mut options = MqttOptions::new(client_id, host, *port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_connection_timeout(CONNECT_SECONDS);
        options.set_clean_start(false);
        options.set_manual_acks(true);
        options.set_connect_properties(ConnectProperties {
            session_expiry_interval: Some(u32::try_from(session_expiry.as_secs()).unwrap_or(u32::MAX)),
            receive_maximum: Some(*receive_maximum),
            max_packet_size: Some(PACKET_BYTES_MAX),
            ..ConnectProperties::new()
        });
        if let Some(login) = &self.config.login {
            options.set_credentials(&login.user, login.password.expose());
        }
        let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
        (Session { client, broken: CancellationToken::new() }, events)
    }

    async fn listen(
        &self,
        session: &Session,
        events: &mut EventLoop,
        deliveries: &mut Option<mpsc::Sender<Delivery>>,
        stop: &CancellationToken,
        drained: &CancellationToken,
    ) -> Result<(), LinkError> {
        let broker = || format!("{}:{}", self.config.broker.0, self.config.broker.1);
        loop {
            let event = tokio::select! {
                () = stop.cancelled(), if deliveries.is_some() => {
                    // Dropping the sender lets the ingest finish what it has.
                    *deliveries = None;
                    continue;
                }
                () = drained.cancelled() => return Ok(()),
                () = session.broken.cancelled() => return Err(LinkError::Behind { broker: broker() }),
                event = events.poll() => event.map_err(|err| LinkError::Connection { broker: broker(), err: Box::new(err) })?,
            };
            match event {
                Event::Incoming(Packet::ConnAck(_)) => {
                    let data = self.filters().into_iter().map(|path| Filter::new(path, QoS::AtLeastOnce));
                    // A state is retained, and a newer one follows: nobody waits for its confirmation.
                    let states = self.states().into_iter().map(|path| Filter::new(path, QoS::AtMostOnce));
                    let asked = session.client.try_subscribe_many(data.chain(states));
                    asked.map_err(|_full| LinkError::Behind { broker: broker() })?;
                }
                Event::Incoming(Packet::SubAck(granted)) => {
                    let is_refused = |code: &SubscribeReasonCode| !matches!(code, SubscribeReasonCode::Success(_));
                    let filters = self.filters();
                    let (data, states) = granted.return_codes.split_at(filters.len().min(granted.return_codes.len()));
                    if states.iter().any(is_refused) {
                        warn!(filter = self.states().join(" "), "the broker does not let us see which gateways are connected");
                    }
                    if data.iter().any(is_refused) {
                        return Err(LinkError::Refused { broker: broker(), filter: filters.join(" "), reason: data.to_vec() });
                    }
                    info!(broker = broker(), filter = filters.join(" "), "subscribed");
                    self.speaker.set(Some(session.clone()));
                    self.live.connected.store(true, Ordering::SeqCst);
                    self.live.begun.store(true, Ordering::SeqCst);
                }
                Event::Incoming(Packet::Publish(publish)) => self.deliver(publish, session, deliveries.as_ref(), stop).await,
                _ => {}
            }
        }
    }

    async fn deliver(&self, publish: Publish, session: &Session, deliveries: Option<&mpsc::Sender<Delivery>>, stop: &CancellationToken) {
        let is_state = self.is_state(&publish);
        if is_state && publish.qos == QoS::AtMostOnce {
            return;
        }
        // While stopping, messages stay unconfirmed: the broker or their gateway sends them again.
        let Some(deliveries) = deliveries else { return };
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let payload = publish.payload.clone();
        let receipt = Publish { payload: Bytes::new(), ..publish };
        let delivery = Delivery { topic, payload, is_state, arrived: Instant::now(), receipt, session: session.clone() };
        self.live.count(&self.live.messages, 1);
        self.live.count(&self.live.inflight, 1);
        tokio::select! {
            sent = deliveries.send(delivery) => if sent.is_err() { debug!("the ingest has ended") },
            () = stop.cancelled() => {}
        }
    }

    /// Takes note of whether a gateway is there, if that is what the message says.
    fn is_state(&self, publish: &Publish) -> bool {
        let Some((path, wire::Channel::State)) = str::from_utf8(&publish.topic).ok().and_then(|topic| wire::topic::parse(topic).ok())
        else {
            return false;
        };
        // Nothing is what remains where somebody has cleared a retained state.
        let online = serde_json::from_slice::<wire::GatewayState>(&publish.payload).is_ok_and(|state| state.online);
        self.live.gateway_is(path, online);
        true
    }

    /// Where the gateways say whether they are there. Never shared: what is retained is not told to a group.
    fn states(&self) -> Vec<String> {
        self.topics(wire::topic::state_of, wire::topic::ALL_STATE)
    }

    fn topics(&self, of: fn(&Slug, Option<&Slug>) -> String, all: &str) -> Vec<String> {
        let topics: Vec<String> = self.config.facilities.iter().map(|filter| of(&filter.tenant, filter.facility.as_ref())).collect();
        if topics.is_empty() { vec![all.to_owned()] } else { topics }
    }

    fn filters(&self) -> Vec<String> {
        let topics = self.topics(wire::topic::data_of, wire::topic::ALL_DATA);
        match &self.config.share_group {
            Some(group) => topics.iter().map(|topic| format!("$share/{group}/{topic}")).collect(),
            None => topics,
        }
    }
}

/// Room for a confirmation of everything that may be in flight, and for what is said to gateways. A broker has no more than 65,535
/// numbers for messages that are not confirmed; Mosquitto 2.0.11 sends more of them than `receive_maximum` when it is flooded.
const REQUESTS_MAX: usize = 65_535 + 4_096;

/// Above any message that [`Config`] allows.
const PACKET_BYTES_MAX: u32 = 32 << 20;
