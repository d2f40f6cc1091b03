use std::fs;
use std::path::{Path, PathBuf};

use ids::Slug;
use store::{Account, Amendment, Options, Reader, Sample, Seal, Store, broken_at, fsck};
use units::{Quality, Reason, Unit};

use super::*;
use crate::import::series::{Bulk, EXPONENT, Reading, Series};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/import").join(name)
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

/// A folder with files, a mapping and a store.
struct Desk {
    dir: tempfile::TempDir,
    mapping: String,
    accept_faults: bool,
}

impl Desk {
    fn new(mapping: &str) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), mapping: mapping.to_owned(), accept_faults: false }
    }

    fn of(name: &str) -> Self {
        Self::new(&fs::read_to_string(fixture(name)).unwrap())
    }

    fn file(&self, name: &str, body: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, body).unwrap();
        path
    }

    fn copy(&self, name: &str) -> PathBuf {
        self.file(name, fs::read(fixture(name)).unwrap())
    }

    fn store_dir(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn store(&self) -> Store {
        Store::open(&self.store_dir(), Options::default()).unwrap()
    }

    fn plan(&self, files: &[PathBuf]) -> Result<Prepared, PlanError> {
        let mapping_path = Path::new("mapping.toml");
        let mapping = Mapping::parse(mapping_path, &self.mapping).unwrap();
        Prepared::new(&Request {
            files,
            mapping_path,
            mapping_text: &self.mapping,
            mapping: &mapping,
            store: &self.store_dir(),
            accept_faults: self.accept_faults,
            now: now(),
        })
    }

    fn commit(&self, plan: &Plan, again: bool) -> Result<Committed, CommitPlanError> {
        let text = serde_json::to_string(plan).unwrap();
        let plan = Plan::parse(Path::new("plan.json"), &text).unwrap();
        plan.commit(&self.store(), &CommitOptions { actor: "anna".to_owned(), reason: None, approval: String::new(), again, now: now() })
    }

    fn undo(&self, id: &str) -> Result<Undone, UndoError> {
        undo(&self.store(), id, &undo_options(""))
    }

    /// The newest version of each reading, as text.
    fn values(&self, device: &str, point: &str) -> Vec<String> {
        let said = |sample: &Sample| {
            let value = sample.raw.map(|raw| units::Measured { raw, exponent: EXPONENT, unit: Unit::Ratio }.decimal_text());
            let at = Timestamp::from_millisecond(sample.ts_ms).unwrap().strftime("%d %H:%M");
            format!("{at} {} {}", value.unwrap_or_else(|| "none".to_owned()), sample.quality)
        };
        let reader = Reader::open(&self.store_dir()).unwrap();
        let series = reader.series(&slug("acme"), &slug("hall"));
        let info = series.iter().find(|info| info.key.device.as_str() == device && info.key.point == point).unwrap();
        reader.scan(info.id, i64::MIN..i64::MAX).unwrap().iter().map(said).collect()
    }

    fn whole(&self) {
        let findings = fsck(&self.store_dir()).unwrap();
        assert!(findings.problems.is_empty(), "{:?}", findings.problems);
    }
}

fn undo_options(approval: &str) -> UndoOptions {
    UndoOptions { actor: "bert".to_owned(), reason: "wrong meter".to_owned(), approval: approval.to_owned(), now: now() }
}

#[test]
fn a_portals_export_is_read_as_its_mapping_says() {
    let desk = Desk::of("utility.toml");
    let prepared = desk.plan(&[desk.copy("utility.csv")]).unwrap();
    assert_eq!(prepared.plan.faults, [].into());
    assert_eq!((prepared.plan.readings, prepared.plan.new), (20, 20));
    let committed = desk.commit(&prepared.plan, false).unwrap();
    assert_eq!((committed.accepted, committed.duplicate, committed.audit_entry), (20, 0, Some(1)));
    // The hour that the clocks show twice lies in the order of the rows; the decimal comma and the factor are exact.
    insta::assert_snapshot!([desk.values("utility-meter", "e_int"), desk.values("utility-meter", "p")].concat().join("\n"));
    desk.whole();
}

#[test]
fn every_row_that_breaks_a_rule_is_told_with_its_place() {
    let desk = Desk::of("faults.toml");
    let file = desk.copy("faults.csv");
    let prepared = desk.plan(std::slice::from_ref(&file)).unwrap();
    let told: Vec<_> =
        prepared.checked.faults.told.iter().map(|fault| format!("row {}: {}: {}", fault.row, fault.rule.name(), fault.reason)).collect();
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!((prepared.plan.readings, prepared.plan.repeated), (2, 1));
    let refused = desk.commit(&prepared.plan, false).unwrap_err();
    assert_eq!(refused.to_string(), "the plan has 15 faults: correct the files or the mapping, or plan again with --accept-faults");
    let desk = Desk { accept_faults: true, ..desk };
    let prepared = desk.plan(&[file]).unwrap();
    assert_eq!(desk.commit(&prepared.plan, false).unwrap().accepted, 2);
}

#[test]
fn green_button_is_read_by_its_links_and_its_powers_of_ten() {
    let desk = Desk { accept_faults: true, ..Desk::of("greenbutton.toml") };
    let prepared = desk.plan(&[desk.copy("greenbutton.xml")]).unwrap();
    let told: Vec<_> = prepared.checked.faults.told.iter().map(|fault| (fault.row, fault.rule)).collect();
    assert_eq!(told, [(4, fault::Rule::ValueFormat)]);
    assert_eq!(prepared.plan.unasked, [("Wh, reverse".to_owned(), 1)].into());
    desk.commit(&prepared.plan, false).unwrap();
    insta::assert_snapshot!(desk.values("utility-meter", "e_int").join("\n"), @r"
    01 06:00 0.974 good
    01 07:00 0.965123 uncertain:estimated
    01 08:00 none bad:no_value
    ");
}

#[test]
fn parquet_gives_what_csv_gives() {
    use ::parquet::data_type::{DoubleType, Int64Type};
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    let schema = "message m { optional int64 t (TIMESTAMP(MILLIS,true)); optional double kwh; optional double kw; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[1_451_628_000_000, 1_451_631_600_000], Some(&[1, 1]), None).unwrap();
    column.close().unwrap();
    for values in [[0.1, 0.3], [1.5, f64::NAN]] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&values, Some(&[1, 1]), None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    let body = writer.into_inner().unwrap();

    let point = |column: &str, point: &str, unit: &str| {
        format!("[[points]]\ncolumn = \"{column}\"\ndevice = \"m\"\npoint = \"{point}\"\nunit = \"{unit}\"\n")
    };
    let mapping = format!("tenant = \"acme\"\nfacility = \"hall\"\n{}{}", point("kwh", "e_int", "kWh"), point("kw", "p", "kW"));
    let desk = Desk::new(&mapping);
    let of_parquet = desk.plan(&[desk.file("m.parquet", body)]).unwrap().plan;
    let csv = "t,kwh,kw\n2016-01-01T06:00:00Z,0.1,1.5\n2016-01-01T07:00:00Z,0.3,\n";
    let of_csv = desk.plan(&[desk.file("m.csv", csv)]).unwrap().plan;
    assert_eq!((of_parquet.id.as_str(), of_parquet.files[0].format.as_str()), (of_csv.id.as_str(), "parquet"));
    assert_eq!(of_csv.series[0].sum, "0.4");
}

const MAPPING: &str = "tenant = \"acme\"\nfacility = \"hall\"\n[time]\ninterval = \"1h\"\n\
    [[points]]\ncolumn = \"kwh\"\ndevice = \"m\"\npoint = \"e_int\"\nunit = \"kWh\"\n";

fn hours(values: &[&str]) -> String {
    let lines: Vec<String> = values.iter().enumerate().map(|(hour, value)| format!("2016-01-01T{hour:02}:00:00Z,{value}\n")).collect();
    format!("start,kwh\n{}", lines.concat())
}

#[test]
fn an_import_is_idempotent_undone_and_brought_back_and_every_version_stays() {
    let desk = Desk::new(MAPPING);
    let file = desk.file("m.csv", hours(&["1", "2", "3"]));
    let plan = desk.plan(std::slice::from_ref(&file)).unwrap().plan;
    assert!(desk.commit(&plan, false).unwrap().changed);
    let second = desk.commit(&plan, false).unwrap();
    assert_eq!((second.changed, second.accepted, second.duplicate, second.audit_entry), (false, 0, 3, None));
    let planned_again = desk.plan(&[file]).unwrap().plan;
    assert_eq!((planned_again.new, planned_again.same, &planned_again.id), (0, 3, &plan.id));

    // Somebody corrects the second hour; the undo leaves that alone.
    let mut series = Series { device: slug("m"), point: "e_int".to_owned(), unit: Unit::KilowattHour, readings: Vec::new() };
    let quality = Quality::GOOD.with(Reason::Edited).with(Reason::Substituted);
    series.readings.push(Reading { ts_ms: 1_451_610_000_000, raw: Some(9_000_000), quality });
    let rows = vec![series.row(&series.readings[0])];
    let account =
        Account { actor: "carl".to_owned(), reason: "display".to_owned(), document: String::new(), approval: String::new(), at_ms: 0 };
    desk.store().amend(&Amendment { tenant: slug("acme"), facility: slug("hall"), rows, account }).unwrap();

    let undone = desk.undo(plan.id.get(..8).unwrap()).unwrap();
    assert_eq!((undone.taken_back, undone.restored, undone.changed_since), (2, 0, 1));
    let gone = "none bad:edited+no_value";
    assert_eq!(
        desk.values("m", "e_int"),
        [format!("01 00:00 {gone}"), "01 01:00 9 good:edited+substituted".to_owned(), format!("01 02:00 {gone}")]
    );
    let nothing = desk.undo(&plan.id).unwrap();
    assert_eq!((nothing.taken_back, nothing.restored, nothing.audit_entries), (0, 0, None));

    let refused = desk.commit(&plan, false).unwrap_err().to_string();
    assert!(refused.contains("was undone by bert") && refused.contains("--again"), "{refused}");
    // The corrected hour contradicts the file by now: that is not for an import to decide.
    let refused = desk.commit(&plan, true).unwrap_err().to_string();
    assert_eq!(refused, "in contradiction to what has been stored since the plan was made: 1 reading; plan again");
    let desk = Desk { accept_faults: true, ..desk };
    let plan = desk.plan(&[desk.dir.path().join("m.csv")]).unwrap().plan;
    let again = desk.commit(&plan, true).unwrap();
    assert_eq!((again.accepted, again.brought_back, again.changed), (0, 2, true));
    assert_eq!(
        desk.values("m", "e_int"),
        ["01 00:00 1 good:substituted+late", "01 01:00 9 good:edited+substituted", "01 02:00 3 good:substituted+late"]
    );
    let list = imports(&Reader::open(&desk.store_dir()).unwrap());
    assert_eq!((list.len(), list[0].undone_at, list[0].files[0].as_str()), (1, None, plan.files[0].sha256.as_str()));
    assert_eq!(desk.undo(&plan.id).unwrap().taken_back, 2);

    let reader = Reader::open(&desk.store_dir()).unwrap();
    assert_eq!(broken_at(reader.audit()), None);
    let first_hour = reader.history(reader.all_series()[0].id, 1_451_606_400_000..1_451_606_400_001).unwrap();
    let versions: Vec<_> = first_hour.iter().map(|sample| sample.raw).collect();
    assert_eq!(versions, [Some(1_000_000), None, Some(1_000_000), None], "nothing is overwritten");
    drop(reader);
    desk.whole();
}

#[test]
fn after_an_undo_the_right_file_is_seen_even_where_it_says_the_same() {
    let desk = Desk::new(MAPPING);
    let wrong = desk.plan(&[desk.file("wrong.csv", hours(&["5", "5", "5"]))]).unwrap().plan;
    desk.commit(&wrong, false).unwrap();
    desk.undo(&wrong.id).unwrap();
    let right = desk.plan(&[desk.file("right.csv", hours(&["5", "6", "5", "7"]))]).unwrap().plan;
    assert_eq!((right.new, right.returning, right.contradicting), (1, 3, 0));
    let committed = desk.commit(&right, false).unwrap();
    assert_eq!((committed.accepted, committed.brought_back), (1, 3));
    let values = desk.values("m", "e_int");
    let values: Vec<_> = values.iter().map(|value| value.split(' ').nth(2).unwrap()).collect();
    assert_eq!(values, ["5", "6", "5", "7"]);
    // Taking the right one back leaves nothing of the wrong one.
    assert_eq!(desk.undo(&right.id).unwrap().taken_back, 4);
    assert!(desk.values("m", "e_int").iter().all(|value| value.contains("none")));
    desk.whole();
}

#[test]
fn a_contradiction_is_a_fault_unless_both_are_wanted_and_an_undo_restores() {
    let desk = Desk::new(MAPPING);
    let first = desk.plan(&[desk.file("first.csv", hours(&["1", "2"]))]).unwrap().plan;
    desk.commit(&first, false).unwrap();
    let second = desk.file("second.csv", hours(&["1", "2.5", "3"]));
    let refused = desk.plan(std::slice::from_ref(&second)).unwrap();
    assert_eq!(refused.plan.faults, [("contradiction".to_owned(), 1)].into());
    let fault = &refused.checked.faults.told[0];
    assert_eq!((fault.row, fault.reason.as_str()), (3, "has another value than the store for 2016-01-01T01:00:00Z"));

    let desk = Desk { mapping: format!("contradictions = \"keep\"\n{MAPPING}"), ..desk };
    let both = desk.plan(&[second]).unwrap().plan;
    let committed = desk.commit(&both, false).unwrap();
    assert_eq!((committed.accepted, committed.conflict, committed.duplicate), (2, 1, 1));
    assert_eq!(desk.values("m", "e_int")[1], "01 01:00 2.5 uncertain:conflict");
    let undone = desk.undo(&both.id).unwrap();
    assert_eq!((undone.taken_back, undone.restored), (1, 1));
    assert_eq!(desk.values("m", "e_int")[..2], ["01 00:00 1 good".to_owned(), "01 01:00 2 good:edited".to_owned()]);
    desk.whole();
}

#[test]
fn what_was_billed_is_told_and_an_undo_of_it_needs_an_approval() {
    let desk = Desk::new(MAPPING);
    let first = desk.plan(&[desk.file("first.csv", hours(&["1", "2"]))]).unwrap().plan;
    desk.commit(&first, false).unwrap();
    let account =
        Account { actor: "anna".to_owned(), reason: "billed".to_owned(), document: String::new(), approval: String::new(), at_ms: 0 };
    let (tenant, facility, from_ms, to_ms) = (slug("acme"), slug("hall"), 1_451_606_400_000, 1_451_692_800_000);
    desk.store().seal(&Seal { tenant, facility, from_ms, to_ms, account }).unwrap();
    let late = desk.plan(&[desk.file("late.csv", hours(&["1", "2", "3"]))]).unwrap().plan;
    assert_eq!((late.sealed, late.new), (3, 1));
    let refused = desk.undo(&first.id).unwrap_err().to_string();
    assert!(refused.contains("billed") && refused.contains("approved"), "{refused}");
    assert_eq!(undo(&desk.store(), &first.id, &undo_options("carl")).unwrap().taken_back, 2);
}

#[test]
fn a_file_that_changed_since_its_plan_is_refused() {
    let desk = Desk::new(MAPPING);
    let file = desk.file("m.csv", hours(&["1"]));
    let plan = desk.plan(&[file]).unwrap().plan;
    desk.file("m.csv", hours(&["2"]));
    let refused = desk.commit(&plan, false).unwrap_err().to_string();
    assert!(refused.ends_with("m.csv is not the file that was planned: plan again"), "{refused}");
    desk.file("m.csv", hours(&["1"]));
    let forged = Plan { id: "00".repeat(16), ..plan.clone() };
    let refused = desk.commit(&forged, false).unwrap_err().to_string();
    assert!(refused.starts_with(&format!("the files say {}", plan.id)), "{refused}");
}

#[test]
fn an_import_that_was_cut_short_goes_on_where_it_stopped() {
    let desk = Desk::new(MAPPING);
    let mut text = "start,kwh\n".to_owned();
    for hour in 0..10_000_i64 {
        text.push_str(&format!("{},{hour}\n", Timestamp::from_second(1_451_606_400 + hour * 3_600).unwrap()));
    }
    let prepared = desk.plan(&[desk.file("m.csv", text)]).unwrap();
    let bulk = &prepared.checked.bulk;
    let part =
        Bulk { series: vec![Series { readings: bulk.series[0].readings[..5_000].to_vec(), ..bulk.series[0].clone() }], ..bulk.clone() };
    // The first batches of the very import, as a killed process leaves them.
    let numbers = crate::import::series::numbers(&bulk.content_id().spool());
    let store = desk.store();
    let origin = store::Origin { tenant: slug("acme"), facility: slug("hall"), gateway: slug("import") };
    let rows = part.series[0].readings[..4_096].iter().map(|one| part.series[0].row(one)).collect();
    let batch = store::Batch { origin, spool_id: bulk.content_id().spool(), seq: numbers.start, rows, profiles: Vec::new(), letter: None };
    store.commit(&[batch]).unwrap();
    drop(store);
    let committed = desk.commit(&prepared.plan, false).unwrap();
    assert_eq!((committed.accepted, committed.duplicate, committed.audit_entry), (5_904, 4_096, Some(1)));
    assert_eq!(desk.undo(&prepared.plan.id).unwrap().taken_back, 10_000);
    desk.whole();
}

#[test]
fn hostile_feeds_are_refused_with_their_place() {
    let told = |body: &str| {
        let desk = Desk::of("greenbutton.toml");
        let err = desk.plan(&[desk.file("g.xml", body)]).unwrap_err();
        let PlanError::Source { err, .. } = err else { panic!("{err}") };
        err.to_string()
    };
    let deep = "<feed>".repeat(100);
    let entities = "<!DOCTYPE lolz [<!ENTITY a \"&b;&b;\">]><feed><entry>&a;</entry></feed>";
    let reading = "<feed><entry><link rel=\"self\" href=\"/x\"/><content><ReadingType><uom>";
    let long = format!("{reading}{}</uom></ReadingType></content></entry></feed>", "7".repeat(10_000));
    let alone = "<feed><entry><content><IntervalBlock><IntervalReading><timePeriod><start>1451628000</start></timePeriod>\
        <value>1</value></IntervalReading></IntervalBlock></content></entry></feed>";
    insta::assert_snapshot!(
        [
            told(&deep),
            told(entities),
            told("<feed><entry>&a;</entry></feed>"),
            told(&long),
            told("<feed><entry></feed>"),
            told("<html><body>Please log in</body></html>"),
            told(alone),
        ]
        .join("\n")
    );
}

/// Good files with bytes that are changed, doubled, cut out and moved: they are read or refused, and never more comes of
/// them than they have rows.
#[test]
fn spoiled_files_are_read_or_refused_whatever_was_done_to_them() {
    const SEED: u64 = 20_261_121;
    let random = ids::IdSource::seeded(SEED);
    let below = |bound: usize| usize::try_from(random.next_u64() % bound.max(1) as u64).unwrap();
    for (name, mapping, rounds) in [("utility.csv", "utility.toml", 3_000), ("greenbutton.xml", "greenbutton.toml", 3_000)] {
        let good = fs::read(fixture(name)).unwrap();
        let mapping = Mapping::parse(Path::new(mapping), &fs::read_to_string(fixture(mapping)).unwrap()).unwrap();
        let (mut taken, mut refused) = (0_usize, 0_usize);
        for _round in 0..rounds {
            let mut body = good.clone();
            for _change in 0..below(6) {
                let (at, to) = (below(body.len()), below(body.len()));
                match below(5) {
                    0 => body[at] = b"<>&;/=\"' \n,-0\x00\xff9"[below(16)],
                    1 => body.truncate(at.max(1)),
                    2 => body.insert(at, body[to]),
                    3 => drop(body.remove(at)),
                    _ => body.copy_within(at.min(to)..at.max(to), 0),
                }
                if body.is_empty() {
                    body.push(b'x');
                }
            }
            let mut checker = Checker::new(&mapping, now());
            checker.file(name);
            let rows_max = body.iter().filter(|byte| matches!(byte, b'\n' | b'<')).count() + 1;
            match rows(Format::of(&body), body.clone(), &mapping, &mut checker, &mut Unasked::new()) {
                Ok(_) => {
                    let checked = checker.finish();
                    // A row may break two rules.
                    let all = checked.bulk.len() as u64 + checked.faults.count() + checked.repeated + checked.skipped;
                    assert!(all <= 4 * rows_max as u64, "seed {SEED}: {all} of {rows_max}");
                    for series in &checked.bulk.series {
                        assert!(series.readings.windows(2).all(|pair| pair[0].ts_ms < pair[1].ts_ms), "seed {SEED}");
                    }
                    taken += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(taken > rounds / 10 && refused > rounds / 10, "seed {SEED}, {name}: {taken} read, {refused} refused");
    }
}
