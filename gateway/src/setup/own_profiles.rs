//! Profiles of devices that described themselves, kept as files that a configuration names.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use devices::{Profile, ProfileError};

use super::Answers;

/// More devices of one maker and model, whose registers yet differ, are in no facility.
const VARIANTS_MAX: u32 = 100;
/// Letters of an id that leave room for a number behind it.
const STEM_MAX: usize = 59;

/// Files that were made, to be removed again where the configuration that needs them is not written.
#[derive(Debug, Default)]
pub struct Kept {
    files: Vec<PathBuf>,
}

/// Why a profile could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The folder or a file in it.
    #[error("{} could not be written", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        err: io::Error,
    },
    /// What is to be kept is no profile.
    #[error("the profile of {device} is none")]
    Profile {
        /// The device's name.
        device: String,
        /// What is wrong with it.
        #[source]
        err: ProfileError,
    },
    /// Every name is taken by another profile.
    #[error("{} has other profiles under every name that {device} could have", folder.display())]
    Taken {
        /// The folder.
        folder: PathBuf,
        /// The device's name.
        device: String,
    },
}

impl Kept {
    /// How many files were made.
    #[must_use]
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// Removes them.
    pub fn undo(self) {
        for file in self.files {
            if let Err(err) = fs::remove_file(&file) {
                tracing::warn!(error = %err, file = %file.display(), "a profile that nothing needs could not be removed");
            }
        }
    }
}

impl Answers {
    /// Writes the profiles of devices that described themselves into the folder of own profiles, or one beside the configuration.
    ///
    /// What is there is never overwritten: the same map is used again, another one under the same name gets a number.
    ///
    /// * Errors: the first file that could not be written; what was written before it is removed again.
    pub fn keep_profiles(&mut self, configuration: &Path) -> Result<Kept, KeepError> {
        let mut kept = Kept::default();
        if self.device.iter().all(|device| device.text.is_none()) {
            return Ok(kept);
        }
        let written = self.write_profiles(configuration, &mut kept);
        match written {
            Ok(()) => Ok(kept),
            Err(err) => {
                kept.undo();
                Err(err)
            }
        }
    }

    fn write_profiles(&mut self, configuration: &Path, kept: &mut Kept) -> Result<(), KeepError> {
        let folder = match &self.profiles {
            Some(folder) => folder.clone(),
            None => configuration.with_file_name("profiles"),
        };
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |err| KeepError::Write { path, err }
        };
        // The gateway is started in another folder than this program.
        let folder = std::path::absolute(&folder).map_err(failed(&folder))?;
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        for device in self.device.iter_mut() {
            let Some(text) = &device.text else { continue };
            let none = |err| KeepError::Profile { device: device.id.clone(), err };
            let profile = Profile::parse(text).map_err(none)?;
            let none = |err| KeepError::Profile { device: device.id.clone(), err };
            let place = place(&folder, &profile)
                .map_err(none)?
                .ok_or_else(|| KeepError::Taken { folder: folder.clone(), device: device.id.clone() })?;
            if place.is_free {
                fs::write(&place.path, place.profile.text()).map_err(failed(&place.path))?;
                kept.files.push(place.path);
            }
            device.profile = place.profile.id().to_owned();
        }
        self.profiles = Some(folder);
        Ok(())
    }
}

/// Where a profile is in a folder already, or can be put, and under which name.
struct Place {
    profile: Profile,
    path: PathBuf,
    is_free: bool,
}

fn place(folder: &Path, profile: &Profile) -> Result<Option<Place>, ProfileError> {
    for variant in 1..=VARIANTS_MAX {
        let named = if variant == 1 {
            profile.clone()
        } else {
            let stem = profile.id().get(..STEM_MAX).unwrap_or(profile.id());
            profile.named(&format!("{}-{variant}", stem.trim_end_matches('-')))?
        };
        let path = folder.join(format!("{}.toml", named.id()));
        let is_free = match fs::read_to_string(&path) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => true,
            Ok(text) if Profile::parse(&text).is_ok_and(|there| there.hash() == named.hash()) => false,
            Ok(_) | Err(_) => continue,
        };
        return Ok(Some(Place { profile: named, path, is_free }));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::DeviceAnswer;

    fn answers(texts: &[String]) -> Answers {
        let device = |(number, text): (u8, &String)| DeviceAnswer {
            id: format!("meter-{number}"),
            url: "tcp://10.0.0.1:502".to_owned(),
            unit: number,
            profile: String::new(),
            text: Some(text.clone()),
        };
        Answers { device: (1..).zip(texts).map(device).collect(), ..Answers::default() }
    }

    #[test]
    fn the_same_map_is_one_file_and_another_one_gets_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let configuration = folder.path().join("gateway.toml");
        let text = devices::find("eastron-sdm120").unwrap().named("sunspec-203-acme").unwrap().text().to_owned();
        let other = text.replace("address = 12,", "address = 14,").split("[[vector]]").next().unwrap().to_owned();
        let mut given = answers(&[text.clone(), text.clone(), other]);
        let kept = given.keep_profiles(&configuration).unwrap();
        let names: Vec<&str> = given.device.iter().map(|device| device.profile.as_str()).collect();
        assert_eq!(names, ["sunspec-203-acme", "sunspec-203-acme", "sunspec-203-acme-2"]);
        assert_eq!((kept.count(), given.profiles.clone()), (2, Some(folder.path().join("profiles"))));
        let file = folder.path().join("profiles/sunspec-203-acme-2.toml");
        assert_eq!(Profile::parse(&fs::read_to_string(&file).unwrap()).unwrap().point("p").unwrap().address, 14);

        let mut again = answers(&[text]);
        assert_eq!(again.keep_profiles(&configuration).unwrap().count(), 0);
        kept.undo();
        assert!(!file.exists());
    }

    #[test]
    fn what_cannot_be_kept_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let configuration = folder.path().join("gateway.toml");
        let good = devices::find("eastron-sdm120").unwrap().text().to_owned();
        let err = answers(&[good.clone(), "id = 7".to_owned()]).keep_profiles(&configuration).unwrap_err();
        assert_eq!(err.to_string(), "the profile of meter-2 is none");
        assert_eq!(fs::read_dir(folder.path().join("profiles")).unwrap().count(), 0);
        fs::write(&configuration, "").unwrap();
        let mut blocked = answers(&[good]);
        blocked.profiles = Some(configuration.join("profiles"));
        assert!(matches!(blocked.keep_profiles(&configuration), Err(KeepError::Write { .. })));
    }
}
