//! `/v1/imports`: what `negawatt import` does, asked of the collector that has the store: files, a plan, its commit, its undo.
//!
//! ```text
//! POST /v1/imports/files?name=meter.csv     the body is the file         -> its hash
//! POST /v1/imports/plans                    mapping, hashes of files     -> the plan, and every fault
//! POST /v1/imports/plans/{id}/commit        who answers for it           -> what was stored
//! GET  /v1/imports                          every import
//! POST /v1/imports/{id}/undo                who answers for it           -> what was taken back
//! ```

use std::future::poll_fn;
use std::path::{Path as FilePath, PathBuf};
use std::pin::Pin;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use futures_util::Stream;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{AmendError, Reader, Store};
use tokio::sync::mpsc;

use super::{Admin, Problem};
use crate::import::bulk::{
    CarryError, CommitOptions, CommitPlanError, Fault, Mapping, Plan, PlanError, Prepared, Request, UndoError, UndoOptions, imports, undo,
};
use crate::import::stage::{Stage, StageError};

/// Parts of a body that wait to be written.
const PARTS_MAX: usize = 4;
/// What faults of a mapping call its file.
const MAPPING: &str = "mapping";

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    name: String,
}

/// What is to be planned.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// TOML, as `negawatt import --mapping` reads it.
    mapping: String,
    /// Hashes of files that came before.
    files: Vec<String>,
    #[serde(default)]
    accept_faults: bool,
}

/// Who answers for a change.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answers {
    actor: String,
    reason: Option<String>,
    #[serde(default)]
    approval: String,
    /// Of a commit: bring back what was undone.
    #[serde(default)]
    again: bool,
}

impl Answers {
    fn checked(self) -> Result<Self, Problem> {
        if self.actor.trim().is_empty() {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "account", "`actor` has to say who answers for it"));
        }
        Ok(self)
    }
}

impl Admin {
    /// Runs something that holds all readings of an import in memory: one at a time, whoever else asks waits.
    async fn importing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store, &Stage) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.imports.clone().acquire_owned().await.map_err(|_closed| Problem::bug("nobody imports any more"))?;
        let work = move |store: &Store| {
            // Kept until it is done, though whoever asked may have gone.
            let _turn = turn;
            work(store, &Stage::of(store.dir()))
        };
        self.blocking(work).await?
    }
}

/// Takes a file as it comes, without holding it in memory.
pub(super) async fn upload(
    State(admin): State<Admin>,
    Query(Named { name }): Query<Named>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (parts, mut coming) = mpsc::channel::<Option<bytes::Bytes>>(PARTS_MAX);
    let (stage, now) = (Stage::of(admin.store.dir()), admin.clock.now());
    let kept = tokio::task::spawn_blocking(move || {
        let mut upload = stage.begin(&name, now)?;
        while let Some(part) = coming.blocking_recv() {
            match part {
                Some(part) => upload.write(&part)?,
                None => return upload.finish(),
            }
        }
        Err(StageError::Cut)
    });
    let mut stream = body.into_data_stream();
    loop {
        let part = match poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
            Some(Ok(part)) => Some(part),
            Some(Err(_cut)) => break,
            None => None,
        };
        let is_last = part.is_none();
        // Whoever writes it has refused: its reason comes below.
        if parts.send(part).await.is_err() || is_last {
            break;
        }
    }
    drop(parts);
    let staged = kept.await.map_err(|_panicked| Problem::bug("the work has panicked"))?.map_err(|err| of_stage(&err))?;
    let mut answer = json!({ "schema": "negawatt.import.file/1" });
    merge(&mut answer, json!(staged));
    Ok((StatusCode::CREATED, Json(answer)))
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}

pub(super) async fn plan(State(admin): State<Admin>, Json(asked): Json<Asked>) -> Result<Json<Value>, Problem> {
    let now = admin.clock.now();
    let work = move |store: &Store, stage: &Stage| {
        let Asked { mapping: text, files, accept_faults } = asked;
        let mapping_path = FilePath::new(MAPPING);
        let mapping = Mapping::parse(mapping_path, &text).map_err(|faults| refused("mapping", faults.to_string()))?;
        let found: Result<Vec<PathBuf>, StageError> = files.iter().map(|hash| stage.file(hash)).collect();
        let files = found.map_err(|err| of_stage(&err))?;
        let request =
            Request { files: &files, mapping_path, mapping_text: &text, mapping: &mapping, store: store.dir(), accept_faults, now };
        let prepared = Prepared::new(&request).map_err(of_plan)?;
        stage.keep(&prepared.plan).map_err(|err| of_stage(&err))?;
        let (faults, untold) = (named(prepared.checked.faults.told), prepared.plan.untold());
        Ok::<_, Problem>(Json(json!({
            "schema": "negawatt.import.planned/1", "plan": shown(prepared.plan), "faults": faults, "faults_untold": untold,
        })))
    };
    admin.importing(work).await
}

/// A plan that waits for its commit.
pub(super) async fn planned(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Plan>, Problem> {
    let found = admin.blocking(move |store| Stage::of(store.dir()).plan(&id)).await?;
    found.map(|plan| Json(shown(plan))).map_err(|err| of_stage(&err))
}

pub(super) async fn commit(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Json(answers): Json<Answers>,
) -> Result<Json<Value>, Problem> {
    let (Answers { actor, reason, approval, again }, now) = (answers.checked()?, admin.clock.now());
    let work = move |store: &Store, stage: &Stage| {
        let plan = stage.plan(&id).map_err(|err| of_stage(&err))?;
        let committed = plan.commit(store, &CommitOptions { actor, reason, approval, again, now }).map_err(|err| of_commit(&err))?;
        Ok::<_, Problem>(Json(json!({ "schema": "negawatt.import.committed/1", "import": committed })))
    };
    admin.importing(work).await
}

pub(super) async fn list(State(admin): State<Admin>) -> Result<Json<Value>, Problem> {
    let listed = admin.blocking(|store| Reader::open(store.dir()).map(|reader| imports(&reader))).await?;
    let imports = listed.map_err(|err| unread(&err))?;
    Ok(Json(json!({ "schema": "negawatt.imports/1", "imports": imports })))
}

pub(super) async fn take_back(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Json(answers): Json<Answers>,
) -> Result<Json<Value>, Problem> {
    let (Answers { actor, reason, approval, .. }, now) = (answers.checked()?, admin.clock.now());
    let reason = reason.unwrap_or_else(|| "import undone".to_owned());
    let work = move |store: &Store, _stage: &Stage| {
        let undone = undo(store, &id, &UndoOptions { actor, reason, approval, now }).map_err(|err| of_undo(&err))?;
        Ok::<_, Problem>(Json(json!({ "schema": "negawatt.import.undone/1", "import": undone })))
    };
    admin.importing(work).await
}

/// Where files lie here is nobody's business: they are called as they came.
fn shown(mut plan: Plan) -> Plan {
    for file in &mut plan.files {
        file.path = file.path.file_name().map_or_else(|| file.path.clone(), PathBuf::from);
    }
    plan
}

fn named(mut faults: Vec<Fault>) -> Vec<Fault> {
    for fault in &mut faults {
        fault.file = name_of(FilePath::new(&fault.file));
    }
    faults
}

fn name_of(path: &FilePath) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn refused(code: &'static str, detail: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
}

fn conflict(code: &'static str, err: &dyn std::error::Error) -> Problem {
    Problem::new(StatusCode::CONFLICT, code, daemon::chain(err))
}

fn unread(err: &dyn std::error::Error) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store", daemon::chain(err))
}

fn of_stage(err: &StageError) -> Problem {
    let (status, code) = match err {
        StageError::Name { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "name"),
        StageError::Empty | StageError::Cut => (StatusCode::BAD_REQUEST, "body"),
        StageError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "size"),
        StageError::TooMany { .. } => (StatusCode::CONFLICT, "waiting"),
        StageError::NoRoom => (StatusCode::INSUFFICIENT_STORAGE, "room"),
        StageError::Unknown { what, .. } => (StatusCode::NOT_FOUND, *what),
        StageError::Io { .. } => (StatusCode::SERVICE_UNAVAILABLE, "store"),
        StageError::Plan(err) => return of_commit(err),
    };
    Problem::new(status, code, daemon::chain(err))
}

fn of_plan(err: PlanError) -> Problem {
    match err {
        PlanError::Nothing { faults, count } => {
            let untold = count.saturating_sub(faults.len() as u64);
            let problem = refused("faults", "the files have no reading that could be taken".to_owned());
            problem.with("faults", json!(named(faults))).with("faults_untold", untold.into())
        }
        PlanError::Source { path, err } => refused("file", format!("{}: {}", name_of(&path), daemon::chain(&err))),
        PlanError::Files { .. } => refused("files", err.to_string()),
        PlanError::Store(_) | PlanError::Segment(_) => unread(&err),
    }
}

fn of_amend(err: &AmendError) -> Option<Problem> {
    match err {
        AmendError::Sealed { .. } => Some(conflict("sealed", err)),
        AmendError::Unaccounted => Some(refused("account", daemon::chain(err))),
        _ => None,
    }
}

fn of_commit(err: &CommitPlanError) -> Problem {
    match err {
        CommitPlanError::Faults { .. } => conflict("faults", err),
        CommitPlanError::Undone { .. } => {
            Problem::new(StatusCode::CONFLICT, "undone", daemon::chain(err).replace("add --again", "say \"again\": true"))
        }
        CommitPlanError::Source { path, err } => {
            Problem::new(StatusCode::CONFLICT, "file", format!("{}: {}", name_of(path), daemon::chain(err)))
        }
        CommitPlanError::Changed { path } => {
            Problem::new(StatusCode::CONFLICT, "file", format!("{} is not the file that was planned: plan again", name_of(path)))
        }
        CommitPlanError::Open(_) | CommitPlanError::Segment(_) => unread(err),
        CommitPlanError::Carry(CarryError::Amend(cause)) => of_amend(cause).unwrap_or_else(|| unread(err)),
        CommitPlanError::Carry(_) => unread(err),
        _ => conflict("plan", err),
    }
}

fn of_undo(err: &UndoError) -> Problem {
    match err {
        UndoError::Unknown { .. } => Problem::new(StatusCode::NOT_FOUND, "import", daemon::chain(err)),
        UndoError::Several { .. } | UndoError::Unnumbered { .. } | UndoError::Later { .. } => conflict("import", err),
        UndoError::Amend(cause) => of_amend(cause).unwrap_or_else(|| unread(err)),
        UndoError::Open(_) | UndoError::Segment(_) | UndoError::Flush(_) => unread(err),
    }
}
