//! The profiles that come with the program.

use std::sync::LazyLock;

use crate::profile::Profile;

macro_rules! texts {
    ($($id:literal),+ $(,)?) => {
        [$(($id, include_str!(concat!("../../../config/devices/", $id, ".toml")))),+]
    };
}

/// Profile id and file text, sorted by id.
const TEXTS: [(&str, &str); 12] = texts![
    "abb-b23",
    "carlo-gavazzi-em24-rs485",
    "carlo-gavazzi-em340",
    "eastron-sdm120",
    "eastron-sdm630",
    "eastron-sdm72d-v2",
    "janitza-umg-19000",
    "schneider-iem3000",
    "schneider-pm5xxx",
    "siemens-pac3200",
    "sunspec-meter-203",
    "xy-md02",
];

static BUILTIN: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    let parse = |(id, text): &(&str, &str)| match Profile::parse(text) {
        Ok(profile) => profile,
        Err(err) => panic!("built-in profile {id}: {err}"),
    };
    TEXTS.iter().map(parse).collect()
});

/// Every profile that comes with the program, sorted by id.
#[must_use]
pub fn builtin() -> &'static [Profile] {
    &BUILTIN
}

/// The built-in profile of that id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Profile> {
    BUILTIN.iter().find(|profile| profile.id() == id)
}
