//! Facilities and their devices.

use ids::{DeviceId, FacilityId, Slug, TenantId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteExecutor};

use super::{DbError, Tx, Window, row};

/// A building or plant.
#[derive(Clone, Debug)]
pub(crate) struct Facility {
    pub(crate) id: FacilityId,
    pub(crate) slug: Slug,
    pub(crate) name: String,
    pub(crate) zone: String,
    pub(crate) created_ms: i64,
}

/// A meter, a weather source or a sensor.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) facility: FacilityId,
    pub(crate) slug: Slug,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) profile: Option<String>,
    pub(crate) created_ms: i64,
}

fn facility(row: &SqliteRow) -> Result<Facility, DbError> {
    Ok(Facility {
        id: row::word(row, "id", "a facility")?,
        slug: row::word(row, "slug", "a short name")?,
        name: row.try_get("name")?,
        zone: row.try_get("zone")?,
        created_ms: row.try_get("created_ms")?,
    })
}

fn device(row: &SqliteRow) -> Result<Device, DbError> {
    Ok(Device {
        id: row::word(row, "id", "a device")?,
        facility: row::word(row, "facility_id", "a facility")?,
        slug: row::word(row, "slug", "a short name")?,
        name: row.try_get("name")?,
        kind: row.try_get("kind")?,
        profile: row.try_get("profile")?,
        created_ms: row.try_get("created_ms")?,
    })
}

/// Adds a facility.
pub(crate) async fn insert(tx: &mut Tx, tenant: TenantId, facility: &Facility) -> Result<(), DbError> {
    sqlx::query("INSERT INTO facilities (id, tenant_id, slug, name, zone, created_ms) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(facility.id.to_string())
        .bind(tenant.to_string())
        .bind(facility.slug.as_str())
        .bind(&facility.name)
        .bind(&facility.zone)
        .bind(facility.created_ms)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The facility with this identifier.
pub(crate) async fn by_id(db: impl SqliteExecutor<'_>, tenant: TenantId, id: FacilityId) -> Result<Option<Facility>, DbError> {
    let found = sqlx::query("SELECT * FROM facilities WHERE tenant_id = ? AND id = ?")
        .bind(tenant.to_string())
        .bind(id.to_string())
        .fetch_optional(db)
        .await?;
    found.as_ref().map(facility).transpose()
}

/// The tenant's facilities, oldest first.
pub(crate) async fn list(db: impl SqliteExecutor<'_>, tenant: TenantId, window: &Window) -> Result<Vec<Facility>, DbError> {
    let found = sqlx::query("SELECT * FROM facilities WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?")
        .bind(tenant.to_string())
        .bind(&window.after)
        .bind(window.limit)
        .fetch_all(db)
        .await?;
    found.iter().map(facility).collect()
}

/// Adds a device.
pub(crate) async fn insert_device(tx: &mut Tx, tenant: TenantId, device: &Device) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO devices (id, tenant_id, facility_id, slug, name, kind, profile, created_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(device.id.to_string())
    .bind(tenant.to_string())
    .bind(device.facility.to_string())
    .bind(device.slug.as_str())
    .bind(&device.name)
    .bind(&device.kind)
    .bind(&device.profile)
    .bind(device.created_ms)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The devices of a facility, oldest first.
pub(crate) async fn devices(
    db: impl SqliteExecutor<'_>,
    tenant: TenantId,
    facility: FacilityId,
    window: &Window,
) -> Result<Vec<Device>, DbError> {
    let found = sqlx::query("SELECT * FROM devices WHERE tenant_id = ? AND facility_id = ? AND id > ? ORDER BY id LIMIT ?")
        .bind(tenant.to_string())
        .bind(facility.to_string())
        .bind(&window.after)
        .bind(window.limit)
        .fetch_all(db)
        .await?;
    found.iter().map(device).collect()
}
