//! `/v1/contracts`: shared-savings agreements.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use calculator::tariff::{Flat, Tariff};
use ids::{BaselineId, ContractId, FacilityId, PayeeId, Slug};
use jiff::civil::Date;
use money::{Currency, Money, Share};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use settlement::{Contract as Agreed, Fee, NegativeMonth, Party, PriceTerms, Terms};
use utoipa::ToSchema;

use super::command::{Command, Early, Unit};
use super::page::{Id, ListQuery, Page, Params, instant, single};
use super::problem::{Kind, Problem};
use crate::db::contracts::{self as db, Agreement, Payer, StoredContract};
use crate::db::keys::Caller;
use crate::db::{baselines, payees};
use crate::state::Api;

/// A contract to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewContract {
    #[schema(value_type = String)]
    facility: FacilityId,
    /// Against which baseline savings are measured.
    #[schema(value_type = String)]
    baseline: BaselineId,
    /// The devices whose energy counts in the reporting periods, in sum.
    #[schema(value_type = Vec<String>, example = json!(["main-meter"]))]
    meters: Vec<Slug>,
    /// The device with the outdoor temperature.
    #[schema(value_type = String, example = "weather-station")]
    weather: Slug,
    #[schema(value_type = String, example = "USD")]
    currency: Currency,
    /// What a kilowatt-hour that was not used is worth; either this or `tariff`.
    #[schema(value_type = Option<String>, example = "0.1325")]
    price_per_kwh: Option<Decimal>,
    /// A tariff with prices by month, weekday and hour; either this or `price_per_kwh`.
    #[schema(value_type = Option<Object>)]
    tariff: Option<Tariff>,
    /// The share of the savings' value that is billed, in parts per million; the rest stays with the facility.
    #[schema(example = 600_000, maximum = 1_000_000)]
    billed_share_ppm: u32,
    /// Fixed amounts on every invoice.
    #[serde(default)]
    fees: Vec<NewFee>,
    /// Who gets which part of the invoice; the shares sum to 1000000, and the order decides who gets an odd cent.
    split: Vec<NewPart>,
    /// What a month of more use does: `carry_forward` (when absent) or `floor_zero`.
    #[schema(value_type = Option<String>, example = "carry_forward")]
    negative_month: Option<NegativeMonth>,
    /// The prefix of invoice numbers; `NW` when absent.
    #[schema(example = "NW")]
    invoice_prefix: Option<String>,
    /// Days from issue to the due date; 30 when absent.
    due_days: Option<u16>,
    /// Days that collected money waits before it is paid out; none when absent.
    hold_days: Option<u16>,
    /// The first local day that counts.
    #[schema(value_type = String, example = "2026-01-01")]
    starts_on: Date,
    /// The local day after the last that counts.
    #[schema(value_type = Option<String>)]
    ends_on: Option<Date>,
    payer: NewPayer,
}

/// A fixed amount on every invoice.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFee {
    #[schema(example = "Measurement and verification")]
    name: String,
    amount_minor: i64,
}

/// One payee's part of the split.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPart {
    #[schema(value_type = String)]
    payee: PayeeId,
    /// Parts per million.
    #[schema(example = 50_000)]
    share_ppm: u32,
}

/// Who pays, and with what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPayer {
    name: String,
    email: Option<String>,
    /// The processor's name of the payment method, from its hosted page.
    #[schema(example = "pm_card_visa")]
    payment_method: String,
}

/// A shared-savings agreement.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Contract {
    #[schema(value_type = String)]
    id: ContractId,
    #[schema(value_type = String)]
    facility: FacilityId,
    #[schema(value_type = String)]
    baseline: BaselineId,
    currency: String,
    #[schema(value_type = String)]
    starts_on: Date,
    #[schema(value_type = Option<String>)]
    ends_on: Option<Date>,
    #[schema(value_type = Vec<String>)]
    meters: Vec<Slug>,
    #[schema(value_type = String)]
    weather: Slug,
    /// The terms as the evidence holds them.
    #[schema(value_type = Object)]
    terms: Value,
    /// The tariff as the evidence holds it; null where the price is flat.
    #[schema(value_type = Object)]
    tariff: Value,
    payer_name: String,
    created_at: String,
}

fn shape(stored: StoredContract) -> Result<Contract, Problem> {
    let unreadable = |err: serde_json::Error| {
        tracing::error!(error = %err, "a contract could not be written");
        Problem::new(Kind::Internal, "the contract could not be written")
    };
    Ok(Contract {
        id: stored.id,
        facility: stored.facility,
        baseline: stored.baseline,
        currency: stored.currency,
        starts_on: stored.starts_on,
        ends_on: stored.ends_on,
        meters: stored.agreement.meters,
        weather: stored.agreement.weather,
        terms: serde_json::to_value(&stored.agreement.contract).map_err(unreadable)?,
        tariff: serde_json::to_value(&stored.agreement.tariff).map_err(unreadable)?,
        payer_name: stored.payer.name,
        created_at: instant(stored.created_ms),
    })
}

fn refused(err: &dyn std::error::Error) -> Problem {
    Problem::new(Kind::InvalidBody, daemon::chain(err))
}

/// The price terms, and the tariff that they name.
fn price(input: &NewContract) -> Result<(PriceTerms, Option<Tariff>), Problem> {
    match (input.price_per_kwh, &input.tariff) {
        (Some(price_per_kwh), None) => {
            Flat::new("flat price", input.currency.code(), price_per_kwh).map_err(|err| refused(&err))?;
            Ok((PriceTerms::Flat { price_per_kwh }, None))
        }
        (None, Some(tariff)) if tariff.currency() == input.currency.code() => {
            Ok((PriceTerms::Tariff { name: tariff.name().to_owned() }, Some(tariff.clone())))
        }
        (None, Some(tariff)) => {
            let detail = format!("the tariff is in {}, the contract in {}", tariff.currency(), input.currency);
            Err(Problem::new(Kind::InvalidBody, detail))
        }
        _ => Err(Problem::new(Kind::InvalidBody, "give either price_per_kwh or tariff")),
    }
}

/// Adds a contract.
#[utoipa::path(post, path = "/v1/contracts", tag = "contracts", request_body = NewContract, responses((status = 201, body = Contract)))]
pub(crate) async fn create(State(api): State<Api>, Command { ticket, input }: Command<NewContract>) -> Result<Response, Early> {
    let mut unit = Unit::begin(&api, &ticket).await?;
    let tenant = unit.tenant();
    super::facilities::require(&api, &ticket.caller, input.facility).await?;
    let baseline = baselines::by_id(&mut *unit.tx, tenant, input.baseline).await?;
    if baseline.is_none_or(|baseline| baseline.facility != input.facility) {
        let detail = format!("facility {} has no baseline {}", input.facility, input.baseline);
        return Err(Problem::new(Kind::InvalidBody, detail).into());
    }
    if input.meters.is_empty() {
        return Err(Problem::new(Kind::InvalidBody, "meters names at least one device").into());
    }
    let id: ContractId = api.new_id();
    let (price, tariff) = price(&input)?;
    let share = |ppm| Share::parts_per_million(ppm).map_err(|err| refused(&err));
    let mut split = Vec::with_capacity(input.split.len());
    for part in &input.split {
        let payee = payees::by_id(&mut *unit.tx, tenant, part.payee).await?;
        let payee = payee.ok_or_else(|| Problem::new(Kind::InvalidBody, format!("there is no payee {}", part.payee)))?;
        split.push(Party { payee: payee.id, kind: payee.kind, name: payee.name, share: share(part.share_ppm)? });
    }
    let fee = |fee: NewFee| Fee { name: fee.name, amount: Money::new(fee.amount_minor, input.currency) };
    let terms = Terms {
        id,
        facility: input.facility,
        currency: input.currency,
        baseline: input.baseline,
        starts_on: input.starts_on,
        ends_on: input.ends_on,
        price,
        billed_share: share(input.billed_share_ppm)?,
        fees: input.fees.into_iter().map(fee).collect(),
        split,
        negative_month: input.negative_month.unwrap_or(NegativeMonth::CarryForward),
        invoice_prefix: input.invoice_prefix.unwrap_or_else(|| "NW".to_owned()),
        due_days: input.due_days.unwrap_or(30),
        hold_days: input.hold_days.unwrap_or(0),
    };
    let contract = Agreed::new(terms).map_err(|err| refused(&err))?;
    let stored = StoredContract {
        id,
        facility: input.facility,
        baseline: input.baseline,
        currency: input.currency.code().to_owned(),
        starts_on: input.starts_on,
        ends_on: input.ends_on,
        agreement: Agreement { contract, tariff, meters: input.meters, weather: input.weather },
        payer: Payer {
            name: super::shapes::name("payer.name", &input.payer.name)?,
            email: input.payer.email,
            payment_method: input.payer.payment_method,
        },
        stripe: None,
        created_ms: unit.now_ms,
    };
    db::insert(&mut unit.tx, tenant, &stored).await?;
    unit.happened("contract.created", &id.to_string()).await?;
    let shaped = shape(stored)?;
    Ok(unit.finish(StatusCode::CREATED, &shaped).await?)
}

/// Lists the contracts.
#[utoipa::path(get, path = "/v1/contracts", tag = "contracts", params(ListQuery), responses((status = 200, body = Page<Contract>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<Contract>>, Problem> {
    let (window, rows) = query.window()?;
    let found = db::list(api.db.read(), caller.tenant, &window).await?;
    let shaped = found.into_iter().map(shape).collect::<Result<_, _>>()?;
    Ok(Page::cut(shaped, rows, |contract: &Contract| contract.id.to_string()))
}

/// Reads one contract.
#[utoipa::path(get, path = "/v1/contracts/{id}", tag = "contracts", params(("id" = String, Path)), responses((status = 200, body = Contract)))]
pub(crate) async fn get(State(api): State<Api>, caller: Caller, Id(id): Id<ContractId>, headers: HeaderMap) -> Result<Response, Problem> {
    let found = db::by_id(api.db.read(), caller.tenant, id).await?;
    single(&headers, &shape(found.ok_or_else(|| Problem::not_found("contract", &id))?)?)
}
