//! Documents on paper: the invoice and the statement of savings as PDF.
//!
//! **What it is.** The only crate that knows the PDF engine. It is told everything and asks nothing: an issued document
//! of `settlement` and the names around it go in, bytes come out. Amounts are printed as `money` writes them; nothing is
//! computed here but places on a page.
//!
//! **What kind of PDF.** PDF/A-3a and PDF/UA-1 (PDF 1.7): made to be kept for decades and to be read aloud. Every text is
//! tagged, tables have header cells, the chart has a sentence in its place, the fonts are embedded, and the documents that
//! the bundle of evidence holds are attached byte for byte. The engine checks both standards and refuses what breaks them.
//!
//! **Determinism.** Equal arguments give equal bytes from the same build: the date is the day of issue, the identifier
//! is the document's own, no clock is asked and no random number drawn.

mod chart;
mod draw;
mod fonts;
mod invoice;
mod paper;
mod phrase;
mod sections;
mod sheet;
mod statement;
mod table;

pub use invoice::invoice;
pub use paper::{Attachment, Day, Evidence, InvoicePaper, ReportError, StatementPaper};
pub use statement::statement;

#[cfg(test)]
mod tests;
