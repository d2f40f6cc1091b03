//! A plant room without a plant: meters, lines, links and a clock, for the demo and for tests.
//!
//! Nothing here is a mock inside our own process boundary. Meters answer Modbus over real TCP sockets or over a pseudo-terminal pair
//! paced like a real RS-485 line, and the gateway cannot tell the difference. Everything is deterministic: the same seed and the same
//! simulated time give the same register words, and the same seed gives the same faults in the same order.
//!
//! * [`DrivenClock`] is the time of a run; it jumps instead of waiting.
//! * [`Load`] is the consumption of a building, [`Series`] its weather.
//! * [`Meter`] turns a device profile and a load into registers.
//! * [`TcpServer`] and [`Line`] put meters on a network or a serial bus; [`Faults`] makes them misbehave.
//! * [`Channel`] is a bus in memory with everything that goes wrong on one, for bulk under paused time.
//! * [`Link`] is a cable that can be pulled.

mod channel;
mod clock;
mod converter;
mod electrical;
mod fault;
mod line;
mod link;
mod load;
mod meter;
mod mistake;
mod pdu;
mod pty;
mod rtu;
mod seed;
mod series;
mod tcp;
mod wire;

pub use channel::{Carrier, Channel, Connection, Exchange, TokioClock};
pub use clock::{DrivenClock, Follower};
pub use converter::Labels;
pub use electrical::Grid;
pub use fault::{Fault, Faults, Rule};
pub use line::{Line, LineConfig};
pub use link::Link;
pub use load::{Interval, Load, LoadError};
pub use meter::{Exception, Meter, Nameplate, NoSuchModel};
pub use mistake::Mistake;
pub use series::{Series, SeriesError};
pub use tcp::TcpServer;
