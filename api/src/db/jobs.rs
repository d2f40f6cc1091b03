//! Work to be done in the background, enqueued in the transaction that makes it necessary.

use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx, row};

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Looks at a webhook.
    Inbox,
    /// Follows a payment to its end.
    Payment,
    /// Transfers a payout.
    Payout,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Payment => "payment",
            Self::Payout => "payout",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Inbox, Self::Payment, Self::Payout].into_iter().find(|kind| kind.name() == text).ok_or(())
    }
}

/// A job taken for execution.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) kind: Kind,
    pub(crate) subject: String,
    /// Failures before this execution.
    pub(crate) attempts: i64,
}

/// Enqueues a job, unless a live one does the same already.
pub(crate) async fn enqueue(tx: &mut Tx, kind: Kind, subject: &str, run_at_ms: i64) -> Result<(), DbError> {
    sqlx::query("INSERT INTO jobs (kind, subject, state, run_at_ms, created_ms) VALUES (?, ?, 'queued', ?, ?) ON CONFLICT DO NOTHING")
        .bind(kind.name())
        .bind(subject)
        .bind(run_at_ms)
        .bind(run_at_ms)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes the next due job under a lease; one whose lease ran out counts as due.
pub(crate) async fn take(tx: &mut Tx, now_ms: i64, lease_ms: i64) -> Result<Option<Job>, DbError> {
    let found = sqlx::query(
        "UPDATE jobs SET state = 'running', lease_ms = ?2 WHERE id = (
             SELECT id FROM jobs WHERE (state = 'queued' AND run_at_ms <= ?1) OR (state = 'running' AND lease_ms <= ?1)
             ORDER BY run_at_ms, id LIMIT 1)
         RETURNING id, kind, subject, attempts",
    )
    .bind(now_ms)
    .bind(now_ms + lease_ms)
    .fetch_optional(&mut **tx)
    .await?;
    found
        .map(|found| {
            Ok(Job {
                id: found.try_get("id")?,
                kind: row::word(&found, "kind", "a kind of job")?,
                subject: found.try_get("subject")?,
                attempts: found.try_get("attempts")?,
            })
        })
        .transpose()
}

/// The job has done its work.
pub(crate) async fn done(tx: &mut Tx, id: i64) -> Result<(), DbError> {
    sqlx::query("UPDATE jobs SET state = 'done', lease_ms = NULL WHERE id = ?").bind(id).execute(&mut **tx).await?;
    Ok(())
}

/// The job did what it could for now and looks again later; that is no failure.
pub(crate) async fn again(tx: &mut Tx, id: i64, run_at_ms: i64) -> Result<(), DbError> {
    sqlx::query("UPDATE jobs SET state = 'queued', lease_ms = NULL, run_at_ms = ?, attempts = 0, failure = NULL WHERE id = ?")
        .bind(run_at_ms)
        .bind(id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The job failed: it runs again later, or lies dead until somebody looks (`run_at_ms` of none).
pub(crate) async fn failed(tx: &mut Tx, id: i64, run_at_ms: Option<i64>, failure: &str) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE jobs SET state = CASE WHEN ?2 IS NULL THEN 'dead' ELSE 'queued' END, lease_ms = NULL,
             run_at_ms = coalesce(?2, run_at_ms), attempts = attempts + 1, failure = ?3 WHERE id = ?1",
    )
    .bind(id)
    .bind(run_at_ms)
    .bind(failure)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// When the next job is due; none when nothing waits.
pub(crate) async fn next_due(db: impl SqliteExecutor<'_>) -> Result<Option<i64>, DbError> {
    let found = sqlx::query("SELECT min(run_at_ms) AS due FROM jobs WHERE state = 'queued'").fetch_one(db).await?;
    Ok(found.try_get("due")?)
}

/// How many jobs are in each state.
pub(crate) async fn counts(db: impl SqliteExecutor<'_>) -> Result<Vec<(String, i64)>, DbError> {
    let found = sqlx::query("SELECT state, count(*) AS n FROM jobs GROUP BY state ORDER BY state").fetch_all(db).await?;
    found.iter().map(|found| Ok((found.try_get("state")?, found.try_get("n")?))).collect()
}
