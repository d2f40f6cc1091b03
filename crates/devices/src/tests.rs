//! The laws of this crate, over every encoding and every built-in profile.

use proptest::prelude::*;
use units::{Measured, Unit};

use super::*;

fn point_of(encoding: Encoding, word_order: WordOrder) -> Point {
    Point {
        id: "x".to_owned(),
        label: None,
        table: Table::Input,
        address: 0,
        encoding,
        word_order,
        scale: Scale::ONE,
        exponent: 0,
        unit: Unit::Watt,
        invalid: Vec::new(),
        billing: false,
        scale_factor: None,
        byte_order: ByteOrder::HighFirst,
        bits: None,
        negated: false,
        group: Group::Fast,
        doubtful: false,
    }
}

fn any_point() -> impl Strategy<Value = Point> {
    let orders = (any::<bool>(), any::<bool>(), 0_u8..96, 1_u8..=32);
    (0..Encoding::ALL.len(), orders, 1_i64..=20, -4_i8..=0, 0_i8..=3, any::<bool>(), -4_i8..=4).prop_map(
        |(encoding, (high, swapped, first, count), mantissa, exponent, finer, factor, typical)| {
            let encoding = Encoding::ALL[encoding];
            let mut point = point_of(encoding, if high { WordOrder::HighFirst } else { WordOrder::LowFirst });
            point.byte_order = if swapped { ByteOrder::LowFirst } else { ByteOrder::HighFirst };
            if encoding.is_plain_integer() && u16::from(first) + u16::from(count) <= 16 * encoding.words() {
                point.bits = Some(BitField { first, count });
            }
            if encoding.is_date_time() {
                return point;
            }
            let mantissa = if mantissa % 10 == 0 { 1 } else { mantissa };
            point.negated = swapped && !high;
            point.scale = Scale { mantissa, exponent };
            point.exponent = exponent - finer;
            if factor && !encoding.is_float() {
                // Fine enough for every factor, so that nothing is rounded.
                point.scale_factor = Some(ScaleFactor { address: 9, typical });
                point.exponent = exponent + typical.min(0);
            }
            point
        },
    )
}

fn words_for(point: &Point, bits: u64) -> Vec<u16> {
    let mut words = encoding::split(bits, point.encoding.words(), point.word_order, point.byte_order);
    words.extend(point.scale_factor.map(|factor| i16::from(factor.typical).cast_unsigned()));
    words
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// What was decoded, encodes to words that decode to the same; integers even to the same words.
    #[test]
    fn encoding_inverts_decoding(point in any_point(), bits in any::<u64>(), shift in 0_u32..64) {
        let words = words_for(&point, bits >> shift);
        if let Ok(measured) = decode(&point, &words) {
            let again = encode(&point, measured).expect("a decoded value fits its own registers");
            prop_assert_eq!(decode(&point, &again), Ok(measured));
            // Floats have two zeros, dates have a weekday, and beside a bit field lie other bits.
            if !point.encoding.is_float() && !point.encoding.is_date_time() && point.bits.is_none() {
                prop_assert_eq!(again, words);
            }
        }
    }

    /// What the device says when it has no value is never taken for one, whatever else the registers could mean.
    #[test]
    fn a_marker_is_never_a_value(point in any_point(), marker in any::<u64>(), shift in 0_u32..64) {
        let mut point = point;
        let width = 16 * u32::from(point.encoding.words());
        let marker = (marker >> shift) & (u64::MAX >> (64 - width));
        point.invalid = vec![marker];
        let words = words_for(&point, marker);
        prop_assert_eq!(decode(&point, &words), Err(DecodeError::NotAvailable { point: point.id.clone() }));
        let not_there = absent(&point).expect("a marker is a way to say so");
        prop_assert_eq!(decode(&point, &not_there), Err(DecodeError::NotAvailable { point: point.id.clone() }));
        if let Ok(measured) = decode(&Point { invalid: Vec::new(), ..point.clone() }, &words) {
            // Nor does the way back ever write it.
            if let Ok(written) = encode(&point, measured) {
                prop_assert_ne!(written, words);
            }
        }
    }

    /// Moments of this century go into both kinds of date registers and back.
    #[test]
    fn moments_survive(seconds in 946_684_800_i64..4_102_444_800, iec in any::<bool>(), high in any::<bool>()) {
        let order = if high { WordOrder::HighFirst } else { WordOrder::LowFirst };
        let mut point = point_of(if iec { Encoding::DateTimeIec } else { Encoding::DateTimeBytes }, order);
        point.unit = Unit::Second;
        let measured = Measured { raw: seconds, exponent: 0, unit: Unit::Second };
        prop_assert_eq!(decode(&point, &encode(&point, measured).unwrap()), Ok(measured));
    }

    /// Ordinary readings, as a meter's display shows them, survive the way into a single-precision float and back.
    #[test]
    fn seven_digits_survive_a_float(raw in -999_999_i64..=999_999, exponent in -3_i8..=0, high in any::<bool>(), double in any::<bool>()) {
        let order = if high { WordOrder::HighFirst } else { WordOrder::LowFirst };
        let mut point = point_of(if double { Encoding::F64 } else { Encoding::F32 }, order);
        point.exponent = exponent;
        let measured = Measured { raw, exponent, unit: Unit::Watt };
        prop_assert_eq!(decode(&point, &encode(&point, measured).unwrap()), Ok(measured));
    }

    /// No words make the decoder panic, whatever the point.
    #[test]
    fn decoding_is_total(point in any_point(), words in proptest::collection::vec(any::<u16>(), 0..6)) {
        if words.len() != point.word_count() {
            let refused = matches!(decode(&point, &words), Err(DecodeError::Width { .. }));
            prop_assert!(refused);
        } else if let Ok(measured) = decode(&point, &words) {
            prop_assert_eq!(measured.exponent, point.exponent);
        }
    }
}

/// The devices that the first release promises, by their profile.
const PROMISED: [&str; 38] = [
    "abb-b21",
    "abb-b23",
    "accuenergy-acuvim2",
    "apogee-sq4xx",
    "carlo-gavazzi-em111",
    "carlo-gavazzi-em24-e1",
    "carlo-gavazzi-em24-rs485",
    "carlo-gavazzi-em340",
    "ccs-wattnode",
    "chint-dtsu666",
    "dfrobot-par",
    "eastron-sdm120",
    "eastron-sdm230",
    "eastron-sdm630",
    "eastron-sdm72d",
    "eastron-sdm72d-v2",
    "inepro-pro380",
    "janitza-b23",
    "janitza-umg-19000",
    "janitza-umg604-native",
    "jxct-par",
    "jxct-th",
    "lux-jxct",
    "orno-we504",
    "orno-we514",
    "orno-we516",
    "phoenix-eem",
    "pzem-016",
    "schneider-iem3000",
    "schneider-pm5xxx",
    "seeed-sensecap-s4",
    "senseair-s8",
    "siemens-7kt-pac1600",
    "siemens-pac2200",
    "siemens-pac3200",
    "socomec-countis-e2x",
    "wirenboard-msw",
    "xy-md02",
];

#[test]
fn all_promised_devices_are_there() {
    for id in PROMISED {
        assert!(find(id).is_some(), "{id} is missing in config/devices");
    }
    let distinct: std::collections::BTreeSet<&str> = PROMISED.into_iter().collect();
    assert_eq!(distinct.len(), 38);
    let further: Vec<&str> = builtin().iter().map(Profile::id).filter(|id| !distinct.contains(id)).collect();
    assert_eq!(further, FURTHER, "list a new device in FURTHER");
}

/// Devices beyond the promise.
const FURTHER: [&str; 3] = ["hardy-hi6200", "sunspec-meter-203", "wirenboard-mcm8"];

/// Meters whose counters are none to bill from, or that have no export counter, or whose billing counters have other names.
const BILLING: [(&str, &[&str]); 4] =
    [("ccs-wattnode", &["e_imp_nr", "e_exp_nr"]), ("orno-we504", &["e_imp"]), ("orno-we514", &["e_imp"]), ("pzem-016", &[])];

#[test]
fn every_profile_reproduces_its_vectors() {
    for profile in builtin() {
        profile.verify().unwrap_or_else(|err| panic!("{}: {err}", profile.id()));
        assert!(profile.vectors().len() >= profile.points().len().min(2), "{} needs vectors", profile.id());
        assert!(!profile.sources().is_empty());
        assert!(
            profile.confidence() == Confidence::High || !profile.warnings().is_empty(),
            "{} is doubtful and does not warn",
            profile.id()
        );
        let doubtful = profile.points().iter().any(|point| point.doubtful);
        assert!(!doubtful || !profile.warnings().is_empty(), "{} has doubtful points and does not warn", profile.id());
        if profile.kind() == Kind::PowerMeter {
            assert!(profile.vectors().iter().any(|vector| vector.point == "e_imp"), "{} needs a vector of e_imp", profile.id());
            let mut billing: Vec<&str> = profile.points().iter().filter(|point| point.billing).map(|point| point.id.as_str()).collect();
            billing.sort_by_key(|id| !id.starts_with("e_imp"));
            let expected = BILLING.iter().find(|(id, _)| *id == profile.id()).map_or(&["e_imp", "e_exp"][..], |(_, points)| points);
            assert_eq!(billing, expected, "{}", profile.id());
        }
    }
}

/// Where libraries contradict one another (the design notes list them), ours reads what the better source says.
#[test]
fn the_known_traps_are_avoided() {
    let point = |profile: &str, id: &str| find(profile).unwrap().point(id).unwrap().clone();
    assert_eq!((point("eastron-sdm230", "e_imp").unit, point("eastron-sdm230", "e_imp").scale), (Unit::KilowattHour, Scale::ONE));
    assert_eq!(
        (point("carlo-gavazzi-em24-rs485", "e_imp").address, point("carlo-gavazzi-em24-rs485", "e_imp_partial").billing),
        (62, false)
    );
    assert_eq!(point("siemens-pac2200", "f").address, 55);
    assert_eq!(point("carlo-gavazzi-em111", "i1").scale, Scale { mantissa: 1, exponent: -3 });
    assert_eq!(point("pzem-016", "e_imp").scale, Scale { mantissa: 1, exponent: -3 });
    assert_eq!((point("janitza-umg-19000", "e_imp").address, point("janitza-umg-19000", "e_exp").address), (19_068, 19_076));
    assert_eq!(point("schneider-pm5xxx", "p").scale, Scale { mantissa: 1, exponent: 3 });
    let order = |profile: &str| point(profile, "v1").word_order;
    let low_first = ["carlo-gavazzi-em111", "carlo-gavazzi-em24-e1", "carlo-gavazzi-em340", "ccs-wattnode", "phoenix-eem"];
    assert!(low_first.iter().all(|profile| order(profile) == WordOrder::LowFirst));
    assert!(find("carlo-gavazzi-em111").unwrap().keep_out().contains(&11));
    // The mirror image of one another.
    assert_eq!((point("xy-md02", "temperature").address, point("jxct-th", "temperature").address), (1, 1));
    assert_eq!((point("xy-md02", "humidity").address, point("jxct-th", "humidity").address), (2, 0));
}

#[test]
fn profiles_are_named_like_their_files_and_sorted() {
    let ids: Vec<&str> = builtin().iter().map(Profile::id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    assert_eq!(find("eastron-sdm630").map(Profile::manufacturer), Some("Eastron"));
    assert!(find("eastron_sdm630").is_none());
}

#[test]
fn a_sunspec_map_moves_with_its_base() {
    let usual = find("sunspec-meter-203").unwrap();
    let moved = usual.at_base(50_070).unwrap();
    assert_eq!(moved.point("f").unwrap().address, 50_086);
    assert_ne!(moved.hash(), usual.hash());
    assert_eq!(moved.at_base(40_070).unwrap().hash(), usual.hash());
    assert_eq!(Profile::parse(moved.text()).unwrap().hash(), moved.hash());
    assert!(usual.at_base(65_530).is_err());
}

#[test]
fn floats_that_are_no_numbers_are_refused() {
    let point = point_of(Encoding::F32, WordOrder::HighFirst);
    for bits in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(f32::to_bits) {
        let words = words_for(&point, u64::from(bits));
        assert_eq!(decode(&point, &words), Err(DecodeError::NotFinite { point: "x".to_owned() }));
    }
    let huge = words_for(&point, u64::from(1e30_f32.to_bits()));
    assert_eq!(decode(&point, &huge), Err(DecodeError::OutOfRange { point: "x".to_owned() }));
}

#[test]
fn halves_round_away_from_zero_by_their_exact_binary_value() {
    let point = point_of(Encoding::F64, WordOrder::HighFirst);
    // The largest double below one half: `(x * 1.0).round()` and `(x + 0.5).floor()` disagree about it.
    for (value, expected) in [(0.5, 1), (-0.5, -1), (0.499_999_999_999_999_94, 0), (2.5, 3), (-2.5, -3), (1e-300, 0)] {
        let words = words_for(&point, f64::to_bits(value));
        assert_eq!(decode(&point, &words).unwrap().raw, expected, "{value}");
    }
}

#[test]
fn encoding_refuses_what_would_read_as_absent_or_is_another_unit() {
    let profile = find("abb-b23").unwrap();
    let point = profile.point("f").unwrap();
    let measured = |raw, unit| Measured { raw, exponent: -2, unit };
    assert_eq!(encode(point, measured(65_535, Unit::Hertz)), Err(EncodeError::Reserved { point: "f".to_owned() }));
    assert_eq!(encode(point, measured(65_536, Unit::Hertz)), Err(EncodeError::OutOfRange { point: "f".to_owned() }));
    assert!(matches!(encode(point, measured(1, Unit::Watt)), Err(EncodeError::Unit { .. })));
    let nothing = absent(point).unwrap();
    assert_eq!(decode(point, &nothing), Err(DecodeError::NotAvailable { point: "f".to_owned() }));
}

#[test]
fn the_hash_ignores_remarks_and_sees_the_map() {
    let text = find("eastron-sdm120").unwrap().text();
    let hash = |text: &str| Profile::parse(text).unwrap().hash_hex();
    assert_eq!(hash(text), hash(&format!("# a remark\n{}", text.replace("Factory speed", "Usual speed"))));
    assert_ne!(hash(text), hash(&text.replace("address = 72,", "address = 172,")));
    assert_ne!(hash(text), hash(&text.replace("\"0.001\"", "\"0.0001\"")));
}

#[test]
fn all_faults_of_a_profile_come_at_once() {
    let text = r#"
        id = "Bad"
        manufacturer = "x"
        products = []
        kind = "sensor"
        source = []
        confidence = "low"
        table = "input"
        word_order = "high-first"
        read = { max_registers = 200 }
        point = [
          { id = "a", address = 0, type = "f32", unit = "V" },
          { id = "a", address = 65535, type = "u32", unit = "V" },
          { id = "b", address = 0, type = "u16", unit = "furlong" },
        ]
        vector = [{ point = "c", words = [0] }]
    "#;
    let Err(ProfileError::Faults { faults, .. }) = Profile::parse(text) else { panic!("must be refused") };
    assert_eq!(
        faults,
        [
            "point a: a float or a scale factor needs a resolution",
            "point a: named twice",
            "point a: beyond register 65535",
            "point b: unknown unit \"furlong\"",
            "vector c: no such point",
            "vector c: say either value or absent = true",
            "id: \"Bad\" is not lower-case letters, digits and dashes, at most 63 of them",
            "source: name where the register map comes from",
            "read.max_registers: 200 is not in 1 to 125",
        ]
    );
    assert!(matches!(Profile::parse("nonsense = 1"), Err(ProfileError::Syntax(_))));
}

#[test]
fn all_four_orders_of_a_float() {
    // 230.1 as a single-precision float is 0x4366199A (struct.pack(">f", 230.1) in Python).
    let orders = [
        (WordOrder::HighFirst, ByteOrder::HighFirst, [0x4366, 0x199A]),
        (WordOrder::LowFirst, ByteOrder::HighFirst, [0x199A, 0x4366]),
        (WordOrder::HighFirst, ByteOrder::LowFirst, [0x6643, 0x9A19]),
        (WordOrder::LowFirst, ByteOrder::LowFirst, [0x9A19, 0x6643]),
    ];
    for (word_order, byte_order, words) in orders {
        let point = Point { byte_order, exponent: -1, ..point_of(Encoding::F32, word_order) };
        assert_eq!(decode(&point, &words).unwrap().decimal_text(), "230.1", "{word_order:?} {byte_order:?}");
    }
}

#[test]
fn digits_and_dates_that_are_none_say_so() {
    let refused = |encoding, words: &[u16]| decode(&point_of(encoding, WordOrder::HighFirst), words);
    let is = |encoding: &'static str, bits| Err(DecodeError::Malformed { point: "x".to_owned(), encoding, bits });
    assert_eq!(refused(Encoding::Bcd32, &[0x1234, 0x567A]), is("bcd32", 0x1234_567A));
    assert_eq!(refused(Encoding::Mod10k32, &[10_000, 0]), is("mod10k32", 0x2710_0000));
    assert_eq!(refused(Encoding::DateTimeBytes, &[0x1A0D, 0x0101, 0]), is("datetime-bytes", 0x1A0D_0101_0000));
}

/// Registers of Eastron meters as sdm_modbus 0.7.0 has them, by a library that was written without us.
#[test]
fn sdm_modbus_reads_the_same_registers() {
    #[derive(serde::Deserialize)]
    struct Theirs {
        register: Vec<Register>,
    }
    #[derive(serde::Deserialize)]
    struct Register {
        profile: String,
        key: String,
        address: u16,
        unit: String,
    }
    let table: Theirs = toml::from_str(include_str!("../tests/eastron/registers.toml")).unwrap();
    let mut compared = 0;
    for theirs in &table.register {
        let ours = match theirs.key.as_str() {
            "voltage" | "l1_voltage" => "v1",
            "l2_voltage" => "v2",
            "l3_voltage" => "v3",
            "current" | "l1_current" => "i1",
            "l2_current" => "i2",
            "l3_current" => "i3",
            "l1_power_active" => "p1",
            "l2_power_active" => "p2",
            "l3_power_active" => "p3",
            "power_active" | "total_power_active" => "p",
            "power_apparent" | "total_power_apparent" => "s",
            "power_reactive" | "total_power_reactive" => "q",
            "power_factor" | "total_power_factor" => "pf",
            "frequency" => "f",
            "import_energy_active" => "e_imp",
            "export_energy_active" => "e_exp",
            "total_energy_active" => "e_sum",
            _ => continue,
        };
        let Some(point) = find(&theirs.profile).unwrap().point(ours) else { continue };
        let unit = if theirs.unit == "VAr" { "var" } else { theirs.unit.as_str() };
        let found = (point.address, point.encoding, point.table, point.word_order, point.unit.symbol());
        assert_eq!(found, (theirs.address, Encoding::F32, Table::Input, WordOrder::HighFirst, unit), "{} {ours}", theirs.profile);
        compared += 1;
    }
    assert!(compared >= 40, "only {compared} registers were compared");
}
