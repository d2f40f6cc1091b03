use devices::{Scale, Table};
use units::Unit;

use super::*;

fn point(encoding: Encoding, exponent: i8) -> Point {
    Point {
        id: "x".to_owned(),
        address: 100,
        encoding,
        scale: Scale { mantissa: 1, exponent },
        exponent: -1,
        ..devices::find("eastron-sdm630").unwrap().point("v1").unwrap().clone()
    }
}

/// The words of a number, laid out as some meter does.
fn words(raw: f64, encoding: Encoding, order: ByteOrder) -> Vec<u16> {
    let integer: i64 = format!("{raw:.0}").parse().unwrap();
    let bytes: Vec<u8> = match encoding {
        Encoding::F32 => format!("{raw}").parse::<f32>().unwrap().to_be_bytes().to_vec(),
        Encoding::F64 => raw.to_be_bytes().to_vec(),
        Encoding::I16 | Encoding::U16 => i16::try_from(integer).unwrap().to_be_bytes().to_vec(),
        Encoding::I64 | Encoding::U64 => integer.to_be_bytes().to_vec(),
        _ => i32::try_from(integer).unwrap().to_be_bytes().to_vec(),
    };
    let mut words: Vec<u16> = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    if order.turns_words() {
        words.reverse();
    }
    if order.turns_bytes() {
        words.iter_mut().for_each(|word| *word = word.swap_bytes());
    }
    words
}

/// Registers as a meter has them: the value where it truly is, and other quantities of the same kind around it.
fn window(raw: f64, encoding: Encoding, order: ByteOrder, offset: i32) -> Window {
    let first = 100 - REACH;
    let width = usize::from(encoding.words());
    let start = usize::try_from(i32::from(REACH) + offset).unwrap();
    let mut filled: Vec<u16> = Vec::new();
    let mut neighbours = [0.271, 7.93, 1.618, 31.4, 0.577, 5.11, 2.36, 9.07].into_iter().cycle();
    let lead = start % width;
    filled.extend(std::iter::repeat_n(0, lead));
    while filled.len() < 14 {
        let value = if filled.len() == start { raw } else { raw * neighbours.next().unwrap() / 3.7 };
        let value = if matches!(encoding, Encoding::I16 | Encoding::U16) { value.clamp(-32_000.0, 32_000.0) } else { value };
        filled.extend(words(value, encoding, order));
    }
    filled.truncate(14);
    Window { first, words: filled }
}

#[test]
fn two_hundred_wrong_maps_are_explained() {
    let displays = [(230.1, 1), (49.98, 2), (12.47, 2), (5_284.0, 0), (12_345.7, 1), (0.957, 3), (399.2, 1), (87.6, 1)];
    let layouts = [(Encoding::F32, 0_i8), (Encoding::I32, -1), (Encoding::I16, -1), (Encoding::I32, -3), (Encoding::I16, 0)];
    let (mut cases, mut right, mut missed) = (0_u32, 0_u32, Vec::new());
    for (shown, decimals) in displays {
        for (encoding, exponent) in layouts {
            let configured = point(encoding, exponent);
            let exact = shown / 10_f64.powi(i32::from(exponent));
            // A register that cannot hold the display's digits is no case.
            let fits = encoding != Encoding::I16 || exact.abs() < 32_000.0;
            let rounded = if encoding == Encoding::F32 { exact } else { exact.round() };
            if !fits || (rounded * 10_f64.powi(i32::from(exponent)) - shown).abs() > 0.5 * 10_f64.powi(-decimals) {
                continue;
            }
            let faults: Vec<(i32, ByteOrder, i32, bool)> = vec![
                (0, ByteOrder::Abcd, 0, false),
                (1, ByteOrder::Abcd, 0, false),
                (-1, ByteOrder::Abcd, 0, false),
                (0, ByteOrder::Cdab, 0, false),
                (0, ByteOrder::Badc, 0, false),
                (0, ByteOrder::Dcba, 0, false),
                (0, ByteOrder::Abcd, -1, false),
                (0, ByteOrder::Abcd, 1, false),
                (0, ByteOrder::Abcd, 3, false),
                (0, ByteOrder::Abcd, 0, true),
                (1, ByteOrder::Cdab, 0, false),
            ];
            for (offset, order, power, negated) in faults {
                if order.turns_words() && encoding.words() == 1 {
                    continue;
                }
                let raw = rounded / 10_f64.powi(power) * if negated { -1.0 } else { 1.0 };
                let holds = encoding == Encoding::F32 || (raw.fract().abs() < 1e-9 && (encoding != Encoding::I16 || raw.abs() < 32_000.0));
                if !holds {
                    continue;
                }
                let shown = rounded * 10_f64.powi(i32::from(exponent));
                let around = window(raw, encoding, order, offset);
                let own = around.words.get(usize::from(REACH)..usize::from(REACH + encoding.words())).unwrap();
                let by_chance =
                    number(own, encoding, ByteOrder::Abcd).is_some_and(|number| (number * scale_of(&configured) - shown).abs() < 1e-9);
                if by_chance && (offset, order, power, negated) != (0, ByteOrder::Abcd, 0, false) {
                    // Zeros around it make two faults undo one another: the profile reads what the display shows.
                    continue;
                }
                cases += 1;
                let ranked = explain_display(&around, &configured, shown, u32::try_from(decimals).unwrap());
                let best = ranked.first();
                let is_right = best.is_some_and(|best| {
                    let same_kind = best.encoding == encoding.name() || (best.encoding.starts_with('u') && raw > 0.0);
                    same_kind && (best.offset, best.order, best.power, best.negated) == (offset, order, power, negated)
                });
                right += u32::from(is_right);
                if !is_right {
                    missed.push(format!(
                        "{shown} as {encoding:?} {offset} {order:?} 10^{power} {negated}: {:?}",
                        best.map(|best| &best.says)
                    ));
                }
            }
        }
    }
    println!("{right} of {cases} right at rank 1");
    assert!(cases >= 200 && right * 100 >= cases * 95, "{right} of {cases}\n{}", missed.join("\n"));
}

#[test]
fn the_answer_is_in_plain_words() {
    let configured = Point { unit: Unit::Volt, table: Table::Input, ..point(Encoding::F32, 0) };
    let ranked = explain_display(&window(230.1, Encoding::F32, ByteOrder::Cdab, 1), &configured, 230.1, 1);
    assert_eq!(ranked[0].says, "address 101 instead of 100, byte order CDAB instead of ABCD");
    assert_eq!(explain_display(&Window { first: 97, words: vec![0; 14] }, &configured, 230.1, 1), []);
}

/// Voltages whose last bits are noise, and a number that is nowhere among them: who asks a thousand times is told at most a few times
/// that some twisted map explains it.
#[test]
fn a_number_that_is_not_there_is_hardly_ever_explained() {
    let mut seed = 1_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(seed >> 40).unwrap()) / f64::from(1_u32 << 24)
    };
    let configured = point(Encoding::F32, 0);
    let explained = (0..1_000).filter(|_| {
        let volts: Vec<u16> = (0..7).flat_map(|_| words(230.0 + noise(), Encoding::F32, ByteOrder::Abcd)).collect();
        !explain_display(&Window { first: 97, words: volts[1..].to_vec() }, &configured, 98_765.4, 1).is_empty()
    });
    let explained = explained.count();
    println!("{explained} of 1000 by chance");
    assert!(explained <= 5);
}
