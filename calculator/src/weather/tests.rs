use std::io::Read;

use super::*;

/// A normal year of the fixtures: the published file with the columns that are read.
fn file(name: &str) -> String {
    let path = format!("{}/../tests/fixtures/mv/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// The same year as an EnergyPlus file would have it.
fn as_epw(year: &TypicalYear) -> String {
    let mut text = String::from(
        "LOCATION,Greensboro,NC,USA,TMY3,723170,36.1,-79.95,-5.0,273.0\nDESIGN CONDITIONS,0\nTYPICAL/EXTREME PERIODS,0\nGROUND TEMPERATURES,0\nHOLIDAYS/DAYLIGHT SAVINGS,No,0,0,0\nCOMMENTS 1,\nCOMMENTS 2,\nDATA PERIODS,1,1,Data,Sunday,1/1,12/31\n",
    );
    for hour in year.hours() {
        let TypicalHour { month, day, hour, temperature_c, ghi_wh_m2 } = hour;
        let ghi = ghi_wh_m2.unwrap_or(9_999.0);
        text.push_str(&format!("1988,{month},{day},{hour},0,?9?9,{temperature_c:.1},6.1,77,99300,0,0,0,{ghi},0,0,0,0,0,0,200,6.2,10,10,16,77777,9,0,0,0,0,0,0,0,0\n"));
    }
    text
}

#[test]
fn typical_years_are_read_whole() {
    let greensboro = tmy3(&file("tmy3-greensboro-nc.csv.gz")).unwrap();
    let sand_point = tmy3(&file("tmy3-sand-point-ak.csv.gz")).unwrap();
    let mean = |year: &TypicalYear| year.daily_means_c().iter().sum::<f64>() / 365.0;
    // The means of the same files as another program read them.
    assert!((mean(&greensboro) - 14.421_849_315_068_44).abs() < 1e-9, "{}", mean(&greensboro));
    assert!((mean(&sand_point) - 4.420_650_684_931_468).abs() < 1e-9, "{}", mean(&sand_point));
    let station = greensboro.station();
    assert_eq!((station.id.as_str(), station.name.as_str()), ("723170", "GREENSBORO PIEDMONT TRIAD INT, NC"));
    assert!((station.place.elevation_m - 273.0).abs() < 1e-9 && (station.utc_offset_hours + 5.0).abs() < 1e-9);
    assert_eq!(greensboro.hours()[8_759], TypicalHour { month: 12, day: 31, hour: 24, temperature_c: 2.2, ghi_wh_m2: Some(0.0) });
    assert_eq!(greensboro.source().sha256.len(), 64);
}

#[test]
fn both_formats_say_the_same() {
    let from_tmy3 = tmy3(&file("tmy3-greensboro-nc.csv.gz")).unwrap();
    let text = as_epw(&from_tmy3);
    let from_epw = epw(&text).unwrap();
    assert_eq!(from_epw.hours(), from_tmy3.hours());
    assert_ne!(from_epw.source().sha256, from_tmy3.source().sha256, "another file is another source");
    let leap = text.replacen("1988,3,1,1,", "1988,2,29,24,0,?9,50.0,0,0,0,0,0,0,0\n1988,3,1,1,", 1);
    assert_eq!(epw(&leap).unwrap().hours(), from_tmy3.hours(), "a leap day is left out");
}

#[test]
fn a_typical_year_is_what_normal_savings_take() {
    let year = tmy3(&file("tmy3-sand-point-ak.csv.gz")).unwrap();
    let days = crate::savings::normal_days(&year.hourly_f(), 2023).unwrap();
    assert_eq!(days.len(), 365);
    for (day, mean_c) in days.iter().zip(year.daily_means_c()) {
        assert!((day.temperature_f.unwrap() - (mean_c * 1.8 + 32.0)).abs() < 1e-9, "{}", day.date);
    }
}

#[test]
fn what_is_no_year_is_refused_with_its_line() {
    let text = file("tmy3-greensboro-nc.csv.gz");
    let refused = |text: &str| tmy3(text).unwrap_err().to_string();
    let without = |line: usize| {
        text.lines().enumerate().filter(|(index, _)| index + 1 != line).map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    assert_eq!(refused(&without(100)), "line 100: month 1, day 5, hour 3 follows where month 1, day 5, hour 2 should");
    assert_eq!(refused(&without(8_762)), "the file has 8759 hours of a year without a leap day, not 8760");
    assert_eq!(refused(&text.replace("Dry-bulb (C)", "Dry-bulb (F)")), "line 2 has no column \"Dry-bulb (C)\"");
    assert!(refused("a,b\n").starts_with("line 1 does not name a station"));
    let last = text.lines().last().unwrap();
    assert_eq!(refused(&format!("{text}{last}\n")), "the file has 8761 hours of a year without a leap day, not 8760");
    let missing = as_epw(&tmy3(&text).unwrap()).replacen("?9?9,", "?9?9,99.9,", 1);
    assert_eq!(epw(&missing).unwrap_err().to_string(), "line 9: it has no dry-bulb temperature");
    assert!(epw(&text).unwrap_err().to_string().starts_with("line 1 does not name a station: it must begin with LOCATION"));
}

fn candidate(id: &str, latitude: f64, elevation_m: f64, zone: &str, coverage: f64) -> Candidate {
    let place = Place { latitude, longitude: -89.65, elevation_m };
    let station = Station { id: id.to_owned(), name: id.to_owned(), place, utc_offset_hours: -6.0 };
    Candidate { station, climate_zone: Some(zone.to_owned()), coverage }
}

#[test]
fn distances_are_those_of_the_earth() {
    let place = |latitude, longitude| Place { latitude, longitude, elevation_m: 0.0 };
    // A quarter of a meridian, and Springfield to Chicago.
    assert!((kilometres(place(0.0, 0.0), place(90.0, 0.0)) - 10_007.557).abs() < 0.01);
    assert!((kilometres(place(39.78, -89.65), place(41.88, -87.63)) - 289.5).abs() < 1.5);
    assert!((kilometres(place(0.0, 179.5), place(0.0, -179.5)) - 111.195).abs() < 0.01, "across the date line");
}

#[test]
fn the_nearest_complete_station_of_the_climate_is_chosen() {
    let facility = Place { latitude: 39.8, longitude: -89.65, elevation_m: 180.0 };
    let candidates = [
        candidate("far", 42.8, 180.0, "5A", 1.0),
        candidate("gaps", 39.81, 180.0, "5A", 0.85),
        candidate("mountain", 39.9, 480.0, "5A", 1.0),
        candidate("other-climate", 39.85, 180.0, "4A", 1.0),
        candidate("near", 40.0, 190.0, "5A", 0.99),
        candidate("next", 40.1, 190.0, "5A", 0.99),
    ];
    let choice = choose(facility, Some("5A"), &candidates).unwrap();
    assert_eq!((choice.station.id.as_str(), choice.grade, choice.same_climate_zone), ("near", Grade::Pass, Some(true)));
    assert!((choice.distance_km - 22.24).abs() < 0.05 && (choice.elevation_difference_m - 10.0).abs() < 1e-9);
    let rejected: Vec<_> = choice.rejected.iter().map(|other| (other.id.as_str(), other.grade, other.why.as_str())).collect();
    assert_eq!(
        rejected,
        [
            ("next", Grade::Pass, "it is 11.1 km farther"),
            ("mountain", Grade::Conditional, "11 km, +300 m and 100.0 % of the hours are not enough for a pass"),
            ("other-climate", Grade::Pass, "it is not in the facility's climate zone"),
            ("far", Grade::Fail, "it is 334 km away"),
            ("gaps", Grade::Fail, "it has 85.0 % of the hours"),
        ]
    );
    let without_zone = choose(facility, None, &candidates).unwrap();
    assert_eq!(without_zone.station.id, "other-climate", "then the nearest complete one");
    let mut shuffled = candidates.to_vec();
    shuffled.reverse();
    assert_eq!(choose(facility, Some("5A"), &shuffled).unwrap(), choice);
    assert_eq!(choose(facility, None, &[]), None);
}

#[test]
fn a_revised_file_is_noticed() {
    let provenance = Provenance {
        provider: "NOAA".into(),
        station: "723170".into(),
        distance_km: 1.0,
        elevation_difference_m: 0.0,
        retrieved_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        bytes: 3,
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
    };
    assert_eq!(provenance.check(b"abc"), Ok(()));
    assert!(provenance.check(b"abd").unwrap_err().to_string().starts_with("the weather of station 723170 is not what was used"));
}
