//! The two files of a question, and how one is refused: with its name, its row and the rule.

use std::fmt;
use std::path::{Path, PathBuf};

use calculator::assessment::{Row, RowFault, Series, Weather};
use calculator::baseline::TemperatureUnit;
use collector::{FileRows, ImportError, file_rows};
use daemon::ExitCode;
use jiff::tz::TimeZone;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Refused {
    file: Option<PathBuf>,
    row: Option<usize>,
    rule: &'static str,
    message: String,
    code: ExitCode,
}

impl Refused {
    /// What is in a file cannot be used.
    pub(super) fn data(file: Option<PathBuf>, row: Option<usize>, rule: &'static str, message: String) -> Self {
        Self { file, row, rule, message, code: ExitCode::DataRefused }
    }

    /// What was asked cannot be answered.
    pub(super) fn usage(file: Option<PathBuf>, rule: &'static str, message: String) -> Self {
        Self { file, row: None, rule, message, code: ExitCode::Usage }
    }

    /// An answer that cannot be written down, which is a fault of ours.
    pub(super) fn bug(err: &dyn std::error::Error) -> Self {
        Self { file: None, row: None, rule: "an answer can be written", message: daemon::chain(err), code: ExitCode::Bug }
    }

    pub(super) const fn exit_code(&self) -> ExitCode {
        self.code
    }

    /// The refusal as an object, so that a program need not read the sentence.
    pub(super) fn object(&self) -> serde_json::Value {
        let error = serde_json::json!({
            "file": self.file.as_ref().map(|file| file.display().to_string()),
            "row": self.row,
            "rule": self.rule,
            "message": self.message,
        });
        serde_json::json!({ "schema": calculator::assessment::SCHEMA, "status": "refused", "error": error })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        if let Some(row) = self.row.filter(|_| !self.message.starts_with("row ")) {
            write!(f, "row {row}: ")?;
        }
        write!(f, "{}\n  rule: {}", self.message, self.rule)
    }
}

/// The rows of a meter.
pub(super) fn meter(file: &Path, zone: Option<&TimeZone>) -> Result<Series, Refused> {
    series(file, read(file, zone)?)
}

/// The rows of a weather station.
pub(super) fn weather(file: &Path, zone: Option<&TimeZone>) -> Result<Weather, Refused> {
    let rows = read(file, zone)?;
    let unit = rows.unit.and_then(TemperatureUnit::of_series).ok_or_else(|| {
        let message = format!("the column `{}` does not say its unit; name it temp_f or temp_c", rows.column);
        Refused::data(Some(file.to_path_buf()), None, "cleaning 1: the unit is stated", message)
    })?;
    Ok(Weather { series: series(file, rows)?, unit })
}

fn series(file: &Path, rows: FileRows) -> Result<Series, Refused> {
    let rows = rows.rows.into_iter().map(|(at, value)| Row { at, value }).collect();
    Series::new(rows).map_err(|fault| Refused::data(Some(file.to_path_buf()), Some(row_of(&fault)), fault.rule(), fault.to_string()))
}

const fn row_of(fault: &RowFault) -> usize {
    match fault {
        RowFault::NotFinite { row } | RowFault::Overlap { row, .. } | RowFault::TooShort { rows: row } => *row,
    }
}

fn read(file: &Path, zone: Option<&TimeZone>) -> Result<FileRows, Refused> {
    let body = std::fs::read(file).map_err(|err| Refused {
        file: Some(file.to_path_buf()),
        row: None,
        rule: "the file can be read",
        message: format!("could not be read: {err}"),
        code: ExitCode::DependencyDown,
    })?;
    file_rows(body.into(), None, zone).map_err(|err| {
        let (row, rule) = match &err {
            ImportError::Row { row, reason } => (usize::try_from(*row).ok(), rule_of(reason)),
            ImportError::TimeColumn { .. } | ImportError::ValueColumn { .. } => {
                (None, "cleaning 1: a meter has the columns start,value and a weather station t,temp_f or t,temp_c")
            }
            _ => (None, "cleaning 1: the file is Parquet, or CSV with a header line"),
        };
        Refused::data(Some(file.to_path_buf()), row, rule, daemon::chain(&err))
    })
}

fn rule_of(reason: &str) -> &'static str {
    if reason.starts_with("has no number") || reason.starts_with("has a value") {
        "cleaning 1: every value is a finite number or absent"
    } else {
        "cleaning 2: every row has a time, and its zone is known"
    }
}
