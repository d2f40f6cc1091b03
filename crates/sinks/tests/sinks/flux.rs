//! By way of the crate `influxdb2`: a server that is prepared, asked, and mended.

use std::sync::Arc;
use std::time::Duration;

use config::Secret;
use sinks::{DAY_MS, FirstUser, InfluxConfig, Onboarded, ReadApi, Reconciled, SinkConfig, Step, Target, TargetConfig};
use store::Reader;

use crate::rig::{DAY, Elsewhen, Rig, influx};
use crate::stub::{BUCKET, Fault, Stub, TOKEN};

async fn reconcile(rig: &Rig, repair: bool) -> Result<Reconciled, String> {
    let (config, dir) = (rig.config.clone(), rig.folder.path().to_owned());
    let rows = Target::new(&config).unwrap().rows().unwrap();
    let reader = Reader::open(&dir).unwrap();
    sinks::reconcile(&config, &rows, &reader, DAY, DAY + 2 * DAY_MS, repair).await.map_err(|err| daemon::chain(&err))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_is_found_out_and_mended() {
    let stub = Stub::start().await;
    stub.with(|held| held.faults.extend([Fault::Lie, Fault::Lie]));
    let mut rig = Rig::new(influx(&stub));
    for device in ["one", "two"] {
        rig.commit(device, 0..2_000, 0);
    }
    rig.start();
    rig.caught_up().await;
    rig.stop().await;
    assert_ne!(stub.raw(), rig.truth(), "it has lied");
    let told = reconcile(&rig, false).await.unwrap();
    assert_eq!((told.compared, told.different, told.repaired, told.sent, told.unresolved.len()), (4, 1, 0, 0, 1));
    let difference = &told.unresolved[0];
    assert_eq!((difference.device.as_str(), difference.day.as_str()), ("one", "2026-01-01"));
    let mended = reconcile(&rig, true).await.unwrap();
    assert_eq!((mended.different, mended.repaired, mended.left()), (1, 1, 0));
    assert_eq!(stub.raw(), rig.truth());
    assert_eq!(reconcile(&rig, true).await.unwrap(), Reconciled { compared: 4, ..Reconciled::default() });
    assert_eq!(stub.with(|held| held.deletes), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_night_it_is_compared_and_mended() {
    let stub = Stub::start().await;
    stub.with(|held| held.faults.push_back(Fault::Lie));
    let mut rig = Rig::new(influx(&stub));
    rig.commit("one", 0..2_000, 0);
    // Two in the morning, nearly, two days later.
    let night = 2 * 3_600_000;
    rig.clock = Arc::new(Elsewhen::new(DAY + 2 * DAY_MS + night - 500));
    (rig.config.reconcile_days, rig.config.reconcile_at) = (3, Duration::from_millis(night.unsigned_abs()));
    rig.start();
    rig.until("the night comes", |rig| rig.status().reconciled.is_some()).await;
    let done = rig.status().reconciled.unwrap();
    assert_eq!((done.compared, done.different, done.repaired, done.left()), (2, 1, 1, 0));
    assert_eq!(stub.raw(), rig.truth());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_or_too_much_is_removed_and_sent_again() {
    let stub = Stub::start().await;
    let mut rig = Rig::new(influx(&stub));
    rig.commit("one", 0..100, 0);
    rig.start();
    rig.caught_up().await;
    rig.stop().await;
    stub.with(|held| {
        let (tags, _) = held.points.keys().next().unwrap().clone();
        // One that nobody has sent, and one that nobody knows of: not ours.
        held.points.insert((tags.clone(), DAY + 77), [("raw".to_owned(), "5i".to_owned())].into());
        let mut foreign = tags;
        foreign.insert("device".to_owned(), "foreign".to_owned());
        held.points.insert((foreign, DAY), [("raw".to_owned(), "5i".to_owned())].into());
    });
    let mended = reconcile(&rig, true).await.unwrap();
    assert_eq!((mended.different, mended.repaired), (1, 1));
    let mut there = stub.raw();
    assert_eq!(there.remove(&("foreign".to_owned(), DAY)), Some(Some(5)));
    assert_eq!(there, rig.truth());
    assert_eq!(stub.with(|held| held.deletes), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_cannot_be_understood_are_errors_and_no_panics() {
    let stub = Stub::start().await;
    let mut rig = Rig::new(influx(&stub));
    rig.commit("one", 0..10, 0);
    let head = "#datatype,string,long,string,string,string,string,long,long,long,long\r\n#group,false,false,true,true,true,true,false,false,false,false\r\n#default,_result,,,,,,,,,\r\n,result,table,device,exponent,point,unit,count,greatest,least,sum\r\n";
    let answers = [
        // No number where one is promised: here the crate panics.
        (format!("{head},,0,one,-1,v1,V,x,1,1,1\r\n"), "the answer to a query could not be understood"),
        (format!("{head},,0,one,high,v1,V,1,1,1,1\r\n"), "a row of a query's answer could not be understood"),
        ("no annotations, at all\r\n".to_owned(), "annotations not found"),
        (
            "#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n,out of memory,897\r\n".to_owned(),
            "out of memory",
        ),
    ];
    for (says, expected) in answers {
        stub.with(|held| held.says = Some(says));
        let said = reconcile(&rig, true).await.unwrap_err();
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_made_when_the_server_is_well() {
    let stub = Stub::start().await;
    stub.with(|held| (held.buckets, held.well) = (Vec::new(), false));
    let mut rig = Rig::new(influx(&stub));
    if let TargetConfig::Influx(config) = &mut rig.config.target {
        config.create_bucket = true;
    }
    rig.commit("one", 0..100, 0);
    rig.start();
    rig.until("it sees that the server is not well", |rig| rig.status().problem.is_some_and(|said| said.contains("health"))).await;
    stub.with(|held| held.well = true);
    rig.caught_up().await;
    assert_eq!(stub.with(|held| held.buckets.clone()), [BUCKET]);
    assert_eq!(stub.raw(), rig.truth());
}

fn first() -> FirstUser {
    FirstUser { name: "root".to_owned(), password: Secret::new("correct horse") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_just_installed_is_set_up_once() {
    let stub = Stub::start().await;
    stub.with(|held| (held.buckets, held.fresh) = (Vec::new(), true));
    let mut rig = Rig::new(influx(&stub));
    let TargetConfig::Influx(config) = &mut rig.config.target else { unreachable!("the rig has an influx") };
    let token = config.token.take();
    let onboard = async |sink: &SinkConfig, first: Option<&FirstUser>, check| sinks::onboard(sink, first, check).await;
    let looked = onboard(&rig.config, Some(&first()), true).await;
    let found = looked.onboarded.unwrap();
    assert_eq!((found.setup, found.bucket, looked.token.is_none()), (Step::Missing, Step::Missing, true));
    assert!(stub.with(|held| held.fresh), "it was only looked at");
    let refused = onboard(&rig.config, None, false).await.onboarded.unwrap_err().to_string();
    assert!(refused.contains("nobody has set it up"), "{refused}");
    let weak = FirstUser { password: Secret::new("short"), ..first() };
    let refused = onboard(&rig.config, Some(&weak), false).await.onboarded.unwrap_err().to_string();
    assert!(refused.contains("at least 8 characters"), "{refused}");

    let made = onboard(&rig.config, Some(&first()), false).await;
    let Onboarded { server, version, setup, bucket, readings, .. } = &made.onboarded.unwrap();
    assert_eq!((server.as_str(), version.as_deref(), setup, bucket, readings), ("influxdb", Some("v2.7.0"), &Step::Made, &Step::Made, &0));
    assert_eq!((made.token.unwrap().expose(), stub.with(|held| held.buckets.clone())), (TOKEN, vec![BUCKET.to_owned()]));
    let TargetConfig::Influx(config) = &mut rig.config.target else { unreachable!("the rig has an influx") };
    config.token = token;
    rig.commit("one", 0..250, 0);
    rig.start();
    rig.caught_up().await;
    rig.stop().await;
    let again = onboard(&rig.config, Some(&first()), false).await;
    let found = again.onboarded.unwrap();
    assert_eq!((found.setup, found.bucket, found.readings), (Step::There, Step::There, 250));
    assert!(again.token.is_none(), "nobody new was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_first_user_is_given_whatever_fails_after_that() {
    let stub = Stub::start().await;
    stub.with(|held| (held.buckets, held.fresh, held.says) = (Vec::new(), true, Some("no annotations, at all\r\n".to_owned())));
    let rig = Rig::new(influx(&stub));
    let made = sinks::onboard(&rig.config, Some(&first()), false).await;
    let failed = made.onboarded.unwrap_err().to_string();
    assert!(failed.contains("annotations not found"), "{failed}");
    assert_eq!(made.token.unwrap().expose(), TOKEN);
    assert!(!stub.with(|held| held.fresh), "it was set up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_missing_is_made_and_what_is_wrong_is_told() {
    let stub = Stub::start().await;
    stub.with(|held| held.buckets = Vec::new());
    let mut rig = Rig::new(influx(&stub));
    let looked = sinks::onboard(&rig.config, None, true).await.onboarded.unwrap();
    assert_eq!((looked.setup, looked.bucket, stub.with(|held| held.buckets.len())), (Step::There, Step::Missing, 0));
    let made = sinks::onboard(&rig.config, None, false).await.onboarded.unwrap();
    assert_eq!((made.bucket, stub.with(|held| held.buckets.clone())), (Step::Made, vec![BUCKET.to_owned()]));
    stub.with(|held| held.well = false);
    let said = sinks::onboard(&rig.config, None, false).await.onboarded.unwrap_err().to_string();
    assert!(said.contains("503") || said.contains("health"), "{said}");
    stub.with(|held| held.well = true);
    let set = |rig: &mut Rig, change: fn(&mut InfluxConfig)| match &mut rig.config.target {
        TargetConfig::Influx(config) => change(config),
        _ => unreachable!("the rig has an influx"),
    };
    for (change, expected) in [
        ((|config| config.token = Some(Secret::new("another"))) as fn(&mut InfluxConfig), "401"),
        (|config| config.url = config.url.replace("http://", "https://"), "over plain HTTP"),
        (|config| config.read_api = ReadApi::VictoriaMetrics, "it is not InfluxDB"),
    ] {
        set(&mut rig, change);
        let said = sinks::onboard(&rig.config, None, false).await.onboarded.unwrap_err().to_string();
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
