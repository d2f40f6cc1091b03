use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn it_says_how_it_is_and_why() {
    let status = Arc::new(Status::default());
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = listen(address).await.unwrap_err();
    assert!(taken.to_string().contains(&address.to_string()) && taken.to_string().contains("http.listen"), "{taken}");
    let stop = CancellationToken::new();
    let serving = tokio::spawn(answer(listener, Arc::clone(&status), stop.clone()));

    assert_eq!(get(address, "/livez").await, (200, "ok\n".to_owned()));
    let (code, why) = get(address, "/readyz").await;
    assert_eq!(code, 503);
    insta::assert_snapshot!(why, @r"
    no device was polled yet
    readings wait here: there is no connection to the broker
    ");
    status.swept(&[]);
    status.connected(true, None);
    assert_eq!(get(address, "/readyz").await, (200, "ready\n".to_owned()));
    status.spool_fault(Some("No space left on device".to_owned()));
    assert_eq!(get(address, "/readyz").await, (503, "readings cannot be kept: No space left on device\n".to_owned()));

    let (_, text) = get(address, "/v1/status").await;
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&object["sweeps"], &object["connected"]), (&1.into(), &true.into()));
    assert!(get(address, "/version").await.1.contains("negawatt-gateway"));

    stop.cancel();
    serving.await.unwrap();
}
