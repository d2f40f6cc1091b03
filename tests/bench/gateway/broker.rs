//! Mosquitto with a door for gateways, TLS both ways, and a plain one for whoever acknowledges.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use negawatt_tests::{certificates::certificates, program::free_address};

use super::Result;

const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
/// Where Debian puts daemons, beside the places of `PATH`.
const SBIN: &str = "/usr/sbin";

/// A running broker. It ends when this is dropped.
pub(super) struct Broker {
    process: Child,
    folder: PathBuf,
    secure: SocketAddr,
    plain: SocketAddr,
}

impl Broker {
    /// Starts it with certificates of its own in a folder.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        certificates(folder, "authority", &[("broker", "broker.example"), ("gateway", "gw-1")]);
        let (secure, plain) = (free_address(), free_address());
        let at = |name: &str| folder.join(name).display().to_string();
        let settings = format!(
            "user root\nper_listener_settings true\nlistener {} 127.0.0.1\nallow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\n\
             require_certificate true\nlistener {} 127.0.0.1\nallow_anonymous true\n",
            secure.port(),
            at("authority.pem"),
            at("broker.pem"),
            at("broker-key.pem"),
            plain.port()
        );
        fs::write(folder.join("mosquitto.conf"), settings)?;
        let places = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&places).chain([PathBuf::from(SBIN)]).map(|place| place.join("mosquitto"));
        let program = places.find(|file| file.is_file()).ok_or("mosquitto is not on this machine: `cargo xtask peers` installs it")?;
        let mut command = Command::new(program);
        command.arg("-c").arg(folder.join("mosquitto.conf")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let broker = Self { process: command.spawn()?, folder: folder.to_owned(), secure, plain };
        let began = Instant::now();
        while TcpStream::connect(plain).is_err() {
            if began.elapsed() > PATIENCE {
                return Err("mosquitto did not begin to listen".into());
            }
            thread::sleep(PAUSE);
        }
        Ok(broker)
    }

    /// The `[broker]` tables of a gateway's configuration.
    pub(super) fn tables(&self) -> String {
        let at = |name: &str| self.folder.join(name).display().to_string();
        format!(
            "[broker]\nurl = \"mqtts://{}\"\n[broker.tls]\nca = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"\nserver_name = \"broker.example\"\n",
            self.secure,
            at("authority.pem"),
            at("gateway.pem"),
            at("gateway-key.pem")
        )
    }

    /// The door without TLS.
    pub(super) const fn plain(&self) -> SocketAddr {
        self.plain
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill().and_then(|()| self.process.wait()));
    }
}
