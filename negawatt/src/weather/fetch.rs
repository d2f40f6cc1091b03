//! `negawatt weather fetch`: files of a provider, into the folder that everything else reads.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use collector::weather::{Fetched, Source, SourceError, StationSeen, observations, station_list, unpack};
use daemon::ExitCode;
use reqwest::StatusCode;
use serde_json::json;

use super::{Done, refused};
use crate::cli::Output;

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 256 << 20;
const TIMEOUT: Duration = Duration::from_secs(60);
/// Years of one request.
const YEARS_MAX: i16 = 100;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Whose files.
    #[arg(long, value_enum)]
    provider: Provider,
    /// The station, as `weather stations` has it; the provider's list of stations when left out.
    #[arg(long)]
    station: Option<String>,
    /// A year, or the first and the last one: 2022..2024.
    #[arg(long, value_parser = years, required_unless_present = "list")]
    years: Option<(i16, i16)>,
    /// Fetch the list of stations.
    #[arg(long, conflicts_with_all = ["station", "years"])]
    list: bool,
    /// Where files go.
    #[arg(long, value_name = "FOLDER", default_value = "weather")]
    folder: PathBuf,
    /// A mirror of the provider.
    #[arg(long, value_name = "URL")]
    base: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Provider {
    /// The Integrated Surface Database, to August 2025.
    NoaaIsd,
    /// The network that follows it.
    NoaaGhcnh,
}

fn years(text: &str) -> Result<(i16, i16), String> {
    let year = |text: &str| text.parse::<i16>().ok().filter(|year| (1_900..2_100).contains(year));
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    match (year(first), year(last)) {
        (Some(first), Some(last)) if first <= last && last - first < YEARS_MAX => Ok((first, last)),
        _ => Err("write a year, or two with dots between: 2022..2024".to_owned()),
    }
}

/// A provider's server. What it answers is bounded in bytes and in time.
#[derive(Debug)]
struct Server {
    provider: Provider,
    base: String,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    fn new(provider: Provider, base: Option<&str>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let known = match provider {
            Provider::NoaaIsd => "https://www.ncei.noaa.gov/pub/data/noaa",
            Provider::NoaaGhcnh => "https://www.ncei.noaa.gov/oa/global-historical-climatology-network/hourly",
        };
        let base = base.unwrap_or(known).trim_end_matches('/').to_owned();
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { provider, base, http, runtime })
    }

    fn list(&self) -> (&'static str, String) {
        match self.provider {
            Provider::NoaaIsd => ("isd-history.csv", format!("{}/isd-history.csv", self.base)),
            Provider::NoaaGhcnh => ("ghcnh-station-list.csv", format!("{}/doc/ghcnh-station-list.csv", self.base)),
        }
    }

    fn file(&self, station: &str, year: i16) -> (String, String) {
        let base = &self.base;
        match self.provider {
            Provider::NoaaIsd => {
                let name = format!("{station}-{year}.gz");
                (name.clone(), format!("{base}/{year}/{name}"))
            }
            Provider::NoaaGhcnh => {
                let name = format!("GHCNh_{station}_{year}.psv");
                (name.clone(), format!("{base}/access/by-year/{year}/psv/{name}"))
            }
        }
    }

    /// The bytes of a file, as they are sent; none where the server has no such file.
    fn get(&self, url: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let failed = |err: Box<dyn std::error::Error + Send + Sync>| SourceError::Fetch { url: url.to_owned(), err };
        self.runtime.block_on(async {
            let mut answer = self.http.get(url).send().await.map_err(|err| failed(err.into()))?;
            if answer.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            if answer.status() != StatusCode::OK {
                return Err(failed(format!("the server answers {}", answer.status()).into()));
            }
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|err| failed(err.into()))? {
                if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                    return Err(failed(format!("the answer has more than {ANSWER_BYTES_MAX} bytes").into()));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Some(body))
        })
    }
}

impl Source for Server {
    fn said(&self) -> String {
        self.base.clone()
    }

    fn stations(&self) -> Result<Vec<StationSeen>, SourceError> {
        let (_, url) = self.list();
        let body = self.get(&url)?.unwrap_or_default();
        station_list(&body).map_err(|err| SourceError::Fetch { url, err: err.into() })
    }

    fn history(&self, station: &str, years: RangeInclusive<i16>) -> Result<Vec<Fetched>, SourceError> {
        let mut files = Vec::new();
        for year in years {
            let (name, url) = self.file(station, year);
            if let Some(body) = self.get(&url)? {
                files.push(Fetched { name, body });
            }
        }
        Ok(files)
    }
}

pub(super) fn run(args: &Args, output: Output) -> Done {
    let server = Server::new(args.provider, args.base.as_deref()).map_err(|err| refused(err.as_ref(), ExitCode::Bug))?;
    let failed = |err: SourceError| refused(&err, ExitCode::DependencyDown);
    let files = match (&args.station, args.years) {
        (Some(station), Some((first, last))) => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if station.is_empty() || station.len() > 32 || !station.bytes().all(plain) {
                return Err((format!("error: `{station}` is not the identifier of a station"), ExitCode::Usage));
            }
            let files = server.history(station, first..=last).map_err(failed)?;
            if files.is_empty() {
                let text = format!("error: {} has no file of {station} from {first} to {last}", server.said());
                return Err((text, ExitCode::DataRefused));
            }
            for file in &files {
                check(file)?;
            }
            files
        }
        _ => {
            let (name, url) = server.list();
            let body = server.get(&url).map_err(failed)?.unwrap_or_default();
            let stations = station_list(&body).map_err(|err| refused(&err, ExitCode::DataRefused))?;
            if stations.is_empty() {
                return Err((format!("error: {url} has no station in it"), ExitCode::DataRefused));
            }
            vec![Fetched { name: name.to_owned(), body }]
        }
    };
    let mut written = Vec::new();
    for Fetched { name, body } in &files {
        let path = args.folder.join(name);
        write(&args.folder, &path, body)
            .map_err(|err| (format!("error: could not write {}: {err}", path.display()), ExitCode::DependencyDown))?;
        written.push((path, body.len()));
    }
    let text = match output {
        Output::Json => {
            let files: Vec<_> = written.iter().map(|(path, bytes)| json!({ "path": path, "bytes": bytes })).collect();
            format!("{}\n", json!({ "schema": "negawatt.weather.fetched/1", "from": server.said(), "files": files }))
        }
        Output::Human => written.iter().map(|(path, bytes)| format!("{} ({bytes} bytes)\n", path.display())).collect(),
    };
    Ok((text, ExitCode::Ok))
}

/// What is fetched has to be weather before it is kept: a page that asks for a login is none.
fn check(file: &Fetched) -> Result<(), (String, ExitCode)> {
    let wrong = |err: &dyn std::fmt::Display| (format!("error: {} is no weather: {err}", file.name), ExitCode::DataRefused);
    let body = unpack(file.body.clone()).map_err(|err| wrong(&err))?.ok_or_else(|| wrong(&"it is too large"))?;
    observations(&body, None).map(|_read| ()).map_err(|err| wrong(&err))
}

/// Whole or not at all.
fn write(folder: &Path, path: &Path, body: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let beside = path.with_extension("part");
    std::fs::write(&beside, body)?;
    std::fs::rename(&beside, path)
}
