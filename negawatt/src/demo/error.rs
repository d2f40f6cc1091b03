//! Why a demo does not come to its end, and how days are written on the command line.

use std::ops::Range;
use std::path::PathBuf;

use daemon::ExitCode;
use jiff::ToSpan;
use jiff::civil::Date;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error("{} has neither daily.csv nor meters.json: name a folder that has one", path.display())]
    Folder { path: PathBuf },
    #[error("{}, row {line}: {reason}", path.display())]
    Row { path: PathBuf, line: usize, reason: String },
    #[error("the data of {title} do not reach over the {what} period {start}..{end}: choose other days")]
    Reach { what: &'static str, start: Date, end: Date, title: String },
    #[error("the baseline ends on {baseline_end}, after the reporting period begins on {reporting_start}")]
    Order { baseline_end: Date, reporting_start: Date },
    #[error("the reporting period {start}..{end} is longer than a month: a demo bills one")]
    Month { start: Date, end: Date },
    #[error("zone `{zone}`")]
    Zone {
        zone: String,
        #[source]
        err: jiff::Error,
    },
    #[error("could not read or write {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    #[error("{} is not a demo's folder, and is not made anew: name another with --dir", path.display())]
    Foreign { path: PathBuf },
    #[error("could not run the {name}")]
    Role {
        name: &'static str,
        #[source]
        err: std::io::Error,
    },
    #[error("the {name} has ended ({status}); see {}", log.display())]
    Ended { name: &'static str, status: String, log: PathBuf },
    #[error("the {name} was not ready in time; see {}", log.display())]
    NotReady { name: &'static str, log: PathBuf },
    #[error("a simulated part did not start")]
    Simulator(#[source] std::io::Error),
    #[error("the Stripe simulator did not start: {0}")]
    StripeSim(String),
    #[error("the consumption is no load")]
    Load(#[source] simulator::LoadError),
    #[error("the temperatures are no series")]
    Series(#[source] simulator::SeriesError),
    #[error("there is no device profile `{0}`")]
    Profile(String),
    #[error("a configuration of the demo is wrong: {0}")]
    Configuration(String),
    #[error("the gateway stopped")]
    Gateway(#[source] gateway::ServeError),
    #[error("the API stopped")]
    Api(#[source] api::ServeError),
    #[error("the store could not be read")]
    Store(#[source] store::OpenError),
    #[error("a part of the demo panicked")]
    Task(#[source] tokio::task::JoinError),
    #[error("{acknowledged} of {polled} points are acknowledged, and no more arrive")]
    Drain { polled: u64, acknowledged: u64 },
    #[error("{asked} was not answered")]
    Http {
        asked: String,
        #[source]
        err: reqwest::Error,
    },
    #[error("{path}: {reason}")]
    Answer { path: String, reason: String },
    #[error("the audit refuses the evidence: {0}")]
    Audit(String),
    #[error("the result could not be written")]
    Json(#[source] serde_json::Error),
}

impl DemoError {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Folder { .. } | Self::Reach { .. } | Self::Order { .. } | Self::Month { .. } | Self::Foreign { .. } => ExitCode::Usage,
            Self::Row { .. } | Self::Answer { .. } | Self::Audit(_) | Self::Load(_) | Self::Series(_) => ExitCode::DataRefused,
            Self::File { .. }
            | Self::Role { .. }
            | Self::Ended { .. }
            | Self::NotReady { .. }
            | Self::Simulator(_)
            | Self::StripeSim(_) => ExitCode::DependencyDown,
            Self::Zone { .. } | Self::Configuration(_) => ExitCode::Configuration,
            Self::Gateway(err) => err.exit_code(),
            Self::Api(err) => err.exit_code(),
            Self::Profile(_) | Self::Store(_) | Self::Task(_) | Self::Drain { .. } | Self::Http { .. } | Self::Json(_) => ExitCode::Bug,
        }
    }
}

/// Reads `2012-03-01..2013-03-01` (the end is the day after the last) or a month, `2014-04`.
pub(crate) fn days(text: &str) -> Result<Range<Date>, String> {
    let date = |text: &str| text.parse::<Date>().map_err(|err| err.to_string());
    if let Some((start, end)) = text.split_once("..") {
        let range = date(start)?..date(end)?;
        return if range.start < range.end { Ok(range) } else { Err("the end is not after the start".to_owned()) };
    }
    let start = date(&format!("{text}-01"))?;
    Ok(start..start.checked_add(1.month()).map_err(|err| err.to_string())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn days_are_a_month_or_a_range() {
        assert_eq!(days("2014-04"), Ok(date(2014, 4, 1)..date(2014, 5, 1)));
        assert_eq!(days("2012-03-01..2013-03-01"), Ok(date(2012, 3, 1)..date(2013, 3, 1)));
        assert!(days("2013-03-01..2012-03-01").is_err());
        assert!(days("april").is_err());
    }
}
