//! What many devices have in common is kept once: a thousand meters of one type have one profile and one plan.

use std::{collections::BTreeMap, sync::Arc};

use devices::{Line, PlanError, Profile};

use super::{super::Reads, profiles::OwnProfiles};

/// What tells one profile in a configuration from another: within it an id means one file, and the hash tells the installations apart.
type Which = (String, [u8; 32]);

/// The profiles and plans of a configuration that is being read.
#[derive(Debug)]
pub(super) struct Shelf<'a> {
    own: &'a OwnProfiles,
    profiles: BTreeMap<Which, Arc<Profile>>,
    reads: BTreeMap<(Which, Line, Vec<String>), Arc<Reads>>,
}

impl<'a> Shelf<'a> {
    pub(super) const fn new(own: &'a OwnProfiles) -> Self {
        Self { own, profiles: BTreeMap::new(), reads: BTreeMap::new() }
    }

    /// The profile of a name: the user's own before those that come with the program.
    pub(super) fn profile(&mut self, id: &str) -> Option<Arc<Profile>> {
        if let Some(own) = self.own.get(id) {
            return Some(Arc::clone(own));
        }
        let builtin = devices::find(id)?;
        let kept = self.profiles.entry(which(builtin)).or_insert_with(|| Arc::new(builtin.clone()));
        Some(Arc::clone(kept))
    }

    /// All names, for whoever has mistyped one.
    pub(super) fn known(&self) -> String {
        let known: Vec<&str> = self.own.keys().map(String::as_str).chain(devices::builtin().iter().map(Profile::id)).collect();
        known.join(", ")
    }

    /// A profile that was made for an installation, kept once.
    pub(super) fn keep(&mut self, installed: Profile) -> Arc<Profile> {
        Arc::clone(self.profiles.entry(which(&installed)).or_insert_with(|| Arc::new(installed)))
    }

    /// How points are read on a line.
    ///
    /// * Errors: no plan can be made.
    pub(super) fn reads(&mut self, profile: &Profile, line: Line, points: Vec<String>) -> Result<Arc<Reads>, PlanError> {
        let key = (which(profile), line, points);
        if let Some(kept) = self.reads.get(&key) {
            return Ok(Arc::clone(kept));
        }
        let selected: Vec<&str> = key.2.iter().map(String::as_str).collect();
        let plan = profile.plan_on(&selected, line)?;
        let without_gaps = plan.without_gaps().clone();
        let reads = Arc::new(Reads { points: key.2.clone(), plan, without_gaps });
        self.reads.insert(key, Arc::clone(&reads));
        Ok(reads)
    }
}

fn which(profile: &Profile) -> Which {
    (profile.id().to_owned(), profile.hash())
}
