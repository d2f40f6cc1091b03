//! Mosquitto 2.0 of Debian: the broker in front of our collector, and alone as one who only takes messages.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Result;
use super::field::Message;
use super::machine::{Server, free, installed};
use super::mqtt::Client;
use super::rival::Fed;

#[derive(Debug)]
pub(crate) struct Mosquitto {
    program: PathBuf,
    folder: PathBuf,
    pub(crate) address: SocketAddr,
    server: Option<Server>,
}

impl Mosquitto {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let program = installed("mosquitto").ok_or("the Debian package `mosquitto` is not installed")?;
        Ok(Self { program, folder: folder.to_owned(), address: free()?, server: None })
    }

    pub(crate) fn start(&mut self) -> Result<Duration> {
        std::fs::create_dir_all(&self.folder)?;
        let settings = self.folder.join("mosquitto.conf");
        // It keeps sessions on the disk, and no limit of its own stands before those of its clients.
        let (port, data) = (self.address.port(), self.folder.display());
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {data}/\nmax_inflight_messages 1000\n\
             max_queued_messages 0\nlog_type error\nset_tcp_nodelay true\nuser root\n"
        );
        std::fs::write(&settings, text)?;
        let mut server = Server::start(Command::new(&self.program).arg("-c").arg(settings), &self.folder.join("log"))?;
        let ready = server.ready(|| TcpStream::connect(self.address).is_ok())?;
        self.server = Some(server);
        Ok(ready)
    }

    fn server(&self) -> Result<&Server> {
        Ok(self.server.as_ref().ok_or("mosquitto does not run")?)
    }

    pub(crate) fn cpu(&self) -> Duration {
        self.server.as_ref().map(Server::cpu).unwrap_or_default()
    }

    pub(crate) fn memory_mib(&self) -> Result<f64> {
        self.server()?.memory_mib()
    }

    /// Takes messages that nobody has subscribed to.
    pub(crate) fn take(&self, messages: &[Message]) -> Result<Fed> {
        let (cpu, began) = (self.cpu(), Instant::now());
        Client::connect(self.address, "load", false)?.publish(messages)?;
        Ok(Fed { points: points(messages), cpu: self.cpu() - cpu, wall: began.elapsed() })
    }

    /// Takes messages for a session that is away, confirms them, is killed and started, and is asked for them: how many points are lost.
    pub(crate) fn lost_by_kill(&mut self, messages: &[Message]) -> Result<(u64, Duration)> {
        let mut away = Client::connect(self.address, "away", true)?;
        away.subscribe("nw/1/#")?;
        away.disconnect()?;
        Client::connect(self.address, "load", false)?.publish(messages)?;
        self.server.take().map_or(Ok(()), |mut server| server.kill())?;
        let ready = self.start()?;
        let found = Client::connect(self.address, "away", true)?.drain(Duration::from_secs(1))?;
        let lost = messages.iter().skip(usize::try_from(found)?).map(|message| message.points).sum();
        Ok((lost, ready))
    }
}

pub(crate) fn points(messages: &[Message]) -> u64 {
    messages.iter().map(|message| message.points).sum()
}
