//! `negawatt deadletters`: what could not be read, and reading it again.

use clap::Subcommand;
use daemon::{Clock, ExitCode, SystemClock};
use store::{DeadLetter, OpenError, Options, Reader, Store};

use super::{Common, Output, fail, json, say};
use crate::config::Config;
use crate::letters::{self, Listed, Replayed, Shown};
use crate::serve;

/// What could not be read when it came: looks at it, and reads it again.
#[derive(Clone, Debug, clap::Args)]
pub struct DeadLetters {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// The newest thousand, newest first; beside a collector that runs, too.
    List {
        /// Only those of this reason.
        #[arg(long)]
        reason: Option<String>,
    },
    /// One of them, whole.
    Show { id: String },
    /// Reads them again as the configuration is now, and stores what can be used. No collector may have the store open.
    Replay {
        #[arg(required_unless_present_any = ["reason", "all"])]
        id: Option<String>,
        /// All of this reason.
        #[arg(long, conflicts_with = "id")]
        reason: Option<String>,
        /// All of them.
        #[arg(long, conflicts_with_all = ["id", "reason"])]
        all: bool,
    },
}

/// Does what the command line asks.
pub fn run(args: &DeadLetters) -> ExitCode {
    let config = match args.common.configured() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let letters = match Reader::open(&config.store) {
        Ok(reader) => reader.dead_letters(),
        Err(err) => return fail(&format!("error: {}", daemon::chain(&err)), serve::exit_code_of(&err)),
    };
    match &args.verb {
        Verb::List { reason } => list(&of_reason(letters, reason.as_deref()), args.common.output),
        Verb::Show { id } => match one(letters, id) {
            Some(letter) => show(&letter, args.common.output),
            None => absent(id),
        },
        Verb::Replay { id: Some(id), .. } => match one(letters, id) {
            Some(letter) => replay(&config, &[letter], args.common.output),
            None => absent(id),
        },
        Verb::Replay { reason, .. } => {
            let mut letters = of_reason(letters, reason.as_deref());
            letters.reverse();
            replay(&config, &letters, args.common.output)
        }
    }
}

fn of_reason(letters: Vec<DeadLetter>, reason: Option<&str>) -> Vec<DeadLetter> {
    letters.into_iter().filter(|letter| reason.is_none_or(|reason| reason == letter.reason)).collect()
}

fn one(letters: Vec<DeadLetter>, id: &str) -> Option<DeadLetter> {
    letters.into_iter().find(|letter| letters::id(letter) == id)
}

fn absent(id: &str) -> ExitCode {
    fail(&format!("error: there is no dead letter `{id}`\nhelp: `negawatt deadletters list` shows those there are"), ExitCode::Usage)
}

fn list(letters: &[DeadLetter], output: Output) -> ExitCode {
    let listed: Vec<Listed> = letters.iter().map(Listed::of).collect();
    if output == Output::Json {
        return json(&listed);
    }
    let line = |letter: &Listed| {
        let Listed { id, reason, topic, points, received, excerpt, .. } = letter;
        format!("{id}  {received}  {reason:<14}{points:>8} points  {topic}  {excerpt}")
    };
    let lines: Vec<String> = listed.iter().map(line).collect();
    if lines.is_empty() { say("no dead letters") } else { say(&lines.join("\n")) }
}

fn show(letter: &DeadLetter, output: Output) -> ExitCode {
    let shown = Shown::of(letter);
    if output == Output::Json {
        return json(&shown);
    }
    let Shown { listed: Listed { id, reason, topic, points, received, .. }, text, hex } = shown;
    let payload = text.unwrap_or(hex);
    say(&format!("id        {id}\nreceived  {received}\ntopic     {topic}\nreason    {reason}\npoints    {points}\n\n{payload}"))
}

fn replay(config: &Config, letters: &[DeadLetter], output: Output) -> ExitCode {
    let store = match Store::open(&config.store, Options::default()) {
        Ok(store) => store,
        Err(err) => {
            let help = match err {
                OpenError::InUse { .. } => "\nhelp: while a collector runs, ask it: POST /v1/dead-letters/ID/replay",
                _ => "",
            };
            return fail(&format!("error: {}{help}", daemon::chain(&err)), serve::exit_code_of(&err));
        }
    };
    let now = SystemClock.now();
    let mut replayed = Vec::with_capacity(letters.len());
    for letter in letters {
        match letters::replay(&store, config, letter, now) {
            Ok(done) => replayed.push(done),
            Err(err) => return fail(&format!("error: {}", daemon::chain(&err)), ExitCode::TryAgain),
        }
    }
    if let Err(err) = store.flush() {
        return fail(&format!("error: {}", daemon::chain(&err)), ExitCode::TryAgain);
    }
    let code = if replayed.iter().all(|done| done.refused.is_empty()) { ExitCode::Ok } else { ExitCode::DataRefused };
    let said = if output == Output::Json { json(&replayed) } else { say(&summary(&replayed)) };
    if matches!(said, ExitCode::Ok) { code } else { said }
}

fn summary(replayed: &[Replayed]) -> String {
    let line = |done: &Replayed| {
        let Replayed { id, accepted, duplicate, conflict, refused } = done;
        let refused: Vec<String> = refused.iter().map(|(reason, points)| format!("{points} refused ({reason})")).collect();
        let refused = if refused.is_empty() { "nothing refused".to_owned() } else { refused.join(", ") };
        format!("{id}  {accepted} accepted ({conflict} contradict a stored value), {duplicate} known before, {refused}")
    };
    if replayed.is_empty() { "no dead letters".to_owned() } else { replayed.iter().map(line).collect::<Vec<_>>().join("\n") }
}
