use std::collections::BTreeMap;

use jiff::civil::date;
use money::{Currency, Money};
use proptest::prelude::*;
use rust_decimal::Decimal;
use settlement::{Contract, LineKind, PriceTerms};
use units::{Quality, Reason};

use crate::canonical::{canonical_json, sha256_hex};
use crate::error::{BundleError, DeriveError};
use crate::{Bundle, Inputs, archive, bundle, derive, encode, fit_baseline, fixture, verify};

#[cfg(feature = "audit")]
mod audit;

fn bundle() -> Vec<u8> {
    let inputs = fixture::inputs(3, 60);
    encode(&inputs, &derive(&inputs).unwrap()).unwrap()
}

fn with_terms(inputs: &mut Inputs, change: impl FnOnce(&mut settlement::Terms)) {
    let mut terms = inputs.contract.terms().clone();
    change(&mut terms);
    inputs.contract = Contract::new(terms).unwrap();
}

#[test]
fn an_invoice_follows_from_its_rows() {
    let derived = derive(&fixture::inputs(31, 60)).unwrap();
    assert_eq!(derived.avoided.days_compared, 31);
    // A fifth was saved, by construction.
    let saved = derived.avoided.avoided_wh * 1_000 / derived.avoided.counterfactual_wh;
    assert!((190..=210).contains(&saved), "{saved} per mille");
    let invoice = &derived.invoice;
    let sum = |amounts: Vec<Money>| Money::sum(Currency::Usd, amounts).unwrap();
    assert_eq!(sum(invoice.lines().iter().map(|line| line.amount).collect()), invoice.total());
    assert_eq!(sum(invoice.parts().iter().map(|part| part.amount).collect()), invoice.total());
    assert_eq!(derived.issue.as_ref().unwrap().postings().len(), 6);
    assert_eq!(invoice.issued_on(), date(2026, 2, 1));
    assert!(derived.statement.inputs().contains_key("rows/meters/main.e_imp.csv"));
}

#[test]
fn equal_inputs_give_equal_bytes() {
    assert_eq!(sha256_hex(&bundle()), sha256_hex(&bundle()));
}

#[test]
fn a_tariff_with_hours_prices_each_hour_and_loses_nothing() {
    let mut inputs = fixture::inputs(31, 60);
    with_terms(&mut inputs, |terms| terms.price = PriceTerms::Tariff { name: "tou-1".to_owned() });
    assert!(matches!(derive(&inputs), Err(DeriveError::TariffName { .. })));
    inputs.tariff = Some(fixture::flat("tou-1", "EUR"));
    assert!(matches!(derive(&inputs), Err(DeriveError::Currency { .. })));
    inputs.tariff = Some(fixture::time_of_use());
    let derived = derive(&inputs).unwrap();
    let lines: Vec<_> = derived.invoice.lines().iter().filter(|line| line.kind == LineKind::Savings).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines.iter().filter_map(|line| line.energy_wh).sum::<i64>(), derived.avoided.avoided_wh);
    // Use is even over a day: five hours of 24 on 22 working days of 31.
    let peak = lines[0].energy_wh.unwrap() * 1_000 / derived.avoided.avoided_wh;
    assert!((130..=165).contains(&peak), "{peak} per mille at peak");
}

#[test]
fn a_month_that_used_more_has_an_invoice_of_nothing_and_no_posting() {
    let mut inputs = fixture::inputs(31, 60);
    inputs.issue.carried_in = Money::new(-10_000_000, Currency::Usd);
    let derived = derive(&inputs).unwrap();
    assert_eq!((derived.invoice.total().minor, derived.issue), (0, None));
    assert_eq!(derived.statement.carried_out().minor, derived.statement.value().minor - 10_000_000);
}

#[test]
fn inputs_that_do_not_belong_together_are_refused() {
    let inputs = fixture::inputs(31, 60);
    let mut other = inputs.clone();
    other.facility.id = ids::FacilityId::from_parts(9, [9; 10]);
    assert!(matches!(derive(&other), Err(DeriveError::Facility { .. })));
    let mut other = inputs.clone();
    other.baseline.id = ids::BaselineId::from_parts(9, [9; 10]);
    assert!(matches!(derive(&other), Err(DeriveError::Baseline { .. })));
    let mut other = inputs.clone();
    other.reporting.meters.push(other.reporting.meters[0].clone());
    assert!(matches!(derive(&other), Err(DeriveError::Repeated { .. })));
    let mut other = inputs.clone();
    other.facility.zone = "Mars/Olympus".to_owned();
    assert!(matches!(derive(&other), Err(DeriveError::Zone { .. })));
    let mut other = inputs;
    other.reporting.meters[0].rows.truncate(400);
    assert!(matches!(derive(&other), Err(DeriveError::NotBillable { total: 31, .. })));
}

#[test]
fn a_day_that_one_meter_lacks_is_missing_and_a_bad_value_is_none() {
    let inputs = fixture::inputs(3, 60);
    let fit = |change: &dyn Fn(&mut Inputs)| {
        let mut changed = inputs.clone();
        change(&mut changed);
        fit_baseline(&changed.facility, &changed.baseline, &changed.weather).unwrap()
    };
    let whole = fit(&|_| {});
    assert_eq!(whole.days.len(), 365, "the day of 25 hours is one of them");
    let sum = fit(&|inputs| {
        let mut second = inputs.baseline.energy[0].clone();
        second.device = ids::Slug::parse("second").unwrap();
        second.rows[10].raw = None;
        inputs.baseline.energy.push(second);
    });
    assert_eq!(sum.days.len(), 364);
    assert!(sum.days.iter().all(|day| day.date != whole.days[10].date));
    assert_eq!(sum.days[0].use_wh.to_bits(), (2.0 * whole.days[0].use_wh).to_bits());
    let bad = Quality::bad(Reason::OutOfRange);
    let energy = fit(&|inputs| inputs.baseline.energy[0].rows[10].quality = bad);
    let weather = fit(&|inputs| inputs.weather.rows[130..143].iter_mut().for_each(|row| row.quality = bad));
    for without in [energy, weather] {
        assert_eq!(without.days.len(), 364);
        assert!(without.days.iter().all(|day| day.date != whole.days[10].date));
    }
}

#[test]
fn what_goes_in_comes_out() {
    let mut inputs = fixture::inputs(3, 60);
    assert_eq!(Bundle::decode(bundle()).unwrap().inputs().unwrap(), inputs);
    with_terms(&mut inputs, |terms| terms.price = PriceTerms::Tariff { name: "tou-1".to_owned() });
    inputs.tariff = Some(fixture::time_of_use());
    let bytes = encode(&inputs, &derive(&inputs).unwrap()).unwrap();
    assert_eq!(Bundle::decode(bytes).unwrap().inputs().unwrap(), inputs);
}

#[test]
fn every_flipped_byte_is_named() {
    let mut bytes = bundle();
    verify(&bytes).unwrap();
    for offset in 0..bytes.len() {
        for flip in [0x01, 0xff] {
            bytes[offset] ^= flip;
            assert!(verify(&bytes).is_err(), "byte {offset} ^ {flip:#04x} passed");
            bytes[offset] ^= flip;
        }
    }
}

/// Whether an error says where a byte lies: the member that it is in, or a byte of the same header, padding or end.
///
/// A header is written again from its own name and length, so of a changed name it is the check sum that does not match.
fn named(bytes: &[u8], offset: usize, said: &str) -> bool {
    let entries = archive::walk(bytes).unwrap();
    if let Some(entry) = entries.iter().find(|entry| entry.range.contains(&offset)) {
        return said.contains(entry.name.as_str());
    }
    let numbers = said.split(|character: char| !character.is_ascii_digit()).filter_map(|digits| digits.parse::<usize>().ok());
    let begin = entries.iter().rev().find(|entry| entry.range.end <= offset).map_or(0, |entry| entry.range.end);
    let end = entries.iter().find(|entry| offset < entry.range.start).map_or(bytes.len(), |entry| entry.range.start);
    numbers.into_iter().any(|number| (begin..=end).contains(&number))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Of a bundle of any days, carried-over shortfall and price, any one changed byte is refused, and the error says where.
    #[test]
    fn any_changed_byte_of_any_bundle_is_named(
        days in 1_i8..4,
        carried in -500_000_i64..=0,
        price in 1_i64..90_000,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..=255), 200),
    ) {
        let mut inputs = fixture::inputs(days, 60);
        inputs.issue.carried_in = Money::new(carried, Currency::Usd);
        with_terms(&mut inputs, |terms| terms.price = PriceTerms::Flat { price_per_kwh: Decimal::new(price, 5) });
        let honest = encode(&inputs, &derive(&inputs).unwrap()).unwrap();
        prop_assert_eq!(Bundle::decode(honest.clone()).unwrap().inputs().unwrap(), inputs);
        let mut bytes = honest.clone();
        for (place, flip) in changes {
            let offset = place.index(bytes.len());
            bytes[offset] ^= flip;
            let said = verify(&bytes).map(|_| ()).expect_err("a changed byte passed").to_string();
            // The first fourteen bytes are what makes it a bundle at all.
            prop_assert!(offset < 14 || named(&honest, offset, &said), "byte {} ^ {:#04x}: {}", offset, flip, said);
            bytes[offset] ^= flip;
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    let bytes = bundle();
    for length in (0..bytes.len()).step_by(127).chain([bytes.len() - 1, bytes.len() - 512, bytes.len() - 1_024]) {
        let refused = verify(&bytes[..length]).unwrap_err();
        let clear = if length < 14 { matches!(refused, BundleError::NotABundle) } else { matches!(refused, BundleError::Truncated { .. }) };
        assert!(clear, "{length}: {refused}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(verify(&longer), Err(BundleError::Trailing { .. })));
}

#[test]
fn other_files_and_other_editions_have_their_own_errors() {
    assert!(matches!(verify(b"PK\x03\x04 something else entirely"), Err(BundleError::NotABundle)));
    assert!(matches!(verify(b""), Err(BundleError::NotABundle)));
    let newer = repacked(&bundle(), |members| {
        let manifest = String::from_utf8(members["manifest.json"].clone()).unwrap();
        members.insert("manifest.json".to_owned(), manifest.replace("negawatt.evidence/1", "negawatt.evidence/9").into_bytes());
    });
    assert_eq!(
        verify(&newer).unwrap_err().to_string(),
        "the bundle is of version `negawatt.evidence/9`; this program reads negawatt.evidence/1"
    );
    assert!(matches!(Bundle::read(std::path::Path::new("/nowhere/at-all.nwe")), Err(BundleError::Read { .. })));
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("NW-2026-000001.nwe");
    let written = crate::write(&path, &bundle()).unwrap();
    assert_eq!(Bundle::read(&path).unwrap().sha256(), written.sha256);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    assert!(matches!(crate::write(&folder.path().join("no/such/folder.nwe"), b""), Err(BundleError::Write { .. })));
}

/// The shape of a bundle is for ever: names, tables and documents that every later edition must read.
#[test]
fn the_format_is_as_it_was() {
    let bundle = Bundle::decode(bundle()).unwrap();
    let content = |name: &str| bundle.content(name).unwrap().unwrap();
    // The hash in a profile's name moves with the profile.
    let plain = |name: &str| if name.starts_with("profiles/") { name.split('.').next().unwrap().to_owned() } else { name.to_owned() };
    insta::assert_snapshot!("names", bundle.names().map(plain).collect::<Vec<_>>().join("\n"));
    let golden = ["contract.json", "rows/baseline/utility-meter.e_int.csv", "rows/meters/main.e_imp.csv", "rows/weather.csv"];
    let digests: Vec<_> = golden.iter().map(|name| format!("{} {name}", sha256_hex(&content(name)))).collect();
    insta::assert_snapshot!("digests", digests.join("\n"));
    let invoice: serde_json::Value = serde_json::from_slice(&content("derived/invoice.json")).unwrap();
    insta::assert_snapshot!("invoice", serde_json::to_string_pretty(&invoice).unwrap());
    let table = String::from_utf8(content("rows/meters/main.e_imp.csv")).unwrap();
    insta::assert_snapshot!("table", table.lines().take(3).collect::<Vec<_>>().join("\n"));
}

/// Takes a bundle apart, changes it, and puts it together with fresh hashes: what a forger with our source would do.
pub(crate) fn repacked(bytes: &[u8], change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> Vec<u8> {
    let mut members: BTreeMap<String, Vec<u8>> =
        archive::walk(bytes).unwrap().into_iter().map(|entry| (entry.name, bytes[entry.range].to_vec())).collect();
    change(&mut members);
    let mut manifest: serde_json::Value = serde_json::from_slice(&members.remove("manifest.json").unwrap()).unwrap();
    members.remove("manifest.sha256");
    let listed = members.iter().map(|(name, content)| {
        let inside = name.ends_with(".zst").then(|| zstd::bulk::decompress(content, 1 << 24).unwrap());
        bundle::ManifestMember {
            name: name.clone(),
            size: u64::try_from(content.len()).unwrap(),
            sha256: sha256_hex(content),
            content_size: inside.as_ref().map(|inside| u64::try_from(inside.len()).unwrap()),
            content_sha256: inside.as_ref().map(|inside| sha256_hex(inside)),
        }
    });
    manifest["members"] = serde_json::to_value(listed.collect::<Vec<_>>()).unwrap();
    let manifest = canonical_json(&manifest).unwrap();
    let seal = format!("{}  manifest.json\n", sha256_hex(&manifest));
    let first = std::iter::once(("manifest.json", manifest.as_slice()));
    let middle = members.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
    archive::write(first.chain(middle).chain(std::iter::once(("manifest.sha256", seal.as_bytes())))).unwrap()
}
