//! Every route, registered once for serving and for the OpenAPI document.

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{Kind, Problem, ProblemBody};
use super::{
    adjustments, baselines, contracts, dossiers, facilities, invoices, ledger, operations, payees, payouts, readings, savings, statements,
    webhooks,
};
use crate::state::{Api, Metrics};
use crate::status;

/// Largest body of a request.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The name of a request, in the logs and in `X-Request-Id`.
#[derive(Clone, Debug)]
pub(crate) struct RequestName(pub(crate) String);

#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Negawatt",
        description = "From verified savings to paid-out cents. Amounts are whole minor units (`*_minor`) with a decimal text beside them; \
                       times are UTC, days are the facility's; refusals are RFC 9457 problems with a stable `code`.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    components(schemas(ProblemBody)),
    modifiers(&Bearer),
    security(("key" = []))
)]
struct Document;

struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("nwk_…").build();
        document.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

fn documented() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(facilities::create, facilities::list))
        .routes(routes!(facilities::get))
        .routes(routes!(facilities::create_device, facilities::list_devices))
        .routes(routes!(readings::list))
        .routes(routes!(baselines::create, baselines::list))
        .routes(routes!(baselines::get))
        .routes(routes!(baselines::verify))
        .routes(routes!(adjustments::create, adjustments::list))
        .routes(routes!(dossiers::create, dossiers::get))
        .routes(routes!(dossiers::create_yield, dossiers::get_yield))
        .routes(routes!(payees::create, payees::list))
        .routes(routes!(payees::get))
        .routes(routes!(contracts::create, contracts::list))
        .routes(routes!(contracts::get))
        .routes(routes!(savings::get))
        .routes(routes!(statements::create, statements::list))
        .routes(routes!(statements::get))
        .routes(routes!(statements::pdf))
        .routes(routes!(invoices::create, invoices::list))
        .routes(routes!(invoices::get))
        .routes(routes!(invoices::pdf))
        .routes(routes!(invoices::evidence))
        .routes(routes!(invoices::collect))
        .routes(routes!(payouts::run, payouts::list))
        .routes(routes!(ledger::balances))
        .routes(routes!(ledger::transactions))
        .routes(routes!(webhooks::stripe))
}

/// The OpenAPI document of every route under `/v1`.
pub(crate) fn openapi() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

/// The whole interface.
pub(crate) fn router(api: Api) -> Router {
    let (documented, document) = documented().split_for_parts();
    documented
        .route("/v1/openapi.json", axum::routing::get(move || std::future::ready(Json(document.clone()))))
        .merge(operations::routes())
        .merge(status::routes())
        .fallback(|request: Request| async move { Problem::not_found("page", &request.uri().path()) })
        .method_not_allowed_fallback(|request: Request| async move {
            Problem::new(Kind::MethodNotAllowed, format!("{} is not for {}", request.method(), request.uri().path()))
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(api.clone(), outermost))
        .with_state(api)
}

/// Names the request, writes the body of a problem, and counts.
async fn outermost(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let name = api.request_name();
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    request.extensions_mut().insert(RequestName(name.clone()));
    Metrics::count(&api.metrics.requests);
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        Metrics::count(&api.metrics.problems);
        tracing::debug!(request.id = %name, %method, path, code = problem.kind.code(), "refused a request");
        response = problem.body(&path, &name);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&name) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}
