use calculator::events::{Adjustment, Method, Moves, Party, Signature};
use jiff::civil::date;

use crate::canonical::{canonical_json, sha256_hex};
use crate::error::DeriveError;
use crate::{Bundle, adjustment_digest, derive, encode, fixture};

/// 600 lamps more from the second day on, agreed upon by both parties.
fn lamps(wh_per_day: i64) -> Adjustment {
    let mut lamps = Adjustment {
        name: "lamps".to_owned(),
        cause: "a third row of lamps".to_owned(),
        first: date(2026, 1, 2),
        end: None,
        method: Method::SubMeter,
        why_not_better: None,
        moves: Moves::Base,
        wh_per_day,
        error_wh_per_day: 500,
        evidence: vec![sha256_hex(b"the reading of the sub-meter")],
        digest: String::new(),
        signatures: Vec::new(),
    };
    lamps.digest = adjustment_digest(&lamps).unwrap();
    lamps.signatures = [Party::Facility, Party::Provider]
        .map(|party| Signature { party, signer: "somebody".to_owned(), over: lamps.digest.clone(), signed_on: date(2026, 1, 20) })
        .to_vec();
    lamps
}

#[test]
fn adjustments_are_billed_as_they_were_signed() {
    let mut inputs = fixture::inputs(31, 60);
    let before = derive(&inputs).unwrap();
    inputs.reporting.adjustments.agree(lamps(10_000)).unwrap();
    let after = derive(&inputs).unwrap();
    assert_eq!(after.avoided, before.avoided, "the model knows nothing of lamps");
    let (then, now) = (before.statement.savings(), after.statement.savings());
    assert_eq!(now.adjustments_wh.as_wh(), 30 * 10_000);
    assert_eq!(now.avoided_wh.as_wh(), then.avoided_wh.as_wh() + 300_000);
    assert!(now.uncertainty_wh > then.uncertainty_wh && after.invoice.total().minor > before.invoice.total().minor);
    assert_eq!(after.invoice.lines().iter().filter_map(|line| line.energy_wh).sum::<i64>(), now.avoided_wh.as_wh());
    let text = |derived: &crate::Derived| String::from_utf8(canonical_json(&derived.statement).unwrap()).unwrap();
    assert!(text(&after).contains(r#""adjustments_wh":300000"#) && !text(&before).contains("adjustments"));

    // The bundle holds them, and reads them back.
    let bytes = encode(&inputs, &after).unwrap();
    #[cfg(feature = "audit")]
    {
        let verified = crate::audit_bytes(bytes.clone()).unwrap();
        assert_eq!((verified.adjustments_wh, verified.avoided_energy_wh), (300_000, now.avoided_wh.as_wh()));
        assert_eq!(verified.adjustments[0].signers, ["somebody", "somebody"]);
        assert!(verified.to_string().contains("adjusted for lamps: 10000 Wh a day, signed by somebody and somebody"), "{verified}");
    }
    assert_eq!(Bundle::decode(bytes).unwrap().inputs().unwrap().reporting.adjustments, inputs.reporting.adjustments);

    let mut forged = fixture::inputs(31, 60);
    let more = Adjustment { wh_per_day: 20_000, ..lamps(10_000) };
    forged.reporting.adjustments.agree(more).unwrap();
    let refused = derive(&forged).unwrap_err();
    assert!(matches!(&refused, DeriveError::Adjustment { name, .. } if name == "lamps"), "{refused}");
}

#[test]
fn a_baseline_of_which_half_was_adjusted_gives_no_invoice() {
    let mut inputs = fixture::inputs(31, 60);
    inputs.reporting.adjustments.agree(lamps(5_000_000)).unwrap();
    assert!(matches!(derive(&inputs), Err(DeriveError::Rebaseline)));
}
