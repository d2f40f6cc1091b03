//! What is particular to single meters: a table with a row for each.
//!
//! A cell that cannot be read refuses its meter and no other; a column that nobody knows refuses the whole list, because
//! it is probably one that is misspelt, and all meters would lack what it says.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use calculator::baseline::{Commodity, EnergyUnit};
use calculator::model::cea::{Election, Measure};
use calculator::portfolio::Role;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::super::input::{self, Refused};
use super::super::question::{unit, zone};

const RULE: &str = "portfolio: a list has a header line, and in each row a meter of its own";
const COLUMNS: [&str; 18] = [
    "meter",
    "file",
    "station",
    "role",
    "stratum",
    "commodity",
    "unit",
    "zone",
    "blackout_start",
    "blackout_end",
    "multiplier",
    "register_digits",
    "rated_kw",
    "station_km",
    "drivers",
    "harvests",
    "measures",
    "productivity",
];

/// A row of the list. What a row does not say, the command line says.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) file: Option<PathBuf>,
    pub(super) station: Option<String>,
    pub(super) role: Role,
    pub(super) stratum: Option<String>,
    pub(super) commodity: Option<Commodity>,
    pub(super) unit: Option<EnergyUnit>,
    pub(super) zone: Option<TimeZone>,
    pub(super) blackout_start: Option<Date>,
    pub(super) blackout_end: Option<Date>,
    pub(super) multiplier: Option<f64>,
    pub(super) register_digits: Option<u8>,
    pub(super) rated_kw: Option<f64>,
    pub(super) station_km: Option<f64>,
    /// The days of its variables.
    pub(super) drivers: Option<PathBuf>,
    pub(super) harvests: Option<PathBuf>,
    /// What its project changes.
    pub(super) measures: Vec<Measure>,
    pub(super) election: Election,
}

/// A meter with its row, or with what is wrong with it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) meter: String,
    pub(super) listed: Result<Box<Listed>, Box<Refused>>,
}

/// Reads the list, in its order.
pub(super) fn read(file: &Path) -> Result<Vec<Entry>, Refused> {
    let body = input::body(file)?;
    let refused = |row, message| Refused::data(Some(file.to_path_buf()), row, RULE, message);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(body.as_ref());
    let header = reader.headers().map_err(|err| refused(None, err.to_string()))?.clone();
    let names: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
    if let Some(name) = names.iter().find(|name| !COLUMNS.contains(name)) {
        return Err(refused(None, format!("the column `{name}` is not known; known are: {}", COLUMNS.join(", "))));
    }
    if let Some(name) = names.iter().find(|name| names.iter().filter(|other| other == name).count() > 1) {
        return Err(refused(None, format!("the column `{name}` is there twice")));
    }
    let place = |name: &str| names.iter().position(|found| *found == name);
    let Some(meter) = place("meter") else {
        return Err(refused(None, "no column `meter` says which meter a row is of".to_owned()));
    };
    let mut entries = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let row = index + 1;
        let record = record.map_err(|err| refused(Some(row), err.to_string()))?;
        let name = record.get(meter).unwrap_or_default();
        if name.is_empty() {
            return Err(refused(Some(row), "names no meter".to_owned()));
        }
        let cells = Cells { file, row, cell: &|name| place(name).and_then(|place| record.get(place)).filter(|text| !text.is_empty()) };
        entries.push(Entry { meter: name.to_owned(), listed: cells.listed().map(Box::new).map_err(Box::new) });
    }
    Ok(entries)
}

/// The cells of one row.
struct Cells<'a> {
    file: &'a Path,
    row: usize,
    cell: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl Cells<'_> {
    fn listed(&self) -> Result<Listed, Refused> {
        let folder = self.file.parent().unwrap_or(Path::new(""));
        Ok(Listed {
            file: (self.cell)("file").map(|name| folder.join(name)),
            station: (self.cell)("station").map(str::to_owned),
            role: self.word("role", &Role::ALL, Role::name)?.unwrap_or_default(),
            stratum: (self.cell)("stratum").map(str::to_owned),
            commodity: self.word("commodity", &[Commodity::Electricity, Commodity::Gas], |commodity| match commodity {
                Commodity::Electricity => "electricity",
                Commodity::Gas => "gas",
            })?,
            unit: self.at_row((self.cell)("unit").map(|symbol| unit(Some(symbol), self.file)).transpose())?,
            zone: self.at_row((self.cell)("zone").map(|name| zone(name, self.file)).transpose())?,
            blackout_start: self.parsed("blackout_start", "a date such as 2025-01-31")?,
            blackout_end: self.parsed("blackout_end", "a date such as 2025-01-31")?,
            multiplier: self.parsed("multiplier", "a number")?,
            register_digits: self.digits()?,
            rated_kw: self.parsed("rated_kw", "a number")?,
            station_km: self.parsed("station_km", "a number")?,
            drivers: (self.cell)("drivers").map(|name| folder.join(name)),
            harvests: (self.cell)("harvests").map(|name| folder.join(name)),
            measures: self.measures()?,
            election: self
                .word("productivity", &[Election::EnergyOnly, Election::Productivity], |election| match election {
                    Election::EnergyOnly => "no",
                    Election::Productivity => "yes",
                })?
                .unwrap_or_default(),
        })
    }

    /// One of a few words.
    fn word<T: Copy>(&self, column: &str, known: &[T], name: fn(T) -> &'static str) -> Result<Option<T>, Refused> {
        let Some(text) = (self.cell)(column) else { return Ok(None) };
        let found = known.iter().copied().find(|one| name(*one) == text);
        let words = || known.iter().map(|one| name(*one)).collect::<Vec<_>>().join(" or ");
        found.map(Some).ok_or_else(|| self.refused(format!("{column} `{text}` is not {}", words())))
    }

    /// The measures of a project, with blanks between.
    fn measures(&self) -> Result<Vec<Measure>, Refused> {
        let known = || Measure::ALL.map(Measure::name).join(", ");
        let named = |word: &str| Measure::ALL.into_iter().find(|measure| measure.name() == word);
        let words = (self.cell)("measures").unwrap_or_default().split_whitespace();
        let refused = |word: &str| self.refused(format!("measures `{word}` is not known; known are: {}", known()));
        words.map(|word| named(word).ok_or_else(|| refused(word))).collect()
    }

    fn parsed<T: FromStr>(&self, column: &str, what: &str) -> Result<Option<T>, Refused> {
        let Some(text) = (self.cell)(column) else { return Ok(None) };
        text.parse().map(Some).map_err(|_unread| self.refused(format!("{column} `{text}` is not {what}")))
    }

    fn digits(&self) -> Result<Option<u8>, Refused> {
        const WHAT: &str = "a whole number from 1 to 15";
        let digits: Option<u8> = self.parsed("register_digits", WHAT)?;
        match digits {
            Some(digits) if !(1..=15).contains(&digits) => Err(self.refused(format!("register_digits `{digits}` is not {WHAT}"))),
            digits => Ok(digits),
        }
    }

    /// What was refused without knowing of a row is refused at this one.
    fn at_row<T>(&self, found: Result<T, Refused>) -> Result<T, Refused> {
        found.map_err(|refused| refused.at(self.row))
    }

    fn refused(&self, message: String) -> Refused {
        Refused::data(Some(self.file.to_path_buf()), Some(self.row), RULE, message)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn read_text(text: &str) -> Result<Vec<Entry>, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("list.csv");
        std::fs::write(&file, text).unwrap();
        read(&file).map_err(|err| err.fault().message)
    }

    #[test]
    fn rows_say_what_is_particular_and_a_bad_cell_refuses_its_meter_alone() {
        let text = "meter,role,unit,blackout_start,zone\na,comparison,therm,2025-01-31,Europe/Berlin\nb,,,,\nc,control,,,\nd,,bushel,,\n";
        let found = read_text(text).unwrap();
        let listed = found[0].listed.as_ref().unwrap();
        assert_eq!((listed.role, listed.unit, listed.blackout_start), (Role::Comparison, Some(EnergyUnit::Therm), Some(date(2025, 1, 31))));
        assert_eq!(listed.zone.as_ref().and_then(TimeZone::iana_name), Some("Europe/Berlin"));
        assert_eq!(found[1].listed.as_ref().unwrap().role, Role::Treated);
        let fault = found[2].listed.as_ref().unwrap_err().fault();
        assert_eq!((fault.row, fault.message.as_str()), (Some(3), "role `control` is not treated or comparison"));
        let fault = found[3].listed.as_ref().unwrap_err().fault();
        assert!(fault.row == Some(4) && fault.message.contains("`bushel` is not known"), "{fault:?}");
        let text = "meter,harvests,measures,productivity\na,h.csv,lighting climate,yes\nb,,sunshine,\n";
        let found = read_text(text).unwrap();
        let listed = found[0].listed.as_ref().unwrap();
        assert_eq!(
            (listed.measures.as_slice(), listed.election),
            ([Measure::Lighting, Measure::Climate].as_slice(), Election::Productivity)
        );
        assert!(listed.harvests.as_ref().is_some_and(|file| file.ends_with("h.csv")));
        assert!(found[1].listed.as_ref().unwrap_err().fault().message.contains("`sunshine` is not known; known are: lighting"));
    }

    #[test]
    fn a_misspelt_column_refuses_the_list() {
        assert!(read_text("meter,statoin\na,b\n").unwrap_err().contains("`statoin` is not known"));
        assert!(read_text("name\na\n").unwrap_err().contains("`name` is not known"));
        assert!(read_text("role\ntreated\n").unwrap_err().contains("no column `meter`"));
        assert_eq!(read_text("meter,role\n,treated\n").unwrap_err(), "names no meter");
        assert!(read_text("meter,role,role\na,,\n").unwrap_err().contains("twice"));
    }
}
