//! Getting frames to the collector, and hearing from it that they are durable there.
//!
//! What the broker acknowledges is flow control and nothing else: only the collector's own acknowledgement frees a
//! frame. [`Link`] is one connection and dies with the first error; [`pump`] makes the next one and continues from what
//! the collector confirmed. Which frames are due is decided in [`window`], which is pure.

mod mqtt;
mod pump;
mod window;

use std::future::Future;

pub(crate) use mqtt::Mqtt;
pub(crate) use pump::{Identity, Pump, PumpOptions, pump};

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
    /// The broker took a frame: there is room for another.
    Taken,
    /// The collector says what is durable.
    Ack(wire::Ack),
}

/// One connection to a broker, subscribed to acknowledgements.
pub(crate) trait Link: Send {
    /// Whether another frame may be handed over now.
    fn has_room(&self) -> bool;

    /// Hands a frame over.
    fn send(&mut self, envelope: Vec<u8>) -> Result<(), LinkError>;

    /// The next thing that happens. May be dropped and asked again.
    fn event(&mut self) -> impl Future<Output = Result<LinkEvent, LinkError>> + Send;

    /// Says goodbye, so that the last will is not sent.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Makes connections.
pub(crate) trait Uplink: Send {
    type Link: Link;

    fn connect(&mut self) -> impl Future<Output = Result<Self::Link, LinkError>> + Send;
}
