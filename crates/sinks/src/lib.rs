//! Copies of the store's readings in other people's databases.
//!
//! ```text
//! store --follow--> batch --write--> InfluxDB 2, VictoriaMetrics (lines) · PostgreSQL (rows)
//!                     |     refused: halved until the bad reading stands alone, which is a dead letter
//!                     +-- cursor: one small file for each sink, moved after the sink has said yes
//! segments ---------------copy-----> a folder · S3 (Parquet, as it is)
//! ```
//!
//! A sink that is slow, down or lying stops nothing and loses nothing: it lags, and says by how much. Everything may be
//! sent again at any time and changes nothing. Nightly each is compared with the store, by count, least, greatest and sum
//! of every series and day, and mended.
//!
//! What is heavy is behind features: `influx2` (the crate that asks InfluxDB), `postgres`, `objects`, `s3`.

mod config;
mod cursor;
mod deliver;
mod digest;
#[cfg(feature = "influx2")]
mod flux;
mod influx;
#[cfg(feature = "objects")]
mod objects;
#[cfg(feature = "influx2")]
mod onboard;
mod places;
#[cfg(feature = "postgres")]
mod postgres;
mod reading;
mod reconcile;
mod run;
mod status;
mod target;

pub use config::{RawSink, SinkConfig, TargetConfig, validate};
pub use cursor::{Counts, Cursor, CursorError, ask_to_rewind, asked_to_rewind, rewound};
pub use deliver::{Delivered, Rejected, WriteError};
pub use digest::{DAY_MS, Digest, Digests};
pub use influx::Influx;
#[cfg(feature = "objects")]
pub use objects::{Copied, ExportManifest, ExportedFile, Objects, ObjectsError};
#[cfg(feature = "influx2")]
pub use onboard::{FirstUser, Made, Onboarded, Step, onboard};
pub use places::{InfluxConfig, ObjectsConfig, PostgresConfig, ReadApi};
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
pub use reading::{Reading, Series, SeriesName, name};
pub use reconcile::{Difference, ReconcileError, Reconciled, Shape, compare, reconcile};
pub use run::{REJECTED, SinkError, run};
pub use status::{Shown, Status};
pub use target::{Rows, SetupError, Target};
