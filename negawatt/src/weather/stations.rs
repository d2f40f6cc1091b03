//! `negawatt weather stations`: which station stands for a facility.

use std::path::PathBuf;

use calculator::weather::{Candidate, Choice, Grade, Place, Station, choose, kilometres};
use collector::weather::{Folder, HourRules, Origin, Source, SourceError, StationSeen, Variable, hours, observations};
use daemon::{Clock as _, ExitCode, SystemClock};
use jiff::civil::Date;
use jiff::{ToSpan as _, tz::TimeZone};
use serde_json::json;

use super::table::table;
use super::{Done, refused};
use crate::cli::Output;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The place, as LATITUDE,LONGITUDE or LATITUDE,LONGITUDE,ELEVATION in degrees and metres.
    #[arg(long, value_name = "LAT,LON[,M]", value_parser = place, allow_hyphen_values = true)]
    near: Place,
    /// The folder with lists of stations and files of observations.
    #[arg(long, value_name = "FOLDER", default_value = "weather")]
    folder: PathBuf,
    /// First day of the hours that are needed; a year before --to when left out.
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// First day that is not needed; today when left out.
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
    /// Stations that are looked at, the nearest.
    #[arg(long, default_value_t = 10)]
    limit: usize,
    /// Without the folder's list: fewer kilometres than these.
    #[arg(long, value_name = "KM", default_value_t = 500.0)]
    within: f64,
}

/// `41.98,-87.9,205`
fn place(text: &str) -> Result<Place, String> {
    let numbers: Vec<f64> = text.split(',').filter_map(|part| part.trim().parse().ok()).filter(|number: &f64| number.is_finite()).collect();
    let place = match (numbers.as_slice(), text.split(',').count()) {
        ([latitude, longitude], 2) => Place { latitude: *latitude, longitude: *longitude, elevation_m: f64::NAN },
        ([latitude, longitude, elevation], 3) => Place { latitude: *latitude, longitude: *longitude, elevation_m: *elevation },
        _ => return Err("write it as 41.98,-87.90 or 41.98,-87.90,205".to_owned()),
    };
    let on_earth = (-90.0..=90.0).contains(&place.latitude) && (-180.0..=180.0).contains(&place.longitude);
    on_earth.then_some(place).ok_or_else(|| "a latitude lies between -90 and 90, a longitude between -180 and 180".to_owned())
}

pub(super) fn run(args: &Args, output: Output) -> Done {
    let failed = |err: SourceError| refused(&err, ExitCode::DependencyDown);
    let today = SystemClock.now().to_zoned(TimeZone::UTC).date();
    let to = args.to.unwrap_or(today);
    let from = args.from.unwrap_or_else(|| to.saturating_sub(1.year()));
    if from >= to {
        return Err((format!("error: {from} is not before {to}"), ExitCode::Usage));
    }
    let folder = Folder::open(&args.folder).map_err(failed)?;
    let near = nearest(folder.stations().map_err(failed)?, args);
    if near.is_empty() {
        let text = format!(
            "error: {} knows no station within {} km\nhelp: put isd-history.csv, ghcnh-station-list.csv or files of observations into it",
            folder.said(),
            args.within
        );
        return Err((text, ExitCode::DataRefused));
    }
    let mut candidates = Vec::new();
    for (station, _) in &near {
        let coverage = coverage(&folder, &station.id, from, to).map_err(failed)?;
        candidates.push(Candidate { station: as_station(station, args.near), climate_zone: None, coverage });
    }
    let facility = Place { elevation_m: if args.near.elevation_m.is_finite() { args.near.elevation_m } else { 0.0 }, ..args.near };
    let choice = choose(facility, None, &candidates);
    let text = match output {
        Output::Json => {
            let one = |((station, distance_km), candidate): (&(StationSeen, f64), &Candidate)| json!({ "station": station, "distance_km": distance_km, "coverage": candidate.coverage });
            let stations: Vec<_> = near.iter().zip(&candidates).map(one).collect();
            let object = json!({
                "schema": "negawatt.weather.stations/1", "from": from, "to": to, "stations": stations, "choice": choice,
                "elevation_compared": args.near.elevation_m.is_finite(),
            });
            format!("{object}\n")
        }
        Output::Human => human(args, (from, to), &near, &candidates, choice.as_ref()),
    };
    Ok((text, ExitCode::Ok))
}

/// The stations with a place, the nearest first.
fn nearest(stations: Vec<StationSeen>, args: &Args) -> Vec<(StationSeen, f64)> {
    let mut near: Vec<(StationSeen, f64)> = stations
        .into_iter()
        .filter_map(|station| {
            let (latitude, longitude) = station.place?;
            let distance_km = kilometres(args.near, Place { latitude, longitude, elevation_m: 0.0 });
            (distance_km <= args.within).then_some((station, distance_km))
        })
        .collect();
    near.sort_by(|(one, near), (other, far)| near.total_cmp(far).then_with(|| one.id.cmp(&other.id)));
    near.truncate(args.limit.max(1));
    near
}

/// Where nobody says the elevation, nothing speaks against the station's.
fn as_station(seen: &StationSeen, facility: Place) -> Station {
    let (latitude, longitude) = seen.place.unwrap_or_default();
    let elevation_m = match (seen.elevation_m, facility.elevation_m.is_finite()) {
        (Some(elevation), true) => elevation,
        (None, true) => facility.elevation_m,
        (_, false) => 0.0,
    };
    let place = Place { latitude, longitude, elevation_m };
    Station { id: seen.id.clone(), name: seen.name.clone(), place, utc_offset_hours: 0.0 }
}

/// The part of the hours of a range for which the station observed a temperature, gaps not filled in.
fn coverage(source: &dyn Source, station: &str, from: Date, to: Date) -> Result<f64, SourceError> {
    let begin = |date: Date| date.to_zoned(TimeZone::UTC).map_or(0, |at| at.timestamp().as_second());
    let (first, end) = (begin(from), begin(to));
    let mut values = Vec::new();
    for file in source.history(station, from.year()..=to.year())? {
        // A file that cannot be read covers nothing; importing it says why.
        if let Ok(said) = observations(&file.body, None) {
            values.extend(said.values);
        }
    }
    let Some(hours) = hours(&values, Variable::Temperature, HourRules { gap_hours_max: 0 }) else { return Ok(0.0) };
    let observed =
        hours.hours.iter().filter(|hour| hour.origin == Origin::Observed && (first..end).contains(&hour.start.as_second())).count();
    #[expect(clippy::cast_precision_loss, reason = "hours of at most ten thousand years")]
    let part = observed as f64 * 3_600.0 / (end - first) as f64;
    Ok(part.min(1.0))
}

fn human(args: &Args, (from, to): (Date, Date), near: &[(StationSeen, f64)], candidates: &[Candidate], choice: Option<&Choice>) -> String {
    let rows: Vec<Vec<String>> = near
        .iter()
        .zip(candidates)
        .map(|((station, distance_km), candidate)| {
            let higher = station.elevation_m.filter(|_| args.near.elevation_m.is_finite()).map(|m| m - args.near.elevation_m);
            let chosen = choice.is_some_and(|choice| choice.station.id == station.id);
            vec![
                if chosen { "*".to_owned() } else { String::new() },
                station.id.clone(),
                format!("{distance_km:.1} km"),
                higher.map_or_else(|| "?".to_owned(), |metres| format!("{metres:+.0} m")),
                format!("{:.1} %", candidate.coverage * 100.0),
                station.name.clone(),
            ]
        })
        .collect();
    let mut text =
        format!("stations around {:.4},{:.4}, hours of temperature from {from} to {to}\n\n", args.near.latitude, args.near.longitude);
    text.push_str(&table(&["", "station", "distance", "higher", "hours", "name"], &rows));
    if let Some(choice) = choice {
        let grade = match choice.grade {
            Grade::Pass => "near and complete enough for a pass",
            Grade::Conditional => "good enough with a condition: within 200 km with 90 % of the hours",
            Grade::Fail => "beyond what is allowed: farther than 200 km, or with less than 90 % of the hours",
        };
        text.push_str(&format!("\n* {}: {grade}\n", choice.station.id));
        for other in &choice.rejected {
            text.push_str(&format!("  {}: {}\n", other.id, other.why));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_two_numbers_or_three() {
        let chicago = place("41.98,-87.90,205").unwrap();
        assert!((chicago.latitude - 41.98).abs() < 1e-9 && (chicago.elevation_m - 205.0).abs() < 1e-9);
        assert!(place("41.98, -87.90").unwrap().elevation_m.is_nan());
        for wrong in ["", "41.98", "north,west", "91,0", "0,181", "1,2,3,4", "1,nan"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
