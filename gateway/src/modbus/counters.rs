//! What happened on a bus since the daemon started.

use serde::Serialize;

/// The counters of a bus. Each names something that somebody can do something about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BusCounters {
    /// Requests sent.
    pub exchanges: u64,
    /// Those of them that brought registers.
    pub answered: u64,
    /// Those without an answer in time: wiring, unit id, baud rate, or a device that is off.
    pub silent: u64,
    /// Answers that came damaged or were none: termination, bias, a second master.
    pub damaged: u64,
    /// Requests that the device refused.
    pub refused: u64,
    /// Answers behind which somebody else talked: two devices with one unit id.
    pub doubled: u64,
    /// Answers that came after their time and were recognised as such.
    pub late: u64,
    /// Answers word for word as that to another question a moment before; asked again.
    pub repeated: u64,
    /// Answers that could have been to older questions; asked again.
    pub doubted: u64,
    /// Requests not sent because an older answer could have been taken for theirs.
    pub ambiguous: u64,
    /// How often the adapter let us hear our own request.
    pub echoes: u64,
    /// Connections and ports that broke.
    pub broken: u64,
    /// How often the connection or port was opened.
    pub opened: u64,
}
