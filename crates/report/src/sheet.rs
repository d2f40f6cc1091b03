//! Pages as they are filled from top to bottom, and the tree of meaning that grows beside them.
//!
//! Nothing is drawn here: a [`Sheet`] collects marks with their places, because "page 1 of 3" can only be said when all
//! pages are there. Every mark belongs to a leaf of the tree, or is mere decoration.

use crate::fonts::{Fonts, Run, Style};

/// A4, in points.
pub(crate) const WIDTH: f32 = 595.276;
pub(crate) const HEIGHT: f32 = 841.89;
/// Where the text begins, and how wide it is.
pub(crate) const LEFT: f32 = 56.7;
pub(crate) const INNER: f32 = WIDTH - 2.0 * LEFT;
const TOP: f32 = 51.0;
const TOP_OF_LATER_PAGES: f32 = 88.0;
pub(crate) const BOTTOM: f32 = HEIGHT - 68.0;
/// Most lines of one paragraph or cell. More cannot stand on a page together with its neighbours; an ellipsis says so.
pub(crate) const LINES_MAX: usize = 24;

pub(crate) const INK: [u8; 3] = [0x16, 0x22, 0x2b];
pub(crate) const GREY: [u8; 3] = [0x5a, 0x68, 0x73];
pub(crate) const HAIR: [u8; 3] = [0xd8, 0xdf, 0xe4];
pub(crate) const GREEN: [u8; 3] = [0x0b, 0x6e, 0x4f];
pub(crate) const TINT: [u8; 3] = [0xee, 0xf5, 0xf2];
pub(crate) const WHITE: [u8; 3] = [0xff; 3];

pub(crate) const BODY: Style = Style::regular(9.0, INK);
pub(crate) const SMALL: Style = Style::regular(7.5, GREY);
pub(crate) const LABEL: Style = Style::bold(7.5, GREY);

/// A rectangle from its upper left corner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) width: f32,
    pub(crate) height: f32,
}

/// Something to draw.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    /// Text that begins at `x` on the baseline `y`.
    Text { x: f32, y: f32, run: Run },
    /// A filled rectangle with round corners.
    Panel { area: Area, radius: f32, colour: [u8; 3] },
    /// A line.
    Line { from: (f32, f32), to: (f32, f32), width: f32, colour: [u8; 3] },
}

/// A leaf of the tree: what is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leaf(pub(crate) usize);

/// What a mark means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It belongs to this leaf.
    Read(Leaf),
    /// It repeats what is told elsewhere: the running head or the foot of a page.
    Margin,
    /// It is decoration.
    Ornament,
}

/// What a part of the document is.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// A part of its own, with its heading.
    Section,
    /// A heading of a level from 1; it also becomes a bookmark.
    Heading {
        level: u16,
        title: String,
        page: usize,
        y: f32,
    },
    Paragraph,
    Table,
    TableHead,
    TableBody,
    TableFoot,
    Row,
    /// The head of a column.
    ColumnHead,
    /// The head of a row, over so many columns.
    RowHead {
        span: usize,
    },
    Cell {
        span: usize,
    },
    /// A picture, with the sentence that stands for it.
    Figure {
        instead: String,
        page: usize,
        area: Area,
    },
    Code,
}

/// A part of the tree of meaning.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Part(Role, Vec<Node>),
    Leaf(Leaf),
}

/// Which side text keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// Marks of one page.
pub(crate) type Page = Vec<(Meaning, Mark)>;

/// Pages in the making.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) fonts: Fonts,
    pub(crate) pages: Vec<Page>,
    /// Where the next thing goes on the last page.
    pub(crate) y: f32,
    leaves: usize,
}

impl Sheet {
    pub(crate) fn new() -> Self {
        Self { fonts: Fonts::new(), pages: vec![Page::new()], y: TOP, leaves: 0 }
    }

    /// The index of the page that is being filled.
    pub(crate) fn page(&self) -> usize {
        self.pages.len() - 1
    }

    /// Turns to a new page unless so much height is left. Tells whether it did.
    pub(crate) fn need(&mut self, height: f32) -> bool {
        let turned = self.y + height > BOTTOM;
        if turned {
            self.pages.push(Page::new());
            self.y = TOP_OF_LATER_PAGES;
        }
        turned
    }

    pub(crate) fn leaf(&mut self) -> Leaf {
        self.leaves += 1;
        Leaf(self.leaves - 1)
    }

    pub(crate) fn put(&mut self, meaning: Meaning, mark: Mark) {
        if let Some(page) = self.pages.last_mut() {
            page.push((meaning, mark));
        }
    }

    pub(crate) fn ornament(&mut self, mark: Mark) {
        self.put(Meaning::Ornament, mark);
    }

    /// A hairline over the whole width.
    pub(crate) fn rule(&mut self, y: f32, width: f32, colour: [u8; 3]) {
        self.ornament(Mark::Line { from: (LEFT, y), to: (LEFT + INNER, y), width, colour });
    }

    /// One line of text at a place, as a leaf of its own.
    pub(crate) fn say(&mut self, x: f32, y: f32, run: Run) -> Node {
        let leaf = self.leaf();
        self.put(Meaning::Read(leaf), Mark::Text { x, y, run });
        Node::Leaf(leaf)
    }

    /// Lines of text between `x` and `x + width` below `top`; tells where they end.
    pub(crate) fn lines(&mut self, (x, width): (f32, f32), top: f32, side: Side, runs: Vec<Run>) -> (Vec<Node>, f32) {
        let (mut nodes, mut y) = (Vec::new(), top);
        for run in runs {
            let style = run.style;
            let at = if side == Side::Right { x + width - run.width } else { x };
            // Caps stand in the middle of the line's height.
            let baseline = y + style.leading() / 2.0 + style.size * 0.36;
            nodes.push(self.say(at, baseline, run));
            y += style.leading();
        }
        (nodes, y)
    }

    /// A paragraph over the whole width, which may run on to the next page.
    pub(crate) fn paragraph(&mut self, text: &str, style: Style) -> Node {
        let mut nodes = Vec::new();
        for run in self.fonts.wrap(text, style, INNER, LINES_MAX) {
            self.need(style.leading());
            let (line, end) = self.lines((LEFT, INNER), self.y, Side::Left, vec![run]);
            nodes.extend(line);
            self.y = end;
        }
        Node::Part(Role::Paragraph, nodes)
    }

    /// A heading that stays with at least `height` of what follows.
    pub(crate) fn heading(&mut self, level: u16, text: &str, style: Style, height: f32) -> Node {
        self.need(style.leading() + height);
        let (page, y) = (self.page(), self.y);
        let runs = self.fonts.wrap(text, style, INNER, LINES_MAX);
        let title = runs.iter().map(|run| run.text.as_str()).collect::<Vec<_>>().join(" ");
        let (lines, end) = self.lines((LEFT, INNER), y, Side::Left, runs);
        self.y = end;
        Node::Part(Role::Heading { level, title, page, y }, lines)
    }

    /// The foot of every page, and the head of those after the first.
    pub(crate) fn margins(&mut self, head: &str, foot: &str) {
        let count = self.pages.len();
        let most = INNER * 0.8;
        for index in 0..count {
            let mut marks = Vec::new();
            let number = self.fonts.run(&format!("Page {} of {count}", index + 1), SMALL);
            let y = HEIGHT - 42.0;
            marks.push(Mark::Line { from: (LEFT, y - 14.0), to: (LEFT + INNER, y - 14.0), width: 0.5, colour: HAIR });
            marks.push(Mark::Text { x: LEFT + INNER - number.width, y, run: number });
            marks.extend(self.fonts.wrap(foot, SMALL, most, 1).into_iter().map(|run| Mark::Text { x: LEFT, y, run }));
            if index > 0 {
                let line = Mark::Line { from: (LEFT, 66.0), to: (LEFT + INNER, 66.0), width: 0.5, colour: HAIR };
                marks.push(line);
                marks.extend(self.fonts.wrap(head, SMALL, INNER, 1).into_iter().map(|run| Mark::Text { x: LEFT, y: 57.0, run }));
            }
            if let Some(page) = self.pages.get_mut(index) {
                page.extend(marks.into_iter().map(|mark| (Meaning::Margin, mark)));
            }
        }
    }
}
