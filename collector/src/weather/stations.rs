//! Lists of stations, as their providers publish them.

use serde::Deserialize;

use super::{StationSeen, WeatherFileError};

/// Stations of one list: NOAA's have 30,000.
const STATIONS_MAX: usize = 200_000;

/// `isd-history.csv` of NOAA. Stations without a place are left out.
pub fn isd_history(body: &[u8]) -> Result<Vec<StationSeen>, WeatherFileError> {
    table(body, "a list of ISD stations", |field| {
        let id = format!("{}-{}", field("USAF")?, field("WBAN")?);
        let place = [field("STATION NAME"), field("STATE"), field("CTRY")];
        let name = place.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        Some([id, name, field("LAT")?, field("LON")?, field("ELEV(M)").unwrap_or_default()])
    })
}

/// `ghcnh-station-list.csv` of NOAA. Stations without a place are left out.
fn ghcnh_list(body: &[u8]) -> Result<Vec<StationSeen>, WeatherFileError> {
    table(body, "a list of GHCNh stations", |field| {
        let id = field("GHCN_ID").or_else(|| field("ID")).or_else(|| field("STATION_ID"))?;
        Some([id, field("NAME").unwrap_or_default(), field("LATITUDE")?, field("LONGITUDE")?, field("ELEVATION").unwrap_or_default()])
    })
}

/// A list of stations, whatever provider's it is: that of ISD, of GHCNh, or Meteostat's JSON.
pub fn station_list(body: &[u8]) -> Result<Vec<StationSeen>, WeatherFileError> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    if text.starts_with(b"[") {
        return meteostat(text);
    }
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.windows(4).any(|window| window == b"USAF") { isd_history(text) } else { ghcnh_list(text) }
}

/// What a list says of a station: identifier, name, latitude, longitude, elevation.
type Row = [String; 5];

fn table(
    body: &[u8],
    what: &'static str,
    row: impl Fn(&dyn Fn(&str) -> Option<String>) -> Option<Row>,
) -> Result<Vec<StationSeen>, WeatherFileError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(body);
    let names = reader.headers().map_err(WeatherFileError::Csv)?.clone();
    let mut stations = Vec::new();
    for record in reader.byte_records() {
        let record = record.map_err(WeatherFileError::Csv)?;
        let field = |name: &str| {
            let at = names.iter().position(|known| known.eq_ignore_ascii_case(name))?;
            // A name in another encoding does not make the place unknown.
            record.get(at).map(|field| String::from_utf8_lossy(field).into_owned())
        };
        let Some([id, name, latitude, longitude, elevation]) = row(&field) else {
            return Err(WeatherFileError::Column { provider: what, column: "identifier, latitude or longitude" });
        };
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
        let place = number(&latitude).zip(number(&longitude)).filter(|place| is_somewhere(*place));
        if place.is_none() {
            continue;
        }
        if stations.len() >= STATIONS_MAX {
            return Err(WeatherFileError::TooMany { max: STATIONS_MAX });
        }
        let elevation_m = number(&elevation).filter(|elevation| (-500.0..9_000.0).contains(elevation));
        stations.push(StationSeen { id, name, place, elevation_m });
    }
    Ok(stations)
}

/// On the earth, and not the corner of the map where stations without a place are put.
fn is_somewhere((latitude, longitude): (f64, f64)) -> bool {
    (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude) && (latitude.abs() > 1e-9 || longitude.abs() > 1e-9)
}

#[derive(Debug, Deserialize)]
struct OfMeteostat {
    id: String,
    #[serde(default)]
    name: std::collections::BTreeMap<String, String>,
    location: Location,
}

#[derive(Debug, Deserialize)]
struct Location {
    latitude: f64,
    longitude: f64,
    elevation: Option<f64>,
}

fn meteostat(body: &[u8]) -> Result<Vec<StationSeen>, WeatherFileError> {
    let stations: Vec<OfMeteostat> = serde_json::from_slice(body).map_err(|err| WeatherFileError::Json { provider: "Meteostat", err })?;
    if stations.len() > STATIONS_MAX {
        return Err(WeatherFileError::TooMany { max: STATIONS_MAX });
    }
    let station = |mut one: OfMeteostat| {
        let place = (one.location.latitude, one.location.longitude);
        let name = one.name.remove("en").or_else(|| one.name.into_values().next()).unwrap_or_default();
        is_somewhere(place).then_some(StationSeen { id: one.id, name, place: Some(place), elevation_m: one.location.elevation })
    };
    Ok(stations.into_iter().filter_map(station).collect())
}
