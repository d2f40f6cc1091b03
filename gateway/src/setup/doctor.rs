//! Is this machine fit to be a gateway? Everything that keeps readings from being taken or kept, with the next step.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use daemon::Clock;
use rustix::fs::Access;
use tokio::{net::TcpStream, time::timeout};

use super::{
    Finding,
    ports::{SerialPort, serial_ports},
    speak::{Speaker, overheard},
};
use crate::{config::Config, modbus::Endpoint, spool::SpoolOptions};

const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
const LISTEN: Duration = Duration::from_secs(1);
/// Less room than this, and the spool cannot work.
const ROOM_MIN_BYTES: u64 = 64 << 20;
/// What time services leave behind when the clock is synchronised.
const SYNCED: [&str; 3] = ["run/systemd/timesync/synchronized", "run/chrony/chronyd.sock", "run/ntpd.pid"];

/// Examines the machine, and what the configuration names.
///
/// * Shape: `root` is where the machine's files begin, `/` but in tests.
pub async fn examine(config: Option<&Config>, root: &Path, clock: &dyn Clock) -> Vec<Finding> {
    let mut findings = vec![time(root, clock)];
    let ports = serial_ports(root);
    findings.extend(ports.iter().flat_map(serial_port));
    let Some(config) = config else { return findings };
    findings.push(disk(config));
    findings.push(spool(config));
    findings.push(broker(config).await);
    for bus in &config.buses {
        if let Endpoint::Rtu { path, .. } = &bus.endpoint {
            let known = ports.iter().any(|port| &port.path == path || &port.device == path);
            findings.push(line(&bus.endpoint, path, known).await);
        }
    }
    findings
}

fn time(root: &Path, clock: &dyn Clock) -> Finding {
    if !clock.is_set() {
        let next = "connect a time server (timedatectl set-ntp true): readings without a time cannot be billed";
        return Finding::red("clock", format!("the clock says {}", clock.now()), next);
    }
    match SYNCED.iter().find(|sign| root.join(sign).exists()) {
        Some(sign) => Finding::green("clock", format!("the clock is set and a time service keeps it (/{sign})")),
        None => Finding::amber(
            "clock",
            "the clock is set, and no time service was seen to keep it",
            "timedatectl set-ntp true; a clock that drifts puts readings into the wrong minute",
        ),
    }
}

fn serial_port(port: &SerialPort) -> Vec<Finding> {
    let name = port.path.display();
    let chip = port.chip.as_deref().unwrap_or("on the board");
    let mut findings = Vec::new();
    findings.push(match rustix::fs::access(&port.device, Access::READ_OK | Access::WRITE_OK) {
        Ok(()) => Finding::green("port", format!("{name} may be opened: {chip}")),
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
            let next = "sudo usermod -aG dialout $USER, then log in again";
            Finding::red("port", format!("this user may not open {name}: {chip}"), next)
        }
        Err(err) => Finding::amber("port", format!("{name} cannot be looked at: {err}"), "plug the adapter in again"),
    });
    if let Some(latency) = port.latency_ms.filter(|latency| *latency > 1) {
        let tty = port.device.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let what = format!("{name} keeps answers back for up to {latency} ms");
        let next = format!("echo 1 | sudo tee /sys/class/tty/{tty}/device/latency_timer; a udev rule keeps it so");
        findings.push(Finding::amber("latency-timer", what, next));
    }
    findings
}

/// The folder, or the nearest one above it that exists.
fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new(".")).to_owned()
}

fn disk(config: &Config) -> Finding {
    let folder = existing(&config.data_dir);
    let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
    let shown = config.data_dir.display();
    if let Err(err) = rustix::fs::access(&folder, Access::WRITE_OK) {
        return Finding::red("disk", format!("{shown} cannot be written to: {err}"), "give the folder to the user that runs the gateway");
    }
    match rustix::fs::statvfs(&folder) {
        Err(err) => Finding::amber("disk", format!("the room at {shown} is not known: {err}"), "see `df`"),
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let mib = |bytes: u64| bytes >> 20;
            let wanted = allowance(config);
            let what = format!("{} MiB free at {shown}, the spool may take {} MiB", mib(free), mib(wanted));
            if free < ROOM_MIN_BYTES {
                Finding::red("disk", what, "make room: without it no reading can be kept")
            } else if free < wanted {
                Finding::amber("disk", what, "make room, or lower spool.max")
            } else {
                Finding::green("disk", what)
            }
        }
    }
}

fn spool(config: &Config) -> Finding {
    let folder = config.data_dir.join("spool");
    if !folder.exists() {
        return Finding::grey("spool", format!("{} does not exist yet", folder.display()), Some("the gateway makes it when it starts"));
    }
    let bytes_in = |folder: PathBuf| -> u64 {
        let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
    };
    let (kept, harmed) = (bytes_in(folder.join("segments")), bytes_in(folder.join("quarantine")));
    // What was delivered is kept until its room is needed: a full spool is an ordinary spool, and the daemon itself tells what waits.
    let what = format!("{} MiB of {} MiB used, delivered readings among them", kept >> 20, allowance(config) >> 20);
    if harmed > 0 {
        let what = format!("{what}; {harmed} bytes were damaged and set aside");
        Finding::amber("spool", what, "the disk or its supply harms data: look at the power supply and the age of the card")
    } else {
        Finding::green("spool", what)
    }
}

/// What the daemon would let the spool take.
fn allowance(config: &Config) -> u64 {
    SpoolOptions::on_disk(&config.data_dir, config.spool.bytes_max).bytes_max
}

async fn broker(config: &Config) -> Finding {
    let address = format!("{}:{}", config.broker.host, config.broker.port);
    let next = "check name, port, cable and firewall; readings are kept until the broker can be reached";
    match timeout(BROKER_TIMEOUT, TcpStream::connect(&address)).await {
        Ok(Ok(_)) => Finding::green("broker", format!("{address} can be reached")),
        Ok(Err(err)) => Finding::red("broker", format!("{address} cannot be reached: {err}"), next),
        Err(_elapsed) => Finding::red("broker", format!("{address} gave no answer within {} s", BROKER_TIMEOUT.as_secs()), next),
    }
}

async fn line(endpoint: &Endpoint, path: &Path, known: bool) -> Finding {
    let name = path.display();
    let heard = match Speaker::open(endpoint).await {
        Ok(mut speaker) => speaker.listen(LISTEN).await,
        Err(err) => Err(err),
    };
    match heard {
        Ok(heard) if heard.is_empty() => {
            let note = if known { "" } else { " (not a port that the kernel lists)" };
            Finding::green("line", format!("nobody else talks on {name}{note}"))
        }
        Ok(heard) => {
            let frames = overheard(&heard).len();
            let what = format!("{} bytes and {frames} Modbus frames were heard on {name} in {} s", heard.len(), LISTEN.as_secs());
            Finding::red("line", what, "there is another master on this bus: stop it, two of them spoil one another's answers")
        }
        Err(err) if err.kind() == std::io::ErrorKind::ResourceBusy || err.to_string().contains("busy") => {
            Finding::green("line", format!("{name} is in use, by the gateway if it is running"))
        }
        Err(err) => super::scan::cannot_open(&name.to_string(), &err),
    }
}

#[cfg(test)]
mod tests {
    use daemon::SystemClock;
    use simulator::DrivenClock;

    use super::super::State;
    use super::*;

    fn config(folder: &Path, port: u16) -> Config {
        let text = format!(
            "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"{}/data\"\n[broker]\nurl = \"mqtt://127.0.0.1:{port}\"\n\
             [spool]\nmax = \"16MiB\"\n\
             [[bus]]\nname = \"room\"\nkind = \"rtu\"\npath = \"/dev/nowhere\"\n[[bus.device]]\nid = \"m\"\nunit = 1\nprofile = \"eastron-sdm630\"\n",
            folder.display()
        );
        Config::parse(Path::new("gateway.toml"), &text).unwrap()
    }

    fn states(findings: &[Finding]) -> Vec<(&str, State)> {
        findings.iter().map(|finding| (finding.check.as_str(), finding.state)).collect()
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_and_what_is_right_too() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = config(root, listener.local_addr().unwrap().port());
        let found = examine(Some(&good), root, &SystemClock).await;
        let expected =
            [("clock", State::Amber), ("disk", State::Green), ("spool", State::Grey), ("broker", State::Green), ("open", State::Red)];
        assert_eq!(states(&found), expected);
        assert!(found.iter().filter(|finding| finding.state >= State::Amber).all(|finding| finding.next.is_some()));

        fs::create_dir_all(root.join("run/systemd/timesync")).unwrap();
        fs::write(root.join("run/systemd/timesync/synchronized"), "").unwrap();
        fs::create_dir_all(root.join("data/spool/segments")).unwrap();
        fs::write(root.join("data/spool/segments/1"), vec![0; 15 << 20]).unwrap();
        let found = examine(Some(&config(root, 1)), root, &SystemClock).await;
        let expected =
            [("clock", State::Green), ("disk", State::Green), ("spool", State::Green), ("broker", State::Red), ("open", State::Red)];
        assert_eq!(states(&found), expected);
        fs::create_dir_all(root.join("data/spool/quarantine")).unwrap();
        fs::write(root.join("data/spool/quarantine/1"), "harmed").unwrap();
        let harmed = spool(&good);
        assert!(harmed.state == State::Amber && harmed.says.contains("6 bytes were damaged"), "{harmed:?}");
    }

    #[derive(Debug)]
    struct Unset;

    impl Clock for Unset {
        fn now(&self) -> jiff::Timestamp {
            jiff::Timestamp::UNIX_EPOCH
        }
        fn is_set(&self) -> bool {
            false
        }
        fn sleep_until(&self, _at: jiff::Timestamp) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            Box::pin(std::future::ready(()))
        }
    }

    #[tokio::test]
    async fn a_board_that_woke_up_in_1970_is_told_so() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(states(&examine(None, root.path(), &Unset).await), [("clock", State::Red)]);
        let at = "2026-03-02T09:00:00Z".parse().unwrap();
        assert_eq!(states(&examine(None, root.path(), &DrivenClock::new(at, at)).await), [("clock", State::Amber)]);
    }

    #[test]
    fn a_slow_adapter_is_told_how_to_be_quick() {
        let port = SerialPort {
            path: "/dev/null".into(),
            device: "/dev/null".into(),
            chip: Some("FTDI FT232R (0403:6001)".to_owned()),
            driver: None,
            latency_ms: Some(16),
        };
        assert_eq!(states(&serial_port(&port)), [("port", State::Green), ("latency-timer", State::Amber)]);
    }
}
