//! What was received stays, what is undone is as before, energy is conserved.

use super::*;

/// Something that is asked for.
#[derive(Clone, Debug)]
enum Step {
    Set(i64, i64),
    Withdraw(i64, i64),
    Estimate(i64, i64),
    Late(i64),
    Undo,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_i64..240, 0_i64..1_000_000).prop_map(|(minute, value)| Step::Set(minute, value)),
        (0_i64..240, 1_i64..30).prop_map(|(from, length)| Step::Withdraw(from, from + length)),
        (0_i64..240, 1_i64..200).prop_map(|(from, length)| Step::Estimate(from, from + length)),
        (0_i64..240).prop_map(Step::Late),
        Just(Step::Undo),
        Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    /// Whatever is changed, undone and sent late: what was received is there bit for bit, the chain of the audit log is
    /// whole, and everything undone from the last to the first is as it was.
    #[test]
    fn what_was_received_stays_and_what_is_undone_is_as_before(missing in prop::collection::btree_set(1_i64..239, 0..60), steps in prop::collection::vec(step(), 1..14)) {
        let mut house = House::new(VeeConfig::default());
        let readings: Vec<(i64, i64)> = (0..240).filter(|minute| !missing.contains(minute)).map(|minute| (minute, minute * 13)).collect();
        house.meter("main", &readings);
        let mut received = house.received();
        // What was seen before each change that still stands.
        let mut stack: Vec<(i64, Vec<_>)> = Vec::new();
        for step in steps {
            let before = house.view();
            let point = "e_imp".to_owned();
            let made = match step {
                Step::Set(minute, value) => house.ask(Ask::Set { device: slug("main"), point, at: at(minute), value: format!("{}.{:02}", value / 100, value % 100) }),
                Step::Withdraw(from, to) => house.ask(Ask::Withdraw { device: slug("main"), point, from: at(from), to: at(to) }),
                Step::Estimate(from, to) => house.ask(Ask::Estimate { device: None, point: None, from: at(from), to: at(to), dry_run: false }),
                Step::Undo if stack.is_empty() => continue,
                Step::Undo => {
                    let (id, was) = stack.pop().unwrap();
                    house.ask(Ask::Undo { id }).unwrap();
                    prop_assert!(house.view() == was, "change {} is not undone", id);
                    let again = house.ask(Ask::Undo { id }).unwrap_err();
                    prop_assert!(matches!(again, DeskError::Change(ChangeError::Undone { .. })), "{}", again);
                    continue;
                }
                Step::Late(minute) => {
                    // A meter has the last word: what came before it is not compared any more.
                    house.meter("main", &[(minute, minute * 13)]);
                    received = house.received();
                    stack.clear();
                    continue;
                }
                Step::Restart => {
                    house.desk().store.flush().unwrap();
                    house.restart();
                    continue;
                }
            };
            // Of several changes of one request, the views between them are not seen here: they are undone together.
            if let Ok(made) = made {
                match made.changes.as_slice() {
                    [] => {}
                    [one] => stack.push((one.id, before)),
                    _ => stack.clear(),
                }
            }
            prop_assert!(house.received() == received, "what was received has changed");
        }
        while let Some((id, was)) = stack.pop() {
            house.ask(Ask::Undo { id }).unwrap();
            prop_assert!(house.view() == was, "change {} is not undone", id);
        }
        prop_assert!(house.received() == received, "what was received has changed");
        prop_assert_eq!(store::broken_at(house.reader().audit()), None);
    }

    /// Estimates fill every gap that has an end, and the counter says what it said.
    #[test]
    fn what_is_estimated_in_the_store_conserves_energy(missing in prop::collection::btree_set(1_i64..239, 1..120)) {
        let mut house = House::new(VeeConfig::default());
        let counter = |minute: i64| minute * 13 + (minute / 60) * 50;
        let readings: Vec<(i64, i64)> = (0..240).filter(|minute| !missing.contains(minute)).map(|minute| (minute, counter(minute))).collect();
        house.meter("main", &readings);
        let made = house.ask(Ask::Estimate { device: None, point: Some("e_imp".to_owned()), from: at(0), to: at(240), dry_run: false }).unwrap();
        prop_assert_eq!(made.changes.iter().map(|change| change.readings).sum::<usize>(), missing.len());
        let samples = house.reader().scan(SeriesId(1), i64::MIN..i64::MAX).unwrap();
        let values: Vec<i64> = samples.iter().map(|sample| sample.raw.unwrap()).collect();
        prop_assert_eq!(values.len(), 240);
        let rises: i64 = values.windows(2).map(|pair| { assert!(pair[1] >= pair[0]); pair[1] - pair[0] }).sum();
        prop_assert_eq!(rises, counter(239));
        let estimated: BTreeSet<i64> = samples.iter().filter(|sample| sample.quality.has(Reason::Estimated)).map(|sample| (sample.ts_ms - START) / MINUTE).collect();
        prop_assert_eq!(estimated, missing);
        let actors: BTreeSet<String> = house.reader().audit().iter().map(|entry| entry.account.actor.clone()).collect();
        prop_assert_eq!(actors, BTreeSet::from(["vee:linear/1 for anna".to_owned()]));
    }
}
