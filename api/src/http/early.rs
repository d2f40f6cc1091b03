//! What is answered while the database is opened and its tables are brought up to date, which may take a while.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tower::ServiceExt as _;

use super::operations;

/// Who comes too early is told to come again after so many seconds.
const RETRY_SECONDS: u64 = 1;

/// Every page, once there are pages; until then 503, but for `/livez` and `/version`.
pub(crate) fn router(opened: Arc<OnceLock<Router>>) -> Router {
    let early = Router::new().route("/livez", get(operations::alive)).route("/version", get(operations::version)).fallback(async || {
        let retry = [(header::RETRY_AFTER, HeaderValue::from(RETRY_SECONDS))];
        (StatusCode::SERVICE_UNAVAILABLE, retry, "not started: the database is being prepared\n")
    });
    Router::new().fallback(knock).with_state((opened, early))
}

async fn knock(State((opened, early)): State<(Arc<OnceLock<Router>>, Router)>, request: Request) -> Response {
    let pages = opened.get().cloned().unwrap_or(early);
    pages.oneshot(request).await.map_or_else(|never| match never {}, |answer| answer.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    async fn asked(router: &Router, path: &str) -> StatusCode {
        router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap().status()
    }

    #[tokio::test]
    async fn before_there_are_pages_only_health_is_told() {
        let opened = Arc::new(OnceLock::new());
        let router = router(opened.clone());
        for (path, expected) in [("/livez", 200), ("/version", 200), ("/startupz", 503), ("/readyz", 503), ("/v1/facilities", 503)] {
            assert_eq!(asked(&router, path).await.as_u16(), expected, "{path}");
        }
        opened.set(Router::new().route("/startupz", get(async || "started\n"))).unwrap();
        assert_eq!(asked(&router, "/startupz").await, StatusCode::OK);
        assert_eq!(asked(&router, "/livez").await, StatusCode::NOT_FOUND, "only the pages answer now");
    }
}
