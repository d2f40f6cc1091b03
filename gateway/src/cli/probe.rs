//! `probe`: what a technician sees first of a device.

use daemon::ExitCode;
use devices::Profile;
use serde::Serialize;
use units::{Measured, Quality};

use super::{Output, complain, profile::Target, say};
use crate::{
    modbus::{BusError, Endpoint},
    setup::{DisplayError, Hypothesis, compare_with_display},
};

/// Which device, and how to tell.
#[derive(Debug, clap::Args)]
pub(super) struct ProbeArgs {
    #[command(flatten)]
    target: Target,
    /// Ask why this point differs from what the display shows; needs --shown
    #[arg(long, value_name = "POINT", requires = "shown")]
    point: Option<String>,
    /// The number on the display of the device, with all its digits, such as 230.1
    #[arg(long, value_name = "NUMBER", requires = "point", allow_hyphen_values = true)]
    shown: Option<String>,
    /// How the points are printed
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

/// What `--output json` prints.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    points: Vec<PointReport>,
}

#[derive(Debug, Serialize)]
struct PointReport {
    id: String,
    value: Option<String>,
    unit: String,
    quality: String,
}

pub(super) async fn probe(args: ProbeArgs) -> ExitCode {
    let (endpoint, unit, profile) = match args.target.resolve().await {
        Ok(target) => target,
        Err(code) => return code,
    };
    if let (Some(point), Some(shown)) = (&args.point, &args.shown) {
        return compare(&endpoint, unit, &profile, (point, shown), args.output).await;
    }
    let points = match crate::poll::probe(&endpoint, unit, &profile).await {
        Ok(points) => points,
        Err(err) => return complain(&explain(&err, &endpoint), ExitCode::DependencyDown),
    };
    let printed = match args.output {
        Output::Human => human(&points, &profile),
        Output::Json => json(&points, &profile),
    };
    match say(&printed) {
        Ok(()) => ExitCode::Ok,
        Err(code) => code,
    }
}

/// What would make the point show what the display shows.
async fn compare(endpoint: &Endpoint, unit: u8, profile: &Profile, (point, shown): (&str, &str), output: Output) -> ExitCode {
    let ranked = match compare_with_display(endpoint, unit, profile, point, shown).await {
        Ok(ranked) => ranked,
        Err(DisplayError::Bus(err)) => return complain(&explain(&err, endpoint), ExitCode::DependencyDown),
        Err(err) => return complain(&format!("error: {err}"), ExitCode::Usage),
    };
    let printed = match output {
        Output::Human => {
            let line = |(rank, hypothesis): (usize, &Hypothesis)| format!("{}. {:>12.3}  {}", rank + 1, hypothesis.value, hypothesis.says);
            ranked.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
        }
        Output::Json => {
            serde_json::json!({ "schema": "negawatt.display/1", "point": point, "shown": shown, "hypotheses": ranked }).to_string()
        }
    };
    match (say(&printed), ranked.is_empty()) {
        (Err(code), _) => code,
        (Ok(()), false) => ExitCode::Ok,
        (Ok(()), true) => {
            let help = "help: read the display again, and see that it shows this quantity; then the map is another one: `identify`";
            complain(&format!("nothing around `{point}` is {shown}\n{help}"), ExitCode::DataRefused)
        }
    }
}

fn explain(err: &BusError, endpoint: &Endpoint) -> String {
    let help = match (err, endpoint) {
        (BusError::Connect { .. } | BusError::Resting { .. }, Endpoint::Rtu { .. }) => {
            "\nhelp: name an existing serial port that this user may open and nobody else uses"
        }
        (BusError::Connect { .. } | BusError::Resting { .. }, _) => "\nhelp: check address, port and cable; the usual port is 502",
        (BusError::Silent { .. }, Endpoint::Rtu { .. }) => "\nhelp: check unit id, baud rate and parity; then whether A and B are swapped",
        (BusError::Silent { .. } | BusError::Broken { .. }, _) => {
            "\nhelp: check the unit id; a converter may want serial frames: try rtu+tcp:// or tcp://"
        }
        (BusError::Refused { .. }, _) if err.is_transient() => {
            "\nhelp: the converter is there and the device behind it is not: check the unit id, then its wiring"
        }
        (BusError::Refused { .. }, _) => "\nhelp: the device is there, but does not have these registers: is it the right profile?",
        _ => "",
    };
    format!("error: {}{help}", daemon::chain(err))
}

type Points = [(String, Option<Measured>, Quality)];

fn unit_of(profile: &Profile, id: &str) -> &'static str {
    profile.point(id).map(|point| point.unit.symbol()).unwrap_or_default()
}

fn human(points: &Points, profile: &Profile) -> String {
    let value = |measured: &Option<Measured>| measured.map_or_else(|| "-".to_owned(), Measured::decimal_text);
    let rows =
        points.iter().map(|(id, measured, quality)| [id.clone(), value(measured), unit_of(profile, id).to_owned(), quality.to_string()]);
    let rows: Vec<[String; 4]> = std::iter::once(["point", "value", "unit", "quality"].map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |[id, value, unit, quality]: &[String; 4]| {
        let [w0, w1, w2] = widths;
        format!("{id:<w0$}  {value:>w1$}  {unit:<w2$}  {quality}")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn json(points: &Points, profile: &Profile) -> String {
    let points = points.iter().map(|(id, measured, quality)| PointReport {
        id: id.clone(),
        value: measured.map(Measured::decimal_text),
        unit: unit_of(profile, id).to_owned(),
        quality: quality.to_string(),
    });
    let report = Report { schema: "negawatt.probe/1", points: points.collect() };
    serde_json::to_string(&report).expect("text and lists always become JSON")
}

#[cfg(test)]
mod tests {
    use units::{Reason, Unit};

    use super::*;

    #[test]
    fn what_a_technician_sees() {
        let profile = devices::find("eastron-sdm630").unwrap();
        let measured = |raw, exponent, unit| Some(Measured { raw, exponent, unit });
        let points = [
            ("v1".to_owned(), measured(2301, -1, Unit::Volt), Quality::GOOD),
            ("pf".to_owned(), None, Quality::bad(Reason::InvalidMarker).with(Reason::NoValue)),
            ("e_imp".to_owned(), measured(12_345_678, -3, Unit::KilowattHour), Quality::GOOD),
        ];
        insta::assert_snapshot!(human(&points, profile), @r"
        point      value  unit  quality
        v1         230.1  V     good
        pf             -        bad:invalid_marker+no_value
        e_imp  12345.678  kWh   good
        ");
        insta::assert_snapshot!(json(&points[..1], profile), @r#"{"schema":"negawatt.probe/1","points":[{"id":"v1","value":"230.1","unit":"V","quality":"good"}]}"#);
    }
}
