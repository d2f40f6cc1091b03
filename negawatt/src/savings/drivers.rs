//! The file of a greenhouse's days: light, moisture, water, crop, each under its name.

use std::collections::BTreeMap;
use std::path::Path;

use calculator::model::cea::{DriverRow, Drivers, Election, Measure, Plan, Variable};
use jiff::civil::Date;

use super::input::Refused;

/// Days of a file at most: a century, which is a file by mistake.
const DAYS_MAX: usize = 36_525;
const RULE: &str = "cleaning 1: a day of variables has its date, and every variable a finite number or nothing";
const COLUMNS: &str = "IPMVP: independent variables are those that the plan declares";

/// Reads `date` and a column for each variable, and `stage` where crops have stages.
pub(super) fn read(file: &Path, measures: &[Measure], election: Election) -> Result<Drivers, Refused> {
    let body = std::fs::read(file)
        .map_err(|err| Refused::data(Some(file.to_path_buf()), None, "the file can be read", format!("could not be read: {err}")))?;
    let refused = |row: Option<usize>, rule, message: String| Refused::data(Some(file.to_path_buf()), row, rule, message);
    if measures.is_empty() {
        let message = "nothing says what the project changes, so that no variable can be allowed; write --measure".to_owned();
        return Err(Refused::usage(Some(file.to_path_buf()), COLUMNS, message));
    }
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(body.as_slice());
    let header = reader.headers().map_err(|err| refused(None, COLUMNS, format!("has no header line: {err}")))?.clone();
    let columns: Vec<Column> =
        header.iter().map(|name| Column::named(name).ok_or_else(|| refused(None, COLUMNS, unknown(name)))).collect::<Result<_, _>>()?;
    let variables: Vec<Variable> = columns.iter().filter_map(Column::variable).collect();
    let dates = columns.iter().filter(|column| **column == Column::Date).count();
    let repeated = header.iter().enumerate().any(|(index, name)| header.iter().take(index).any(|other| other == name));
    if dates != 1 || repeated || variables.is_empty() {
        let message = "needs the column date once, and each variable once, one at least".to_owned();
        return Err(refused(None, COLUMNS, message));
    }
    let mut rows = BTreeMap::new();
    for (index, record) in reader.records().enumerate() {
        let row = index + 1;
        let record = record.map_err(|err| refused(Some(row), RULE, format!("cannot be read: {err}")))?;
        let (date, known) = day(&columns, &record).map_err(|message| refused(Some(row), RULE, message))?;
        if rows.insert(date, known).is_some() {
            return Err(refused(Some(row), "cleaning 3: rows do not overlap (CalTRACK 2.3.2.2)", format!("{date} is there twice")));
        }
        if rows.len() > DAYS_MAX {
            return Err(refused(Some(row), RULE, format!("more than {DAYS_MAX} days")));
        }
    }
    let plan = Plan { allowed: measures.iter().map(|measure| (*measure, variables.clone())).collect() };
    Ok(Drivers { variables, rows, plan, election })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Date,
    Stage,
    Of(Variable),
}

impl Column {
    fn named(name: &str) -> Option<Self> {
        match name {
            "date" => Some(Self::Date),
            "stage" => Some(Self::Stage),
            _ => Variable::ALL.into_iter().find(|variable| variable.name() == name).map(Self::Of),
        }
    }

    const fn variable(&self) -> Option<Variable> {
        match self {
            Self::Of(variable) => Some(*variable),
            Self::Date | Self::Stage => None,
        }
    }
}

fn unknown(name: &str) -> String {
    let known: Vec<String> = Variable::ALL.iter().map(|variable| format!("{} ({})", variable.name(), variable.unit())).collect();
    format!("the column `{name}` is not known; known are date, stage, {}", known.join(", "))
}

fn day(columns: &[Column], record: &csv::StringRecord) -> Result<(Date, DriverRow), String> {
    let (mut date, mut known) = (None, DriverRow::default());
    for (column, text) in columns.iter().zip(record) {
        match column {
            Column::Date => date = Some(text.parse::<Date>().map_err(|err| format!("`{text}` is no date: {err}"))?),
            Column::Stage => known.stage = (!text.is_empty()).then(|| text.to_owned()),
            Column::Of(_) if text.is_empty() => known.values.push(None),
            Column::Of(variable) => {
                let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
                known.values.push(Some(value.ok_or_else(|| format!("{} `{text}` is not a finite number", variable.name()))?));
            }
        }
    }
    date.map(|date| (date, known)).ok_or_else(|| "has no date".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Drivers, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("days.csv");
        std::fs::write(&file, text).unwrap();
        read(&file, &[Measure::Climate], Election::EnergyOnly).map_err(|refused| refused.to_string())
    }

    #[test]
    fn days_have_their_variables_and_an_empty_one_is_absent() {
        let drivers = of("date,production,stage,light_demand\n2025-01-01,400,bearing,12.5\n2025-01-02,,bearing,3\n").unwrap();
        assert_eq!(drivers.variables, [Variable::Production, Variable::LightDemand]);
        let second = &drivers.rows[&jiff::civil::date(2025, 1, 2)];
        assert_eq!((second.values.as_slice(), second.stage.as_deref()), ([None, Some(3.0)].as_slice(), Some("bearing")));
    }

    #[test]
    fn each_fault_names_row_and_rule() {
        for (text, said) in [
            ("date,production\n2025-01-01,NaN\n", "row 1: production `NaN` is not a finite number"),
            ("date,production\n2025-01-01,4\nsoon,5\n", "row 2: `soon` is no date"),
            ("date,production\n2025-01-01,4\n2025-01-01,5\n", "row 2: 2025-01-01 is there twice"),
            ("date,yield\n2025-01-01,4\n", "the column `yield` is not known; known are date, stage, light_demand (mol/m2/d)"),
            ("production\n4\n", "needs the column date once"),
        ] {
            let refused = of(text).unwrap_err();
            assert!(refused.contains(said) && refused.contains("rule: "), "{refused}");
        }
    }
}
