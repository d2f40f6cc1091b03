//! The statement of savings on paper.

use money::Money;
use settlement::{Statement, Trust};

use crate::draw::{Cover, pdf};
use crate::paper::{ReportError, StatementPaper, check_days};
use crate::phrase;
use crate::sections::{BETWEEN_SECTIONS, Fact, HEADING, Sum};
use crate::sheet::{BODY, Node, Role, Sheet, Side};
use crate::table::{Column, Row, Tone};

/// Prints a statement.
///
/// * Determinism: equal arguments give equal bytes from the same build.
/// * Errors: days that are not the statement's; a document that the engine refuses, which is our fault.
pub fn statement(paper: StatementPaper<'_>) -> Result<Vec<u8>, ReportError> {
    let StatementPaper { statement, facility, issuer, .. } = paper;
    check_days(statement, paper.days)?;
    let (sheet, tree) = lay_out(&paper);
    let cover = Cover {
        title: format!("Statement of savings, {facility}, {}", phrase::period(statement.period())),
        about: format!("{} for energy not used", statement.value()),
        author: issuer.to_owned(),
        id: statement.id().to_string(),
        made_at: paper.made_at,
    };
    pdf(sheet, &tree, &cover, paper.attachments)
}

/// The pages and what they mean.
pub(crate) fn lay_out(paper: &StatementPaper<'_>) -> (Sheet, Vec<Node>) {
    let StatementPaper { statement, facility, issuer, .. } = paper;
    let mut sheet = Sheet::new();
    let period = phrase::period(statement.period());
    let mut tree = vec![sheet.letterhead(issuer)];
    let left = vec![Fact::new("Facility", *facility)];
    let right = vec![Fact::new("Period", period.clone()), Fact::new("Made", phrase::day(made_on(paper)))];
    let sum = Sum {
        label: "Value of the savings",
        amount: statement.value().to_string(),
        note: format!("for {} kWh not used", phrase::kwh(statement.savings().avoided_wh)),
    };
    tree.extend(sheet.opening("Statement of savings", [left, right], &sum));
    tree.push(sheet.measured(statement, paper.days));
    tree.push(value(&mut sheet, statement));
    tree.extend(statement.trust().map(|trust| parts(&mut sheet, trust)));
    tree.push(inputs(&mut sheet, paper));
    sheet.margins(&format!("Statement of savings · {facility} · {period}"), &format!("{} · {issuer}", statement.id()));
    (sheet, tree)
}

/// The day in UTC, like the date in the file.
fn made_on(paper: &StatementPaper<'_>) -> jiff::civil::Date {
    jiff::tz::Offset::UTC.to_datetime(paper.made_at).date()
}

fn value(sheet: &mut Sheet, statement: &Statement) -> Node {
    let currency = statement.currency();
    let columns = [
        Column::new("What for", 0.46, Side::Left),
        Column::new("Energy, kWh", 0.18, Side::Right),
        Column::new(format!("{currency} per kWh"), 0.18, Side::Right),
        Column::new(format!("Amount, {currency}"), 0.18, Side::Right),
    ];
    let plain = |tone, text: String, amount: Money| Row::new(tone, [text, String::new(), String::new(), amount.decimal_text()]);
    let mut body: Vec<Row> = Vec::new();
    for line in statement.lines() {
        let energy = line.energy_wh.map(|wh| phrase::kwh(units::Energy::wh(wh))).unwrap_or_default();
        let price = line.price_per_kwh.map(|price| price.to_string()).unwrap_or_default();
        body.push(Row::new(Tone::Plain, [line.description.clone(), energy, price, line.amount.decimal_text()]));
    }
    body.push(plain(Tone::Sum, "Value of the savings".to_owned(), statement.value()));
    for (text, amount) in [
        ("Shortfall of earlier months", statement.carried_in()),
        ("Shortfall carried to later months, taken off again when they save", statement.carried_out()),
        ("Shortfall not charged", statement.floored()),
    ] {
        if amount.minor != 0 {
            body.push(plain(Tone::Plain, text.to_owned(), amount));
        }
    }
    if statement.billable() != statement.value() {
        body.push(plain(Tone::Sum, "Value after shortfalls".to_owned(), statement.billable()));
    }
    let total = plain(Tone::Total, format!("Billed of it, {}", statement.billed_share()), statement.billed());
    let heading = sheet.heading(2, "What it is worth", HEADING, 80.0);
    sheet.y += 4.0;
    let table = sheet.table(&columns, &body, &[total]);
    sheet.y += BETWEEN_SECTIONS;
    Node::Part(Role::Section, vec![heading, table])
}

/// What the trust score is made of.
fn parts(sheet: &mut Sheet, trust: &Trust) -> Node {
    let columns =
        [Column::new("Part", 0.46, Side::Left), Column::new("Score of 100", 0.27, Side::Right), Column::new("Weight", 0.27, Side::Right)];
    let mut body: Vec<Row> = Vec::with_capacity(trust.parts.len());
    for part in &trust.parts {
        body.push(Row::new(Tone::Plain, [part.name.clone(), phrase::score(part.score_ppm), phrase::percent(part.weight_ppm)]));
    }
    let named = format!("Trust score, {}", trust.version);
    let total = Row::new(Tone::Sum, [named, phrase::score(trust.score_ppm), String::new()]);
    let heading = sheet.heading(2, "How far it may be believed", HEADING, 80.0);
    sheet.y += 4.0;
    let table = sheet.table(&columns, &body, &[total]);
    sheet.y += 8.0;
    let text = "The score is the weighted geometric mean of its parts, so that one bad part is not averaged away; it is computed again by \
                the audit of the bundle of evidence.";
    let text = sheet.paragraph(text, BODY);
    sheet.y += BETWEEN_SECTIONS;
    Node::Part(Role::Section, vec![heading, table, text])
}

/// Everything that the figures were computed from, by name and hash.
fn inputs(sheet: &mut Sheet, paper: &StatementPaper<'_>) -> Node {
    let statement = paper.statement;
    let mut nodes = vec![sheet.heading(2, "What it was computed from", HEADING, 110.0)];
    sheet.y += 4.0;
    let text = "These documents gave the figures above, each with its SHA-256. They travel in the bundle of evidence of the invoice, and \
                anybody can compute the statement from them again.";
    nodes.push(sheet.paragraph(text, BODY));
    sheet.y += 8.0;
    let columns = [Column::new("Document", 0.34, Side::Left), Column::new("SHA-256", 0.66, Side::Left)];
    let rows: Vec<Row> = statement.inputs().iter().map(|(name, digest)| Row::new(Tone::Fine, [name.clone(), digest.clone()])).collect();
    if !rows.is_empty() {
        nodes.push(sheet.table(&columns, &rows, &[]));
        sheet.y += 14.0;
    }
    nodes.extend(sheet.facts(1, &[Fact::new("Digest of this statement", paper.digest)]));
    let names = [
        Fact::new("Statement", statement.id().to_string()),
        Fact::new("Contract", statement.contract().to_string()),
        Fact::new("Baseline", statement.baseline().to_string()),
    ];
    nodes.extend(sheet.facts(2, &names));
    Node::Part(Role::Section, nodes)
}
