//! `negawatt up`: ready for a real gateway, on an empty machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use negawatt_tests::program::program;

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap()
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

struct Up {
    child: Child,
    broker: SocketAddr,
    collector: SocketAddr,
    api: SocketAddr,
}

impl Drop for Up {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

fn up(data: &std::path::Path, api: SocketAddr) -> Up {
    let (broker, collector) = (free(), free());
    let child = program("negawatt")
        .args(["--quiet", "up", "--data", data.to_str().unwrap(), "--broker", &broker.to_string()])
        .args(["--collector", &collector.to_string(), "--listen", &api.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Up { child, broker, collector, api }
}

#[test]
fn an_empty_machine_gets_a_platform() {
    let dir = tempfile::tempdir().unwrap();
    let mut up = up(&dir.path().join("data"), free());
    let mut first = String::new();
    BufReader::new(up.child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "negawatt is up\n");
    let page = get(up.api, "/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<html"), "{page}");
    assert!(get(up.api, "/v1/openapi.json").contains("\"openapi\":\"3.1"));
    assert!(get(up.api, "/v1/facilities").starts_with("HTTP/1.1 401"));
    let deadline = Instant::now() + Duration::from_secs(20);
    while !get(up.collector, "/readyz").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < deadline, "{}", get(up.collector, "/readyz"));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(get(up.collector, "/metrics").contains("negawatt_points_received_total"), "{}", get(up.collector, "/metrics"));
    assert!(TcpStream::connect(up.broker).is_ok());
}

#[test]
fn a_port_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut up = up(&dir.path().join("data"), taken.local_addr().unwrap());
    let status = up.child.wait().unwrap();
    let mut text = String::new();
    up.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(status.code(), Some(69), "{text}");
    assert!(text.contains(&up.api.to_string()) && text.contains("another program"), "{text}");
}
