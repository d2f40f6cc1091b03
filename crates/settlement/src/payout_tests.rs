use std::collections::BTreeSet;

use money::Currency;
use proptest::prelude::*;

use super::*;

fn start() -> Payout {
    let amount = Money::new(500, Currency::Usd);
    Payout::pending(
        PayoutId::from_parts(1, [1; 10]),
        InvoiceId::from_parts(1, [2; 10]),
        PayeeId::from_parts(1, [3; 10]),
        PartyKind::Investor,
        amount,
    )
}

fn facts() -> Vec<Fact> {
    let mut facts = vec![Fact::Released, Fact::Retried, Fact::Withdrawn];
    for attempt in 1..=3 {
        facts.extend([Fact::Sent { attempt }, Fact::NoAnswer { attempt }, Fact::NotFound { attempt }, Fact::Refused { attempt }]);
    }
    for transfer in ["tr_1", "tr_2"] {
        facts.push(Fact::Confirmed { transfer: transfer.to_owned(), amount: Money::new(500, Currency::Usd) });
        facts.push(Fact::Reversed { transfer: transfer.to_owned() });
    }
    facts.push(Fact::Confirmed { transfer: "tr_1".to_owned(), amount: Money::new(501, Currency::Usd) });
    facts
}

proptest! {
    /// Whatever is said, in whatever order and however often: a payout is paid at most once, taken back at most once, and
    /// only after it was paid; and a fact that was just applied changes nothing more.
    #[test]
    fn no_trace_pays_twice(picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60)) {
        let facts = facts();
        let (mut payout, mut paid, mut reversed) = (start(), 0_u32, 0_u32);
        for pick in picks {
            let fact = pick.get(&facts);
            let Ok(Transition::Moved { to, post }) = payout.apply(fact) else { continue };
            prop_assert_eq!(to.apply(fact), Ok(Transition::Unchanged), "{:?} was applied twice", fact);
            match post {
                Some(Entry::Transfer) => paid += 1,
                Some(Entry::Reverse) => reversed += 1,
                None => {}
            }
            payout = to;
            prop_assert!(paid <= 1 && reversed <= paid);
            prop_assert_eq!(payout.transfer.is_some(), paid == 1);
            prop_assert_eq!(payout.state == PayoutState::Completed, paid == 1 && reversed == 0);
        }
    }
}

/// Every reachable payout, by exhaustion: from each of them money can still arrive or has ended for a stated reason.
#[test]
fn nothing_is_stranded() {
    let facts = facts();
    let key = |payout: &Payout| (payout.state, payout.attempt, payout.transfer.clone());
    let reach = |from: Payout| {
        let (mut seen, mut open) = (BTreeSet::from([key(&from)]), vec![from]);
        while let Some(payout) = open.pop() {
            for fact in &facts {
                if let Ok(Transition::Moved { to, .. }) = payout.apply(fact)
                    && to.attempt <= 3
                    && seen.insert(key(&to))
                {
                    open.push(to);
                }
            }
        }
        seen
    };
    let all = reach(start());
    assert_eq!(all.iter().map(|(state, _, _)| *state).collect::<BTreeSet<_>>(), PayoutState::ALL.into_iter().collect());
    for (state, attempt, transfer) in all {
        let payout = Payout { state, attempt, transfer, ..start() };
        if state != PayoutState::Cancelled && attempt < 3 {
            assert!(reach(payout).iter().any(|(state, _, _)| *state == PayoutState::Completed), "{state} {attempt} is a dead end");
        }
    }
}

fn after(facts: &[Fact]) -> Payout {
    facts.iter().fold(start(), |payout, fact| match payout.apply(fact).unwrap() {
        Transition::Unchanged => payout,
        Transition::Moved { to, .. } => to,
    })
}

#[test]
fn silence_is_not_a_refusal() {
    let unknown = after(&[Fact::Released, Fact::Sent { attempt: 1 }, Fact::NoAnswer { attempt: 1 }]);
    assert_eq!(unknown.state, PayoutState::Unknown);
    assert_eq!(unknown.apply(&Fact::Retried), Ok(Transition::Unchanged));
    assert!(unknown.apply(&Fact::Withdrawn).is_err());
    let Ok(Transition::Moved { to, .. }) = unknown.apply(&Fact::NotFound { attempt: 1 }) else { panic!("moved") };
    assert_eq!((to.state, to.attempt), (PayoutState::Ready, 1), "the same attempt, hence the same key");
}

#[test]
fn late_news_of_an_old_attempt_changes_nothing() {
    let second =
        after(&[Fact::Released, Fact::Sent { attempt: 1 }, Fact::Refused { attempt: 1 }, Fact::Retried, Fact::Sent { attempt: 2 }]);
    assert_eq!((second.state, second.attempt), (PayoutState::Processing, 2));
    for late in [Fact::Refused { attempt: 1 }, Fact::NoAnswer { attempt: 1 }, Fact::Sent { attempt: 1 }] {
        assert_eq!(second.apply(&late), Ok(Transition::Unchanged));
    }
}

#[test]
fn a_contradiction_says_what_it_is() {
    let done = after(&[Fact::Released, Fact::Sent { attempt: 1 }, Fact::Confirmed { transfer: "tr_1".to_owned(), amount: start().amount }]);
    let other = Fact::Confirmed { transfer: "tr_2".to_owned(), amount: start().amount };
    assert!(done.apply(&other).unwrap_err().to_string().ends_with("was transferred as tr_1, and now as tr_2 too"));
    let wrong = Fact::Confirmed { transfer: "tr_1".to_owned(), amount: Money::new(501, Currency::Usd) };
    assert!(done.apply(&wrong).unwrap_err().to_string().ends_with("is 5.00 USD, but transfer tr_1 moved 5.01 USD"));
    assert!(start().apply(&other).unwrap_err().to_string().contains("is pending, attempt 1"));
}

/// Every fact in every state: `-` changes nothing, `!` cannot be, `+T` and `+R` post a transfer and its way back.
#[test]
fn every_fact_in_every_state_is_as_it_was_agreed() {
    let amount = start().amount;
    let facts = [
        ("released", Fact::Released),
        ("sent", Fact::Sent { attempt: 2 }),
        ("no answer", Fact::NoAnswer { attempt: 2 }),
        ("confirmed", Fact::Confirmed { transfer: "tr_1".to_owned(), amount }),
        ("not found", Fact::NotFound { attempt: 2 }),
        ("refused", Fact::Refused { attempt: 2 }),
        ("retried", Fact::Retried),
        ("reversed", Fact::Reversed { transfer: "tr_1".to_owned() }),
        ("withdrawn", Fact::Withdrawn),
        ("refused earlier", Fact::Refused { attempt: 1 }),
        ("refused later", Fact::Refused { attempt: 3 }),
    ];
    let cell = |fact: &Fact, state| {
        let transfer = (state == PayoutState::Completed).then(|| "tr_1".to_owned());
        match (Payout { state, attempt: 2, transfer, ..start() }).apply(fact) {
            Ok(Transition::Unchanged) => "-".to_owned(),
            Ok(Transition::Moved { to, post }) => {
                let post = match post {
                    Some(Entry::Transfer) => "+T",
                    Some(Entry::Reverse) => "+R",
                    None => "",
                };
                let attempt = if to.attempt == 2 { String::new() } else { format!("#{}", to.attempt) };
                format!("{}{attempt}{post}", to.state)
            }
            Err(_) => "!".to_owned(),
        }
    };
    let rows = facts.iter().map(|(name, fact)| format!("{name}: {}", PayoutState::ALL.map(|state| cell(fact, state)).join(" ")));
    assert_eq!(
        rows.collect::<Vec<_>>(),
        [
            // pending ready processing unknown completed failed cancelled
            "released: ready - - - - - -",
            "sent: ! processing - - - - -",
            "no answer: ! - unknown - - - -",
            "confirmed: ! ! completed+T completed+T - ! !",
            "not found: - - ready ready ! - -",
            "refused: ! ! failed failed ! - -",
            "retried: - - - - - ready#3 -",
            "reversed: ! ! ! ! cancelled+R ! !",
            "withdrawn: cancelled cancelled ! ! ! cancelled -",
            "refused earlier: - - - - - - -",
            "refused later: ! ! ! ! ! ! !",
        ]
    );
}
