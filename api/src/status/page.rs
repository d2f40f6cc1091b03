//! What the page says, and its HTML.

use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use crate::db::{invoices, jobs, keys, ledger, payouts, statements};
use crate::http::Amount;
use crate::service::ServiceError;
use crate::state::Api;

/// Device rows shown at most; a facility with more has its own tools.
const DEVICES_MAX: usize = 200;

/// Everything the page shows.
#[derive(Debug)]
pub(super) struct Facts {
    readings: Readings,
    invoice: Option<Invoice>,
    ledger: ledger::Size,
    chain_intact: bool,
    jobs: Vec<(String, i64)>,
}

/// What the collector says of itself.
#[derive(Debug)]
enum Readings {
    /// No address is configured.
    NotAsked,
    /// It did not answer.
    Silent(String),
    /// Counters, and the latest value of each point.
    Known { counters: Vec<(String, String)>, points: Vec<Point> },
}

#[derive(Debug)]
struct Point {
    facility: String,
    device: String,
    point: String,
    value: String,
    quality: String,
    at: String,
}

#[derive(Debug)]
struct Invoice {
    number: String,
    status: String,
    total: Amount,
    /// The statement behind it.
    statement: Value,
    payouts: Vec<Payout>,
}

#[derive(Debug)]
struct Payout {
    kind: &'static str,
    status: &'static str,
    amount: String,
    failure: Option<String>,
}

/// Gathers what the page shows.
pub(super) async fn facts(api: &Api) -> Result<Facts, ServiceError> {
    let mut chain_intact = true;
    for (tenant, _) in keys::tenants(api.db.read()).await? {
        chain_intact &= ledger::first_broken_link(api.db.read(), tenant).await?.is_none();
    }
    let invoice = match invoices::latest(api.db.read()).await? {
        Some(stored) => {
            let payouts = payouts::of_invoice(api.db.read(), stored.tenant, stored.id).await?;
            let statement = statements::by_id(api.db.read(), stored.tenant, stored.statement).await?;
            Some(Invoice {
                number: stored.number.unwrap_or_else(|| "draft".to_owned()),
                status: stored.status,
                total: Amount {
                    amount_minor: stored.total_minor,
                    amount_decimal: crate::http::decimal(stored.total_minor, &stored.currency),
                    currency: stored.currency,
                },
                statement: statement.map_or(Value::Null, |statement| statement.document),
                payouts: payouts
                    .into_iter()
                    .map(|payout| Payout {
                        amount: payout.payout.amount.to_string(),
                        kind: payout.payout.kind.as_str(),
                        status: payout.payout.state.as_str(),
                        failure: payout.failure,
                    })
                    .collect(),
            })
        }
        None => None,
    };
    Ok(Facts {
        readings: readings(api).await,
        invoice,
        ledger: ledger::size(api.db.read(), None).await?,
        chain_intact,
        jobs: jobs::counts(api.db.read()).await?,
    })
}

async fn readings(api: &Api) -> Readings {
    let Some(collector) = &api.collector else { return Readings::NotAsked };
    let answer = async { api.http.get(format!("{collector}/v1/status")).send().await?.error_for_status()?.bytes().await };
    match answer.await {
        Ok(bytes) => match serde_json::from_slice::<Value>(&bytes) {
            Ok(status) => Readings::Known { counters: counters(&status), points: points(&status) },
            Err(err) => Readings::Silent(format!("its answer is not JSON: {err}")),
        },
        Err(err) => Readings::Silent(daemon::chain(&err.without_url())),
    }
}

/// Every number under `counters`, in the collector's own words.
fn counters(status: &Value) -> Vec<(String, String)> {
    let Some(counters) = status.get("counters").and_then(Value::as_object) else { return Vec::new() };
    counters
        .iter()
        .filter(|(_, count)| count.is_number())
        .map(|(name, count)| (name.replace('_', " "), grouped(&count.to_string())))
        .collect()
}

/// The latest value of each point, wherever the collector's answer lists devices.
fn points(status: &Value) -> Vec<Point> {
    let word = |value: &Value, key: &str| value.get(key).map(plain).unwrap_or_default();
    let mut rows = Vec::new();
    for device in status.get("devices").and_then(Value::as_array).into_iter().flatten() {
        for point in device.get("points").and_then(Value::as_array).into_iter().flatten() {
            rows.push(Point {
                facility: word(device, "facility"),
                device: word(device, "device"),
                point: word(point, "point"),
                value: format!("{} {}", word(point, "value"), word(point, "unit")).trim().to_owned(),
                quality: word(point, "quality"),
                at: word(point, "at"),
            });
        }
    }
    rows.truncate(DEVICES_MAX);
    rows
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "no value".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Digits in groups of three, for reading.
fn grouped(digits: &str) -> String {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.to_owned();
    }
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// The whole page.
pub(super) fn whole(facts: &Facts) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Negawatt status" }
                link rel="stylesheet" href="/assets/page.css";
                noscript { meta http-equiv="refresh" content="5"; }
                script type="module" src="/assets/live.js" {}
            }
            body {
                header {
                    h1 { "Negawatt" }
                    span id="live" role="status" { "as of loading" }
                }
                main id="status" { (fragment(facts)) }
            }
        }
    }
}

/// The part that is sent again when something changed.
pub(super) fn fragment(facts: &Facts) -> Markup {
    html! {
        (readings_section(&facts.readings))
        (money_section(facts.invoice.as_ref()))
        (books_section(facts))
    }
}

fn readings_section(readings: &Readings) -> Markup {
    html! {
        section aria-labelledby="readings" {
            h2 id="readings" { "Readings" }
            @match readings {
                Readings::NotAsked => p.quiet { "No collector is configured: set " code { "collector" } " to its address." },
                Readings::Silent(why) => p.bad { "The collector does not answer: " (why) },
                Readings::Known { counters, points } => {
                    @if !counters.is_empty() {
                        dl { @for (name, count) in counters { div { dt { (name) } dd { (count) } } } }
                    }
                    @if points.is_empty() {
                        p.quiet { "No device has been heard yet." }
                    } @else {
                        div.scroll {
                            table {
                                caption { "Latest value of every point" }
                                thead { tr {
                                    th scope="col" { "Facility" } th scope="col" { "Device" } th scope="col" { "Point" }
                                    th.number scope="col" { "Value" } th scope="col" { "Quality" } th scope="col" { "At" }
                                } }
                                tbody { @for point in points { tr {
                                    td { (point.facility) } td { (point.device) } td { (point.point) }
                                    td.number { (point.value) }
                                    td.bad[point.quality.starts_with("bad")] { (point.quality) }
                                    td { (point.at) }
                                } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn money_section(invoice: Option<&Invoice>) -> Markup {
    html! {
        section aria-labelledby="money" {
            h2 id="money" { "Savings and money" }
            @match invoice {
                None => p.quiet { "Nothing has been invoiced yet." },
                Some(invoice) => {
                    dl {
                        @if let Some(period) = period(&invoice.statement) { div { dt { "period" } dd { (period) } } }
                        @if let Some(avoided) = invoice.statement.pointer("/savings/avoided_wh").and_then(Value::as_i64) { div { dt { "avoided energy" } dd { (grouped(&(avoided / 1000).to_string())) " kWh" } } }
                        div { dt { "invoice" } dd { (invoice.number) } }
                        div { dt { "state" } dd { (invoice.status) } }
                        div { dt { "total" } dd { (invoice.total.amount_decimal) " " (invoice.total.currency) } }
                    }
                    @if !invoice.payouts.is_empty() {
                        table {
                            caption { "Who is paid from it" }
                            thead { tr { th scope="col" { "Payee" } th.number scope="col" { "Amount" } th scope="col" { "State" } } }
                            tbody { @for payout in &invoice.payouts { tr {
                                td { (payout.kind) } td.number { (payout.amount) }
                                td { (payout.status) @if let Some(failure) = &payout.failure { ": " span.bad { (failure) } } }
                            } } }
                        }
                    }
                }
            }
        }
    }
}

/// The days of a statement, the last included.
fn period(statement: &Value) -> Option<String> {
    let period: settlement::Period = serde_json::from_value(statement.get("period")?.clone()).ok()?;
    Some(period.to_string())
}

fn books_section(facts: &Facts) -> Markup {
    let sound = facts.ledger.balanced && facts.chain_intact;
    html! {
        section aria-labelledby="books" {
            h2 id="books" { "Books" }
            dl {
                div { dt { "ledger" } dd.good[sound].bad[!sound] {
                    @if !facts.ledger.balanced { "not balanced" } @else if !facts.chain_intact { "chain broken" } @else { "balanced" }
                } }
                div { dt { "transactions" } dd { (facts.ledger.transactions) } }
                div { dt { "postings" } dd { (facts.ledger.postings) } }
                @for (state, count) in &facts.jobs { div { dt { "jobs " (state) } dd.bad[state == "dead"] { (count) } } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_and_words_are_not() {
        assert_eq!(grouped("1234567"), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped("12"), "12");
        assert_eq!(grouped("-5"), "-5");
    }

    #[test]
    fn what_strangers_named_is_escaped() {
        let status = serde_json::json!({
            "counters": { "points_stored": 12345 },
            "devices": [{ "facility": "<script>", "device": "m", "points": [{ "point": "p", "value": "1.5", "unit": "kW", "quality": "good", "at": "t" }] }],
        });
        let facts = Facts {
            readings: Readings::Known { counters: counters(&status), points: points(&status) },
            invoice: None,
            ledger: ledger::Size { transactions: 0, postings: 0, balanced: true },
            chain_intact: true,
            jobs: Vec::new(),
        };
        let text = whole(&facts).0;
        assert!(text.contains("&lt;script&gt;") && !text.contains("<td><script>"));
        assert!(text.contains("1.5 kW") && text.contains("12\u{202f}345"));
    }
}
