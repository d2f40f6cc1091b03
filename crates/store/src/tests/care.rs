//! Looked over, copied, brought back and written out.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::ConnectOptions as _;
use units::Reason;

use super::*;
use crate::manifest::wait;
use crate::{Account, Amendment, BackupError, Format, LastBackup, Seal, backup, dump, fsck, last_backup, note_backup, restore};

/// Readings of two series in segments and in the log, one of them contradicted, one amended, a range sealed.
fn filled(dir: &Path) -> Store {
    let store = open(dir);
    let rows = |from: i64, to: i64| (from..to).flat_map(|minute| ["d0", "d1"].map(|device| row(device, minute * 60_000, minute))).collect();
    store.commit(&[batch(1, rows(0, 40))]).unwrap();
    store.flush().unwrap();
    store.commit(&[batch(2, rows(40, 60)), batch(3, vec![row("d0", 0, 9)])]).unwrap();
    let account = || Account {
        actor: "anna".to_owned(),
        reason: "billed".to_owned(),
        document: String::new(),
        approval: String::new(),
        at_ms: 1_769_904_000_000,
    };
    let (tenant, facility) = (slug("acme"), slug("hall"));
    let mut edited = row("d1", 60_000, 7);
    edited.quality = Quality::GOOD.with(Reason::Edited);
    let amendment = Amendment { tenant: tenant.clone(), facility: facility.clone(), rows: vec![edited], account: account() };
    store.amend(&amendment).unwrap();
    store.seal(&Seal { tenant, facility, from_ms: 0, to_ms: 1_200_000, account: account() }).unwrap();
    store.commit(&[batch(4, rows(60, 70)), batch(5, vec![row("d0", 120_000, 99)])]).unwrap();
    store
}

fn problems(dir: &Path) -> Vec<String> {
    fsck(dir).unwrap().problems.into_iter().map(|problem| problem.what).collect()
}

#[test]
fn a_whole_store_has_no_problem_whatever_was_done_to_it() {
    let dir = folder();
    let store = filled(dir.path());
    for round in 0..3 {
        let findings = fsck(dir.path()).unwrap();
        assert_eq!(findings.problems, [], "round {round}");
        assert_eq!((findings.rows, findings.audit_entries, findings.seals), (143, 2, 1), "round {round}");
        if round == 0 { store.flush().unwrap() } else { store.compact().unwrap() }
    }
}

#[test]
fn every_damage_is_found_and_named() {
    let dir = folder();
    drop(filled(dir.path()));
    let segment = dir.path().join("segments/0000000001.parquet");
    let whole = std::fs::read(&segment).unwrap();
    for at in [whole.len() / 3, whole.len() - 20] {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        std::fs::write(&segment, &damaged).unwrap();
        assert!(problems(dir.path()).iter().any(|what| what.contains("is not what was written")), "byte {at}");
    }
    std::fs::remove_file(&segment).unwrap();
    assert!(problems(dir.path()).iter().any(|what| what.contains("cannot be read")));
    std::fs::write(&segment, &whole).unwrap();

    let anchor = dir.path().join("anchors/2026-02-01");
    let text = std::fs::read_to_string(&anchor).unwrap();
    std::fs::write(&anchor, text.replace('1', "2")).unwrap();
    assert!(problems(dir.path()).iter().any(|what| what.contains("anchor")));
    std::fs::write(&anchor, text).unwrap();

    let stranger = dir.path().join("segments/0000000999.parquet");
    std::fs::write(&stranger, b"PAR1").unwrap();
    assert!(problems(dir.path()).iter().any(|what| what.contains("not part of the store")));
    std::fs::remove_file(&stranger).unwrap();
    assert_eq!(problems(dir.path()), Vec::<String>::new());
}

#[test]
fn a_copy_costs_what_is_new_and_comes_back_whole() {
    let (dir, copy, back) = (folder(), folder(), folder());
    let store = filled(dir.path());
    let first = backup(dir.path(), copy.path()).unwrap();
    assert_eq!((first.snapshot.as_str(), first.segments, first.copied), ("snapshot-000001", 2, 2));
    store.commit(&[batch(6, vec![row("d0", 7_200_000, 1)])]).unwrap();
    let again = backup(dir.path(), copy.path()).unwrap();
    assert_eq!((again.snapshot.as_str(), again.copied, again.copied_bytes), ("snapshot-000002", 0, 0), "only the log is new");
    let expected = all(dir.path());
    drop(store);

    let to = back.path().join("store");
    let findings = restore(copy.path(), &to).unwrap();
    assert_eq!((findings.rows, findings.seals), (144, 1));
    assert_eq!(all(&to), expected);
    let restored = open(&to);
    assert_eq!(restored.ack_state(&origin(), SPOOL).contiguous_seq, 6);
    assert!(matches!(restore(copy.path(), &to), Err(BackupError::NotEmpty { .. })));
    assert!(matches!(restore(back.path(), &back.path().join("other")), Err(BackupError::Absent { .. })));

    // After a merge the copy forgets what it was made of.
    restored.compact().unwrap();
    let merged = backup(&to, copy.path()).unwrap();
    assert_eq!((merged.segments, merged.copied), (1, 1));
    let files = std::fs::read_dir(copy.path().join("segments")).unwrap().count();
    assert_eq!(files, 1);
}

/// A journal as the collector keeps one, with so many entries more.
fn journal(dir: &Path, entries: u32) -> u32 {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("vee.sqlite")).create_if_missing(true);
    let options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    let mut connection = wait(options.connect()).unwrap();
    wait(sqlx::raw_sql("CREATE TABLE IF NOT EXISTS changes (id INTEGER PRIMARY KEY, what TEXT NOT NULL)").execute(&mut connection))
        .unwrap();
    for _ in 0..entries {
        wait(sqlx::query("INSERT INTO changes (what) VALUES ('estimated by linear/1')").execute(&mut connection)).unwrap();
    }
    wait(sqlx::query_scalar("SELECT count(*) FROM changes").fetch_one(&mut connection)).unwrap()
}

#[test]
fn the_journal_beside_the_readings_goes_with_them() {
    let (dir, copy, back) = (folder(), folder(), folder());
    let store = filled(dir.path());
    assert_eq!(backup(dir.path(), copy.path()).unwrap().journal_bytes, 0, "there is none yet");
    assert_eq!(fsck(dir.path()).unwrap().companions, 0);
    journal(dir.path(), 500);
    let report = backup(dir.path(), copy.path()).unwrap();
    assert!(report.journal_bytes > 4_096, "{report:?}");
    // What comes later is not in it.
    journal(dir.path(), 1);
    let to = back.path().join("store");
    assert_eq!(restore(copy.path(), &to).unwrap().companions, 1);
    assert_eq!((journal(&to, 0), journal(dir.path(), 0)), (500, 501));
    drop(store);

    // One bit of it, and the copy is none.
    let kept = copy.path().join(report.snapshot).join("vee.sqlite");
    let mut bytes = std::fs::read(&kept).unwrap();
    let at = bytes.len() - 9;
    bytes[at] ^= 1;
    std::fs::write(&kept, &bytes).unwrap();
    let err = restore(copy.path(), &back.path().join("other")).unwrap_err();
    assert!(matches!(err, BackupError::NotWhole { .. }) && err.to_string().contains("vee.sqlite"), "{err}");
    // And in the store itself: a page that is none.
    std::fs::remove_file(to.join("vee.sqlite-wal")).unwrap_or_default();
    let mut bytes = std::fs::read(to.join("vee.sqlite")).unwrap();
    bytes[4_096..4_160].fill(0xff);
    std::fs::write(to.join("vee.sqlite"), &bytes).unwrap();
    let problems = fsck(&to).unwrap().problems;
    assert!(problems.iter().any(|problem| problem.path.ends_with("vee.sqlite")), "{problems:?}");
}

#[test]
fn a_journal_that_is_written_all_the_while_is_copied_whole() {
    let (dir, copy) = (folder(), folder());
    drop(filled(dir.path()));
    journal(dir.path(), 1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                journal(dir.path(), 3);
                std::thread::sleep(std::time::Duration::from_millis(250));
            }
        });
        for _ in 0..5 {
            let before = journal(dir.path(), 0);
            backup(dir.path(), copy.path()).unwrap();
            let back = folder();
            assert_eq!(restore(copy.path(), &back.path().join("store")).unwrap().problems, []);
            assert!(journal(&back.path().join("store"), 0) >= before);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_store_remembers_when_it_was_copied() {
    let dir = folder();
    assert_eq!(last_backup(dir.path()), None);
    let last = LastBackup { at_ms: 1_790_000_000_123, snapshot: "snapshot-000007".to_owned(), to: "/mnt/copies/a b".into() };
    note_backup(dir.path(), &last).unwrap();
    assert_eq!(last_backup(dir.path()), Some(last.clone()));
    std::fs::write(dir.path().join("last-backup.json"), "{").unwrap();
    assert_eq!(last_backup(dir.path()), None);
    assert!(note_backup(&dir.path().join("gone"), &last).is_err());
}

#[test]
fn a_damaged_copy_is_not_brought_back() {
    let (dir, copy, back) = (folder(), folder(), folder());
    drop(filled(dir.path()));
    backup(dir.path(), copy.path()).unwrap();
    let segment = copy.path().join("segments/0000000002.parquet");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let err = restore(copy.path(), &back.path().join("store")).unwrap_err();
    assert!(err.to_string().contains("0000000002.parquet"), "{err}");
}

#[test]
fn a_copy_beside_a_busy_writer_is_a_whole_store() {
    let (dir, copy) = (folder(), folder());
    let store = Store::open(dir.path(), Options { flush_rows: 300, wal_file_bytes: 16 << 10, ..options() }).unwrap();
    store.commit(&[batch(1, vec![row("d0", 0, 0)])]).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seq = 2;
            while !done.load(Ordering::Relaxed) {
                let first = i64::try_from(seq).unwrap() * 10;
                store.commit(&[batch(seq, (first..first + 10).map(|minute| row("d0", minute * 60_000, minute)).collect())]).unwrap();
                seq += 1;
            }
        });
        for round in 0..8 {
            backup(dir.path(), copy.path()).unwrap();
            let back = folder();
            let findings = restore(copy.path(), &back.path().join("store")).unwrap();
            assert_eq!(findings.rows % 10, 1, "round {round}: whole commits");
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn readings_are_written_out_for_others() {
    let dir = folder();
    let store = open(dir.path());
    let mut silent = row("d0", 60_000, 0);
    (silent.raw, silent.words, silent.quality) = (None, None, Quality::SILENT);
    store.commit(&[batch(7, vec![row("d0", 0, -12_345), silent])]).unwrap();
    store.commit(&[batch(8, vec![crate::Row { point: "odd, name".into(), ..row("d0", 0, 5) }, row("d0", 0, 6)])]).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let (tenant, facility) = (slug("acme"), slug("hall"));
    let write = |format| {
        let mut out = Vec::new();
        assert_eq!(dump(&reader, (&tenant, &facility), &(0..120_000), format, &mut out).unwrap(), 4);
        out
    };
    let csv = String::from_utf8(write(Format::Csv)).unwrap();
    let expected = "device,point,unit,ts,value,quality,version,seq,raw,exponent
d0,e_imp,kWh,1970-01-01T00:00:00Z,-123.45,good,0,7,-12345,-2
d0,e_imp,kWh,1970-01-01T00:00:00Z,0.06,uncertain:conflict,1,8,6,-2
d0,e_imp,kWh,1970-01-01T00:01:00Z,,bad:comm_error+no_value,0,7,,-2
d0,\"odd, name\",kWh,1970-01-01T00:00:00Z,0.05,good,0,8,5,-2
";
    assert_eq!(csv, expected);
    let lines = String::from_utf8(write(Format::LineProtocol)).unwrap();
    let expected = "reading,device=d0,facility=hall,point=e_imp,tenant=acme,unit=kWh raw=-12345i,scale=-2i,q=0i,seq=7i,ver=0i 0
reading,device=d0,facility=hall,point=e_imp,tenant=acme,unit=kWh raw=6i,scale=-2i,q=17408i,seq=8i,ver=1i 0
reading,device=d0,facility=hall,point=e_imp,tenant=acme,unit=kWh scale=-2i,q=41024i,seq=7i,ver=0i 60000
reading,device=d0,facility=hall,point=odd\\,\\ name,tenant=acme,unit=kWh raw=5i,scale=-2i,q=0i,seq=8i,ver=0i 0
";
    assert_eq!(lines, expected);
    let parquet = crate::segment::Segment::open(bytes::Bytes::from(write(Format::Parquet))).unwrap();
    let rows = parquet.rows(0..4).unwrap();
    assert_eq!(
        rows.iter().map(|(id, sample)| (id.0, sample.raw)).collect::<Vec<_>>(),
        [(1, Some(-12_345)), (1, Some(6)), (1, None), (2, Some(5))]
    );
}
