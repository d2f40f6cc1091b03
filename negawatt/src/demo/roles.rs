//! The roles that run as processes of their own, so that they can be killed like real ones.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::DemoError;

/// How long a role may take to become ready, on a loaded machine.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long a role may take to stop when asked.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// A role of this binary in a process of its own.
#[derive(Debug)]
pub(crate) struct Role {
    name: &'static str,
    args: Vec<String>,
    log: PathBuf,
    ready: Ready,
    child: Child,
}

/// How one knows that a role serves.
#[derive(Debug, Clone)]
pub(crate) enum Ready {
    /// It accepts connections here.
    Accepts(std::net::SocketAddr),
    /// This address answers 200.
    Answers(String),
}

impl Role {
    /// Starts a role and waits until it serves.
    ///
    /// * Errors: it does not start, ends, or is not ready in time; its log file is named.
    pub(crate) async fn start(name: &'static str, args: Vec<String>, log: PathBuf, ready: Ready) -> Result<Self, DemoError> {
        let child = spawn(name, &args, &log)?;
        let mut role = Self { name, args, log, ready, child };
        role.wait_ready().await?;
        Ok(role)
    }

    /// Ends it as a power cut would: SIGKILL, no goodbye.
    pub(crate) async fn kill(&mut self) -> Result<(), DemoError> {
        self.child.kill().await.map_err(|err| DemoError::Role { name: self.name, err })
    }

    /// Starts it again, with what it left on disk.
    pub(crate) async fn restart(&mut self) -> Result<(), DemoError> {
        self.child = spawn(self.name, &self.args, &self.log)?;
        self.wait_ready().await
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<(), DemoError> {
        let refused = |err| DemoError::Role { name: self.name, err };
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).map_err(|err| refused(err.into()))?;
        }
        match tokio::time::timeout(STOP_WITHIN, self.child.wait()).await {
            Ok(ended) => ended.map(drop).map_err(refused),
            Err(_too_long) => self.child.kill().await.map_err(refused),
        }
    }

    async fn wait_ready(&mut self) -> Result<(), DemoError> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let ended = self.child.try_wait().map_err(|err| DemoError::Role { name: self.name, err })?;
            if let Some(status) = ended {
                return Err(DemoError::Ended { name: self.name, status: status.to_string(), log: self.log.clone() });
            }
            if self.serves().await {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(DemoError::NotReady { name: self.name, log: self.log.clone() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn serves(&self) -> bool {
        match &self.ready {
            Ready::Accepts(address) => tokio::net::TcpStream::connect(address).await.is_ok(),
            Ready::Answers(url) => match reqwest::get(url).await {
                Ok(answer) => answer.status().is_success(),
                Err(_not_yet) => false,
            },
        }
    }
}

fn spawn(name: &'static str, args: &[String], log: &Path) -> Result<Child, DemoError> {
    let refused = |err| DemoError::Role { name, err };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(log);
    let file = file.map_err(|err| DemoError::File { path: log.to_owned(), err })?;
    Command::new(std::env::current_exe().map_err(refused)?)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .kill_on_drop(true)
        .spawn()
        .map_err(refused)
}

/// A loopback address whose port is free now.
pub(crate) fn free_address() -> Result<std::net::SocketAddr, DemoError> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map_err(|err| DemoError::Role { name: "port", err })
}
