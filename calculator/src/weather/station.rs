//! Which station stands for a facility.

use serde::{Deserialize, Serialize};

use super::Station;

/// A place on the earth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Metres above the sea.
    pub elevation_m: f64,
}

/// A station that may be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The station.
    pub station: Station,
    /// Its climate zone, where it is known.
    #[serde(default)]
    pub climate_zone: Option<String>,
    /// The part of the hours of the baseline and of the reporting period that it has, 0 to 1.
    pub coverage: f64,
}

/// How well a station stands for a facility.
///
/// * Source: category 9 of the verification: 50 km, 200 m and 98 %; 200 km and 90 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Near, as high, and complete.
    Pass,
    /// Within 200 km with 90 % of the hours.
    Conditional,
    /// Beyond.
    Fail,
}

/// The station that was chosen, and why no other was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The station.
    pub station: Station,
    /// How well it stands for the facility.
    pub grade: Grade,
    /// From the facility, km.
    pub distance_km: f64,
    /// How much higher it stands, m.
    pub elevation_difference_m: f64,
    /// The part of the hours it has.
    pub coverage: f64,
    /// Whether it is in the facility's climate zone, where both are known.
    pub same_climate_zone: Option<bool>,
    /// The others, best first.
    pub rejected: Vec<Rejected>,
}

/// A station that was not chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// Its identifier.
    pub id: String,
    /// How well it stands for the facility.
    pub grade: Grade,
    /// From the facility, km.
    pub distance_km: f64,
    /// Why it was not chosen.
    pub why: String,
}

/// Mean radius of the earth, km.
const EARTH_KM: f64 = 6_371.008_8;
const NEAR_KM: f64 = 50.0;
const FAR_KM: f64 = 200.0;
const NEAR_M: f64 = 200.0;
const COMPLETE: f64 = 0.98;
const ENOUGH: f64 = 0.9;

/// The great-circle distance, km.
pub fn kilometres(a: Place, b: Place) -> f64 {
    let (lat_a, lat_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let (half_lat, half_lon) = ((lat_b - lat_a) / 2.0, (b.longitude - a.longitude).to_radians() / 2.0);
    let (sin_lat, sin_lon) = (libm::sin(half_lat), libm::sin(half_lon));
    let haversine = sin_lat * sin_lat + libm::cos(lat_a) * libm::cos(lat_b) * sin_lon * sin_lon;
    2.0 * EARTH_KM * libm::asin(libm::sqrt(haversine.min(1.0)))
}

/// Chooses a station: the nearest complete one of the facility's climate zone, else the nearest complete one, else the nearest.
///
/// * Shape: nothing where there is no candidate. Equal stations are taken in the order of their identifiers.
/// * Source: CalTRACK 2.4, with the grades of the verification before it.
pub fn choose(facility: Place, climate_zone: Option<&str>, candidates: &[Candidate]) -> Option<Choice> {
    let mut ranked: Vec<Choice> = candidates.iter().map(|candidate| judged(facility, climate_zone, candidate)).collect();
    ranked.sort_by(|a, b| {
        let zone = |choice: &Choice| choice.same_climate_zone != Some(true);
        let incomplete = |choice: &Choice| choice.coverage < ENOUGH;
        // A station beyond the limits is the last resort, and one of another climate behind those of the same.
        (a.grade == Grade::Fail, incomplete(a), zone(a))
            .cmp(&(b.grade == Grade::Fail, incomplete(b), zone(b)))
            .then(a.grade.cmp(&b.grade))
            .then(a.distance_km.total_cmp(&b.distance_km))
            .then(a.station.id.cmp(&b.station.id))
    });
    let mut ranked = ranked.into_iter();
    let mut chosen = ranked.next()?;
    chosen.rejected = ranked
        .map(|other| {
            let why = if other.coverage < ENOUGH {
                format!("it has {:.1} % of the hours", other.coverage * 100.0)
            } else if other.distance_km > FAR_KM {
                format!("it is {:.0} km away", other.distance_km)
            } else if other.same_climate_zone != Some(true) && chosen.same_climate_zone == Some(true) {
                "it is not in the facility's climate zone".to_owned()
            } else if other.grade > chosen.grade {
                format!(
                    "{:.0} km, {:+.0} m and {:.1} % of the hours are not enough for a pass",
                    other.distance_km,
                    other.elevation_difference_m,
                    other.coverage * 100.0
                )
            } else {
                format!("it is {:.1} km farther", other.distance_km - chosen.distance_km)
            };
            Rejected { id: other.station.id, grade: other.grade, distance_km: other.distance_km, why }
        })
        .collect();
    Some(chosen)
}

fn judged(facility: Place, climate_zone: Option<&str>, candidate: &Candidate) -> Choice {
    let place = candidate.station.place;
    let (distance_km, elevation_difference_m) = (kilometres(facility, place), place.elevation_m - facility.elevation_m);
    let coverage = if candidate.coverage.is_finite() { candidate.coverage } else { 0.0 };
    let grade = if distance_km <= NEAR_KM && elevation_difference_m.abs() <= NEAR_M && coverage >= COMPLETE {
        Grade::Pass
    } else if distance_km <= FAR_KM && coverage >= ENOUGH {
        Grade::Conditional
    } else {
        Grade::Fail
    };
    Choice {
        station: candidate.station.clone(),
        grade,
        distance_km,
        elevation_difference_m,
        coverage,
        same_climate_zone: climate_zone.zip(candidate.climate_zone.as_deref()).map(|(facility, station)| facility == station),
        rejected: Vec::new(),
    }
}
