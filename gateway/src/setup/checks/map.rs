//! Do these registers hold what the profile says they hold?

use super::{
    super::{
        Finding,
        plausible::{is_supply, score},
        reader::{reinterpret, values},
    },
    Evidence,
};
use devices::{Kind, WordOrder};

/// How much better another map must explain the device.
const CLEARLY: i32 = 3;

/// Whether voltage and frequency are those of a supply; if not, whether another word order makes them so.
pub(super) fn supply(evidence: &Evidence<'_>) -> Finding {
    let Some(sample) = evidence.samples.last() else {
        return Finding::red("map", "nothing was read", "see that the device answers at all: `scan`");
    };
    let profile = evidence.profile;
    let read = values(&sample.reads);
    if profile.kind() != Kind::PowerMeter {
        let (score, because) = score(&read);
        return if score > 0 { Finding::green("map", because.join(", ")) } else { wrong(evidence, because.join(", ")) };
    }
    if is_supply(&read) {
        let shown = |id: &str, unit: &str| read.get(id).map(|value| format!("{id} {value:.1} {unit}"));
        let parts: Vec<String> = [shown("v1", "V"), shown("v2", "V"), shown("v3", "V"), shown("f", "Hz")].into_iter().flatten().collect();
        return Finding::green("map", format!("the supply looks right: {}", parts.join(", ")));
    }
    let other_order = |order: WordOrder| if order == WordOrder::HighFirst { WordOrder::LowFirst } else { WordOrder::HighFirst };
    let swapped = reinterpret(&sample.reads, |id| {
        let mut point = profile.point(id)?.clone();
        point.word_order = other_order(point.word_order);
        Some(point)
    });
    if is_supply(&swapped)
        && let Some(point) = profile.points().iter().find(|point| point.encoding.words() > 1)
    {
        let order = other_order(point.word_order).name();
        let show = |values: &super::Values, id: &str| values.get(id).map_or_else(|| "no number".to_owned(), |value| format!("{value:.1}"));
        let what = format!(
            "the word order is the other one: read {order}, v1 is {} V and f is {} Hz; as configured v1 is {} V",
            show(&swapped, "v1"),
            show(&swapped, "f"),
            show(&read, "v1")
        );
        let next = format!("switch the word order in the meter's menu, or use a profile with word_order = \"{order}\"");
        return Finding::red("word-order", what, next);
    }
    let seen: Vec<String> = ["v1", "f"].iter().filter_map(|id| read.get(*id).map(|value| format!("{id} would be {value:.1}"))).collect();
    wrong(evidence, if seen.is_empty() { "no voltage or frequency can be read".to_owned() } else { seen.join(", ") })
}

fn wrong(evidence: &Evidence<'_>, seen: String) -> Finding {
    let id = evidence.profile.id();
    let others: Vec<&str> =
        evidence.identity.candidates.iter().map(|candidate| candidate.profile.as_str()).filter(|other| *other != id).collect();
    let next = match others.first() {
        Some(other) => format!("configure profile = \"{other}\": its values belong together on this device"),
        None => "compare the nameplate with the profile; a device that is not known needs a file in gateway.profiles".to_owned(),
    };
    Finding::red("map", format!("this is not a {id}: {seen}"), next)
}

/// Whether no other known map explains the device better.
pub(super) fn fits_best(evidence: &Evidence<'_>) -> Finding {
    let id = evidence.profile.id();
    let mine = evidence.identity.candidates.iter().find(|candidate| candidate.profile == id);
    let named = evidence.identity.candidates.iter().find(|candidate| candidate.certain && candidate.profile != id);
    let my_score = mine.map_or_else(|| score(&evidence.last()).0, |candidate| candidate.score);
    if let Some(named) = named.filter(|_| mine.is_none_or(|mine| !mine.certain)) {
        return Finding::red(
            "model",
            format!("the device names itself, and it is a {}", named.profile),
            format!("configure profile = \"{}\"", named.profile),
        );
    }
    if mine.is_some_and(|mine| mine.text.is_some()) {
        return Finding::red(
            "model",
            format!("the device describes itself, and its registers are no longer where {id} reads them"),
            "describe it again: `device import --from sunspec URL`, and put the file into gateway.profiles",
        );
    }
    match evidence.identity.candidates.first() {
        Some(best) if best.profile != id && best.score >= my_score + CLEARLY => Finding::amber(
            "model",
            format!("{} explains this device better than {id}: score {} against {my_score}", best.profile, best.score),
            "compare the nameplate with the profile",
        ),
        _ => Finding::green("model", format!("no known map explains this device better than {id}")),
    }
}
