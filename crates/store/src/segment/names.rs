//! What a file calls its series, in its metadata.
//!
//! The metadata of Parquet is not compressed, and the name of a series is longer than the readings of an hour: what is alike is said once.
//! As JSON: `{TENANT: {FACILITY: {"devices": [DEVICE, ..], "points": [[POINT, UNIT, EXPONENT, [RUN, ..]], ..]}}}`, with
//! `RUN = [FIRST SERIES, FIRST DEVICE, COUNT]`: series whose numbers follow each other are those of devices that do, counted from 0.

use std::collections::{BTreeMap, HashMap};

use ids::Slug;
use serde_json::{Map, Value, json};

use crate::series::{SeriesId, SeriesKey};

/// The key of the metadata under which the names of the series are.
pub(crate) const NAMES: &str = "negawatt.series";
/// In a facility.
const DEVICES: &str = "devices";
const POINTS: &str = "points";

/// The names of a file in the making.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<Slug, BTreeMap<Slug, Facility>>);

#[derive(Debug, Default)]
struct Facility {
    /// Each with its place, which is that of its first series among those of the others.
    devices: HashMap<Slug, u32>,
    points: BTreeMap<(String, &'static str, i8), Vec<Run>>,
}

/// First series, first device, and how many.
type Run = (u32, u32, u32);

impl Names {
    pub(crate) fn insert(&mut self, id: SeriesId, key: &SeriesKey) {
        let Facility { devices, points } = self.0.entry(key.tenant.clone()).or_default().entry(key.facility.clone()).or_default();
        let next = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        let device = *devices.entry(key.device.clone()).or_insert(next);
        let runs = points.entry((key.point.clone(), key.unit.symbol(), key.exponent)).or_default();
        match runs.last_mut() {
            Some((first, at, count)) if (first.checked_add(*count), at.checked_add(*count)) == (Some(id.0), Some(device)) => *count += 1,
            _ => runs.push((id.0, device, 1)),
        }
    }

    /// As the metadata holds them.
    pub(crate) fn into_text(self) -> String {
        let said = |Facility { devices, points }: Facility| {
            let mut devices: Vec<(Slug, u32)> = devices.into_iter().collect();
            devices.sort_by_key(|(_, at)| *at);
            let devices: Vec<Slug> = devices.into_iter().map(|(device, _)| device).collect();
            let points: Vec<Value> =
                points.into_iter().map(|((point, unit, exponent), runs)| json!([point, unit, exponent, runs])).collect();
            json!({DEVICES: devices, POINTS: points})
        };
        let facilities = |facilities: BTreeMap<Slug, Facility>| {
            facilities.into_iter().map(|(name, facility)| (name.to_string(), said(facility))).collect::<Map<_, _>>()
        };
        let tenants = self.0.into_iter().map(|(name, of_tenant)| (name.to_string(), Value::Object(facilities(of_tenant))));
        Value::Object(tenants.collect()).to_string()
    }
}

/// A series with everything that names it.
pub(crate) fn name_of(key: &SeriesKey) -> Value {
    json!({
        "tenant": key.tenant, "facility": key.facility, "device": key.device, "point": key.point,
        "unit": key.unit.symbol(), "exponent": key.exponent,
    })
}

/// The series of a file by their numbers, each as [`name_of`] writes it. What is not a name is left out.
pub(crate) fn read(said: Map<String, Value>) -> Map<String, Value> {
    let mut names = Map::new();
    for (tenant, facilities) in said {
        // The first versions said everything of every series.
        if facilities.get("device").is_some_and(Value::is_string) {
            names.insert(tenant, facilities);
            continue;
        }
        for (facility, series) in inside(&facilities) {
            let mut name = |id: String, device: &Value, [point, unit, exponent]: [&Value; 3]| {
                let name = json!({
                    "tenant": tenant, "facility": facility, "device": device, "point": point, "unit": unit, "exponent": exponent,
                });
                names.insert(id, name);
            };
            if series.get(POINTS).is_some_and(Value::is_array) {
                in_runs(series, |id, device, said| name(id.to_string(), device, said));
            } else {
                // The next said a device once: `{DEVICE: {ID: [POINT, UNIT, EXPONENT]}}`.
                for (device, series) in inside(series) {
                    for (id, said) in inside(series) {
                        let Some([point, unit, exponent]) = said.as_array().map(Vec::as_slice) else { continue };
                        name(id.clone(), &json!(device), [point, unit, exponent]);
                    }
                }
            }
        }
    }
    names
}

fn inside(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Calls `name` with each series of a facility, its device, and what it measures.
fn in_runs(facility: &Value, mut name: impl FnMut(u32, &Value, [&Value; 3])) {
    let devices = list(facility.get(DEVICES));
    for point in list(facility.get(POINTS)) {
        let [point, unit, exponent, runs] = list(Some(point)) else { continue };
        for run in list(Some(runs)) {
            let Ok((first, at, count)) = serde_json::from_value::<Run>(run.clone()) else { continue };
            let devices = devices.iter().skip(usize::try_from(at).unwrap_or(usize::MAX));
            for (id, device) in (first..first.saturating_add(count)).zip(devices) {
                name(id, device, [point, unit, exponent]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ids::Slug;
    use proptest::prelude::*;
    use units::Unit;

    use super::*;

    fn key(tenant: &str, facility: &str, device: &str, point: &str, exponent: i8) -> SeriesKey {
        let slug = |text| Slug::parse(text).unwrap();
        SeriesKey {
            tenant: slug(tenant),
            facility: slug(facility),
            device: slug(device),
            point: point.to_owned(),
            unit: Unit::Watt,
            exponent,
        }
    }

    #[test]
    fn tenant_facility_and_device_are_said_once() {
        let mut names = Names::default();
        for (id, point) in [(7, "power"), (8, "energy")] {
            names.insert(SeriesId(id), &key("acme", "mill", "main", point, -2));
        }
        let text = names.into_text();
        assert_eq!(text, r#"{"acme":{"mill":{"devices":["main"],"points":[["energy","W",-2,[[8,0,1]]],["power","W",-2,[[7,0,1]]]]}}}"#);
    }

    #[test]
    fn series_that_follow_each_other_are_said_once() {
        let mut names = Names::default();
        let numbered =
            [(7, "a", "power"), (8, "b", "power"), (9, "c", "power"), (10, "a", "energy"), (11, "c", "energy"), (12, "d", "power")];
        for (id, device, point) in numbered {
            names.insert(SeriesId(id), &key("acme", "mill", device, point, -2));
        }
        let points = r#"[["energy","W",-2,[[10,0,1],[11,2,1]]],["power","W",-2,[[7,0,3],[12,3,1]]]]"#;
        assert_eq!(names.into_text(), format!(r#"{{"acme":{{"mill":{{"devices":["a","b","c","d"],"points":{points}}}}}}}"#));
    }

    /// Also of a device called `points`.
    #[test]
    fn names_of_the_second_form_are_read() {
        let text = r#"{"acme":{"mill":{"main":{"7":["power","W",-2]},"points":{"8":["energy","W",0]}}}}"#;
        let named = |id: &str, device, point, exponent| (id.to_owned(), name_of(&key("acme", "mill", device, point, exponent)));
        let expected = Map::from_iter([named("7", "main", "power", -2), named("8", "points", "energy", 0)]);
        assert_eq!(read(serde_json::from_str(text).unwrap()), expected);
    }

    #[test]
    fn names_of_the_first_versions_are_read() {
        let one = key("acme", "mill", "main", "power", 0);
        let said = json!({"7": name_of(&one)}).as_object().unwrap().clone();
        assert_eq!(read(said.clone()), said);
    }

    proptest! {
        /// Also a tenant called `7`, or a facility called `device`.
        #[test]
        fn what_is_said_is_read(series in proptest::collection::btree_map(0_u32..40, ("[7d]|device|tenant", "[7d]|devices", "[7d]|points", "[a-b]", -9_i8..9), 0..12)) {
            let (mut names, mut expected) = (Names::default(), Map::new());
            for (id, (tenant, facility, device, point, exponent)) in series {
                let key = key(&tenant, &facility, &device, &point, exponent);
                names.insert(SeriesId(id), &key);
                expected.insert(id.to_string(), name_of(&key));
            }
            let said = serde_json::from_str(&names.into_text()).unwrap();
            prop_assert_eq!(read(said), expected);
        }
    }
}
