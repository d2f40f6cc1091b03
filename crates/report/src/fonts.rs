//! The embedded typeface: from text to placed glyphs.

use harfrust::{Direction, Feature, FontRef, ShapeOptions, ShaperData, Tag, UnicodeBuffer, script};
use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::MetadataProvider as _;

const REGULAR: &[u8] = include_bytes!("../fonts/Inter-Regular.ttf");
const SEMI_BOLD: &[u8] = include_bytes!("../fonts/Inter-SemiBold.ttf");
/// Stands for a character that the typeface does not have. Whoever copies the text gets the character itself.
const UNKNOWN: char = '\u{25a1}';
/// The gap between groups of three digits, in ems. It is space and no character, and too narrow to be taken for one:
/// whoever copies an amount gets its digits alone.
const GROUP_GAP: f32 = 0.08;

/// Nothing is set smaller, in points. The longest amount there is still fits the narrowest column at this size.
const SIZE_MIN: f32 = 4.0;

/// How heavy the letters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    SemiBold,
}

/// What kind of text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Words,
    /// Digits of one width and in groups, for columns of figures.
    Figures,
}

/// How text looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Style {
    pub(crate) weight: Weight,
    pub(crate) kind: Kind,
    /// Points.
    pub(crate) size: f32,
    pub(crate) colour: [u8; 3],
}

impl Style {
    pub(crate) const fn regular(size: f32, colour: [u8; 3]) -> Self {
        Self { weight: Weight::Regular, kind: Kind::Words, size, colour }
    }

    pub(crate) const fn bold(size: f32, colour: [u8; 3]) -> Self {
        Self { weight: Weight::SemiBold, kind: Kind::Words, size, colour }
    }

    pub(crate) const fn figures(mut self) -> Self {
        self.kind = Kind::Figures;
        self
    }

    /// From one baseline to the next.
    pub(crate) fn leading(self) -> f32 {
        self.size * 1.4
    }
}

/// Text on one line, ready to be drawn.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) text: String,
    pub(crate) glyphs: Vec<KrillaGlyph>,
    /// Points.
    pub(crate) width: f32,
    pub(crate) style: Style,
}

struct Face {
    font: Font,
    data: FontRef<'static>,
    shaper: ShaperData,
    units_per_em: f32,
}

impl Face {
    fn new(bytes: &'static [u8]) -> Self {
        let font = Font::new(bytes.into(), 0).expect("the embedded font is one");
        let data = FontRef::new(bytes).expect("the embedded font is one");
        Self { units_per_em: font.units_per_em(), shaper: ShaperData::new(&data), font, data }
    }
}

/// Both weights of the typeface.
pub(crate) struct Fonts {
    regular: Face,
    semi_bold: Face,
}

impl std::fmt::Debug for Fonts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fonts").finish_non_exhaustive()
    }
}

impl Fonts {
    pub(crate) fn new() -> Self {
        Self { regular: Face::new(REGULAR), semi_bold: Face::new(SEMI_BOLD) }
    }

    fn face(&self, weight: Weight) -> &Face {
        match weight {
            Weight::Regular => &self.regular,
            Weight::SemiBold => &self.semi_bold,
        }
    }

    pub(crate) fn font(&self, weight: Weight) -> Font {
        self.face(weight).font.clone()
    }

    /// Places the glyphs of a line. What may not stand in an archived document is replaced, what is missing is boxed.
    pub(crate) fn run(&self, text: &str, style: Style) -> Run {
        let text = clean(text);
        let face = self.face(style.weight);
        let (mut buffer, known) = (UnicodeBuffer::new(), face.data.charmap());
        for (at, letter) in text.char_indices() {
            let shown = if known.map(letter).is_some() { letter } else { UNKNOWN };
            buffer.add(shown, u32::try_from(at).unwrap_or(u32::MAX));
        }
        buffer.set_direction(Direction::LeftToRight);
        buffer.set_script(script::LATIN);
        let features: &[Feature] = match style.kind {
            Kind::Words => &[],
            Kind::Figures => &[Feature::new(Tag::new(b"tnum"), 1, ..), Feature::new(Tag::new(b"case"), 1, ..)],
        };
        let shaped = face.shaper.shaper(&face.data).build().shape(buffer, ShapeOptions::new().features(features));
        let gaps = if style.kind == Kind::Figures { group_ends(&text) } else { Vec::new() };
        let starts: Vec<usize> = shaped.glyph_infos().iter().map(|info| usize::try_from(info.cluster).unwrap_or(0)).collect();
        let (mut glyphs, mut width) = (Vec::with_capacity(starts.len()), 0.0);
        for (index, (info, place)) in shaped.glyph_infos().iter().zip(shaped.glyph_positions()).enumerate() {
            let start = starts.get(index).copied().unwrap_or(0);
            // Glyphs of one cluster share its text; the next cluster begins where this one ends.
            let end = starts.iter().skip(index).find(|next| **next > start).copied().unwrap_or(text.len());
            let em = |units: i32| from_i32(units) / face.units_per_em;
            let gap = if gaps.contains(&end) { GROUP_GAP } else { 0.0 };
            let advance = em(place.x_advance) + gap;
            width += advance;
            let glyph = GlyphId::new(info.glyph_id);
            glyphs.push(KrillaGlyph::new(glyph, advance, em(place.x_offset), em(place.y_offset), em(place.y_advance), start..end, None));
        }
        Run { text, glyphs, width: width * style.size, style }
    }

    /// One line that is set smaller where it would be wider than `width`: figures are never broken.
    pub(crate) fn fit(&self, text: &str, mut style: Style, width: f32) -> Run {
        let run = self.run(text, style);
        if run.width <= width {
            return run;
        }
        style.size = (style.size * width / run.width).max(SIZE_MIN);
        self.run(text, style)
    }

    /// Breaks a text into lines no wider than `width`, at blanks where there are some.
    ///
    /// * Bound: `lines_max` lines; the last one then ends with an ellipsis.
    pub(crate) fn wrap(&self, text: &str, style: Style, width: f32, lines_max: usize) -> Vec<Run> {
        let space = self.run(" ", style).width;
        let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0.0_f32);
        for word in clean(text).split(' ').filter(|word| !word.is_empty()) {
            for piece in self.pieces(word, style, width) {
                let wide = self.run(&piece, style).width;
                if !line.is_empty() && used + space + wide > width {
                    lines.push(std::mem::take(&mut line));
                    used = 0.0;
                }
                if !line.is_empty() {
                    line.push(' ');
                    used += space;
                }
                line.push_str(&piece);
                used += wide;
            }
        }
        lines.push(line);
        if lines.len() > lines_max {
            lines.truncate(lines_max);
            if let Some(last) = lines.last_mut() {
                last.push('…');
            }
        }
        lines.iter().map(|line| self.run(line, style)).collect()
    }

    /// A word, or the pieces of one that is wider than the line.
    fn pieces(&self, word: &str, style: Style, width: f32) -> Vec<String> {
        if self.run(word, style).width <= width {
            return vec![word.to_owned()];
        }
        let (mut pieces, mut piece, mut used) = (Vec::new(), String::new(), 0.0_f32);
        for letter in word.chars() {
            let wide = self.run(letter.encode_utf8(&mut [0; 4]), style).width;
            if !piece.is_empty() && used + wide > width {
                pieces.push(std::mem::take(&mut piece));
                used = 0.0;
            }
            piece.push(letter);
            used += wide;
        }
        pieces.push(piece);
        pieces
    }
}

#[expect(clippy::cast_precision_loss, reason = "font units have sixteen bits")]
fn from_i32(units: i32) -> f32 {
    units as f32
}

/// The text as it may stand in an archived document: one line, no invisible controls, nothing from private areas.
pub(crate) fn clean(text: &str) -> String {
    let cleaned = text.chars().filter_map(|letter| match letter {
        // Signs that join, split or turn letters around have no place on an invoice.
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' => {
            None
        }
        letter if letter.is_control() || letter.is_whitespace() => Some(' '),
        '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{10ffff}' => Some('\u{fffd}'),
        letter if u32::from(letter) & 0xfffe == 0xfffe => Some('\u{fffd}'),
        letter => Some(letter),
    });
    cleaned.collect()
}

/// Where, in bytes, groups of three digits end before another digit: left of the decimal point, in runs of four and more.
fn group_ends(text: &str) -> Vec<usize> {
    let (mut ends, mut run, mut fraction) = (Vec::new(), 0..0, false);
    for (at, letter) in text.char_indices().chain([(text.len(), ' ')]) {
        if letter.is_ascii_digit() {
            run = if run.is_empty() { at..at + 1 } else { run.start..at + 1 };
            continue;
        }
        if !fraction && run.len() > 3 {
            ends.extend((run.start + 1..run.end).filter(|end| (run.end - end).is_multiple_of(3)));
        }
        fraction = letter == '.' && !run.is_empty();
        run = 0..0;
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLACK: [u8; 3] = [0; 3];

    #[test]
    fn digits_are_grouped_left_of_the_point_only() {
        assert_eq!(group_ends("-1234567.8901 USD 12345"), [2, 5, 20]);
        assert_eq!(group_ends("123.4567"), []);
    }

    #[test]
    fn every_letter_of_a_line_belongs_to_a_glyph() {
        let fonts = Fonts::new();
        for text in ["Żółć Ünïted ΑΒΓ Кириллица", "株式会社 Negawatt", "e\u{301}a\u{300}\u{316} 👩\u{200d}🔧", "1234567.89", ""]
        {
            let run = fonts.run(text, Style::regular(9.0, BLACK).figures());
            let mut covered: Vec<_> = run.glyphs.iter().map(|glyph| glyph.text_range.clone()).collect();
            covered.dedup();
            assert_eq!(covered.iter().map(|range| run.text.get(range.clone()).unwrap()).collect::<String>(), run.text, "{text}");
            assert!(run.glyphs.iter().all(|glyph| glyph.glyph_id.to_u32() != 0), "{text}");
        }
    }

    #[test]
    fn figures_have_one_width_and_words_are_kerned() {
        let fonts = Fonts::new();
        let style = Style::regular(10.0, BLACK);
        let width = |text: &str, style| fonts.run(text, style).width;
        assert!((width("111", style.figures()) - width("888", style.figures())).abs() < 0.001);
        assert!(width("AVAV", style) < 2.0 * width("A", style) + 2.0 * width("V", style) - 1.0);
    }

    #[test]
    fn long_words_break_and_lines_are_bounded() {
        let fonts = Fonts::new();
        let style = Style::regular(10.0, BLACK);
        let text = format!("a {} end", "w".repeat(100));
        let lines = fonts.wrap(&text, style, 120.0, 100);
        assert!(lines.len() > 5 && lines.iter().all(|line| line.width <= 120.5));
        let whole: String = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(whole.replace(' ', ""), text.replace(' ', ""));
        let cut = fonts.wrap(&text, style, 120.0, 2);
        assert_eq!((cut.len(), cut[1].text.ends_with('…')), (2, true));
    }

    #[test]
    fn what_an_archive_refuses_is_replaced() {
        assert_eq!(clean("a\u{0}b\n\u{feff}\u{e001}c\u{202e}d\u{1fffe}"), "a b \u{fffd}\u{fffd}cd\u{fffd}");
    }
}
