use std::path::{Path, PathBuf};

use ids::Slug;
use jiff::tz::TimeZone;
use store::{Options, Reader, Store};
use units::Unit;

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/weather").join(name)
}

fn read(name: &str) -> Observations {
    let zone = TimeZone::get("America/Chicago").unwrap();
    observations(&std::fs::read(fixture(name)).unwrap(), Some(&zone)).unwrap()
}

/// What a file says, and the hours of temperature that follow.
fn said(name: &str) -> String {
    let file = read(name);
    let Counts { rows, unreadable, suspect, failed, implausible } = file.counts;
    let mut text = format!(
        "{}: {} {:?} at {:?}, {:?} m\n{rows} rows, {} values; {suspect} suspect, {failed} failed, {implausible} impossible, {unreadable} unreadable\n",
        file.provider,
        file.station.id,
        file.station.name,
        file.station.place,
        file.station.elevation_m,
        file.values.len(),
    );
    for (row, reason) in &file.told {
        text.push_str(&format!("  row {row}: {reason}\n"));
    }
    for variable in Variable::ALL {
        let Some(hours) = hours(&file.values, variable, HourRules::default()) else { continue };
        text.push_str(&format!("{}{}:", variable.point(), if hours.on_the_hour { "" } else { " between hours" }));
        for hour in &hours.hours {
            let value = hour.value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
            let mark = if hour.origin == Origin::Interpolated { "~" } else { "" };
            text.push_str(&format!(" {}={mark}{value}", hour.start.strftime("%dT%H")));
        }
        text.push('\n');
    }
    text
}

#[test]
fn isd_is_read_by_its_positions() {
    insta::assert_snapshot!(said("isd.txt"));
}

#[test]
fn ghcnh_is_read_by_the_names_of_its_columns() {
    insta::assert_snapshot!(said("ghcnh.psv"));
    // An edition with its time in parts, and other capitals.
    let text = "Station_ID|Year|Month|Day|Hour|Minute|Latitude|Longitude|Elevation|temperature|temperature_Quality_Code\n\
        USW00014819|2024|1|1|0|51|41.7862|-87.7522|-999.9|5.5|\n";
    let old = observations(text.as_bytes(), None).unwrap();
    assert_eq!(old.values[0].at.to_string(), "2024-01-01T00:51:00Z");
    assert_eq!((old.station.id.as_str(), old.station.elevation_m), ("USW00014819", None));
}

#[test]
fn open_meteo_is_read_as_json_and_as_csv() {
    insta::assert_snapshot!([said("open-meteo.json"), said("open-meteo.csv")].join("\n"));
    let told = |body: &str| observations(body.as_bytes(), None).unwrap_err().to_string();
    assert_eq!(
        told(r#"{"error":true,"reason":"Parameter 'start_date' is out of allowed range"}"#),
        "the file has an error of its provider in it: Parameter 'start_date' is out of allowed range"
    );
    let head = r#"{"latitude":1,"longitude":2,"hourly_units":{"temperature_2m":"K"},"#;
    assert_eq!(
        told(&format!("{head}\"hourly\":{{\"time\":[],\"temperature_2m\":[]}}}}")),
        "temperature_2m is in `K`, which is not known here"
    );
    let head = head.replace("K\"", "°C\"");
    let body = format!("{head}\"hourly\":{{\"time\":[\"2024-01-01T00:00\"],\"temperature_2m\":[1,2]}}}}");
    assert_eq!(told(&body), "temperature_2m has 2 entries, and there are 1 times");
}

#[test]
fn meteostat_is_read_as_json_and_as_csv_of_both_kinds() {
    insta::assert_snapshot!([said("meteostat.json"), said("meteostat.csv"), said("meteostat-headed.csv")].join("\n"));
}

#[test]
fn a_sensor_of_the_facility_is_read_with_its_zone() {
    // 02:00 is skipped by the clocks of that night.
    insta::assert_snapshot!(said("sensor.csv"));
}

#[test]
fn what_is_no_weather_is_refused() {
    for body in ["", "start,value\n2024-01-01T00:00:00Z,1\n", "<html>", "\u{feff}", "|||", "2024-01-01"] {
        assert!(matches!(observations(body.as_bytes(), None), Err(WeatherFileError::Unknown)), "{body}");
    }
    assert!(matches!(observations(b"{}", None), Err(WeatherFileError::Json { .. })));
}

#[test]
fn a_folder_is_known_by_the_names_that_providers_give_and_by_what_files_say() {
    let folder = Folder::open(&fixture("folder")).unwrap();
    let stations = folder.stations().unwrap();
    let ids: Vec<_> = stations.iter().map(|station| station.id.as_str()).collect();
    // The list first, without the station that has no place; then what only files have.
    assert_eq!(ids, ["725300-94846", "725305-94892", "722950-23174", "72530", "USW00014819"]);
    assert_eq!(stations[0].name, "CHICAGO O'HARE INTERNATIONAL AIRPORT, IL, US");
    assert_eq!(stations[4].place, Some((41.7862, -87.7522)));
    let files = |station: &str, years| folder.history(station, years).unwrap().len();
    assert_eq!((files("725300-94846", 2023..=2024), files("725300-94846", 2022..=2023), files("72530", 2024..=2024)), (1, 0, 1));
    let unpacked = &folder.history("725300-94846", 2024..=2024).unwrap()[0];
    assert_eq!(observations(&unpacked.body, None).unwrap().counts.rows, 168);
    assert!(Folder::open(&fixture("absent")).unwrap_err().to_string().starts_with("could not read "));
}

#[test]
fn lists_of_every_provider_are_read() {
    let list = "GHCN_ID,LATITUDE,LONGITUDE,ELEVATION,STATE,NAME\nUSW00014819,41.7862,-87.7522,188.4,IL,CHICAGO MIDWAY AP\n";
    let ghcnh = station_list(list.as_bytes()).unwrap();
    assert_eq!((ghcnh[0].id.as_str(), ghcnh[0].elevation_m), ("USW00014819", Some(188.4)));
    let list = r#"[{"id":"72530","name":{"en":"Chicago O'Hare"},"location":{"latitude":41.98,"longitude":-87.9,"elevation":205}}]"#;
    let meteostat = station_list(list.as_bytes()).unwrap();
    assert_eq!((meteostat[0].name.as_str(), meteostat[0].place), ("Chicago O'Hare", Some((41.98, -87.9))));
    assert!(station_list(b"a,b\n1,2\n").unwrap_err().to_string().contains("identifier, latitude or longitude"));
}

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

fn keeping() -> Keeping {
    Keeping {
        tenant: slug("acme"),
        facility: slug("hall"),
        device: slug("weather-station"),
        temperature: Unit::Celsius,
        rules: HourRules::default(),
        revise: false,
        again: false,
        typical: false,
        actor: "anna".to_owned(),
        reason: "weather".to_owned(),
        files: vec!["00".to_owned()],
        dry_run: false,
        now: "2026-01-01T00:00:00Z".parse().unwrap(),
    }
}

#[test]
fn hours_are_kept_once_with_their_quality_and_revised_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let values = read("meteostat.json").values;
    let kept = keep(dir.path(), &values, &keeping()).unwrap();
    assert_eq!((kept.new, kept.accepted, kept.changed, kept.audit_entry), (16, 16, true, Some(1)));
    let again = keep(dir.path(), &values, &keeping()).unwrap();
    assert_eq!((again.same, again.changed, again.audit_entry, &again.id), (16, false, None, &kept.id));

    let mut revised = values;
    revised[0].value += 1.0;
    let refused = keep(dir.path(), &revised, &keeping()).unwrap_err().to_string();
    assert!(refused.starts_with("1 hours have another value than the store: add --revise"), "{refused}");
    let kept = keep(dir.path(), &revised, &Keeping { revise: true, ..keeping() }).unwrap();
    assert_eq!((kept.contradicting, kept.accepted), (1, 1));

    let reader = Reader::open(dir.path()).unwrap();
    let info = reader.all_series().into_iter().find(|info| info.key.point == "temp").unwrap();
    let said = reader.scan(info.id, i64::MIN..i64::MAX).unwrap();
    let said: Vec<_> = said.iter().map(|sample| (sample.raw.unwrap(), sample.quality.to_string())).collect();
    assert_eq!(
        said,
        [
            (2_000_000, "uncertain:conflict".to_owned()),
            (2_000_000, "good".to_owned()),
            (3_000_000, "uncertain:estimated".to_owned()),
            (4_000_000, "good".to_owned())
        ]
    );
    drop(reader);
    // As any import, it can be listed and undone.
    let imports = crate::import::bulk::imports(&Reader::open(dir.path()).unwrap());
    assert_eq!((imports.len(), imports[0].by.as_deref(), imports[0].readings), (2, Some("anna"), Some(16)));
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let options = crate::import::bulk::UndoOptions {
        actor: "bert".to_owned(),
        reason: "revision was wrong".to_owned(),
        approval: String::new(),
        now: keeping().now,
    };
    let undone = crate::import::bulk::undo(&store, &kept.id, &options).unwrap();
    assert_eq!((undone.taken_back, undone.restored), (0, 1));
    // What is undone stays so until somebody says otherwise.
    crate::import::bulk::undo(&store, &imports[0].id, &options).unwrap();
    drop(store);
    let refused = keep(dir.path(), &read("meteostat.json").values, &keeping()).unwrap_err().to_string();
    assert!(refused.contains("was undone by bert") && refused.contains("--again"), "{refused}");
    let back = keep(dir.path(), &read("meteostat.json").values, &Keeping { again: true, ..keeping() }).unwrap();
    assert!(back.changed && back.accepted >= 15, "{back:?}");
}

#[test]
fn a_dry_run_stores_nothing_and_the_future_is_no_observation() {
    let dir = tempfile::tempdir().unwrap();
    let values = read("meteostat.csv").values;
    let dry = keep(dir.path(), &values, &Keeping { dry_run: true, ..keeping() }).unwrap();
    assert_eq!((dry.new, dry.accepted), (16, 0));
    assert!(!dir.path().join("manifest.sqlite").exists());
    // At half past two the third hour is not over.
    let now = "2024-01-01T02:30:00Z".parse().unwrap();
    let kept = keep(dir.path(), &values, &Keeping { now, temperature: Unit::Fahrenheit, ..keeping() }).unwrap();
    let temperature = kept.series.iter().find(|one| one.point == "temp").unwrap();
    assert_eq!((temperature.hours, temperature.unit.as_str()), (2, "degF"));
    let reader = Reader::open(dir.path()).unwrap();
    let info = reader.all_series().into_iter().find(|info| info.key.point == "temp").unwrap();
    assert_eq!(reader.scan(info.id, i64::MIN..i64::MAX).unwrap()[0].raw, Some(33_800_000));
    assert!(matches!(keep(dir.path(), &[], &keeping()), Err(KeepError::Nothing)));
}

/// Good files with bytes that are changed, doubled, cut out and moved: they are read or refused, and what is read of them
/// could have been observed.
#[test]
fn spoiled_files_are_read_or_refused_whatever_was_done_to_them() {
    const SEED: u64 = 20_261_121;
    let random = ids::IdSource::seeded(SEED);
    let below = |bound: usize| usize::try_from(random.next_u64() % bound.max(1) as u64).unwrap();
    let names = ["isd.txt", "ghcnh.psv", "open-meteo.json", "open-meteo.csv", "meteostat.json", "meteostat.csv", "sensor.csv"];
    for name in names {
        let good = std::fs::read(fixture(name)).unwrap();
        let (mut taken, mut left) = (0, 0);
        for _round in 0..600 {
            let mut body = good.clone();
            for _change in 0..below(8) {
                let (at, to) = (below(body.len()), below(body.len()));
                match below(5) {
                    0 => body[at] = b"|,\n\"{}[]:+-.eE\xff9"[below(16)],
                    1 => body.truncate(at.max(1)),
                    2 => body.insert(at, body[to]),
                    3 => drop(body.remove(at)),
                    _ => body.rotate_left(at),
                }
                if body.is_empty() {
                    body.push(b'x');
                }
            }
            match observations(&body, None) {
                Ok(said) => {
                    assert!(said.values.len() <= body.len(), "seed {SEED}, {name}");
                    assert!(said.values.iter().all(|one| one.value.is_finite() && one.value.abs() < 2_000.0), "seed {SEED}, {name}");
                    for variable in Variable::ALL {
                        let hours = hours(&said.values, variable, HourRules::default());
                        assert!(
                            hours.is_none_or(|hours| hours.count(Origin::Observed) <= said.values.len() as u64 + 24),
                            "seed {SEED}, {name}"
                        );
                    }
                    taken += 1;
                }
                Err(_) => left += 1,
            }
        }
        assert!(taken > 50 && left > 0, "seed {SEED}, {name}: {taken} read, {left} refused");
    }
}
