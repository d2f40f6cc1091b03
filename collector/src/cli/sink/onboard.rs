//! `negawatt sink onboard`: a server of InfluxDB 2 that is well, set up, has its bucket, and lets us read.

use std::path::Path;

use daemon::ExitCode;
use sinks::SinkConfig;

use super::Output;
use crate::cli::fail;

/// The first user of a server, the file of its password, and the new file of its token.
pub(super) type First<'a> = (&'a str, (&'a Path, &'a Path));

#[cfg(not(feature = "influx2"))]
pub(super) fn run(sink: &SinkConfig, _check: bool, _first: Option<First<'_>>, _output: Output) -> ExitCode {
    let text = format!("error: the server of `{}` cannot be looked after: this program was built without the client for that", sink.name);
    let help = "help: build it with `cargo build --release --features influx2`; readings are copied there without it, too";
    fail(&format!("{text}\n{help}"), ExitCode::Configuration)
}

#[cfg(feature = "influx2")]
pub(super) fn run(sink: &SinkConfig, check: bool, first: Option<First<'_>>, output: Output) -> ExitCode {
    use sinks::WriteError;

    match with_influx::onboarded(sink, check, first) {
        Ok(onboarded) => with_influx::told(sink, &onboarded, first, output),
        Err(with_influx::OnboardError::Server(err)) => {
            let (help, code) = match &err {
                WriteError::Denied { status, .. } if status == "setup" => {
                    ("\nhelp: add --user NAME --password-file FILE --token-file NEW-FILE", ExitCode::DataRefused)
                }
                WriteError::Denied { status, .. } if status == "401" => {
                    ("\nhelp: does the token of the sink belong to this server?", ExitCode::DataRefused)
                }
                WriteError::Denied { .. } | WriteError::Refused { .. } => ("", ExitCode::DataRefused),
                _ => ("", ExitCode::DependencyDown),
            };
            fail(&format!("error: {}{help}", daemon::chain(&err)), code)
        }
        Err(err) => fail(&format!("error: {}", daemon::chain(&err)), ExitCode::DependencyDown),
    }
}

#[cfg(feature = "influx2")]
mod with_influx {
    use std::fs::{File, OpenOptions};
    use std::io::{self, Write as _};
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::path::{Path, PathBuf};

    use config::{FromMachine, Secret, SecretError, SecretRef};
    use daemon::ExitCode;
    use serde_json::json;
    use sinks::{FirstUser, Made, Onboarded, SinkConfig, Step, WriteError};

    use super::First;
    use crate::cli::{Output, say};

    #[derive(Debug, thiserror::Error)]
    pub(super) enum OnboardError {
        #[error("could not start")]
        Start(#[source] io::Error),
        #[error("the password of the first user cannot be read")]
        Password(#[source] SecretError),
        #[error("{} cannot be made for the token: name a file that is not there", path.display())]
        Token {
            path: PathBuf,
            #[source]
            err: io::Error,
        },
        /// The server has made it, and says it once.
        #[error("the token could not be written to {}: it is lost, make another at the server", path.display())]
        Lost {
            path: PathBuf,
            #[source]
            err: io::Error,
        },
        #[error(transparent)]
        Server(WriteError),
    }

    /// A file that nobody else reads, and its place.
    fn reserve(path: &Path) -> Result<File, OnboardError> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        made.map_err(|err| OnboardError::Token { path: path.to_owned(), err })
    }

    pub(super) fn onboarded(sink: &SinkConfig, check: bool, first: Option<First<'_>>) -> Result<Onboarded, OnboardError> {
        let user = first.map(|(name, (password, _))| {
            let password = SecretRef::file(password).resolve(&FromMachine).map_err(OnboardError::Password)?;
            Ok(FirstUser { name: name.to_owned(), password })
        });
        let user = user.transpose()?;
        // The file comes first: a token without one would be lost.
        let mut file = match first {
            Some((_, (_, path))) if !check => Some((reserve(path)?, path)),
            _ => None,
        };
        let runtime = tokio::runtime::Runtime::new().map_err(OnboardError::Start)?;
        let Made { token, onboarded } = runtime.block_on(sinks::onboard(sink, user.as_ref(), check));
        match (token, file.take()) {
            (Some(token), Some((file, path))) => {
                write(file, &token).map_err(|err| OnboardError::Lost { path: path.to_owned(), err })?;
            }
            (_, Some((file, path))) => {
                drop(file);
                // An empty file that stays is named the next time.
                std::fs::remove_file(path).unwrap_or_default();
            }
            (_, None) => {}
        }
        onboarded.map_err(OnboardError::Server)
    }

    fn write(mut file: File, token: &Secret) -> io::Result<()> {
        writeln!(file, "{}", token.expose())?;
        file.sync_all()
    }

    pub(super) fn told(sink: &SinkConfig, done: &Onboarded, first: Option<First<'_>>, output: Output) -> ExitCode {
        let missing = done.setup == Step::Missing || done.bucket == Step::Missing;
        let text = match output {
            Output::Json => json!({ "schema": "negawatt.sink.onboard/1", "sink": sink.name, "result": done }).to_string(),
            Output::Human => human(sink, done, first),
        };
        match say(&text) {
            ExitCode::Ok if missing => ExitCode::DataRefused,
            said => said,
        }
    }

    fn human(sink: &SinkConfig, done: &Onboarded, first: Option<First<'_>>) -> String {
        let Onboarded { destination, server, version, setup, bucket, readings } = done;
        let version = version.as_deref().unwrap_or("of no version that it tells");
        let mut text = format!("{}  {destination}\n  {server} {version} is well", sink.name);
        let mut line = |said: &str| {
            text.push_str("\n  ");
            text.push_str(said);
        };
        match (setup, first) {
            (Step::There, _) => line("it was set up before"),
            (Step::Made, Some((name, (_, path)))) => {
                line(&format!("it is set up now: user {name}, its token is in {}", path.display()));
            }
            (Step::Made, None) => line("it is set up now"),
            (Step::Missing, _) => line("nobody has set it up"),
        }
        line(match bucket {
            Step::There => "the bucket is there",
            Step::Made => "the bucket was made: what it gets it keeps",
            Step::Missing => "there is no such bucket",
        });
        if *bucket != Step::Missing {
            line(&format!("it answers queries, and has {readings} of our readings"));
        }
        text
    }
}
