//! PostgreSQL has what the store has, in rows that people can ask.

use std::time::Duration;

use sinks::{DAY_MS, PostgresConfig, Reconciled, Target, TargetConfig};
use store::Reader;

use crate::database::Database;
use crate::rig::{DAY, Rig};

async fn reconcile(rig: &Rig, repair: bool) -> Reconciled {
    let rows = Target::new(&rig.config).unwrap().rows().unwrap();
    let reader = Reader::open(rig.folder.path()).unwrap();
    sinks::reconcile(&rig.config, &rows, &reader, DAY, DAY + 2 * DAY_MS, repair).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_has_every_reading_once_in_its_newest_version() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::new(folder.path());
    let peer = database.start();
    let url = format!("postgres://negawatt@{}/postgres", database.address);
    let mut rig = Rig::new(TargetConfig::Postgres(PostgresConfig {
        url,
        password: None,
        schema: "copy".to_owned(),
        timeout: Duration::from_secs(5),
    }));
    rig.config.batch_rows = 500;
    rig.commit("one", 0..2_000, 0);
    rig.commit("one", 100..200, 5_000);
    rig.start();
    rig.caught_up().await;
    // A crash and everything again; in between more that contradicts.
    rig.crash().await;
    rig.store.flush().unwrap();
    rig.commit("one", 150..160, 9_000);
    sinks::ask_to_rewind(rig.folder.path(), "copy", 0).unwrap();
    rig.start();
    rig.until("it is sent again", |rig| rig.status().written >= 4_189 && rig.status().lag_lsn == 0).await;
    let truth = rig.truth();
    assert_eq!(database.ask("SELECT count(*), count(raw) FROM copy.reading"), format!("{}|{}", 2_000, truth.values().flatten().count()));
    let sum: i64 = truth.values().flatten().sum();
    assert_eq!(database.ask("SELECT sum(raw) FROM copy.reading"), sum.to_string());
    let asked = "SELECT value, version, device FROM copy.readings WHERE ts = '2026-01-01 02:31:00Z'";
    assert_eq!(database.ask(asked), "915.1|2|one", "minute 151, twice contradicted, in tenths of a volt");
    assert_eq!(reconcile(&rig, false).await, Reconciled { compared: 2, ..Reconciled::default() });

    // It goes, and readings come; it is back, and somebody has been at it.
    drop(peer);
    rig.commit("two", 0..300, 0);
    rig.until("it sees that nobody is there", |rig| rig.status().problem.is_some()).await;
    let _peer = database.start();
    rig.caught_up().await;
    database.ask("DELETE FROM copy.reading WHERE ts = '2026-01-01 00:07:00Z'");
    database.ask("UPDATE copy.reading SET raw = raw + 1, version = 9 WHERE ts = '2026-01-02 00:07:00Z'");
    let found = reconcile(&rig, false).await;
    assert_eq!((found.compared, found.different, found.repaired), (3, 3, 0), "{found:?}");
    let mended = reconcile(&rig, true).await;
    assert_eq!((mended.different, mended.repaired), (3, 3), "{mended:?}");
    assert_eq!(reconcile(&rig, false).await, Reconciled { compared: 3, ..Reconciled::default() });
    let sum: i64 = rig.truth().values().flatten().sum();
    assert_eq!(database.ask("SELECT sum(raw) FROM copy.reading"), sum.to_string());
    rig.stop().await;
}
