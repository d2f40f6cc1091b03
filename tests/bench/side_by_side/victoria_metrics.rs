//! VictoriaMetrics 1.79.5 of Debian: line protocol of InfluxDB 2 in, JSON lines out.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::Result;
use super::field::{Body, PROBE, Plan, YEAR};
use super::http::{self, Connection, escaped};
use super::machine::{Server, free, installed, settled};
use super::rival::{Question, Rival, Writer, body_ms, year_ms};

#[derive(Debug)]
pub(crate) struct VictoriaMetrics {
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    server: Option<Server>,
    connection: Option<Connection>,
}

impl VictoriaMetrics {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let program = installed("victoria-metrics").ok_or("the Debian package `victoria-metrics` is not installed")?;
        Ok(Self { program, folder: folder.to_owned(), address: free()?, server: None, connection: None })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn get(&mut self, path: &str) -> Result<String> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address)?,
        };
        self.connection.insert(connection).get(path)?.good()
    }

    fn export(selector: &str, from_ms: i64, last_ms: i64) -> String {
        let seconds = |ms: i64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
        format!("/api/v1/export?match[]={}&start={}&end={}", escaped(selector), seconds(from_ms), seconds(last_ms))
    }
}

/// Readings in lines of an export.
fn count(text: &str) -> Result<u64> {
    let mut count = 0;
    for line in text.lines() {
        let series: Value = serde_json::from_str(line)?;
        count += series["timestamps"].as_array().map_or(0, Vec::len) as u64;
    }
    Ok(count)
}

impl Rival for VictoriaMetrics {
    fn start(&mut self) -> Result<Duration> {
        std::fs::create_dir_all(&self.folder)?;
        let mut command = Command::new(&self.program);
        command.arg(format!("-storageDataPath={}", self.data().display())).arg(format!("-httpListenAddr={}", self.address));
        command.args(["-retentionPeriod=100y", "-loggerLevel=WARN"]);
        let mut server = Server::start(&mut command, &self.folder.join("log"))?;
        let ready = server.ready(|| http::get(self.address, "/health").is_ok_and(|answer| answer.status == 200))?;
        (self.server, self.connection) = (Some(server), None);
        Ok(ready)
    }

    fn process(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    fn kill(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), |mut server| server.kill())
    }

    fn writer(&self) -> Result<Box<dyn Writer>> {
        Ok(Box::new(Lines(Connection::open(self.address)?)))
    }

    fn settled_bytes(&mut self, quiet: Duration) -> Result<u64> {
        self.get("/internal/force_flush")?;
        self.get("/internal/force_merge")?;
        // It merges beside.
        settled(&self.data(), quiet, Duration::from_secs(30))
    }

    fn missing(&self, bodies: &[&Body]) -> Result<u64> {
        let (mut connection, mut missing) = (Connection::open(self.address)?, 0);
        for body in bodies {
            let range = body_ms(body);
            let path = Self::export(&format!("{{facility=\"{}\"}}", body.facility), range.start, range.end - 1);
            missing += body.points.saturating_sub(count(&connection.get(&path)?.good()?)?);
        }
        Ok(missing)
    }

    fn newest_probe(&mut self) -> Result<Option<i64>> {
        let text = self.get(&Self::export(&format!("p_value{{facility=\"{PROBE}\"}}"), 0, 4_000_000_000_000))?;
        let Some(line) = text.lines().next() else { return Ok(None) };
        let series: Value = serde_json::from_str(line)?;
        Ok(series["timestamps"].as_array().map(|times| i64::try_from(times.len()).unwrap_or(0) - 1))
    }

    fn ask(&mut self, question: Question, plan: &Plan) -> Result<bool> {
        let range = year_ms(plan);
        let (start, end) = (range.start / 1_000, range.end / 1_000);
        let path = match question {
            Question::SeriesYear => Self::export(&format!("p_value{{facility=\"{YEAR}\"}}"), range.start, range.end - 1),
            Question::HourlyMeans => {
                let query = escaped(&format!("avg_over_time(p_value{{facility=\"{YEAR}\"}}[1h])"));
                format!("/api/v1/query_range?query={query}&start={}&end={end}&step=3600", start + 3_600)
            }
            Question::LastPoints => {
                let query = escaped("last_over_time({facility=\"facility-0000\"}[1d])");
                format!("/api/v1/query?query={query}&time={}", start + plan.measured * 60)
            }
            Question::Gaps => return Ok(false),
        };
        let text = self.get(&path)?;
        if question == Question::SeriesYear && count(&text)? != plan.year.unsigned_abs() {
            return Err(format!("the long series has {} of {} readings", count(&text)?, plan.year).into());
        }
        Ok(true)
    }
}

/// Writes with the API of InfluxDB 2.
struct Lines(Connection);

impl Writer for Lines {
    fn write(&mut self, body: &Body) -> Result<()> {
        self.0.post("/api/v2/write?precision=ms", "", body.text.as_bytes())?.good().map(drop)
    }
}
