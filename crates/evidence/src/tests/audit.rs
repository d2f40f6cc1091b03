//! What an auditor finds, and what he is not taken in by.

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

#[test]
fn a_bundle_of_another_edition_is_refused_by_its_name() {
    let inputs = fixture::inputs(3, 60);
    let mut derived = derive(&inputs).unwrap();
    derived.fit.method = "caltrack-2.0-daily/1".to_owned();
    let said = refused(encode(&inputs, &derived).unwrap());
    assert!(said.starts_with("the bundle was fitted by caltrack-2.0-daily/1, this program fits by caltrack-2.0-daily/2"), "{said}");
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

/// Bundles that agree with themselves in every hash and every figure, and not with the registers.
#[test]
fn a_row_without_registers_and_registers_without_a_row_are_named() {
    let honest = fixture::inputs(3, 60);
    let audited = |change: &dyn Fn(&mut crate::Meter)| {
        let mut inputs = honest.clone();
        change(&mut inputs.reporting.meters[0]);
        audit_bytes(encode(&inputs, &derive(&inputs).unwrap()).unwrap()).unwrap_err()
    };
    let said = audited(&|meter| {
        meter.rows[5].raw = None;
        meter.rows[5].quality = Quality::SILENT;
    });
    assert!(matches!(&said, Mismatch::Registers { row, .. } if row.stored == "no value"), "{said}");
    let said = audited(&|meter| meter.rows[5].words = crate::Words::NONE);
    assert!(matches!(said, Mismatch::Undecodable { .. }), "{said}");
    assert!(said.to_string().starts_with("main e_imp at 2026-01-01T11:00:00Z: the registers (none) give no reading"), "{said}");
    let said = audited(&|meter| meter.exponent -= 1);
    assert!(matches!(said, Mismatch::Point { .. }), "{said}");
}

/// What somebody put in the place of a reading is shown, and stands for nothing: the invoice is that of the registers alone.
#[test]
fn an_estimate_stands_for_no_reading_and_needs_no_registers() {
    let with = |quality: Quality, raw: Option<i64>| {
        let mut inputs = fixture::inputs(3, 60);
        let row = &mut inputs.reporting.meters[0].rows[5];
        (row.raw, row.quality, row.words) = (raw.and(row.raw), quality, crate::Words::NONE);
        inputs
    };
    let lost = derive(&with(Quality::SILENT, None)).unwrap();
    for reason in [Reason::Estimated, Reason::Edited, Reason::Substituted] {
        let inputs = with(Quality::uncertain(reason), Some(0));
        let derived = derive(&inputs).unwrap();
        assert_eq!(derived.invoice.total(), lost.invoice.total(), "{reason:?}");
        let verified = audit_bytes(encode(&inputs, &derived).unwrap()).unwrap();
        assert_eq!(verified.decoded, audit_bytes(bundle()).unwrap().decoded - 1, "{reason:?}");
    }
    // With registers it must be what they say, whatever it is called.
    let mut inputs = fixture::inputs(3, 60);
    let row = &mut inputs.reporting.meters[0].rows[5];
    (row.raw, row.quality) = (row.raw.map(|raw| raw + 1), Quality::uncertain(Reason::Edited));
    let said = audit_bytes(encode(&inputs, &derive(&inputs).unwrap()).unwrap()).unwrap_err();
    assert!(matches!(said, Mismatch::Registers { .. }), "{said}");
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
    assert!(refused(cheaper).starts_with("manifest.json at /invoice/total_minor: the bundle says "));
    let stowaway = repacked(&bundle(), |members| {
        members.insert("note.txt".to_owned(), b"pay me".to_vec());
    });
    assert_eq!(refused(stowaway), "the bundle has note.txt, which nothing in it accounts for");
    // A second contract, for whoever looks into the bundle with other tools.
    let twin = repacked(&bundle(), |members| {
        let contract = String::from_utf8(members["contract.json"].clone()).unwrap().replace("800000", "100000");
        members.insert("contract.json.zst".to_owned(), zstd::bulk::compress(contract.as_bytes(), 3).unwrap());
    });
    assert_eq!(refused(twin), "the bundle has contract.json.zst, which nothing in it accounts for");
    let twin = repacked(&bundle(), |members| {
        let weather = zstd::bulk::decompress(&members["rows/weather.csv.zst"], 1 << 24).unwrap();
        let warmer = String::from_utf8(weather).unwrap().replace(",0\n", "9,0\n");
        members.insert("rows/weather.csv".to_owned(), warmer.into_bytes());
    });
    assert_eq!(refused(twin), "the bundle has rows/weather.csv, which nothing in it accounts for");
    let lost = repacked(&bundle(), |members| {
        members.remove("contract.json");
    });
    assert_eq!(refused(lost), "the bundle has no contract.json");
}

/// Puts another manifest into a bundle, with a fresh seal.
fn with_manifest(bytes: &[u8], change: impl FnOnce(String) -> String) -> Vec<u8> {
    let entries = archive::walk(bytes).unwrap();
    let mut members: Vec<(String, Vec<u8>)> = entries.into_iter().map(|entry| (entry.name, bytes[entry.range].to_vec())).collect();
    let manifest = change(String::from_utf8(members[0].1.clone()).unwrap()).into_bytes();
    assert!(manifest != members[0].1, "the test must change the manifest");
    let last = members.len() - 1;
    members[last].1 = format!("{}  manifest.json\n", sha256_hex(&manifest)).into_bytes();
    members[0].1 = manifest;
    archive::write(members.iter().map(|(name, content)| (name.as_str(), content.as_slice()))).unwrap()
}

#[test]
fn a_manifest_says_nothing_that_is_not_checked() {
    let honest = bundle();
    let spelled = with_manifest(&honest, |text| text.replacen(':', ": ", 1));
    assert!(refused(spelled).starts_with("manifest.json at line 1"), "another spelling");
    let hash = "0".repeat(64);
    let more = with_manifest(&honest, |text| {
        text.replacen(
            "{\"name\":\"contract.json\"",
            &format!("{{\"content_sha256\":\"{hash}\",\"content_size\":7,\"name\":\"contract.json\""),
            1,
        )
    });
    assert_eq!(refused(more), "the manifest gives contract.json the hash of a content, which only compressed members have");
    let less = with_manifest(&honest, |text| {
        let (before, after) = text.split_once("\"content_sha256\":\"").unwrap();
        format!("{before}{}", after.split_once(',').unwrap().1)
    });
    assert_eq!(refused(less), "the manifest gives derived/fit.json.zst no hash of its content, which every compressed member has");
}

/// Everything a forger could change inside a document, hashes and seal made anew.
fn forged(bytes: &[u8], member: prop::sample::Index, place: prop::sample::Index, flip: u8) -> (String, Vec<u8>) {
    let mut name = String::new();
    let forged = repacked(bytes, |members| {
        let names: Vec<String> = members.keys().filter(|name| !name.starts_with("manifest.")).cloned().collect();
        name.clone_from(member.get(&names));
        let stored = members[&name].clone();
        let compressed = name.ends_with(".zst");
        let mut content = if compressed { zstd::bulk::decompress(&stored, 1 << 24).unwrap() } else { stored };
        let at = place.index(content.len());
        content[at] ^= flip;
        members.insert(name.clone(), if compressed { zstd::bulk::compress(&content, 3).unwrap() } else { content });
    });
    (name, forged)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The hashes can be forged by anybody who has this source; the derivation cannot.
    #[test]
    fn a_changed_byte_under_fresh_hashes_is_still_no_invoice(member: prop::sample::Index, place: prop::sample::Index, flip in 1_u8..=255) {
        static HONEST: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let (name, forged) = forged(HONEST.get_or_init(bundle), member, place, flip);
        prop_assert!(audit_bytes(forged).is_err(), "a change of {name} passed");
    }
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
