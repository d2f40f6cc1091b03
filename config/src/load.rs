//! From a path to a configuration.

use std::{io, path::Path};

use serde::de::DeserializeOwned;

use crate::{Fault, Faults, strict};

/// What to say to somebody who wrote a key that does not exist: the key's path, list positions left empty
/// (`meters[].address`), and the help line.
pub type Hint<'a> = (&'a str, &'a str);

/// Loads a file: strict TOML into `Raw`, then `validate` into `T`.
///
/// * Validation: `validate` notes every fault it sees and returns `None` when there is no configuration to speak of. It
///   also runs when the file has unknown keys, so that both kinds are told at once.
/// * Errors: all faults, in the order of the file.
///
/// # Panics
/// When `validate` refuses without noting a fault: that is a fault of the daemon, not of the file.
pub fn load<Raw: DeserializeOwned, T>(path: &Path, validate: impl FnOnce(Raw, &mut Faults) -> Option<T>) -> Result<T, Faults> {
    load_with_hints(path, &[], validate)
}

/// As [`load`], with a word of help for keys that people write and that do not exist.
pub fn load_with_hints<Raw: DeserializeOwned, T>(
    path: &Path,
    hints: &[Hint<'_>],
    validate: impl FnOnce(Raw, &mut Faults) -> Option<T>,
) -> Result<T, Faults> {
    let text = read(path).map_err(|fault| {
        let mut faults = Faults::new(path);
        faults.add(fault);
        faults
    })?;
    parse(path, &text, hints, validate)
}

/// As [`load_with_hints`], of a text already in memory; `file` is only shown.
pub fn parse<Raw: DeserializeOwned, T>(
    file: &Path,
    text: &str,
    hints: &[Hint<'_>],
    validate: impl FnOnce(Raw, &mut Faults) -> Option<T>,
) -> Result<T, Faults> {
    let mut faults = Faults::new(file);
    let reading = strict::read::<Raw>(text, hints, &mut faults);
    let mut valid = None;
    if let Some(raw) = reading.raw {
        // What the reading noted is no concern of the validation: it may refuse for what it finds itself.
        let mut found = Faults::new(file);
        valid = validate(raw, &mut found);
        assert!(valid.is_some() || !found.is_empty(), "a validation that refuses names at least one fault");
        faults.extend(found);
        for fault in faults.faults_mut() {
            let line = reading.lines.of(fault.key());
            *fault = fault.clone().on_line(line);
        }
    }
    faults.sort();
    match valid {
        Some(valid) if faults.is_empty() => Ok(valid),
        _ => Err(faults),
    }
}

fn read(path: &Path) -> Result<String, Fault> {
    let bytes = std::fs::read(path).map_err(|err| match err.kind() {
        io::ErrorKind::NotFound => Fault::of_file("there is no such file").help("name an existing file with --config FILE"),
        io::ErrorKind::PermissionDenied => {
            Fault::of_file("this user may not read the file").help("give the user of the daemon the right to read it")
        }
        io::ErrorKind::IsADirectory => Fault::of_file("this is a folder, not a file").help("name a file in it with --config FILE"),
        _ => Fault::of_file(format_args!("the file cannot be read: {err}")),
    })?;
    String::from_utf8(bytes).map_err(|err| {
        let at = err.utf8_error().valid_up_to();
        let line = err.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count() + 1;
        Fault::of_file(format_args!("line {line} is not UTF-8 text"))
            .help("save the file as UTF-8; TOML knows no other encoding")
            .on_line(Some(line))
    })
}

#[cfg(test)]
mod tests;
