//! From finished pages to bytes: the only module that talks to the PDF engine.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};

use jiff::Timestamp;
use jiff::tz::Offset;
use krilla::color::rgb;
use krilla::configure::{Accessibility, Archival, Configuration, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::embed::{AssociationKind, EmbeddedFile, MimeType};
use krilla::error::KrillaError;
use krilla::geom::{Path, PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule, Stroke};
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, BBox, ContentTag, Identifier, Node as TagNode, SpanTag, TableHeaderScope, Tag, TagGroup, TagKind, TagTree,
};
use krilla::{Document, SerializeSettings};

use crate::fonts::{Fonts, clean};
use crate::paper::{Attachment, ReportError};
use crate::sheet::{Area, HEIGHT, Leaf, Mark, Meaning, Node, Role, Sheet, WIDTH};

const LANGUAGE: &str = "en";
/// The part of a radius at which a Bézier curve comes closest to a quarter of a circle.
const ROUND: f32 = 0.552_285;

/// What the file says about itself.
#[derive(Debug)]
pub(crate) struct Cover {
    pub(crate) title: String,
    pub(crate) about: String,
    pub(crate) author: String,
    /// Names the document for good: its own identifier.
    pub(crate) id: String,
    pub(crate) made_at: Timestamp,
}

type Identifiers = BTreeMap<Leaf, Vec<Identifier>>;

/// Writes pages, tree, bookmarks and attachments.
pub(crate) fn pdf(sheet: Sheet, tree: &[Node], cover: &Cover, attachments: Vec<Attachment>) -> Result<Vec<u8>, ReportError> {
    let settings = SerializeSettings { configuration: standards()?, ..SerializeSettings::default() };
    let mut document = Document::new_with(settings);
    let made = date(cover.made_at);
    document.set_metadata(
        Metadata::new()
            .title(clean(&cover.title))
            .description(clean(&cover.about))
            .authors(vec![clean(&cover.author)])
            .creator("Negawatt".to_owned())
            .producer("Negawatt".to_owned())
            .language(LANGUAGE.to_owned())
            .document_id(cover.id.clone())
            .creation_date(made),
    );
    for attachment in attachments {
        embed(&mut document, attachment, made)?;
    }
    let mut identifiers = Identifiers::new();
    for page in &sheet.pages {
        let size = PageSettings::from_wh(WIDTH, HEIGHT).ok_or_else(|| engine("a page of no size"))?;
        let mut page_of_document = document.start_page_with(size);
        let mut surface = page_of_document.surface();
        for (meaning, mark) in page {
            let id = surface.start_tagged(content_tag(*meaning, mark));
            draw(&mut surface, &sheet.fonts, mark);
            surface.end_tagged();
            if let Meaning::Read(leaf) = meaning {
                identifiers.entry(*leaf).or_default().push(id);
            }
        }
        surface.finish();
        page_of_document.finish();
    }
    let mut outline = Outline::new();
    bookmarks(tree, &mut outline);
    document.set_outline(outline);
    let mut tags = TagTree::new().with_lang(Some(LANGUAGE.to_owned()));
    for node in tree {
        for tagged in tagged(node, &mut identifiers) {
            tags.push(tagged);
        }
    }
    document.set_tag_tree(tags);
    document.finish().map_err(refused)
}

fn engine(what: &str) -> ReportError {
    ReportError::Engine(what.to_owned())
}

fn refused(err: KrillaError) -> ReportError {
    match err {
        KrillaError::Validation(broken) => {
            let broken: Vec<String> = broken.iter().map(|(rule, _)| format!("{rule:?}")).collect();
            ReportError::Engine(broken.join(", "))
        }
        other => ReportError::Engine(other.to_string()),
    }
}

fn standards() -> Result<Configuration, ReportError> {
    ConfigurationBuilder::new()
        .with_archival_validator(Archival::A3_A)
        .with_accessibility_validator(Accessibility::UA1)
        .finish()
        .map_err(|err| ReportError::Engine(format!("{err:?}")))
}

/// An instant in UTC, to the second.
fn date(at: Timestamp) -> DateTime {
    let at = Offset::UTC.to_datetime(at);
    let small = |part: i8| u8::try_from(part).unwrap_or(0);
    DateTime::new(u16::try_from(at.year()).unwrap_or(0))
        .month(small(at.month()))
        .day(small(at.day()))
        .hour(small(at.hour()))
        .minute(small(at.minute()))
        .second(small(at.second()))
        .utc_offset_hour(0)
}

fn embed(document: &mut Document, attachment: Attachment, made: DateTime) -> Result<(), ReportError> {
    let Attachment { name, description, json } = attachment;
    let file = EmbeddedFile {
        path: name.clone(),
        mime_type: MimeType::new("application/json"),
        description: Some(description),
        association_kind: AssociationKind::Data,
        data: json.into(),
        modification_date: Some(made),
        compress: Some(true),
        location: None,
    };
    document.embed_file(file).ok_or_else(|| ReportError::Engine(format!("two attachments are named {name}")))
}

fn content_tag(meaning: Meaning, mark: &Mark) -> ContentTag<'static> {
    match (meaning, mark) {
        (Meaning::Read(_), Mark::Text { .. }) => ContentTag::Span(SpanTag::empty()),
        (Meaning::Read(_), _) => ContentTag::Other,
        (Meaning::Margin, _) => ContentTag::Artifact(Artifact::with_kind(ArtifactType::PaginationOther)),
        (Meaning::Ornament, _) => ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout)),
    }
}

fn fill([red, green, blue]: [u8; 3]) -> Fill {
    Fill { paint: rgb::Color::new(red, green, blue).into(), opacity: NormalizedF32::ONE, rule: FillRule::NonZero }
}

fn draw(surface: &mut Surface<'_>, fonts: &Fonts, mark: &Mark) {
    match mark {
        Mark::Text { x, y, run } => {
            surface.set_stroke(None);
            surface.set_fill(Some(fill(run.style.colour)));
            surface.draw_glyphs(Point::from_xy(*x, *y), &run.glyphs, fonts.font(run.style.weight), &run.text, run.style.size, false);
        }
        Mark::Panel { area, radius, colour } => {
            surface.set_stroke(None);
            surface.set_fill(Some(fill(*colour)));
            if let Some(path) = panel(*area, *radius) {
                surface.draw_path(&path);
            }
        }
        Mark::Line { from, to, width, colour: [red, green, blue] } => {
            let mut path = PathBuilder::new();
            path.move_to(from.0, from.1);
            path.line_to(to.0, to.1);
            surface.set_fill(None);
            surface.set_stroke(Some(Stroke { paint: rgb::Color::new(*red, *green, *blue).into(), width: *width, ..Stroke::default() }));
            if let Some(path) = path.finish() {
                surface.draw_path(&path);
            }
        }
    }
}

fn panel(Area { x, y, width, height }: Area, radius: f32) -> Option<Path> {
    let (right, bottom, bend) = (x + width, y + height, radius * (1.0 - ROUND));
    let mut path = PathBuilder::new();
    if radius <= 0.0 {
        path.push_rect(Rect::from_xywh(x, y, width, height)?);
        return path.finish();
    }
    path.move_to(x + radius, y);
    path.line_to(right - radius, y);
    path.cubic_to(right - bend, y, right, y + bend, right, y + radius);
    path.line_to(right, bottom - radius);
    path.cubic_to(right, bottom - bend, right - bend, bottom, right - radius, bottom);
    path.line_to(x + radius, bottom);
    path.cubic_to(x + bend, bottom, x, bottom - bend, x, bottom - radius);
    path.line_to(x, y + radius);
    path.cubic_to(x, y + bend, x + bend, y, x + radius, y);
    path.close();
    path.finish()
}

/// One bookmark for each heading, in one level.
fn bookmarks(nodes: &[Node], outline: &mut Outline) {
    for node in nodes {
        if let Node::Part(role, children) = node {
            if let Role::Heading { title, page, y, .. } = role {
                let place = XyzDestination::new(*page, Point::from_xy(0.0, *y));
                outline.push_child(OutlineNode::new(title.clone(), place));
            }
            bookmarks(children, outline);
        }
    }
}

/// A part of the tree in the engine's words. A leaf over several marks is as many nodes.
fn tagged(node: &Node, identifiers: &mut Identifiers) -> Vec<TagNode> {
    match node {
        Node::Leaf(leaf) => identifiers.remove(leaf).unwrap_or_default().into_iter().map(TagNode::from).collect(),
        Node::Part(role, children) => {
            let mut group = TagGroup::new(tag(role));
            for child in children {
                for tagged in tagged(child, identifiers) {
                    group.push(tagged);
                }
            }
            vec![group.into()]
        }
    }
}

fn tag(role: &Role) -> TagKind {
    let columns = |span: usize| u32::try_from(span).ok().filter(|span| *span > 1).and_then(NonZeroU32::new);
    match role {
        Role::Section => Tag::Section.into(),
        Role::Heading { level, title, .. } => Tag::Hn(NonZeroU16::new(*level).unwrap_or(NonZeroU16::MIN), Some(title.clone())).into(),
        Role::Paragraph => Tag::P.into(),
        Role::Table => Tag::Table.into(),
        Role::TableHead => Tag::THead.into(),
        Role::TableBody => Tag::TBody.into(),
        Role::TableFoot => Tag::TFoot.into(),
        Role::Row => Tag::TR.into(),
        Role::ColumnHead => Tag::TH(TableHeaderScope::Column).into(),
        Role::RowHead { span } => Tag::TH(TableHeaderScope::Row).with_col_span(columns(*span)).into(),
        Role::Cell { span } => Tag::TD.with_col_span(columns(*span)).into(),
        Role::Code => Tag::Code.into(),
        Role::Figure { instead, page, area } => {
            let place = Rect::from_xywh(area.x, area.y, area.width, area.height).map(|place| BBox::new(*page, place));
            Tag::Figure(Some(instead.clone())).with_bbox(place).into()
        }
    }
}
