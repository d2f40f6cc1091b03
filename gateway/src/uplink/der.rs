//! The two dates of an X.509 certificate, and nothing else of it.

use jiff::{Timestamp, civil};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// From when until when a certificate counts.
///
/// * Source: RFC 5280, 4.1: Certificate, TBSCertificate, Validity.
pub(super) fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (body, _) = expect(certificate, SEQUENCE)?;
    let (mut fields, _) = expect(body, SEQUENCE)?;
    if let Some((_, rest)) = expect(fields, VERSION) {
        fields = rest;
    }
    let (_, fields) = expect(fields, INTEGER)?;
    let (_, fields) = expect(fields, SEQUENCE)?; // signature
    let (_, fields) = expect(fields, SEQUENCE)?; // issuer
    let (dates, _) = expect(fields, SEQUENCE)?;
    let (from, dates) = time(dates)?;
    let (until, _) = time(dates)?;
    Some((from, until))
}

/// The content of an element of a kind, and what follows it.
fn expect(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(bytes)?;
    (found == kind).then_some((content, rest))
}

fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, bytes) = bytes.split_first()?;
    let (&first, bytes) = bytes.split_first()?;
    let (length, bytes) = if first < 0x80 {
        (usize::from(first), bytes)
    } else {
        let (digits, rest) = bytes.split_at_checked(usize::from(first & 0x7f)).filter(|(digits, _)| digits.len() <= 4)?;
        (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some((kind, content, rest))
}

fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (kind, content, rest) = element(bytes)?;
    let digits = content.strip_suffix(b"Z")?;
    let two = |at: usize| std::str::from_utf8(digits.get(at..at + 2)?).ok()?.parse::<i8>().ok();
    let (year, at) = match kind {
        UTC_TIME => {
            let short = i16::from(two(0)?);
            (if short < 50 { 2_000 + short } else { 1_900 + short }, 2)
        }
        GENERALIZED_TIME => (i16::from(two(0)?) * 100 + i16::from(two(2)?), 4),
        _ => return None,
    };
    let date = civil::DateTime::new(year, two(at)?, two(at + 2)?, two(at + 4)?, two(at + 6)?, two(at + 8)?, 0).ok()?;
    let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some((zoned.timestamp(), rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_dates_are_those_that_the_certificate_was_made_with() {
        for (from, until) in [((1999, 12, 31), (2049, 1, 2)), ((2020, 2, 29), (2051, 6, 30))] {
            let mut params = CertificateParams::new(["gateway.example".to_owned()]).unwrap();
            params.not_before = date_time_ymd(from.0, from.1, from.2);
            params.not_after = date_time_ymd(until.0, until.1, until.2);
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let (found_from, found_until) = validity(certificate.der()).unwrap();
            assert_eq!(found_from.to_string(), format!("{}-{:02}-{:02}T00:00:00Z", from.0, from.1, from.2));
            assert_eq!(found_until.to_string(), format!("{}-{:02}-{:02}T00:00:00Z", until.0, until.1, until.2));
            for cut in 0..certificate.der().len() {
                validity(&certificate.der()[..cut]);
            }
        }
    }
}
