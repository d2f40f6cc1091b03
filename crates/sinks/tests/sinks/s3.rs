//! Segments in an object store that speaks S3.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use config::Secret;
use sha2::{Digest as _, Sha256};
use sinks::{ExportManifest, ObjectsConfig, Reconciled, Target, TargetConfig};
use store::Reader;

use crate::rig::Rig;

type Held = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// One bucket, `lake`, by the path: no more of S3 than is used, and every request has to be signed.
async fn bucket() -> (std::net::SocketAddr, Held) {
    let held = Held::default();
    let router = Router::new()
        .route("/lake", get(list).post(remove))
        .route("/lake/", get(list).post(remove))
        .route("/lake/{*key}", put(write).get(read).delete(remove_one))
        .with_state(held.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, held)
}

fn signed(headers: &HeaderMap) {
    let signature = headers["authorization"].to_str().unwrap();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=key-id/"), "{signature}");
}

async fn write(State(held): State<Held>, Path(key): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    signed(&headers);
    held.lock().unwrap().insert(key, body);
    [("etag", "\"1\"")].into_response()
}

async fn read(State(held): State<Held>, Path(key): Path<String>, headers: HeaderMap) -> Response {
    signed(&headers);
    let found = held.lock().unwrap().get(&key).cloned();
    let head = [("etag", "\"1\""), ("last-modified", "Sat, 21 Nov 2026 10:00:00 GMT")];
    found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |body| (head, body).into_response())
}

async fn list(State(held): State<Held>, Query(asked): Query<BTreeMap<String, String>>, headers: HeaderMap) -> String {
    signed(&headers);
    assert_eq!(asked["list-type"], "2");
    let prefix = asked.get("prefix").map_or("", String::as_str);
    let held = held.lock().unwrap();
    let objects: String = held
        .iter()
        .filter(|(key, _)| key.starts_with(prefix))
        .map(|(key, body)| {
            let size = body.len();
            format!("<Contents><Key>{key}</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified><ETag>\"1\"</ETag><Size>{size}</Size></Contents>")
        })
        .collect();
    format!("<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>")
}

async fn remove_one(State(held): State<Held>, Path(key): Path<String>, headers: HeaderMap) -> StatusCode {
    signed(&headers);
    held.lock().unwrap().remove(&key);
    StatusCode::NO_CONTENT
}

/// Many at once.
async fn remove(State(held): State<Held>, headers: HeaderMap, body: String) -> String {
    signed(&headers);
    let mut removed = String::new();
    for key in body.split("<Key>").skip(1).map(|rest| rest.split_once("</Key>").unwrap().0) {
        held.lock().unwrap().remove(key);
        removed.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
    }
    format!("<?xml version=\"1.0\"?><DeleteResult>{removed}</DeleteResult>")
}

fn parquet(held: &Held) -> Vec<String> {
    held.lock().unwrap().keys().filter(|key| key.ends_with(".parquet")).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_has_the_segments_of_the_store_and_is_mended() {
    let (address, held) = bucket().await;
    let mut rig = Rig::new(TargetConfig::Objects(ObjectsConfig::S3 {
        endpoint: Some(format!("http://{address}")),
        region: "eu-central-1".to_owned(),
        bucket: "lake".to_owned(),
        prefix: "energy".to_owned(),
        access_key_id: Secret::new("key-id"),
        secret_access_key: Secret::new("key"),
    }));
    rig.config.interval = Duration::from_millis(50);
    rig.start();
    for round in 0..3 {
        rig.commit("main", round * 100..(round + 1) * 100, 0);
        let status = rig.caught_up().await;
        assert_eq!(status.written, 100 * (u64::try_from(round).unwrap() + 1), "what is in memory is moved, and copied");
    }
    let before = parquet(&held);
    assert!(before.len() == 3 && before.iter().all(|key| key.starts_with("energy/acme/hall/2026-01/")), "{before:?}");
    rig.stop().await;

    let (target, config) = (Target::new(&rig.config).unwrap(), rig.config.clone());
    let dir = rig.folder.path().to_owned();
    let compare = async |repair| sinks::compare(&config, &target, &Reader::open(&dir).unwrap(), 0, 0, repair).await.unwrap();
    assert_eq!(compare(false).await, Reconciled { compared: 3, ..Reconciled::default() });
    held.lock().unwrap().remove(&before[0]);
    held.lock().unwrap().insert(before[1].clone(), Bytes::from_static(b"rubbish"));
    assert_eq!(compare(false).await.different, 2);
    assert_eq!(compare(true).await, Reconciled { compared: 3, different: 2, repaired: 2, sent: 200, ..Reconciled::default() });
    rig.store.compact().unwrap();
    assert_eq!(compare(true).await.sent, 300);
    let after = parquet(&held);
    let manifest: ExportManifest = serde_json::from_slice(&held.lock().unwrap()["energy/manifest.json"]).unwrap();
    assert_eq!(after, manifest.files.iter().map(|file| format!("energy/{}", file.path)).collect::<Vec<_>>());
    let [file] = manifest.files.as_slice() else { panic!("{} files", manifest.files.len()) };
    assert_eq!((file.rows, hex::encode(Sha256::digest(&held.lock().unwrap()[&after[0]]))), (300, file.sha256.clone()));
}
