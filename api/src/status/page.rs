//! What the page says, and its HTML.

use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use super::collector::{self, Readings};
use crate::db::{invoices, jobs, keys, ledger, payouts, statements};
use crate::http::Amount;
use crate::service::ServiceError;
use crate::state::Api;

/// Everything the page shows.
#[derive(Debug)]
pub(super) struct Facts {
    readings: Readings,
    invoice: Option<Invoice>,
    ledger: ledger::Size,
    chain_intact: bool,
    jobs: Vec<(String, i64)>,
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
        readings: collector::ask(api).await,
        invoice,
        ledger: ledger::size(api.db.read(), None).await?,
        chain_intact,
        jobs: jobs::counts(api.db.read()).await?,
    })
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
        (points_section(&facts.readings))
    }
}

fn readings_section(readings: &Readings) -> Markup {
    html! {
        section aria-labelledby="readings" {
            h2 id="readings" { "Readings" }
            @match readings {
                Readings::NotAsked => p.quiet { "No collector is configured: set " code { "collector" } " to its address." },
                Readings::Silent(why) => p.bad { "The collector does not answer: " (why) },
                Readings::Known(known) => {
                    @if let Some(problem) = &known.problem { p.bad { "The collector hears nothing: " (problem) } }
                    dl { @for (name, count) in &known.counters { div { dt { (name) } dd { (grouped(&count.to_string())) } } } }
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

/// The longest part, so it comes last.
fn points_section(readings: &Readings) -> Markup {
    let points = match readings {
        Readings::Known(known) => known.points.as_slice(),
        Readings::NotAsked | Readings::Silent(_) => return html! {},
    };
    html! {
        section aria-labelledby="points" {
            h2 id="points" { "Latest value of every point" }
            @if points.is_empty() {
                p.quiet { "No device has been heard yet." }
            } @else {
                div.scroll tabindex="0" role="region" aria-labelledby="points" {
                    table {
                        thead { tr {
                            th scope="col" { "Facility" } th scope="col" { "Device" } th scope="col" { "Point" }
                            th.number scope="col" { "Value" } th scope="col" { "Quality" } th scope="col" { "At" }
                        } }
                        tbody { @for point in points { tr {
                            td { (point.facility) } td { (point.device) } td { (point.point) }
                            td.number { (point.value) }
                            td.bad[point.quality.starts_with("bad")] { (point.quality) }
                            td.time { (point.at) }
                        } } }
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
        let point = collector::Point {
            facility: "<script>".to_owned(),
            device: "m".to_owned(),
            point: "p".to_owned(),
            value: "1.5 kW".to_owned(),
            quality: "good".to_owned(),
            at: "t".to_owned(),
        };
        let known = collector::Known { problem: None, counters: vec![("stored", 12_345)], points: vec![point] };
        let facts = Facts {
            readings: Readings::Known(known),
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
