//! SIGKILL, at any moment.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::rig::{PATIENCE, Rig, influx, truth};
use crate::stub::{Fault, Stub};

/// The built program of `examples`.
fn copier(store: &Path, stub: &Stub) -> Child {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("examples/copier");
    assert!(path.is_file(), "{} is not built: run `cargo build -p negawatt-sinks --examples`", path.display());
    let url = format!("http://{}", stub.addr);
    Command::new(path).arg(store).arg(url).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills it, and gives the last batch of which it said that it is durable.
fn kill(mut child: Child) -> u64 {
    child.kill().unwrap();
    child.wait().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    said.filter_map(|line| line.parse().ok()).last().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_write_and_cursor_loses_nothing_and_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::start().await;
    let (mut durable, mut between) = (0, 0);
    for round in 0..12_u64 {
        let child = copier(folder.path(), &stub);
        if round % 2 == 0 {
            // It dies while the server has taken a request, and before it can know.
            let answered = stub.with(|held| held.answers.len());
            let begin = Instant::now();
            while stub.with(|held| held.answers.len()) < answered + 3 {
                assert!(begin.elapsed() < PATIENCE, "it never wrote");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let had = stub.with(|held| {
                held.faults.push_back(Fault::TakeAndSlow);
                held.unanswered
            });
            while stub.with(|held| held.unanswered) == had {
                assert!(begin.elapsed() < PATIENCE, "it never wrote");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            between += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(40 + round * 37)).await;
        }
        durable = durable.max(kill(child));
        stub.with(|held| held.faults.clear());
    }
    assert_eq!(between, 6, "so many died in between");
    // Once more, to the end: whatever it says then is what it has.
    let child = copier(folder.path(), &stub);
    let begin = Instant::now();
    tokio::time::sleep(Duration::from_millis(300)).await;
    durable = durable.max(kill(child));
    let expected = truth(folder.path());
    let rows = u64::try_from(expected.len()).unwrap();
    assert!(rows >= durable * 40, "{rows} readings of {durable} batches that were durable");
    // The rest comes over without anybody who writes.
    let mut rig = Rig::reopen(folder, influx(&stub));
    rig.start();
    rig.caught_up().await;
    assert_eq!(stub.raw(), expected, "after {:?}", begin.elapsed());
    rig.stop().await;
}
