//! Whatever a server answers: nothing is lost, nothing is there twice, and nobody else waits.

use std::time::{Duration, Instant};

use sinks::{SinkConfig, TargetConfig};

use crate::rig::{DAY, Rig, influx};
use crate::stub::{Fault, Manner, Stub};

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_leaves_a_whole_copy() {
    let faults = [
        Fault::Status(401, None),
        Fault::Status(403, None),
        Fault::Status(404, None),
        Fault::Status(408, None),
        Fault::Status(429, Some(1)),
        Fault::Status(500, None),
        Fault::Status(502, None),
        Fault::Status(503, Some(1)),
        Fault::Status(504, None),
        Fault::Status(302, None),
        Fault::Cut,
        Fault::TakeAndCut,
        Fault::Slow,
        Fault::TakeAndSlow,
    ];
    for fault in faults {
        let stub = Stub::start().await;
        stub.with(|held| held.faults.push_back(fault));
        let mut rig = Rig::new(influx(&stub));
        rig.commit("main", 0..120, 0);
        let begin = Instant::now();
        rig.start();
        rig.until("it says why it waits, and the cursor stays", |rig| {
            let status = rig.status();
            status.problem.is_some() && (status.lsn, status.written) == (0, 0)
        })
        .await;
        // Meanwhile readings come in as ever.
        let commit = Instant::now();
        rig.commit("other", 0..120, 0);
        assert!(commit.elapsed() < Duration::from_millis(900), "{fault:?}: the store waited for a sink");
        let status = rig.caught_up().await;
        if let Fault::Status(_, Some(after)) = fault {
            assert!(begin.elapsed() >= Duration::from_secs(after), "{fault:?}: it came before it was asked to");
        }
        assert_eq!((status.written, status.retried, status.rejected), (240, 1, 0), "{fault:?}");
        assert_eq!(stub.raw(), rig.truth(), "{fault:?}");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_becomes_a_dead_letter_and_all_others_arrive() {
    for manner in [Manner::Whole, Manner::Unprocessable, Manner::Partial] {
        let stub = Stub::start().await;
        let bad = [7_i64, 8, 63].map(|minute| DAY + minute * 60_000);
        stub.with(|held| (held.manner, held.poison) = (manner, bad.to_vec()));
        let mut rig = Rig::new(influx(&stub));
        rig.commit("main", 0..100, 0);
        rig.start();
        let status = rig.caught_up().await;
        assert_eq!((status.written, status.retried, status.rejected), (97, 0, 3), "{manner:?}");
        let mut expected = rig.truth();
        expected.retain(|(_, ts_ms), _| !bad.contains(ts_ms));
        assert_eq!(stub.raw(), expected, "{manner:?}");
        let letters = rig.store.dead_letters(10).unwrap();
        assert_eq!(letters.len(), 3);
        for letter in &letters {
            let text = String::from_utf8(letter.payload.clone()).unwrap();
            assert_eq!((letter.topic.as_str(), letter.reason.as_str(), letter.points), ("sink/copy", "sink_rejected", 0));
            assert!(text.starts_with("reading,device=main,") && text.contains("\n# "), "{text}");
            let said = if manner == Manner::Unprocessable { "failure writing points" } else { "not liked" };
            assert!(text.contains(said), "{text}");
        }
        // They came in once: the law of the store does not change.
        let counters = rig.store.counters();
        assert_eq!((counters.received(), counters.accepted), (100, 100));
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_too_large_is_halved() {
    let stub = Stub::start().await;
    stub.with(|held| held.bytes_max = 400);
    let mut rig = Rig::new(influx(&stub));
    rig.commit("main", 0..200, 0);
    rig.start();
    let status = rig.caught_up().await;
    assert_eq!((status.written, status.rejected), (200, 0));
    assert!(stub.with(|held| held.answers.contains(&413)));
    assert_eq!(stub.raw(), rig.truth());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refuses_everything_gets_nothing_thrown_away() {
    let stub = Stub::start().await;
    let all: Vec<i64> = (0..100).map(|minute| DAY + minute * 60_000).collect();
    stub.with(|held| held.poison = all);
    let mut rig = Rig::new(influx(&stub));
    rig.commit("main", 0..100, 0);
    rig.start();
    rig.until("it sees that it is no matter of single readings", |rig| {
        rig.status().problem.is_some_and(|problem| problem.contains("no matter of single readings"))
    })
    .await;
    assert_eq!((rig.status().rejected, rig.store.dead_letters(10).unwrap().len()), (0, 0));
    stub.with(|held| held.poison.clear());
    rig.caught_up().await;
    assert_eq!(stub.raw(), rig.truth());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_the_write_and_before_the_cursor_changes_nothing() {
    let stub = Stub::start().await;
    let mut rig = Rig::new(influx(&stub));
    for round in 0..8 {
        rig.commit("main", round * 100..(round + 1) * 100, 0);
        // It has the readings, and we do not learn of it.
        stub.with(|held| held.faults.push_back(Fault::TakeAndSlow));
        rig.start();
        let taken = usize::try_from(round * 100).unwrap();
        rig.until("the server has them", |_| stub.with(|held| held.points.len() > taken)).await;
        rig.crash().await;
        if round % 3 == 1 {
            rig.store.flush().unwrap();
        }
        stub.with(|held| held.faults.clear());
        rig.start();
        rig.caught_up().await;
        assert_eq!(stub.raw(), rig.truth(), "round {round}");
        rig.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_comes_last_also_out_of_segments_and_after_a_rewind() {
    let stub = Stub::start().await;
    let mut rig = Rig::new(influx(&stub));
    rig.commit("main", 0..60, 0);
    rig.store.flush().unwrap();
    rig.commit("main", 20..40, 1_000);
    rig.start();
    rig.caught_up().await;
    assert_eq!(stub.raw(), rig.truth());
    rig.store.compact().unwrap();
    stub.with(|held| held.points.clear());
    sinks::ask_to_rewind(rig.folder.path(), "copy", 0).unwrap();
    rig.until("it has been sent again", |_| stub.with(|held| held.points.len() == 60)).await;
    rig.caught_up().await;
    assert_eq!(stub.raw(), rig.truth());
    assert_eq!(sinks::asked_to_rewind(rig.folder.path(), "copy").unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_of_a_tenant_sees_no_other_and_another_place_gets_everything() {
    let stub = Stub::start().await;
    let mut rig = Rig::new(influx(&stub));
    rig.config.tenant = Some(ids::Slug::parse("somebody-else").unwrap());
    rig.commit("main", 0..60, 0);
    rig.start();
    rig.caught_up().await;
    rig.stop().await;
    assert!(stub.raw().is_empty());
    // The same sink, for all, at another address.
    let other = Stub::start().await;
    rig.config = SinkConfig { tenant: None, target: influx(&other), ..rig.config.clone() };
    rig.start();
    rig.caught_up().await;
    assert_eq!(other.raw(), rig.truth());
    assert!(matches!(&rig.config.target, TargetConfig::Influx(config) if config.url.ends_with(&other.addr.port().to_string())));
}
