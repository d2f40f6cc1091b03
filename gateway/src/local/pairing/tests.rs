use std::{collections::BTreeSet, os::unix::fs::PermissionsExt as _};

use super::*;

fn at(minute: i64) -> Timestamp {
    "2026-03-02T09:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
}

#[test]
fn a_code_works_once_and_for_ten_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let pairing = Pairing::of(folder.path());
    let code = pairing.new_code(at(0)).unwrap();
    assert!(matches!(pairing.redeem(&code.to_string(), at(10)), Err(PairingError::Wrong)));
    // Case, spaces and the dash do not count.
    let typed = format!(" {} ", code.to_string().to_lowercase().replace('-', " "));
    let token = pairing.redeem(&typed, at(9)).unwrap();
    assert!(pairing.is_paired(&token, at(9)) && !pairing.is_paired(&Token([7; 32]), at(9)));
    assert!(matches!(pairing.redeem(&typed, at(9)), Err(PairingError::Wrong)));
    // Another makes the one before worthless.
    let (old, new) = (pairing.new_code(at(9)).unwrap(), pairing.new_code(at(9)).unwrap());
    assert!(matches!(pairing.redeem(&old.to_string(), at(9)), Err(PairingError::Wrong)));
    assert!(pairing.redeem(&new.to_string(), at(9)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn five_wrong_codes_make_everybody_wait() {
    let folder = tempfile::tempdir().unwrap();
    let pairing = Pairing::of(folder.path());
    let code = pairing.new_code(at(0)).unwrap();
    for _ in 0..TRIES {
        assert!(matches!(pairing.redeem("2222-2222", at(0)), Err(PairingError::Wrong)));
    }
    let waits = pairing.redeem(&code.to_string(), at(0)).unwrap_err();
    assert!(matches!(waits, PairingError::Pause { wait } if wait == PAUSE), "{waits}");
    tokio::time::advance(PAUSE).await;
    assert!(pairing.redeem(&code.to_string(), at(5)).is_ok());
}

#[test]
fn sessions_end_by_time_by_hand_and_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pairing = Pairing::of(folder.path());
    let pair = |minute| pairing.redeem(&pairing.new_code(at(minute)).unwrap().to_string(), at(minute)).unwrap();
    let (one, two) = (pair(0), pair(1));
    // Another process, and a restart, see the same.
    assert_eq!(Pairing::of(folder.path()).paired(at(1)), 2);
    pairing.leave(&one, at(1)).unwrap();
    assert!(!pairing.is_paired(&one, at(1)) && pairing.is_paired(&two, at(1)));
    assert!(!pairing.is_paired(&two, at(1 + 12 * 60)));
    // A clock that was set back has not paired anybody in the future.
    assert!(!pairing.is_paired(&two, at(-60)));
    assert_eq!(pairing.revoke(at(2)).unwrap(), 1);
    assert_eq!(pairing.paired(at(2)), 0);
}

#[test]
fn no_more_browsers_are_paired_than_there_is_room_for() {
    let folder = tempfile::tempdir().unwrap();
    let pairing = Pairing::of(folder.path());
    let pair = |minute| pairing.redeem(&pairing.new_code(at(minute)).unwrap().to_string(), at(minute)).unwrap();
    let tokens: Vec<Token> = (0..=i64::try_from(SESSIONS_MAX).unwrap()).map(pair).collect();
    assert_eq!(pairing.paired(at(30)), SESSIONS_MAX);
    assert!(!pairing.is_paired(&tokens[0], at(30)) && pairing.is_paired(&tokens[SESSIONS_MAX], at(30)));
}

#[test]
fn what_lies_on_the_disk_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pairing = Pairing::of(folder.path());
    let code = pairing.new_code(at(0)).unwrap();
    let local = folder.path().join("local");
    assert_eq!(std::fs::metadata(&local).unwrap().permissions().mode() & 0o777, 0o700);
    let kept = std::fs::read_to_string(local.join(CODE)).unwrap();
    assert!(!kept.contains(&code.to_string()) && !kept.contains(&code.to_string().replace('-', "")));
    let token = pairing.redeem(&code.to_string(), at(0)).unwrap();
    assert!(!local.join(CODE).exists());
    assert!(!std::fs::read_to_string(local.join(SESSIONS)).unwrap().contains(&token.expose()));
    std::fs::write(local.join(SESSIONS), "{").unwrap();
    assert!(!pairing.is_paired(&token, at(0)), "a file that makes no sense pairs nobody");
    assert_eq!((format!("{code:?}"), format!("{token:?}")), ("***".to_owned(), "***".to_owned()));
}

#[test]
fn a_form_is_of_one_session() {
    let (one, two) = (Token([1; 32]), Token([2; 32]));
    assert!(one.is_form_key(&one.form_key()) && !one.is_form_key(&two.form_key()) && !one.is_form_key("") && !one.is_form_key("zz"));
    assert_eq!(Token::parse(&one.expose()), Some(one));
    assert_eq!(Token::parse("12"), None);
}

#[test]
fn codes_use_every_character_and_no_doubtful_one() {
    let drawn: BTreeSet<char> = (0..200).flat_map(|_| Code::draw().unwrap().to_string().chars().collect::<Vec<_>>()).collect();
    assert_eq!(drawn.iter().collect::<String>(), "-23456789ABCDEFGHJKMNPQRSTVWXYZ");
}
