//! What is answered while the store is not open yet.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::SystemClock;
use negawatt_collector::{Config, start};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio_util::sync::CancellationToken;

use crate::field::Field;

/// The whole answer; nothing when nobody listens.
fn ask(addr: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(addr).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    Some(answer)
}

#[test]
fn a_collector_that_reads_its_log_is_alive_and_has_not_started() {
    let field = Field::new();
    field.collector().stop();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Whoever holds the manifest makes the opening wait, as a long log would.
    let manifest = SqliteConnectOptions::new().filename(field.store().join("manifest.sqlite"));
    let mut held = runtime.block_on(manifest.connect()).unwrap();
    for sql in ["PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE"] {
        runtime.block_on(sqlx::raw_sql(sql).execute(&mut held)).unwrap();
    }
    let addr = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
    let config = Config::new(field.store().to_owned(), addr, ("127.0.0.1".to_owned(), 1));
    let stop = CancellationToken::new();
    let starting = runtime.spawn(start(config, Arc::new(SystemClock), stop.clone()));
    let begun = Instant::now();
    let answer = loop {
        match ask(addr, "/startupz") {
            Some(answer) => break answer,
            None => assert!(begun.elapsed() < Duration::from_secs(5), "nobody listens"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("bytes of its log are read"), "{answer}");
    for (path, code) in [("/livez", "200"), ("/version", "200"), ("/readyz", "503"), ("/v1/status", "503")] {
        let answer = ask(addr, path).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{path}: {answer}");
    }
    assert!(ask(addr, "/metrics").unwrap().to_lowercase().contains("retry-after: 1"));
    assert!(!starting.is_finished());
    runtime.block_on(held.close()).unwrap();
    let served = runtime.block_on(starting).unwrap().unwrap();
    let answer = ask(addr, "/startupz").unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("the log is read"), "no broker, and nobody may write: {answer}");
    assert!(ask(addr, "/v1/status").unwrap().starts_with("HTTP/1.1 200"));
    stop.cancel();
    runtime.block_on(served.ended()).unwrap();
    assert!(ask(addr, "/livez").is_none());
}

#[test]
fn an_address_is_free_again_when_the_store_could_not_be_opened() {
    let field = Field::new();
    field.collector().stop();
    std::fs::write(field.store().join("manifest.sqlite"), b"this is no database, and never was one").unwrap();
    let addr = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
    let config = Config::new(field.store().to_owned(), addr, ("127.0.0.1".to_owned(), 1));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = runtime.block_on(start(config, Arc::new(SystemClock), CancellationToken::new()));
    assert!(refused.is_err());
    assert!(TcpListener::bind(addr).is_ok());
}
