//! The file of a greenhouse's days: light, moisture, water, crop, each under its name.

use std::collections::BTreeMap;
use std::path::Path;

use calculator::model::cea::{DriverRow, Drivers, Election, Growth, Harvest, Measure, Plan, Variable, grown};
use jiff::civil::Date;

use super::input::Refused;

/// Days of a file at most: a century, which is a file by mistake.
const DAYS_MAX: usize = 36_525;
const RULE: &str = "cleaning 1: a day of variables has its date, and every variable a finite number or nothing";
const COLUMNS: &str = "IPMVP: independent variables are those that the plan declares";

/// Harvests of a file at most.
const HARVESTS_MAX: usize = 100_000;
/// Days of a cycle at most: three years, which no crop of a greenhouse takes.
const CYCLE_DAYS_MAX: i64 = 1_096;
const CYCLES: &str = "IPMVP: output is aligned with the days that made it: a harvest has its cycle `from,on` and its `marketable_kg`";

/// Reads `from,on,marketable_kg` and gives each day the produce that grew on it.
///
/// * Shape: days between the first cycle and the last have what grew, if only nothing; other days are not known.
pub(super) fn with_harvests(drivers: Option<Drivers>, file: &Path, measures: &[Measure], election: Election) -> Result<Drivers, Refused> {
    let refused = |row: Option<usize>, message: String| Refused::data(Some(file.to_path_buf()), row, CYCLES, message);
    let mut drivers = match drivers {
        Some(drivers) => drivers,
        None => Drivers { variables: Vec::new(), rows: BTreeMap::new(), plan: plan(file, measures, &[])?, election },
    };
    if drivers.variables.contains(&Variable::Production) {
        return Err(refused(None, "gives the production that the file of variables has already; leave out one of them".to_owned()));
    }
    let harvests = harvests(file)?;
    let days = grown(&harvests, Growth::default()).map_err(|err| refused(None, err.to_string()))?;
    let (Some(first), Some(last)) = (harvests.iter().map(|harvest| harvest.from).min(), harvests.iter().map(|harvest| harvest.on).max())
    else {
        return Err(refused(None, "has no harvest".to_owned()));
    };
    drivers.variables.push(Variable::Production);
    drivers.plan = plan(file, measures, &drivers.variables)?;
    let others = drivers.variables.len() - 1;
    if others == 0 {
        for date in first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last) {
            drivers.rows.entry(date).or_default();
            if drivers.rows.len() > DAYS_MAX {
                return Err(refused(None, format!("spans more than {DAYS_MAX} days")));
            }
        }
    }
    for (date, row) in &mut drivers.rows {
        let known = (first..=last).contains(date);
        row.values.resize(others, None);
        row.values.push(known.then(|| days.get(date).copied().unwrap_or(0.0)));
    }
    Ok(drivers)
}

fn harvests(file: &Path) -> Result<Vec<Harvest>, Refused> {
    let refused = |row: Option<usize>, message: String| Refused::data(Some(file.to_path_buf()), row, CYCLES, message);
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(file).map_err(|err| refused(None, format!("could not be read: {err}")))?;
    let header = reader.headers().map_err(|err| refused(None, format!("has no header line: {err}")))?;
    if header.iter().ne(["from", "on", "marketable_kg"]) {
        return Err(refused(None, "needs the columns from,on,marketable_kg".to_owned()));
    }
    let mut harvests = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let row = index + 1;
        let record = record.map_err(|err| refused(Some(row), format!("cannot be read: {err}")))?;
        let field = |column: usize| record.get(column).unwrap_or_default();
        let date = |column: usize| {
            field(column).parse::<Date>().map_err(|err| refused(Some(row), format!("`{}` is no date: {err}", field(column))))
        };
        let kg = field(2).parse::<f64>().ok().filter(|kg| kg.is_finite() && *kg >= 0.0);
        let marketable_kg = kg.ok_or_else(|| refused(Some(row), format!("`{}` is no weight", field(2))))?;
        let harvest = Harvest { from: date(0)?, on: date(1)?, marketable_kg };
        if harvest.on < harvest.from {
            return Err(refused(Some(row), format!("it begins on {}, after it is weighed on {}", harvest.from, harvest.on)));
        }
        if harvest.on.duration_since(harvest.from).as_hours() / 24 > CYCLE_DAYS_MAX {
            return Err(refused(Some(row), format!("its cycle is longer than {CYCLE_DAYS_MAX} days")));
        }
        harvests.push(harvest);
        if harvests.len() > HARVESTS_MAX {
            return Err(refused(Some(row), format!("more than {HARVESTS_MAX} harvests")));
        }
    }
    Ok(harvests)
}

/// What each measure leaves alone, which is what the plan declares.
fn plan(file: &Path, measures: &[Measure], variables: &[Variable]) -> Result<Plan, Refused> {
    if measures.is_empty() {
        let message = "nothing says what the project changes, so that no variable can be allowed; write --measure".to_owned();
        return Err(Refused::usage(Some(file.to_path_buf()), COLUMNS, message));
    }
    Ok(Plan { allowed: measures.iter().map(|measure| (*measure, variables.to_vec())).collect() })
}

/// Reads `date` and a column for each variable, and `stage` where crops have stages.
pub(super) fn read(file: &Path, measures: &[Measure], election: Election) -> Result<Drivers, Refused> {
    let body = std::fs::read(file)
        .map_err(|err| Refused::data(Some(file.to_path_buf()), None, "the file can be read", format!("could not be read: {err}")))?;
    let refused = |row: Option<usize>, rule, message: String| Refused::data(Some(file.to_path_buf()), row, rule, message);
    plan(file, measures, &[])?;
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
    let plan = plan(file, measures, &variables)?;
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

    fn days_of(text: &str) -> Result<Drivers, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("days.csv");
        std::fs::write(&file, text).unwrap();
        read(&file, &[Measure::Climate], Election::EnergyOnly).map_err(|refused| refused.to_string())
    }

    #[test]
    fn days_have_their_variables_and_an_empty_one_is_absent() {
        let drivers = days_of("date,production,stage,light_demand\n2025-01-01,400,bearing,12.5\n2025-01-02,,bearing,3\n").unwrap();
        assert_eq!(drivers.variables, [Variable::Production, Variable::LightDemand]);
        let second = &drivers.rows[&jiff::civil::date(2025, 1, 2)];
        assert_eq!((second.values.as_slice(), second.stage.as_deref()), ([None, Some(3.0)].as_slice(), Some("bearing")));
    }

    #[test]
    fn a_harvest_is_produce_of_the_days_that_made_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("harvests.csv");
        let grown = |text: &str, drivers: Option<Drivers>| {
            std::fs::write(&file, text).unwrap();
            with_harvests(drivers, &file, &[Measure::Climate], Election::EnergyOnly).map_err(|refused| refused.to_string())
        };
        let text = "from,on,marketable_kg\n2025-01-01,2025-01-30,300\n2025-02-05,2025-03-06,200\n";
        let alone = grown(text, None).unwrap();
        assert_eq!((alone.variables.as_slice(), alone.rows.len()), ([Variable::Production].as_slice(), 65));
        let of = |day: Date| alone.rows[&day].values[0];
        assert_eq!(of(jiff::civil::date(2025, 2, 2)), Some(0.0), "between two cycles nothing grows");
        let sum: f64 = alone.rows.values().filter_map(|row| row.values[0]).sum();
        assert!((sum - 500.0).abs() < 1e-9, "{sum}");
        let light = days_of("date,light_demand\n2025-01-10,12\n2025-04-01,13\n").unwrap();
        let both = grown(text, Some(light)).unwrap();
        assert_eq!(both.variables, [Variable::LightDemand, Variable::Production]);
        assert!(both.rows[&jiff::civil::date(2025, 1, 10)].values[1].is_some_and(|kg| kg > 0.0));
        assert_eq!(both.rows[&jiff::civil::date(2025, 4, 1)].values, [Some(13.0), None], "after the last harvest nobody knows");
        let twice = days_of("date,production\n2025-01-10,12\n").unwrap();
        assert!(grown(text, Some(twice)).unwrap_err().contains("has already"));
        for (text, said) in [
            ("from,on,marketable_kg\n2025-01-05,2025-01-01,3\n", "row 1: it begins on 2025-01-05"),
            ("from,on,marketable_kg\n2025-01-01,2025-01-05,-3\n", "row 1: `-3` is no weight"),
            ("from,on,kg\n", "needs the columns from,on,marketable_kg"),
            ("from,on,marketable_kg\n", "has no harvest"),
        ] {
            let refused = grown(text, None).unwrap_err();
            assert!(refused.contains(said) && refused.contains("rule: "), "{refused}");
        }
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
            let refused = days_of(text).unwrap_err();
            assert!(refused.contains(said) && refused.contains("rule: "), "{refused}");
        }
    }
}
