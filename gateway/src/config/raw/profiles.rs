//! Profiles of the user's own: a folder of TOML files.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use config::{Fault, Faults};
use devices::Profile;

/// Profiles by their id.
pub(super) type OwnProfiles = BTreeMap<String, Arc<Profile>>;

pub(super) fn load(folder: &Path, faults: &mut Faults) -> OwnProfiles {
    let mut profiles = BTreeMap::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(err) => {
            faults.add(Fault::at("gateway.profiles", format_args!("the folder {} cannot be read: {err}", folder.display())));
            return profiles;
        }
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    for path in paths {
        let fault = |reason: &dyn fmt::Display| Fault::at("gateway.profiles", format_args!("{}: {reason}", path.display()));
        match std::fs::read_to_string(&path)
            .map_err(|err| fault(&err))
            .and_then(|text| Profile::parse(&text).map_err(|err| fault(&daemon::chain(&err))))
        {
            Ok(profile) => {
                profiles.insert(profile.id().to_owned(), Arc::new(profile));
            }
            Err(fault) => faults.add(fault),
        }
    }
    profiles
}
