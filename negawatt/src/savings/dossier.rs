//! `negawatt audit ANSWER`: a baseline computed again from its files, and judged by the fifteen categories.

use std::fmt::Write as _;
use std::path::Path;

use calculator::assessment::{AvoidedEnergy, Settings, Shown, facts};
use calculator::baseline::Period;
use calculator::verification::{Category, Check, Dossier, Examined, Trust, Verdict};
use daemon::ExitCode;
use jiff::ToSpan as _;

use super::input::Refused;
use super::verify::{self, Recomputed};
use crate::cli::{Output, complain, say};

const RULE: &str = "verification: a dossier is one object with facts, inventory, observed, adjustments, waivers, workflow, past and date";

/// Audits a kept answer; says what was refused, on standard error and, as an object, where objects are wanted.
pub(crate) fn audit(answer: &Path, dossier: Option<&Path>, output: Output) -> ExitCode {
    audited(answer, dossier, output).unwrap_or_else(|refused| {
        if output == Output::Json {
            say(&format!("{}\n", refused.object()));
        }
        complain(&format!("error: {refused}"));
        refused.exit_code()
    })
}

fn audited(file: &Path, dossier: Option<&Path>, output: Output) -> Result<ExitCode, Refused> {
    let given = dossier.map_or_else(|| Ok(Dossier::default()), read)?;
    let Recomputed { asked, answer, code_version, difference } = verify::recompute(&verify::Args::of(file.to_path_buf()))?;
    if let Some(difference) = difference {
        if output == Output::Json {
            say(&format!("{}\n", serde_json::json!({ "schema": SCHEMA, "result": "refused", "differs": difference })));
        }
        verify::differs(file, &difference, &code_version);
        return Ok(ExitCode::DataRefused);
    }
    // It came out the same just now.
    let facts_given = calculator::verification::Facts { rerun_identical: Some(true), ..given.facts };
    let shown = facts(&asked.question, &asked.meter, &asked.weather, &answer.assessment, facts_given, &given.adjustments)
        .map_err(|err| Refused::data(Some(file.to_path_buf()), err.row(), err.rule(), daemon::chain(&err)))?;
    let saved = answer.assessment.avoided.as_ref().and_then(|avoided| saved(&answer.inputs.settings, avoided));
    let examined = given
        .examine(&shown, &answer.digest, saved)
        .map_err(|err| Refused::data(dossier.map(Path::to_path_buf), None, RULE, daemon::chain(&err)))?;
    match output {
        Output::Json => say(&format!("{}\n", object(&answer.digest, &shown, &examined))),
        Output::Human => say(&human(&answer.digest, &shown, &examined)),
    }
    Ok(ExitCode::Ok)
}

const SCHEMA: &str = "negawatt.audit.baseline/1";

fn read(file: &Path) -> Result<Dossier, Refused> {
    let refused = |message: String| Refused::data(Some(file.to_path_buf()), None, RULE, message);
    let text = std::fs::read_to_string(file).map_err(|err| refused(format!("could not be read: {err}")))?;
    serde_json::from_str(&text).map_err(|err| refused(format!("is no dossier: {err}")))
}

/// The year after the intervention and what was avoided in it, Wh.
fn saved(settings: &Settings, avoided: &AvoidedEnergy) -> Option<(Period, i64)> {
    let first = settings.blackout_end?;
    let period = Period::new(first, first.checked_add(365.days()).ok()?).ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "the energy of a facility's year is far below 2^63 Wh")]
    let wh = settings.unit.to_wh(avoided.savings).round() as i64;
    Some((period, wh))
}

fn object(digest: &str, shown: &Shown, examined: &Examined) -> serde_json::Value {
    serde_json::json!({
        "schema": SCHEMA,
        "result": "recomputed",
        "digest": digest,
        "verified": examined.verified,
        "stage": examined.stage,
        "judged": examined.judged,
        "checks": examined.checks,
        "out_of_sample": shown.out_of_sample,
        "changes": shown.changes,
        "tickets": examined.tickets,
        "trust": examined.trust,
    })
}

fn human(digest: &str, shown: &Shown, examined: &Examined) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| writeln!(text, "{name:<18}{value}").unwrap_or_default();
    let plain = |value: &Category| {
        serde_json::to_value(value).ok().and_then(|name| name.as_str().map(|name| name.replace('_', " "))).unwrap_or_default()
    };
    line("recomputed", &format!("digest {digest}"));
    for Check { category, number, verdict, measurements, waiver, .. } in &examined.checks {
        let mut parts: Vec<String> = measurements
            .iter()
            .map(|one| format!("{} {}", one.name, one.value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.4}"))))
            .collect();
        parts.extend(waiver.as_ref().map(|waiver| format!("accepted by {}: {}", waiver.auditor, waiver.reason)));
        line(&format!("{number:>2} {}", word(verdict)), &format!("{}: {}", plain(category), parts.join(", ")));
    }
    for ticket in &examined.tickets {
        line("changed", &format!("{}: {} {} on {}, {} before", ticket.factor, ticket.now, ticket.unit, ticket.seen_on, ticket.before));
    }
    for event in &shown.changes {
        line("changed", &format!("from {} on {:+.1} % of the use, which nothing explains by itself", event.first, event.share * 100.0));
    }
    let judged = &examined.judged;
    line(
        "judged",
        &format!("{} pass, {} conditional ({} accepted), {} fail", judged.passed, judged.conditional, judged.waived, judged.failed),
    );
    if let Some(Trust { score, date, version, capped, parts }) = &examined.trust {
        let parts: Vec<String> = parts.iter().map(|part| format!("{} {:.2}", part.name, part.score)).collect();
        let held = if *capped { ", held down by a category that fails" } else { "" };
        line("trust", &format!("{score:.1} on {date} by {version}{held}: {}", parts.join(", ")));
    }
    line("baseline", if examined.verified { "verified: signed over this digest" } else { "not verified" });
    text
}

const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Conditional => "conditional",
        Verdict::Fail => "fail",
    }
}
