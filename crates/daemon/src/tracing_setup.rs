//! How a process talks: log lines on standard error, data on standard output.

use tracing_subscriber::EnvFilter;

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

/// Starts logging to standard error. `NEGAWATT_LOG` overrules the verbosity, in the syntax of `tracing` filters.
///
/// Later calls do nothing: tests and the demo start several roles in one process.
pub fn init_tracing(verbosity: Verbosity, format: LogFormat) {
    let default = match verbosity {
        Verbosity::Quiet => "error",
        Verbosity::Normal => "info,rumqttd=warn,rumqttc=warn,sqlx=warn",
        Verbosity::Verbose => "debug,rumqttd=info,rumqttc=info,sqlx=info,hyper=info",
    };
    let filter = EnvFilter::try_from_env("NEGAWATT_LOG").unwrap_or_else(|_unset| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was already started");
    }
}
