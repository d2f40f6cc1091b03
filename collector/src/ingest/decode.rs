//! What a message says, or why it cannot be believed.

use std::time::Duration;

use ids::Slug;
use jiff::Timestamp;
use store::{Batch, DeadLetter, Origin, ProfileSeen, Row, Words};
use units::{Quality, Reason, Severity};
use wire::{Channel, Envelope, Frame, GatewayPath, Message as _};

/// A message, read.
#[derive(Debug)]
pub(crate) enum Message {
    /// It is from a gateway that knows its number; when its content could not be understood, the batch is a letter.
    Batch { path: GatewayPath, batch: Box<Batch>, frame: Option<Box<Frame>> },
    /// It cannot even be acknowledged, because it does not say what it is.
    Letter(Box<DeadLetter>),
}

impl Message {
    /// Points it offers.
    pub(crate) fn points(&self) -> u64 {
        match self {
            Self::Batch { batch, .. } => batch.rows.len() as u64 + batch.letter.as_ref().map_or(0, |letter| letter.points),
            Self::Letter(letter) => letter.points,
        }
    }

    pub(crate) fn letter(&self) -> Option<&DeadLetter> {
        match self {
            Self::Batch { batch, .. } => batch.letter.as_ref(),
            Self::Letter(letter) => Some(letter),
        }
    }
}

/// Why a message is a dead letter. The code is part of the interface: operators search for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Topic,
    Size,
    Envelope,
    Frame,
    Point,
    Name,
    ClockWindow,
}

impl Refusal {
    const fn code(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Size => "size",
            Self::Envelope => "envelope",
            Self::Frame => "frame",
            Self::Point => "point",
            Self::Name => "name",
            Self::ClockWindow => "clock_window",
        }
    }
}

const POINT_LENGTH_MAX: usize = 64;
/// Devices and points in one frame: with names of any length they fit into one entry of the store's log.
const FRAME_ITEMS_MAX: usize = 65_536;

/// Reads messages.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    pub(crate) message_bytes_max: usize,
    pub(crate) clock_ahead_max: Duration,
}

impl Decoder {
    /// Reads a message that arrived `now`.
    pub(crate) fn decode(&self, topic: &str, payload: &[u8], now: Timestamp) -> Message {
        let letter = |refusal: Refusal, points: usize| DeadLetter {
            topic: topic.to_owned(),
            reason: refusal.code().to_owned(),
            payload: payload.to_vec(),
            points: u64::try_from(points.max(1)).unwrap_or(u64::MAX),
            received_ms: now.as_millisecond(),
        };
        let Ok((path, Channel::Data)) = wire::topic::parse(topic) else {
            return Message::Letter(Box::new(letter(Refusal::Topic, 1)));
        };
        if payload.len() > self.message_bytes_max {
            return Message::Letter(Box::new(letter(Refusal::Size, 1)));
        }
        let envelope = Envelope::decode(payload).ok().and_then(|envelope| Some((envelope.validate().ok()?, envelope)));
        let Some((spool_id, envelope)) = envelope else {
            return Message::Letter(Box::new(letter(Refusal::Envelope, 1)));
        };
        let origin = Origin { tenant: path.tenant.clone(), facility: path.facility.clone(), gateway: path.gateway.clone() };
        let mut batch =
            Batch { origin, spool_id: *spool_id.as_bytes(), seq: envelope.seq, rows: Vec::new(), profiles: Vec::new(), letter: None };
        let frame = match self.read(&envelope, &mut batch, now) {
            Ok(frame) => Some(Box::new(frame)),
            Err((refusal, points)) => {
                batch.rows.clear();
                batch.profiles.clear();
                batch.letter = Some(letter(refusal, points));
                None
            }
        };
        Message::Batch { path, batch: Box::new(batch), frame }
    }

    /// Fills the batch, or says why not and how many points are lost.
    fn read(&self, envelope: &Envelope, batch: &mut Batch, now: Timestamp) -> Result<Frame, (Refusal, usize)> {
        let frame = Frame::decode(envelope.frame.as_slice()).map_err(|_garbled| (Refusal::Frame, 1))?;
        let points = frame.devices.iter().map(|device| device.points.len()).sum();
        if frame.devices.len() + points > FRAME_ITEMS_MAX {
            return Err((Refusal::Size, points));
        }
        frame.validate().map_err(|_unknown| (Refusal::Point, points))?;
        let tick = Timestamp::from_millisecond(frame.tick_ms).map_err(|_outside| (Refusal::ClockWindow, points))?;
        if tick.duration_since(now).unsigned_abs() > self.clock_ahead_max && tick > now {
            return Err((Refusal::ClockWindow, points));
        }
        batch.rows.reserve(points);
        for device in &frame.devices {
            let slug = Slug::parse(&device.device).map_err(|_name| (Refusal::Name, points))?;
            for point in &device.points {
                batch.rows.push(row(&slug, point, &frame).ok_or((Refusal::Name, points))?);
            }
            if !device.profile_hash.is_empty() {
                batch.profiles.push(ProfileSeen {
                    device: slug,
                    profile: device.profile.clone(),
                    profile_hash: device.profile_hash.clone(),
                    config_hash: frame.config_hash.clone(),
                });
            }
        }
        Ok(frame)
    }
}

/// Whether a point may be called so.
pub(crate) fn is_point_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-' || byte == b'.';
    (1..=POINT_LENGTH_MAX).contains(&name.len()) && name.bytes().all(plain)
}

fn row(device: &Slug, point: &wire::PointReading, frame: &Frame) -> Option<Row> {
    if !is_point_name(&point.point) {
        return None;
    }
    let quality = point.quality().ok()?;
    Some(Row {
        device: device.clone(),
        point: point.point.clone(),
        unit: point.unit().ok()?,
        exponent: point.exponent().ok()?,
        ts_ms: frame.tick_ms,
        raw: point.raw,
        quality: if frame.clock_synced { quality } else { unsynced(quality) },
        words: Words::new(&point.words),
    })
}

/// A gateway whose clock is not known to be right cannot vouch for a time.
fn unsynced(quality: Quality) -> Quality {
    match quality.severity() {
        Severity::Good => Quality::from_bits(quality.bits() | Quality::uncertain(Reason::ClockUnsynced).bits()),
        _ => quality.with(Reason::ClockUnsynced),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wire::{DeviceReading, PointReading};

    const DECODER: Decoder = Decoder { message_bytes_max: 4_096, clock_ahead_max: Duration::from_secs(600) };
    const TOPIC: &str = "nw/1/acme/hall/gw-1/data";
    const NOW_MS: i64 = 1_750_000_000_000;

    fn frame() -> Frame {
        let point = PointReading { point: "e_imp".to_owned(), raw: Some(12), exponent: -2, unit: 8, quality: 0, words: vec![0, 12] };
        let device = DeviceReading {
            device: "main".to_owned(),
            profile: "x".to_owned(),
            profile_hash: vec![1],
            points: vec![point.clone(), point],
            ..DeviceReading::default()
        };
        Frame { schema: wire::SCHEMA, tick_ms: NOW_MS, clock_synced: true, devices: vec![device], ..Frame::default() }
    }

    fn envelope(frame: &Frame) -> Vec<u8> {
        Envelope { schema: wire::SCHEMA, spool_id: vec![7; 16], seq: 3, frame: frame.encode_to_vec() }.encode_to_vec()
    }

    fn decode(topic: &str, payload: &[u8]) -> Message {
        DECODER.decode(topic, payload, Timestamp::from_millisecond(NOW_MS).unwrap())
    }

    fn refusal(topic: &str, payload: &[u8]) -> (String, u64, bool) {
        let message = decode(topic, payload);
        let letter = message.letter().expect("a dead letter");
        assert_eq!((letter.payload.as_slice(), letter.points), (payload, message.points()));
        (letter.reason.clone(), letter.points, matches!(message, Message::Batch { .. }))
    }

    #[test]
    fn a_good_message_becomes_rows() {
        let Message::Batch { path, batch, frame: Some(_) } = decode(TOPIC, &envelope(&frame())) else { panic!("refused") };
        assert_eq!(path.to_string(), "acme/hall/gw-1");
        assert_eq!((batch.seq, batch.rows.len(), batch.profiles.len()), (3, 2, 1));
        assert_eq!((batch.rows[0].raw, batch.rows[0].quality, batch.rows[0].ts_ms), (Some(12), Quality::GOOD, NOW_MS));
        assert_eq!(batch.rows[0].words.unwrap().as_slice(), [0, 12]);
    }

    #[test]
    fn each_fault_has_its_code_and_is_numbered_when_the_envelope_is_readable() {
        let changed = |change: &dyn Fn(&mut Frame)| {
            let mut frame = frame();
            change(&mut frame);
            refusal(TOPIC, &envelope(&frame))
        };
        let numbered = |code: &str| (code.to_owned(), 2, true);
        assert_eq!(changed(&|frame| frame.tick_ms = NOW_MS + 600_001), numbered("clock_window"));
        assert_eq!(changed(&|frame| frame.tick_ms = i64::MAX), numbered("clock_window"));
        assert_eq!(changed(&|frame| frame.schema = 99), numbered("point"));
        assert_eq!(changed(&|frame| frame.devices[0].points[0].unit = 60_000), numbered("point"));
        assert_eq!(changed(&|frame| frame.devices[0].device = "No Name".to_owned()), numbered("name"));
        assert_eq!(changed(&|frame| frame.devices[0].points[1].point = "E IMP".to_owned()), numbered("name"));
        assert_eq!(refusal("nw/1/acme/hall/gw-1/state", &envelope(&frame())), ("topic".to_owned(), 1, false));
        assert_eq!(refusal("other/topic", b""), ("topic".to_owned(), 1, false));
        assert_eq!(refusal(TOPIC, &vec![0; 5_000]), ("size".to_owned(), 1, false));
        assert_eq!(refusal(TOPIC, b"{\"kw\": 1}"), ("envelope".to_owned(), 1, false));
        let many = Frame { devices: vec![DeviceReading::default(); FRAME_ITEMS_MAX + 1], ..frame() };
        let decoder = Decoder { message_bytes_max: 16 << 20, ..DECODER };
        let Message::Batch { batch, .. } = decoder.decode(TOPIC, &envelope(&many), Timestamp::from_millisecond(NOW_MS).unwrap()) else {
            panic!("not numbered")
        };
        assert_eq!(batch.letter.map(|letter| letter.reason), Some("size".to_owned()), "no commit could hold it");
        let garbled = Envelope { schema: wire::SCHEMA, spool_id: vec![7; 16], seq: 3, frame: vec![0xff; 9] }.encode_to_vec();
        assert_eq!(refusal(TOPIC, &garbled), ("frame".to_owned(), 1, true));
    }

    #[test]
    fn any_age_is_taken_and_a_clock_that_is_not_synced_is_said() {
        let old = Frame { tick_ms: 0, clock_synced: false, ..frame() };
        let Message::Batch { batch, .. } = decode(TOPIC, &envelope(&old)) else { panic!("refused") };
        assert_eq!(batch.rows[0].quality.to_string(), "uncertain:clock_unsynced");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_counted_and_never_panics(topic in "[a-z/1+#]{0,30}", payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let points = decode(&topic, &payload).points();
            prop_assert!(points >= 1);
            let message = decode(TOPIC, &payload);
            let framed = matches!(message, Message::Batch { frame: Some(_), .. });
            prop_assert_eq!(framed, message.letter().is_none());
        }
    }
}
