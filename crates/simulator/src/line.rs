//! A serial line from end to end: the near end is a port for the gateway, meters sit on the far end.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use devices::Parity;

use crate::fault::Faults;
use crate::meter::Meter;
use crate::pty::Pty;
use crate::rtu::Bus;
use crate::wire::Wire;

/// What a line is like.
#[derive(Clone, Copy, Debug)]
pub struct LineConfig {
    pub baud: u32,
    /// Time a device takes to think before it answers.
    pub turnaround: Duration,
    /// Whether the near end hears itself, as with many two-wire adapters.
    pub echo: bool,
}

/// How strictly a line follows what its port is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    /// Any rate is understood.
    Any,
    /// The port must be set to the rate of the devices, and to their parity where it is told.
    AsSet(Option<Parity>),
}

impl Default for LineConfig {
    fn default() -> Self {
        Self { baud: 9600, turnaround: Duration::from_millis(5), echo: false }
    }
}

/// A paced half-duplex line over two pseudo-terminals. Dropping it stops its threads.
#[derive(Debug)]
pub struct Line {
    near: Pty,
    far: Pty,
    config: LineConfig,
    stop: Arc<AtomicBool>,
    carried: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Line {
    /// A line with nothing on its far end yet.
    ///
    /// * Errors: no pseudo-terminal or no thread to be had.
    pub fn open(config: LineConfig) -> io::Result<Self> {
        Self::open_with(config, Rate::Any)
    }

    /// A line on which both sides garble one another while the port is set to another rate than `config.baud`.
    ///
    /// * Errors: as [`Line::open`].
    pub fn open_strict(config: LineConfig) -> io::Result<Self> {
        Self::open_with(config, Rate::AsSet(None))
    }

    /// The same where the parity must be right as well.
    ///
    /// * Errors: as [`Line::open`].
    pub fn open_with_parity(config: LineConfig, parity: Parity) -> io::Result<Self> {
        Self::open_with(config, Rate::AsSet(Some(parity)))
    }

    fn open_with(config: LineConfig, rate: Rate) -> io::Result<Self> {
        let (near, far) = (Pty::open()?, Pty::open()?);
        let mut line = Self { near, far, config, stop: Arc::default(), carried: Arc::default(), threads: Vec::new() };
        let wire = Wire {
            near: line.near.inside.try_clone()?,
            far: line.far.inside.try_clone()?,
            baud: config.baud,
            echo: config.echo,
            port: (rate != Rate::Any).then(|| line.near.outside.try_clone()).transpose()?,
            parity: match rate {
                Rate::Any => None,
                Rate::AsSet(parity) => parity,
            },
            stop: Arc::clone(&line.stop),
            carried: Arc::clone(&line.carried),
        };
        line.spawn("simulated-wire", move || wire.run())?;
        Ok(line)
    }

    /// Puts meters on the far end; they answer from now on, and those with the same unit id answer at once.
    ///
    /// * Errors: no thread to be had.
    pub fn serve(&mut self, units: Vec<(u8, Arc<Meter>)>, faults: Arc<Faults>) -> io::Result<()> {
        let mut by_unit: BTreeMap<u8, Vec<Arc<Meter>>> = BTreeMap::new();
        for (unit, meter) in units {
            by_unit.entry(unit).or_default().push(meter);
        }
        let bus = Bus {
            line: self.far.outside.try_clone()?,
            units: by_unit,
            faults,
            turnaround: self.config.turnaround,
            stop: Arc::clone(&self.stop),
        };
        self.spawn("simulated-bus", move || bus.run())
    }

    /// The port for the gateway: 8 data bits, no parity, any speed.
    #[must_use]
    pub fn near(&self) -> &Path {
        self.near.path()
    }

    /// The port at the far end, for a device of somebody else's making.
    #[must_use]
    pub fn far(&self) -> &Path {
        self.far.path()
    }

    /// How many bytes the line has carried, both ways.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let guarded = move || {
            if let Err(err) = work() {
                tracing::error!(error = %err, "a simulated serial line broke");
            }
        };
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(guarded)?);
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of a simulated serial line panicked");
            }
        }
    }
}
