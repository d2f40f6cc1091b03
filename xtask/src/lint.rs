//! Format, lints, documentation, licences: warnings are errors here, and only here.

use std::process::Command;

use crate::program::{Failure, cargo, run, say, works};

/// All of them; the first that fails ends it.
pub(crate) fn everything() -> Result<(), Failure> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // What is heavy in it is behind features.
    run(cargo().args(["clippy", "--package", "negawatt-sinks", "--all-features", "--all-targets", "--", "-D", "warnings"]))?;
    run(cargo().args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    if works(Command::new("cargo-deny").arg("--version")) {
        // Not advisories: their database is a download, which a test run does not make.
        run(cargo().args(["deny", "--all-features", "check", "bans", "licenses", "sources"]))
    } else {
        say("not run: cargo-deny (licences, bans, sources), because it is not installed: `cargo install cargo-deny`");
        Ok(())
    }
}
