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
    }
}

fn any_point() -> impl Strategy<Value = Point> {
    (0..Encoding::ALL.len(), any::<bool>(), 1_i64..=20, -4_i8..=0, 0_i8..=3, any::<bool>(), -4_i8..=4).prop_map(
        |(encoding, high, mantissa, exponent, finer, factor, typical)| {
            let encoding = Encoding::ALL[encoding];
            let mut point = point_of(encoding, if high { WordOrder::HighFirst } else { WordOrder::LowFirst });
            let mantissa = if encoding.is_float() || mantissa % 10 == 0 { 1 } else { mantissa };
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
    let mut words = encoding::split(bits, point.encoding.words(), point.word_order);
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
            if !point.encoding.is_float() {
                prop_assert_eq!(again, words);
            }
        }
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

    #[test]
    fn plans_cover_every_point_within_the_limits(
        which in 0..builtin().len(),
        picks in proptest::collection::vec(any::<bool>(), 40),
        limit in 12_u16..=125,
        gap in 0_u16..60,
    ) {
        let profile = &builtin()[which];
        let chosen: Vec<&str> = profile.points().iter().zip(&picks).filter(|(_, pick)| **pick).map(|(point, _)| point.id.as_str()).collect();
        prop_assume!(!chosen.is_empty());
        let limit = limit.min(profile.max_registers());
        match plan(profile, &chosen, limit, gap) {
            Ok(plan) => check_plan(profile, &chosen, &plan, limit),
            Err(PlanError::TooWide { span, .. }) => prop_assert!(span > u32::from(limit)),
            // Only where the widest value leaves no room for two more lengths.
            Err(err) => prop_assert!(widest(profile) + 2 * u32::from(profile.align()) > u32::from(limit), "{err}"),
        }
    }
}

fn widest(profile: &Profile) -> u32 {
    profile.points().iter().map(|point| point.span().1 - point.span().0).max().unwrap_or(0)
}

/// Asserts everything a plan promises.
fn check_plan(profile: &Profile, chosen: &[&str], plan: &ReadPlan, limit: u16) {
    let mut covered: Vec<&str> = plan.blocks.iter().flat_map(|block| block.points.iter().map(|point| point.id.as_str())).collect();
    covered.sort_unstable();
    let mut wanted = chosen.to_vec();
    wanted.sort_unstable();
    assert_eq!(covered, wanted);
    for cycle in 0..2 {
        for block in plan.cycle(cycle) {
            assert!((1..=limit).contains(&block.count), "{block:?}");
            assert!(u32::from(block.address) + u32::from(block.count) <= 0x1_0000);
            let answer: Vec<u16> = (0..block.count).map(|offset| block.address + offset).collect();
            for point in &block.points {
                let words = block.words(point, &answer).expect("the block covers its points");
                assert_eq!(words.first(), Some(&point.address));
                assert_eq!(words.len(), point.word_count());
            }
            let range = block.address..=block.address + (block.count - 1);
            assert!(!profile.keep_out().iter().any(|out| range.contains(out)), "{block:?} runs over a forbidden register");
        }
    }
    let lengths = |cycle: u64| plan.cycle(cycle).iter().map(|block| block.count);
    let round: Vec<u16> = lengths(0).chain(lengths(1)).chain(lengths(2)).collect();
    assert!(round.windows(2).all(|pair| pair[0] != pair[1]), "neighbouring reads of {} share a length: {round:?}", profile.id());
}

#[test]
fn every_profile_reproduces_its_vectors() {
    assert!(builtin().len() >= 10);
    for profile in builtin() {
        profile.verify().unwrap_or_else(|err| panic!("{}: {err}", profile.id()));
        assert!(profile.vectors().len() >= 2, "{} needs vectors", profile.id());
        assert!(!profile.sources().is_empty());
        if profile.kind() == Kind::PowerMeter {
            assert!(profile.vectors().iter().any(|vector| vector.point == "e_imp"), "{} needs a vector of e_imp", profile.id());
            let billing: Vec<&str> = profile.points().iter().filter(|point| point.billing).map(|point| point.id.as_str()).collect();
            assert_eq!(billing.len(), 2, "{}: {billing:?}", profile.id());
            for point in ["e_imp", "e_exp"] {
                assert!(billing.contains(&point), "{} does not bill from {point}", profile.id());
            }
        }
    }
}

#[test]
fn every_profile_has_a_plan_by_its_own_limits() {
    for profile in builtin() {
        let all: Vec<&str> = profile.points().iter().map(|point| point.id.as_str()).collect();
        check_plan(profile, &all, &profile.plan(&[]).unwrap(), profile.max_registers());
    }
}

#[test]
fn profiles_are_named_like_their_files_and_sorted() {
    let ids: Vec<&str> = builtin().iter().map(Profile::id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    assert_eq!(find("eastron-sdm630").map(Profile::manufacturer), Some("Eastron"));
    assert!(find("eastron_sdm630").is_none());
}

#[test]
fn an_sdm630_takes_two_requests_for_the_essentials() {
    let plan = find("eastron-sdm630").unwrap().plan(&["v1", "v2", "v3", "i1", "i2", "i3", "p", "pf", "f", "e_imp", "e_exp"]).unwrap();
    let blocks: Vec<(u16, u16)> = plan.blocks.iter().map(|block| (block.address, block.count)).collect();
    assert_eq!(blocks, [(0, 12), (52, 24)]);
}

#[test]
fn a_single_block_alternates_between_two_lengths() {
    let plan = find("xy-md02").unwrap().plan(&[]).unwrap();
    let read = |cycle| (plan.cycle(cycle)[0].address, plan.cycle(cycle)[0].count);
    assert_eq!((read(0), read(1), read(2)), ((1, 2), (1, 3), (1, 2)));
}

#[test]
fn a_scale_factor_is_read_with_its_value() {
    let profile = find("sunspec-meter-203").unwrap();
    let plan = profile.plan(&["e_imp"]).unwrap();
    let [block] = plan.blocks.as_slice() else { panic!("one block expected") };
    assert_eq!((block.address, block.count), (40_116, 9));
    let mut answer = vec![0_u16; 9];
    (answer[1], answer[8]) = (1234, 2);
    let (_, words, measured) = block.decode(&answer).next().unwrap();
    assert_eq!(words, [0, 1234, 2]);
    assert_eq!(measured.unwrap().decimal_text(), "123400");
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
            "id: \"Bad\" is not lower-case letters, digits and dashes",
            "source: name where the register map comes from",
            "read.max_registers: 200 is not in 1 to 125",
        ]
    );
    assert!(matches!(Profile::parse("nonsense = 1"), Err(ProfileError::Syntax(_))));
}
