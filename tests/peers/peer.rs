//! Finding, starting and ending programs that are not ours.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Longest that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Where a program of a Debian package is.
pub(crate) fn installed(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons live where only root looks.
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let mut found = places.map(|folder| folder.join(program)).filter(|file| file.is_file());
    found.next().unwrap_or_else(|| {
        panic!("`{program}` is not on this machine: install the Debian package `{package}`, or let `cargo xtask test` do it")
    })
}

/// The folder cargo builds into, of which this test is two levels below.
fn build_dir() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}

/// One of our own programs, as cargo has built it beside this test.
pub(crate) fn ours(program: &str) -> PathBuf {
    let file = build_dir().join(program);
    assert!(file.is_file(), "{} is not there: run `cargo build -p {program}`", file.display());
    file
}

/// A Python with pymodbus.
pub(crate) fn python() -> PathBuf {
    let told = std::env::var_os("NEGAWATT_PEERS_PYTHON").map(PathBuf::from);
    let python = told.unwrap_or_else(|| build_dir().parent().unwrap().join("peers-venv/bin/python"));
    assert!(
        python.is_file(),
        "{} is not there: `cargo xtask test` makes it, or let NEGAWATT_PEERS_PYTHON name a Python with pymodbus 3.16 and pyserial",
        python.display()
    );
    python
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A program that runs until it is killed, or dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Peer {
    /// Starts it with both outputs in a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let out = File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        Self::start_as_is(command, log)
    }

    /// Starts it with its outputs where they are.
    pub(crate) fn start_as_is(command: &mut Command, log: &Path) -> Self {
        let child = command.spawn().unwrap_or_else(|err| panic!("{:?} does not start: {err}", command.get_program()));
        Self { child, log: log.to_owned() }
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it listens.
    pub(crate) fn listening(&mut self, address: SocketAddr) {
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(ended) = self.child.try_wait().unwrap() {
                panic!("it ended with {ended} instead of listening on {address}:\n{}", self.log());
            }
            assert!(begin.elapsed() < PATIENCE, "it never listened on {address}:\n{}", self.log());
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Peer {
    /// SIGKILL, to this one process.
    fn drop(&mut self) {
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            tracing::warn!(id = self.child.id(), "a peer could not be ended");
        }
    }
}

/// Runs a program to its end.
pub(crate) fn output<A: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = A>) -> Output {
    let mut command = Command::new(program);
    command.args(args).env_remove("NEGAWATT_LOG").env("NO_COLOR", "1");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    // What our peers print in one go fits into a pipe.
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{command:?} did not end: {}", text(&child.wait_with_output().unwrap().stderr));
        }
        thread::sleep(PAUSE);
    }
    child.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One HTTP request. Version 1.0, so that the answer comes in one piece and the connection ends with it.
pub(crate) fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Looks again and again until it is so.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "it never came to this: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
