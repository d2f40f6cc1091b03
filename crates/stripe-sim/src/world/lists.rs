//! Lists, pages and expansion.

use serde_json::{Value, json};

use super::{Request, Ruling, World};
use crate::answer::{Refusal, int, text};

const PAGE_DEFAULT: i64 = 10;
const PAGE_MAX: i64 = 100;

impl World {
    /// A list of one kind, narrowed by those of `filters` that were given.
    pub(super) fn list(&self, kind: &str, request: &Request<'_>, filters: &[&str]) -> Ruling {
        let wanted: Vec<(&str, &str)> = filters.iter().filter_map(|name| request.text(name).map(|value| (*name, value))).collect();
        let url = request.operation.trim_start_matches("GET ");
        self.page(request, url, |object| {
            text(object, "object") == Some(kind) && wanted.iter().all(|(name, value)| text(object, name) == Some(value))
        })
    }

    pub(super) fn list_events(&self, request: &Request<'_>) -> Ruling {
        let kind = request.text("type");
        let kinds = request.params.get("types").and_then(Value::as_array);
        self.page(request, "/v1/events", |object| {
            text(object, "object") == Some("event")
                && kind.is_none_or(|kind| text(object, "type") == Some(kind))
                && kinds.is_none_or(|kinds| kinds.contains(&object["type"]))
        })
    }

    /// One page of what `wanted` accepts, newest first.
    pub(super) fn page(&self, request: &Request<'_>, url: &str, wanted: impl Fn(&Value) -> bool) -> Ruling {
        let params = &request.params;
        let limit = params.get("limit").and_then(Value::as_i64).unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(Refusal::invalid(None, "Invalid integer: limit must be between 1 and 100").param("limit"));
        }
        let mut rows: Vec<_> = self
            .objects
            .values()
            .filter(|stored| stored.owner == request.account && wanted(&stored.value))
            .filter(|stored| created_within(params, int(&stored.value, "created")))
            .collect();
        rows.sort_by_key(|stored| std::cmp::Reverse(stored.order));
        let order = |name: &str| -> Result<Option<usize>, Refusal> {
            let Some(id) = request.text(name) else { return Ok(None) };
            match self.objects.get(id) {
                Some(stored) => Ok(Some(stored.order)),
                None => Err(Refusal::missing("object", id, name)),
            }
        };
        if let Some(after) = order("starting_after")? {
            rows.retain(|stored| stored.order < after);
        }
        let mut newest_kept = 0;
        if let Some(before) = order("ending_before")? {
            rows.retain(|stored| stored.order > before);
            newest_kept = rows.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        let data: Vec<Value> = rows.iter().skip(newest_kept).take(limit).map(|stored| stored.value.clone()).collect();
        Ok(json!({ "object": "list", "data": data, "has_more": has_more, "url": url }))
    }

    /// Replaces ids by their objects where `expand` asks for it.
    pub(super) fn expand(&self, mut value: Value, params: &Value) -> Ruling {
        let paths = params.get("expand").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for path in paths {
            let segments: Vec<&str> = path.split('.').collect();
            if !self.expand_one(&mut value, &segments) {
                return Err(Refusal::invalid(None, &format!("This property cannot be expanded ({path}).")).param("expand"));
            }
        }
        Ok(value)
    }

    fn expand_one(&self, value: &mut Value, segments: &[&str]) -> bool {
        let Some((segment, rest)) = segments.split_first() else {
            return true;
        };
        if let Value::Array(items) = value {
            return items.iter_mut().all(|item| self.expand_one(item, segments));
        }
        let Some(inner) = value.get_mut(*segment) else {
            return false;
        };
        if let Some(object) = inner.as_str().and_then(|id| self.objects.get(id)) {
            *inner = object.value.clone();
        }
        match inner {
            Value::Null => true,
            Value::Object(_) | Value::Array(_) => self.expand_one(inner, rest),
            _ => false,
        }
    }
}

fn created_within(params: &Value, created_s: i64) -> bool {
    match params.get("created") {
        None => true,
        Some(Value::Object(range)) => range.iter().all(|(bound, limit)| {
            let limit = limit.as_i64().unwrap_or(0);
            match bound.as_str() {
                "gt" => created_s > limit,
                "gte" => created_s >= limit,
                "lt" => created_s < limit,
                _ => created_s <= limit,
            }
        }),
        Some(exactly) => exactly.as_i64() == Some(created_s),
    }
}
