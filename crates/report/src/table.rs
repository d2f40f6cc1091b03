//! Tables whose rows stay whole and whose head is repeated on each page.

use crate::fonts::{Run, Style};
use crate::sheet::{Area, BODY, GREY, HAIR, INK, INNER, LABEL, LEFT, LINES_MAX, Mark, Meaning, Node, Role, Sheet, Side, TINT};

const PADDING: f32 = 4.5;
const BETWEEN: f32 = 12.0;

/// A column of a table.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) title: String,
    /// The part of the whole width; all parts sum to one.
    pub(crate) part: f32,
    pub(crate) side: Side,
}

impl Column {
    pub(crate) fn new(title: impl Into<String>, part: f32, side: Side) -> Self {
        Self { title: title.into(), part, side }
    }
}

/// How a row stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// Long names for the records.
    Fine,
    /// A sum on the way.
    Sum,
    /// What it all comes to.
    Total,
}

/// A row: one text per column; where texts are empty, the cell before them spans their columns.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) cells: Vec<String>,
    pub(crate) tone: Tone,
}

impl Row {
    pub(crate) fn new<const N: usize>(tone: Tone, cells: [String; N]) -> Self {
        Self { cells: cells.into(), tone }
    }

    fn style(&self, side: Side) -> Style {
        let style = match self.tone {
            Tone::Plain => BODY,
            Tone::Fine => Style::regular(7.0, INK),
            Tone::Sum => Style::bold(9.0, INK),
            Tone::Total => Style::bold(10.5, INK),
        };
        if side == Side::Right { style.figures() } else { style }
    }
}

/// What stands in a row, ready to be placed.
#[derive(Debug)]
struct Cell {
    place: (f32, f32),
    side: Side,
    /// Columns that it takes.
    span: usize,
    runs: Vec<Run>,
}

/// The columns with their left edges and widths.
fn places(columns: &[Column]) -> Vec<(f32, f32)> {
    let (mut x, mut places) = (LEFT, Vec::new());
    for (index, column) in columns.iter().enumerate() {
        let wide = INNER * column.part;
        let gap = if index + 1 == columns.len() { 0.0 } else { BETWEEN };
        places.push((x, wide - gap));
        x += wide;
    }
    places
}

impl Sheet {
    /// A table over the whole width. Its last rows with a tone stay together with the row before them.
    pub(crate) fn table(&mut self, columns: &[Column], body: &[Row], foot: &[Row]) -> Node {
        let head = self.table_head(columns, true);
        let (mut rows, mut sums) = (Vec::new(), Vec::new());
        let kept: f32 = foot.iter().map(|row| self.height(columns, row)).sum();
        for (index, row) in body.iter().enumerate() {
            let with = if index + 1 == body.len() { kept } else { 0.0 };
            rows.push(self.table_row(columns, row, with));
        }
        for row in foot {
            sums.push(self.table_row(columns, row, 0.0));
        }
        let mut parts = vec![Node::Part(Role::TableHead, vec![head]), Node::Part(Role::TableBody, rows)];
        if !sums.is_empty() {
            parts.push(Node::Part(Role::TableFoot, sums));
        }
        Node::Part(Role::Table, parts)
    }

    fn table_head(&mut self, columns: &[Column], first: bool) -> Node {
        self.need(60.0);
        let (mut cells, mut end) = (Vec::new(), self.y);
        for (column, (x, width)) in columns.iter().zip(places(columns)) {
            let runs = self.fonts.wrap(&column.title, LABEL, width, 2);
            if first {
                let (lines, below) = self.lines((x, width), self.y, column.side, runs);
                cells.push(Node::Part(Role::ColumnHead, lines));
                end = end.max(below);
            } else {
                for run in runs {
                    let at = if column.side == Side::Right { x + width - run.width } else { x };
                    let y = self.y + LABEL.leading() / 2.0 + LABEL.size * 0.36;
                    self.put(Meaning::Margin, Mark::Text { x: at, y, run });
                }
                end = end.max(self.y + LABEL.leading());
            }
        }
        self.y = end + 3.0;
        self.rule(self.y, 0.8, GREY);
        Node::Part(Role::Row, cells)
    }

    fn cells(&self, columns: &[Column], row: &Row) -> Vec<Cell> {
        let places = places(columns);
        let mut cells = Vec::new();
        for (index, (text, column)) in row.cells.iter().zip(columns).enumerate().filter(|(_, (text, _))| !text.is_empty()) {
            let blank = row.cells.iter().skip(index + 1).take_while(|text| text.is_empty()).count();
            let (Some(first), Some(last)) = (places.get(index), places.get(index + blank)) else { continue };
            let width = last.0 + last.1 - first.0;
            let style = row.style(column.side);
            let runs = match column.side {
                Side::Left => self.fonts.wrap(text, style, width, LINES_MAX),
                Side::Right => vec![self.fonts.fit(text, style, width)],
            };
            cells.push(Cell { place: (first.0, width), side: column.side, span: blank + 1, runs });
        }
        cells
    }

    fn height(&self, columns: &[Column], row: &Row) -> f32 {
        let tall = |cell: &Cell| cell.runs.iter().map(|run| run.style.leading()).sum();
        self.cells(columns, row).iter().map(tall).fold(0.0, f32::max) + 2.0 * PADDING
    }

    fn table_row(&mut self, columns: &[Column], row: &Row, with: f32) -> Node {
        let height = self.height(columns, row);
        if self.need(height + with) {
            self.table_head(columns, false);
        }
        let top = self.y;
        if row.tone == Tone::Total {
            let area = Area { x: LEFT - 6.0, y: top, width: INNER + 12.0, height };
            self.ornament(Mark::Panel { area, radius: 3.0, colour: TINT });
        }
        let mut cells = Vec::new();
        for (index, cell) in self.cells(columns, row).into_iter().enumerate() {
            let Cell { place, side, span, runs } = cell;
            let (lines, _) = self.lines(place, top + PADDING, side, runs);
            cells.push(Node::Part(if index == 0 { Role::RowHead { span } } else { Role::Cell { span } }, lines));
        }
        self.y = top + height;
        if row.tone != Tone::Total {
            self.rule(self.y, 0.5, HAIR);
        }
        Node::Part(Role::Row, cells)
    }
}
