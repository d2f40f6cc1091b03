//! Who changed what, and why: a chain in which every entry carries the hash of the one before.
//!
//! Whoever changes an entry, or takes one out, has to change every later one and the anchor files too, which are made to
//! be copied to where he cannot reach them.

use std::io::Write as _;
use std::path::Path;

use ids::Slug;
use sha2::{Digest as _, Sha256};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Readings got a newer version.
    Amend,
    /// A range was billed: from now on it changes only with an approval.
    Seal,
    /// Readings were brought in from files, beside what gateways send.
    Import,
    /// Readings were dropped: they were kept for as long as was asked for.
    Drop,
}

impl Action {
    pub(crate) const fn code(self) -> u64 {
        match self {
            Self::Amend => 1,
            Self::Seal => 2,
            Self::Import => 3,
            Self::Drop => 4,
        }
    }

    pub(crate) const fn from_code(code: u64) -> Option<Self> {
        match code {
            1 => Some(Self::Amend),
            2 => Some(Self::Seal),
            3 => Some(Self::Import),
            4 => Some(Self::Drop),
            _ => None,
        }
    }
}

/// Who answers for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// A person or a method, such as `vee:linear/1`.
    pub actor: String,
    pub reason: String,
    /// What it rests on: a work order, a letter. May be empty.
    pub document: String,
    /// Who allowed it, where what is sealed is changed. Empty otherwise.
    pub approval: String,
    /// When, UTC milliseconds.
    pub at_ms: i64,
}

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Counts from 1 without a gap.
    pub number: u64,
    pub action: Action,
    pub account: Account,
    pub tenant: Slug,
    pub facility: Slug,
    /// The times that it is about, half-open, UTC milliseconds.
    pub from_ms: i64,
    pub to_ms: i64,
    /// Readings that were amended; of a seal, those that it covers; of an import, those that its files have; those that
    /// were dropped, every version counted.
    pub rows: u64,
    /// SHA-256 over these readings, as the log has them; of an import, over what its files say; of what was dropped, over
    /// the hashes of its segments.
    pub digest: [u8; 32],
    /// The last entry of the log that a seal covers, or up to which readings were dropped; 0 otherwise.
    pub sealed_lsn: u64,
    /// Hash of the entry before; zeros before the first.
    pub before: [u8; 32],
}

impl AuditEntry {
    /// Bytes that an entry takes in the log at most, its texts apart but for the names of tenant and facility.
    pub(crate) const BYTES_MAX: usize = 512;

    /// The hash of this entry: what the next one carries.
    ///
    /// * Shape: SHA-256 over the fields in their order, numbers as eight big-endian bytes, texts with their length
    ///   before them.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"negawatt.audit/1");
        for number in [self.number, self.action.code(), self.account.at_ms.cast_unsigned()] {
            hasher.update(number.to_be_bytes());
        }
        let Account { actor, reason, document, approval, .. } = &self.account;
        for text in [actor.as_str(), reason, document, approval, self.tenant.as_str(), self.facility.as_str()] {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text.as_bytes());
        }
        for number in [self.from_ms.cast_unsigned(), self.to_ms.cast_unsigned(), self.rows, self.sealed_lsn] {
            hasher.update(number.to_be_bytes());
        }
        hasher.update(self.digest);
        hasher.update(self.before);
        hasher.finalize().into()
    }
}

/// Writes the hash of the last entry of a day into `anchors/2026-01-31`, in the folder of the store.
pub(crate) fn anchor(dir: &Path, entry: &AuditEntry) -> std::io::Result<()> {
    let day = jiff::Timestamp::from_millisecond(entry.account.at_ms).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date();
    let folder = dir.join("anchors");
    std::fs::create_dir_all(&folder)?;
    let temporary = folder.join("next");
    let mut file = std::fs::File::create(&temporary)?;
    writeln!(file, "{} {}", entry.number, hex::encode(entry.hash()))?;
    file.sync_all()?;
    std::fs::rename(&temporary, folder.join(day.to_string()))?;
    std::fs::File::open(&folder)?.sync_all()
}

/// The first entry that does not follow on the one before it, by its number; `None` when the chain is whole.
#[must_use]
pub fn broken_at(entries: &[AuditEntry]) -> Option<u64> {
    let (mut number, mut before) = (1, [0; 32]);
    for entry in entries {
        if entry.number != number || entry.before != before {
            return Some(number);
        }
        (number, before) = (number + 1, entry.hash());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<AuditEntry> {
        let mut entries: Vec<AuditEntry> = Vec::new();
        for number in 1..=4 {
            let account = Account {
                actor: "anna".to_owned(),
                reason: "meter exchange".to_owned(),
                document: String::new(),
                approval: String::new(),
                at_ms: 1_700_000_000_000,
            };
            let before = entries.last().map_or([0; 32], AuditEntry::hash);
            let slug = |text: &str| Slug::parse(text).unwrap();
            let (tenant, facility) = (slug("acme"), slug("hall"));
            let digest = [u8::try_from(number).unwrap(); 32];
            entries.push(AuditEntry {
                number,
                action: if number == 4 { Action::Seal } else { Action::Amend },
                account,
                tenant,
                facility,
                from_ms: 0,
                to_ms: 60_000,
                rows: 1,
                digest,
                sealed_lsn: 0,
                before,
            });
        }
        entries
    }

    #[test]
    fn whatever_is_changed_or_left_out_breaks_the_chain() {
        let whole = chain();
        assert_eq!(broken_at(&whole), None);
        let changes: [fn(&mut AuditEntry); 9] = [
            |entry| entry.account.actor = "bert".to_owned(),
            |entry| entry.account.reason.push('.'),
            |entry| entry.account.document = "letter".to_owned(),
            |entry| entry.account.approval = "carl".to_owned(),
            |entry| entry.account.at_ms += 1,
            |entry| entry.to_ms += 1,
            |entry| entry.rows += 1,
            |entry| entry.digest[7] ^= 1,
            |entry| entry.sealed_lsn += 1,
        ];
        for change in changes {
            let mut changed = whole.clone();
            change(&mut changed[1]);
            assert_eq!(broken_at(&changed), Some(3));
        }
        let mut shorter = whole.clone();
        shorter.remove(1);
        assert_eq!(broken_at(&shorter), Some(2));
        // A text that moves from one field to the next is another entry.
        let (mut one, mut other) = (whole[0].clone(), whole[0].clone());
        (one.account.reason, one.account.document) = ("ab".to_owned(), "c".to_owned());
        (other.account.reason, other.account.document) = ("a".to_owned(), "bc".to_owned());
        assert_ne!(one.hash(), other.hash());
    }

    #[test]
    fn the_hash_is_what_it_always_was() {
        assert_eq!(hex::encode(chain()[3].hash()), "e0894511a58a067f061e2c55d40d8c75c7a154c2fa2ae568bd7afdd6fdd596d7");
    }
}
