//! Whatever was written, and whatever became of the files: a bucket says what its readings say.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;
use units::{FacilityCalendar, Reason};

use super::*;
use crate::counter::Nameplate;
use crate::derived::By;
use crate::fault::{self, Step as Fault};
use crate::{Account, Amendment, Bucket, Completeness, Resolution, Seal, backup, dump_buckets, fsck, restore};

/// Berlin's clocks went forward at 2026-03-29T01:00Z: the day has 23 hours. The end of the range is in April.
const FROM_MS: i64 = 1_774_735_200_000;

fn calendar() -> FacilityCalendar {
    FacilityCalendar::named("Europe/Berlin").unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u8, i64, i64)>),
    Amend(u8, i64, i64),
    Withdraw(u8, i64),
    Seal(i64, i64),
    Flush,
    Compact,
    Restart,
    /// Somebody deletes a file, or breaks it.
    Delete(bool),
}

/// Quarters of an hour after the beginning, in sevenths; four days, so that days, months and quarters are crossed.
const SLOTS: i64 = 4 * 96 * 7;

fn step() -> impl Strategy<Value = Step> {
    let rows = prop_oneof![
        // A stretch, as a gateway sends it.
        (0_u8..2, 0..SLOTS, 1_i64..200)
            .prop_map(|(device, from, count)| (from..(from + count).min(SLOTS)).map(|slot| (device, slot, slot * 3)).collect()),
        // A few here and there, which contradict.
        proptest::collection::vec((0_u8..2, 0..SLOTS, 0_i64..9_000), 1..5),
    ];
    prop_oneof![
        8 => rows.prop_map(Step::Commit),
        1 => (0_u8..2, 0..SLOTS, 0_i64..9_000).prop_map(|(device, slot, raw)| Step::Amend(device, slot, raw)),
        1 => (0_u8..2, 0..SLOTS).prop_map(|(device, slot)| Step::Withdraw(device, slot)),
        1 => (0..SLOTS, 1_i64..900).prop_map(|(from, length)| Step::Seal(from, from + length)),
        3 => Just(Step::Flush),
        2 => Just(Step::Compact),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::Delete),
    ]
}

/// 128 seconds and a bit: some quarters have six readings, some eight, and none begins with one.
fn at(slot: i64) -> i64 {
    FROM_MS + slot * 128_571
}

fn device(number: u8) -> String {
    format!("d{number}")
}

fn account(approval: &str) -> Account {
    Account {
        actor: "anna".to_owned(),
        reason: "tried".to_owned(),
        document: String::new(),
        approval: approval.to_owned(),
        at_ms: 1_775_000_000_000,
    }
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("derived")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Plainly: of what a scan finds, each in the bucket that its time lies in.
fn plain(reader: &Reader, id: SeriesId, range: &Range<i64>, resolution: Resolution) -> BTreeMap<(i64, i64), Vec<Sample>> {
    let mut buckets: BTreeMap<(i64, i64), Vec<Sample>> = BTreeMap::new();
    for sample in reader.scan(id, i64::MIN..i64::MAX).unwrap() {
        let even = |length: i64| (sample.ts_ms - sample.ts_ms % length, sample.ts_ms - sample.ts_ms % length + length);
        let bounds = match resolution {
            Resolution::QuarterHour => even(900_000),
            Resolution::Hour => even(3_600_000),
            Resolution::Day => {
                let calendar = calendar();
                let day = calendar.bounds(calendar.day_of(jiff::Timestamp::from_millisecond(sample.ts_ms).unwrap())).unwrap();
                (day.start.as_millisecond(), day.end.as_millisecond())
            }
        };
        if range.contains(&bounds.0) {
            buckets.entry(bounds).or_default().push(sample);
        }
    }
    buckets
}

fn agrees(bucket: &Bucket, samples: &[Sample]) {
    let usable: Vec<&Sample> = samples.iter().filter(|sample| sample.raw.is_some() && sample.quality.is_usable()).collect();
    let raws: Vec<i64> = usable.iter().filter_map(|sample| sample.raw).collect();
    assert_eq!((bucket.readings, bucket.usable()), (samples.len() as u64, usable.len() as u64));
    assert_eq!(bucket.edited, usable.iter().filter(|sample| sample.quality.has(Reason::Edited)).count() as u64);
    assert_eq!(bucket.sum, raws.iter().map(|raw| i128::from(*raw)).sum::<i128>());
    assert_eq!((bucket.smallest, bucket.largest), (raws.iter().min().copied(), raws.iter().max().copied()));
    let point = |sample: Option<&&Sample>| sample.map(|sample| (sample.ts_ms, sample.raw.unwrap()));
    assert_eq!((bucket.first, bucket.last), (point(usable.first()), point(usable.last())));
    let lsns = || samples.iter().map(|sample| sample.lsn);
    assert_eq!((bucket.lsn_from, bucket.lsn_to), (lsns().min().unwrap(), lsns().max().unwrap()));
    let reasons = samples.iter().fold(0, |all, sample| all | sample.quality.bits() & 0x3fff);
    assert_eq!(bucket.quality.bits() & 0x3fff, reasons);
    assert_eq!(bucket.quality.severity(), samples.iter().map(|sample| sample.quality.severity()).max().unwrap());
}

fn check(dir: &Path) {
    let reader = Reader::open(dir).unwrap();
    for info in reader.all_series() {
        for resolution in [Resolution::QuarterHour, Resolution::Hour, Resolution::Day] {
            for range in [i64::MIN..i64::MAX, at(200)..at(900)] {
                let found = reader.buckets(info.id, range.clone(), resolution, &calendar()).unwrap();
                let nameplate = Nameplate::default();
                let again = reader.buckets_by(By::Readings, info.id, range.clone(), resolution, &calendar(), &nameplate).unwrap();
                assert_eq!(found, again, "of files and of readings");
                let plain = plain(&reader, info.id, &range, resolution);
                assert_eq!(
                    found.iter().map(|bucket| (bucket.from_ms, bucket.to_ms)).collect::<Vec<_>>(),
                    plain.keys().copied().collect::<Vec<_>>()
                );
                for (bucket, samples) in found.iter().zip(plain.values()) {
                    agrees(bucket, samples);
                }
            }
        }
        // What passes adds up, whatever the resolution is.
        let passed = |resolution| {
            let buckets = reader.buckets(info.id, i64::MIN..i64::MAX, resolution, &calendar()).unwrap();
            buckets.iter().filter_map(|bucket| bucket.passing).try_fold(0_i64, |sum, passing| Some(sum + passing.raw?))
        };
        assert_eq!(passed(Resolution::QuarterHour), passed(Resolution::Day));
        assert_eq!(passed(Resolution::QuarterHour), passed(Resolution::Hour));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_bucket_is_what_its_readings_are_whatever_was_done(steps in proptest::collection::vec(step(), 1..18), flush_rows in prop_oneof![Just(1_000_000), 50_usize..300]) {
        let dir = folder();
        let open = || Store::open(dir.path(), Options { flush_rows, ..options() }).unwrap();
        let mut store = Some(open());
        let (tenant, facility) = (slug("acme"), slug("hall"));
        for (seq, step) in (1..).zip(steps) {
            let now = store.as_ref().unwrap();
            match step {
                Step::Commit(rows) => {
                    now.commit(&[batch(seq, rows.iter().map(|(number, slot, raw)| row(&device(*number), at(*slot), *raw)).collect())]).unwrap();
                }
                Step::Amend(number, slot, raw) => {
                    let mut row = row(&device(number), at(slot), raw);
                    (row.quality, row.words) = (Quality::GOOD.with(Reason::Edited), None);
                    // Of a series that nobody has reported, nothing is changed.
                    drop(now.amend(&Amendment { tenant: tenant.clone(), facility: facility.clone(), rows: vec![row], account: account("carl") }));
                }
                Step::Withdraw(number, slot) => {
                    let mut row = row(&device(number), at(slot), 0);
                    (row.raw, row.quality, row.words) = (None, Quality::bad(Reason::NoValue).with(Reason::Edited), None);
                    drop(now.amend(&Amendment { tenant: tenant.clone(), facility: facility.clone(), rows: vec![row], account: account("carl") }));
                }
                Step::Seal(from, to) => {
                    let (from_ms, to_ms) = (at(from), at(to));
                    drop(now.seal(&Seal { tenant: tenant.clone(), facility: facility.clone(), from_ms, to_ms, account: account("") }));
                }
                Step::Flush => now.flush().unwrap(),
                Step::Compact => now.compact().unwrap(),
                Step::Restart => {
                    drop(store.take());
                    store = Some(open());
                }
                Step::Delete(whole) => {
                    now.settle();
                    if let Some(file) = files(dir.path()).pop() {
                        if whole { std::fs::remove_file(file).unwrap() } else { std::fs::write(file, b"PAR1 no more PAR1").unwrap() }
                    }
                }
            }
            check(dir.path());
        }
        let store = store.unwrap();
        store.settle();
        store.compact().unwrap();
        drop(store);
        // Damage is healed by the next start, where nobody had a reason to write the file anew.
        let store = open();
        store.compact().unwrap();
        check(dir.path());
        prop_assert_eq!(fsck(dir.path()).unwrap().problems, vec![]);
    }
}

fn minutes(from: i64, to: i64) -> Vec<Row> {
    (from..to).map(|minute| row("d0", FROM_MS + minute * 60_000, 1_000 + minute * 2)).collect()
}

fn of(dir: &Path, resolution: Resolution) -> Vec<Bucket> {
    Reader::open(dir).unwrap().buckets(SeriesId(1), i64::MIN..i64::MAX, resolution, &calendar()).unwrap()
}

#[test]
fn days_are_the_facilitys_and_as_long_as_they_are() {
    let dir = folder();
    let store = open(dir.path());
    // From 2026-03-28T23:00 in Berlin on, for three days.
    store.commit(&[batch(1, minutes(0, 3 * 1_440))]).unwrap();
    for round in 0..2 {
        let days = of(dir.path(), Resolution::Day);
        let lengths: Vec<i64> = days.iter().map(|day| (day.to_ms - day.from_ms) / 3_600_000).collect();
        assert_eq!(lengths, [24, 23, 24, 24], "round {round}");
        assert_eq!(
            days.iter().map(|day| (day.expected.unwrap(), day.readings)).collect::<Vec<_>>(),
            [(1_440, 60), (1_380, 1_380), (1_440, 1_440), (1_440, 1_440)]
        );
        let passed: Vec<_> = days.iter().map(|day| day.passing.unwrap().raw.unwrap()).collect();
        assert_eq!(passed, [120, 2_760, 2_880, 2_878], "the last reading has none behind it, round {round}");
        let hours = of(dir.path(), Resolution::Hour);
        assert!(hours.iter().all(|hour| hour.expected == Some(60) && hour.readings == 60) && hours.len() == 72);
        assert_eq!(hours[0].mean(units::Unit::KilowattHour, -2).unwrap().decimal_text(), "10.59");
        store.compact().unwrap();
    }
}

#[test]
fn a_month_of_few_readings_has_no_file_and_the_same_answers() {
    let dir = folder();
    let store = Store::open(dir.path(), Options { quarters_from: 600, ..options() }).unwrap();
    let (few, enough) = (minutes(0, 599), minutes(0, 600).split_off(599));
    store.commit(&[batch(1, few)]).unwrap();
    store.compact().unwrap();
    assert_eq!(files(dir.path()).len(), 0);
    let before = of(dir.path(), Resolution::QuarterHour);
    store.commit(&[batch(2, enough)]).unwrap();
    store.compact().unwrap();
    assert_eq!(files(dir.path()).len(), 1);
    let after = of(dir.path(), Resolution::QuarterHour);
    assert_eq!((before.len(), &before[..39]), (40, &after[..39]));
    assert_eq!((before[39].readings, after[39].readings), (14, 15));
}

#[test]
fn a_late_reading_changes_its_bucket_at_once_and_the_others_not_at_all() {
    let dir = folder();
    let store = open(dir.path());
    let mut rows = minutes(0, 600);
    let late = rows.remove(100);
    store.commit(&[batch(1, rows)]).unwrap();
    store.compact().unwrap();
    let (before, file) = (of(dir.path(), Resolution::QuarterHour), files(dir.path()));
    assert_eq!(file.len(), 1);
    store.commit(&[batch(2, vec![late])]).unwrap();
    let check = |when: &str| {
        let now = of(dir.path(), Resolution::QuarterHour);
        let changed: Vec<usize> = (0..before.len()).filter(|at| now[*at] != before[*at]).collect();
        assert_eq!(changed, [6], "{when}");
        assert_eq!((before[6].readings, now[6].readings, now[6].lsn_to > before[6].lsn_to), (14, 15, true), "{when}");
    };
    check("in memory");
    store.flush().unwrap();
    assert_eq!(files(dir.path()), file, "one reading is soon looked through");
    check("in a segment");
    store.compact().unwrap();
    check("in the file");
    assert!(!files(dir.path()).is_empty());
    // Whoever asks what it was made of asks as of its last entry.
    let bucket = of(dir.path(), Resolution::QuarterHour)[6];
    let samples = Reader::open(dir.path()).unwrap().as_of(SeriesId(1), bucket.from_ms..bucket.to_ms, bucket.lsn_to).unwrap();
    agrees(&bucket, &samples);
}

#[test]
fn killed_while_a_file_is_made_there_is_the_old_one_or_the_new_one() {
    for step in [Fault::DerivedWritten, Fault::DerivedPublished] {
        let dir = folder();
        let store = open(dir.path());
        store.commit(&[batch(1, minutes(0, 600))]).unwrap();
        store.compact().unwrap();
        store.commit(&[batch(2, minutes(600, 900))]).unwrap();
        store.flush().unwrap();
        let expected = of(dir.path(), Resolution::Hour);
        fault::arm(step, std::io::ErrorKind::StorageFull);
        store.compact().unwrap_err();
        fault::disarm();
        assert_eq!(of(dir.path(), Resolution::Hour).len(), expected.len());
        drop(store);
        std::fs::write(dir.path().join("derived/0000000099.tmp"), b"half").unwrap();
        let store = open(dir.path());
        assert_eq!(of(dir.path(), Resolution::Hour), expected, "{step:?}");
        store.compact().unwrap();
        drop(store);
        drop(open(dir.path()));
        assert_eq!((files(dir.path()).len(), fsck(dir.path()).unwrap().problems), (1, vec![]), "{step:?}");
    }
}

#[test]
fn a_file_that_says_something_else_is_found_and_made_anew() {
    let dir = folder();
    let store = open(dir.path());
    store.commit(&[batch(1, minutes(0, 600))]).unwrap();
    store.compact().unwrap();
    assert_eq!(fsck(dir.path()).unwrap().derived, 1);
    let expected = of(dir.path(), Resolution::Day);
    let file = files(dir.path()).remove(0);
    for bytes in [None, Some(&b"PAR1"[..])] {
        std::fs::remove_file(&file).unwrap_or_default();
        if let Some(bytes) = bytes {
            std::fs::write(&file, bytes).unwrap();
        }
        let problems = fsck(dir.path()).unwrap().problems;
        assert!(problems.len() == 1 && problems[0].what.contains("nothing is lost"), "{problems:?}");
        assert_eq!(of(dir.path(), Resolution::Day), expected);
    }
    drop(store);
    let store = open(dir.path());
    store.compact().unwrap();
    assert_eq!(of(dir.path(), Resolution::Day), expected);
    assert_eq!((fsck(dir.path()).unwrap().derived, fsck(dir.path()).unwrap().problems), (1, vec![]));
}

#[test]
fn whatever_byte_of_a_file_is_another_one_the_answer_is_right() {
    let dir = folder();
    let store = open(dir.path());
    store.commit(&[batch(1, minutes(0, 600))]).unwrap();
    store.compact().unwrap();
    let (expected, file) = (of(dir.path(), Resolution::QuarterHour), files(dir.path()).remove(0));
    let whole = std::fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(of(dir.path(), Resolution::QuarterHour), expected, "byte {at}");
    }
    // As long as it was: the start does not notice, and a compaction does.
    store.compact().unwrap();
    assert_eq!(fsck(dir.path()).unwrap().problems, []);
}

#[test]
fn a_copy_has_the_files_and_does_without_those_that_are_gone() {
    let (dir, copy, back) = (folder(), folder(), folder());
    let store = open(dir.path());
    store.commit(&[batch(1, minutes(0, 600))]).unwrap();
    store.compact().unwrap();
    let report = backup(dir.path(), copy.path()).unwrap();
    assert_eq!((report.segments, report.copied, report.derived, report.derived_copied), (1, 1, 1, 1));
    assert_eq!(restore(copy.path(), &back.path().join("one")).unwrap().derived, 1);
    std::fs::remove_file(files(dir.path()).remove(0)).unwrap();
    let report = backup(dir.path(), copy.path()).unwrap();
    assert_eq!(report.derived, 0);
    // The manifest of the copy was changed, and is one file yet: nothing of SQLite's own is listed beside it.
    let sums = std::fs::read_to_string(copy.path().join(&report.snapshot).join("SHA256SUMS")).unwrap();
    let names = sums.lines().filter_map(|line| line.split_once("  ")).map(|(_, name)| name).filter(|name| !name.starts_with("wal/"));
    assert_eq!(names.collect::<Vec<_>>(), ["manifest.sqlite"]);
    assert_eq!(std::fs::read(copy.path().join(&report.snapshot).join("manifest.sqlite")).unwrap()[18..20], [1, 1], "no log of its own");
    assert_eq!(restore(copy.path(), &back.path().join("other")).unwrap().derived, 0);
    assert_eq!(of(&back.path().join("one"), Resolution::Hour), of(&back.path().join("other"), Resolution::Hour));
}

#[test]
fn buckets_are_written_out_for_others() {
    let dir = folder();
    let store = open(dir.path());
    let mut silent = row("d0", FROM_MS + 120_000, 0);
    (silent.raw, silent.words, silent.quality) = (None, None, Quality::SILENT);
    store.commit(&[batch(1, minutes(0, 2)), batch(2, vec![silent]), batch(3, minutes(15, 16))]).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let mut out = Vec::new();
    let (tenant, facility) = (slug("acme"), slug("hall"));
    let how = (Resolution::QuarterHour, &calendar());
    assert_eq!(dump_buckets(&reader, (&tenant, &facility), &(i64::MIN..i64::MAX), how, &mut out).unwrap(), 2);
    let expected = "device,point,unit,from,to,expected,readings,usable,estimated,edited,quality,smallest,largest,mean,first,last,passed,passed_to,breaks,sum_raw,exponent,lsn_from,lsn_to
d0,e_imp,kWh,2026-03-28T22:00:00Z,2026-03-28T22:15:00Z,15,3,2,0,0,bad:comm_error+no_value,10,10.02,10.01,10,10.02,0.3,2026-03-28T22:15:00Z,0,2002,-2,1,2
d0,e_imp,kWh,2026-03-28T22:15:00Z,2026-03-28T22:30:00Z,15,1,1,0,0,good,10.3,10.3,10.3,10.3,10.3,0,2026-03-28T22:15:00Z,0,1030,-2,3,3
";
    let numbers_of_log = |text: &str| text.lines().map(|line| line.rsplitn(3, ',').last().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(numbers_of_log(&String::from_utf8(out).unwrap()), numbers_of_log(expected));
}

#[test]
fn how_many_readings_there_should_be_is_read_off_them() {
    let dir = folder();
    let store = open(dir.path());
    let hourly = (0..48).filter(|hour| hour % 5 != 3).map(|hour| row("d1", FROM_MS + hour * 3_600_000, hour));
    store.commit(&[batch(1, minutes(0, 90)), batch(2, hourly.collect())]).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let range = FROM_MS..FROM_MS + 48 * 3_600_000;
    let utc = FacilityCalendar::new(jiff::tz::TimeZone::UTC);
    let days = reader.buckets(SeriesId(2), i64::MIN..i64::MAX, Resolution::Day, &utc).unwrap();
    assert_eq!(days.iter().map(|day| day.expected.unwrap()).collect::<Vec<_>>(), [24, 24, 24]);
    let Completeness { present, .. } = reader.completeness(SeriesId(2), range, 3_600_000).unwrap();
    assert_eq!(days.iter().map(|day| day.readings).sum::<u64>(), present);
}
