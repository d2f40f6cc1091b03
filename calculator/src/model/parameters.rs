//! The parameters of a fitted model for the reader, under the names that the reference programs write.
//!
//! This is a view and is only written; what is stored and read again is the fit itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};

use super::hourly::{HourlyFit, Segment};
use super::shape::{Model, Shape};
use super::towt::TowtFit;

/// A model's type and its parameters by name.
///
/// * Units: energies in the unit that was asked for, temperatures in °F.
/// * Wire: `{"type": …, "params": {…}}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameters {
    /// The type of the model, as `cdd_hdd`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its parameters in order of their names.
    pub params: BTreeMap<String, Parameter>,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Written")]
pub enum Parameter {
    /// A number.
    Number(f64),
    /// A whole number: a balance point of the grid, an hour of the week, a count.
    Whole(i64),
    /// Numbers in order.
    List(Vec<f64>),
    /// Whole numbers in order.
    Wholes(Vec<i64>),
    /// Parameters of a part.
    Part(BTreeMap<String, Parameter>),
}

/// A parameter as it is read: what was written without a point is whole.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(i64),
    Number(f64),
    Wholes(Vec<i64>),
    List(Vec<f64>),
    Part(BTreeMap<String, Parameter>),
}

impl From<Written> for Parameter {
    fn from(written: Written) -> Self {
        match written {
            Written::Whole(number) => Self::Whole(number),
            Written::Number(number) => Self::Number(number),
            Written::Wholes(numbers) => Self::Wholes(numbers),
            Written::List(numbers) => Self::List(numbers),
            Written::Part(part) => Self::Part(part),
        }
    }
}

impl Serialize for Parameter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Whole(number) => serializer.serialize_i64(*number),
            Self::List(numbers) => numbers.serialize(serializer),
            Self::Wholes(numbers) => numbers.serialize(serializer),
            Self::Part(part) => part.serialize(serializer),
        }
    }
}

impl Parameters {
    pub(super) fn new(kind: &str, params: impl IntoIterator<Item = (&'static str, Parameter)>) -> Self {
        Self { kind: kind.to_owned(), params: params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
    }

    /// The number of this name, when there is one.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.params.get(name)? {
            Parameter::Number(number) => Some(*number),
            Parameter::Whole(number) => Some(i32::try_from(*number).map_or(f64::NAN, f64::from)),
            Parameter::List(_) | Parameter::Wholes(_) | Parameter::Part(_) => None,
        }
    }
}

impl Model {
    /// The model's parameters, energies divided by `unit_wh`, the watt-hours of one unit.
    pub fn parameters(&self, unit_wh: f64) -> Parameters {
        let mut params = vec![("intercept", Parameter::Number(self.intercept / unit_wh))];
        #[expect(clippy::cast_possible_truncation, reason = "balance points come from a grid of whole degrees below 256")]
        let point = |balance_f: f64| Parameter::Whole(balance_f as i64);
        if let Some(term) = self.hdd {
            params.push(("beta_hdd", Parameter::Number(term.beta / unit_wh)));
            params.push(("heating_balance_point", point(term.balance_f)));
        }
        if let Some(term) = self.cdd {
            params.push(("beta_cdd", Parameter::Number(term.beta / unit_wh)));
            params.push(("cooling_balance_point", point(term.balance_f)));
        }
        Parameters::new(self.kind.name(), params)
    }
}

/// Numbers divided by the unit.
fn list(values: &[f64], unit_wh: f64) -> Parameter {
    Parameter::List(values.iter().map(|value| value / unit_wh).collect())
}

/// Levels of slots by their number; one that was never seen is not there.
fn levels(levels: &[Option<f64>], unit_wh: f64) -> Parameter {
    let seen = levels.iter().enumerate().filter_map(|(slot, level)| Some((format!("{slot:03}"), Parameter::Number((*level)? / unit_wh))));
    Parameter::Part(seen.collect())
}

impl HourlyFit {
    /// The parameters of every month's model under the reference's name of its segment.
    pub fn parameters(&self, unit_wh: f64) -> Parameters {
        let segment = |own: &Segment| (own.name.clone(), Parameter::Part(own.parameters(unit_wh).params));
        Parameters { kind: "caltrack_hourly".to_owned(), params: self.segments.iter().map(segment).collect() }
    }
}

impl Segment {
    /// The parameters of one month's model.
    pub fn parameters(&self, unit_wh: f64) -> Parameters {
        Parameters::new(
            "caltrack_hourly",
            [
                ("bin_endpoints", Parameter::List(self.endpoints_f.clone())),
                ("hour_of_week", levels(&self.levels, unit_wh)),
                ("occupied_hours", Parameter::Wholes(self.occupied.iter().map(|hour| i64::from(*hour)).collect())),
                ("bins_occupied", list(&self.slopes_occupied, unit_wh)),
                ("bins_unoccupied", list(&self.slopes, unit_wh)),
            ],
        )
    }
}

impl TowtFit {
    /// The parameters; intervals of the week count from zero on Monday.
    pub fn parameters(&self, unit_wh: f64) -> Parameters {
        Parameters::new(
            "towt",
            [
                ("temp_knots", Parameter::List(self.knots_f.clone())),
                ("interval_of_week", levels(&self.levels, unit_wh)),
                ("occupied_intervals", Parameter::Wholes(self.occupied.iter().map(|slot| i64::from(*slot)).collect())),
                ("slopes_occupied", list(&self.slopes_occupied, unit_wh)),
                ("slopes_unoccupied", list(&self.slopes, unit_wh)),
            ],
        )
    }
}

impl Shape {
    /// The name that the reference gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InterceptOnly => "intercept_only",
            Self::HddOnly => "hdd_only",
            Self::CddOnly => "cdd_only",
            Self::CddHdd => "cdd_hdd",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::Term;
    use super::*;

    #[test]
    fn a_model_is_written_as_the_reference_writes_it() {
        let term = |balance_f, beta| Some(Term { balance_f, beta });
        let model = Model { kind: Shape::CddHdd, intercept: 13_472.0, hdd: term(53.0, 1_112.0), cdd: term(68.0, 2_516.0) };
        let text = serde_json::to_string(&model.parameters(1_000.0)).unwrap();
        assert_eq!(
            text,
            r#"{"type":"cdd_hdd","params":{"beta_cdd":2.516,"beta_hdd":1.112,"cooling_balance_point":68,"heating_balance_point":53,"intercept":13.472}}"#
        );
        let mean = Model { kind: Shape::InterceptOnly, intercept: 5.0, hdd: None, cdd: None };
        assert_eq!(mean.parameters(1.0).number("intercept"), Some(5.0));
    }
}
