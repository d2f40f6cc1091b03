//! `/v1/facilities` and their devices.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ids::{DeviceId, FacilityId, Slug};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::command::{Command, Early, Unit};
use super::page::{Id, ListQuery, Page, Params, instant, single};
use super::problem::{Kind, Problem};
use super::shapes;
use crate::db::facilities as db;
use crate::db::keys::Caller;
use crate::state::Api;

/// A facility to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFacility {
    /// Its name in topics and in the store.
    #[schema(value_type = String, example = "north-hall")]
    slug: Slug,
    #[schema(example = "North Hall")]
    name: String,
    /// IANA name of the zone its days are counted in.
    #[schema(example = "America/Chicago")]
    zone: String,
}

/// A building or plant.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Facility {
    #[schema(value_type = String, example = "fac_0192f0c1d2e37abc8def0123456789ab")]
    id: FacilityId,
    #[schema(value_type = String)]
    slug: Slug,
    name: String,
    zone: String,
    created_at: String,
}

impl From<db::Facility> for Facility {
    fn from(stored: db::Facility) -> Self {
        let db::Facility { id, slug, name, zone, created_ms } = stored;
        Self { id, slug, name, zone, created_at: instant(created_ms) }
    }
}

/// Adds a facility.
#[utoipa::path(post, path = "/v1/facilities", tag = "facilities", request_body = NewFacility,
    responses((status = 201, body = Facility), (status = 409, body = super::problem::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn create(State(api): State<Api>, Command { ticket, input }: Command<NewFacility>) -> Result<Response, Early> {
    let mut unit = Unit::begin(&api, &ticket).await?;
    TimeZone::get(&input.zone)
        .map_err(|_| Problem::new(Kind::InvalidBody, format!("`{}` is not the IANA name of a zone, like America/Chicago", input.zone)))?;
    let facility = db::Facility {
        id: api.new_id(),
        slug: input.slug,
        name: shapes::name("name", &input.name)?,
        zone: input.zone,
        created_ms: unit.now_ms,
    };
    let tenant = unit.tenant();
    db::insert(&mut unit.tx, tenant, &facility).await?;
    unit.happened("facility.created", &facility.id.to_string()).await?;
    Ok(unit.finish(StatusCode::CREATED, &Facility::from(facility)).await?)
}

/// Lists the facilities.
#[utoipa::path(get, path = "/v1/facilities", tag = "facilities", params(ListQuery), responses((status = 200, body = Page<Facility>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<Facility>>, Problem> {
    let (window, rows) = query.window()?;
    let found = db::list(api.db.read(), caller.tenant, &window).await?;
    Ok(Page::cut(found.into_iter().map(Facility::from).collect(), rows, |facility| facility.id.to_string()))
}

/// Reads one facility.
#[utoipa::path(get, path = "/v1/facilities/{id}", tag = "facilities", params(("id" = String, Path)),
    responses((status = 200, body = Facility), (status = 404, body = super::problem::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn get(State(api): State<Api>, caller: Caller, Id(id): Id<FacilityId>, headers: HeaderMap) -> Result<Response, Problem> {
    single(&headers, &Facility::from(require(&api, &caller, id).await?))
}

/// The caller's facility, or 404.
pub(super) async fn require(api: &Api, caller: &Caller, id: FacilityId) -> Result<db::Facility, Problem> {
    db::by_id(api.db.read(), caller.tenant, id).await?.ok_or_else(|| Problem::not_found("facility", &id))
}

/// A device to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDevice {
    /// Its name in the gateway's configuration and in the store.
    #[schema(value_type = String, example = "main-meter")]
    slug: Slug,
    #[schema(example = "Main incomer")]
    name: String,
    kind: DeviceKind,
    /// The profile its registers are read by; none for imported data.
    #[schema(example = "eastron-sdm630")]
    profile: Option<String>,
}

/// What a device measures.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DeviceKind {
    /// Energy.
    Meter,
    /// The weather outside.
    Weather,
    /// Anything else.
    Sensor,
}

impl DeviceKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Meter => "meter",
            Self::Weather => "weather",
            Self::Sensor => "sensor",
        }
    }
}

/// A meter, a weather source or a sensor.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Device {
    #[schema(value_type = String)]
    id: DeviceId,
    #[schema(value_type = String)]
    facility: FacilityId,
    #[schema(value_type = String)]
    slug: Slug,
    name: String,
    #[schema(value_type = DeviceKind)]
    kind: String,
    profile: Option<String>,
    created_at: String,
}

impl From<db::Device> for Device {
    fn from(stored: db::Device) -> Self {
        let db::Device { id, facility, slug, name, kind, profile, created_ms } = stored;
        Self { id, facility, slug, name, kind, profile, created_at: instant(created_ms) }
    }
}

/// Adds a device to a facility.
#[utoipa::path(post, path = "/v1/facilities/{id}/devices", tag = "facilities", params(("id" = String, Path)), request_body = NewDevice,
    responses((status = 201, body = Device), (status = 409, body = super::problem::ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn create_device(
    State(api): State<Api>,
    Id(facility): Id<FacilityId>,
    Command { ticket, input }: Command<NewDevice>,
) -> Result<Response, Early> {
    let mut unit = Unit::begin(&api, &ticket).await?;
    require(&api, &ticket.caller, facility).await?;
    let device = db::Device {
        id: api.new_id(),
        facility,
        slug: input.slug,
        name: shapes::name("name", &input.name)?,
        kind: input.kind.name().to_owned(),
        profile: input.profile,
        created_ms: unit.now_ms,
    };
    let tenant = unit.tenant();
    db::insert_device(&mut unit.tx, tenant, &device).await?;
    unit.happened("device.created", &device.id.to_string()).await?;
    Ok(unit.finish(StatusCode::CREATED, &Device::from(device)).await?)
}

/// Lists the devices of a facility.
#[utoipa::path(get, path = "/v1/facilities/{id}/devices", tag = "facilities", params(("id" = String, Path), ListQuery),
    responses((status = 200, body = Page<Device>)))]
pub(crate) async fn list_devices(
    State(api): State<Api>,
    caller: Caller,
    Id(facility): Id<FacilityId>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<Device>>, Problem> {
    require(&api, &caller, facility).await?;
    let (window, rows) = query.window()?;
    let found = db::devices(api.db.read(), caller.tenant, facility, &window).await?;
    Ok(Page::cut(found.into_iter().map(Device::from).collect(), rows, |device| device.id.to_string()))
}
