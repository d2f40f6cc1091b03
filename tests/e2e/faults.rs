//! No wrong value is accepted as good, whatever a bus does; and the matrix that says so finds wrong values where there are any.

use negawatt_tests::faults::{Reader, run};

#[test]
fn fifty_thousand_faulted_exchanges_bring_no_wrong_value() {
    let seed = 20_261_121;
    let report = run(Reader::Gateway, 50_000, seed);
    assert_eq!(report.whole.wrong, 0, "seed {seed}: {}", report.details());
    assert_eq!(report.whole.exchanges(), 50_000);
    assert!(report.whole.right > 35_000, "a reader that flags everything is right too, and of no use: {}", report.details());
    let faulted = report.whole.exchanges() - report.by_fault["none"].exchanges();
    assert!(faulted > 3_000 && report.by_fault.len() == 26, "{faulted} exchanges went wrong: {}", report.details());
    assert_eq!(report.by_bus.len(), 8);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(Reader::Gateway, 2_000, 7), run(Reader::Gateway, 2_000, 7));
    assert_ne!(run(Reader::Gateway, 2_000, 7), run(Reader::Gateway, 2_000, 8));
}

#[test]
fn a_client_that_trusts_what_comes_next_takes_wrong_values() {
    let report = run(Reader::Naive, 20_000, 7);
    assert!(report.whole.wrong > 100, "the matrix must be able to fail: {:?}", report.whole);
}
