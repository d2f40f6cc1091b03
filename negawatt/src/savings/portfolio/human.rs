//! The portfolio for people.

use std::fmt::Write as _;

use super::summary::{Both, Comparison, Ranked, Summary, Totals};

/// Refused meters that are shown.
const REFUSED_SHOWN: usize = 20;

/// What all come to, first; then what speaks against it, the best and the worst, and the refused.
pub(super) fn text(summary: &Summary) -> String {
    let unit = summary.unit.symbol();
    let mut text = String::new();
    let mut line = |name: &str, value: &str| writeln!(text, "{name:<18}{value}").unwrap_or_default();
    line("method", &format!("{}, by {} rules", summary.method, summary.mode));
    line("meters", &counted(summary));
    if let Some(totals) = &summary.totals {
        for (name, value) in sums(totals, unit) {
            line(name, &value);
        }
        line("shared errors", &shared(summary));
    } else {
        line("savings", "none: no treated meter has a qualified baseline and a comparison");
    }
    if let Some(comparison) = &summary.comparison {
        for (name, value) in compared(comparison, unit) {
            line(name, &value);
        }
    }
    for refused in summary.refused.iter().take(REFUSED_SHOWN) {
        let file = refused.error.file.as_deref().unwrap_or("?");
        let row = refused.error.row.map(|row| format!("row {row}: ")).filter(|_| !refused.error.message.starts_with("row "));
        line("refused", &format!("{}: {file}: {}{}", refused.meter, row.unwrap_or_default(), refused.error.message));
        line("", &format!("rule: {}", refused.error.rule));
    }
    if summary.meters.refused > REFUSED_SHOWN {
        line("", &format!("and {} more: see meters.parquet", summary.meters.refused - REFUSED_SHOWN));
    }
    line("digest", &summary.digest);
    for (title, list) in [("best", &summary.top), ("worst", &summary.bottom)] {
        if !list.is_empty() {
            table(&mut text, title, list);
        }
    }
    text
}

fn counted(summary: &Summary) -> String {
    let counts = &summary.meters;
    let parts = [
        (counts.summed, "added up"),
        (counts.comparison, "for comparison"),
        (counts.not_compared, "without a comparison or an interval"),
        (counts.disqualified, "disqualified"),
        (counts.no_model, "without a model"),
        (counts.refused, "refused"),
    ];
    let parts: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    format!("{}: {}", counts.all, parts.join(", "))
}

fn sums(totals: &Totals, unit: &str) -> Vec<(&'static str, String)> {
    let share = totals.share.map_or_else(String::new, |share| format!(" ({:.2} %)", share * 100.0));
    let Both { independent, shared } = totals.half_width_90;
    vec![
        ("would have used", format!("{:.2} {unit}", totals.counterfactual)),
        ("used", format!("{:.2} {unit}", totals.observed)),
        ("savings", format!("{:.2} {unit}{share}", totals.savings)),
        ("at 90 %", format!("± {independent:.2} {unit} if each meter erred on its own, ± {shared:.2} {unit} with shared errors")),
    ]
}

fn shared(summary: &Summary) -> String {
    let shares = &summary.common;
    let how = match shares.source {
        "measured" => ", as the baselines show",
        "given" => ", as given",
        _ => ", for too few meters share a month to measure it",
    };
    let bias = summary.totals.as_ref().map_or(0.0, |totals| totals.bias);
    let bias = if bias > 0.0 { format!("; a bias of ± {bias:.2} {} besides", summary.unit.symbol()) } else { String::new() };
    format!("{:.1} % of a station, {:.1} % of the method{how}{bias}", shares.station * 100.0, shares.method * 100.0)
}

fn compared(comparison: &Comparison, unit: &str) -> Vec<(&'static str, String)> {
    let Some(net) = comparison.net else {
        return vec![("comparison", format!("none: {}", comparison.error.as_deref().unwrap_or_default()))];
    };
    let mut lines: Vec<(&'static str, String)> = comparison
        .strata
        .iter()
        .map(|one| {
            let name = if one.stratum.is_empty() { String::new() } else { format!("{}: ", one.stratum) };
            let drift = format!("{:.2} % {}", one.drift.abs() * 100.0, if one.drift < 0.0 { "more" } else { "less" });
            let (treated, others) = (one.treated, one.comparison);
            ("comparison", format!("{name}{others} meters without the project used {drift} than expected, beside {treated} with it"))
        })
        .collect();
    let Both { independent, shared } = net.half_width_90;
    let beyond = format!("{:.2} of {:.2} {unit}; at 90 % ± {independent:.2}, ± {shared:.2} with shared errors", net.savings, net.gross);
    lines.push(("beyond it", beyond));
    if comparison.uncompared > 0 {
        lines.push(("", format!("{} meters have no comparison group in their stratum", comparison.uncompared)));
    }
    lines
}

fn table(text: &mut String, title: &str, list: &[Ranked]) {
    let width = list.iter().map(|one| one.meter.chars().count()).max().unwrap_or(0).max(title.len()) + 2;
    writeln!(text, "\n{title:<width$}{:>16}{:>9}{:>14}  {:<8}model", "savings", "share", "± at 90 %", "unit").unwrap_or_default();
    for one in list {
        let Ranked { meter, savings, half_width_90, model, .. } = one;
        let (share, unit) = (one.share * 100.0, one.unit.symbol());
        // Writing to a text in memory cannot fail.
        writeln!(text, "{meter:<width$}{savings:>16.2}{share:>7.2} %{half_width_90:>14.2}  {unit:<8}{model}").unwrap_or_default();
    }
}
