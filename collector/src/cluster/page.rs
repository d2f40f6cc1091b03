//! What a process of the group says of itself, whatever partitions it has.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use ids::Slug;
use serde_json::json;

use super::lease::{LeaseError, Leases};
use crate::admin::Problem;
use crate::config::ClusterConfig;

/// What of this process is shown.
#[derive(Debug)]
pub(super) struct Shown {
    node: String,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    partitions: BTreeMap<Slug, Partition>,
    /// Whether the leases have answered at least once.
    begun: bool,
    /// Why the leases cannot be asked.
    problem: Option<String>,
    lease_failures: u64,
}

#[derive(Debug, Default)]
struct Partition {
    /// Since it is ours.
    epoch: Option<i64>,
    taken: u64,
    /// Why it could not be served here the last time.
    problem: Option<String>,
}

impl Shown {
    pub(super) fn new(config: &ClusterConfig) -> Self {
        let partitions = config.partitions.iter().map(|one| (one.name.clone(), Partition::default())).collect();
        Self { node: config.node.clone(), now: Mutex::new(Now { partitions, ..Now::default() }) }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is ours, or no longer.
    pub(super) fn has(&self, name: &Slug, epoch: Option<i64>) {
        if let Some(partition) = self.now().partitions.get_mut(name) {
            partition.epoch = epoch;
            partition.taken += u64::from(epoch.is_some());
        }
    }

    pub(super) fn failed(&self, name: &Slug, problem: Option<String>) {
        if let Some(partition) = self.now().partitions.get_mut(name) {
            partition.problem = problem;
        }
    }

    /// How the last question to the leases ended.
    pub(super) fn database(&self, err: Option<&LeaseError>) {
        let mut now = self.now();
        now.begun |= err.is_none();
        now.problem = err.map(|err| daemon::chain(err));
        now.lease_failures += u64::from(err.is_some());
    }

    fn metrics(&self) -> String {
        let now = self.now();
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| {
            // A text in memory can be written to.
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").unwrap_or_default();
            for (labels, value) in samples {
                writeln!(text, "{name}{labels} {value}").unwrap_or_default();
            }
        };
        let each = |value: fn(&Partition) -> u64| -> Vec<(String, u64)> {
            now.partitions.iter().map(|(name, partition)| (format!("{{partition=\"{name}\"}}"), value(partition))).collect()
        };
        family("negawatt_partition_held", "gauge", "1 while the partition is read here.", &each(|one| u64::from(one.epoch.is_some())));
        family("negawatt_partition_taken_total", "counter", "How often the partition came here.", &each(|one| one.taken));
        let failures = [(String::new(), now.lease_failures)];
        family("negawatt_lease_failures_total", "counter", "Questions to the leases that were not answered.", &failures);
        text
    }
}

#[derive(Clone, Debug)]
struct Page {
    shown: Arc<Shown>,
    leases: Arc<Leases>,
}

pub(super) fn router(shown: Arc<Shown>, leases: Arc<Leases>) -> Router {
    let version = json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION"), "schema": wire::SCHEMA });
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/startupz", get(started))
        .route("/readyz", get(ready))
        .route("/version", get(async move || Json(version)))
        .route("/metrics", get(async |State(page): State<Page>| page.shown.metrics()))
        .route("/v1/cluster", get(cluster))
        .with_state(Page { shown, leases })
}

/// 200 once the leases have answered: a node that has no partition has started all the same.
async fn started(State(page): State<Page>) -> (StatusCode, &'static str) {
    if page.shown.now().begun {
        (StatusCode::OK, "started\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "nobody has said yet whose the partitions are: see /readyz\n")
    }
}

/// 200 while the leases answer and what is ours is served; otherwise 503 with the reasons, one a line.
async fn ready(State(page): State<Page>) -> (StatusCode, String) {
    let now = page.shown.now();
    let failed = now.partitions.iter().filter_map(|(name, one)| Some(format!("{name}: {}", one.problem.as_ref()?)));
    let reasons: Vec<String> = now.problem.iter().cloned().chain(failed).collect();
    if reasons.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n")))
    }
}

/// Who has what.
async fn cluster(State(page): State<Page>) -> Response {
    match page.leases.holders().await {
        Ok(holders) => Json(json!({ "node": page.shown.node, "partitions": holders })).into_response(),
        Err(err) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "leases_unreachable", daemon::chain(&err)).into_response(),
    }
}
