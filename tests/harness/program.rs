//! Running our programs and reading what they say.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A built program of ours, beside this test in the target folder.
#[must_use]
pub fn program(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.is_file(), "{} is not built: run `cargo build --workspace --bins` first, as `cargo xtask test` does", path.display());
    let mut command = Command::new(path);
    command.env_remove("NEGAWATT_LOG");
    command
}

/// An address on this machine that was free a moment ago.
#[must_use]
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Runs the one binary to its end.
#[must_use]
pub fn negawatt(args: &[&str]) -> Output {
    program("negawatt").args(args).output().unwrap()
}

/// What it said on standard output.
#[must_use]
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What it said on standard error.
#[must_use]
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs the demo in a folder of its own and reads the object that it prints.
#[must_use]
pub fn demo(dir: &Path, more: &[&str]) -> serde_json::Value {
    let mut args = vec!["demo", "--output", "json", "--dir", dir.to_str().unwrap()];
    args.extend(more);
    let output = negawatt(&args);
    assert!(output.status.success(), "{:?}: {}", args, stderr(&output));
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 1, "one object and nothing else: {text}");
    serde_json::from_str(&text).unwrap()
}

/// The folder above the project, where a shared building may lie.
#[must_use]
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    path.is_dir().then_some(path)
}
