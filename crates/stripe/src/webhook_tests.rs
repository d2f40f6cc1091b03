//! Golden signatures (computed with an independent HMAC implementation) and every way to be refused.

use proptest::prelude::*;

use super::*;

const BODY: &[u8] = br#"{"id":"evt_1","object":"event","type":"transfer.created","created":1795000000,"livemode":false,"data":{"object":{"id":"tr_1","object":"transfer"}}}"#;
const GOLDEN: &str = "88b8867f75584a612224221eb3c3e64198222780a72b8680532851f05ff7d567";
const ROLLED: &str = "ece1e12f08aebca9a044becd73c23f1e768986a0f26c43d580c6d3a5879c75ae";
const TIME_S: i64 = 1_795_000_000;

fn secrets() -> Vec<WebhookSecret> {
    vec![WebhookSecret::new("whsec_new"), WebhookSecret::new("whsec_golden")]
}

fn check(header: &str) -> Result<Event, WebhookError> {
    verify(BODY, header, &secrets(), TIME_S)
}

#[test]
fn the_golden_signature_is_accepted() {
    let event = check(&format!("t={TIME_S},v1={GOLDEN}")).unwrap();
    assert_eq!(event.id.as_str(), "evt_1");
    assert_eq!(event.kind, EventKind::TransferCreated);
    assert_eq!(event.object_id.as_deref(), Some("tr_1"));
    assert_eq!((event.created, event.account), (TIME_S, None));
}

#[test]
fn any_v1_and_any_secret_will_do() {
    let wrong = "00".repeat(32);
    for header in [
        format!("t={TIME_S},v1={wrong},v1={GOLDEN}"),
        format!("t={TIME_S},v1={GOLDEN},v1={wrong},v0={wrong}"),
        format!("v1={GOLDEN},t={TIME_S}"),
        format!("t={TIME_S}, v1=short, v1={GOLDEN}"),
    ] {
        check(&header).unwrap();
    }
    let rolled = [WebhookSecret::new("whsec_golden"), WebhookSecret::new("whsec_rolled")];
    verify(BODY, &format!("t={TIME_S},v1={ROLLED}"), &rolled, TIME_S).unwrap();
}

#[test]
fn everything_else_is_refused() {
    for header in ["", "t=1", "nonsense", &format!("v1={GOLDEN}"), &format!("t=now,v1={GOLDEN}"), &format!("t={TIME_S},v0={GOLDEN}")] {
        assert!(matches!(check(header), Err(WebhookError::Malformed)), "{header}");
    }
    assert!(matches!(check(&format!("t={TIME_S},v1={ROLLED}")), Err(WebhookError::Forged)));
    assert!(matches!(check(&format!("t={},v1={GOLDEN}", TIME_S + 1)), Err(WebhookError::Forged)));
    let upper = GOLDEN.to_uppercase();
    assert!(matches!(check(&format!("t={TIME_S},v1={upper}")), Err(WebhookError::Malformed)));
    let nobody = [WebhookSecret::new("")];
    assert!(matches!(verify(BODY, &format!("t={TIME_S},v1={GOLDEN}"), &nobody, TIME_S), Err(WebhookError::Forged)));
    assert!(matches!(verify(BODY, &format!("t={TIME_S},v1={GOLDEN}"), &[], TIME_S), Err(WebhookError::Forged)));
}

#[test]
fn the_window_is_three_hundred_seconds_either_way() {
    let header = format!("t={TIME_S},v1={GOLDEN}");
    for (skew, accepted) in [(300, true), (-300, true), (301, false), (-301, false), (i64::MAX - TIME_S, false)] {
        let result = verify(BODY, &header, &secrets(), TIME_S + skew);
        assert_eq!(result.is_ok(), accepted, "skew {skew}");
        assert!(accepted || matches!(result, Err(WebhookError::Stale { skew_s }) if skew_s == skew));
    }
}

#[test]
fn unknown_kinds_and_fields_are_not_errors() {
    let event: Event = serde_json::from_str(
        r#"{"id":"evt_2","type":"energy.saved","account":"acct_1","created":1,"brand_new":{},"data":{"object":{"object":"balance"}}}"#,
    )
    .unwrap();
    assert_eq!(event.kind, EventKind::Other("energy.saved".to_owned()));
    assert_eq!(event.account, Some(AccountId::new("acct_1")));
    assert_eq!(event.object_id, None);
}

proptest! {
    #[test]
    fn strangers_neither_pass_nor_panic(body in proptest::collection::vec(any::<u8>(), 0..60), header in "[tv01=,a-f0-9 ]{0,90}") {
        prop_assert!(verify(&body, &header, &secrets(), TIME_S).is_err());
    }

    #[test]
    fn one_flipped_bit_is_noticed(index in 0..BODY.len(), bit in 0..8_u32) {
        let mut body = BODY.to_vec();
        body[index] ^= 1 << bit;
        let result = verify(&body, &format!("t={TIME_S},v1={GOLDEN}"), &secrets(), TIME_S);
        prop_assert!(matches!(result, Err(WebhookError::Forged)));
    }
}
