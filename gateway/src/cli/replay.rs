//! `replay`: has the gateway send frames again that the collector had already.

use std::{io, path::PathBuf, str::FromStr};

use daemon::{Clock, ExitCode, SystemClock};
use jiff::Timestamp;

use super::{Output, complain, say};
use crate::{
    config::Config,
    spool::{Again, SpoolView},
};

/// Which frames.
#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    /// Configuration file of the gateway, which may be running
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The first: a sequence number, or a time such as 2026-11-20T06:00:00Z
    #[arg(long, value_name = "SEQ|TIME")]
    from: Bound,
    /// The last, written like the first
    #[arg(long, value_name = "SEQ|TIME")]
    to: Bound,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Seq(u64),
    Time(Timestamp),
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(seq) = text.parse() {
            return Ok(Self::Seq(seq));
        }
        text.parse().map(Self::Time).map_err(|_neither| format!("`{text}` is neither a number nor a time such as 2026-11-20T06:00:00Z"))
    }
}

/// Leaves the wish where the gateway finds it.
pub(super) fn run(args: &ReplayArgs) -> ExitCode {
    let again = match (args.from, args.to) {
        (Bound::Seq(from), Bound::Seq(to)) if from <= to => Again::Frames(from..=to),
        (Bound::Time(from), Bound::Time(to)) if from <= to => Again::Times(from.as_millisecond()..=to.as_millisecond()),
        (Bound::Seq(_), Bound::Seq(_)) | (Bound::Time(_), Bound::Time(_)) => {
            return complain(&"error: --from is after --to", ExitCode::Usage);
        }
        _ => return complain(&"error: --from and --to are two numbers, or two times", ExitCode::Usage),
    };
    let config = match Config::load_to_run(&args.config) {
        Ok(config) => config,
        Err(faults) => return complain(&faults, ExitCode::Configuration),
    };
    let folder = config.data_dir.join("spool");
    let view = SpoolView::new(&folder);
    let frames = match view.find(&again) {
        Ok(Some(frames)) => frames,
        Ok(None) => {
            let help = "help: delivered frames are kept until their room is needed; a larger spool.max keeps more of them";
            return complain(
                &format!("error: no frame of these is in {} any more, or yet\n{help}", folder.display()),
                ExitCode::DataRefused,
            );
        }
        Err(err) => return complain(&unusable(&folder, &err), ExitCode::DependencyDown),
    };
    // Two wishes in one millisecond are one process each.
    let name = format!("{}-{}", SystemClock.now().as_millisecond(), std::process::id());
    if let Err(err) = view.ask(&frames, &name) {
        return complain(&unusable(&folder, &err), ExitCode::DependencyDown);
    }
    let (first, last) = (*frames.start(), *frames.end());
    let printed = match args.output {
        Output::Human => format!(
            "frames {first} to {last} are sent again as soon as the gateway runs; of these, what the collector never had is sent anyway"
        ),
        Output::Json => serde_json::json!({"schema": "negawatt.replay/1", "first": first, "last": last}).to_string(),
    };
    match say(&printed) {
        Ok(()) => ExitCode::Ok,
        Err(code) => code,
    }
}

fn unusable(folder: &std::path::Path, err: &io::Error) -> String {
    format!(
        "error: the spool in {} cannot be used: {err}\nhelp: is gateway.data_dir right, and may this user write to it?",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_number_or_a_time() {
        assert_eq!("17".parse(), Ok(Bound::Seq(17)));
        assert_eq!("1970-01-01T00:01:00Z".parse(), Ok(Bound::Time(Timestamp::from_second(60).unwrap())));
        assert!("yesterday".parse::<Bound>().unwrap_err().contains("`yesterday` is neither"));
    }
}
