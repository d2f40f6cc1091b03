//! Baselines: which data was qualified, what was fitted, and who has verified it.

use evidence::{BaselineInputs, Series};
use ids::{BaselineId, FacilityId, Slug, TenantId};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx, Window, row};

/// Whether bills may rest on a baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    Unverified,
    Verified,
    Rejected,
}

impl Verification {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::Rejected => "rejected",
        }
    }
}

impl std::str::FromStr for Verification {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Unverified, Self::Verified, Self::Rejected].into_iter().find(|state| state.name() == text).ok_or(())
    }
}

/// Where the data of a baseline comes from; the series have no rows here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sources {
    pub(crate) baseline: BaselineInputs,
    pub(crate) weather: Series,
}

/// A stored baseline.
#[derive(Clone, Debug)]
pub(crate) struct StoredBaseline {
    pub(crate) id: BaselineId,
    pub(crate) facility: FacilityId,
    pub(crate) method: String,
    pub(crate) meters: Vec<Slug>,
    pub(crate) weather: Slug,
    /// First local day.
    pub(crate) period_start: Date,
    /// The local day after the last.
    pub(crate) period_end: Date,
    pub(crate) verification: Verification,
    pub(crate) verified_by: Option<String>,
    pub(crate) verified_ms: Option<i64>,
    /// Which series were read, and how they are fitted; their rows stay in the store.
    pub(crate) inputs: Sources,
    /// Quality figures and the candidates, for people.
    pub(crate) summary: Value,
    /// The fitted model, as the calculator writes it.
    pub(crate) fit: Value,
    /// SHA-256 over the sources and their rows; the model follows from them.
    pub(crate) digest: String,
    pub(crate) created_ms: i64,
}

fn baseline(row: &SqliteRow) -> Result<StoredBaseline, DbError> {
    Ok(StoredBaseline {
        id: row::word(row, "id", "a baseline")?,
        facility: row::word(row, "facility_id", "a facility")?,
        method: row.try_get("method")?,
        meters: row::document(row, "meters")?,
        weather: row::word(row, "weather", "a short name")?,
        period_start: row::word(row, "period_start", "a date")?,
        period_end: row::word(row, "period_end", "a date")?,
        verification: row::word(row, "verification_status", "a verification status")?,
        verified_by: row.try_get("verified_by")?,
        verified_ms: row.try_get("verified_ms")?,
        inputs: row::document(row, "inputs")?,
        summary: row::document(row, "summary")?,
        fit: row::document(row, "fit")?,
        digest: row.try_get("digest")?,
        created_ms: row.try_get("created_ms")?,
    })
}

/// Adds a baseline nobody has verified yet.
pub(crate) async fn insert(tx: &mut Tx, tenant: TenantId, baseline: &StoredBaseline) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO baselines (id, tenant_id, facility_id, method, meters, weather, period_start, period_end, inputs, summary, fit, digest, created_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(baseline.id.to_string())
    .bind(tenant.to_string())
    .bind(baseline.facility.to_string())
    .bind(&baseline.method)
    .bind(row::text_of(&baseline.meters, "meters")?)
    .bind(baseline.weather.as_str())
    .bind(baseline.period_start.to_string())
    .bind(baseline.period_end.to_string())
    .bind(row::text_of(&baseline.inputs, "inputs")?)
    .bind(row::text_of(&baseline.summary, "summary")?)
    .bind(row::text_of(&baseline.fit, "fit")?)
    .bind(&baseline.digest)
    .bind(baseline.created_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The baseline with this identifier.
pub(crate) async fn by_id(db: impl SqliteExecutor<'_>, tenant: TenantId, id: BaselineId) -> Result<Option<StoredBaseline>, DbError> {
    let found = sqlx::query("SELECT * FROM baselines WHERE tenant_id = ? AND id = ?")
        .bind(tenant.to_string())
        .bind(id.to_string())
        .fetch_optional(db)
        .await?;
    found.as_ref().map(baseline).transpose()
}

/// The tenant's baselines, oldest first.
pub(crate) async fn list(db: impl SqliteExecutor<'_>, tenant: TenantId, window: &Window) -> Result<Vec<StoredBaseline>, DbError> {
    let found = sqlx::query("SELECT * FROM baselines WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?")
        .bind(tenant.to_string())
        .bind(&window.after)
        .bind(window.limit)
        .fetch_all(db)
        .await?;
    found.iter().map(baseline).collect()
}

/// Records a verdict; whether there was an unverified baseline to record it on.
pub(crate) async fn record_verdict(
    tx: &mut Tx,
    tenant: TenantId,
    id: BaselineId,
    verdict: Verification,
    by: &str,
    now_ms: i64,
) -> Result<bool, DbError> {
    let changed = sqlx::query(
        "UPDATE baselines SET verification_status = ?, verified_by = ?, verified_ms = ?
         WHERE tenant_id = ? AND id = ? AND verification_status = 'unverified'",
    )
    .bind(verdict.name())
    .bind(by)
    .bind(now_ms)
    .bind(tenant.to_string())
    .bind(id.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(changed.rows_affected() == 1)
}
