//! InfluxDB 1.6.7 of Debian: line protocol in, InfluxQL out. It syncs its log before it answers.

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
pub(crate) struct InfluxDb {
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    server: Option<Server>,
    connection: Option<Connection>,
    /// Compact at once, and not after hours.
    eager: bool,
}

impl InfluxDb {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let program = installed("influxd").ok_or("the Debian package `influxdb` is not installed")?;
        Ok(Self { program, folder: folder.to_owned(), address: free()?, server: None, connection: None, eager: false })
    }

    fn restart(&mut self, eager: bool) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.stop()?;
        }
        self.eager = eager;
        self.start().map(drop)
    }

    fn query(&mut self, query: &str) -> Result<Value> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address)?,
        };
        answered(self.connection.insert(connection).get(&path(query))?)
    }
}

fn path(query: &str) -> String {
    format!("/query?db=bench&epoch=ms&q={}", escaped(query))
}

fn answered(answer: http::Answer) -> Result<Value> {
    let mut value: Value = serde_json::from_str(&answer.good()?)?;
    match value.pointer("/results/0/error") {
        Some(err) => Err(err.to_string().into()),
        None => Ok(value["results"][0]["series"].take()),
    }
}

impl Rival for InfluxDb {
    fn start(&mut self) -> Result<Duration> {
        std::fs::create_dir_all(&self.folder)?;
        let mut command = Command::new(&self.program);
        command.args(["-config", "/dev/null"]);
        for (key, folder) in [("META_DIR", "meta"), ("DATA_DIR", "data"), ("DATA_WAL_DIR", "wal")] {
            command.env(format!("INFLUXDB_{key}"), self.folder.join(folder));
        }
        command.env("INFLUXDB_HTTP_BIND_ADDRESS", self.address.to_string()).env("INFLUXDB_BIND_ADDRESS", free()?.to_string());
        // What it says of itself and of each request is no part of the load.
        let quiet = ["MONITOR_STORE_ENABLED", "DATA_QUERY_LOG_ENABLED", "HTTP_LOG_ENABLED"];
        command.envs(quiet.map(|key| (format!("INFLUXDB_{key}"), "false"))).env("INFLUXDB_REPORTING_DISABLED", "true");
        if self.eager {
            command.env("INFLUXDB_DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION", "1s");
            command.env("INFLUXDB_DATA_COMPACT_FULL_WRITE_COLD_DURATION", "1s");
        }
        let mut server = Server::start(&mut command, &self.folder.join("log"))?;
        let ready = server.ready(|| http::get(self.address, "/ping").is_ok_and(|answer| answer.status == 204))?;
        (self.server, self.connection) = (Some(server), None);
        Connection::open(self.address)?.post(&path("CREATE DATABASE bench"), "", b"")?.good()?;
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
        self.restart(true)?;
        let bytes = settled(&self.folder, quiet, Duration::from_secs(45));
        self.restart(false)?;
        bytes
    }

    fn missing(&self, bodies: &[&Body]) -> Result<u64> {
        let (mut connection, mut missing) = (Connection::open(self.address)?, 0);
        for body in bodies {
            let range = body_ms(body);
            let query = format!(
                "SELECT count(value) FROM /.*/ WHERE facility='{}' AND time >= {}ms AND time < {}ms",
                body.facility, range.start, range.end
            );
            let series = answered(connection.get(&path(&query))?)?;
            let counts = series.as_array().into_iter().flatten().filter_map(|one| one.pointer("/values/0/1")?.as_u64());
            missing += body.points.saturating_sub(counts.sum());
        }
        Ok(missing)
    }

    fn newest_probe(&mut self) -> Result<Option<i64>> {
        let series = self.query(&format!("SELECT count(value) FROM p WHERE facility='{PROBE}'"))?;
        Ok(series.pointer("/0/values/0/1").and_then(Value::as_i64).map(|count| count - 1))
    }

    fn ask(&mut self, question: Question, plan: &Plan) -> Result<bool> {
        let range = year_ms(plan);
        let of_year = format!("FROM p WHERE facility='{YEAR}' AND time >= {}ms AND time < {}ms", range.start, range.end);
        let query = match question {
            Question::SeriesYear => format!("SELECT value {of_year}"),
            Question::HourlyMeans => format!("SELECT mean(value) {of_year} GROUP BY time(1h)"),
            Question::LastPoints => "SELECT last(value) FROM /.*/ WHERE facility='facility-0000' GROUP BY device".to_owned(),
            Question::Gaps => format!("SELECT gap FROM (SELECT elapsed(value, 1m) AS gap {of_year}) WHERE gap > 1"),
        };
        let series = self.query(&query)?;
        let rows = series.pointer("/0/values").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        if question == Question::SeriesYear && rows != plan.year.unsigned_abs() {
            return Err(format!("the long series has {rows} of {} readings", plan.year).into());
        }
        Ok(true)
    }
}

/// Writes with the API of InfluxDB 1.
struct Lines(Connection);

impl Writer for Lines {
    fn write(&mut self, body: &Body) -> Result<()> {
        self.0.post("/write?db=bench&precision=ms", "", body.text.as_bytes())?.good().map(drop)
    }
}
