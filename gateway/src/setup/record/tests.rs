use super::*;

pub(super) fn record() -> Record {
    let at: Timestamp = "2026-03-02T09:15:00Z".parse().unwrap();
    let point = |point: &str, words: &str, value: &str| RecordedPoint {
        point: point.to_owned(),
        words: words.to_owned(),
        value: Some(value.to_owned()),
    };
    Record {
        made_at: at,
        program: "negawatt-gateway 0.1.0".to_owned(),
        work_order: "WO-4711".to_owned(),
        technician: "T. Edison".to_owned(),
        gateway: "acme/north-hall/gw-1".to_owned(),
        device: "main-meter".to_owned(),
        url: "tcp://192.168.1.20:502".to_owned(),
        unit: 1,
        profile: "eastron-sdm630".to_owned(),
        profile_hash: "ab".repeat(32),
        config_hash: "cd".repeat(32),
        points: vec!["p".to_owned(), "e_imp".to_owned()],
        known: BTreeMap::from([("clamp i1".to_owned(), "42.5 A".to_owned())]),
        identity: Identity::default(),
        latency: None,
        findings: vec![
            Finding::green("map", "the supply looks right: v1 230.1 V, f 50.0 Hz"),
            Finding::red("current-direction", "the current transformer of L2 is turned round", "turn it round"),
        ],
        samples: vec![RecordedSample { at, points: vec![point("p", "45a52400", "5284.5"), point("e_imp", "4640e6b6", "12345.678")] }],
    }
}

fn key() -> SigningKey {
    let folder = tempfile::tempdir().unwrap();
    SigningKey::create(&folder.path().join("key.pem")).unwrap()
}

#[test]
fn what_was_signed_is_read_back() {
    let key = key();
    let bytes = record().sign(&key);
    let verified = Record::verify(&bytes).unwrap();
    assert_eq!(verified.record, record());
    assert_eq!(verified.key, hex::encode(key.public()));
    assert_eq!(verified.record.verdict(), State::Red);
    assert_eq!(record().sign(&key), bytes, "the same record gives the same bytes");
}

/// Where a byte lies: the innermost part that has a digest of its own.
fn place_of(text: &str, at: usize) -> Option<String> {
    let found = text.find("\"record\":{")? + "\"record\":".len();
    let end = text.find(",\"schema\":\"negawatt.comm")?;
    (found..end).contains(&at).then(|| text.get(found..at).unwrap_or_default().to_owned())
}

#[test]
fn every_flipped_byte_is_caught_and_named() {
    let bytes = record().sign(&key());
    let text = String::from_utf8(bytes.clone()).unwrap();
    let (mut named, mut vague) = (0, 0);
    for at in 0..bytes.len() {
        for bit in [0, 3, 6] {
            let mut forged = bytes.clone();
            forged[at] ^= 1 << bit;
            let forgery = Record::verify(&forged).expect_err("a flipped bit must not pass");
            match &forgery {
                // A key that sorts elsewhere is noticed where it should have been.
                Forgery::Syntax { at: said, .. } | Forgery::Form { at: said } => vague += usize::from(said.abs_diff(at) > 2),
                Forgery::Changed { .. } | Forgery::Shape { .. } => named += 1,
                Forgery::Signature => assert!(place_of(&text, at).is_none(), "byte {at} of the record was blamed on the signature"),
            }
        }
    }
    assert!(named > bytes.len() && vague * 20 < 3 * bytes.len(), "{named} named their part and {vague} not, of {} flips", 3 * bytes.len());
    let changed = |from: &str, to: &str| Record::verify(text.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
    assert_eq!(changed("turned round", "turned right"), "/record/findings/1 was changed after it was signed");
    assert_eq!(changed("4640e6b6", "4640e6b7"), "/record/samples/0 was changed after it was signed");
    assert_eq!(changed("T. Edison", "N. Tesla!"), "/record/technician was changed after it was signed");
    assert_eq!(changed("{\"digests\"", "{ \"digests\""), "byte 1 is not as it was written");
}

#[test]
fn another_key_does_not_pass_for_the_first() {
    let (one, other) = (key(), key());
    let text = String::from_utf8(record().sign(&one)).unwrap();
    let forged = text.replace(&hex::encode(one.public()), &hex::encode(other.public()));
    assert!(matches!(Record::verify(forged.as_bytes()), Err(Forgery::Signature)));
    let dropped = text.replacen("{\"check\":\"map\"", "{\"check\":\"mop\"", 1);
    assert!(matches!(Record::verify(dropped.as_bytes()), Err(Forgery::Changed { place }) if place == "/findings/0"));
}

#[test]
fn a_record_reads_like_a_protocol() {
    insta::assert_snapshot!(record().text());
}
