//! The demo's way into the platform: the same HTTP that everybody uses.

use serde_json::Value;

use super::DemoError;

/// Speaks to the API with a key, and with an idempotency key on everything that changes something.
#[derive(Debug)]
pub(crate) struct Client {
    base_url: String,
    key: String,
    http: reqwest::Client,
    posts: u32,
}

impl Client {
    pub(crate) fn new(base_url: String, key: String) -> Self {
        Self { base_url, key, http: reqwest::Client::new(), posts: 0 }
    }

    /// Asks for something.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, DemoError> {
        let request = self.http.get(format!("{}{path}", self.base_url)).bearer_auth(&self.key);
        answer("GET", path, request).await.and_then(|body| json(path, &body))
    }

    /// Asks for a file.
    pub(crate) async fn bytes(&self, path: &str) -> Result<Vec<u8>, DemoError> {
        let request = self.http.get(format!("{}{path}", self.base_url)).bearer_auth(&self.key);
        answer("GET", path, request).await
    }

    /// Changes something.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Value, DemoError> {
        self.posts += 1;
        let request = self
            .http
            .post(format!("{}{path}", self.base_url))
            .bearer_auth(&self.key)
            .header("idempotency-key", format!("demo-{}", self.posts))
            .header("content-type", "application/json")
            .body(body.to_string());
        answer("POST", path, request).await.and_then(|body| json(path, &body))
    }
}

/// Sends a file to the collector's importer and gives back how many readings it took.
pub(crate) async fn import(collector: &str, query: &str, file: String) -> Result<u64, DemoError> {
    let path = format!("/v1/imports?{query}");
    let request = reqwest::Client::new().post(format!("{collector}{path}")).body(file);
    let result = json(&path, &answer("POST", &path, request).await?)?;
    if result["rejected_rows"].as_u64() != Some(0) {
        return Err(DemoError::Answer { path, reason: format!("rows were rejected: {}", result["rejected"]) });
    }
    number(&result, "accepted")
}

/// What the collector says of itself.
pub(crate) async fn status(collector: &str) -> Result<Value, DemoError> {
    let path = "/v1/status";
    json(path, &answer("GET", path, reqwest::Client::new().get(format!("{collector}{path}"))).await?)
}

async fn answer(method: &str, path: &str, request: reqwest::RequestBuilder) -> Result<Vec<u8>, DemoError> {
    let asked = || format!("{method} {path}");
    let response = request.send().await.map_err(|err| DemoError::Http { asked: asked(), err })?;
    let status = response.status();
    let body = response.bytes().await.map_err(|err| DemoError::Http { asked: asked(), err })?;
    if status.is_success() {
        return Ok(body.to_vec());
    }
    Err(DemoError::Answer { path: asked(), reason: format!("{status}: {}", String::from_utf8_lossy(&body)) })
}

fn json(path: &str, body: &[u8]) -> Result<Value, DemoError> {
    serde_json::from_slice(body).map_err(|err| DemoError::Answer { path: path.to_owned(), reason: err.to_string() })
}

/// A text that an answer must have.
pub(crate) fn text(answer: &Value, key: &str) -> Result<String, DemoError> {
    answer[key].as_str().map(str::to_owned).ok_or_else(|| missing(answer, key))
}

/// A count that an answer must have.
pub(crate) fn number(answer: &Value, key: &str) -> Result<u64, DemoError> {
    answer[key].as_u64().ok_or_else(|| missing(answer, key))
}

/// A whole number that an answer must have.
pub(crate) fn integer(answer: &Value, key: &str) -> Result<i64, DemoError> {
    answer[key].as_i64().ok_or_else(|| missing(answer, key))
}

/// A figure that an answer must have.
pub(crate) fn figure(answer: &Value, key: &str) -> Result<f64, DemoError> {
    answer[key].as_f64().ok_or_else(|| missing(answer, key))
}

fn missing(answer: &Value, key: &str) -> DemoError {
    DemoError::Answer { path: key.to_owned(), reason: format!("there is no `{key}` in {answer}") }
}
