//! `negawatt collector run` as those who operate it meet it: by its configuration, its pages, and the commands beside it.

mod backup;
mod imports;
mod otlp;
mod quotas;
mod startup;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use negawatt_tests::program::{free_address, program};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "Token t0p";

/// A collector that runs in a folder of its own.
struct Collector {
    child: Child,
    address: SocketAddr,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// What was answered.
struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|err| panic!("{err}: {}", self.body))
    }
}

impl Collector {
    /// Starts one on the store of a folder; `more` is added to its configuration.
    fn start(folder: &Path, broker: SocketAddr, more: &str) -> Self {
        let (address, config) = (free_address(), folder.join("collector.toml"));
        let text = format!("store = {:?}\nlisten = \"{address}\"\n[broker]\nurl = \"mqtt://{broker}\"\n{more}\n", folder.join("store"));
        std::fs::write(&config, text).unwrap();
        let mut command = program("negawatt");
        command.args(["collector", "run", "--config"]).arg(&config).env("NEGAWATT_LOG", "warn").env("T0P", "t0p");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let collector = Self { child, address };
        collector.until("it lives", |one| TcpStream::connect(one.address).is_ok());
        collector
    }

    /// Starts one that takes lines of the tenant `acme`, and waits until it has started.
    fn writable(folder: &Path, more: &str) -> Self {
        let token = "[[write.token]]\ntoken = { env = \"T0P\" }\ntenant = \"acme\"\n";
        let collector = Self::start(folder, free_address(), &format!("{token}{more}"));
        collector.until("it has started", |one| one.get("/startupz").code == 200);
        collector
    }

    /// Ends it as systemd does.
    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is(self) {
            assert!(begun.elapsed() < PATIENCE, "it never came to that: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, b"")
    }

    fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.ask("POST", path, body)
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let kind = if body.first() == Some(&b'{') { "content-type: application/json\r\n" } else { "" };
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {TOKEN}\r\n{kind}content-length: {length}\r\n\r\n"
        )
        .unwrap();
        // A server that refuses does not wait for the whole body.
        let _gone: std::io::Result<()> = stream.write_all(body);
        let mut answer = Vec::new();
        let _reset: std::io::Result<usize> = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path} was answered with `{answer}`"));
        Answer { code: head.split(' ').nth(1).unwrap().parse().unwrap(), head: head.to_lowercase(), body: body.to_owned() }
    }

    /// The value of a metric, with its labels as they are written.
    fn metric(&self, name: &str) -> Option<f64> {
        let page = self.get("/metrics").body;
        page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }
}
