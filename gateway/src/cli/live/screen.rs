//! What is drawn, apart from where.

use ratatui::{
    Frame,
    crossterm::event::KeyCode,
    layout::{Constraint, Layout},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Paragraph},
};

use crate::setup::{LiveView, State};

/// The screen and what was pressed on it.
#[derive(Debug)]
pub(super) struct Screen {
    title: String,
    colour: bool,
    pub(super) paused: bool,
    first_row: usize,
    pub(super) view: Option<LiveView>,
}

impl Screen {
    pub(super) fn new(title: String, colour: bool) -> Self {
        Self { title, colour, paused: false, first_row: 0, view: None }
    }

    /// Does what a key asks for; `false` ends it.
    pub(super) fn press(&mut self, key: KeyCode) -> bool {
        let rows = self.view.as_ref().map_or(0, |view| view.rows.len());
        match key {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Down | KeyCode::Char('j') => self.first_row = (self.first_row + 1).min(rows.saturating_sub(1)),
            KeyCode::Up | KeyCode::Char('k') => self.first_row = self.first_row.saturating_sub(1),
            KeyCode::PageDown => self.first_row = (self.first_row + 10).min(rows.saturating_sub(1)),
            KeyCode::PageUp => self.first_row = self.first_row.saturating_sub(10),
            _ => {}
        }
        true
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let areas = Layout::vertical([Constraint::Length(2), Constraint::Min(3), Constraint::Length(2)]).split(frame.area());
        let [head, body, foot] = areas[..] else { return };
        let Some(view) = &self.view else {
            frame.render_widget(Paragraph::new(format!("{}\nreading ...", self.title)), head);
            return;
        };
        let mut lamps = Vec::new();
        for (name, state) in &view.lamps {
            lamps.push(Span::styled(format!(" {name} {} ", state.word()), self.style(*state)));
            lamps.push(Span::raw(" "));
        }
        let title = Line::styled(self.title.clone(), Style::new().add_modifier(Modifier::BOLD));
        frame.render_widget(Paragraph::new(vec![title, Line::from(lamps)]), head);

        let room = usize::from(body.height.saturating_sub(2));
        let rows = view.rows.iter().skip(self.first_row).take(room).map(|row| {
            let value = row.value.as_deref().unwrap_or("-");
            Line::raw(format!("{:<12} {value:>14} {:<5}  {}", row.point, row.unit, row.words))
        });
        let last = (self.first_row + room).min(view.rows.len());
        let shown = format!(" points {}-{last} of {} ", (self.first_row + 1).min(view.rows.len()), view.rows.len());
        frame.render_widget(Paragraph::new(rows.collect::<Vec<_>>()).block(Block::bordered().title(shown)), body);

        let keys = if self.paused { "q end  p go on  up/down move   PAUSED" } else { "q end  p pause  up/down move" };
        let status = match &view.trouble {
            Some(trouble) => Line::styled(trouble.clone(), self.style(State::Red)),
            None => Line::raw(status(view)),
        };
        frame.render_widget(Paragraph::new(vec![status, Line::raw(keys)]), foot);
    }

    fn style(&self, state: State) -> Style {
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        let colour = match state {
            State::Grey => return Style::new(),
            State::Green => Color::Green,
            State::Amber => Color::Yellow,
            State::Red => Color::Red,
        };
        match (self.colour, state) {
            (true, _) => reversed.fg(colour),
            (false, State::Red) => reversed,
            (false, _) => Style::new(),
        }
    }
}

fn status(view: &LiveView) -> String {
    let age = view.age.map_or_else(|| "nothing read yet".to_owned(), |age| format!("{:.1} s old", age.as_secs_f64()));
    format!("{} readings, {} failed, {age}", view.reads, view.failures)
}

/// The same as lines of text.
pub(super) fn plain(title: &str, view: &LiveView) -> String {
    let lamps: Vec<String> = view.lamps.iter().map(|(name, state)| format!("{name} {}", state.word())).collect();
    let mut lines = vec![title.to_owned(), lamps.join(", ")];
    lines.extend(view.rows.iter().map(|row| {
        let value = row.value.as_deref().unwrap_or("no value");
        format!("{} {value} {}", row.point, row.unit).trim_end().to_owned()
    }));
    lines.push(view.trouble.clone().unwrap_or_else(|| status(view)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::setup::LiveRow;

    fn view() -> LiveView {
        let row = |point: &str, value: Option<&str>, unit, words: &str| LiveRow {
            point: point.to_owned(),
            value: value.map(str::to_owned),
            unit,
            words: words.to_owned(),
        };
        let mut rows = vec![
            row("v1", Some("230.10"), "V", "4366199a"),
            row("p2", Some("-1234.5"), "W", "c49a5000"),
            row("pf", None, "", "7fc00000"),
            row("e_imp", Some("12345.678"), "kWh", "4640e6b6"),
        ];
        rows.extend((0..30).map(|number| row(&format!("x{number}"), Some("0"), "", "0000")));
        LiveView {
            rows,
            lamps: vec![("V", State::Green), ("Hz", State::Green), ("PF", State::Grey), ("sum P", State::Amber), ("direction", State::Red)],
            reads: 12,
            failures: 1,
            age: Some(Duration::from_millis(400)),
            trouble: None,
        }
    }

    fn drawn(screen: &Screen) -> Terminal<TestBackend> {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal
    }

    #[test]
    fn eighty_by_twenty_four_shows_it_all() {
        let mut screen = Screen::new("eastron-sdm630 unit 1 at tcp://192.168.1.20:502".to_owned(), true);
        screen.view = Some(view());
        insta::assert_snapshot!("screen", drawn(&screen).backend());
        for _ in 0..3 {
            assert!(screen.press(KeyCode::Down));
        }
        assert!(screen.press(KeyCode::Char('p')) && screen.paused);
        screen.view = Some(LiveView { trouble: Some("unit 1 gave no answer within 500 ms".to_owned()), ..view() });
        insta::assert_snapshot!("screen_moved_and_in_trouble", drawn(&screen).backend());
        assert!(!screen.press(KeyCode::Esc) && !screen.press(KeyCode::Char('q')));
    }

    #[test]
    fn only_sixteen_colours_are_used_and_none_where_none_are_wanted() {
        let colours = |colour| {
            let mut screen = Screen::new("meter".to_owned(), colour);
            screen.view = Some(view());
            let terminal = drawn(&screen);
            let cells = terminal.backend().buffer().content().iter();
            cells.map(|cell| cell.fg).filter(|colour| *colour != Color::Reset).collect::<std::collections::HashSet<_>>()
        };
        assert_eq!(colours(true), [Color::Green, Color::Yellow, Color::Red].into());
        assert_eq!(colours(false), [].into());
    }

    #[test]
    fn plain_lines_say_the_same() {
        let short = LiveView { rows: view().rows[..4].to_vec(), ..view() };
        insta::assert_snapshot!(plain("meter", &short), @r"
        meter
        V ok, Hz ok, PF -, sum P look, direction WRONG
        v1 230.10 V
        p2 -1234.5 W
        pf no value
        e_imp 12345.678 kWh
        12 readings, 1 failed, 0.4 s old
        ");
    }
}
