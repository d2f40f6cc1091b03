//! `live`: a device on the screen while somebody works on it.
//!
//! Eighty columns and sixteen colours do, so it works through any terminal; `--plain` prints lines instead, for screen readers and
//! for pipes. Colour never carries meaning alone.

mod screen;

use std::{io::IsTerminal as _, time::Duration};

use config::DurationText;
use daemon::ExitCode;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::time::Instant;

use self::screen::{Screen, plain};
use super::{complain, profile::Target, say};
use crate::setup::Watched;

/// How often keys are looked at.
const KEYS: Duration = Duration::from_millis(50);

/// Which device, and how it is shown.
#[derive(Debug, clap::Args)]
pub(super) struct LiveArgs {
    #[command(flatten)]
    target: Target,
    /// Time between two readings
    #[arg(long, value_name = "TIME", default_value = "2s")]
    every: DurationText,
    /// Print lines instead of a screen
    #[arg(long)]
    plain: bool,
    /// Stop after so many readings
    #[arg(long, value_name = "COUNT")]
    count: Option<u32>,
}

pub(super) async fn run(args: LiveArgs) -> ExitCode {
    let (endpoint, unit, profile) = match args.target.resolve().await {
        Ok(target) => target,
        Err(code) => return code,
    };
    let watched = match Watched::new(&endpoint, unit, &profile) {
        Ok(watched) => watched,
        Err(err) => return complain(&format!("error: {err}"), ExitCode::Bug),
    };
    let every = args.every.duration().max(Duration::from_millis(200));
    let title = format!("{} unit {unit} at {endpoint}", profile.id());
    if args.plain || !std::io::stdout().is_terminal() {
        lines(watched, &title, every, args.count).await
    } else {
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        screen(watched, Screen::new(title, colour), every, args.count).await
    }
}

async fn lines(mut watched: Watched, title: &str, every: Duration, count: Option<u32>) -> ExitCode {
    let mut answered = false;
    for turn in 1.. {
        let begun = Instant::now();
        let view = watched.look().await;
        answered |= view.age.is_some();
        if let Err(code) = say(&plain(title, &view)) {
            return code;
        }
        if Some(turn) == count {
            break;
        }
        tokio::time::sleep_until(begun + every).await;
    }
    if answered { ExitCode::Ok } else { ExitCode::DependencyDown }
}

async fn screen(mut watched: Watched, mut screen: Screen, every: Duration, count: Option<u32>) -> ExitCode {
    let mut terminal = match ratatui::try_init() {
        Ok(terminal) => terminal,
        Err(err) => {
            return complain(&format!("error: this terminal cannot be drawn on: {err}\nhelp: use --plain"), ExitCode::DependencyDown);
        }
    };
    let mut code = ExitCode::Ok;
    'readings: for turn in 1.. {
        let due = Instant::now() + every;
        if !screen.paused {
            screen.view = Some(watched.look().await);
        }
        loop {
            if let Err(err) = terminal.draw(|frame| screen.draw(frame)) {
                tracing::error!(error = %err, "the screen could not be drawn");
                code = ExitCode::DependencyDown;
                break 'readings;
            }
            match key() {
                Ok(Some(key)) if screen.press(key) => {}
                Ok(Some(_)) => break 'readings,
                Ok(None) => {}
                Err(err) => {
                    tracing::error!(error = %err, "the keyboard could not be read");
                    code = ExitCode::DependencyDown;
                    break 'readings;
                }
            }
            if Instant::now() >= due {
                break;
            }
            tokio::time::sleep(KEYS).await;
        }
        if Some(turn) == count {
            break;
        }
    }
    ratatui::restore();
    code
}

/// The key that was pressed, if one was; Ctrl-C is q.
fn key() -> std::io::Result<Option<KeyCode>> {
    if !event::poll(Duration::ZERO)? {
        return Ok(None);
    }
    Ok(match event::read()? {
        Event::Key(key) if key.kind == KeyEventKind::Press => {
            let is_break = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            Some(if is_break { KeyCode::Char('q') } else { key.code })
        }
        _ => None,
    })
}
