//! `/v1/payees`: those who are paid.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ids::PayeeId;
use serde::{Deserialize, Serialize};
use settlement::PartyKind;
use utoipa::ToSchema;

use super::command::{Command, Early, Unit};
use super::page::{Id, ListQuery, Page, Params, instant, single};
use super::problem::Problem;
use super::shapes;
use crate::db::keys::Caller;
use crate::db::payees as db;
use crate::service::pay;
use crate::state::Api;

/// A payee to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPayee {
    #[schema(example = "Prairie Capital")]
    name: String,
    kind: PayeeKind,
    email: Option<String>,
    /// Where the payee is at home, ISO 3166-1; US when absent.
    #[schema(example = "US")]
    country: Option<String>,
}

/// Which part of a split somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PayeeKind {
    /// Ourselves: the share stays where it was collected.
    Platform,
    Network,
    Facility,
    Investor,
    Partner,
}

impl PayeeKind {
    const fn party(self) -> PartyKind {
        match self {
            Self::Platform => PartyKind::Platform,
            Self::Network => PartyKind::Network,
            Self::Facility => PartyKind::Facility,
            Self::Investor => PartyKind::Investor,
            Self::Partner => PartyKind::Partner,
        }
    }
}

/// Somebody who is paid.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Payee {
    #[schema(value_type = String)]
    id: PayeeId,
    name: String,
    #[schema(value_type = PayeeKind)]
    kind: &'static str,
    email: Option<String>,
    country: String,
    /// The connected account that transfers go to; none for the platform, and none yet where no processor is configured.
    stripe_account: Option<String>,
    created_at: String,
}

impl From<db::StoredPayee> for Payee {
    fn from(stored: db::StoredPayee) -> Self {
        let db::StoredPayee { id, name, kind, email, country, stripe_account, created_ms } = stored;
        Self { id, name, kind: kind.as_str(), email, country, stripe_account, created_at: instant(created_ms) }
    }
}

/// Adds a payee and opens its connected account.
#[utoipa::path(post, path = "/v1/payees", tag = "payouts", request_body = NewPayee, responses((status = 201, body = Payee)))]
pub(crate) async fn create(State(api): State<Api>, Command { ticket, input }: Command<NewPayee>) -> Result<Response, Early> {
    let _till = api.till.lock().await;
    let mut unit = Unit::begin(&api, &ticket).await?;
    let tenant = unit.tenant();
    let interrupted = match unit.resumed.as_deref().and_then(|subject| subject.parse().ok()) {
        Some(id) => db::by_id(&mut *unit.tx, tenant, id).await?,
        None => None,
    };
    let mut payee = match interrupted {
        Some(payee) => payee,
        None => {
            let payee = db::StoredPayee {
                id: api.new_id(),
                name: shapes::name("name", &input.name)?,
                kind: input.kind.party(),
                email: input.email,
                country: input.country.unwrap_or_else(|| "US".to_owned()),
                stripe_account: None,
                created_ms: unit.now_ms,
            };
            db::insert(&mut unit.tx, tenant, &payee).await?;
            unit.happened("payee.created", &payee.id.to_string()).await?;
            payee
        }
    };
    if input.kind == PayeeKind::Platform || api.stripe().is_err() {
        return Ok(unit.finish(StatusCode::CREATED, &Payee::from(payee)).await?);
    }
    unit.pause(&payee.id.to_string()).await?;
    payee.stripe_account = Some(pay::connect(&api, tenant, &payee).await?);
    let mut unit = Unit::reopen(&api, &ticket).await?;
    unit.happened("payee.connected", &payee.id.to_string()).await?;
    Ok(unit.finish(StatusCode::CREATED, &Payee::from(payee)).await?)
}

/// Lists the payees.
#[utoipa::path(get, path = "/v1/payees", tag = "payouts", params(ListQuery), responses((status = 200, body = Page<Payee>)))]
pub(crate) async fn list(State(api): State<Api>, caller: Caller, Params(query): Params<ListQuery>) -> Result<Json<Page<Payee>>, Problem> {
    let (window, rows) = query.window()?;
    let found = db::list(api.db.read(), caller.tenant, &window).await?;
    Ok(Page::cut(found.into_iter().map(Payee::from).collect(), rows, |payee| payee.id.to_string()))
}

/// Reads one payee.
#[utoipa::path(get, path = "/v1/payees/{id}", tag = "payouts", params(("id" = String, Path)), responses((status = 200, body = Payee)))]
pub(crate) async fn get(State(api): State<Api>, caller: Caller, Id(id): Id<PayeeId>, headers: HeaderMap) -> Result<Response, Problem> {
    let found = db::by_id(api.db.read(), caller.tenant, id).await?;
    single(&headers, &Payee::from(found.ok_or_else(|| Problem::not_found("payee", &id))?))
}
