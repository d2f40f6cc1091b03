//! Opening a serial port: for us alone, in the mode the transceiver needs, and without hanging on it.

use std::{
    fs::{self, OpenOptions},
    io,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::fs::OFlags;
use serial2::rs4xx::{Rs485Config, TransceiverMode};
use serialport::TTYPort;
use tokio::{sync::oneshot, time::timeout};
use tokio_serial::SerialStream;

use super::{
    endpoint::{OPEN_TIMEOUT, Open, Opening, Parity},
    line::Stream,
};

/// How the kernel drives a transceiver that it must switch between talking and listening (`TIOCSRS485`).
///
/// Adapters on USB do that by themselves; UARTs of small boards often do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rs485 {
    /// Whether RTS is high while we talk, as most transceivers want it.
    pub rts_on_send: bool,
    /// Between raising RTS and the first bit; whole milliseconds.
    pub delay_before: Duration,
    /// Between the last bit and dropping RTS; whole milliseconds.
    pub delay_after: Duration,
    /// Whether the receiver stays on while we talk, so that we hear ourselves.
    pub rx_during_tx: bool,
}

impl Default for Rs485 {
    fn default() -> Self {
        Self { rts_on_send: true, delay_before: Duration::ZERO, delay_after: Duration::ZERO, rx_during_tx: false }
    }
}

/// A serial port that is opened by its name, again and again: after an adapter was pulled out the name leads to the new one.
#[derive(Debug)]
pub(crate) struct Port {
    path: PathBuf,
    baud: u32,
    parity: Parity,
    rs485: Option<Rs485>,
    /// An attempt that did not come back in time. There is never more than one.
    opening: Option<oneshot::Receiver<io::Result<TTYPort>>>,
}

impl Port {
    pub(crate) fn new(path: PathBuf, baud: u32, parity: Parity, rs485: Option<Rs485>) -> Self {
        Self { path, baud, parity, rs485, opening: None }
    }

    /// Opening may hang for ever after a device came back, so it has a thread of its own, which may hang there without keeping
    /// the process from ending, and a deadline.
    fn begin(&self) -> io::Result<oneshot::Receiver<io::Result<TTYPort>>> {
        let (path, baud, parity, rs485) = (self.path.clone(), self.baud, self.parity, self.rs485);
        let (opened, opening) = oneshot::channel();
        thread::Builder::new().name("open-serial-port".to_owned()).spawn(move || {
            // Nobody waits any more when the gateway has stopped: the port is closed again.
            drop(opened.send(open(&path, baud, parity, rs485)));
        })?;
        Ok(opening)
    }
}

impl Open for Port {
    fn open(&mut self) -> Opening<'_> {
        Box::pin(async {
            let mut opening = match self.opening.take() {
                Some(opening) => opening,
                None => self.begin()?,
            };
            match timeout(OPEN_TIMEOUT, &mut opening).await {
                Ok(Ok(port)) => Ok(Box::new(SerialStream::try_from(port?)?) as Box<dyn Stream>),
                Ok(Err(_panicked)) => Err(io::Error::other("the thread that opened the port is gone")),
                Err(_elapsed) => {
                    self.opening = Some(opening);
                    Err(io::Error::new(io::ErrorKind::TimedOut, "the port does not open: pull the adapter out and plug it in again"))
                }
            }
        })
    }
}

fn open(path: &Path, baud: u32, parity: Parity, rs485: Option<Rs485>) -> io::Result<TTYPort> {
    // Held until the port is open as well, so that the driver is not shut down in between.
    let _switched = rs485.map(|rs485| switch(path, rs485)).transpose()?;
    let parity = match parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    // Exclusive: TIOCEXCL, and an advisory lock that holds against root too.
    let mut port = TTYPort::open(&tokio_serial::new(path.to_string_lossy(), baud).parity(parity))?;
    port.set_exclusive(true)?;
    hurry(path);
    Ok(port)
}

/// Sets the mode of the transceiver. It belongs to the port and not to whoever opened it, so it holds for the next to open it.
fn switch(path: &Path, rs485: Rs485) -> io::Result<serial2::SerialPort> {
    let flags = i32::try_from((OFlags::NOCTTY | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    let port = serial2::SerialPort::from(OwnedFd::from(file));
    let mut config = Rs485Config::new();
    config.set_invert_rts(!rs485.rts_on_send);
    config.set_delay_before_send(rs485.delay_before);
    config.set_delay_after_send(rs485.delay_after);
    config.set_full_duplex(rs485.rx_during_tx);
    port.set_rs4xx_mode(TransceiverMode::Rs485(config)).map_err(|err| {
        io::Error::new(err.kind(), format!("this port has no RS485 mode ({err}): adapters that switch by themselves need no rs485 setting"))
    })?;
    Ok(port)
}

/// FTDI chips hold received bytes back for 16 ms unless told otherwise. A pity where we may not, and no more.
fn hurry(path: &Path) {
    let Some(name) = fs::canonicalize(path).ok().and_then(|device| device.file_name().map(PathBuf::from)) else { return };
    let timer = Path::new("/sys/class/tty").join(name).join("device/latency_timer");
    if !timer.exists() {
        return;
    }
    match fs::write(&timer, "1") {
        Ok(()) => tracing::debug!(file = %timer.display(), "the adapter passes bytes on at once"),
        Err(err) => {
            tracing::info!(file = %timer.display(), error = %err, "the adapter holds bytes back for some milliseconds: let this user write to {}", timer.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use simulator::{Line, LineConfig};

    use super::*;

    #[tokio::test]
    async fn a_port_is_ours_alone() {
        let line = Line::open(LineConfig::default()).unwrap();
        let port = || Port::new(line.near().into(), 9_600, Parity::None, None);
        let held = port().open().await.unwrap();
        let refused = port().open().await.err().expect("somebody has it already");
        assert!(!refused.to_string().is_empty());
        drop(held);
        port().open().await.unwrap();
    }

    #[tokio::test]
    async fn a_port_without_rs485_mode_says_so() {
        let line = Line::open(LineConfig::default()).unwrap();
        let refused = Port::new(line.near().into(), 9_600, Parity::None, Some(Rs485::default())).open().await.err().unwrap();
        assert!(refused.to_string().contains("no RS485 mode"), "{refused}");
    }
    #[tokio::test]
    async fn a_port_that_moves_is_found_again_by_its_name() {
        use std::{os::unix::fs::symlink, sync::Arc};

        use daemon::SystemClock;
        use simulator::{Faults, Meter};

        use crate::modbus::{Bus, Endpoint, Request};

        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("by-path");
        let plug = || {
            let mut line = Line::open(LineConfig { baud: 115_200, ..LineConfig::default() }).unwrap();
            let meter = Arc::new(Meter::coded(devices::find("eastron-sdm630").unwrap(), 1, 86_400_000, Arc::new(SystemClock)));
            line.serve(vec![(1, meter)], Faults::seeded(1)).unwrap();
            symlink(line.near(), &name).unwrap();
            line
        };
        let request = Request { unit: 1, function: 4, address: 0, count: 2, timeout: Duration::from_millis(500), gap: Duration::ZERO };
        let mut bus = Bus::new(Endpoint::Rtu { path: name.clone(), baud: 115_200, parity: Parity::None });
        let line = plug();
        let words = bus.read(request).await.unwrap();
        drop(line);
        fs::remove_file(&name).unwrap();
        assert!(bus.read(request).await.is_err(), "the adapter is gone");
        assert!(bus.read(request).await.is_err(), "and so is its name");
        let _line = plug();
        let mut tries = 0;
        let again = loop {
            match bus.read(Request { count: 4, ..request }).await {
                Ok(words) => break words,
                Err(err) if tries == 100 => panic!("{err}"),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(again.get(..2), Some(&words[..]));
    }
}
