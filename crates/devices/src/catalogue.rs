//! The profiles that come with the program.

use std::sync::LazyLock;

use crate::profile::Profile;

macro_rules! texts {
    ($($id:literal),+ $(,)?) => {
        [$(($id, include_str!(concat!("../../../config/devices/", $id, ".toml")))),+]
    };
}

/// Profile id and file text, sorted by id.
const TEXTS: [(&str, &str); 41] = texts![
    "abb-b21",
    "abb-b23",
    "accuenergy-acuvim2",
    "apogee-sq4xx",
    "carlo-gavazzi-em111",
    "carlo-gavazzi-em24-e1",
    "carlo-gavazzi-em24-rs485",
    "carlo-gavazzi-em340",
    "ccs-wattnode",
    "chint-dtsu666",
    "dfrobot-par",
    "eastron-sdm120",
    "eastron-sdm230",
    "eastron-sdm630",
    "eastron-sdm72d",
    "eastron-sdm72d-v2",
    "hardy-hi6200",
    "inepro-pro380",
    "janitza-b23",
    "janitza-umg-19000",
    "janitza-umg604-native",
    "jxct-par",
    "jxct-th",
    "lux-jxct",
    "orno-we504",
    "orno-we514",
    "orno-we516",
    "phoenix-eem",
    "pzem-016",
    "schneider-iem3000",
    "schneider-pm5xxx",
    "seeed-sensecap-s4",
    "senseair-s8",
    "siemens-7kt-pac1600",
    "siemens-pac2200",
    "siemens-pac3200",
    "socomec-countis-e2x",
    "sunspec-meter-203",
    "wirenboard-mcm8",
    "wirenboard-msw",
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
