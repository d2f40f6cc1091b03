//! What a file calls its series, in its metadata.
//!
//! The metadata of Parquet is not compressed, and the name of a series is longer than the readings of an hour: tenant, facility and
//! device are said once for all of their series. As JSON: `{TENANT: {FACILITY: {DEVICE: {ID: [POINT, UNIT, EXPONENT]}}}}`.

use serde_json::{Map, Value, json};

use crate::series::{SeriesId, SeriesKey};

/// The key of the metadata under which the names of the series are.
pub(crate) const NAMES: &str = "negawatt.series";

/// The names of a file in the making.
#[derive(Debug, Default)]
pub(crate) struct Names(Map<String, Value>);

impl Names {
    pub(crate) fn insert(&mut self, id: SeriesId, key: &SeriesKey) {
        let mut place = &mut self.0;
        for name in [&key.tenant, &key.facility, &key.device] {
            place = under(place, name.as_str());
        }
        place.insert(id.0.to_string(), json!([key.point, key.unit.symbol(), key.exponent]));
    }

    /// As the metadata holds them.
    pub(crate) fn into_text(self) -> String {
        Value::Object(self.0).to_string()
    }
}

/// The object of this name in `place`, which may be new.
fn under<'a>(place: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let value = place.entry(name).or_insert_with(|| Value::Object(Map::new()));
    value.as_object_mut().expect("only objects are put above the series")
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
        for (facility, devices) in inside(&facilities) {
            for (device, series) in inside(devices) {
                for (id, said) in inside(series) {
                    let Some([point, unit, exponent]) = said.as_array().map(Vec::as_slice) else { continue };
                    let name = json!({
                        "tenant": tenant, "facility": facility, "device": device, "point": point, "unit": unit, "exponent": exponent,
                    });
                    names.insert(id.clone(), name);
                }
            }
        }
    }
    names
}

fn inside(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
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
        assert_eq!(text, r#"{"acme":{"mill":{"main":{"7":["power","W",-2],"8":["energy","W",-2]}}}}"#);
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
        fn what_is_said_is_read(series in proptest::collection::btree_map(0_u32..40, ("[7d]|device|tenant", "[7d]|device", "[7d]|device", "[a-z]{1,4}", -9_i8..9), 0..12)) {
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
