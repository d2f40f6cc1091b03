//! Every test, and nothing skipped without a word.

use std::process::Command;

use crate::{
    prepare,
    program::{Failure, cargo, root, run, say, works},
};

/// Tests of acceptance that need data which is not part of the project: their filter, the data beside the clone, and what they prove.
const ACCEPTANCE: [(&str, &str, &str); 1] = [(
    "a_real_facility_with_a_retrofit_in_between",
    "../shared/real-facility",
    "three years of a real building, with a retrofit in between",
)];

/// Prepares, builds once, and runs every test of every crate.
pub(crate) fn everything() -> Result<(), Failure> {
    prepare::peers()?;
    // Tests start our programs by name, so these are built first; with the tests, as that settles one set of features for both.
    run(cargo().args(["build", "--workspace", "--bins", "--tests"]))?;
    let absent: Vec<_> = ACCEPTANCE.iter().filter(|(_, data, _)| !root().join(data).is_dir()).collect();
    let run_all = if has_nextest() {
        let mut command = cargo();
        command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
        if !absent.is_empty() {
            let names: Vec<String> = absent.iter().map(|(test, ..)| format!("test(/{test}$/)")).collect();
            command.args(["--filterset", &format!("not ({})", names.join(" | "))]);
        }
        command
    } else {
        say("cargo-nextest is not installed; using cargo test, which is slower");
        let mut command = cargo();
        command.args(["test", "--workspace", "--bins", "--lib", "--tests", "--examples", "--no-fail-fast", "--", "--test-threads", "2"]);
        for (test, ..) in &absent {
            command.args(["--skip", test]);
        }
        command
    };
    // Examples in the documentation first: the counts that end the output are those of the tests.
    let examples = run(cargo().args(["test", "--workspace", "--doc", "--no-fail-fast"]));
    let tests = run(&mut { run_all });
    // What is heavy in it is in no other program, and so behind features: built for its own tests alone.
    let sinks = run(&mut whole("negawatt-sinks"));
    for (test, data, proves) in absent {
        say(&format!("not run: {test} ({proves}), because {data} is not beside this clone"));
    }
    tests.and(sinks).and(examples)
}

/// All tests of a package, with all its features.
fn whole(package: &str) -> Command {
    let mut command = cargo();
    if has_nextest() {
        command.args(["nextest", "run", "--package", package, "--all-features", "--no-fail-fast"]);
    } else {
        command.args(["test", "--package", package, "--all-features", "--no-fail-fast", "--", "--test-threads", "2"]);
    }
    command
}

/// Prepares and runs the tests against programs of other people.
pub(crate) fn peers() -> Result<(), Failure> {
    prepare::peers()?;
    run(cargo().args(["build", "--package", "negawatt-gateway", "--bins"]))?;
    if has_nextest() {
        run(cargo().args(["nextest", "run", "--package", "negawatt-tests", "--test", "peers", "--no-fail-fast"]))
    } else {
        run(cargo().args(["test", "--package", "negawatt-tests", "--test", "peers", "--no-fail-fast", "--", "--test-threads", "2"]))
    }
}

fn has_nextest() -> bool {
    works(Command::new("cargo-nextest").args(["nextest", "--version"]))
}
