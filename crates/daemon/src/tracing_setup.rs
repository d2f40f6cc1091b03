//! How a process talks: log lines on standard error, data on standard output.

use std::{io::IsTerminal as _, sync::OnceLock};

use tracing_subscriber::{Registry, filter::Targets, layer::SubscriberExt, reload, util::SubscriberInitExt};

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
static FILTER: OnceLock<Box<dyn Fn(Targets) -> bool + Send + Sync>> = OnceLock::new();

/// Why the log says what it said before.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Not the syntax of `tracing` filters.
    #[error("`{text}` is no filter: write error, warn, info, debug, or info,negawatt_gateway=debug")]
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

/// Has the log say more or less from now on: a level, and levels of targets as `info,negawatt_gateway=debug`.
pub fn set_log(text: &str) -> Result<(), LogError> {
    let filter = parse(text)?;
    let changed = FILTER.get().is_some_and(|change| change(filter));
    if changed { Ok(()) } else { Err(LogError::NotStarted) }
}

/// Targets alone: filters by span and field would bring an engine for regular expressions into every program.
fn parse(text: &str) -> Result<Targets, LogError> {
    text.parse().map_err(|err| LogError::Filter { text: text.to_owned(), err })
}

/// Whether standard error is a terminal, and nobody asked for no colour.
#[expect(clippy::disallowed_methods, reason = "NO_COLOR is asked of the environment of every program, whatever its configuration")]
fn coloured() -> bool {
    let refused = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

/// Starts logging to standard error; the newest lines are also kept for [`recent_log`](crate::recent_log). `NEGAWATT_LOG`
/// overrules the verbosity, as text for [`set_log`].
///
/// Later calls do nothing: tests and the demo start several roles in one process.
pub fn init_tracing(verbosity: Verbosity, format: LogFormat) {
    let default = match verbosity {
        Verbosity::Quiet => "error",
        Verbosity::Normal => "info,rumqttd=warn,sqlx=warn",
        Verbosity::Verbose => "debug,rumqttd=info,sqlx=info,hyper=info",
    };
    #[expect(clippy::disallowed_methods, reason = "a log is needed before any configuration is read")]
    let told = std::env::var("NEGAWATT_LOG").ok().filter(|text| !text.trim().is_empty());
    let (told, misread) =
        told.map_or((None, None), |text| parse(&text).map_or_else(|err| (None, Some(err)), |filter| (Some(filter), None)));
    let filter = told.or_else(|| parse(default).ok()).unwrap_or_default();
    let (filter, change) = reload::Layer::<Targets, Registry>::new(filter);
    // A journal keeps colours as noise.
    let lines = tracing_subscriber::fmt::layer().with_ansi(coloured()).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => Registry::default().with(filter).with(Recent).with(lines).try_init(),
        LogFormat::Json => Registry::default().with(filter).with(Recent).with(lines.json()).try_init(),
    };
    if started.is_err() || FILTER.set(Box::new(move |filter| change.reload(filter).is_ok())).is_err() {
        tracing::debug!("logging was already started");
    }
    if let Some(err) = misread {
        tracing::warn!("NEGAWATT_LOG is left out of account: {err}");
    }
}
