//! What is asked for and refused.

use super::*;

#[test]
fn an_exchange_that_was_written_down_says_what_passed() {
    let mut house = House::new(VeeConfig::default());
    let old = (0..60).map(|minute| (minute, 50_000 + minute));
    house.meter("main", &old.chain((60..120).map(|minute| (minute, minute - 55))).collect::<Vec<_>>());
    let findings = |house: &House| {
        let (reader, config) = (house.reader(), VeeConfig::default());
        let facts = house.runtime.block_on(Facts::of(&house.desk().journal, &slug("acme"), &slug("hall"), &(0..1))).unwrap();
        let scene = Scene::new(&reader, &config, &slug("acme"), &slug("hall"), facts);
        report::findings_text(&report::findings(&scene, None, &(START..START + DAY)).unwrap())
    };
    let before = findings(&house);
    let exchange = |closing: Option<&str>, opening: Option<&str>| Ask::Exchange {
        device: slug("main"),
        point: "e_imp".to_owned(),
        at: at(60),
        closing: closing.map(str::to_owned),
        opening: opening.map(str::to_owned),
    };
    assert!(matches!(house.ask(exchange(Some("1"), None)), Err(DeskError::Displays)));
    assert_eq!(house.ask(exchange(Some("500.62"), Some("0.01"))).unwrap().noted, Some(true));
    assert_eq!(house.ask(exchange(Some("500.62"), Some("0.01"))).unwrap().noted, Some(false));
    insta::assert_snapshot!(format!("{before}{}", findings(&house)));
}

#[test]
fn what_is_refused_says_why_and_changes_nothing() {
    let mut house = House::new(VeeConfig::default());
    house.meter("main", &(0..10).map(|minute| (minute, minute)).collect::<Vec<_>>());
    let (before, point) = (house.view(), "e_imp".to_owned());
    let errors = [
        house.ask(Ask::Set { device: slug("main"), point: "e_exp".to_owned(), at: at(0), value: "1".to_owned() }),
        house.ask(Ask::Set { device: slug("main"), point: point.clone(), at: at(0), value: "1.005".to_owned() }),
        house.ask(Ask::Withdraw { device: slug("main"), point, from: at(20), to: at(30) }),
        house.ask(Ask::Undo { id: 7 }),
        house.ask(Ask::Exchange { device: slug("main"), point: "v1".to_owned(), at: at(5), closing: None, opening: None }),
    ];
    let said: Vec<String> = errors.into_iter().map(|refused| refused.unwrap_err().to_string()).collect();
    insta::assert_snapshot!(said.join("\n"));
    assert_eq!(house.view(), before);
    assert_eq!(house.reader().audit().len(), 0);
}

#[test]
fn what_was_billed_is_changed_with_an_approval_alone() {
    let mut house = House::new(VeeConfig::default());
    house.meter("main", &(0..10).chain(15..30).map(|minute| (minute, minute)).collect::<Vec<_>>());
    let account = store::Account {
        actor: "bill".to_owned(),
        reason: "invoice".to_owned(),
        document: String::new(),
        approval: String::new(),
        at_ms: 0,
    };
    let (tenant, facility) = (slug("acme"), slug("hall"));
    house.desk().store.seal(&store::Seal { tenant, facility, from_ms: START, to_ms: START + 30 * MINUTE, account }).unwrap();
    let made = house.ask(Ask::Estimate { device: None, point: None, from: at(0), to: at(30), dry_run: false }).unwrap();
    assert_eq!((made.changes.len(), made.filled.len()), (0, 0), "nobody estimates what was billed");
    let set = |house: &House, approval: &str| {
        let change = Ask::Set { device: slug("main"), point: "e_imp".to_owned(), at: at(12), value: "0.12".to_owned() };
        let (actor, reason, document) = ("anna".to_owned(), "read by hand".to_owned(), String::new());
        let request =
            Request { tenant: slug("acme"), facility: slug("hall"), change, actor, reason, document, approval: approval.to_owned() };
        house.runtime.block_on(house.desk().ask(request, at(100)))
    };
    let err = set(&house, "").unwrap_err();
    assert!(err.to_string().contains("billed"), "{err}");
    assert_eq!(set(&house, "carl").unwrap().changes[0].readings, 1);
    let states: Vec<String> = house
        .runtime
        .block_on(house.desk().journal.changes(Some((&slug("acme"), &slug("hall"))), 10))
        .unwrap()
        .into_iter()
        .map(|changed| changed.state)
        .collect();
    assert_eq!(states, ["done", "void"]);
}

#[test]
fn a_change_that_was_cut_off_is_found_in_the_audit_log_or_came_to_nothing() {
    let mut house = House::new(VeeConfig::default());
    house.meter("main", &(0..10).map(|minute| (minute, minute)).collect::<Vec<_>>());
    house.ask(Ask::Set { device: slug("main"), point: "e_imp".to_owned(), at: at(3), value: "0.07".to_owned() }).unwrap();
    let journal = house.desk().journal.clone();
    let made = house.runtime.block_on(journal.change(1)).unwrap().unwrap();
    // As it was before the last step of the first, and after the first step of another.
    let (one, other) = house.runtime.block_on(async {
        let one = journal.intend(&made.change).await.unwrap();
        let other = journal.intend(&crate::vee::change::Change { at_ms: 1, ..made.change.clone() }).await.unwrap();
        (one, other)
    });
    let mut account = house.reader().audit()[0].account.clone();
    account.document = format!("vee change {one}; photo 7");
    let mut row = Row {
        device: slug("main"),
        point: "e_imp".into(),
        unit: Unit::KilowattHour,
        exponent: -2,
        ts_ms: START,
        raw: Some(1),
        quality: Quality::GOOD,
        words: None,
    };
    row.quality = row.quality.with(Reason::Edited);
    house.desk().store.amend(&store::Amendment { tenant: slug("acme"), facility: slug("hall"), rows: vec![row], account }).unwrap();
    house.restart();
    let states: BTreeMap<i64, (String, Vec<u64>)> = house.runtime.block_on(async {
        let changes = house.desk().journal.changes(Some((&slug("acme"), &slug("hall"))), 10).await.unwrap();
        changes.into_iter().map(|changed| (changed.id, (changed.state, changed.entries))).collect()
    });
    assert_eq!(
        states,
        BTreeMap::from([(1, ("done".to_owned(), vec![1])), (one, ("done".to_owned(), vec![2])), (other, ("void".to_owned(), vec![]))])
    );
    assert!(Path::new(house.folder.path()).join("vee.sqlite").exists());
    assert_eq!(at(0) + SignedDuration::from_hours(24), at(1_440));
}

#[test]
fn a_reading_that_comes_while_it_is_estimated_has_the_last_word() {
    let mut house = House::new(VeeConfig::default());
    house.meter("main", &(0..10).chain(11..20).map(|minute| (minute, minute * 4)).collect::<Vec<_>>());
    house.ask(Ask::Estimate { device: None, point: None, from: at(0), to: at(20), dry_run: false }).unwrap();
    let planned = house.runtime.block_on(house.desk().journal.change(1)).unwrap().unwrap().change;
    house.ask(Ask::Undo { id: 1 }).unwrap();
    // The same change as it was planned, when the reading is there.
    house.meter("main", &[(10, 41)]);
    let made = house.runtime.block_on(house.desk().make(planned)).unwrap();
    assert_eq!(made.iter().map(|change| (change.way.as_str(), change.readings)).collect::<Vec<_>>(), [("linear/1", 2), ("overtaken", 2)]);
    let samples = house.reader().scan(SeriesId(1), START + 10 * MINUTE..START + 11 * MINUTE).unwrap();
    assert_eq!((samples[0].raw, samples[0].quality.has(Reason::Estimated)), (Some(41), false));
}
