//! `POST /v1/imports`: the body is the file.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use ids::Slug;
use jiff::tz::TimeZone;
use serde::Deserialize;
use units::Unit;

use super::{Admin, Problem};
use crate::import::{Import, ImportError, Imported};

/// What the file is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    tenant: Slug,
    facility: Slug,
    device: Slug,
    point: String,
    /// A symbol: `kWh`, `degF`.
    unit: Option<String>,
    /// The value column.
    column: Option<String>,
    /// An IANA zone, for times that do not say theirs.
    zone: Option<String>,
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Csv,
    Parquet,
}

impl Params {
    fn import(&self) -> Result<Import, Problem> {
        let bad = |code, detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
        let unit = self.unit.as_deref().map(|symbol| {
            Unit::from_symbol(symbol).ok_or_else(|| bad("unit", format!("`{symbol}` is not the symbol of a unit, like kWh or degF")))
        });
        let zone = self.zone.as_deref().map(|name| TimeZone::get(name).map_err(|err| bad("zone", err.to_string())));
        Ok(Import {
            tenant: self.tenant.clone(),
            facility: self.facility.clone(),
            device: self.device.clone(),
            point: self.point.clone(),
            unit: unit.transpose()?,
            column: self.column.clone(),
            zone: zone.transpose()?,
        })
    }
}

pub(super) async fn post(State(admin): State<Admin>, Query(params): Query<Params>, body: Bytes) -> Result<Json<Imported>, Problem> {
    let import = params.import()?;
    let now = admin.clock.now();
    let imported = admin
        .blocking(move |store| match params.format {
            Format::Csv => import.csv(store, &body, now),
            Format::Parquet => import.parquet(store, body, now),
        })
        .await?;
    imported.map(Json).map_err(|err| match err {
        ImportError::Store(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store", daemon::chain(&err)),
        _ => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "file", daemon::chain(&err)),
    })
}
