//! The results, when every meter is finished: tables, lists, and what all come to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write as _};

use calculator::portfolio::{Role, ranked};
use sha2::{Digest as _, Sha256};

use super::super::input::Refused;
use super::journal::{self, Journal, Replacing};
use super::plan::Plan;
use super::row::{Outcome, Row};
use super::summary::{REFUSED_MAX, Ranked, RefusedMeter, Summary};
use super::tables::{self, Table};
use super::tally::Tally;
use super::{Charted, charts};

/// Rows that become columns at once: a row is three times as large before as after it.
const BATCH: usize = 512;
/// Rows of a group of the table: of fewer there would be more groups, of which the writer keeps a hundred kilobytes each.
const GROUP: usize = 4_096;

/// Writes `meters.parquet`, `meters.jsonl`, the charts, and `portfolio.json` last, each in the order of meters.
pub(super) fn finish(plan: &Plan<'_>, journal: Journal, tally: &Tally) -> Result<Summary, Refused> {
    let mut summary = Summary::of(plan, tally)?;
    let (top, bottom) = lists(plan, tally);
    let mut pass =
        Pass { hash: Sha256::new(), wanted: top.iter().chain(&bottom).copied().collect(), ranked: BTreeMap::new(), refused: Vec::new() };
    let folder = journal.folder.clone();
    pass.write(&journal, tally)?;
    let listed = |places: &[usize]| places.iter().filter_map(|place| pass.ranked.get(place).cloned()).collect::<Vec<Ranked>>();
    (summary.top, summary.bottom) = (listed(&top), listed(&bottom));
    summary.refused = std::mem::take(&mut pass.refused);
    summary.digest = pass.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let charted: Vec<usize> = match plan.args.charts {
        Charted::Listed => pass.wanted.into_iter().collect(),
        Charted::All => (0..plan.meters.len()).collect(),
        Charted::None => Vec::new(),
    };
    charts::write(plan, &folder, &charted)?;
    let object = summary.object().map_err(|err| Refused::bug(&err))?;
    let replacing = Replacing::new(&folder, "portfolio.json");
    let mut file = replacing.create()?;
    file.write_all(object.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(|err| replacing.failed(&err))?;
    replacing.done(file)?;
    Ok(summary)
}

/// The best and the worst of the treated meters that are added up.
fn lists(plan: &Plan<'_>, tally: &Tally) -> (Vec<usize>, Vec<usize>) {
    let value = |(meter, known): (&super::plan::Meter, &Option<super::tally::Known>)| {
        let figures = known.as_ref()?.figures.filter(|_| meter.role() == Role::Treated)?;
        // By what was avoided in one unit, whatever each meter's is.
        let per_unit = plan.unit_of(meter).ok()?.to_wh(1.0);
        Some(plan.rank(figures.savings * per_unit, figures.counterfactual * per_unit))
    };
    ranked(plan.meters.iter().zip(&tally.known).map(value), plan.args.top)
}

/// What is gathered while the lines go by.
struct Pass {
    hash: Sha256,
    wanted: BTreeSet<usize>,
    ranked: BTreeMap<usize, Ranked>,
    refused: Vec<RefusedMeter>,
}

impl Pass {
    fn write(&mut self, journal: &Journal, tally: &Tally) -> Result<(), Refused> {
        let replacing = Replacing::new(&journal.folder, journal::NAME);
        let mut lines = BufWriter::new(replacing.create()?);
        let mut table = Table::new(&journal.folder, "meters.parquet");
        let mut rows: Vec<Row> = Vec::with_capacity(BATCH);
        for (place, known) in tally.known.iter().enumerate() {
            let Some(known) = known else { continue };
            let line = journal.lines.read(known.line).map_err(|err| replacing.failed(&err))?;
            lines.write_all(&line).map_err(|err| replacing.failed(&err))?;
            let row: Row = serde_json::from_slice(&line).map_err(|err| Refused::bug(&err))?;
            self.take(place, &row);
            rows.push(row);
            if rows.len() == BATCH {
                table.add(&tables::meters(&rows).map_err(|err| table.failed(&err))?, GROUP)?;
                rows.clear();
            }
        }
        if !rows.is_empty() {
            table.add(&tables::meters(&rows).map_err(|err| table.failed(&err))?, GROUP)?;
        }
        table.done()?;
        let whole = lines.into_inner().map_err(|err| replacing.failed(err.error()))?;
        replacing.done(whole)?;
        Ok(())
    }

    fn take(&mut self, place: usize, row: &Row) {
        for part in [row.meter.as_str(), row.status.name(), row.digest.as_deref().unwrap_or_default()] {
            self.hash.update(part.as_bytes());
            self.hash.update([0]);
        }
        if self.wanted.contains(&place)
            && let Some(ranked) = Ranked::of(row)
        {
            self.ranked.insert(place, ranked);
        }
        if let (Outcome::Refused, Some(error)) = (row.status, &row.error)
            && self.refused.len() < REFUSED_MAX
        {
            self.refused.push(RefusedMeter { meter: row.meter.clone(), error: error.clone() });
        }
    }
}
