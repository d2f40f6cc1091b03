//! PostgreSQL 15 of Debian: COPY into a table of the session, and from there INSERT ... ON CONFLICT, a body in a transaction.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use negawatt_tests::fleet::{METERS, POINTS};

use super::Result;
use super::field::{Body, PROBE, Plan, YEAR};
use super::machine::{Server, free};
use super::rival::{Question, Rival, Writer, body_ms, year_ms};

/// Whoever is not root, as which it does not run.
const NOBODY: u32 = 65_534;
const SERIES_OF_YEAR: usize = 1_000_000;
const SERIES_OF_PROBE: usize = 1_000_001;
/// The end of an answer.
const DONE: &str = "-- done --";

#[derive(Debug)]
pub(crate) struct PostgreSql {
    programs: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    server: Option<Server>,
    session: Option<Session>,
}

impl PostgreSql {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let mut versions: Vec<PathBuf> =
            std::fs::read_dir("/usr/lib/postgresql").map(|dir| dir.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
        versions.sort();
        let programs = versions.pop().map(|version| version.join("bin")).filter(|folder| folder.join("postgres").is_file());
        let programs = programs.ok_or("the Debian package `postgresql` is not installed")?;
        Ok(Self { programs, folder: folder.to_owned(), address: free()?, server: None, session: None })
    }

    /// One of its programs, as whom the folder belongs to.
    fn program(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir("/");
        if self.folder.metadata()?.uid() == NOBODY {
            command.uid(NOBODY).gid(NOBODY);
        }
        Ok(command)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn initialise(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        if self.folder.metadata()?.uid() == 0 {
            chown(&self.folder, Some(NOBODY), Some(NOBODY))?;
        }
        std::fs::set_permissions(&self.folder, std::fs::Permissions::from_mode(0o700))?;
        let mut init = self.program("initdb")?;
        init.args(["--username=negawatt", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"]).arg(self.data());
        let done = init.output()?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned().into()) }
    }

    fn connect(&self) -> Result<Session> {
        Session::open(self.program("psql")?, self.address)
    }

    fn query(&mut self, sql: &str) -> Result<Vec<String>> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.connect()?,
        };
        self.session.insert(session).ask(&format!("{sql};\n"))
    }

    fn number(&mut self, sql: &str) -> Result<u64> {
        Ok(self.query(sql)?.first().ok_or("no answer")?.parse()?)
    }
}

/// psql, which is told what to do as long as it is open.
#[derive(Debug)]
struct Session {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Session {
    fn open(mut psql: Command, address: SocketAddr) -> Result<Self> {
        psql.args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "-U", "negawatt", "-d", "postgres"]);
        psql.args(["-A", "-t", "-X", "-q", "-v", "ON_ERROR_STOP=1"]);
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (stdin, stdout) = (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
        Ok(Self { child, stdin, stdout: BufReader::new(stdout) })
    }

    /// Gives the lines of the answer.
    fn ask(&mut self, commands: &str) -> Result<Vec<String>> {
        self.stdin.write_all(commands.as_bytes())?;
        writeln!(self.stdin, "\\echo {DONE}")?;
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line)? == 0 {
                return Err("psql has ended: the server is gone, or refuses".into());
            }
            if line.trim_end() == DONE {
                return Ok(lines);
            }
            lines.push(line.trim_end().to_owned());
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            super::say("psql could not be ended");
        }
    }
}

impl Writer for Session {
    fn write(&mut self, body: &Body) -> Result<()> {
        let mut commands = "BEGIN;\nCOPY stage FROM STDIN;\n".to_owned();
        rows(body, &mut commands)?;
        commands.push_str("\\.\nINSERT INTO reading SELECT * FROM stage ON CONFLICT DO NOTHING;\nCOMMIT;\n");
        self.ask(&commands).map(drop)
    }
}

/// The lines of a body as rows of COPY: the number of the series, the time, the value.
fn rows(body: &Body, rows: &mut String) -> Result<()> {
    for line in body.text.lines() {
        let mut parts = line.split(' ');
        let (Some(head), Some(value), Some(ts_ms)) = (parts.next(), parts.next(), parts.next()) else { return Err("no line".into()) };
        let mut tags = head.split(',');
        let (point, device) = (tags.next().unwrap_or_default(), tags.nth(1).unwrap_or_default());
        let meter = device.strip_prefix("device=meter-").map(str::parse).transpose()?.unwrap_or(0);
        let point = POINTS.iter().position(|(name, ..)| *name == point).unwrap_or(0);
        let series = first_series(&body.facility)? + meter * POINTS.len() + point;
        let series = if matches!(body.facility.as_str(), YEAR | PROBE) { first_series(&body.facility)? } else { series };
        writeln!(rows, "{series}\t{ts_ms}\t{}", value.strip_prefix("value=").unwrap_or_default())?;
    }
    Ok(())
}

fn first_series(facility: &str) -> Result<usize> {
    Ok(match facility {
        YEAR => SERIES_OF_YEAR,
        PROBE => SERIES_OF_PROBE,
        other => other.strip_prefix("facility-").unwrap_or_default().parse::<usize>()? * METERS * POINTS.len(),
    })
}

impl Rival for PostgreSql {
    fn start(&mut self) -> Result<Duration> {
        if !self.data().exists() {
            self.initialise()?;
        }
        let mut command = self.program("postgres")?;
        command.arg("-D").arg(self.data()).args(["-p", &self.address.port().to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "unix_socket_directories="]);
        let mut server = Server::start(&mut command, &self.folder.join("log"))?;
        let is_ready = || self.connect().is_ok_and(|mut session| session.ask("SELECT 1;\n").is_ok());
        let ready = server.ready(is_ready)?;
        (self.server, self.session) = (Some(server), None);
        self.query("CREATE TABLE IF NOT EXISTS reading (series int, ts bigint, value float8, PRIMARY KEY (series, ts))")?;
        Ok(ready)
    }

    fn process(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    fn kill(&mut self) -> Result<()> {
        self.session = None;
        self.server.take().map_or(Ok(()), |mut server| server.kill())
    }

    fn writer(&self) -> Result<Box<dyn Writer>> {
        let mut session = self.connect()?;
        session.ask("CREATE TEMP TABLE stage (series int, ts bigint, value float8) ON COMMIT DELETE ROWS;\n")?;
        Ok(Box::new(session))
    }

    fn settled_bytes(&mut self, _quiet: Duration) -> Result<u64> {
        self.query("VACUUM (ANALYZE) reading")?;
        self.query("CHECKPOINT")?;
        self.number("SELECT pg_total_relation_size('reading')")
    }

    fn missing(&self, bodies: &[&Body]) -> Result<u64> {
        let (mut session, mut missing) = (self.connect()?, 0);
        for body in bodies {
            let (first, range) = (first_series(&body.facility)?, body_ms(body));
            let last = first + METERS * POINTS.len() - 1;
            let (start, end) = (range.start, range.end);
            let sql = format!("SELECT count(*) FROM reading WHERE series BETWEEN {first} AND {last} AND ts >= {start} AND ts < {end};\n");
            let found: u64 = session.ask(&sql)?.first().ok_or("no answer")?.parse()?;
            missing += body.points.saturating_sub(found);
        }
        Ok(missing)
    }

    fn newest_probe(&mut self) -> Result<Option<i64>> {
        let count = self.number(&format!("SELECT count(*) FROM reading WHERE series = {SERIES_OF_PROBE}"))?;
        Ok(i64::try_from(count)?.checked_sub(1).filter(|last| *last >= 0))
    }

    fn ask(&mut self, question: Question, plan: &Plan) -> Result<bool> {
        let range = year_ms(plan);
        let of_year = format!("FROM reading WHERE series = {SERIES_OF_YEAR} AND ts >= {} AND ts < {}", range.start, range.end);
        let sql = match question {
            Question::SeriesYear => format!("SELECT ts, value {of_year} ORDER BY ts"),
            Question::HourlyMeans => format!("SELECT ts / 3600000, avg(value) {of_year} GROUP BY 1 ORDER BY 1"),
            Question::LastPoints => {
                let last = METERS * POINTS.len() - 1;
                format!(
                    "SELECT DISTINCT ON (series) series, ts, value FROM reading WHERE series BETWEEN 0 AND {last} ORDER BY series, ts DESC"
                )
            }
            Question::Gaps => {
                format!("SELECT ts, gap FROM (SELECT ts, ts - lag(ts) OVER (ORDER BY ts) AS gap {of_year}) AS steps WHERE gap > 60000")
            }
        };
        let rows = self.query(&sql)?.len() as u64;
        if question == Question::SeriesYear && rows != plan.year.unsigned_abs() {
            return Err(format!("the long series has {rows} of {} readings", plan.year).into());
        }
        Ok(true)
    }
}
