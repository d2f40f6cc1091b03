//! A gateway-minute: every reading of every device at one tick.

use ids::SpoolId;
use units::{Measured, Quality, Unit};

/// A frame as the spool keeps it, and its place in that spool. One MQTT message.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Envelope {
    /// [`crate::SCHEMA`].
    #[prost(uint32, tag = "1")]
    pub schema: u32,
    /// The sixteen bytes of the [`SpoolId`].
    #[prost(bytes = "vec", tag = "2")]
    pub spool_id: Vec<u8>,
    /// From 1, without gaps for the life of the spool.
    #[prost(uint64, tag = "3")]
    pub seq: u64,
    /// An encoded [`Frame`].
    #[prost(bytes = "vec", tag = "4")]
    pub frame: Vec<u8>,
}

/// All that one gateway read in one minute.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Frame {
    /// [`crate::SCHEMA`].
    #[prost(uint32, tag = "1")]
    pub schema: u32,
    /// Random at each start of the gateway; serves clock correction only.
    #[prost(uint64, tag = "2")]
    pub boot_id: u64,
    /// SHA-256 of the configuration that produced this.
    #[prost(bytes = "vec", tag = "3")]
    pub config_hash: Vec<u8>,
    /// The minute polled, in milliseconds since 1970 UTC: the time of every point in the frame.
    #[prost(sint64, tag = "4")]
    pub tick_ms: i64,
    /// Whether the gateway's clock was set.
    #[prost(bool, tag = "5")]
    pub clock_synced: bool,
    /// One entry for each device that was due, answered or not.
    #[prost(message, repeated, tag = "6")]
    pub devices: Vec<DeviceReading>,
    /// When it was polled on a clock that nobody sets, in milliseconds: says how far apart frames of one `boot_id` are.
    #[prost(uint64, tag = "7")]
    pub monotonic_ms: u64,
    /// How many points the gateway left out again to make room in a full spool.
    #[prost(uint32, tag = "8")]
    pub left_out: u32,
    /// Why a frame without devices stands for one that is gone, see [`Lost::code`]; 0 when nothing is gone.
    #[prost(uint32, tag = "9")]
    pub lost: u32,
}

/// What a frame says of its time, without its readings.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct FrameTime {
    /// As in [`Frame::boot_id`].
    #[prost(uint64, tag = "2")]
    pub boot_id: u64,
    /// As in [`Frame::tick_ms`].
    #[prost(sint64, tag = "4")]
    pub tick_ms: i64,
    /// As in [`Frame::clock_synced`].
    #[prost(bool, tag = "5")]
    pub clock_synced: bool,
    /// As in [`Frame::monotonic_ms`].
    #[prost(uint64, tag = "7")]
    pub monotonic_ms: u64,
}

/// Why a frame is gone before it was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The spool was full, and it was the oldest.
    MadeRoom,
    /// Its bytes were damaged on disk.
    Damaged,
}

impl Lost {
    /// The number on the wire.
    pub const fn code(self) -> u32 {
        match self {
            Self::MadeRoom => 1,
            Self::Damaged => 2,
        }
    }
}

/// One poll of one device. A failed poll is here too, with its quality and without values.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DeviceReading {
    /// The device's short name, unique in the facility.
    #[prost(string, tag = "1")]
    pub device: String,
    /// The id of the device profile.
    #[prost(string, tag = "2")]
    pub profile: String,
    /// SHA-256 of the device profile.
    #[prost(bytes = "vec", tag = "3")]
    pub profile_hash: Vec<u8>,
    /// When the first request left, in milliseconds since 1970 UTC.
    #[prost(sint64, tag = "4")]
    pub requested_ms: i64,
    /// From the first request to the last reply, in microseconds.
    #[prost(uint32, tag = "5")]
    pub duration_us: u32,
    /// How many requests were sent.
    #[prost(uint32, tag = "6")]
    pub attempts: u32,
    /// [`Quality`] of the poll as a whole.
    #[prost(uint32, tag = "7")]
    pub quality: u32,
    /// One entry for each selected point.
    #[prost(message, repeated, tag = "8")]
    pub points: Vec<PointReading>,
}

/// One quantity of one device.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PointReading {
    /// The point's id in the profile: `v1`, `p`, `e_imp` …
    #[prost(string, tag = "1")]
    pub point: String,
    /// The whole number; nothing when there is no value.
    #[prost(sint64, optional, tag = "2")]
    pub raw: Option<i64>,
    /// The power of ten.
    #[prost(sint32, tag = "3")]
    pub exponent: i32,
    /// [`Unit::code`].
    #[prost(uint32, tag = "4")]
    pub unit: u32,
    /// [`Quality`] of this value.
    #[prost(uint32, tag = "5")]
    pub quality: u32,
    /// Billing points only: the registers as read, big-endian.
    #[prost(bytes = "vec", tag = "6")]
    pub words: Vec<u8>,
}

/// Why a message that decodes is still not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Written by a newer or foreign program.
    #[error("schema {0} is not known here (known: {known})", known = crate::SCHEMA)]
    Schema(u32),
    /// Not sixteen bytes.
    #[error("a spool id has 16 bytes, not {0}")]
    SpoolId(usize),
    /// Sequence numbers start at 1.
    #[error("sequence number 0 does not exist")]
    Seq,
    /// A unit code we do not know.
    #[error("point `{point}`: unit code {code} is not known here")]
    Unit {
        /// The point.
        point: String,
        /// The code.
        code: u32,
    },
    /// An exponent beyond what a decimal holds.
    #[error("point `{point}`: exponent {exponent} is not between -18 and 18")]
    Exponent {
        /// The point.
        point: String,
        /// The exponent.
        exponent: i32,
    },
    /// Quality is sixteen bits.
    #[error("point `{point}`: quality {quality:#x} has more than 16 bits")]
    Quality {
        /// The point, or the device for the poll as a whole.
        point: String,
        /// The quality as received.
        quality: u32,
    },
    /// Registers are two bytes each, four registers at most.
    #[error("point `{point}`: {bytes} bytes of registers, allowed are 0, 2, 4, 6 or 8")]
    Words {
        /// The point.
        point: String,
        /// How many bytes came.
        bytes: usize,
    },
}

impl Envelope {
    /// Checks the schema, the spool id and the sequence number, and hands out the spool id.
    pub fn validate(&self) -> Result<SpoolId, WireError> {
        check_schema(self.schema)?;
        let bytes = <[u8; 16]>::try_from(self.spool_id.as_slice()).map_err(|_wrong_length| WireError::SpoolId(self.spool_id.len()))?;
        if self.seq == 0 { Err(WireError::Seq) } else { Ok(SpoolId::from_bytes(bytes)) }
    }
}

impl Frame {
    /// Checks the schema and every point.
    pub fn validate(&self) -> Result<(), WireError> {
        check_schema(self.schema)?;
        for device in &self.devices {
            quality(&device.device, device.quality)?;
            for point in &device.points {
                point.unit()?;
                point.quality()?;
                point.exponent()?;
                point.check_words()?;
            }
        }
        Ok(())
    }
}

impl PointReading {
    /// The unit.
    pub fn unit(&self) -> Result<Unit, WireError> {
        u16::try_from(self.unit)
            .ok()
            .and_then(Unit::from_code)
            .ok_or_else(|| WireError::Unit { point: self.point.clone(), code: self.unit })
    }

    /// The quality.
    pub fn quality(&self) -> Result<Quality, WireError> {
        quality(&self.point, self.quality)
    }

    /// The power of ten.
    pub fn exponent(&self) -> Result<i8, WireError> {
        i8::try_from(self.exponent)
            .ok()
            .filter(|exponent| (-18..=18).contains(exponent))
            .ok_or_else(|| WireError::Exponent { point: self.point.clone(), exponent: self.exponent })
    }

    /// The value, where there is one.
    pub fn measured(&self) -> Result<Option<Measured>, WireError> {
        let (exponent, unit) = (self.exponent()?, self.unit()?);
        Ok(self.raw.map(|raw| Measured { raw, exponent, unit }))
    }

    fn check_words(&self) -> Result<(), WireError> {
        match self.words.len() {
            0 | 2 | 4 | 6 | 8 => Ok(()),
            bytes => Err(WireError::Words { point: self.point.clone(), bytes }),
        }
    }
}

pub(crate) fn check_schema(schema: u32) -> Result<(), WireError> {
    if schema == crate::SCHEMA { Ok(()) } else { Err(WireError::Schema(schema)) }
}

fn quality(of: &str, bits: u32) -> Result<Quality, WireError> {
    u16::try_from(bits).map(Quality::from_bits).map_err(|_too_wide| WireError::Quality { point: of.to_owned(), quality: bits })
}
