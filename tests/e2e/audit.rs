//! `negawatt audit` on evidence that was made, changed, cut and mistaken for something else.

use std::path::Path;
use std::process::Output;

use negawatt_tests::program::{demo, negawatt, stderr, stdout};

fn audit(bundle: &Path) -> Output {
    negawatt(&["audit", bundle.to_str().unwrap()])
}

#[test]
fn evidence_is_verified_and_every_tampering_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let result = demo(&dir.path().join("demo"), &[]);
    let bundle = Path::new(result["evidence"].as_str().unwrap());
    let verified = audit(bundle);
    assert!(verified.status.success(), "{}", stderr(&verified));
    assert!(stdout(&verified).starts_with("verified\n"), "{}", stdout(&verified));
    let trust = stdout(&verified).lines().find(|line| line.starts_with("trust ")).map(str::to_owned).expect("a score");
    assert!(trust.contains(" of 100 on ") && trust.contains("by negawatt.trust/1"), "{trust}");

    let bytes = std::fs::read(bundle).unwrap();
    let changed = dir.path().join("changed.nwev");
    for tenth in 0..10 {
        let at = bytes.len() * tenth / 10 + 7;
        let mut copy = bytes.clone();
        copy[at] ^= 0x10;
        std::fs::write(&changed, copy).unwrap();
        let refused = audit(&changed);
        assert_eq!(refused.status.code(), Some(65), "byte {at}: {}", stdout(&refused));
        assert!(stderr(&refused).len() > 40 && !stdout(&refused).contains("verified"), "byte {at}: {}", stderr(&refused));
    }

    std::fs::write(&changed, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(audit(&changed).status.code(), Some(65), "a bundle that was cut off");
    std::fs::write(&changed, b"not a bundle at all").unwrap();
    assert_eq!(audit(&changed).status.code(), Some(65), "another file");
    let absent = audit(&dir.path().join("absent.nwev"));
    assert_eq!(absent.status.code(), Some(65));
    assert!(stderr(&absent).contains("absent.nwev"), "{}", stderr(&absent));
}
