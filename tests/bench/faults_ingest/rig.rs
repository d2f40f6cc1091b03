//! A broker and a collector in processes of their own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use collector::{Config, WriteConfig, WriteToken};
use rustix::process::{Pid, Signal, kill_process};
use sinks::{InfluxConfig, ReadApi, SinkConfig, TargetConfig};
use tempfile::TempDir;

use super::clock::JumpingClock;
use super::copy;
use super::failing_disk::{Failing, FailingDisk};
use super::{Result, at};

/// The token of the client that writes lines.
pub(crate) const TOKEN: &str = "line-writer";
/// The sink.
const COPY: &str = "copy";
const POLL: Duration = Duration::from_millis(10);
/// How long a collector may take to end when it is asked to.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs the embedded broker until the process is killed.
pub(crate) fn be_broker(listen: SocketAddr) -> Result<ExitCode> {
    broker::run(listen, broker::Limits::default())?;
    Ok(ExitCode::FAILURE)
}

/// Runs the collector as its own program does.
pub(crate) fn be_collector(store: PathBuf, listen: SocketAddr, broker: SocketAddr, flush_rows: usize, copy: SocketAddr) -> ExitCode {
    let slug = |text: &str| ids::Slug::parse(text).expect("a slug");
    let token = WriteToken {
        token: config::Secret::new(TOKEN),
        tenant: slug("acme"),
        facilities: Vec::new(),
        gateway: slug("lines"),
        points_per_second: None,
    };
    let clock = JumpingClock { offset: store.with_extension("clock") };
    let config = Config {
        ack_interval: Duration::from_millis(20),
        receive_maximum: 100,
        flush_rows,
        // A run is short, and its files of quarters are to be met by the faults too.
        quarters_from: 1,
        sinks: vec![copier(copy)],
        write: WriteConfig { tokens: vec![token], ..WriteConfig::default() },
        ..Config::new(store, listen, (broker.ip().to_string(), broker.port()))
    };
    let ended = tokio::runtime::Runtime::new().map(|runtime| {
        runtime.block_on(async {
            let stop = daemon::shutdown_signal().map_err(|err| err.to_string())?;
            collector::serve(config, Arc::new(clock), stop).await.map_err(|err| format!("{} ({:?})", daemon::chain(&err), err.exit_code()))
        })
    });
    match ended {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(text)) => {
            super::say(&text);
            // What the collector's own program says of a store that contradicts itself.
            if text.ends_with("(DataRefused)") { ExitCode::from(65) } else { ExitCode::FAILURE }
        }
        Err(err) => {
            super::say(&err.to_string());
            ExitCode::FAILURE
        }
    }
}

/// The copy in another database.
fn copier(address: SocketAddr) -> SinkConfig {
    let target = TargetConfig::Influx(InfluxConfig {
        url: format!("http://{address}"),
        org: "acme".to_owned(),
        bucket: "energy".to_owned(),
        token: None,
        timeout: copy::TIMEOUT,
        read_api: ReadApi::VictoriaMetrics,
        create_bucket: false,
    });
    SinkConfig {
        name: COPY.to_owned(),
        tenant: None,
        facilities: Vec::new(),
        batch_rows: 200,
        interval: Duration::from_millis(50),
        reconcile_days: 0,
        reconcile_at: Duration::ZERO,
        target,
    }
}

/// Both, and the folder of the store.
#[derive(Debug)]
pub(crate) struct Rig {
    folder: TempDir,
    disk: FailingDisk,
    pub(crate) broker: SocketAddr,
    pub(crate) admin: SocketAddr,
    flush_rows: u64,
    copy: SocketAddr,
    brokering: Option<Child>,
    collecting: Option<Child>,
}

impl Rig {
    /// On the address where the copy is.
    pub(crate) fn new(flush_rows: u64, copy: SocketAddr) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let disk = FailingDisk::build(folder.path())?;
        let (broker, admin) = (TcpListener::bind((copy.ip(), 0))?, TcpListener::bind((copy.ip(), 0))?);
        let (broker, admin) = (broker.local_addr()?, admin.local_addr()?);
        let mut rig = Self { folder, disk, broker, admin, flush_rows, copy, brokering: None, collecting: None };
        rig.start_broker()?;
        rig.start_collector(false)?;
        Ok(rig)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn command(&self, log: &str) -> Result<Command> {
        let log = self.folder.path().join(log);
        let log = File::options().create(true).append(true).open(&log).map_err(at(&log))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    pub(crate) fn start_broker(&mut self) -> Result<()> {
        let mut command = self.command("broker.log")?;
        self.brokering = Some(started(command.arg("broker").arg(self.broker.to_string()))?);
        Ok(())
    }

    /// Starts the collector; when `cramped`, where no file may become longer than a little.
    pub(crate) fn start_collector(&mut self, cramped: bool) -> Result<()> {
        let program = std::env::current_exe()?;
        let args = [
            "collector".to_owned(),
            self.store().display().to_string(),
            self.admin.to_string(),
            self.broker.to_string(),
            self.flush_rows.to_string(),
            self.copy.to_string(),
        ];
        let mut command = self.command("collector.log")?;
        if cramped {
            let mut shell = Command::new("sh");
            shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            // An ignored signal stays ignored in the program: its writes fail instead of killing it. In blocks of 512 bytes.
            shell.args(["-c", "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\""]).arg(program);
            command = shell;
        }
        self.disk.under(&mut command);
        self.collecting = Some(started(command.args(args))?);
        Ok(())
    }

    pub(crate) fn kill_broker(&mut self) -> Result<()> {
        kill(&mut self.brokering)
    }

    pub(crate) fn kill_collector(&mut self) -> Result<()> {
        kill(&mut self.collecting)
    }

    /// Stops the collector for a while, as a machine does that has too much to do.
    pub(crate) fn freeze_collector(&mut self, pause: Duration) -> Result<()> {
        let Some(child) = &self.collecting else { return Ok(()) };
        kill_process(Pid::from_child(child), Signal::STOP)?;
        std::thread::sleep(pause);
        kill_process(Pid::from_child(child), Signal::CONT)?;
        Ok(())
    }

    /// Lets the disk of the collector fail for a while; the collector runs on, or ends by itself.
    pub(crate) fn fail_disk(&self, how: Failing, pause: Duration) -> Result<()> {
        self.disk.fail(how, pause)
    }

    /// Starts what has ended by itself.
    pub(crate) fn ensure(&mut self) -> Result<()> {
        if self.collecting.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) {
            self.start_collector(false)?;
        }
        if self.brokering.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) {
            self.start_broker()?;
        }
        Ok(())
    }

    /// Waits until the collector has ended by itself; nothing when it runs.
    pub(crate) fn collector_ends(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let Some(child) = self.collecting.as_mut() else { return Ok(None) };
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(POLL);
        }
        Ok(None)
    }

    /// Asks the collector to end, and says whether it did so in time and well. Whoever is still ending by himself, because his disk
    /// failed before, is not ready: then the next one is asked.
    pub(crate) fn drain(&mut self) -> Result<bool> {
        let began = Instant::now();
        while !http(self.admin, "GET /readyz HTTP/1.1", "").is_ok_and(|(status, _)| status == 200) {
            if began.elapsed() > DRAIN {
                return Ok(false);
            }
            self.ensure()?;
            std::thread::sleep(POLL);
        }
        if let Some(child) = &self.collecting {
            kill_process(Pid::from_child(child), Signal::TERM)?;
        }
        Ok(self.collector_ends(DRAIN)?.is_some_and(|status| status.success()))
    }

    /// Has everything sent to the other database again, while the collector runs.
    pub(crate) fn copy_again(&self) -> Result<()> {
        Ok(sinks::ask_to_rewind(&self.store(), COPY, 0)?)
    }

    /// Sets the collector's clock forward or back.
    pub(crate) fn jump(&self, seconds: i64) -> Result<()> {
        let clock = self.store().with_extension("clock");
        Ok(std::fs::write(&clock, seconds.to_string()).map_err(at(&clock))?)
    }

    /// What the collector has said, for a run that went wrong.
    pub(crate) fn said(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("collector.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for child in [&mut self.collecting, &mut self.brokering] {
            if let Err(err) = kill(child) {
                super::say(&format!("a process could not be ended: {err}"));
            }
        }
    }
}

fn started(command: &mut Command) -> Result<Child> {
    Ok(command.spawn().map_err(|err| format!("{} could not be started: {err}", command.get_program().display()))?)
}

fn kill(child: &mut Option<Child>) -> Result<()> {
    if let Some(mut child) = child.take() {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

/// A loopback address that no other run has. The ports of a process that was killed are free until it is started again: on an
/// address that others use, one of them might be given such a port, and take what was meant for this run.
pub(crate) fn own_address() -> Ipv4Addr {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    let [.., run] = (1 + RUNS.fetch_add(1, Ordering::Relaxed) % 254).to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low, run)
}

/// Asks over HTTP. Gives the code and the body.
pub(crate) fn http(address: SocketAddr, head: &str, body: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(8)))?;
    write!(stream, "{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status")?;
    Ok((code, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}

/// What the folder of a store holds besides what it needs.
pub(crate) fn leave_behind(store: &Path) -> Result<()> {
    // It may have been killed before it had made any.
    let folder = store.join("wal");
    std::fs::create_dir_all(&folder).map_err(at(&folder))?;
    Ok(std::fs::write(folder.join("next.wal-new"), b"").map_err(at(&folder))?)
}
