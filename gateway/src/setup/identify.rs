//! What a device is: what it says of itself, and which map makes sense of its registers.
//!
//! A description of its own (SunSpec), registers or texts that name the model settle it. Where there are none, each known map is tried
//! on the device: most are refused or give nonsense at their first register, and those that are left are ranked by how well their
//! values belong together.

use std::{collections::BTreeMap, time::Duration};

use devices::{BlockRequest, Profile};
use serde::{Deserialize, Serialize};

use super::{
    plausible::score,
    reader::{Reader, Reads, values},
    speak::{Heard, Sound, Speaker},
    sunspec::{Described, walk},
};
use crate::modbus::{BusError, Endpoint};

/// How long a device may think about who it is.
const PATIENCE: Duration = Duration::from_millis(400);
const TIMEOUT: Duration = Duration::from_millis(400);
/// Candidates in an answer.
const CANDIDATES_MAX: usize = 5;
/// Points that tell whether a map fits, the most telling first.
const TELLING: [&str; 22] = [
    "f",
    "v1",
    "temperature",
    "v2",
    "v3",
    "i1",
    "i2",
    "i3",
    "p1",
    "p2",
    "p3",
    "p",
    "pf",
    "pf1",
    "pf2",
    "pf3",
    "e_imp",
    "e_imp_f32",
    "e_sum",
    "humidity",
    "co2",
    "par",
];

/// What a device says of itself, and what it may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Texts of function 43/14: maker, product code, revision and so on, in the order of their numbers.
    pub objects: Vec<String>,
    /// Text of function 17.
    pub server_id: Option<String>,
    /// Maker, model and serial number of the SunSpec common model.
    pub sunspec: Option<Nameplate>,
    /// Texts in the registers of the best candidate: model, serial number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<String, String>,
    /// Profiles that fit, best first.
    pub candidates: Vec<Candidate>,
}

/// A nameplate that is read over the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nameplate {
    /// Where the map begins.
    pub base: u16,
    /// Maker.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// Version of its program.
    #[serde(default)]
    pub version: String,
    /// Serial number.
    pub serial: String,
    /// Numbers of the models it has, the common one left out.
    #[serde(default)]
    pub models: Vec<u16>,
}

/// A profile that may be the right one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Profile id.
    pub profile: String,
    /// Whether the device names this model.
    pub certain: bool,
    /// How well its values belong together.
    pub score: i32,
    /// Why, for people.
    pub because: Vec<String>,
    /// The profile file, where the device described itself and no profile of ours is it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Identity {
    /// How the device names the model of a profile, if it does.
    fn names(&self, profile: &Profile) -> Option<String> {
        let in_objects = profile.identification().filter(|text| self.objects.iter().any(|said| said.contains(text)));
        let in_server_id = || profile.server_id().filter(|text| self.server_id.as_ref().is_some_and(|said| said.contains(text)));
        let says = in_objects.map(|text| (text, "43/14")).or_else(|| in_server_id().map(|text| (text, "17")));
        says.map(|(text, function)| format!("it calls itself {text} (function {function})"))
    }

    /// The profile to propose, where one stands out.
    #[must_use]
    pub fn best(&self) -> Option<&Candidate> {
        let best = self.candidates.first()?;
        let second = self.candidates.get(1).map_or(i32::MIN, |second| if second.certain { i32::MAX } else { second.score });
        (best.certain || best.score > second).then_some(best)
    }
}

/// Finds out what a unit is, among the profiles that come with the program.
pub async fn identify(endpoint: &Endpoint, unit: u8) -> Identity {
    let profiles: Vec<&Profile> = devices::builtin().iter().collect();
    identify_among(endpoint, unit, &profiles).await
}

/// Finds out what a unit is, among some profiles.
pub async fn identify_among(endpoint: &Endpoint, unit: u8, profiles: &[&Profile]) -> Identity {
    let mut identity = Identity::default();
    if let Ok(mut speaker) = Speaker::open(endpoint).await {
        if let Ok(heard) = speaker.ask(unit, &[0x2B, 0x0E, 0x01, 0x00], PATIENCE).await {
            identity.objects = objects(&heard);
        }
        if let Ok(heard) = speaker.ask(unit, &[0x11], PATIENCE).await {
            identity.server_id = server_id(&heard);
        }
    }
    let mut trial = Trial { reader: Reader::new(endpoint, unit, TIMEOUT, Duration::from_millis(10)), read: BTreeMap::new() };
    let described = walk(&mut trial.reader).await;
    if let Ok(described) = &described {
        identity.sunspec = Some(described.nameplate());
        if let Some(candidate) = trial.by_itself(described, profiles).await {
            identity.candidates.push(candidate);
        }
    }
    let described = !identity.candidates.is_empty();
    for profile in profiles {
        // A general map of devices that describe themselves is of no use beside the description.
        let is_known = identity.candidates.iter().any(|candidate| candidate.profile == profile.id());
        if is_known || (described && profile.is_sunspec()) {
            continue;
        }
        if let Some(candidate) = trial.try_on(profile, &identity).await {
            identity.candidates.push(candidate);
        }
    }
    identity.candidates.sort_by_key(|candidate| std::cmp::Reverse((candidate.certain, candidate.score)));
    identity.candidates = without_twins(identity.candidates, profiles);
    identity.candidates.truncate(CANDIDATES_MAX);
    let best = identity.best().and_then(|best| profiles.iter().find(|profile| profile.id() == best.profile));
    if let Some(best) = best {
        identity.texts = trial.texts(best).await;
    }
    identity
}

/// Models with one and the same map cannot be told apart and need not be: the first stands for all of them, and says so.
fn without_twins(candidates: Vec<Candidate>, profiles: &[&Profile]) -> Vec<Candidate> {
    let profile = |candidate: &Candidate| profiles.iter().find(|profile| profile.id() == candidate.profile);
    let twins = |one: &Candidate, other: &Candidate| match (profile(one), profile(other)) {
        (Some(one), Some(other)) => one.has_map_of(other),
        _ => false,
    };
    let mut kept: Vec<Candidate> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        match kept.iter_mut().find(|kept| kept.certain == candidate.certain && twins(kept, &candidate)) {
            Some(first) => first.because.push(format!("{} has the same registers", candidate.profile)),
            None => kept.push(candidate),
        }
    }
    kept
}

/// What was already read of a device: many maps begin with the same question.
struct Trial {
    reader: Reader,
    read: BTreeMap<(u8, u16, u16), Option<Vec<u16>>>,
}

impl Trial {
    async fn registers(&mut self, function: u8, address: u16, count: u16) -> Option<Vec<u16>> {
        if let Some(known) = self.read.get(&(function, address, count)) {
            return known.clone();
        }
        let answer = self.reader.registers(function, address, count).await;
        if let Err(err @ (BusError::Silent { .. } | BusError::Broken { .. })) = &answer {
            // Some devices say nothing to what they do not have; the next question must not wait for it.
            tracing::debug!(error = daemon::chain(err), "no answer while trying a map");
            self.reader.start_over();
        }
        let answer = answer.ok();
        self.read.insert((function, address, count), answer.clone());
        answer
    }

    async fn block(&mut self, block: &BlockRequest) -> Option<Reads> {
        let words = self.registers(block.table.function(), block.address, block.count).await?;
        let read = block
            .decode(&words)
            .map(|(point, words, measured)| (point.id.clone(), super::reader::Read { words: words.into_owned(), measured: measured.ok() }));
        Some(read.collect())
    }

    /// What the device is by its own description; a profile of the caller's that reads it alike stands for it.
    async fn by_itself(&mut self, described: &Described, profiles: &[&Profile]) -> Option<Candidate> {
        let whole = described.profile(None);
        let whole = whole.map_err(|err| tracing::debug!(error = daemon::chain(&err), "a description is of no use")).ok()?;
        let is_it = |own: &&&Profile| own.has_map_of(&whole) || (own.id() == whole.id() && agrees(own, &whole));
        let own = profiles.iter().find(is_it).copied();
        let profile = own.unwrap_or(&whole);
        let (score, mut because) = score(&values(&self.telling(profile).await));
        because.insert(0, format!("the device says so itself: SunSpec {}", described.parts()));
        let text = own.is_none().then(|| whole.text().to_owned());
        Some(Candidate { profile: profile.id().to_owned(), certain: true, score, because, text })
    }

    /// What the device calls itself in registers that hold texts.
    async fn texts(&mut self, profile: &Profile) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for field in profile.texts() {
            let words = self.registers(field.table.function(), field.address, field.registers).await;
            texts.extend(words.and_then(|words| field.bytes.decode(&words)).map(|text| (field.id.clone(), text)));
        }
        texts
    }

    /// The points of a profile that tell whether it fits.
    async fn telling(&mut self, profile: &Profile) -> Reads {
        let telling: Vec<&str> = TELLING.into_iter().filter(|id| profile.point(id).is_some()).collect();
        let mut reads = Reads::new();
        for block in profile.plan(&telling).iter().flat_map(|plan| &plan.blocks) {
            reads.extend(self.block(block).await.unwrap_or_default());
        }
        reads
    }

    /// Reads a device through a map.
    ///
    /// * Errors: `None` where the device refuses, or the first value is nonsense.
    async fn try_on(&mut self, profile: &Profile, said: &Identity) -> Option<Candidate> {
        let says = said.names(profile);
        let rules = profile.identify();
        let mut named = !rules.is_empty();
        for rule in rules {
            let count = u16::try_from(rule.words.len()).ok()?;
            if !self.registers(rule.table.function(), rule.address, count).await.is_some_and(|found| rule.fits(&found)) {
                named = false;
                break;
            }
        }
        if !rules.is_empty() && !named && says.is_none() {
            return None;
        }
        let named = named || says.is_some();
        let gate = TELLING.into_iter().find(|id| profile.point(id).is_some())?;
        let gate = profile.plan(&[gate]).ok()?;
        let first = self.block(gate.blocks.first()?).await;
        let plausible = first.is_some_and(|reads| score(&values(&reads)).0 > 0);
        if !plausible && !named {
            return None;
        }
        let (score, mut because) = score(&values(&self.telling(profile).await));
        if named {
            because.insert(0, says.unwrap_or_else(|| "its registers name the model".to_owned()));
        }
        (named || score > 0).then(|| Candidate { profile: profile.id().to_owned(), certain: named, score, because, text: None })
    }
}

/// Whether what both have lies in the same registers; a device may implement more today than when it was described.
fn agrees(own: &Profile, described: &Profile) -> bool {
    let place = |point: &devices::Point| (point.address, point.encoding, point.scale_factor.map(|factor| factor.address));
    own.points().iter().all(|point| described.point(&point.id).is_none_or(|other| place(other) == place(point)))
}

/// The readable part of some bytes.
fn readable(bytes: &[u8]) -> String {
    let text: String = bytes.iter().filter(|byte| byte.is_ascii_graphic() || **byte == b' ').map(|byte| char::from(*byte)).collect();
    text.trim().to_owned()
}

/// The texts of a device identification (Modbus application protocol V1.1b3, 6.21).
fn objects(heard: &Heard) -> Vec<String> {
    let Sound::Answer(pdu) = &heard.sound else { return Vec::new() };
    let &[0x2B, 0x0E, _, _, _, _, count, ref list @ ..] = pdu.as_slice() else { return Vec::new() };
    let mut texts = Vec::new();
    let mut rest = list;
    for _ in 0..count {
        let [_, length, more @ ..] = rest else { break };
        let length = usize::from(*length).min(more.len());
        let (text, next) = more.split_at(length);
        texts.push(readable(text));
        rest = next;
    }
    texts
}

/// The text of a server id (6.13); its first byte is the maker's, the last says whether it runs.
fn server_id(heard: &Heard) -> Option<String> {
    let Sound::Answer(pdu) = &heard.sound else { return None };
    let &[0x11, _, ref text @ ..] = pdu.as_slice() else { return None };
    Some(readable(text)).filter(|text| text.len() >= 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(pdu: &[u8]) -> Heard {
        Heard { sound: Sound::Answer(pdu.to_vec()), echo: false, begins_right: true, took: Duration::ZERO }
    }

    #[test]
    fn what_a_device_says_of_itself_is_read() {
        let mut pdu = vec![0x2B, 0x0E, 1, 1, 0, 0, 2, 0, 3];
        pdu.extend(b"ABB");
        pdu.extend([1, 4]);
        pdu.extend(b"B23\0");
        assert_eq!(objects(&answer(&pdu)), ["ABB", "B23"]);
        assert_eq!(objects(&answer(&pdu[..12])), ["ABB"]);
        assert_eq!(objects(&answer(&[0xAB, 1])), [] as [&str; 0]);
        assert_eq!(server_id(&answer(b"\x11\x09\x01SDM630 \xff")), Some("SDM630".to_owned()));
        assert_eq!(server_id(&answer(&[0x91, 1])), None);
    }

    #[test]
    fn models_with_the_same_registers_are_one_candidate() {
        let profiles: Vec<&Profile> = devices::builtin().iter().collect();
        let candidate =
            |profile: &str| Candidate { profile: profile.to_owned(), certain: false, score: 9, because: Vec::new(), text: None };
        let kept = without_twins(["eastron-sdm120", "eastron-sdm230", "eastron-sdm630"].map(candidate).to_vec(), &profiles);
        let told: Vec<(&str, &[String])> = kept.iter().map(|kept| (kept.profile.as_str(), kept.because.as_slice())).collect();
        assert_eq!(told, [("eastron-sdm120", &["eastron-sdm230 has the same registers".to_owned()][..]), ("eastron-sdm630", &[])]);
    }

    #[test]
    fn the_best_candidate_stands_out_or_there_is_none() {
        let candidate =
            |profile: &str, certain, score| Candidate { profile: profile.to_owned(), certain, score, because: Vec::new(), text: None };
        let best = |candidates| Identity { candidates, ..Identity::default() }.best().map(|best| best.profile.clone());
        assert_eq!(best(vec![candidate("a", false, 9), candidate("b", false, 5)]), Some("a".to_owned()));
        assert_eq!(best(vec![candidate("a", false, 9), candidate("b", false, 9)]), None);
        assert_eq!(best(vec![candidate("a", true, 3), candidate("b", false, 9)]), Some("a".to_owned()));
        assert_eq!(best(Vec::new()), None);
    }
}
