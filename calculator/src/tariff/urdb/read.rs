//! Reading the fields of a public rate, each once, so that what nobody asked for is known at the end.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::UrdbError;

/// The fields of one rate that were not read yet.
#[derive(Debug)]
pub(super) struct Fields<'a>(BTreeMap<&'a str, &'a Value>);

/// A step of a price as the public form has it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) rate: Decimal,
    pub(super) adjustment: Decimal,
    pub(super) max: Option<Decimal>,
    pub(super) unit: Option<String>,
    pub(super) sell: Option<Decimal>,
    /// Keys of the step that are not known.
    pub(super) other: Vec<String>,
}

/// Bounds from here on are none: programs write their largest number for "no bound".
const UNBOUNDED: i64 = 1_000_000_000_000;

impl<'a> Fields<'a> {
    pub(super) fn of(rate: &'a Map<String, Value>) -> Self {
        let given = |(_, value): &(&'a String, &'a Value)| !value.is_null();
        Self(rate.iter().filter(given).map(|(name, value)| (name.as_str(), value)).collect())
    }

    pub(super) fn take(&mut self, name: &str) -> Option<&'a Value> {
        self.0.remove(name)
    }

    /// Fields that nobody read.
    pub(super) fn rest(self) -> Vec<&'a str> {
        self.0.into_keys().collect()
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<&'a str>, UrdbError> {
        let wrong = || UrdbError::Field { field: name.to_owned(), problem: "is no text".to_owned() };
        self.take(name).map(|value| value.as_str().ok_or_else(wrong)).transpose()
    }

    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<Decimal>, UrdbError> {
        self.take(name).map(|value| decimal(value, name)).transpose()
    }

    pub(super) fn integer(&mut self, name: &'static str) -> Result<Option<i64>, UrdbError> {
        let wrong = || UrdbError::Field { field: name.to_owned(), problem: "is no whole number".to_owned() };
        self.take(name).map(|value| value.as_i64().ok_or_else(wrong)).transpose()
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, UrdbError> {
        let wrong = || UrdbError::Field { field: name.to_owned(), problem: "is neither true nor false".to_owned() };
        self.take(name).map(|value| value.as_bool().ok_or_else(wrong)).transpose()
    }

    /// Twelve numbers.
    pub(super) fn months(&mut self, name: &'static str) -> Result<Option<Vec<Decimal>>, UrdbError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let months = array(value, name)?;
        if months.len() != 12 {
            return Err(UrdbError::Field { field: name.to_owned(), problem: format!("has {} months, not 12", months.len()) });
        }
        months.iter().map(|month| decimal(month, name)).collect::<Result<_, _>>().map(Some)
    }

    /// Periods with their steps.
    pub(super) fn structure(&mut self, name: &'static str) -> Result<Option<Vec<Vec<Step>>>, UrdbError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let mut periods = Vec::new();
        for (number, period) in array(value, name)?.iter().enumerate() {
            let mut steps = Vec::new();
            for (tier, step) in array(period, name)?.iter().enumerate() {
                steps.push(read_step(step, &format!("{name}[{number}][{tier}]"))?);
            }
            periods.push(steps);
        }
        Ok(Some(periods))
    }

    /// Twelve months of 24 hours, each the number of a period.
    pub(super) fn schedule(&mut self, name: &'static str, periods: usize) -> Result<Option<Vec<Vec<usize>>>, UrdbError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let wrong = |problem: String| UrdbError::Field { field: name.to_owned(), problem };
        let months = array(value, name)?;
        if months.len() != 12 {
            return Err(wrong(format!("has {} months, not 12", months.len())));
        }
        let mut schedule = Vec::with_capacity(12);
        for month in months {
            let hours = array(month, name)?;
            if hours.len() != 24 {
                return Err(wrong(format!("has a month of {} hours, not 24", hours.len())));
            }
            let mut row = Vec::with_capacity(24);
            for hour in hours {
                let period = hour.as_u64().and_then(|period| usize::try_from(period).ok()).filter(|period| *period < periods);
                row.push(period.ok_or_else(|| wrong(format!("names period {hour}, of which there are {periods}")))?);
            }
            schedule.push(row);
        }
        Ok(Some(schedule))
    }
}

fn read_step(step: &Value, path: &str) -> Result<Step, UrdbError> {
    let object = step.as_object().ok_or_else(|| UrdbError::Field { field: path.to_owned(), problem: "is no object".to_owned() })?;
    let mut read = Step { rate: Decimal::ZERO, adjustment: Decimal::ZERO, max: None, unit: None, sell: None, other: Vec::new() };
    for (key, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        let field = format!("{path}.{key}");
        match key.as_str() {
            "rate" => read.rate = decimal(value, &field)?,
            "adj" => read.adjustment = decimal(value, &field)?,
            "sell" => read.sell = Some(decimal(value, &field)?),
            "max" if value.as_f64().is_some_and(|max| max >= 1e12) => {}
            "max" => read.max = Some(decimal(value, &field)?).filter(|max| *max < Decimal::from(UNBOUNDED)),
            "unit" => read.unit = value.as_str().map(str::to_owned),
            _ => read.other.push(field),
        }
    }
    Ok(read)
}

pub(super) fn array<'v>(value: &'v Value, field: &str) -> Result<&'v Vec<Value>, UrdbError> {
    value.as_array().ok_or_else(|| UrdbError::Field { field: field.to_owned(), problem: "is no list".to_owned() })
}

/// A number as it is written; never the binary fraction nearest to it.
pub(super) fn decimal(value: &Value, field: &str) -> Result<Decimal, UrdbError> {
    let written = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => String::new(),
    };
    let read = written.parse::<Decimal>().or_else(|_plain| Decimal::from_scientific(&written));
    read.map_err(|_unreadable| UrdbError::Field { field: field.to_owned(), problem: "is no number".to_owned() })
}
