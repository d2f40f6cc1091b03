//! What is let go of, and what is not.

use units::FacilityCalendar;

use super::*;
use crate::{Account, Action, AmendError, Amendment, Bucket, Fate, Letting, Resolution, RetentionError, Seal, fsck};

/// First moments of the months of 2026, January first, in UTC.
const MONTHS: [i64; 5] = [1_767_225_600_000, 1_769_904_000_000, 1_772_323_200_000, 1_775_001_600_000, 1_777_593_600_000];

fn account(approval: &str) -> Account {
    Account {
        actor: "anna".to_owned(),
        reason: "kept for long enough".to_owned(),
        document: String::new(),
        approval: approval.to_owned(),
        at_ms: MONTHS[4],
    }
}

fn letting(keep_from_ms: i64, archive: Option<&Path>) -> Letting {
    Letting { tenant: slug("acme"), facility: slug("hall"), keep_from_ms, archive: archive.map(Path::to_owned), account: account("") }
}

/// An hour of minutes at the beginning of each of the first four months.
fn filled(dir: &Path) -> Store {
    let store = open(dir);
    let minutes = |from: i64| (0..60).map(move |minute| row("d0", from + minute * 60_000, from / 60_000 + minute));
    store.commit(&[batch(1, MONTHS.into_iter().take(4).flat_map(minutes).collect())]).unwrap();
    store
}

fn seal(store: &Store, from: usize, to: usize) {
    let (tenant, facility) = (slug("acme"), slug("hall"));
    store.seal(&Seal { tenant, facility, from_ms: MONTHS[from], to_ms: MONTHS[to], account: account("") }).unwrap();
}

fn hours(dir: &Path) -> Vec<Bucket> {
    let utc = FacilityCalendar::new(jiff::tz::TimeZone::UTC);
    Reader::open(dir).unwrap().buckets(SeriesId(1), i64::MIN..i64::MAX, Resolution::Hour, &utc).unwrap()
}

fn fates(dir: &Path, keep_from_ms: i64) -> Vec<(String, Fate)> {
    let months = Reader::open(dir).unwrap().old_months(&slug("acme"), &slug("hall"), keep_from_ms);
    months.into_iter().map(|month| (month.month, month.fate)).collect()
}

#[test]
fn what_is_billed_or_may_be_a_baseline_needs_an_archive_and_what_is_open_stays() {
    let dir = folder();
    let store = filled(dir.path());
    store.flush().unwrap();
    let named = |fates: &[Fate]| {
        ["2026-01", "2026-02", "2026-03", "2026-04"].into_iter().map(str::to_owned).zip(fates.iter().copied()).collect::<Vec<_>>()
    };
    assert_eq!(fates(dir.path(), MONTHS[2]), named(&[Fate::Drop, Fate::Drop]));
    assert_eq!(fates(dir.path(), MONTHS[2] - 1), named(&[Fate::Drop]), "a month that has not ended is kept");
    seal(&store, 1, 2);
    seal(&store, 3, 4);
    assert_eq!(fates(dir.path(), i64::MAX), named(&[Fate::History, Fate::Billed, Fate::Open, Fate::Billed]));
    let err = store.let_go_of(&letting(i64::MAX, None)).unwrap_err();
    assert!(matches!(&err, RetentionError::NeedsArchive { month, .. } if month == "2026-01"), "{err}");
    assert_eq!(Reader::open(dir.path()).unwrap().totals().rows, 240, "nothing was dropped");
    let mut nobody = letting(i64::MAX, Some(dir.path()));
    nobody.account.actor.clear();
    assert!(matches!(store.let_go_of(&nobody), Err(RetentionError::Unaccounted)));
}

#[test]
fn what_is_dropped_is_answered_for_archived_and_still_there_by_the_quarter() {
    let (dir, archive) = (folder(), folder());
    let store = filled(dir.path());
    seal(&store, 0, 1);
    seal(&store, 1, 2);
    store.commit(&[batch(2, vec![row("d0", MONTHS[3] + 3_600_000, 9)])]).unwrap();
    let before = hours(dir.path());
    let dropped = store.let_go_of(&letting(MONTHS[2], Some(archive.path()))).unwrap();
    assert_eq!(
        dropped.months.iter().map(|month| (month.month.as_str(), month.rows)).collect::<Vec<_>>(),
        [("2026-01", 60), ("2026-02", 60)]
    );
    assert_eq!((dropped.archived, dropped.entries.len()), (2, 2));
    let sums = std::fs::read_to_string(archive.path().join("acme/hall/2026-01/SHA256SUMS")).unwrap();
    let (hash, name) = sums.trim().split_once("  ").unwrap();
    let copy = archive.path().join("acme/hall/2026-01").join(name);
    assert_eq!(crate::care::sha256(&copy).unwrap(), hash);

    let check = |when: &str| {
        let reader = Reader::open(dir.path()).unwrap();
        assert_eq!(reader.scan(SeriesId(1), i64::MIN..MONTHS[2]).unwrap(), [], "{when}");
        let now = hours(dir.path());
        assert_eq!(now.len(), before.len(), "{when}");
        let same = |one: &Bucket, other: &Bucket| {
            (one.sum, one.readings, one.first, one.passing) == (other.sum, other.readings, other.first, other.passing)
        };
        assert!(now.iter().zip(&before).all(|(now, before)| same(now, before)), "{when}");
        let entries: Vec<_> =
            reader.audit().iter().filter(|entry| entry.action == Action::Drop).map(|entry| (entry.rows, entry.from_ms)).collect();
        assert_eq!(entries, [(60, MONTHS[0]), (60, MONTHS[1])], "{when}");
        assert_eq!(fsck(dir.path()).unwrap().problems, [], "{when}");
    };
    check("at once");
    let store = {
        drop(store);
        open(dir.path())
    };
    check("after a restart");
    store.compact().unwrap();
    check("after a compaction");
    // What comes late for it is kept, and changes no quarter of which the readings are gone; nobody amends what is not there.
    assert_eq!(
        store.commit(&[batch(3, vec![row("d0", MONTHS[0] + 30_000, 5), row("d0", MONTHS[0] + 7_200_000, 5)])]).unwrap()[0].accepted,
        2
    );
    store.compact().unwrap();
    let now = hours(dir.path());
    assert_eq!((now[0].readings, now[0].sum), (before[0].readings, before[0].sum));
    let mut edited = row("d0", MONTHS[0], 5);
    (edited.quality, edited.words) = (Quality::GOOD.with(units::Reason::Edited), None);
    let amendment = Amendment { tenant: slug("acme"), facility: slug("hall"), rows: vec![edited], account: account("carl") };
    assert!(matches!(store.amend(&amendment), Err(AmendError::Dropped { entry: 3, .. })));
    assert_eq!(fsck(dir.path()).unwrap().problems, []);
    // Of what is gone already nothing more goes.
    let again = store.let_go_of(&letting(MONTHS[2], Some(archive.path()))).unwrap();
    assert_eq!(again.months.iter().map(|month| month.rows).collect::<Vec<_>>(), [2]);
}

#[test]
fn killed_while_it_drops_it_is_dropped_or_all_there() {
    use crate::fault::{self, Step};
    for step in [Step::DerivedWritten, Step::DerivedPublished, Step::ManifestPublished, Step::LogTrimmed] {
        let dir = folder();
        let store = filled(dir.path());
        store.flush().unwrap();
        let before: Vec<i128> = hours(dir.path()).iter().map(|hour| hour.sum).collect();
        fault::arm(step, std::io::ErrorKind::Other);
        store.let_go_of(&letting(MONTHS[1], None)).unwrap_err();
        fault::disarm();
        drop(store);
        for round in 0..3 {
            let now: Vec<i128> = hours(dir.path()).iter().map(|hour| hour.sum).collect();
            assert_eq!(now, before, "{step:?}, round {round}");
            assert_eq!(fsck(dir.path()).unwrap().problems, [], "{step:?}, round {round}");
            let store = open(dir.path());
            if round == 1 {
                store.flush().unwrap();
            }
        }
        let rows = Reader::open(dir.path()).unwrap().totals().rows;
        assert_eq!(rows, if matches!(step, Step::DerivedWritten | Step::DerivedPublished) { 240 } else { 180 }, "{step:?}");
    }
}
