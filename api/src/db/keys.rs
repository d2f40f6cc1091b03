//! Tenants and the keys that speak for them.

use ids::{ApiKeyId, Slug, TenantId};
use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx, row};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything of its tenant.
    Admin,
    /// Reads everything of its tenant and changes nothing.
    Auditor,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "admin" => Ok(Self::Admin),
            "auditor" => Ok(Self::Auditor),
            _ => Err(()),
        }
    }
}

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) tenant: TenantId,
    pub(crate) tenant_slug: Slug,
    pub(crate) key: ApiKeyId,
    pub(crate) role: Role,
}

/// The digest under which a key is kept. Keys are long and random, so a plain hash suffices.
pub(crate) fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Who the key with this digest speaks for, unless it was revoked.
pub(crate) async fn caller_of_key(db: impl SqliteExecutor<'_>, sha256: &[u8; 32]) -> Result<Option<Caller>, DbError> {
    let found = sqlx::query(
        "SELECT k.id, k.role, t.id AS tenant_id, t.slug FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
         WHERE k.sha256 = ? AND k.revoked_ms IS NULL",
    )
    .bind(sha256.as_slice())
    .fetch_optional(db)
    .await?;
    found
        .map(|found| {
            Ok(Caller {
                tenant: row::word(&found, "tenant_id", "a tenant")?,
                tenant_slug: row::word(&found, "slug", "a short name")?,
                key: row::word(&found, "id", "a key")?,
                role: row::word(&found, "role", "a role")?,
            })
        })
        .transpose()
}

/// The tenant with this short name.
pub(crate) async fn tenant_by_slug(db: impl SqliteExecutor<'_>, slug: &Slug) -> Result<Option<TenantId>, DbError> {
    let found = sqlx::query("SELECT id FROM tenants WHERE slug = ?").bind(slug.as_str()).fetch_optional(db).await?;
    found.map(|found| row::word(&found, "id", "a tenant")).transpose()
}

/// The name of a tenant, for people.
pub(crate) async fn tenant_name(db: impl SqliteExecutor<'_>, id: TenantId) -> Result<Option<String>, DbError> {
    let found = sqlx::query("SELECT name FROM tenants WHERE id = ?").bind(id.to_string()).fetch_optional(db).await?;
    found.map(|found| Ok(found.try_get("name")?)).transpose()
}

/// Every tenant, with its short name.
pub(crate) async fn tenants(db: impl SqliteExecutor<'_>) -> Result<Vec<(TenantId, Slug)>, DbError> {
    let found = sqlx::query("SELECT id, slug FROM tenants ORDER BY slug").fetch_all(db).await?;
    found.iter().map(|found| Ok((row::word(found, "id", "a tenant")?, row::word(found, "slug", "a short name")?))).collect()
}

/// Adds a tenant.
pub(crate) async fn insert_tenant(tx: &mut Tx, id: TenantId, slug: &Slug, name: &str, now_ms: i64) -> Result<(), DbError> {
    sqlx::query("INSERT INTO tenants (id, slug, name, created_ms) VALUES (?, ?, ?, ?)")
        .bind(id.to_string())
        .bind(slug.as_str())
        .bind(name)
        .bind(now_ms)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Adds a key, of which only the digest and the first letters are kept.
pub(crate) async fn insert_key(tx: &mut Tx, id: ApiKeyId, tenant: TenantId, key: &str, role: Role, now_ms: i64) -> Result<(), DbError> {
    let prefix: String = key.chars().take(8).collect();
    sqlx::query("INSERT INTO api_keys (id, tenant_id, prefix, sha256, role, created_ms) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(id.to_string())
        .bind(tenant.to_string())
        .bind(prefix)
        .bind(digest(key).to_vec())
        .bind(role.name())
        .bind(now_ms)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whether the database answers.
pub(crate) async fn is_alive(db: impl SqliteExecutor<'_>) -> Result<(), DbError> {
    let one = sqlx::query("SELECT count(*) AS n FROM tenants").fetch_one(db).await?;
    one.try_get::<i64, _>("n")?;
    Ok(())
}
