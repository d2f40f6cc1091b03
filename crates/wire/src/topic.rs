//! The topics, made and read in one place.

use std::fmt;

use ids::{Slug, SlugError};

/// Where a gateway lives: whose it is, in which facility, under which name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayPath {
    /// The organisation.
    pub tenant: Slug,
    /// The building or plant.
    pub facility: Slug,
    /// The gateway.
    pub gateway: Slug,
}

/// What a topic is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Frames, gateway to collector.
    Data,
    /// Alive or gone, retained, with last will.
    State,
    /// Alarms of the gateway.
    Event,
    /// What is durable, collector to gateway.
    Ack,
    /// Log lines on request.
    Log,
    /// An order to the gateway.
    Command(Slug),
    /// The answer to an order.
    Reply,
}

/// Why a topic is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Not `nw/1/{tenant}/{facility}/{gateway}/{channel}`.
    #[error("topic `{0}` is not nw/1/<tenant>/<facility>/<gateway>/<channel>")]
    Shape(String),
    /// A level that is no short name.
    #[error("topic `{topic}` has a bad level")]
    Level {
        /// The topic as received.
        topic: String,
        /// What is wrong with the level.
        #[source]
        err: SlugError,
    },
}

/// What a collector subscribes to: the data topic of every gateway.
pub const ALL_DATA: &str = "nw/1/+/+/+/data";
/// What a collector of one facility subscribes to, or of all of a tenant.
#[must_use]
pub fn data_of(tenant: &Slug, facility: Option<&Slug>) -> String {
    format!("nw/1/{tenant}/{}/+/data", facility.map_or("+", Slug::as_str))
}

/// The state topic of every gateway.
pub const ALL_STATE: &str = "nw/1/+/+/+/state";
/// The state topics of the gateways of one facility, or of all of a tenant.
#[must_use]
pub fn state_of(tenant: &Slug, facility: Option<&Slug>) -> String {
    format!("nw/1/{tenant}/{}/+/state", facility.map_or("+", Slug::as_str))
}

/// The events of every gateway.
pub const ALL_EVENTS: &str = "nw/1/+/+/+/event";
/// The answers of every gateway.
pub const ALL_REPLIES: &str = "nw/1/+/+/+/reply";

impl GatewayPath {
    /// What a gateway subscribes to for its orders.
    #[must_use]
    pub fn commands(&self) -> String {
        format!("nw/1/{}/{}/{}/cmd/+", self.tenant, self.facility, self.gateway)
    }

    /// The topic of one channel of this gateway.
    #[must_use]
    pub fn topic(&self, channel: &Channel) -> String {
        format!("nw/1/{}/{}/{}/{channel}", self.tenant, self.facility, self.gateway)
    }
}

impl fmt::Display for GatewayPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant, self.facility, self.gateway)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data => f.write_str("data"),
            Self::State => f.write_str("state"),
            Self::Event => f.write_str("event"),
            Self::Ack => f.write_str("ack"),
            Self::Log => f.write_str("log"),
            Self::Command(verb) => write!(f, "cmd/{verb}"),
            Self::Reply => f.write_str("reply"),
        }
    }
}

/// Reads a topic.
///
/// * Errors: [`TopicError`] names the topic, and the level that is wrong.
pub fn parse(topic: &str) -> Result<(GatewayPath, Channel), TopicError> {
    let shape = || TopicError::Shape(topic.to_owned());
    let slug = |level: &str| Slug::parse(level).map_err(|err| TopicError::Level { topic: topic.to_owned(), err });
    let levels: Vec<&str> = topic.split('/').collect();
    let ["nw", "1", tenant, facility, gateway, channel @ ..] = levels.as_slice() else {
        return Err(shape());
    };
    let channel = match channel {
        ["data"] => Channel::Data,
        ["state"] => Channel::State,
        ["event"] => Channel::Event,
        ["ack"] => Channel::Ack,
        ["log"] => Channel::Log,
        ["reply"] => Channel::Reply,
        ["cmd", verb] => Channel::Command(slug(verb)?),
        _ => return Err(shape()),
    };
    Ok((GatewayPath { tenant: slug(tenant)?, facility: slug(facility)?, gateway: slug(gateway)? }, channel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_and_back_is_the_same() {
        let slug = |text| Slug::parse(text).unwrap();
        let path = GatewayPath { tenant: slug("acme"), facility: slug("north-hall"), gateway: slug("gw-1") };
        let channels =
            [Channel::Data, Channel::State, Channel::Event, Channel::Ack, Channel::Log, Channel::Command(slug("restart")), Channel::Reply];
        for channel in channels {
            assert_eq!(parse(&path.topic(&channel)), Ok((path.clone(), channel)));
        }
        assert_eq!(path.topic(&Channel::Data), "nw/1/acme/north-hall/gw-1/data");
    }

    #[test]
    fn strangers_topics_are_refused() {
        for topic in ["", "nw/1/a/b/c", "nw/2/a/b/c/data", "nw/1/a/b/c/data/x", "nw/1/a/b/c/cmd", "spBv1.0/g/NDATA/n"] {
            assert_eq!(parse(topic), Err(TopicError::Shape(topic.to_owned())));
        }
        assert!(matches!(parse("nw/1/A/b/c/data"), Err(TopicError::Level { .. })));
        assert!(matches!(parse("nw/1/+/b/c/data"), Err(TopicError::Level { .. })));
    }
}
