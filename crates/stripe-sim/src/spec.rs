//! The published shapes: which operations exist, what they take and what they give.
//!
//! The subset is compiled in; its licence and origin stand in its `info`.

use std::io::Read;
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use serde_json::{Map, Value};

const SUBSET: &[u8] = include_bytes!("../spec/openapi-subset.json.gz");

/// The compiled-in description.
#[derive(Debug)]
pub struct Spec {
    schemas: Map<String, Value>,
    operations: Vec<Operation>,
    info: Value,
    events: Vec<String>,
}

/// One operation of the API.
#[derive(Debug)]
pub struct Operation {
    /// Upper case.
    pub method: String,
    /// Such as `/v1/transfers/{id}/reversals`.
    pub template: String,
    params: Value,
    reply: Value,
}

impl Operation {
    /// `POST /v1/transfers`
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.template)
    }

    /// The schema of its parameters: the form of a POST, the query of a GET.
    pub fn params(&self) -> &Value {
        &self.params
    }

    /// The schema of its successful reply.
    pub fn reply(&self) -> &Value {
        &self.reply
    }

    fn captures<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let mut captures = Vec::new();
        let mut given = path.split('/');
        for segment in self.template.split('/') {
            let actual = given.next()?;
            if segment.starts_with('{') {
                captures.push(actual);
            } else if segment != actual {
                return None;
            }
        }
        given.next().is_none().then_some(captures)
    }
}

impl Spec {
    /// The description, read once per process.
    pub fn get() -> &'static Self {
        static SPEC: OnceLock<Spec> = OnceLock::new();
        SPEC.get_or_init(|| Self::read().expect("the compiled-in description is readable"))
    }

    fn read() -> Option<Self> {
        let mut text = String::new();
        GzDecoder::new(SUBSET).read_to_string(&mut text).ok()?;
        let json: Value = serde_json::from_str(&text).ok()?;
        let mut operations = Vec::new();
        for (template, methods) in json.get("paths")?.as_object()? {
            for (method, operation) in methods.as_object()? {
                let form = "/requestBody/content/application~1x-www-form-urlencoded/schema";
                let params = operation.pointer(form).or_else(|| operation.get("x-query-schema"));
                operations.push(Operation {
                    method: method.to_ascii_uppercase(),
                    template: template.clone(),
                    params: params.cloned().unwrap_or_else(|| serde_json::json!({ "type": "object", "additionalProperties": false })),
                    reply: operation.pointer("/responses/200/content/application~1json/schema")?.clone(),
                });
            }
        }
        let events = json.get("x-events")?.as_array()?.iter().filter_map(|event| event.as_str().map(str::to_owned));
        Some(Self {
            schemas: json.pointer("/components/schemas")?.as_object()?.clone(),
            operations,
            info: json.get("info")?.clone(),
            events: events.collect(),
        })
    }

    /// The operation of a request and the ids in its path.
    pub fn operation<'p>(&self, method: &str, path: &'p str) -> Option<(&Operation, Vec<&'p str>)> {
        self.operations
            .iter()
            .filter(|operation| operation.method == method)
            .find_map(|operation| operation.captures(path).map(|ids| (operation, ids)))
    }

    /// Every operation described.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Title, version, licence and origin of the description.
    pub fn info(&self) -> &Value {
        &self.info
    }

    /// The event kinds known to this version.
    pub fn events(&self) -> &[String] {
        &self.events
    }

    /// Follows `$ref` until there is none.
    pub(crate) fn resolve<'s>(&'s self, mut schema: &'s Value) -> &'s Value {
        while let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = name.rsplit('/').next().unwrap_or(name);
            match self.schemas.get(name) {
                Some(target) => schema = target,
                None => return &Value::Null,
            }
        }
        schema
    }

    /// A schema by its name.
    pub fn schema(&self, name: &str) -> Option<&Value> {
        self.schemas.get(name)
    }
}
