//! Dead letters: what they are known by, and how one is read again after what was wrong has been put right.
//!
//! A letter is never removed: that it could not be read when it came stays true. What is read of it later is counted as
//! received once more, and a second replay finds duplicates only.

use std::collections::HashMap;

use ids::Slug;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use store::{Batch, CommitError, Committed, DeadLetter, Origin, Store};

use crate::config::Config;
use crate::ingest::{Checks, Decoder, Message, random_spool};
use crate::write::{self, Bucket, Precision, Request};

/// Letters that can be listed, the newest.
pub(crate) const LISTED_MAX: u32 = 1_000;
/// Of a payload, what a list shows.
const EXCERPT_CHARACTERS: usize = 80;

/// A letter, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) reason: String,
    pub(crate) topic: String,
    pub(crate) points: u64,
    pub(crate) bytes: usize,
    pub(crate) received: String,
    pub(crate) excerpt: String,
}

/// A letter, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    pub(crate) listed: Listed,
    /// When the payload is text.
    pub(crate) text: Option<String>,
    pub(crate) hex: String,
}

/// What became of a letter that was read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Replayed {
    pub(crate) id: String,
    pub(crate) accepted: u64,
    pub(crate) duplicate: u64,
    pub(crate) conflict: u64,
    /// Points that still cannot be used, by their reason.
    pub(crate) refused: std::collections::BTreeMap<String, u64>,
}

impl Listed {
    pub(crate) fn of(letter: &DeadLetter) -> Self {
        let text = String::from_utf8_lossy(&letter.payload);
        let excerpt = text.chars().take(EXCERPT_CHARACTERS).map(|character| if character.is_control() { '·' } else { character });
        Self {
            id: id(letter),
            reason: letter.reason.clone(),
            topic: letter.topic.clone(),
            points: letter.points,
            bytes: letter.payload.len(),
            received: Timestamp::from_millisecond(letter.received_ms).map(|at| at.to_string()).unwrap_or_default(),
            excerpt: excerpt.collect(),
        }
    }
}

impl Shown {
    pub(crate) fn of(letter: &DeadLetter) -> Self {
        let text = std::str::from_utf8(&letter.payload).ok().map(str::to_owned);
        Self { listed: Listed::of(letter), text, hex: wire::command::to_hex(&letter.payload) }
    }
}

/// Sixteen digits of the hash of everything it says.
pub(crate) fn id(letter: &DeadLetter) -> String {
    let mut hash = Sha256::new();
    for part in [letter.topic.as_bytes(), letter.reason.as_bytes(), &letter.payload, &letter.received_ms.to_be_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    wire::command::to_hex(digest.first_chunk::<8>().unwrap_or(&[0; 8]))
}

/// Reads a letter again, as the configuration of today has it, and stores what can be used. Blocks.
pub(crate) fn replay(store: &Store, config: &Config, letter: &DeadLetter, now: Timestamp) -> Result<Replayed, CommitError> {
    let mut replayed = Replayed { id: id(letter), ..Replayed::default() };
    let batch = if letter.topic.starts_with("/api/v2/write?") {
        lines(config, letter, now, &mut replayed)
    } else {
        message(config, letter, now, &mut replayed)
    };
    let Some(mut batch) = batch.filter(|batch| !batch.rows.is_empty()) else { return Ok(replayed) };
    Checks::default().mark(&batch.origin, &mut batch.rows);
    // Its own number is taken: by the letter.
    (batch.spool_id, batch.seq, batch.letter) = (random_spool(), 1, None);
    for Committed { accepted, duplicate, conflict } in store.commit(&[batch])? {
        replayed.accepted += accepted;
        replayed.duplicate += duplicate;
        replayed.conflict += conflict;
    }
    Ok(replayed)
}

fn message(config: &Config, letter: &DeadLetter, now: Timestamp, replayed: &mut Replayed) -> Option<Batch> {
    let decoder = Decoder { message_bytes_max: config.message_bytes_max, clock_ahead_max: config.clock_ahead_max };
    let message = decoder.decode(&letter.topic, &letter.payload, now);
    if let Some(left) = message.letter() {
        *replayed.refused.entry(left.reason.clone()).or_default() += left.points;
    }
    match message {
        Message::Batch { batch, .. } => Some(*batch),
        Message::Letter(_) => None,
    }
}

fn lines(config: &Config, letter: &DeadLetter, now: Timestamp, replayed: &mut Replayed) -> Option<Batch> {
    let (_, query) = letter.topic.split_once('?')?;
    let said: HashMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let slug = |key: &str| Slug::parse(said.get(key)?).ok();
    let bucket = Bucket { tenant: slug("org")?, facility: slug("bucket")? };
    let (gateway, precision) = (slug("gateway")?, Precision::parse(said.get("precision")?)?);
    let request = Request { bucket: &bucket, gateway: &gateway, precision, now };
    let (rows, refused) = write::read_again(config, &request, &letter.payload);
    for (reason, count) in refused {
        *replayed.refused.entry(reason.code().to_owned()).or_default() += count;
    }
    let origin = Origin { tenant: bucket.tenant.clone(), facility: bucket.facility.clone(), gateway: gateway.clone() };
    Some(Batch { origin, spool_id: [0; 16], seq: 0, rows, profiles: Vec::new(), letter: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Options;
    use units::Unit;

    fn letter(topic: &str, payload: &[u8]) -> DeadLetter {
        DeadLetter {
            topic: topic.to_owned(),
            reason: "unit".to_owned(),
            payload: payload.to_vec(),
            points: 2,
            received_ms: 1_700_000_000_000,
        }
    }

    fn setting() -> (tempfile::TempDir, Store, Config, Timestamp) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let config = Config::new(folder.path().to_owned(), "127.0.0.1:0".parse().unwrap(), ("127.0.0.1".to_owned(), 1));
        (folder, store, config, "2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn lines_are_taken_once_their_unit_is_known() {
        let (_folder, store, mut config, now) = setting();
        let kept = letter(
            "/api/v2/write?org=acme&bucket=hall&precision=s&gateway=http",
            b"kw,device=a value=1 1700000000\nkw,device=a value=x 1700000000\n",
        );
        let refused = replay(&store, &config, &kept, now).unwrap();
        assert_eq!((refused.accepted, refused.refused.get("unit")), (0, Some(&2)));
        let rule = crate::PointRule { unit: Some(Unit::Kilowatt), ..crate::PointRule::default() };
        config.write.names.points.insert(("kw".to_owned(), "value".to_owned()), rule);
        let taken = replay(&store, &config, &kept, now).unwrap();
        assert_eq!((taken.accepted, taken.duplicate, taken.refused.get("value")), (1, 0, Some(&1)));
        let again = replay(&store, &config, &kept, now).unwrap();
        assert_eq!((again.accepted, again.duplicate, again.conflict), (0, 1, 0));
    }

    #[test]
    fn a_message_from_the_future_is_taken_when_its_time_has_come() {
        let (_folder, store, config, now) = setting();
        let json = br#"{"schema":"negawatt.readings/1","gateway":"acme/hall/gw","time":"2026-01-01T01:00:00Z",
            "readings":[{"device":"main","point":"p","unit":"W","value":5}]}"#;
        let kept = letter("nw/1/acme/hall/gw/data", json);
        assert_eq!(replay(&store, &config, &kept, now).unwrap().refused.get("clock_window"), Some(&1));
        let later = now + jiff::SignedDuration::from_hours(2);
        assert_eq!(replay(&store, &config, &kept, later).unwrap().accepted, 1);
        assert_eq!(replay(&store, &config, &letter("else/where", b"x"), later).unwrap().refused.get("topic"), Some(&1));
    }

    #[test]
    fn a_letter_is_known_by_what_it_says() {
        let one = letter("a", b"b");
        assert_eq!(id(&one), id(&one.clone()));
        assert_ne!(id(&one), id(&letter("ab", b"")));
        let shown = Shown::of(&letter("a", b"\x00\xff"));
        assert_eq!((shown.text, shown.hex.as_str(), shown.listed.bytes), (None, "00ff", 2));
        insta::assert_json_snapshot!(Listed::of(&letter("a", b"b\nc")), @r#"
        {
          "id": "40e4cb2ed649f4e2",
          "reason": "unit",
          "topic": "a",
          "points": 2,
          "bytes": 3,
          "received": "2023-11-14T22:13:20Z",
          "excerpt": "b·c"
        }
        "#);
    }
}
