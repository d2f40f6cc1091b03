//! Getting frames to the collector, and hearing from it that they are durable there.
//!
//! What the broker acknowledges is flow control and nothing else: only the collector's own acknowledgement frees a
//! frame. [`Link`] is one connection and dies with the first error; [`pump`] makes the next one and continues from what
//! the collector confirmed. Which frames are due is decided in [`window`], which is pure; what was handed to the broker
//! and not taken is in [`flight`], and how much of the backlog that may be in [`pace`]. Over the same connection go the retained state, events, commands and their answers.

mod der;
mod flight;
mod mqtt;
mod pace;
mod pump;
pub(crate) mod tls;
mod window;

use std::future::Future;

pub(crate) use mqtt::Mqtt;
pub(crate) use pump::{Identity, Pump, pump};
use wire::Channel;

use crate::config::Config;

/// Why a connection could not be made, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("could not connect to the broker {broker}")]
    Connect {
        broker: String,
        #[source]
        err: Box<rumqttc::v5::ConnectionError>,
    },
    #[error("the broker {broker} did not answer within {seconds} s")]
    Silent { broker: String, seconds: u64 },
    #[error("the broker {broker} refused {what}: {reason}")]
    Refused { broker: String, what: &'static str, reason: String },
    #[error("the connection to the broker {broker} ended")]
    Ended {
        broker: String,
        #[source]
        err: Option<Box<rumqttc::v5::ConnectionError>>,
    },
}

/// Something that a connection tells.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// The broker took a message: there is room for another.
    Taken {
        what: Sent,
        /// Whether anybody listens to it.
        heard: bool,
    },
    /// The broker did not take a message, and says why.
    Refused { what: Sent, reason: String },
    /// The collector says what is durable.
    Ack(wire::Ack),
    /// Somebody gives an order.
    Command { verb: String, payload: Vec<u8> },
}

/// What was handed to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Frame,
    State,
    /// A message of the outbox.
    Message(u64),
}

/// One connection to a broker, subscribed to acknowledgements and, if wanted, to commands.
pub(crate) trait Link: Send {
    /// Whether another message may be handed over now. A few places are kept free of frames.
    fn has_room(&self, what: Sent) -> bool;

    /// Hands something over; what is sent as state is retained.
    fn send(&mut self, what: Sent, channel: &Channel, payload: Vec<u8>) -> Result<(), LinkError>;

    /// The next thing that happens. May be dropped and asked again.
    fn event(&mut self) -> impl Future<Output = Result<LinkEvent, LinkError>> + Send;

    /// Says goodbye with a last state, so that the last will is not sent.
    fn close(self, state: String) -> impl Future<Output = ()> + Send;
}

/// Makes connections.
pub(crate) trait Uplink: Send {
    type Link: Link;

    /// * `will`: the state that the broker tells when we are gone without a word.
    fn connect(&mut self, config: &Config, will: String) -> impl Future<Output = Result<Self::Link, LinkError>> + Send;
}
