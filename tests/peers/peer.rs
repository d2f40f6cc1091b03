//! Finding, starting and ending programs that are not ours.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
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

/// A Python with pymodbus, minimalmodbus, pysunspec2, influxdb-client and pyarrow.
pub(crate) fn python() -> PathBuf {
    prepared(
        "NEGAWATT_PEERS_PYTHON",
        "peers-venv/bin/python",
        "a Python with pymodbus 3.16, pyserial, minimalmodbus, pysunspec2, influxdb-client and pyarrow",
    )
}

/// A Python with sdm_modbus, which needs an older pymodbus.
pub(crate) fn python_with_sdm_modbus() -> PathBuf {
    prepared("NEGAWATT_PEERS_PYTHON_SDM", "peers-venv-sdm/bin/python", "a Python with sdm_modbus 0.7 and pymodbus 3.6")
}

/// The command that runs modbus-serial, a Modbus library for Node.
pub(crate) fn modbus_serial() -> Command {
    let package =
        prepared("NEGAWATT_PEERS_MODBUS_SERIAL", "peers-node/node_modules/modbus-serial/package.json", "package.json of modbus-serial 8");
    let mut command = Command::new(installed("node", "nodejs"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/modbus_serial.cjs")).arg(package.parent().unwrap());
    command
}

/// The command that runs aedes, an MQTT broker for Node, on a port of the loopback address.
pub(crate) fn aedes(port: u16) -> Command {
    let package = prepared("NEGAWATT_PEERS_AEDES", "peers-node/node_modules/aedes/package.json", "package.json of aedes 2");
    let mut command = Command::new(installed("node", "nodejs"));
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/aedes_broker.mjs"))
        .arg(package.ancestors().nth(3).unwrap())
        .arg(port.to_string());
    command
}

/// A file of what `cargo xtask` installs beside what cargo builds, or one that a variable names.
fn prepared(variable: &str, file: &str, is: &str) -> PathBuf {
    let told = std::env::var_os(variable).map(PathBuf::from);
    let file = told.unwrap_or_else(|| build_dir().parent().unwrap().join(file));
    assert!(file.is_file(), "{} is not there: `cargo xtask test` makes it, or let {variable} name {is}", file.display());
    file
}

/// A script of ours in one of their languages.
pub(crate) fn script(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name));
    command
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

    /// Starts a script that says `ready` when it is, and ends with its standard input, even by a crash of ours. Gives what it says
    /// behind that word.
    pub(crate) fn ready(command: &mut Command, log: &Path) -> (Self, String) {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(log).unwrap());
        let mut peer = Self::start_as_is(command, log);
        let mut said = BufReader::new(peer.child.stdout.take().unwrap());
        let (tell, told) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            tell.send(line).unwrap();
        });
        let line = told.recv_timeout(PATIENCE).unwrap_or_else(|_late| panic!("{command:?} does not get ready:\n{}", peer.log()));
        let ready = line.trim().strip_prefix("ready").unwrap_or_else(|| panic!("{command:?} does not start:\n{}", peer.log()));
        (peer, ready.trim().to_owned())
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
    run(Command::new(program).args(args))
}

/// Runs a script to its end, which has to be good, and reads the JSON it prints.
pub(crate) fn answer(command: &mut Command) -> serde_json::Value {
    let done = run(command);
    assert!(done.status.success(), "{command:?}: {}{}", text(&done.stdout), text(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap_or_else(|err| panic!("{command:?}: {err}: {}", text(&done.stdout)))
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.env_remove("NEGAWATT_LOG").env("NO_COLOR", "1");
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
