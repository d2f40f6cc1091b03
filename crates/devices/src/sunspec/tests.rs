//! Maps that pysunspec2 encoded, walked through and decoded by us.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::{Profile, Table, decode};

#[derive(Debug, Deserialize)]
struct Fixtures {
    map: Vec<Map>,
}

#[derive(Debug, Deserialize)]
struct Map {
    name: String,
    base: u16,
    model: u16,
    words: Vec<u16>,
    values: BTreeMap<String, String>,
}

impl Map {
    /// As a device answers: nothing where a read leaves its registers.
    fn read(&self, address: u16, count: u16) -> Option<&[u16]> {
        let start = usize::from(address.checked_sub(self.base)?);
        self.words.get(start..start + usize::from(count))
    }

    fn walk(&self) -> Result<Discovery, WalkError> {
        let mut walk = Walk::new();
        let mut before = 0;
        loop {
            match walk.step() {
                Step::Done(found) => return Ok(found),
                Step::Read { address, count } => {
                    assert_ne!(count, before, "two reads in a row have one length");
                    before = count;
                    walk.answer(self.read(address, count))?;
                }
            }
        }
    }
}

fn maps() -> Vec<Map> {
    toml::from_str::<Fixtures>(include_str!("../../tests/sunspec/fixtures.toml")).unwrap().map
}

#[test]
fn every_map_of_the_oracle_is_found_and_decoded() {
    let maps = maps();
    assert_eq!(maps.len(), 7);
    for map in &maps {
        let found = map.walk().unwrap_or_else(|err| panic!("{}: {err}", map.name));
        assert_eq!(found.base, map.base, "{}", map.name);
        assert_eq!(found.common.manufacturer.as_deref(), Some("Negawatt Test"));
        assert_eq!(found.common.model.as_deref(), Some(map.name.as_str()));
        assert_eq!((found.common.version.as_deref(), found.common.serial.as_deref()), (Some("1.2.3"), Some("SN-0815")));
        let [at] = found.models.as_slice() else { panic!("{}: {:?}", map.name, found.models) };
        assert_eq!(at.number, map.model);
        let words = map.read(at.address, at.length + 2).unwrap();
        let profile = found.profile(&[(*at, words)]).unwrap_or_else(|err| panic!("{}: {err}", map.name));
        assert_eq!(profile.manufacturer(), "Negawatt Test");
        let mut seen = 0;
        for block in &profile.plan(&[]).unwrap().blocks {
            // The plan may read behind the model, where the end model is.
            let answer = map.read(block.address, block.count).unwrap_or_else(|| panic!("{}: {block:?}", map.name));
            for (point, words, measured) in block.decode(answer) {
                let label = point.label.as_deref().unwrap();
                match map.values.get(label) {
                    Some(text) => {
                        let shown = measured.unwrap_or_else(|err| panic!("{} {label} {words:?}: {err}", map.name));
                        assert_eq!(shown.decimal_text(), in_our_unit(point, text), "{} {label}", map.name);
                        seen += 1;
                    }
                    None => assert!(measured.is_err(), "{}: {label} is not implemented, and reads {measured:?}", map.name),
                }
            }
        }
        assert_eq!(seen, map.values.len(), "{}: a value is missing in the profile", map.name);
    }
}

/// Percent of a power factor becomes a ratio.
fn in_our_unit(point: &crate::Point, text: &str) -> String {
    if point.scale == crate::Scale::parse("0.01").unwrap() {
        let percent = units::Measured::parse(text, units::Unit::Ratio).unwrap();
        return units::Measured { exponent: percent.exponent - 2, ..percent }.decimal_text();
    }
    text.to_owned()
}

#[test]
fn points_that_a_device_does_not_have_are_left_out_but_counters_stay() {
    let map = &maps()[1];
    let found = map.walk().unwrap();
    let at = found.models[0];
    let whole = found.profile(&[(at, &[])]).unwrap();
    let fitted = found.profile(&[(at, map.read(at.address, at.length + 2).unwrap())]).unwrap();
    assert!(whole.point("v2").is_some() && fitted.point("v2").is_none());
    assert!(fitted.point("e_exp").is_some(), "a counter that counted nothing yet");
    assert_eq!(fitted.point("e_imp").unwrap().scale_factor.unwrap().typical, 3);
    assert_eq!(Profile::parse(fitted.text()).unwrap().hash(), fitted.hash(), "the profile is its text");
    assert!(fitted.points().iter().all(|point| point.table == Table::Holding));
}

#[test]
fn the_step_follows_a_finer_factor() {
    let map = &maps()[2];
    let found = map.walk().unwrap();
    let at = found.models[0];
    let profile = found.profile(&[(at, map.read(at.address, at.length + 2).unwrap())]).unwrap();
    assert_eq!(profile.point("i1").unwrap().exponent, -3);
    assert_eq!(profile.point("v1").unwrap().exponent, -2);
    let point = profile.point("i1").unwrap();
    assert!(decode(point, &[0x8000, 0xFFFD]).is_err(), "not implemented is no value");
}

#[test]
fn what_is_no_chain_is_named() {
    let empty = |words: Vec<u16>| Map { name: String::new(), base: 40_000, model: 0, words, values: BTreeMap::new() };
    assert_eq!(empty(vec![0; 10]).walk(), Err(WalkError::NoMarker));
    assert_eq!(empty(vec![0x5375, 0x6E53, 9, 9, 9]).walk(), Err(WalkError::NoCommonModel { base: 40_000 }));
    assert_eq!(empty(vec![0x5375, 0x6E53, 1, 66, 0]).walk(), Err(WalkError::Silent { address: 40_002 }));
    let chain = |header: [u16; 2]| {
        let mut words = vec![0x5375, 0x6E53, 1, 66];
        words.extend([0; 66]);
        words.extend(header.repeat(200));
        words
    };
    assert_eq!(empty(chain([700, 0])).walk(), Err(WalkError::Endless));
    assert_eq!(empty(chain([700, 60_000])).walk(), Err(WalkError::Beyond { address: 40_070 }));
    let found = empty(chain([0xFFFF, 0])).walk().unwrap();
    assert_eq!((found.models, found.common), (Vec::new(), CommonModel::default()));
}

fn chain(numbers: &[u16]) -> Discovery {
    let mut next = 40_070;
    let models = numbers.iter().map(|&number| {
        let at = ModelAt { number, address: next, length: model::find(number).map_or(10, |known| known.length) };
        next += 2 + at.length;
        at
    });
    let models = models.collect();
    let some = |text: &str| Some(text.to_owned());
    let common =
        CommonModel { manufacturer: some("Fronius"), model: some("Primo 5.0-1 (a)"), serial: some("4711"), ..CommonModel::default() };
    Discovery { base: 40_000, common, models }
}

#[test]
fn what_is_said_twice_is_read_once_and_every_profile_has_its_own_name() {
    let found = chain(&[120, 103, 113, 203, 203, 213]);
    assert_eq!(found.known().iter().map(|at| at.number).collect::<Vec<_>>(), [103, 203, 203]);
    assert_eq!(chain(&[113, 214]).known().len(), 2);
    // A model that is shorter than its number says does not keep the others from being read.
    let mut torn = chain(&[103, 113, 203]);
    torn.models[0].length = 40;
    assert_eq!(torn.known().iter().map(|at| at.number).collect::<Vec<_>>(), [113, 203]);
    torn.models.truncate(1);
    assert_eq!(torn.known().len(), 1, "there is nothing else, and its profile says why");
    let alone = |at: &ModelAt| found.profile(&[(*at, &[])]).unwrap().id().to_owned();
    let ids: Vec<String> = found.known().iter().map(alone).collect();
    assert_eq!(
        ids,
        ["sunspec-103-fronius-primo-5-0-1-a", "sunspec-203-fronius-primo-5-0-1-a-at-40196", "sunspec-203-fronius-primo-5-0-1-a-at-40303"]
    );
    let mut long = chain(&[103]);
    (long.common.manufacturer, long.common.model) = (Some("f".repeat(32)), Some("m".repeat(32)));
    assert_eq!(long.profile(&[(long.models[0], &[])]).unwrap().id().len(), 63);
    long.common = CommonModel::default();
    assert_eq!(long.profile(&[(long.models[0], &[])]).unwrap().id(), "sunspec-103");
}

#[test]
fn the_models_of_a_device_are_read_as_one() {
    let found = chain(&[120, 103, 203, 203]);
    let parts: Vec<(ModelAt, &[u16])> = found.known().into_iter().map(|at| (at, &[][..])).collect();
    let profile = found.profile(&parts).unwrap();
    assert_eq!((profile.id(), profile.kind()), ("sunspec-103-203-203-fronius-primo-5-0-1-a", crate::Kind::Inverter));
    let of = |id: &str| profile.point(id).map(|point| (point.address, point.scale_factor.map(|factor| factor.address), point.billing));
    assert_eq!(of("e_gen"), Some((40_082 + 24, Some(40_082 + 26), true)));
    assert_eq!(of("meter_e_imp"), Some((40_134 + 46, Some(40_134 + 54), true)));
    assert_eq!(of("meter2_v1"), Some((40_241 + 8, Some(40_241 + 15), false)));
    let points: usize = parts.iter().map(|part| found.profile(&[*part]).unwrap().points().len()).sum();
    assert_eq!(profile.points().len(), points);
    assert!(profile.plan(&[]).is_ok());

    let mut short = found.models[1];
    short.length = 49;
    for wrong in [vec![], vec![(short, &[][..])], vec![(found.models[0], &[][..])]] {
        assert!(matches!(found.profile(&wrong), Err(ProfileError::Faults { .. })));
    }
}

#[test]
fn what_a_device_says_is_found_again() {
    for said in [chain(&[103, 120, 203]), chain(&[])] {
        let words: BTreeMap<u16, u16> = said.registers().unwrap().into_iter().collect();
        let mut walk = Walk::new();
        let found = loop {
            match walk.step() {
                Step::Done(found) => break found,
                Step::Read { address, count } => {
                    let answer: Option<Vec<u16>> = words
                        .contains_key(&address)
                        .then(|| (0..count).map(|offset| words.get(&(address + offset)).copied().unwrap_or(0)).collect());
                    walk.answer(answer.as_deref()).unwrap();
                }
            }
        };
        assert_eq!(found, said);
    }
    let mut torn = chain(&[103, 203]);
    torn.models[1].address += 1;
    assert_eq!(torn.registers(), None);
}

proptest! {
    /// Whatever a device answers, the walk ends.
    #[test]
    fn every_walk_ends(seed in proptest::collection::vec(any::<u16>(), 1..40), marker in any::<bool>(), lost in 0_usize..50) {
        let mut walk = Walk::new();
        let mut reads = 0_usize;
        while let Step::Read { count, .. } = walk.step() {
            reads += 1;
            prop_assert!(reads <= 3 + 2 + 2 * (SUNSPEC_MODELS_MAX + 1));
            let mut words: Vec<u16> = (0..usize::from(count)).map(|at| seed[(at + reads) % seed.len()]).collect();
            if marker && reads == 1 {
                words = vec![0x5375, 0x6E53];
            }
            if marker && reads == 2 {
                words = vec![1, 65, 0];
            }
            if walk.answer((reads != lost).then_some(words.as_slice())).is_err() {
                return Ok(());
            }
        }
    }
}
