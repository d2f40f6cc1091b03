//! What came of a demo: the object that `--output json` prints, and the summary that people read.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

/// The result of a demo, `negawatt.demo/1`.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) schema: &'static str,
    pub(crate) readings: Readings,
    pub(crate) baseline: Baseline,
    pub(crate) savings: Savings,
    pub(crate) invoice: Invoice,
    pub(crate) payouts: Vec<Payout>,
    pub(crate) ledger: Ledger,
    pub(crate) evidence: PathBuf,
    /// The invoice as PDF; for people, so not in the object.
    #[serde(skip)]
    pub(crate) paper: PathBuf,
    pub(crate) audit: &'static str,
    pub(crate) wall_seconds: f64,
}

/// Points: one quantity of one device at one time.
#[derive(Debug, Serialize)]
pub(crate) struct Readings {
    pub(crate) polled: u64,
    pub(crate) acknowledged: u64,
    pub(crate) stored: u64,
    pub(crate) duplicate: u64,
    pub(crate) dead_letter: u64,
    pub(crate) lost: u64,
    pub(crate) points_per_second: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Baseline {
    pub(crate) method: String,
    pub(crate) r_squared_adj: f64,
    pub(crate) cv_rmse: f64,
    pub(crate) nmbe: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Savings {
    pub(crate) period: String,
    pub(crate) avoided_energy_wh: i64,
    pub(crate) uncertainty_wh: i64,
    pub(crate) confidence: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Invoice {
    pub(crate) number: String,
    pub(crate) currency: String,
    pub(crate) total_minor: i64,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) description: String,
    pub(crate) amount_minor: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Payout {
    pub(crate) payee: String,
    pub(crate) kind: String,
    pub(crate) amount_minor: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Ledger {
    pub(crate) transactions: u64,
    pub(crate) postings: u64,
    pub(crate) balanced: bool,
}

/// A stage of the demo; all of them are in `stages.json` in its folder.
#[derive(Debug, Serialize)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) seconds: f64,
}

impl Outcome {
    /// The summary for a newcomer.
    ///
    /// * `title`: what the building is.
    /// * `folder`: where the demo's files are.
    pub(crate) fn summary(&self, title: &str, folder: &std::path::Path) -> String {
        let mut text = String::new();
        self.write_summary(&mut text, title, folder).expect("a string takes all that is written to it");
        text
    }

    fn write_summary(&self, out: &mut String, title: &str, folder: &std::path::Path) -> std::fmt::Result {
        let readings = &self.readings;
        writeln!(out, "\nNegawatt demo: {title}\n")?;
        writeln!(
            out,
            "  read     {} points from registers; {} stored, {} repeats recognised, {} refused, {} lost ({} points/s)",
            thousands(readings.polled),
            thousands(readings.stored),
            thousands(readings.duplicate),
            readings.dead_letter,
            readings.lost,
            thousands(readings.points_per_second),
        )?;
        writeln!(
            out,
            "  baseline {}: R² {:.3}, CV(RMSE) {:.1} %, NMBE {:.2} %",
            self.baseline.method,
            self.baseline.r_squared_adj,
            self.baseline.cv_rmse * 100.0,
            // Least squares leaves a bias of rounding, whose sign means nothing.
            (self.baseline.nmbe * 1e4).round() / 100.0 + 0.0
        )?;
        writeln!(
            out,
            "  saved    {} kWh in {}, ± {} kWh at {:.0} % confidence",
            kilowatt_hours(self.savings.avoided_energy_wh),
            self.savings.period,
            kilowatt_hours(self.savings.uncertainty_wh),
            self.savings.confidence * 100.0
        )?;
        writeln!(out, "  billed   invoice {}: {}", self.invoice.number, self.amount(self.invoice.total_minor))?;
        for line in &self.invoice.lines {
            writeln!(out, "             {:<56} {:>14}", line.description, self.amount(line.amount_minor))?;
        }
        writeln!(out, "  paid")?;
        for payout in &self.payouts {
            writeln!(out, "             {:<56} {:>14}", format!("{} ({})", payout.payee, payout.kind), self.amount(payout.amount_minor))?;
        }
        let balance = if self.ledger.balanced { "balanced" } else { "NOT BALANCED" };
        writeln!(out, "  ledger   {} transactions, {} postings, {balance}", self.ledger.transactions, self.ledger.postings)?;
        writeln!(out, "  audit    {}: every cent recomputed offline from raw registers\n", self.audit)?;
        writeln!(out, "  {:.1} s in all. Files: {}", self.wall_seconds, folder.display())?;
        writeln!(out, "  Invoice:  {}", self.paper.display())?;
        writeln!(out, "  Evidence: {}\n", self.evidence.display())?;
        writeln!(out, "  Try next:")?;
        writeln!(out, "    negawatt audit {}", self.evidence.display())?;
        writeln!(out, "    negawatt demo --serve                 the same, and a live status page")?;
        writeln!(out, "    negawatt demo --data FOLDER           on your own building")?;
        writeln!(out, "    negawatt up                           ready for a real gateway")
    }

    fn amount(&self, minor: i64) -> String {
        match self.invoice.currency.parse() {
            Ok(currency) => money::Money::new(minor, currency).to_string(),
            Err(_unknown) => format!("{minor} {}", self.invoice.currency),
        }
    }
}

fn kilowatt_hours(wh: i64) -> String {
    units::Measured { raw: wh, exponent: -3, unit: units::Unit::KilowattHour }.decimal_text()
}

fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(1_234), "1,234");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }
}
