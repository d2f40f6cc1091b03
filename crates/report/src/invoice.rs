//! The invoice on paper.

use money::Money;
use settlement::{Invoice, LineKind};

use crate::draw::{Cover, pdf};
use crate::paper::{InvoicePaper, ReportError, check_days};
use crate::phrase;
use crate::sections::{BETWEEN_SECTIONS, Fact, HEADING, Sum};
use crate::sheet::{BODY, Node, Role, Sheet, Side};
use crate::table::{Column, Row, Tone};

/// Prints an issued invoice.
///
/// * Determinism: equal arguments give equal bytes from the same build.
/// * Errors: a statement or days that are not the invoice's; a document that the engine refuses, which is our fault.
pub fn invoice(paper: InvoicePaper<'_>) -> Result<Vec<u8>, ReportError> {
    let InvoicePaper { invoice, statement, .. } = paper;
    if invoice.statement() != statement.id() {
        return Err(ReportError::Statement { expected: invoice.statement(), found: statement.id() });
    }
    check_days(statement, paper.days)?;
    let (sheet, tree) = lay_out(&paper);
    let cover = Cover {
        title: format!("Invoice {}, {}", invoice.number(), paper.facility),
        about: format!("{} for energy not used, {}", invoice.total(), phrase::period(invoice.period())),
        author: paper.issuer.to_owned(),
        id: invoice.id().to_string(),
        made_at: invoice.issued_at(),
    };
    pdf(sheet, &tree, &cover, paper.attachments)
}

/// The pages and what they mean.
pub(crate) fn lay_out(paper: &InvoicePaper<'_>) -> (Sheet, Vec<Node>) {
    let InvoicePaper { invoice, statement, .. } = paper;
    let mut sheet = Sheet::new();
    let title = format!("Invoice {}", invoice.number());
    let mut tree = vec![sheet.letterhead(paper.issuer)];
    tree.extend(opening(&mut sheet, paper, &title));
    tree.push(lines(&mut sheet, paper));
    tree.push(split(&mut sheet, invoice));
    tree.push(sheet.measured(statement, paper.days));
    tree.push(proof(&mut sheet, paper));
    sheet.margins(&format!("{title} · {}", paper.facility), &format!("{} · {}", invoice.number(), paper.issuer));
    (sheet, tree)
}

fn opening(sheet: &mut Sheet, paper: &InvoicePaper<'_>, title: &str) -> Vec<Node> {
    let invoice = paper.invoice;
    let left = vec![Fact::new("Billed to", paper.payer), Fact::new("Facility", paper.facility)];
    let right = vec![
        Fact::new("Period", phrase::period(invoice.period())),
        Fact::new("Issued", phrase::day(invoice.issued_on())),
        Fact::new("Due", phrase::day(invoice.due_on())),
    ];
    let note = if invoice.total().minor == 0 {
        "Nothing is to be paid.".to_owned()
    } else {
        format!("to be paid by {}", phrase::day(invoice.due_on()))
    };
    sheet.opening(title, [left, right], &Sum { label: "Amount due", amount: invoice.total().to_string(), note })
}

fn lines(sheet: &mut Sheet, paper: &InvoicePaper<'_>) -> Node {
    let (invoice, statement) = (paper.invoice, paper.statement);
    let currency = invoice.currency();
    let columns = [
        Column::new("What for", 0.46, Side::Left),
        Column::new("Energy, kWh", 0.18, Side::Right),
        Column::new(format!("{currency} per kWh"), 0.18, Side::Right),
        Column::new(format!("Amount, {currency}"), 0.18, Side::Right),
    ];
    let row = |line: &settlement::Line| {
        let energy = line.energy_wh.map(|wh| phrase::kwh(units::Energy::wh(wh))).unwrap_or_default();
        let price = line.price_per_kwh.map(|price| price.to_string()).unwrap_or_default();
        Row::new(Tone::Plain, [line.description.clone(), energy, price, line.amount.decimal_text()])
    };
    let blank = String::new;
    let (savings, others): (Vec<_>, Vec<_>) = invoice.lines().iter().partition(|line| line.kind == LineKind::Savings);
    let mut body: Vec<Row> = savings.into_iter().map(row).collect();
    body.push(Row::new(Tone::Sum, ["Value of the savings".to_owned(), blank(), blank(), statement.value().decimal_text()]));
    body.extend(others.into_iter().map(row));
    let total = Row::new(Tone::Total, ["Total due".to_owned(), blank(), blank(), invoice.total().decimal_text()]);
    let heading = sheet.heading(2, "What is billed", HEADING, 80.0);
    sheet.y += 4.0;
    let table = sheet.table(&columns, &body, &[total]);
    sheet.y += 8.0;
    let agreed = format!(
        "Of the value of the savings{}, {} is billed as agreed in the contract; the rest stays with the facility.",
        if statement.billable() == statement.value() { "" } else { " after shortfalls" },
        statement.billed_share()
    );
    let agreed = sheet.paragraph(&agreed, BODY);
    sheet.y += BETWEEN_SECTIONS;
    Node::Part(Role::Section, vec![heading, table, agreed])
}

fn split(sheet: &mut Sheet, invoice: &Invoice) -> Node {
    let columns = [
        Column::new("Who", 0.46, Side::Left),
        Column::new("As", 0.18, Side::Left),
        Column::new("Share", 0.18, Side::Right),
        Column::new(format!("Amount, {}", invoice.currency()), 0.18, Side::Right),
    ];
    let text = |money: Money| money.decimal_text();
    let parts = invoice.parts().iter();
    let body: Vec<Row> = parts
        .map(|part| Row::new(Tone::Plain, [part.name.clone(), part.kind.to_string(), part.share.to_string(), text(part.amount)]))
        .collect();
    let total = Row::new(Tone::Sum, ["Total".to_owned(), String::new(), String::new(), text(invoice.total())]);
    let heading = sheet.heading(2, "Who gets it", HEADING, 80.0);
    sheet.y += 4.0;
    let table = sheet.table(&columns, &body, &[total]);
    sheet.y += BETWEEN_SECTIONS;
    Node::Part(Role::Section, vec![heading, table])
}

/// Where the evidence is and how to audit it.
fn proof(sheet: &mut Sheet, paper: &InvoicePaper<'_>) -> Node {
    let mut nodes = vec![sheet.heading(2, "How to check every cent", HEADING, 110.0)];
    sheet.y += 4.0;
    if let Some(evidence) = paper.evidence {
        let text = "The bundle of evidence holds the registers of the meters as they were read, the baseline, the weather, the contract and \
                    every step from them to this invoice. With it anybody can compute the invoice again, without a network and without \
                    trusting us:";
        nodes.push(sheet.paragraph(text, BODY));
        sheet.y += 6.0;
        nodes.push(sheet.command(&format!("negawatt audit {}", evidence.file)));
        sheet.y += 10.0;
        nodes.extend(sheet.facts(1, &[Fact::new("SHA-256 of the bundle", evidence.sha256)]));
    }
    let invoice = paper.invoice;
    let names = [
        Fact::new("Invoice", invoice.id().to_string()),
        Fact::new("Statement", invoice.statement().to_string()),
        Fact::new("Contract", invoice.contract().to_string()),
        Fact::new("Baseline", paper.statement.baseline().to_string()),
    ];
    nodes.extend(sheet.facts(2, &names));
    if let Some(note) = attached(paper.attachments.iter().map(|attachment| attachment.name.as_str())) {
        nodes.push(sheet.paragraph(&note, BODY));
    }
    Node::Part(Role::Section, nodes)
}

/// Says what is attached.
pub(crate) fn attached<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names = names.collect::<Vec<_>>().join(" and ");
    (!names.is_empty()).then(|| format!("Attached to this file for programs to read: {names}, byte for byte as in the bundle of evidence."))
}
