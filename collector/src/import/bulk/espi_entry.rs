//! The entries of a Green Button feed: XML in, and of it what an import needs.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

use super::SourceError;
use super::check::READINGS_MAX;
use super::espi::ReadingType;

/// Elements inside one another.
const DEPTH_MAX: usize = 32;
/// Bytes of the text of one element that is read.
const TEXT_BYTES_MAX: usize = 2_048;
/// A year of days is 365 blocks; a feed of many meters has thousands.
const ENTRIES_MAX: usize = 100_000;
const LINKS_MAX: usize = 32;

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its link to itself.
    pub(super) address: String,
    /// Its link to what it lies in.
    pub(super) above: String,
    pub(super) related: Vec<String>,
    pub(super) resource: Resource,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Resource {
    MeterReading,
    ReadingType(ReadingType),
    IntervalBlock(Vec<IntervalReading>),
    #[default]
    Other,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct IntervalReading {
    /// Counted from 1 through the whole file.
    pub(super) row: u64,
    pub(super) start_s: Said,
    pub(super) value: Said,
    /// The last code of its qualities.
    pub(super) quality: Option<u8>,
}

/// A number where one belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Said {
    #[default]
    Nothing,
    Number(i64),
    /// Something else stands there.
    Text,
}

impl Said {
    fn read(text: &str) -> Self {
        match text.trim() {
            "" => Self::Nothing,
            text => text.parse().map_or(Self::Text, Self::Number),
        }
    }
}

/// Where we are.
#[derive(Default)]
struct Walk {
    path: Vec<Box<[u8]>>,
    text: String,
    entries: Vec<Entry>,
    entry: Option<Entry>,
    reading: Option<IntervalReading>,
    rows: u64,
}

/// Reads the entries of a feed.
///
/// * Errors: the first thing that is no XML, or not what a feed may have, with its place in bytes.
pub(super) fn read(body: &[u8]) -> Result<Vec<Entry>, SourceError> {
    let mut reader = Reader::from_reader(body);
    reader.config_mut().trim_text(true);
    let (mut walk, mut roots) = (Walk::default(), 0_u32);
    loop {
        let event = reader.read_event();
        let place = reader.buffer_position();
        let refused = |what: &'static str| SourceError::Xml { place, what };
        match event.map_err(|err| SourceError::NoXml { place, err })? {
            Event::Start(start) => {
                roots += u32::from(walk.path.is_empty());
                if walk.path.len() >= DEPTH_MAX {
                    return Err(refused("is nested deeper than a feed is"));
                }
                walk.open(&start).map_err(refused)?;
                walk.path.push(start.local_name().as_ref().into());
            }
            Event::Empty(start) => {
                roots += u32::from(walk.path.is_empty());
                walk.open(&start).map_err(refused)?;
                walk.close(start.local_name().as_ref()).map_err(refused)?;
            }
            Event::End(end) => {
                walk.path.pop();
                walk.close(end.local_name().as_ref()).map_err(refused)?;
            }
            Event::Text(text) => walk.append(&text.decode().map_err(|_| refused("is not UTF-8"))?).map_err(refused)?,
            Event::CData(text) => walk.append(&text.decode().map_err(|_| refused("is not UTF-8"))?).map_err(refused)?,
            Event::GeneralRef(entity) => {
                let character = character(&entity).ok_or_else(|| refused("refers to an entity that is not one of XML's five"))?;
                walk.append(character.encode_utf8(&mut [0; 4])).map_err(refused)?;
            }
            Event::DocType(_) => return Err(refused("has a document type, which no feed has")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    if roots == 0 || walk.entries.iter().all(|entry| entry.resource == Resource::Other) {
        return Err(SourceError::NoFeed);
    }
    Ok(walk.entries)
}

fn character(entity: &BytesRef<'_>) -> Option<char> {
    if let Ok(Some(character)) = entity.resolve_char_ref() {
        return Some(character);
    }
    let name: &[u8] = entity;
    match name {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        _ => None,
    }
}

impl Walk {
    fn append(&mut self, text: &str) -> Result<(), &'static str> {
        if self.text.len() + text.len() > TEXT_BYTES_MAX {
            // A title or a note may be long: it is not read. What is read is short.
            if self.entry.is_none() || !is_read(self.path.last().map(AsRef::as_ref).unwrap_or_default()) {
                return Ok(());
            }
            return Err("has a text that is longer than any of a feed");
        }
        self.text.push_str(text);
        Ok(())
    }

    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), &'static str> {
        self.text.clear();
        match start.local_name().as_ref() {
            b"entry" if self.entry.is_none() => {
                if self.entries.len() >= ENTRIES_MAX {
                    return Err("has more entries than are read; divide it");
                }
                self.entry = Some(Entry::default());
            }
            b"entry" => return Err("has an entry inside an entry"),
            b"link" => self.link(start)?,
            b"MeterReading" => self.is(Resource::MeterReading),
            b"ReadingType" => self.is(Resource::ReadingType(ReadingType::default())),
            b"IntervalBlock" if !matches!(&self.entry, Some(Entry { resource: Resource::IntervalBlock(_), .. })) => {
                self.is(Resource::IntervalBlock(Vec::new()));
            }
            b"IntervalReading" => {
                if self.rows >= READINGS_MAX as u64 {
                    return Err("has more readings than one import may have; divide it");
                }
                self.rows += 1;
                self.reading = Some(IntervalReading { row: self.rows, ..IntervalReading::default() });
            }
            _ => {}
        }
        Ok(())
    }

    fn is(&mut self, resource: Resource) {
        if let Some(entry) = &mut self.entry {
            entry.resource = resource;
        }
    }

    fn link(&mut self, start: &BytesStart<'_>) -> Result<(), &'static str> {
        let Some(entry) = &mut self.entry else { return Ok(()) };
        let (mut rel, mut href) = (String::new(), String::new());
        // Whether one comes twice is not asked: that would compare each with each.
        for attribute in start.attributes().with_checks(false).take(LINKS_MAX) {
            let attribute = attribute.map_err(|_| "has a link with broken attributes")?;
            if attribute.value.len() > TEXT_BYTES_MAX {
                return Err("has a link that is longer than any of a feed");
            }
            let text = || attribute.decode_and_unescape_value(start.decoder()).map_err(|_| "has a link with broken attributes");
            match attribute.key.local_name().as_ref() {
                b"rel" => rel = text()?.into_owned(),
                b"href" => href = text()?.into_owned(),
                _ => {}
            }
        }
        match rel.as_str() {
            "self" => entry.address = href,
            "up" => entry.above = href,
            "related" if entry.related.len() < LINKS_MAX => entry.related.push(href),
            _ => {}
        }
        Ok(())
    }

    /// The end of an element whose name is taken from the path already.
    fn close(&mut self, name: &[u8]) -> Result<(), &'static str> {
        let text = std::mem::take(&mut self.text);
        if name == b"entry" {
            self.entries.extend(self.entry.take());
            return Ok(());
        }
        let Some(entry) = &mut self.entry else { return Ok(()) };
        let number = |what| text.trim().parse::<i64>().map_err(|_| what);
        let within = |parent: &[u8]| self.path.last().is_some_and(|element| element.as_ref() == parent);
        match (&mut entry.resource, name) {
            (Resource::ReadingType(kind), b"uom") => kind.uom = u16::try_from(number("has a uom that is no number")?).ok(),
            (Resource::ReadingType(kind), b"powerOfTenMultiplier") => {
                let power = number("has a powerOfTenMultiplier that is no number")?;
                kind.power_of_ten =
                    i32::try_from(power).ok().filter(|power| power.abs() <= 15).ok_or("has an impossible powerOfTenMultiplier")?;
            }
            (Resource::ReadingType(kind), b"flowDirection") => kind.flow = text.trim().parse().ok(),
            (Resource::ReadingType(kind), b"accumulationBehaviour") => kind.accumulation = text.trim().parse().ok(),
            (Resource::IntervalBlock(readings), b"IntervalReading") => readings.extend(self.reading.take()),
            (Resource::IntervalBlock(_), b"start") if within(b"timePeriod") => {
                if let Some(reading) = &mut self.reading {
                    reading.start_s = Said::read(&text);
                }
            }
            (Resource::IntervalBlock(_), b"value") if within(b"IntervalReading") => {
                if let Some(reading) = &mut self.reading {
                    reading.value = Said::read(&text);
                }
            }
            (Resource::IntervalBlock(_), b"quality") if within(b"ReadingQuality") => {
                if let Some(reading) = &mut self.reading {
                    reading.quality = Some(text.trim().parse().unwrap_or(u8::MAX));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Elements whose text counts.
fn is_read(name: &[u8]) -> bool {
    [b"uom".as_slice(), b"powerOfTenMultiplier", b"flowDirection", b"accumulationBehaviour", b"start", b"value", b"quality"].contains(&name)
}
