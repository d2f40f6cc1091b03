use jiff::civil::date;

use super::*;

fn hash(digit: char) -> String {
    std::iter::repeat_n(digit, 64).collect()
}

fn signed(party: Party) -> Signature {
    Signature { party, signer: "somebody".to_owned(), over: hash('d'), signed_on: date(2025, 5, 1) }
}

pub(in crate::events) fn entry(name: &str) -> Adjustment {
    Adjustment {
        name: name.to_owned(),
        cause: "120 lamps added in hall 3".to_owned(),
        first: date(2025, 4, 11),
        end: None,
        method: Method::SubMeter,
        why_not_better: None,
        moves: Moves::Base,
        wh_per_day: 50_000,
        error_wh_per_day: 3_000,
        evidence: vec![hash('a')],
        digest: hash('d'),
        signatures: vec![signed(Party::Provider), signed(Party::Facility)],
    }
}

fn april() -> Period {
    Period::new(date(2025, 4, 1), date(2025, 5, 1)).unwrap()
}

#[test]
fn each_missing_thing_is_named() {
    let refused = |change: &dyn Fn(&mut Adjustment)| {
        let mut entry = entry("lamps");
        change(&mut entry);
        let mut ledger = Ledger::default();
        let error = ledger.agree(entry).unwrap_err().to_string();
        assert_eq!(ledger, Ledger::default());
        error
    };
    assert_eq!(refused(&|entry| entry.cause = " ".to_owned()), "adjustment `lamps` does not say why; name the cause");
    assert!(refused(&|entry| entry.evidence.clear()).ends_with("found `nothing`"));
    assert!(refused(&|entry| entry.evidence.push("ABC".to_owned())).ends_with("found `ABC`"));
    assert!(refused(&|entry| entry.digest = hash('D')).contains("64 hexadecimal digits"));
    assert!(refused(&|entry| entry.method = Method::EngineeringEstimate).ends_with("say why no better method was open"));
    assert!(refused(&|entry| entry.end = Some(date(2025, 4, 11))).contains("is not after its first day"));
    assert!(refused(&|entry| entry.error_wh_per_day = -1).ends_with("that cannot be"));
    for (index, party) in [(1, "Facility"), (0, "Provider")] {
        assert!(refused(&|entry| drop(entry.signatures.remove(index))).contains(party));
        assert!(refused(&|entry| entry.signatures[index].over = hash('e')).contains(party), "a signature over something else");
    }
    let mut ledger = Ledger::default();
    ledger.agree(entry("lamps")).unwrap();
    assert!(ledger.agree(entry("lamps")).unwrap_err().to_string().contains("in the ledger already"));
}

#[test]
fn a_period_is_adjusted_by_the_days_it_has_of_each() {
    let mut ledger = Ledger::default();
    ledger.agree(entry("lamps")).unwrap();
    let fewer = Adjustment {
        wh_per_day: -20_000,
        error_wh_per_day: 4_000,
        first: date(2025, 3, 1),
        end: Some(date(2025, 4, 6)),
        ..entry("a pump stood still")
    };
    ledger.agree(fewer).unwrap();
    // Twenty days of lamps, five of the pump.
    let (total, error) = ledger.total(april());
    assert_eq!(total, 20 * 50_000 - 5 * 20_000);
    assert!((error - f64::hypot(60_000.0, 20_000.0)).abs() < 1e-6);
    // What cancels does not count less: 1.1 MWh of 2.2.
    assert_eq!(ledger.standing(april(), 2_200_000), Standing::Stands { share: 0.5 });
    assert!(matches!(ledger.standing(april(), 2_199_999), Standing::Rebaseline { share: Some(_) }));
    assert_eq!(ledger.standing(april(), -1), Standing::Rebaseline { share: None });
    let february = Period::new(date(2025, 2, 1), date(2025, 3, 1)).unwrap();
    assert_eq!((ledger.total(february).0, ledger.standing(february, 1)), (0, Standing::Stands { share: 0.0 }));
}

#[test]
fn days_can_be_left_out_but_not_with_an_amount() {
    let outage = Adjustment {
        method: Method::ExcludedDays,
        why_not_better: Some("nothing measured the fire brigade".to_owned()),
        wh_per_day: 0,
        error_wh_per_day: 0,
        end: Some(date(2025, 4, 13)),
        ..entry("fire")
    };
    let mut ledger = Ledger::default();
    assert!(ledger.agree(Adjustment { wh_per_day: 1, ..outage.clone() }).is_err());
    ledger.agree(outage).unwrap();
    let left_out: Vec<bool> = [10, 11, 12, 13].map(|day| ledger.excludes(date(2025, 4, day))).to_vec();
    assert_eq!(left_out, [false, true, true, false]);
}

#[test]
fn a_ledger_from_json_is_checked_again() {
    let mut ledger = Ledger::default();
    ledger.agree(entry("lamps")).unwrap();
    let text = serde_json::to_string(&ledger).unwrap();
    assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
    assert!(serde_json::from_str::<Ledger>(&text.replace("lamps added", "lamps removed")).is_ok(), "the caller checks the digest");
    assert!(serde_json::from_str::<Ledger>(&text.replace("\"provider\"", "\"facility\"")).is_err());
}
