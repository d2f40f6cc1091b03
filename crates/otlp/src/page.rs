//! A page in Prometheus' text format, read: our own pages, so what they do not have is not known here.

/// What a family counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Everything of one name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Family<'a> {
    pub(crate) name: &'a str,
    pub(crate) help: &'a str,
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<Sample<'a>>,
}

/// A line with a number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample<'a> {
    /// What follows the name of the family: nothing, `_bucket`, `_sum`, `_count`.
    pub(crate) part: &'a str,
    pub(crate) labels: Vec<(&'a str, String)>,
    pub(crate) value: &'a str,
}

/// The families of a page, and how many lines could not be read.
pub(crate) fn families(page: &str) -> (Vec<Family<'_>>, u64) {
    let (mut families, mut unread) = (Vec::<Family<'_>>::new(), 0);
    for line in page.lines().filter(|line| !line.is_empty()) {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.push(Family { name, help, kind: Kind::Gauge, samples: Vec::new() });
            continue;
        }
        let family = families.last_mut();
        let read = match (line.strip_prefix("# TYPE "), family) {
            (Some(rest), Some(family)) => kind(rest, family.name).map(|kind| family.kind = kind),
            (None, Some(family)) => sample(line, family.name).map(|sample| family.samples.push(sample)),
            (_, None) => None,
        };
        unread += u64::from(read.is_none());
    }
    (families, unread)
}

fn kind(rest: &str, name: &str) -> Option<Kind> {
    match rest.strip_prefix(name)? {
        " counter" => Some(Kind::Counter),
        " gauge" => Some(Kind::Gauge),
        " histogram" => Some(Kind::Histogram),
        _ => None,
    }
}

fn sample<'a>(line: &'a str, name: &str) -> Option<Sample<'a>> {
    let (series, value) = line.rsplit_once(' ')?;
    let rest = series.strip_prefix(name)?;
    let (part, labels) = match rest.split_once('{') {
        Some((part, labels)) => (part, labelled(labels.strip_suffix('}')?)?),
        None => (rest, Vec::new()),
    };
    ["", "_bucket", "_sum", "_count"].contains(&part).then_some(Sample { part, labels, value })
}

/// `a="b",c="d"`.
fn labelled(mut rest: &str) -> Option<Vec<(&str, String)>> {
    let mut labels = Vec::new();
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, behind) = unquoted(quoted)?;
        labels.push((name, value));
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    Some(labels)
}

/// Up to the closing quote, and what is behind it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.chars());
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}
