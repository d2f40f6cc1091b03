//! The small binary as its users meet it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod life;
mod mistakes;
mod sunspec;
mod technician;

use std::{
    ffi::OsStr,
    process::{Command, Output},
};

use serde_json::Value;

fn program<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_negawatt-gateway"));
    command.args(args).env_remove("NEGAWATT_LOG").env("NO_COLOR", "1");
    command
}

/// Runs it to its end; meters of this process go on answering meanwhile.
async fn output<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Output {
    let mut command = program(args);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|err| panic!("{err}: {}{}", text(&output.stdout), text(&output.stderr)))
}
