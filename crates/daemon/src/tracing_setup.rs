//! How a process talks: log lines on standard error, data on standard output.

use std::{io::IsTerminal as _, sync::OnceLock};

use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::recent::Recent;

/// How much to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Errors alone.
    Quiet,
    /// A line for each event that an owner of a facility would recognise.
    #[default]
    Normal,
    /// What was coped with, and how.
    Verbose,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Changes what is logged, once logging has started.
static FILTER: OnceLock<Box<dyn Fn(EnvFilter) -> bool + Send + Sync>> = OnceLock::new();

/// Why the log says what it said before.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Not the syntax of `tracing` filters.
    #[error("`{text}` is no filter: write error, warn, info, debug, or info,rumqttc=debug")]
    Filter {
        /// What was given.
        text: String,
        /// What is wrong with it.
        #[source]
        err: tracing_subscriber::filter::ParseError,
    },
    /// Nobody logs here.
    #[error("this process does not log")]
    NotStarted,
}

/// Has the log say more or less from now on, in the syntax of `tracing` filters.
pub fn set_log(text: &str) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(text).map_err(|err| LogError::Filter { text: text.to_owned(), err })?;
    let changed = FILTER.get().is_some_and(|change| change(filter));
    if changed { Ok(()) } else { Err(LogError::NotStarted) }
}

/// Whether standard error is a terminal, and nobody asked for no colour.
#[expect(clippy::disallowed_methods, reason = "NO_COLOR is asked of the environment of every program, whatever its configuration")]
fn coloured() -> bool {
    let refused = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

/// Starts logging to standard error; the newest lines are also kept for [`recent_log`](crate::recent_log). `NEGAWATT_LOG` overrules the verbosity, in the syntax of `tracing` filters.
///
/// Later calls do nothing: tests and the demo start several roles in one process.
pub fn init_tracing(verbosity: Verbosity, format: LogFormat) {
    let default = match verbosity {
        Verbosity::Quiet => "error",
        Verbosity::Normal => "info,rumqttd=warn,rumqttc=warn,sqlx=warn",
        Verbosity::Verbose => "debug,rumqttd=info,rumqttc=info,sqlx=info,hyper=info",
    };
    let filter = EnvFilter::try_from_env("NEGAWATT_LOG").unwrap_or_else(|_unset| EnvFilter::new(default));
    let (filter, change) = reload::Layer::<EnvFilter, Registry>::new(filter);
    // A journal keeps colours as noise.
    let lines = tracing_subscriber::fmt::layer().with_ansi(coloured()).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => Registry::default().with(filter).with(Recent).with(lines).try_init(),
        LogFormat::Json => Registry::default().with(filter).with(Recent).with(lines.json()).try_init(),
    };
    if started.is_err() || FILTER.set(Box::new(move |filter| change.reload(filter).is_ok())).is_err() {
        tracing::debug!("logging was already started");
    }
}
