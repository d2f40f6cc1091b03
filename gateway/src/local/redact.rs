//! A configuration as it may be shown: without the one secret that it can hold.
//!
//! Secrets are references, and one that is written out is refused. What is left is an old address with a password in a comment.

const HIDDEN: &str = "***";

/// The text with `***` for who logs in, in every address.
pub(super) fn redacted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match login(line) {
            Some((before, _, after)) => shown.extend([before, HIDDEN, after]),
            None => shown.push_str(line),
        }
    }
    shown
}

/// The text as it was before it was redacted, whatever else was changed in it.
///
/// * Errors: it has more than one login, or none, to put back.
pub(super) fn restored(shown: &str, followed: &str) -> Result<String, String> {
    let mut logins: Vec<&str> = followed.lines().filter_map(login).map(|(_, login, _)| login).collect();
    logins.sort_unstable();
    logins.dedup();
    let mut text = String::with_capacity(shown.len());
    for line in shown.split_inclusive('\n') {
        match (login(line), &logins[..]) {
            (Some((before, HIDDEN, after)), [login]) => text.extend([before, *login, after]),
            (Some((_, HIDDEN, _)), _) => {
                return Err(format!("`{}`: it is not clear which login was hidden here; write it out, or take the line away", line.trim()));
            }
            _ => text.push_str(line),
        }
    }
    Ok(text)
}

/// A line around the login of the address in it: `url = "mqtt://`, `name:password`, `@host:1883"`.
fn login(line: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = line.split_once("://")?;
    let authority = rest.split(['/', '"', '\'', ' ', '\n']).next()?;
    let (login, _host) = authority.rsplit_once('@')?;
    let (before, rest) = line.split_at_checked(scheme.len() + "://".len())?;
    let after = rest.strip_prefix(login)?;
    Some((before, login, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[broker]\nurl = \"mqtt://gw-1:s3cr@t@broker.example.com:1883\" # plain\nca = \"/etc/ca.pem\"\n";

    #[test]
    fn a_password_in_an_address_is_hidden_and_put_back() {
        let shown = redacted(TEXT);
        assert_eq!(shown, "[broker]\nurl = \"mqtt://***@broker.example.com:1883\" # plain\nca = \"/etc/ca.pem\"\n");
        assert_eq!(restored(&shown, TEXT).unwrap(), TEXT);
        let moved = shown.replace("broker.example.com", "10.0.0.7");
        assert_eq!(restored(&moved, TEXT).unwrap(), TEXT.replace("broker.example.com", "10.0.0.7"));
        assert!(restored(&shown, "").unwrap_err().contains("which login"));
        let plain = "url = \"mqtt://broker:1883\"\n# mail ops@example.com\n";
        assert_eq!((redacted(plain).as_str(), restored(plain, TEXT).unwrap().as_str()), (plain, plain));
    }
}
