//! The two files of a question, and how one is refused: with its name, its row and the rule.

use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use calculator::assessment::{Origin, Remark, Row, RowFault, Series, Weather};
use calculator::baseline::TemperatureUnit;
use collector::{FileRemark, FileRows, ImportError, file_rows};
use daemon::ExitCode;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    file: Option<PathBuf>,
    row: Option<usize>,
    rule: &'static str,
    message: String,
    code: ExitCode,
}

/// A refusal as an object, so that a program need not read the sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fault {
    pub(super) file: Option<String>,
    /// Counted from 1.
    pub(super) row: Option<usize>,
    pub(super) rule: String,
    pub(super) message: String,
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

    /// The same, at a row.
    pub(super) fn at(self, row: usize) -> Self {
        Self { row: Some(row), ..self }
    }

    /// The same, with its rows counted otherwise, also in what it says.
    pub(super) fn map_row(self, counted: impl Fn(usize) -> usize) -> Self {
        let (mut message, mut rest) = (String::with_capacity(self.message.len()), self.message.as_str());
        while let Some((before, after)) = rest.split_once("row ") {
            let behind = after.trim_start_matches(|character: char| character.is_ascii_digit());
            let number = after.strip_suffix(behind).unwrap_or_default();
            let row = number.parse().map_or_else(|_none| number.to_owned(), |row| counted(row).to_string());
            message.extend([before, "row ", &row]);
            rest = behind;
        }
        message.push_str(rest);
        Self { row: self.row.map(counted), message, ..self }
    }

    pub(super) const fn exit_code(&self) -> ExitCode {
        self.code
    }

    /// Something that we depend on is in the way: a disk that is full, a folder that cannot be written.
    pub(super) fn down(file: &Path, message: String) -> Self {
        Self { file: Some(file.to_path_buf()), row: None, rule: "the file can be written", message, code: ExitCode::DependencyDown }
    }

    pub(super) fn fault(&self) -> Fault {
        Fault {
            file: self.file.as_ref().map(|file| file.display().to_string()),
            row: self.row,
            rule: self.rule.to_owned(),
            message: self.message.clone(),
        }
    }

    /// The refusal as an answer.
    pub(super) fn object(&self) -> serde_json::Value {
        serde_json::json!({ "schema": calculator::assessment::SCHEMA, "status": "refused", "error": self.fault() })
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
    meter_of(file, body(file)?, zone)
}

/// The rows of a meter whose file has been read.
pub(super) fn meter_of(file: &Path, body: Bytes, zone: Option<&TimeZone>) -> Result<Series, Refused> {
    series(file, read(file, body, zone)?)
}

/// The bills of the same energy, which the rows of the meter are held against.
pub(super) fn bills(file: &Path, zone: Option<&TimeZone>) -> Result<Series, Refused> {
    series(file, read(file, body(file)?, zone)?)
}

/// The rows of a weather station.
pub(super) fn weather(file: &Path, zone: Option<&TimeZone>) -> Result<Weather, Refused> {
    weather_of(file, body(file)?, zone)
}

/// The rows of a weather station whose file has been read.
pub(super) fn weather_of(file: &Path, body: Bytes, zone: Option<&TimeZone>) -> Result<Weather, Refused> {
    let rows = read(file, body, zone)?;
    let unit = rows.unit.and_then(TemperatureUnit::of_series).ok_or_else(|| {
        let message = format!("the column `{}` does not say its unit; name it temp_f or temp_c", rows.column);
        Refused::data(Some(file.to_path_buf()), None, "cleaning 1: the unit is stated", message)
    })?;
    Ok(Weather { series: series(file, rows)?, unit })
}

/// Rows in order, whatever they came from.
pub(super) fn series_of(file: &Path, rows: Vec<Row>) -> Result<Series, Refused> {
    Series::new(rows).map_err(|fault| Refused::data(Some(file.to_path_buf()), Some(row_of(&fault)), fault.rule(), fault.to_string()))
}

fn series(file: &Path, rows: FileRows) -> Result<Series, Refused> {
    let refused = |row: usize, rule, message: String| Refused::data(Some(file.to_path_buf()), Some(row), rule, message);
    let FileRows { rows, remarks, .. } = rows;
    let mut kept: Vec<Row> = rows.into_iter().map(|(at, value)| Row { at, value }).collect();
    let mut said = Vec::with_capacity(remarks.len());
    for (index, (remark, row)) in remarks.into_iter().zip(&mut kept).enumerate() {
        match origin_of(&remark).map_err(|message| refused(index + 1, REMARKS, message))? {
            Some(origin) => said.push(Remark { origin, serial: remark.serial }),
            None => {
                row.value = None;
                said.push(Remark { origin: Origin::Measured, serial: remark.serial });
            }
        }
    }
    Series::remarked(kept, &said).map_err(|fault| refused(row_of(&fault), fault.rule(), fault.to_string()))
}

const REMARKS: &str = "cleaning 1: a row is measured, edited, estimated or bad, and says so in words that are known";

/// How a value came to be by the words of its row; `None` where it is none.
fn origin_of(remark: &FileRemark) -> Result<Option<Origin>, String> {
    let word = |text: &Option<String>| text.as_deref().unwrap_or_default().to_ascii_lowercase();
    let estimated = match word(&remark.estimated).as_str() {
        "" | "no" | "n" | "false" | "0" | "actual" | "a" => Origin::Measured,
        "yes" | "y" | "true" | "1" | "estimated" | "e" => Origin::Estimated,
        other => return Err(format!("has `{other}` for estimated; write yes or no")),
    };
    let quality = word(&remark.quality);
    let quality = match quality.as_str() {
        "" | "good" | "measured" | "actual" | "valid" => Origin::Measured,
        "edited" | "substituted" | "corrected" | "uncertain:edited" | "uncertain:substituted" => Origin::Edited,
        "estimated" | "uncertain:estimated" => Origin::Estimated,
        "missing" | "invalid" => return Ok(None),
        bad if bad == "bad" || bad.starts_with("bad:") => return Ok(None),
        other => return Err(format!("has the quality `{other}`; known are good, edited, estimated, bad and missing")),
    };
    Ok(Some(quality.max(estimated)))
}

const fn row_of(fault: &RowFault) -> usize {
    match fault {
        RowFault::NotFinite { row } | RowFault::Overlap { row, .. } | RowFault::TooShort { rows: row } => *row,
    }
}

/// What is in a file.
pub(super) fn body(file: &Path) -> Result<Bytes, Refused> {
    std::fs::read(file).map(Bytes::from).map_err(|err| Refused {
        file: Some(file.to_path_buf()),
        row: None,
        rule: "the file can be read",
        message: format!("could not be read: {err}"),
        code: ExitCode::DependencyDown,
    })
}

fn read(file: &Path, body: Bytes, zone: Option<&TimeZone>) -> Result<FileRows, Refused> {
    file_rows(body, None, zone).map_err(|err| {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Series, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("meter.csv");
        std::fs::write(&file, text).unwrap();
        meter(&file, None).map_err(|refused| refused.to_string())
    }

    #[test]
    fn rows_are_counted_otherwise_in_words_too() {
        let refused = Refused::data(None, Some(2), "r", "row 2: it begins as row 1 does; 3 rows, row by row".to_owned());
        let refused = refused.map_row(|row| row * 10);
        assert_eq!((refused.row, refused.message.as_str()), (Some(20), "row 20: it begins as row 10 does; 3 rows, row by row"));
    }

    #[test]
    fn a_row_says_how_it_came_to_be_and_which_meter_counted_it() {
        let found = of("start,value,quality,estimated,serial\n\
             2025-01-01T00:00:00Z,1,good,,A-17\n\
             2025-01-02T00:00:00Z,2,edited,no,A-17\n\
             2025-01-03T00:00:00Z,3,,yes,A-17\n\
             2025-01-04T00:00:00Z,4,bad:comm_error,,B-04\n\
             2025-01-05T00:00:00Z,,,,B-04\n")
        .unwrap();
        assert_eq!(found.rows().iter().map(|row| row.value).collect::<Vec<_>>(), [Some(1.0), Some(2.0), Some(3.0), None, None]);
        let origins: Vec<Origin> = found.stretches().iter().map(|stretch| stretch.origin).collect();
        assert_eq!((origins.as_slice(), found.exchanges().len()), ([Origin::Edited, Origin::Estimated].as_slice(), 1));
        assert!(of("start,value\n2025-01-01T00:00:00Z,1\n2025-01-02T00:00:00Z,\n").unwrap().stretches().is_empty());
    }

    #[test]
    fn a_word_that_nobody_knows_is_refused_by_its_row() {
        for (columns, said) in [("quality", "row 2: has the quality `perhaps`"), ("estimated", "row 2: has `perhaps` for estimated")] {
            let text = format!("start,value,{columns}\n2025-01-01T00:00:00Z,1,\n2025-01-02T00:00:00Z,2,perhaps\n");
            let refused = of(&text).unwrap_err();
            assert!(refused.contains(said) && refused.contains("cleaning 1"), "{refused}");
        }
    }
}
