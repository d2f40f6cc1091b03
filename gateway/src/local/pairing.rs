//! Who may see more than the gateway's health: whoever read a code from its log or its command line.
//!
//! ```text
//! local/code.json      the code that counts now: salted digest, end of its time; gone with its first use
//! local/sessions.json  browsers that are paired: digests of their tokens, end of their time
//! ```
//!
//! The command line and the daemon share this folder and take turns by its lock. What lies here opens nothing: a code and a token
//! cannot be had from their digests.

mod code;
mod folder;

use std::{io, path::Path, sync::Mutex, time::Duration};

use jiff::{SignedDuration, Timestamp};
use ring::{
    digest::{SHA256, digest},
    hmac,
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub(crate) use code::Code;
use folder::Folder;

/// How long a code is good.
pub(crate) const CODE_LIFE: SignedDuration = SignedDuration::from_mins(10);
/// How long a browser stays paired: a day's work.
pub(super) const SESSION_LIFE: SignedDuration = SignedDuration::from_hours(12);
/// Browsers at once; the one that was paired first goes.
const SESSIONS_MAX: usize = 16;
/// Wrong codes in a row before nobody may try for a while.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(300);
/// A moment this far ahead was noted by a clock that has been set back since.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

const CODE: &str = "code.json";
const SESSIONS: &str = "sessions.json";
const CODE_SCHEMA: &str = "negawatt.pairing-code/1";
const SESSIONS_SCHEMA: &str = "negawatt.sessions/1";

/// Why somebody was not paired.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PairingError {
    #[error("this is not the code, or its ten minutes are over: `negawatt-gateway pair` makes another")]
    Wrong,
    #[error("too many wrong codes: wait {} s", wait.as_secs().max(1))]
    Pause { wait: Duration },
    #[error("pairing could not be written down")]
    Disk(#[from] io::Error),
}

#[derive(Debug, Serialize, Deserialize)]
struct CodeFile {
    schema: String,
    salt: String,
    digest: String,
    made_ms: i64,
    until_ms: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct SessionsFile {
    schema: String,
    sessions: Vec<Session>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Session {
    /// SHA-256 of the token.
    digest: String,
    since_ms: i64,
    until_ms: i64,
}

/// What the browser keeps: 32 bytes of randomness, in hex.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token([u8; 32]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Token {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = hex::decode(text).ok()?;
        <[u8; 32]>::try_from(bytes).ok().map(Self)
    }

    pub(crate) fn expose(&self) -> String {
        hex::encode(self.0)
    }

    fn digest(&self) -> String {
        hex::encode(digest(&SHA256, &self.0))
    }

    /// What a form of this session carries, so that no other page can send it.
    pub(crate) fn form_key(&self) -> String {
        hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), FORM))
    }

    /// Whether a form is of this session; takes as long whatever is wrong with it.
    pub(crate) fn is_form_key(&self, text: &str) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hex::decode(text).is_ok_and(|tag| hmac::verify(&key, FORM, &tag).is_ok())
    }
}

const FORM: &[u8] = b"negawatt-gateway form";

/// The codes and sessions of one gateway.
#[derive(Debug)]
pub(crate) struct Pairing {
    folder: Folder,
    tries: Mutex<Tries>,
}

#[derive(Debug, Default)]
struct Tries {
    wrong: u32,
    pause_until: Option<Instant>,
}

impl Pairing {
    /// Of the gateway that keeps its data in this folder.
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self { folder: Folder::of(data_dir), tries: Mutex::default() }
    }

    /// Makes a code; the one before is none any more.
    pub(crate) fn new_code(&self, now: Timestamp) -> io::Result<Code> {
        let (code, salt) = (Code::draw()?, daemon::entropy()?);
        let file = CodeFile {
            schema: CODE_SCHEMA.to_owned(),
            salt: hex::encode(salt),
            digest: hex::encode(tag(&salt, &code)),
            made_ms: now.as_millisecond(),
            until_ms: now.saturating_add(CODE_LIFE).map_or(i64::MAX, Timestamp::as_millisecond),
        };
        self.folder.locked(|folder| folder.write(CODE, &file))?;
        Ok(code)
    }

    /// Takes a code for a session.
    pub(crate) fn redeem(&self, typed: &str, now: Timestamp) -> Result<Token, PairingError> {
        self.may_try(Instant::now())?;
        let token = self.folder.locked(|folder| {
            let Some(file) = folder.read::<CodeFile>(CODE)?.filter(|file| file.schema == CODE_SCHEMA) else { return Ok(None) };
            if !is_within(file.made_ms, file.until_ms, now) || !fits(&file, typed) {
                return Ok(None);
            }
            // First it is gone, then it has worked: a code never works twice.
            folder.remove(CODE)?;
            let token = Token(random()?);
            let mut sessions = sessions(folder, now)?;
            if sessions.len() >= SESSIONS_MAX {
                sessions.remove(0);
            }
            let until_ms = now.saturating_add(SESSION_LIFE).map_or(i64::MAX, Timestamp::as_millisecond);
            sessions.push(Session { digest: token.digest(), since_ms: now.as_millisecond(), until_ms });
            write(folder, sessions)?;
            Ok(Some(token))
        })?;
        let mut tries = self.tries.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match token {
            Some(token) => {
                *tries = Tries::default();
                Ok(token)
            }
            None => {
                tries.wrong += 1;
                if tries.wrong >= TRIES {
                    *tries = Tries { wrong: 0, pause_until: Some(Instant::now() + PAUSE) };
                    tracing::warn!("{TRIES} wrong pairing codes: nobody can pair for {} s", PAUSE.as_secs());
                }
                Err(PairingError::Wrong)
            }
        }
    }

    fn may_try(&self, now: Instant) -> Result<(), PairingError> {
        let mut tries = self.tries.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match tries.pause_until {
            Some(until) if now < until => Err(PairingError::Pause { wait: until - now }),
            Some(_) => {
                tries.pause_until = None;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether a browser is paired.
    pub(crate) fn is_paired(&self, token: &Token, now: Timestamp) -> bool {
        let digest = token.digest();
        // Digests are compared: how long that takes says nothing of the token.
        self.sessions(now).iter().any(|session| session.digest == digest)
    }

    /// How many browsers are paired.
    pub(crate) fn paired(&self, now: Timestamp) -> usize {
        self.sessions(now).len()
    }

    /// Ends one session.
    pub(crate) fn leave(&self, token: &Token, now: Timestamp) -> io::Result<()> {
        let digest = token.digest();
        self.folder.locked(|folder| {
            let mut sessions = sessions(folder, now)?;
            sessions.retain(|session| session.digest != digest);
            write(folder, sessions)
        })
    }

    /// Ends every session, and the code that counts now. Gives how many sessions there were.
    pub(crate) fn revoke(&self, now: Timestamp) -> io::Result<usize> {
        self.folder.locked(|folder| {
            let ended = sessions(folder, now)?.len();
            folder.remove(CODE)?;
            write(folder, Vec::new())?;
            Ok(ended)
        })
    }

    fn sessions(&self, now: Timestamp) -> Vec<Session> {
        sessions(&self.folder, now).unwrap_or_else(|err| {
            tracing::error!(error = %err, "it is not known who is paired: nobody is let in");
            Vec::new()
        })
    }
}

fn sessions(folder: &Folder, now: Timestamp) -> io::Result<Vec<Session>> {
    let file = folder.read::<SessionsFile>(SESSIONS)?.filter(|file| file.schema == SESSIONS_SCHEMA);
    let mut sessions = file.map(|file| file.sessions).unwrap_or_default();
    sessions.retain(|session| is_within(session.since_ms, session.until_ms, now));
    Ok(sessions)
}

fn write(folder: &Folder, sessions: Vec<Session>) -> io::Result<()> {
    folder.write(SESSIONS, &SessionsFile { schema: SESSIONS_SCHEMA.to_owned(), sessions })
}

/// Whether a time has begun and not ended.
fn is_within(since_ms: i64, until_ms: i64, now: Timestamp) -> bool {
    let now_ms = now.as_millisecond();
    now_ms < until_ms && since_ms <= now_ms.saturating_add(i64::try_from(AHEAD.as_millis()).unwrap_or(0))
}

fn tag(salt: &[u8], code: &Code) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), code.as_bytes())
}

/// Compares in constant time.
fn fits(file: &CodeFile, typed: &str) -> bool {
    let (Some(code), Ok(salt), Ok(digest)) = (Code::parse(typed), hex::decode(&file.salt), hex::decode(&file.digest)) else { return false };
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &salt), code.as_bytes(), &digest).is_ok()
}

fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let (first, second) = bytes.split_at_mut(16);
    first.copy_from_slice(&daemon::entropy()?);
    second.copy_from_slice(&daemon::entropy()?);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
