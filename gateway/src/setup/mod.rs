//! What a technician needs: find devices, find out what they are, prove that their readings are right, and leave a record of it.
//!
//! This is the engine; it prints nothing. The command line is one skin over it, and pages are another. Nobody believes a reading
//! because it arrived: a wrong map, a reversed transformer or a counter that somebody may reset all give clean numbers. So every
//! installation is held against physics before it is billed from.
//!
//! * [`scan`] asks who is there, [`identify`] what it is; both hear more than answers ([`symptoms`](explain)).
//! * What can be judged without a device is pure: plausibility, physics, hypotheses about a register.

mod answers;
mod checks;
mod commission;
mod display;
mod doctor;
mod finding;
mod hypotheses;
mod identify;
mod key;
mod latency;
mod live;
mod own_profiles;
mod place;
mod plausible;
mod polled;
mod ports;
mod reader;
mod record;
mod scan;
mod settings;
mod speak;
mod sunspec;
mod symptoms;

pub use answers::{Answers, DeviceAnswer, QUESTIONS};
pub use checks::Known;
pub use commission::{CommissionError, Order, commission};
pub use display::{DisplayError, compare_with_display};
pub use doctor::examine;
pub use finding::{Finding, State, worst};
pub use hypotheses::{ByteOrder, Hypothesis, Window, explain_display};
pub use identify::{Candidate, Identity, Nameplate, identify, identify_among};
pub use key::{KeyError, SigningKey};
pub use latency::Latency;
pub use live::{LiveRow, LiveView, Watched};
pub use own_profiles::{KeepError, Kept};
pub use place::{HOSTS_MAX, Place, PlaceError};
pub use plausible::Values;
pub(crate) use polled::{PolledValues, judge_polled};
pub use ports::{SerialPort, serial_ports};
pub use record::{Forgery, Record, RecordedPoint, RecordedSample, Verified};
pub use scan::{Event, FoundDevice, HOSTS_AT_ONCE, HeardFirst, PlaceReport, SERIAL_PATIENCE, Thoroughness, scan};
pub use settings::{LineParity, LineSettings, likely_units};
pub use sunspec::{DescribeError, Described, describe};
pub use symptoms::{Tally, explain, explain_load};
