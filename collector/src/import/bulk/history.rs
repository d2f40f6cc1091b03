//! Which imports there were, as the audit log has them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use store::{Action, AuditEntry, Reader};

use crate::import::series::{GATEWAY, numbers};

/// What the audit log has for a document: the import that an entry belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    Committed {
        id: String,
        /// SHA-256 of each file.
        files: Vec<String>,
    },
    /// Values that were hidden by an undo, and are there again.
    Returned {
        id: String,
    },
    Undone {
        id: String,
    },
}

impl Document {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Committed { id, files } => format!("import {id} of files {}", files.join(" ")),
            Self::Returned { id } => format!("return {id}"),
            Self::Undone { id } => format!("undo {id}"),
        }
    }

    pub(crate) fn of(entry: &AuditEntry) -> Option<Self> {
        let mut words = entry.account.document.split(' ');
        let (verb, id) = (words.next()?, words.next()?.to_owned());
        match (verb, entry.action) {
            ("import", Action::Import) => Some(Self::Committed { id, files: words.skip(2).map(str::to_owned).collect() }),
            ("return", Action::Amend) => Some(Self::Returned { id }),
            ("undo", Action::Amend) => Some(Self::Undone { id }),
            _ => None,
        }
    }

    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Committed { id, .. } | Self::Returned { id } | Self::Undone { id } => id,
        }
    }
}

/// What has become of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Unknown,
    Committed,
    Undone { by: String, at: Timestamp },
}

/// What the last entry about an import says.
pub(crate) fn state(reader: &Reader, id: &str) -> State {
    let mut state = State::Unknown;
    for entry in reader.audit() {
        match Document::of(entry).filter(|document| document.id() == id) {
            Some(Document::Committed { .. }) => state = State::Committed,
            Some(Document::Undone { .. }) => {
                let at = Timestamp::from_millisecond(entry.account.at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
                state = State::Undone { by: entry.account.actor.clone(), at };
            }
            Some(Document::Returned { .. }) | None => {}
        }
    }
    state
}

/// An import, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ImportSeen {
    pub(crate) id: String,
    pub(crate) tenant: String,
    pub(crate) facility: String,
    /// None when it was not planned: one point, by `collector import` or `POST /v1/imports`.
    pub(crate) committed_at: Option<Timestamp>,
    pub(crate) by: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) readings: Option<u64>,
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
    /// SHA-256 of each file.
    pub(crate) files: Vec<String>,
    pub(crate) undone_at: Option<Timestamp>,
    pub(crate) undone_by: Option<String>,
    /// Whether its readings can be told from others.
    pub(crate) can_be_undone: bool,
}

/// Every import, the oldest first; behind them those that nobody has planned.
pub(crate) fn imports(reader: &Reader) -> Vec<ImportSeen> {
    let at = |ms| Timestamp::from_millisecond(ms).ok();
    let mut seen: Vec<ImportSeen> = Vec::new();
    for entry in reader.audit() {
        let Some(document) = Document::of(entry) else { continue };
        let known = seen.iter_mut().find(|one| one.id == document.id() && one.facility == entry.facility.as_str());
        match (document, known) {
            (Document::Committed { .. }, Some(known)) => {
                // It came back, or another part of it.
                (known.undone_at, known.undone_by) = (None, None);
                (known.committed_at, known.by) = (at(entry.account.at_ms), Some(entry.account.actor.clone()));
            }
            (Document::Committed { id, files }, None) => seen.push(ImportSeen {
                id,
                tenant: entry.tenant.to_string(),
                facility: entry.facility.to_string(),
                committed_at: at(entry.account.at_ms),
                by: Some(entry.account.actor.clone()),
                reason: Some(entry.account.reason.clone()),
                readings: Some(entry.rows),
                from: at(entry.from_ms),
                to: at(entry.to_ms),
                files,
                undone_at: None,
                undone_by: None,
                can_be_undone: true,
            }),
            (Document::Undone { .. }, Some(known)) => {
                (known.undone_at, known.undone_by) = (at(entry.account.at_ms), Some(entry.account.actor.clone()));
            }
            _ => {}
        }
    }
    let mut unplanned: BTreeMap<String, ImportSeen> = BTreeMap::new();
    let undone: Vec<(String, &AuditEntry)> = reader
        .audit()
        .iter()
        .filter_map(|entry| match Document::of(entry)? {
            Document::Undone { id } => Some((id, entry)),
            _ => None,
        })
        .collect();
    for spool in reader.spools().into_iter().filter(|spool| spool.origin.gateway.as_str() == GATEWAY) {
        let id = wire::command::to_hex(&spool.spool_id);
        if seen.iter().any(|one| one.id == id) {
            continue;
        }
        let undo = undone.iter().rev().find(|(undone, _)| *undone == id).map(|(_, entry)| *entry);
        let one = ImportSeen {
            id: id.clone(),
            tenant: spool.origin.tenant.to_string(),
            facility: spool.origin.facility.to_string(),
            committed_at: None,
            by: None,
            reason: None,
            readings: None,
            from: None,
            to: None,
            files: Vec::new(),
            undone_at: undo.and_then(|entry| at(entry.account.at_ms)),
            undone_by: undo.map(|entry| entry.account.actor.clone()),
            can_be_undone: numbers(&spool.spool_id).contains(&spool.ack.highest_seq),
        };
        unplanned.insert(id, one);
    }
    seen.extend(unplanned.into_values());
    seen
}
