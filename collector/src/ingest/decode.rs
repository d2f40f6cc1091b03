//! What a message says, or why it cannot be believed.

use std::time::Duration;

use ids::Slug;
use jiff::Timestamp;
use store::{Batch, DeadLetter, Origin, ProfileSeen, Row, Words};
use units::{Quality, Reason, Severity};
use wire::{Channel, Envelope, Frame, GatewayPath, Message as _};

use super::{Refusal, json};

/// A message, read.
#[derive(Debug)]
pub(crate) enum Message {
    /// It is from a gateway; what of its content could not be understood is the letter of the batch. A frame is numbered,
    /// so that it can be acknowledged; a message in JSON need not be, and gets its number when it is committed.
    Batch { path: GatewayPath, batch: Box<Batch>, frame: Option<Box<Frame>>, numbered: bool },
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

const POINT_LENGTH_MAX: usize = 64;
/// Devices and points in one frame: with names of any length they fit into one entry of the store's log.
pub(super) const FRAME_ITEMS_MAX: usize = 65_536;

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
        let origin = Origin { tenant: path.tenant.clone(), facility: path.facility.clone(), gateway: path.gateway.clone() };
        let mut batch = Batch { origin, spool_id: [0; 16], seq: 0, rows: Vec::new(), profiles: Vec::new(), letter: None };
        if json::is_json(payload) {
            let latest = now.saturating_add(self.clock_ahead_max).unwrap_or(Timestamp::MAX);
            let (number, left_out) = match json::read(&path, payload, latest) {
                Ok(read) => {
                    batch.rows = read.rows;
                    (read.number, read.left_out)
                }
                Err(refused) => (None, Some(refused)),
            };
            (batch.spool_id, batch.seq) = number.map_or(([0; 16], 0), |(spool_id, seq)| (*spool_id.as_bytes(), seq));
            batch.letter = left_out.map(|(refusal, points)| letter(refusal, points));
            return Message::Batch { path, batch: Box::new(batch), frame: None, numbered: number.is_some() };
        }
        let envelope = Envelope::decode(payload).ok().and_then(|envelope| Some((envelope.validate().ok()?, envelope)));
        let Some((spool_id, envelope)) = envelope else {
            return Message::Letter(Box::new(letter(Refusal::Envelope, 1)));
        };
        (batch.spool_id, batch.seq) = (*spool_id.as_bytes(), envelope.seq);
        let frame = match self.read(&envelope, &mut batch, now) {
            Ok((frame, left_out)) => {
                batch.letter = left_out.map(|(refusal, points)| letter(refusal, points));
                Some(Box::new(frame))
            }
            Err((refusal, points)) => {
                batch.letter = Some(letter(refusal, points));
                None
            }
        };
        Message::Batch { path, batch: Box::new(batch), frame, numbered: true }
    }

    /// Fills the batch, and says what was left out of it. Or says why nothing of it counts, and how many points are lost.
    fn read(&self, envelope: &Envelope, batch: &mut Batch, now: Timestamp) -> Result<(Frame, Option<LeftOut>), LeftOut> {
        let frame = Frame::decode(envelope.frame.as_slice()).map_err(|_garbled| (Refusal::Frame, 1))?;
        let points = frame.devices.iter().map(|device| device.points.len()).sum();
        if frame.devices.len() + points > FRAME_ITEMS_MAX {
            return Err((Refusal::Size, points));
        }
        if frame.schema != wire::SCHEMA {
            return Err((Refusal::Schema, points));
        }
        let tick = Timestamp::from_millisecond(frame.tick_ms).map_err(|_outside| (Refusal::ClockWindow, points))?;
        if tick.duration_since(now).unsigned_abs() > self.clock_ahead_max && tick > now {
            return Err((Refusal::ClockWindow, points));
        }
        batch.rows.reserve(points);
        let mut left_out: Option<LeftOut> = None;
        let mut leave_out = |refusal: Refusal, points: usize| {
            let (first, before) = left_out.unwrap_or((refusal, 0));
            left_out = Some((first, before + points));
        };
        for device in &frame.devices {
            let Ok(slug) = Slug::parse(&device.device) else {
                leave_out(Refusal::Name, device.points.len());
                continue;
            };
            for point in &device.points {
                match row(&slug, point, &frame) {
                    Ok(row) => batch.rows.push(row),
                    Err(refusal) => leave_out(refusal, 1),
                }
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
        let left_out = left_out.filter(|(_, points)| *points > 0);
        Ok((frame, left_out))
    }
}

/// Why, and how many points.
type LeftOut = (Refusal, usize);

/// Whether a point may be called so.
pub(crate) fn is_point_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-' || byte == b'.';
    (1..=POINT_LENGTH_MAX).contains(&name.len()) && name.bytes().all(plain)
}

fn row(device: &Slug, point: &wire::PointReading, frame: &Frame) -> Result<Row, Refusal> {
    if !is_point_name(&point.point) {
        return Err(Refusal::Name);
    }
    let unknown = |_err| Refusal::Point;
    let quality = point.quality().map_err(unknown)?;
    if !matches!(point.words.len(), 0 | 2 | 4 | 6 | 8) {
        return Err(Refusal::Point);
    }
    Ok(Row {
        device: device.clone(),
        point: point.point.as_str().into(),
        unit: point.unit().map_err(unknown)?,
        exponent: point.exponent().map_err(unknown)?,
        ts_ms: frame.tick_ms,
        raw: point.raw,
        quality: if frame.clock_synced { quality } else { unsynced(quality) },
        words: Words::new(&point.words),
    })
}

/// A gateway whose clock is not known to be right cannot vouch for a time.
pub(super) fn unsynced(quality: Quality) -> Quality {
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
        assert_eq!(letter.payload.as_slice(), payload);
        (letter.reason.clone(), letter.points, matches!(message, Message::Batch { .. }))
    }

    #[test]
    fn a_good_message_becomes_rows() {
        let Message::Batch { path, batch, frame: Some(_), .. } = decode(TOPIC, &envelope(&frame())) else { panic!("refused") };
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
        let one = |code: &str| (code.to_owned(), 1, true);
        assert_eq!(changed(&|frame| frame.tick_ms = NOW_MS + 600_001), numbered("clock_window"));
        assert_eq!(changed(&|frame| frame.tick_ms = i64::MAX), numbered("clock_window"));
        assert_eq!(changed(&|frame| frame.schema = 99), numbered("schema"));
        assert_eq!(changed(&|frame| frame.devices[0].points[0].unit = 60_000), one("point"));
        assert_eq!(changed(&|frame| frame.devices[0].points[0].words = vec![1; 3]), one("point"));
        assert_eq!(changed(&|frame| frame.devices[0].device = "No Name".to_owned()), numbered("name"));
        assert_eq!(changed(&|frame| frame.devices[0].points[1].point = "E IMP".to_owned()), one("name"));
        assert_eq!(refusal("nw/1/acme/hall/gw-1/state", &envelope(&frame())), ("topic".to_owned(), 1, false));
        assert_eq!(refusal("other/topic", b""), ("topic".to_owned(), 1, false));
        assert_eq!(refusal(TOPIC, &vec![0; 5_000]), ("size".to_owned(), 1, false));
        assert_eq!(refusal(TOPIC, b"kw=1"), ("envelope".to_owned(), 1, false));
        assert_eq!(refusal(TOPIC, b"{\"kw\": 1}"), ("json".to_owned(), 1, true));
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
    fn what_cannot_be_used_of_a_frame_leaves_the_rest() {
        let mut frame = frame();
        frame.devices[0].points[0].exponent = 40;
        let message = decode(TOPIC, &envelope(&frame));
        assert_eq!(message.points(), 2);
        let Message::Batch { batch, frame: Some(_), .. } = message else { panic!("refused") };
        assert_eq!((batch.rows.len(), batch.profiles.len(), batch.letter.map(|letter| letter.points)), (1, 1, Some(1)));
    }

    #[test]
    fn every_reason_stands_in_the_document() {
        let document = include_str!("../../INGEST.md");
        let (_, of_messages) = document.split_once("Of messages:").unwrap();
        for refusal in Refusal::ALL {
            assert!(of_messages.contains(&format!("`{}`", refusal.code())), "INGEST.md says nothing of `{}`", refusal.code());
        }
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
            prop_assert!(framed || message.letter().is_some());
        }
    }
}
