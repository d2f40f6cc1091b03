//! From a plan to the store.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use store::{Account, AmendError, Amendment, CommitError, FlushError, Imported, OpenError, Reader, SegmentError, Store};
use units::Reason;

use super::check::Checked;
use super::compare::{Comparison, Fate};
use super::history::{self, Document, State};
use super::mapping::{Contradictions, Mapping};
use super::plan::{Plan, SCHEMA};
use super::{SourceError, gather};
use crate::counted::Counted;
use crate::import::series::{BATCH_ROWS, Bulk, Taken};

/// How an amendment of an import is told from those of people and of methods.
pub(super) const RETURNED: [Reason; 2] = [Reason::Substituted, Reason::Late];

/// Who commits, and why.
#[derive(Clone, Debug)]
pub(crate) struct CommitOptions {
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
    pub(crate) approval: String,
    /// Bring back what was undone.
    pub(crate) again: bool,
    pub(crate) now: Timestamp,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Committed {
    pub(crate) id: String,
    /// False when all of it was there before.
    pub(crate) changed: bool,
    pub(crate) accepted: u64,
    pub(crate) duplicate: u64,
    pub(crate) conflict: u64,
    pub(crate) brought_back: u64,
    /// The entry of the audit log that says so.
    pub(crate) audit_entry: Option<u64>,
}

/// Why a plan was not committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitPlanError {
    #[error("{} is no plan of an import", path.display())]
    NoPlan {
        path: PathBuf,
        #[source]
        err: serde_json::Error,
    },
    #[error("{} is a plan of another version: `{found}`", path.display())]
    Schema { path: PathBuf, found: String },
    #[error("the plan has {}: correct the files or the mapping, or plan again with --accept-faults", Counted(*count, "fault"))]
    Faults { count: u64 },
    #[error("{} is not the file that was planned: plan again", path.display())]
    Changed { path: PathBuf },
    #[error("the mapping in the plan is not what was planned: plan again")]
    Mapping(#[source] config::Faults),
    #[error("{}", path.display())]
    Source {
        path: PathBuf,
        #[source]
        err: SourceError,
    },
    #[error("the files say {found}, and {planned} was planned: plan again")]
    Identity { planned: String, found: String },
    #[error("in contradiction to what has been stored since the plan was made: {}; plan again", Counted(*count, "reading"))]
    Contradicting { count: u64 },
    #[error("the import {id} was undone by {by} at {at}: add --again to bring its readings back")]
    Undone { id: String, by: String, at: Timestamp },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("could not read what is stored")]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Carry(#[from] CarryError),
}

/// Why the store does not take an import.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CarryError {
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Amend(#[from] AmendError),
    #[error(transparent)]
    Flush(#[from] FlushError),
}

/// Readings on their way into the store, and everything that is said of them there.
#[derive(Debug)]
pub(crate) struct Carry<'a> {
    pub(crate) bulk: &'a Bulk,
    pub(crate) comparison: &'a Comparison,
    /// Whether values that contradict stored ones are kept beside them.
    pub(crate) keep: bool,
    pub(crate) options: &'a CommitOptions,
    pub(crate) reason: String,
    /// SHA-256 of each file.
    pub(crate) files: Vec<String>,
    /// Whether the audit log has this import, and no undo of it.
    pub(crate) recorded: bool,
}

impl Carry<'_> {
    /// Commits what is new, amends where nothing was left, and says so in the audit log. Done again, it changes nothing.
    pub(crate) fn out(&self, store: &Store) -> Result<Committed, CarryError> {
        let Taken { accepted, duplicate, conflict } =
            self.bulk.commit(store, |series, place| match self.comparison.fate(series, place) {
                Fate::New | Fate::Same => true,
                Fate::Contradicts => self.keep,
                Fate::Silent | Fate::Returns => false,
            })?;
        let brought_back = self.bring_back(store)?;
        let (id, changed) = (self.bulk.content_id(), accepted + brought_back > 0);
        let mut audit_entry = None;
        if let Some((from_ms, to_ms)) = self.bulk.range().filter(|_| changed || !self.recorded) {
            let entry = store.attest(&Imported {
                tenant: self.bulk.tenant.clone(),
                facility: self.bulk.facility.clone(),
                from_ms,
                to_ms,
                rows: accepted + brought_back + duplicate,
                digest: id.0,
                account: self.account(&Document::Committed { id: id.text(), files: self.files.clone() }),
            })?;
            audit_entry = Some(entry.number);
        }
        store.flush()?;
        Ok(Committed { id: id.text(), changed, accepted, duplicate, conflict, brought_back, audit_entry })
    }

    /// Amends the readings that have no value.
    fn bring_back(&self, store: &Store) -> Result<u64, AmendError> {
        let mut brought_back = 0;
        for (index, series) in self.bulk.series.iter().enumerate() {
            let returning = |place: &usize| self.comparison.fate(index, *place) == Fate::Returns;
            let returning: Vec<usize> = (0..series.readings.len()).filter(returning).collect();
            for places in returning.chunks(BATCH_ROWS) {
                let mut rows: Vec<_> = places.iter().filter_map(|place| series.readings.get(*place)).map(|one| series.row(one)).collect();
                rows.iter_mut().for_each(|row| row.quality = RETURNED.iter().fold(row.quality, |quality, reason| quality.with(*reason)));
                let (tenant, facility) = (self.bulk.tenant.clone(), self.bulk.facility.clone());
                let account = self.account(&Document::Returned { id: self.bulk.content_id().text() });
                brought_back += store.amend(&Amendment { tenant, facility, rows, account })?.rows;
            }
        }
        Ok(brought_back)
    }

    fn account(&self, document: &Document) -> Account {
        Account {
            actor: self.options.actor.clone(),
            reason: self.reason.clone(),
            document: document.text(),
            approval: self.options.approval.clone(),
            at_ms: self.options.now.as_millisecond(),
        }
    }
}

impl Plan {
    /// Reads the text of a plan.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, CommitPlanError> {
        let plan: Self = serde_json::from_str(text).map_err(|err| CommitPlanError::NoPlan { path: path.to_owned(), err })?;
        if plan.schema != SCHEMA {
            return Err(CommitPlanError::Schema { path: path.to_owned(), found: plan.schema });
        }
        Ok(plan)
    }

    /// Reads the files again and stores what was planned. Committed again, it changes nothing.
    pub(crate) fn commit(&self, store: &Store, options: &CommitOptions) -> Result<Committed, CommitPlanError> {
        let (mapping, checked) = self.read_again()?;
        let reader = Reader::open(store.dir())?;
        if let State::Undone { by, at } = history::state(&reader, &self.id)
            && !options.again
        {
            return Err(CommitPlanError::Undone { id: self.id.clone(), by, at });
        }
        let comparison = Comparison::with(&checked.bulk, &reader)?;
        let contradicting = comparison.count(Fate::Contradicts);
        if contradicting > self.contradicting {
            return Err(CommitPlanError::Contradicting { count: contradicting - self.contradicting });
        }
        let carry = Carry {
            bulk: &checked.bulk,
            comparison: &comparison,
            keep: mapping.contradictions == Contradictions::Keep,
            options,
            reason: options.reason.clone().unwrap_or_else(|| self.said()),
            files: self.files.iter().map(|file| file.sha256.clone()).collect(),
            recorded: history::state(&reader, &self.id) == State::Committed,
        };
        Ok(carry.out(store)?)
    }

    /// What the audit log says where nobody has given a reason.
    fn said(&self) -> String {
        let names: Vec<String> =
            self.files.iter().map(|file| file.path.file_name().unwrap_or_default().to_string_lossy().into_owned()).collect();
        format!("bulk import of {}", names.join(", "))
    }

    /// The readings of the plan, from its files.
    fn read_again(&self) -> Result<(Mapping, Checked), CommitPlanError> {
        if self.fault_count() > 0 && !self.accept_faults {
            return Err(CommitPlanError::Faults { count: self.fault_count() });
        }
        let mapping = Mapping::parse(&self.mapping.path, &self.mapping.text).map_err(CommitPlanError::Mapping)?;
        let files: Vec<PathBuf> = self.files.iter().map(|file| file.path.clone()).collect();
        let gathered = gather(&files, &mapping, self.made_at);
        let (seen, checked, _unasked) = gathered.map_err(|(path, err)| CommitPlanError::Source { path, err })?;
        for (seen, planned) in seen.iter().zip(&self.files) {
            if seen.sha256 != planned.sha256 {
                return Err(CommitPlanError::Changed { path: planned.path.clone() });
            }
        }
        let found = checked.bulk.content_id().text();
        if found == self.id { Ok((mapping, checked)) } else { Err(CommitPlanError::Identity { planned: self.id.clone(), found }) }
    }
}
