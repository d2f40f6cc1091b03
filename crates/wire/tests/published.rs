//! The published description and the golden bytes against our own types.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic here is the test failing")]

use wire::{Ack, DeviceReading, Envelope, Frame, FrameTime, Lost, Message, PointReading, SeqRange, WireError};

use negawatt_wire as wire;

fn frame() -> Frame {
    Frame {
        schema: 1,
        boot_id: 0x0102_0304_0506_0708,
        config_hash: vec![0xcc; 32],
        tick_ms: 1_483_250_460_000,
        clock_synced: true,
        devices: vec![
            DeviceReading {
                device: "main-meter".to_owned(),
                profile: "eastron-sdm630".to_owned(),
                profile_hash: vec![0xab; 32],
                requested_ms: 1_483_250_460_002,
                duration_us: 1_234,
                attempts: 1,
                quality: 0,
                points: vec![
                    PointReading { point: "v1".to_owned(), raw: Some(2_301), exponent: -1, unit: 1, quality: 0, words: vec![] },
                    PointReading {
                        point: "e_imp".to_owned(),
                        raw: Some(1_234_567),
                        exponent: -3,
                        unit: 8,
                        quality: 0,
                        words: vec![0x44, 0x9a, 0x52, 0x2b],
                    },
                ],
            },
            DeviceReading {
                device: "hall-sensor".to_owned(),
                profile: "xy-md02".to_owned(),
                profile_hash: vec![0xef; 32],
                requested_ms: 1_483_250_460_002,
                duration_us: 500_000,
                attempts: 2,
                quality: 0xa040,
                points: vec![PointReading { point: "temp".to_owned(), raw: None, exponent: -1, unit: 13, quality: 0xa040, words: vec![] }],
            },
        ],
        monotonic_ms: 0,
        left_out: 0,
        lost: 0,
    }
}

/// As a gateway writes it since it tells the time that nobody sets.
fn envelope_1_1() -> Envelope {
    let frame = Frame { monotonic_ms: 61_234, left_out: 3, lost: Lost::Damaged.code(), ..frame() };
    Envelope { frame: frame.encode_to_vec(), ..envelope() }
}

fn envelope() -> Envelope {
    Envelope { schema: 1, spool_id: (0..16).collect(), seq: 42, frame: frame().encode_to_vec() }
}

fn ack() -> Ack {
    Ack { schema: 1, spool_id: (0..16).collect(), contiguous_seq: 40, holes: vec![SeqRange { first: 41, last: 41 }] }
}

fn golden(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/golden/wire/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{path}: {err}"));
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_bytes_of_version_1_are_still_written_and_read() {
    assert_eq!(hex(&envelope().encode_to_vec()), hex(&golden("envelope-v1.hex")));
    assert_eq!(hex(&ack().encode_to_vec()), hex(&golden("ack-v1.hex")));
    assert_eq!(Envelope::decode(golden("envelope-v1.hex").as_slice()).unwrap(), envelope());
    assert_eq!(Frame::decode(envelope().frame.as_slice()).unwrap(), frame());
    assert_eq!(Ack::decode(golden("ack-v1.hex").as_slice()).unwrap(), ack());
}

#[test]
fn golden_bytes_of_version_1_1_are_still_written_and_read() {
    let bytes = golden("envelope-v1.1.hex");
    assert_eq!(hex(&envelope_1_1().encode_to_vec()), hex(&bytes));
    let read = Envelope::decode(bytes.as_slice()).unwrap();
    assert_eq!(read, envelope_1_1());
    let frame = Frame::decode(read.frame.as_slice()).unwrap();
    assert_eq!((frame.monotonic_ms, frame.left_out, frame.lost, frame.validate()), (61_234, 3, 2, Ok(())));
    let time = FrameTime::decode(read.frame.as_slice()).unwrap();
    let known = (frame.boot_id, frame.tick_ms, frame.clock_synced, frame.monotonic_ms);
    assert_eq!((time.boot_id, time.tick_ms, time.clock_synced, time.monotonic_ms), known);
}

/// `message.field` → `kind = tag` of every field in a description or in our sources, written alike.
fn fields(message: &mut String, line: &str) -> Option<(String, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["message", name, ..] => {
            (*name).clone_into(message);
            None
        }
        [.., name, "=", tag] if tag.ends_with(';') => {
            let kind = words[..words.len() - 3].join(" ");
            Some((format!("{message}.{name}"), format!("{kind} = {}", tag.trim_end_matches(';'))))
        }
        _ => None,
    }
}

#[test]
fn the_published_description_is_what_we_write() {
    let mut message = String::new();
    let published: std::collections::BTreeMap<_, _> = include_str!("../proto/negawatt.proto")
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .filter(|line| !line.starts_with("syntax"))
        .filter_map(|line| fields(&mut message, line))
        .collect();

    let mut ours = std::collections::BTreeMap::new();
    let mut attribute = String::new();
    for line in concat!(include_str!("../src/frame.rs"), include_str!("../src/ack.rs")).lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("pub struct ") {
            message = name.trim_end_matches(" {").to_owned();
        } else if message == "FrameTime" {
            // A part of Frame, read only; a test compares it.
        } else if let Some(inner) = line.strip_prefix("#[prost(") {
            inner.trim_end_matches(")]").clone_into(&mut attribute);
        } else if let Some(field) = line.strip_prefix("pub ").filter(|_| !attribute.is_empty()) {
            let (name, rust) = field.trim_end_matches(',').split_once(": ").unwrap();
            let tag = attribute.split("tag = \"").nth(1).unwrap().trim_end_matches('"');
            let scalar = attribute.split([' ', ',']).next().unwrap();
            let kind = match scalar {
                "message" => format!("repeated {}", rust.trim_start_matches("Vec<").trim_end_matches('>')),
                scalar if attribute.contains("optional") => format!("optional {scalar}"),
                scalar => scalar.to_owned(),
            };
            ours.insert(format!("{message}.{name}"), format!("{kind} = {tag}"));
            attribute.clear();
        }
    }
    assert_eq!(published, ours);
    assert_eq!(ours.len(), 33, "a field was added: extend the published description and the golden bytes");
}

#[test]
fn a_foreign_message_is_refused_by_name() {
    assert_eq!(Envelope { schema: 2, ..envelope() }.validate(), Err(WireError::Schema(2)));
    assert_eq!(Envelope { spool_id: vec![1], ..envelope() }.validate(), Err(WireError::SpoolId(1)));
    assert_eq!(Envelope { seq: 0, ..envelope() }.validate(), Err(WireError::Seq));
    let with = |change: fn(&mut PointReading)| {
        let mut frame = frame();
        change(&mut frame.devices[0].points[0]);
        frame.validate().unwrap_err().to_string()
    };
    assert_eq!(with(|point| point.unit = 70_000), "point `v1`: unit code 70000 is not known here");
    assert_eq!(with(|point| point.exponent = 19), "point `v1`: exponent 19 is not between -18 and 18");
    assert_eq!(with(|point| point.quality = 1 << 16), "point `v1`: quality 0x10000 has more than 16 bits");
    assert_eq!(with(|point| point.words = vec![1]), "point `v1`: 1 bytes of registers, allowed are 0, 2, 4, 6 or 8");
    assert_eq!(frame().validate(), Ok(()));
}

#[test]
fn a_command_made_by_another_program_is_read_and_written_alike() {
    // Written by Python's json and signed by OpenSSL, from what MESSAGES.md says.
    let path = format!("{}/../../tests/golden/wire/command-v1.json", env!("CARGO_MANIFEST_DIR"));
    let golden = std::fs::read_to_string(path).unwrap();
    let read = wire::Command::read(golden.as_bytes()).unwrap();
    assert_eq!((read.command.verb.as_str(), read.command.args["why"].as_str()), ("replay", Some("Prüfung \"A\"\n\u{1f}")));
    assert_eq!(read.command.message(&read.signature).unwrap(), golden);
    assert_eq!(read.signed, read.command.signed_bytes().unwrap());
}
