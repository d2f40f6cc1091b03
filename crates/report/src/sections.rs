//! The parts that several documents have.

use settlement::{Drawn, Statement, Trust, Yield};

use crate::fonts::Style;
use crate::paper::Day;
use crate::phrase;
use crate::sheet::{Area, BODY, GREEN, INK, INNER, LABEL, LEFT, LINES_MAX, Mark, Node, Role, SMALL, Sheet, Side, TINT, WHITE};

const TITLE: Style = Style::bold(22.0, INK);
pub(crate) const HEADING: Style = Style::bold(12.0, INK);
const AMOUNT: Style = Style::bold(19.0, GREEN).figures();
const FIGURE: Style = Style::bold(12.5, INK).figures();
/// The emblem on the letterhead.
const EMBLEM: f32 = 26.0;
/// Between a column and the next.
const GUTTER: f32 = 12.0;
const BOX_WIDTH: f32 = 178.0;
const BOX_PADDING: f32 = 12.0;
pub(crate) const BETWEEN_SECTIONS: f32 = 22.0;

/// A label with what it says.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    label: &'static str,
    value: String,
}

impl Fact {
    pub(crate) fn new(label: &'static str, value: impl Into<String>) -> Self {
        Self { label, value: value.into() }
    }
}

/// What the document comes to, in a box of its own.
#[derive(Debug)]
pub(crate) struct Sum {
    pub(crate) label: &'static str,
    pub(crate) amount: String,
    pub(crate) note: String,
}

impl Sheet {
    /// Who writes.
    pub(crate) fn letterhead(&mut self, issuer: &str) -> Node {
        let top = self.y;
        self.ornament(Mark::Panel { area: Area { x: LEFT, y: top, width: EMBLEM, height: EMBLEM }, radius: 6.0, colour: GREEN });
        let emblem = self.fonts.run("−W", Style::bold(12.0, WHITE));
        self.ornament(Mark::Text { x: LEFT + (EMBLEM - emblem.width) / 2.0, y: top + EMBLEM / 2.0 + 4.3, run: emblem });
        let name = Style::bold(12.0, INK);
        let x = LEFT + EMBLEM + 10.0;
        let runs = self.fonts.wrap(issuer, name, INNER - EMBLEM - 10.0, 3);
        let top_of_name = top + (EMBLEM - name.leading()) / 2.0;
        let (lines, end) = self.lines((x, INNER - EMBLEM - 10.0), top_of_name, Side::Left, runs);
        self.y = end.max(top + EMBLEM) + 26.0;
        Node::Part(Role::Paragraph, lines)
    }

    /// The title, facts in two columns below it, and the box with the sum at their right.
    pub(crate) fn opening(&mut self, title: &str, facts: [Vec<Fact>; 2], sum: &Sum) -> Vec<Node> {
        let mut nodes = vec![self.heading(1, title, TITLE, 120.0)];
        let top = self.y + 14.0;
        let wide = (INNER - BOX_WIDTH) / 2.0;
        let mut end = top;
        for (index, facts) in facts.into_iter().enumerate() {
            let x = LEFT + if index == 0 { 0.0 } else { wide };
            let mut y = top;
            for fact in facts {
                let (node, below) = self.fact((x, wide - 16.0), y, &fact, BODY);
                nodes.push(node);
                y = below + 9.0;
            }
            end = end.max(y);
        }
        let (node, below) = self.sum(top - 4.0, sum);
        nodes.push(node);
        self.y = end.max(below) + BETWEEN_SECTIONS - 8.0;
        nodes
    }

    fn sum(&mut self, top: f32, sum: &Sum) -> (Node, f32) {
        let (x, width) = (LEFT + INNER - BOX_WIDTH + BOX_PADDING, BOX_WIDTH - 2.0 * BOX_PADDING);
        let label = self.fonts.wrap(sum.label, LABEL, width, 2);
        let note = self.fonts.wrap(&sum.note, SMALL, width, 3);
        let amount = vec![self.fonts.fit(&sum.amount, AMOUNT, width)];
        let height: f32 = [&label, &amount, &note].iter().flat_map(|runs| runs.iter()).map(|run| run.style.leading()).sum();
        let area = Area { x: x - BOX_PADDING, y: top, width: BOX_WIDTH, height: height + 2.0 * BOX_PADDING };
        self.ornament(Mark::Panel { area, radius: 6.0, colour: TINT });
        let (mut nodes, mut y) = (Vec::new(), top + BOX_PADDING);
        for runs in [label, amount, note] {
            let (lines, end) = self.lines((x, width), y, Side::Left, runs);
            nodes.extend(lines);
            y = end;
        }
        (Node::Part(Role::Paragraph, nodes), y + BOX_PADDING)
    }

    fn fact(&mut self, place: (f32, f32), top: f32, fact: &Fact, style: Style) -> (Node, f32) {
        let label = self.fonts.wrap(fact.label, LABEL, place.1, 2);
        let value = self.fonts.wrap(&fact.value, style, place.1, LINES_MAX);
        let (mut nodes, y) = self.lines(place, top, Side::Left, label);
        let (lines, end) = self.lines(place, y, Side::Left, value);
        nodes.extend(lines);
        (Node::Part(Role::Paragraph, nodes), end)
    }

    /// Facts in one column or in two, over the whole width.
    pub(crate) fn facts(&mut self, columns: u8, facts: &[Fact]) -> Vec<Node> {
        let wide = INNER / f32::from(columns.max(1));
        let mut nodes = Vec::new();
        for row in facts.chunks(usize::from(columns.max(1))) {
            let lines = |fact: &Fact| self.fonts.wrap(&fact.value, BODY, wide - GUTTER, LINES_MAX).len();
            let height: f32 = row.iter().map(|fact| (0..lines(fact)).map(|_| BODY.leading()).sum()).fold(0.0, f32::max);
            self.need(height + LABEL.leading());
            let (top, mut x, mut end) = (self.y, LEFT, self.y);
            for fact in row {
                let (node, below) = self.fact((x, wide - GUTTER), top, fact, BODY);
                nodes.push(node);
                end = end.max(below);
                x += wide;
            }
            self.y = end + 7.0;
        }
        nodes
    }

    /// A command to type, on a ground of its own.
    pub(crate) fn command(&mut self, text: &str) -> Node {
        let style = Style::bold(9.5, INK);
        let runs = self.fonts.wrap(text, style, INNER - 2.0 * GUTTER, LINES_MAX);
        let height = runs.iter().map(|run| run.style.leading()).sum::<f32>() + 10.0;
        self.need(height);
        let area = Area { x: LEFT, y: self.y, width: INNER, height };
        self.ornament(Mark::Panel { area, radius: 4.0, colour: TINT });
        let (lines, end) = self.lines((LEFT + GUTTER, INNER - 2.0 * GUTTER), self.y + 5.0, Side::Left, runs);
        self.y = end + 5.0;
        Node::Part(Role::Paragraph, vec![Node::Part(Role::Code, lines)])
    }

    /// What was measured, with the chart where there are days for it.
    pub(crate) fn measured(&mut self, statement: &Statement, days: &[Day]) -> Node {
        let savings = statement.savings();
        let chart = if days.is_empty() { 60.0 } else { crate::chart::CHART_HEIGHT + 110.0 };
        let mut nodes = vec![self.heading(2, "What was measured", HEADING, chart)];
        let top = self.y + 6.0;
        let tiles = [
            Fact::new("Expected without the retrofit, kWh", phrase::kwh(savings.counterfactual_wh)),
            Fact::new("Used, kWh", phrase::kwh(savings.observed_wh)),
            Fact::new("Not used, kWh", phrase::kwh(savings.avoided_wh)),
        ];
        let (wide, mut end) = (INNER / 3.0, top);
        for (tile, x) in tiles.iter().zip([LEFT, LEFT + wide, LEFT + 2.0 * wide]) {
            let (node, below) = self.fact((x, wide - 12.0), top, tile, FIGURE);
            nodes.push(node);
            end = end.max(below);
        }
        self.y = end + 6.0;
        let text = format!(
            "Avoided energy: {} kWh ± {} kWh at {} confidence. {} of {} days had both energy and weather and were compared. \
             Baseline by the method {}.",
            phrase::kwh(savings.avoided_wh),
            phrase::kwh(savings.uncertainty_wh),
            phrase::percent(savings.confidence_ppm),
            savings.days_compared,
            savings.days_total,
            savings.method,
        );
        nodes.push(self.paragraph(&text, BODY));
        if savings.adjustments_wh != units::Energy::ZERO {
            self.y += 4.0;
            let text = format!(
                "Both parties agreed upon adjustments for what changed in the facility and is not the retrofit's doing: {} kWh, part of \
                 what was expected and of what was not used. The days below are without them.",
                phrase::kwh(savings.adjustments_wh),
            );
            nodes.push(self.paragraph(&text, BODY));
        }
        let beside = [statement.yielded().map(grown), statement.drawn().map(expected), statement.trust().map(believed)];
        for text in beside.into_iter().flatten() {
            self.y += 4.0;
            nodes.push(self.paragraph(&text, BODY));
        }
        self.y += 12.0;
        if !days.is_empty() {
            nodes.push(self.chart(statement.period(), days));
        }
        self.y += BETWEEN_SECTIONS;
        Node::Part(Role::Section, nodes)
    }
}

/// What grew, and the energy of a kilogram where the saving may be told by it.
fn grown(yielded: &Yield) -> String {
    let grown = phrase::kg(yielded.grown_g);
    let per_kg = |wh: i64| phrase::kwh(units::Energy::wh(wh));
    let mut text = format!("On these days {grown} kg of marketable produce grew, by the crop cycles of the harvests.");
    if let Some(one) = &yielded.per_kg {
        let (expected, used, avoided) = (per_kg(one.expected_wh), per_kg(one.used_wh), per_kg(one.avoided_wh));
        let told = format!(" At this output a kilogram would have taken {expected} kWh and took {used} kWh: {avoided} kWh less.");
        text.push_str(&told);
    }
    if let Some(why) = &yielded.not_claimed {
        text.push_str(&format!(" No saving is claimed by the kilogram: {why}."));
    }
    text
}

/// How the value came about where it was drawn.
fn expected(drawn: &Drawn) -> String {
    format!(
        "The value is the mean of {} bills of what would have been used, each with days and weeks as the baseline had them: eight of \
         ten lie between {} and {}. By the mean shape of days, which sees no peaks, it would be {}.",
        drawn.draws,
        drawn.p10.round_dp(2),
        drawn.p90.round_dp(2),
        drawn.by_mean_shape.round_dp(2)
    )
}

/// The trust score in a sentence.
fn believed(trust: &Trust) -> String {
    let mut text = format!(
        "Trust score {} of 100, given on {} by {}: {} of the categories of verification pass",
        phrase::score(trust.score_ppm),
        phrase::day(trust.date),
        trust.version,
        trust.passed
    );
    for (names, what) in [(&trust.conditional, "under a condition"), (&trust.failed, "not, or nobody has shown them")] {
        if !names.is_empty() {
            text.push_str(&format!("; {what}: {}", names.join(", ")));
        }
    }
    text.push_str(if trust.capped { ". What fails holds the score at 40 at most." } else { "." });
    text
}
