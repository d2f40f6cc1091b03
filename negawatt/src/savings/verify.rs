//! `negawatt savings verify`: a kept answer computed again from its files.

use std::path::{Path, PathBuf};

use calculator::assessment::{Answer, CODE_VERSION};
use calculator::baseline::Commodity;
use calculator::model::cea::Election;
use daemon::ExitCode;
use serde::Deserialize as _;
use serde_json::Value;

use super::fit::Files;
use super::input::Refused;
use super::question::{self, Asked, What};
use crate::cli::{Output, complain, say};

/// The answer, and the files it was computed from.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The answer as `savings fit --output json` printed it.
    #[arg(value_name = "ANSWER")]
    answer: PathBuf,
    /// The meter's rows; the file that the answer names, when not given.
    #[arg(long, value_name = "FILE")]
    meter: Option<PathBuf>,
    /// The weather's rows; the file that the answer names, when not given.
    #[arg(long, value_name = "FILE")]
    temperature: Option<PathBuf>,
    /// The days of variables; the file that the answer names, when not given.
    #[arg(long, value_name = "FILE")]
    drivers: Option<PathBuf>,
    /// The harvests; the file that the answer names, when not given.
    #[arg(long, value_name = "FILE")]
    harvests: Option<PathBuf>,
    /// The bills of the same energy; the file that the answer names, when not given.
    #[arg(long, value_name = "FILE")]
    bills: Option<PathBuf>,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(super) output: Output,
}

impl Args {
    /// An answer with the files that it names.
    pub(super) const fn of(answer: PathBuf) -> Self {
        Self { answer, meter: None, temperature: None, drivers: None, harvests: None, bills: None, output: Output::Human }
    }
}

/// A kept answer beside what its files say now.
pub(super) struct Recomputed {
    pub(super) asked: Asked,
    /// The answer of today.
    pub(super) answer: Answer,
    /// By which edition of the code the kept one was computed.
    pub(super) code_version: String,
    pub(super) difference: Option<Difference>,
}

/// Reads a kept answer and computes it again.
pub(super) fn recompute(args: &Args) -> Result<Recomputed, Refused> {
    let refused = |message: String| Refused::data(Some(args.answer.clone()), None, "an answer is one negawatt.savings/1 object", message);
    let text = std::fs::read_to_string(&args.answer).map_err(|err| refused(format!("could not be read: {err}")))?;
    let kept: Value = serde_json::from_str(&text).map_err(|err| refused(format!("is not JSON: {err}")))?;
    let answer: Answer = serde_json::from_value(kept.clone()).map_err(|err| refused(format!("is not an answer: {err}")))?;
    let files = Files::deserialize(&kept).map_err(|err| refused(format!("does not say its files: {err}")))?;
    let question = asked_again(args, files, &answer);
    let asked = question.ask()?;
    let again = question.answered(&asked)?;
    let again_value = serde_json::to_value(&again).map_err(|err| Refused::bug(&err))?;
    let difference = first_difference("", &kept, &again_value);
    Ok(Recomputed { asked, answer: again, code_version: answer.inputs.code_version, difference })
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Refused> {
    let Recomputed { answer, code_version, difference, .. } = recompute(args)?;
    let object = match &difference {
        None => serde_json::json!({ "schema": "negawatt.savings.verify/1", "result": "verified", "digest": answer.digest }),
        Some(difference) => serde_json::json!({ "schema": "negawatt.savings.verify/1", "result": "refused", "differs": difference }),
    };
    match (args.output, &difference) {
        (Output::Json, _) => say(&format!("{object}\n")),
        (Output::Human, None) => say(&format!("verified\ndigest {}\n", answer.digest)),
        (Output::Human, Some(_)) => {}
    }
    let Some(difference) = difference else { return Ok(ExitCode::Ok) };
    differs(&args.answer, &difference, &code_version);
    Ok(ExitCode::DataRefused)
}

/// Says what differs.
pub(super) fn differs(file: &Path, Difference { what, kept, again }: &Difference, code_version: &str) {
    complain(&format!("error: {}: {what} is {kept} there, and {again} when it is computed again", file.display()));
    if code_version != CODE_VERSION {
        complain(&format!("help: it was computed by {code_version}; this is {CODE_VERSION}"));
    }
}

/// The question that the answer says it answers.
fn asked_again(args: &Args, files: Files, answer: &Answer) -> question::Args {
    let settings = &answer.inputs.settings;
    question::Args {
        meter: args.meter.clone().unwrap_or(files.files.meter),
        temperature: args.temperature.clone().unwrap_or(files.files.temperature),
        commodity: match settings.commodity {
            Commodity::Electricity => What::Electricity,
            Commodity::Gas => What::Gas,
        },
        unit: Some(settings.unit.symbol().to_owned()),
        zone: settings.zone.clone(),
        blackout_start: settings.blackout_start,
        blackout_end: settings.blackout_end,
        method: answer.assessment.method,
        mode: answer.assessment.mode,
        drivers: args.drivers.clone().or(files.files.drivers),
        harvests: args.harvests.clone().or(files.files.harvests),
        measure: settings.measures.clone().unwrap_or_default(),
        multiplier: settings.meter.multiplier,
        register_digits: settings.meter.register_digits,
        rated_kw: settings.meter.rated_kw,
        accuracy_class: settings.meter.accuracy_class,
        bills: args.bills.clone().or(files.files.bills),
        station_km: settings.site.station_km,
        other_climate_zone: settings.site.other_climate_zone,
        net_metering_changed: settings.site.net_metering_changed,
        ev_installed: settings.site.electric_vehicle_installed,
        productivity: settings.election == Some(Election::Productivity),
        output: args.output,
    }
}

/// One thing that an answer says and its files do not.
#[derive(Debug, PartialEq, serde::Serialize)]
pub(super) struct Difference {
    what: String,
    kept: Value,
    again: Value,
}

/// The first difference in the order in which an answer is made: inputs before results, the digest last.
fn first_difference(path: &str, kept: &Value, again: &Value) -> Option<Difference> {
    let differs = || Difference { what: path.to_owned(), kept: kept.clone(), again: again.clone() };
    match (kept, again) {
        (Value::Object(one), Value::Object(other)) => {
            const ORDER: [&str; 3] = ["inputs", "method", "mode"];
            // Where the files lay then is not what they say.
            let mut names: Vec<&String> = one
                .keys()
                .filter(|name| !(path.is_empty() && *name == "files"))
                .chain(other.keys().filter(|name| !one.contains_key(*name)))
                .collect();
            names.sort_by_key(|name| {
                let place = ORDER.iter().position(|first| first == name).unwrap_or(ORDER.len());
                (name.as_str() == "digest", place, (*name).clone())
            });
            names.into_iter().find_map(|name| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                first_difference(&path, one.get(name).unwrap_or(&Value::Null), other.get(name).unwrap_or(&Value::Null))
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).enumerate().find_map(|(index, (one, other))| first_difference(&format!("{path}[{index}]"), one, other))
        }
        _ => (kept != again).then(differs),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_thing_that_differs_is_an_input_before_it_is_a_result() {
        let kept = json!({ "digest": "a", "avoided": { "savings": 1.0, "interval_90": [0.0, 2.0] }, "inputs": { "meter_rows": 3 } });
        let mut again = kept.clone();
        assert_eq!(first_difference("", &kept, &again), None);
        again["avoided"]["interval_90"][1] = json!(2.5);
        again["digest"] = json!("b");
        assert_eq!(first_difference("", &kept, &again).unwrap().what, "avoided.interval_90[1]");
        again["inputs"]["meter_rows"] = json!(4);
        assert_eq!(first_difference("", &kept, &again).unwrap().what, "inputs.meter_rows");
        again["inputs"].as_object_mut().unwrap().remove("meter_rows");
        assert_eq!(first_difference("", &kept, &again).unwrap().again, Value::Null);
    }
}
