//! How a configuration file becomes a configuration, or a list of everything that is wrong with it.
//!
//! Every daemon owns its own configuration: this crate knows only how one is loaded, and so never needs rebuilding when
//! a key is added. A file is read as strict TOML into a raw struct of the daemon's (`deny_unknown_fields`, no `flatten`,
//! no `untagged`), which the daemon's own `validate` turns into the real one. Whoever runs the daemon sees *all* faults
//! at once, each with its key, what was found, what is allowed and what to do.
//!
//! ```text
//! error: 2 faults in site.toml
//!   × meters[1].unit_id: 300 is not a Modbus unit id
//!     │ allowed: 1–247 on a serial bus
//!   × uplink.qos: unknown key
//!     help: readings are always sent with QoS 1; remove the line
//! ```

mod fault;
mod load;
mod secret;
mod strict;
mod text;

pub use fault::{Fault, Faults};
pub use load::{Hint, load, load_with_hints, parse};
pub use secret::{FromMachine, Secret, SecretError, SecretRef, SecretSource};
pub use text::{ByteSizeText, DurationText, TextError};
