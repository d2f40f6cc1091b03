//! What is told is told once.

use super::*;

/// Three days of a meter, with an hour missing on the second.
fn three_days(house: &mut House) {
    let whole = |minute: &i64| !(1_440 + 600..1_440 + 660).contains(minute);
    let readings: Vec<(i64, i64)> = (0..3 * 1_440).filter(whole).map(|minute| (minute, minute * 2)).collect();
    house.meter("main", &readings);
}

fn days(events: &[Event]) -> Vec<(String, bool, String)> {
    let of_days = events.iter().filter(|event| event.topic == "facility_day_complete");
    of_days
        .map(|event| {
            let passed_by = event.payload["passed_by"].as_str().unwrap().to_owned();
            (event.subject.clone(), event.payload["complete"].as_bool().unwrap(), passed_by)
        })
        .collect()
}

#[test]
fn a_day_is_told_once_when_it_is_complete_or_its_grace_is_over() {
    let mut house = House::new(VeeConfig::default());
    three_days(&mut house);
    let said =
        |house: &House| days(&house.events()).into_iter().map(|(date, complete, by)| format!("{date} {complete} {by}")).collect::<Vec<_>>();
    house.look(at(1_000));
    assert_eq!(said(&house), [""; 0]);
    house.look(at(1_440));
    assert_eq!(said(&house), ["2026-03-02 true watermark"]);
    house.look(at(3 * 1_440));
    assert_eq!(said(&house).len(), 1, "an hour may still come");
    house.restart();
    house.look(at(4 * 1_440));
    let all = ["2026-03-02 true watermark", "2026-03-03 false grace", "2026-03-04 true watermark"];
    assert_eq!(said(&house), all);
    for _ in 0..3 {
        house.restart();
        house.look(at(4 * 1_440 + 5));
    }
    assert_eq!(said(&house), all);
    let mut second = house.events()[1].clone();
    second.payload["lsn"] = 0.into();
    insta::assert_json_snapshot!(second.payload);
    // What changes afterwards is told to whoever has used the day.
    house.ask(Ask::Estimate { device: None, point: None, from: at(1_440), to: at(2_880), dry_run: false }).unwrap();
    let news: Vec<_> =
        house.events().iter().filter(|event| event.topic == "facility_day_changed").map(|event| event.subject.clone()).collect();
    assert_eq!(news, ["2026-03-03/1"]);
}

#[test]
fn what_is_late_and_comes_in_time_is_waited_for() {
    let mut house = House::new(VeeConfig::default());
    three_days(&mut house);
    house.look(at(2 * 1_440 + 30));
    assert_eq!(days(&house.events()).len(), 1);
    let hour: Vec<(i64, i64)> = (1_440 + 600..1_440 + 660).map(|minute| (minute, minute * 2)).collect();
    house.meter("main", &hour);
    house.look(at(2 * 1_440 + 40));
    assert_eq!(days(&house.events())[1], ("2026-03-03".to_owned(), true, "watermark".to_owned()));
}

#[test]
fn what_comes_after_its_day_was_told_is_told_once() {
    let mut house = House::new(VeeConfig::default());
    three_days(&mut house);
    let now = at(4 * 1_440);
    house.look(now);
    let back = |house: &House| house.runtime.block_on(house.job(now).look_back()).unwrap();
    let changed = |house: &House| {
        let changed = house.events().into_iter().filter(|event| event.topic == "facility_day_changed");
        changed.map(|event| event.subject).collect::<Vec<_>>()
    };
    back(&house);
    assert_eq!(changed(&house), [""; 0]);
    house.meter("main", &(1_440 + 600..1_440 + 630).map(|minute| (minute, minute * 2)).collect::<Vec<_>>());
    for _ in 0..2 {
        back(&house);
        house.restart();
    }
    assert_eq!(changed(&house), ["2026-03-03/late-1410"]);
    // An estimate is told as the change it is, and is nothing that came late.
    house.ask(Ask::Estimate { device: None, point: None, from: at(1_440), to: at(2_880), dry_run: false }).unwrap();
    back(&house);
    assert_eq!(changed(&house), ["2026-03-03/late-1410", "2026-03-03/1"]);
}

#[test]
fn a_look_that_is_killed_anywhere_tells_nothing_twice() {
    let mut house = House::new(VeeConfig { estimate: true, ..VeeConfig::default() });
    three_days(&mut house);
    let received = house.received();
    // Cut off a little later each time, until one comes to its end.
    let mut killed = 0;
    for micros in (0..).map(|round: u64| round * round * 400) {
        let job = house.job(at(6 * 1_440));
        let look = async { while job.look(true).await.unwrap() {} };
        let done = house.runtime.block_on(async { tokio::time::timeout(Duration::from_micros(micros), look).await }).is_ok();
        drop(job);
        house.restart();
        if done {
            break;
        }
        killed += 1;
    }
    assert!(killed > 2, "{killed}");
    house.look(at(6 * 1_440));
    let told = days(&house.events());
    let dates: Vec<&str> = told.iter().map(|(date, ..)| date.as_str()).collect();
    assert_eq!(dates, ["2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"][..dates.len()]);
    assert!(dates.len() >= 3 && told[1].1, "the hour is estimated before its day is told: {told:?}");
    assert_eq!(house.received(), received);
    // Each reading that was missing has one estimate, however often it was begun.
    let history = house.reader().history(SeriesId(1), START + (1_440 + 600) * MINUTE..START + (1_440 + 660) * MINUTE).unwrap();
    assert_eq!((history.len(), history.iter().all(|sample| sample.seq == 0)), (60, true));
    let open = house.runtime.block_on(house.desk().journal.changes(None, 100)).unwrap();
    assert_eq!(open, [], "nothing is left half done");
}

#[test]
fn a_device_is_stale_once_and_fresh_once() {
    let mut house = House::new(VeeConfig::default());
    house.meter("main", &(0..30).map(|minute| (minute, minute)).collect::<Vec<_>>());
    house.meter("spare", &(0..60).map(|minute| (minute, minute)).collect::<Vec<_>>());
    let topics = |house: &House| {
        house
            .events()
            .iter()
            .map(|event| format!("{} {}", event.topic, event.payload["device"].as_str().unwrap_or("-")))
            .collect::<Vec<_>>()
    };
    house.look(at(33));
    assert_eq!(topics(&house), [""; 0], "three polls may be missed");
    for minute in [35, 36, 37] {
        house.restart();
        house.look(at(minute));
    }
    assert_eq!(topics(&house), ["device_stale main"]);
    house.meter("main", &(36..60).map(|minute| (minute, minute)).collect::<Vec<_>>());
    house.look(at(60));
    house.look(at(61));
    assert_eq!(topics(&house), ["device_stale main", "device_fresh main"]);
    house.look(at(70));
    assert_eq!(topics(&house)[2..], ["device_stale main", "device_stale spare"]);
    // After a week nobody waits any more.
    house.look(at(60 + 7 * 1_440 + 1));
    assert_eq!(topics(&house).iter().filter(|topic| topic.starts_with("device_fresh")).count(), 3);
}

#[test]
fn a_clock_that_is_off_and_frames_that_are_gone_are_told() {
    let mut house = House::new(VeeConfig::default());
    house.meter("main", &(0..10).chain(12..30).map(|minute| (minute, minute)).collect::<Vec<_>>());
    let path = GatewayPath { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw") };
    let job = house.job(at(30));
    let frames = |job: &Job, from: i64, off_ms: i64| {
        (from..from + 8).for_each(|minute| job.live.pulses.frame(&path, START + minute * MINUTE, START + minute * MINUTE + off_ms));
    };
    frames(&job, 0, 45_000);
    job.live.pulses.lost(&path, START + 10 * MINUTE, Cause::SpoolFull);
    job.live.pulses.lost(&path, START + 11 * MINUTE, Cause::SpoolFull);
    house.runtime.block_on(async { job.look(false).await.unwrap() });
    house.runtime.block_on(async { job.look(false).await.unwrap() });
    assert_eq!(job.live.watched.gauges().skew_ms, -45_000);
    frames(&job, 10, 900);
    house.runtime.block_on(async { job.look(false).await.unwrap() });
    let told: Vec<_> = house.events().iter().map(|event| (event.topic.clone(), event.payload["skew_s"].clone())).collect();
    assert_eq!(told, [("clock_skew".to_owned(), (-45).into()), ("clock_true".to_owned(), 0.into())]);
    let (reader, config) = (house.reader(), VeeConfig::default());
    let range = START..START + 30 * MINUTE;
    let facts = house.runtime.block_on(Facts::of(&house.desk().journal, &slug("acme"), &slug("hall"), &range)).unwrap();
    let scene = Scene::new(&reader, &config, &slug("acme"), &slug("hall"), facts);
    insta::assert_snapshot!(report::gaps_text(&report::gaps(&scene, None, &range).unwrap()));
}
