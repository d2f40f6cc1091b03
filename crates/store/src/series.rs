//! Which series exist, and their numbers.

use std::collections::HashMap;
use std::sync::Arc;

use ids::Slug;
use units::Unit;

use crate::row::Row;

/// The number of a series: given once, never used again. Counts from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub u32);

impl SeriesId {
    pub(crate) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What makes a series: another unit or exponent is another series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    pub tenant: Slug,
    pub facility: Slug,
    pub device: Slug,
    pub point: String,
    pub unit: Unit,
    pub exponent: i8,
}

/// A series and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesInfo {
    pub id: SeriesId,
    pub key: SeriesKey,
}

type Points = HashMap<String, Vec<(Unit, i8, SeriesId)>>;
type Devices = HashMap<Slug, Points>;

/// All series: by number, and by name without an allocation per look-up.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    keys: Vec<Arc<SeriesKey>>,
    /// By number: the series that followed in the batch before. A gateway says the same in the same order each minute.
    followers: Vec<SeriesId>,
    facilities: HashMap<Slug, HashMap<Slug, Devices>>,
}

impl Catalogue {
    pub(crate) fn get(&self, id: SeriesId) -> Option<&SeriesKey> {
        self.shared(id).map(AsRef::as_ref)
    }

    pub(crate) fn shared(&self, id: SeriesId) -> Option<&Arc<SeriesKey>> {
        self.keys.get(id.index().checked_sub(1)?)
    }

    pub(crate) fn next_id(&self) -> SeriesId {
        SeriesId(u32::try_from(self.keys.len() + 1).unwrap_or(u32::MAX))
    }

    pub(crate) fn facility(&self, tenant: &Slug, facility: &Slug) -> Option<&Devices> {
        self.facilities.get(tenant)?.get(facility)
    }

    pub(crate) fn find(devices: &Devices, device: &Slug, point: &str, unit: Unit, exponent: i8) -> Option<SeriesId> {
        let candidates = devices.get(device)?.get(point)?;
        candidates.iter().find(|(u, e, _)| *u == unit && *e == exponent).map(|(_, _, id)| *id)
    }

    /// The series that came after `before` the last time, if the row is of it.
    pub(crate) fn guess(&self, before: SeriesId, row: &Row) -> Option<SeriesId> {
        let id = *self.followers.get(before.index())?;
        let key = self.get(id)?;
        (*key.point == *row.point && key.device == row.device && key.unit == row.unit && key.exponent == row.exponent).then_some(id)
    }

    /// Remembers what came after `before`: both are of one facility.
    pub(crate) fn follow(&mut self, before: SeriesId, id: SeriesId) {
        if self.followers.len() <= before.index() {
            self.followers.resize(before.index() + 1, SeriesId(0));
        }
        if let Some(follower) = self.followers.get_mut(before.index()) {
            *follower = id;
        }
    }

    /// Adds the series with the next number. False when `id` is not that number, or the series has one.
    pub(crate) fn add(&mut self, id: SeriesId, key: SeriesKey) -> bool {
        let devices = self.facility(&key.tenant, &key.facility);
        let is_known = devices.is_some_and(|devices| Self::find(devices, &key.device, &key.point, key.unit, key.exponent).is_some());
        if is_known || id != self.next_id() {
            return false;
        }
        self.facilities
            .entry(key.tenant.clone())
            .or_default()
            .entry(key.facility.clone())
            .or_default()
            .entry(key.device.clone())
            .or_default()
            .entry(key.point.clone())
            .or_default()
            .push((key.unit, key.exponent, id));
        self.keys.push(Arc::new(key));
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SeriesId, &SeriesKey)> {
        (1..).map(SeriesId).zip(self.keys.iter().map(AsRef::as_ref))
    }

    /// Those after the first so many.
    pub(crate) fn later(&self, known: usize) -> Vec<(SeriesId, Arc<SeriesKey>)> {
        (1..).map(SeriesId).zip(&self.keys).skip(known).map(|(id, key)| (id, key.clone())).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_has_one_number_and_numbers_follow_each_other() {
        let slug = |text| Slug::parse(text).unwrap();
        let key = |exponent| SeriesKey {
            tenant: slug("acme"),
            facility: slug("hall"),
            device: slug("d0"),
            point: "p".to_owned(),
            unit: Unit::Watt,
            exponent,
        };
        let mut catalogue = Catalogue::default();
        assert!(catalogue.add(SeriesId(1), key(0)));
        assert!(!catalogue.add(SeriesId(2), key(0)), "it has a number");
        assert!(!catalogue.add(SeriesId(3), key(1)), "the second is 2");
        assert!(catalogue.add(SeriesId(2), key(1)));
        assert_eq!(catalogue.len(), 2);
    }
}
