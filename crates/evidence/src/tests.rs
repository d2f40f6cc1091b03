use std::collections::BTreeMap;

use jiff::civil::date;
use money::{Currency, Money};
use settlement::{Contract, LineKind, PriceTerms};

use crate::canonical::{canonical_json, sha256_hex};
use crate::error::{BundleError, DeriveError};
use crate::{Bundle, Inputs, archive, bundle, derive, encode, fixture, verify};

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
            let refused = verify(&bytes).map(|_| ()).expect_err("a flipped byte passed").to_string();
            assert!(!refused.is_empty(), "byte {offset}");
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

#[cfg(feature = "audit")]
mod audit {
    use super::*;
    use crate::{Mismatch, audit_bytes};

    fn edit(bytes: &[u8], member: &str, change: impl Fn(String) -> String) -> Vec<u8> {
        repacked(bytes, |members| {
            let content = members[member].clone();
            let plain = if member.ends_with(".zst") { zstd::bulk::decompress(&content, 1 << 24).unwrap() } else { content };
            let text = String::from_utf8(plain).unwrap();
            let changed = change(text.clone());
            assert!(changed != text, "the test must change {member}");
            let changed = changed.into_bytes();
            let stored = if member.ends_with(".zst") { zstd::bulk::compress(&changed, 3).unwrap() } else { changed };
            members.insert(member.to_owned(), stored);
        })
    }

    fn refused(bytes: Vec<u8>) -> String {
        audit_bytes(bytes).unwrap_err().to_string()
    }

    #[test]
    fn an_honest_bundle_is_verified() {
        insta::assert_snapshot!(
            "verified",
            audit_bytes(bundle()).unwrap().to_string().lines().filter(|line| !line.starts_with("sha256")).collect::<Vec<_>>().join("\n")
        );
    }

    /// Repacking without a change is no forgery: hashes are of contents, not of compression.
    #[test]
    fn other_compression_of_the_same_rows_is_verified() {
        let other = repacked(&bundle(), |members| {
            for (name, content) in members.iter_mut().filter(|(name, _)| name.ends_with(".zst")) {
                let plain = zstd::bulk::decompress(content, 1 << 24).unwrap();
                *content = zstd::bulk::compress(&plain, 19).unwrap();
                assert!(!name.is_empty());
            }
        });
        audit_bytes(other).unwrap();
    }

    #[test]
    fn a_changed_reading_contradicts_its_registers() {
        let forged = edit(&bundle(), "rows/meters/annex.e_imp.csv.zst", |text| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let fields: Vec<String> = lines[5].split(',').map(str::to_owned).collect();
            lines[5] = format!("{},{},{},{}", fields[0], fields[1].parse::<i64>().unwrap() - 1, fields[2], fields[3]);
            lines.join("\n") + "\n"
        });
        assert!(matches!(audit_bytes(forged), Err(Mismatch::Registers { .. })));
    }

    #[test]
    fn changed_registers_with_a_changed_reading_change_the_days() {
        let inputs = fixture::inputs(3, 60);
        let mut forged = inputs.clone();
        for meter in &mut forged.reporting.meters {
            let (before, midnight) = (meter.rows[71], meter.rows[72]);
            meter.rows[72] = crate::CounterRow { raw: before.raw, words: before.words, ..midnight };
        }
        let honest = derive(&inputs).unwrap();
        let mut bytes = encode(&forged, &honest).unwrap();
        assert!(refused(bytes).starts_with("derived/days.json at /0/days/2/closed/counter_wh: the bundle says "));
        // The forger derives the days too, but keeps the invoice.
        let mut derived = derive(&forged).unwrap();
        derived.invoice = honest.invoice;
        bytes = encode(&forged, &derived).unwrap();
        assert!(refused(bytes).starts_with("derived/invoice.json at /lines/0/amount/minor: the bundle says "));
    }

    #[test]
    fn each_forged_document_is_named_with_both_values() {
        let honest = bundle();
        let terms = edit(&honest, "contract.json", |text| text.replace("\"billed_share\":800000", "\"billed_share\":900000"));
        assert!(refused(terms).starts_with("derived/statement.json at /billed/minor: the bundle says "));
        let price = edit(&honest, "contract.json", |text| text.replace("0.1425", "0.1525"));
        assert!(refused(price).starts_with("derived/statement.json at /billable/minor: the bundle says "));
        let split = edit(&honest, "contract.json", |text| text.replace("650000", "650001"));
        assert!(refused(split).contains("contract.json"));
        let profile = Bundle::decode(bundle()).unwrap().names().find(|name| name.starts_with("profiles/eastron")).unwrap().to_owned();
        let registers = edit(&honest, &profile, |text| text.replace("address = 72,", "address = 78,"));
        let answer = audit_bytes(registers).unwrap_err();
        assert!(matches!(answer, Mismatch::Profile { .. } | Mismatch::ProfileHash { .. }), "{answer}");
        let postings = edit(&honest, "derived/postings.json", |text| text.replace("platform_revenue", "bad_debt"));
        assert!(refused(postings).starts_with("derived/postings.json at /0/postings/1/account: the bundle says \"bad_debt\""));
        let weather = edit(&honest, "rows/weather.csv.zst", |text| text.replacen(",76,0\n", ",77,0\n", 40));
        assert!(refused(weather).starts_with("derived/"));
        let baseline = edit(&honest, "rows/baseline/utility-meter.e_int.csv.zst", |text| text.replacen(",4", ",5", 3));
        assert!(refused(baseline).starts_with("derived/fit.json at /"));
        let spelling = edit(&honest, "inputs.json", |text| text.replacen(':', ": ", 1));
        assert!(refused(spelling).starts_with("inputs.json at line 1"));
    }

    #[test]
    fn a_forged_manifest_and_stowaways_are_named() {
        let cheaper = repacked(&bundle(), |members| {
            let manifest = String::from_utf8(members["manifest.json"].clone()).unwrap();
            members.insert("manifest.json".to_owned(), manifest.replace("\"total_minor\":", "\"total_minor\":1").into_bytes());
        });
        assert!(refused(cheaper).starts_with("manifest.json at /0/total_minor: the bundle says "));
        let stowaway = repacked(&bundle(), |members| {
            members.insert("note.txt".to_owned(), b"pay me".to_vec());
        });
        assert_eq!(refused(stowaway), "the bundle has note.txt, which nothing in it accounts for");
        let lost = repacked(&bundle(), |members| {
            members.remove("contract.json");
        });
        assert_eq!(refused(lost), "the bundle has no contract.json");
    }

    /// Three meters, a month of minutes: 134,000 readings.
    #[test]
    fn a_month_of_minutes_is_derived_in_a_moment() {
        let mut inputs = fixture::inputs(31, 1);
        let mut third = inputs.reporting.meters[0].clone();
        third.device = ids::Slug::parse("third").unwrap();
        inputs.reporting.meters.push(third);
        let before = std::time::Instant::now();
        let derived = derive(&inputs).unwrap();
        let (derived_in, before) = (before.elapsed(), std::time::Instant::now());
        let bytes = encode(&inputs, &derived).unwrap();
        let (encoded_in, before) = (before.elapsed(), std::time::Instant::now());
        let size = bytes.len();
        let verified = audit_bytes(bytes).unwrap();
        println!("derive {derived_in:?}, encode {encoded_in:?}, audit {:?}, {size} bytes", before.elapsed());
        assert_eq!(verified.readings, 3 * (31 * 1_440 + 1));
        assert!(derived_in.as_secs() < 5);
    }
}
