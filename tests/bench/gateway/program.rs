//! The gateway's program, started as its user starts it, and watched from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use daemon::{Clock as _, SystemClock};
use simulator::{Faults, Grid, Line, LineConfig, Load, Meter};
use tempfile::TempDir;

use super::{
    Result,
    acknowledger::{self, Arrived},
    broker::Broker,
    plant::Plant,
    process,
    registers::{Servers, now_micros},
};

const PROFILE: &str = "eastron-sdm630";
const MICROS: u64 = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(60);
/// Sweeps after which a gateway has allocated what it needs.
const SETTLED_FRAMES: u64 = 10;
/// Time to start that is tried, the longest first, in milliseconds.
const LEADS_MS: [u64; 12] = [1_000, 500, 300, 200, 150, 100, 70, 50, 35, 25, 15, 10];

/// The program.
pub(super) struct Program {
    file: PathBuf,
}

/// Memory of a running gateway.
pub(super) struct Memory {
    pub(super) resident_mib: f64,
    pub(super) peak_mib: f64,
}

/// How late polls began.
pub(super) struct Jitter {
    pub(super) polls: usize,
    pub(super) p50_ms: f64,
    pub(super) p999_ms: f64,
}

/// What a gateway with a serial line full of meters takes.
pub(super) struct Serial {
    /// Of one core.
    pub(super) cpu_percent: f64,
    pub(super) write_amplification: f64,
    pub(super) written_mb_per_day: f64,
}

/// A running gateway. It is killed when this is dropped.
struct Running {
    process: Child,
    broker: Broker,
    arrived: Arc<Arrived>,
    folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill().and_then(|()| self.process.wait()));
    }
}

impl Running {
    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn wait_for_frames(&self, frames: u64) -> Result<()> {
        let began = Instant::now();
        while self.arrived.frames() < frames {
            if began.elapsed() > PATIENCE {
                let said = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                return Err(format!("the gateway delivered {} of {frames} frames:\n{said}", self.arrived.frames()).into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Program {
    pub(super) const fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Size of the file.
    pub(super) fn size_mib(&self) -> Result<f64> {
        let bytes = fs::metadata(&self.file)?.len();
        Ok(f64::from(u32::try_from(bytes)?) / f64::from(1 << 20))
    }

    /// A gateway with buses, a broker beside it that it trusts, and somebody who acknowledges.
    fn start(&self, interval: &str, buses: &str) -> Result<Running> {
        // Beside the program: a folder for temporary files may lie in memory, and writes to the disk are counted.
        let folder = tempfile::tempdir_in(self.file.parent().unwrap_or(Path::new(".")))?;
        let broker = Broker::start(folder.path())?;
        let arrived = acknowledger::start(broker.plain())?;
        let process = self.spawn(folder.path(), &broker.tables(), interval, buses)?;
        Ok(Running { process, broker, arrived, folder })
    }

    fn spawn(&self, folder: &Path, broker: &str, interval: &str, buses: &str) -> Result<Child> {
        let text = format!(
            "[gateway]\ntenant = \"bench\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"{}\"\n[poll]\ninterval = \"{interval}\"\n\
             [spool]\nmax = \"64MiB\"\n{broker}{buses}",
            folder.join("data").display()
        );
        let config = folder.join("gateway.toml");
        fs::write(&config, text)?;
        let log = fs::File::create(folder.join("log"))?;
        let mut command = Command::new(&self.file);
        command.args(["run", "--config"]).arg(config).env_remove("NEGAWATT_LOG");
        Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?)
    }

    /// The least time before a full second at which a program that is started still polls in that second, in milliseconds; three
    /// times out of three.
    pub(super) fn start_to_first_poll(&self) -> Result<u64> {
        let mut least = None;
        for lead_ms in LEADS_MS {
            for _ in 0..3 {
                if !self.polls_when_started(lead_ms)? {
                    return least.ok_or_else(|| "a gateway did not poll one second after its start".into());
                }
            }
            least = Some(lead_ms);
        }
        least.ok_or_else(|| "no time was tried".into())
    }

    fn polls_when_started(&self, lead_ms: u64) -> Result<bool> {
        let servers = Servers::start(1)?;
        let folder = tempfile::tempdir()?;
        let buses = Plant::buses(1, 1).tables(&servers.addresses, PROFILE);
        // Nobody is at the other end: polling does not wait for it.
        let broker = "[broker]\nurl = \"mqtt://127.0.0.1:1\"\n";
        let boundary = (now_micros() / MICROS + 3) * MICROS;
        thread::sleep(Duration::from_micros(boundary - lead_ms * 1_000 - now_micros()));
        let mut process = self.spawn(folder.path(), broker, "1s", &buses)?;
        thread::sleep(Duration::from_micros(boundary + MICROS / 2 - now_micros()));
        process.kill()?;
        process.wait()?;
        let arrivals = servers.arrivals.lock().map_err(|_poisoned| "the server panicked")?;
        Ok(arrivals.first().is_some_and(|(_, at)| *at >= boundary))
    }

    /// How late the polls of many buses reach the devices, each second; all begin at the full second.
    pub(super) fn jitter(&self, plant: &Plant, seconds: u32) -> Result<Jitter> {
        let servers = Servers::start(plant.buses)?;
        let running = self.start("1s", &plant.tables(&servers.addresses, PROFILE))?;
        running.wait_for_frames(SETTLED_FRAMES)?;
        let from = now_micros();
        thread::sleep(Duration::from_secs(u64::from(seconds)));
        let arrivals = servers.arrivals.lock().map_err(|_poisoned| "the server panicked")?;
        // Of each bus in each second the first request: that is when its poll began.
        let mut seen = std::collections::BTreeSet::new();
        let polls = arrivals.iter().filter(|(bus, at)| *at > from && seen.insert((*bus, at / MICROS)));
        let mut late_us: Vec<u64> = polls.map(|(_, at)| at % MICROS).collect();
        late_us.sort_unstable();
        let of = |permille: usize| {
            let at = (late_us.len() * permille / 1_000).min(late_us.len().saturating_sub(1));
            late_us.get(at).map_or(f64::INFINITY, |us| f64::from(u32::try_from(*us).unwrap_or(u32::MAX)) / 1_000.0)
        };
        Ok(Jitter { polls: late_us.len(), p50_ms: of(500), p999_ms: of(999) })
    }

    /// Memory with TLS to the broker, after polls have gone through.
    pub(super) fn memory(&self, plant: &Plant) -> Result<Memory> {
        let servers = Servers::start(plant.buses)?;
        let running = self.start("2s", &plant.tables(&servers.addresses, PROFILE))?;
        running.wait_for_frames(SETTLED_FRAMES)?;
        let (resident_mib, peak_mib) = process::memory_mib(running.pid())?;
        tracing::debug!(devices = plant.devices(), broker = %running.broker.plain(), "measured");
        Ok(Memory { resident_mib, peak_mib })
    }

    /// Processor and disk with 32 meters on one serial line of 9600 baud that are read each minute.
    pub(super) fn serial(&self, minutes: u32) -> Result<Serial> {
        let start = SystemClock.now() - jiff::SignedDuration::from_mins(30);
        let load = Load::hourly(&[(start, 60_000)])?;
        let profile = devices::find(PROFILE).ok_or("the profile comes with the program")?;
        let meter = |unit: u8| {
            let meter = Meter::electrical(profile, &load, Grid::EUROPE, u64::from(unit), 5_000, Arc::new(SystemClock));
            (unit, Arc::new(meter))
        };
        let mut line = Line::open(LineConfig { turnaround: Duration::from_millis(40), ..LineConfig::default() })?;
        line.serve((1..=32).map(meter).collect(), Faults::seeded(1))?;
        let mut buses =
            format!("[[bus]]\nname = \"line\"\nkind = \"rtu\"\npath = \"{}\"\nbaud = 9600\nparity = \"none\"\n", line.near().display());
        for unit in 1..=32 {
            buses.push_str(&format!("[[bus.device]]\nid = \"meter-{unit}\"\nunit = {unit}\nprofile = \"{PROFILE}\"\n"));
        }
        let running = self.start("1m", &buses)?;
        running.wait_for_frames(1).or_else(|_| running.wait_for_frames(1))?;
        let cpu = process::cpu(running.pid())?;
        let watched = Duration::from_secs(60) * minutes;
        thread::sleep(watched);
        let cpu = process::cpu(running.pid())?.saturating_sub(cpu);
        drop(running);
        let (written, payload) = self.disk()?;
        Ok(Serial {
            cpu_percent: 100.0 * cpu.as_secs_f64() / watched.as_secs_f64(),
            write_amplification: written / payload,
            written_mb_per_day: written * 1_440.0 / 1e6,
        })
    }

    /// Bytes written to the disk and bytes of payload for one commit of 32 meters. Polled each second instead of each minute: a commit
    /// is a commit. Others write to the disk too, so the quietest of several rounds counts.
    fn disk(&self) -> Result<(f64, f64)> {
        const ROUNDS: u32 = 8;
        const COMMITS: u64 = 10;
        let servers = Servers::start(8)?;
        let running = self.start("1s", &Plant::buses(8, 4).tables(&servers.addresses, PROFILE))?;
        running.wait_for_frames(SETTLED_FRAMES)?;
        let written = || process::written_to_disk_of(running.folder.path());
        let mut quietest = (f64::INFINITY, f64::NAN);
        for _ in 0..ROUNDS {
            let (bytes, payload, frames) = (written()?, running.arrived.bytes(), running.arrived.frames());
            running.wait_for_frames(frames + COMMITS)?;
            let commits = whole(running.arrived.frames() - frames);
            let per_commit = whole(written()?.saturating_sub(bytes)) / commits;
            if per_commit < quietest.0 {
                quietest = (per_commit, whole(running.arrived.bytes() - payload) / commits);
            }
        }
        Ok(quietest)
    }
}

fn whole(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
