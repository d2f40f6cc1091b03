//! One meter after the other, on as many threads as there are.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use calculator::assessment::{Answer, AssessError, CODE_VERSION, Question, Series, Source};
use calculator::portfolio::{Month, Role};
use sha2::{Digest as _, Sha256};
use store::{Reader, SeriesInfo};

use super::super::input::{self, Refused};
use super::bar::Bar;
use super::journal::{Journal, Lines, Span};
use super::plan::{Meter, Place, Plan};
use super::row::{Figures, Outcome, Row, Standing, month};
use super::stations::Stations;
use super::tally::{Known, Tally};

/// Finished meters that are written at once.
const WAITING_MAX: usize = 256;
/// Finished meters that a thread hands over at once, because to wake another one for each costs more than some meters do.
const TOGETHER: usize = 16;
/// It hands over fewer when they take longer than this: a run that is killed has what was finished until then.
const LATEST: Duration = Duration::from_millis(50);
const HOUR_MS: i64 = 3_600_000;

/// A meter that is done.
#[derive(Debug)]
struct Finished {
    meter: usize,
    line: Line,
    outcome: Outcome,
    figures: Option<Figures>,
    before: Vec<Month>,
    after: Vec<Month>,
}

#[derive(Debug)]
enum Line {
    /// To be written.
    New(Vec<u8>),
    /// Written by an earlier run.
    Old(Span),
}

/// Computes every meter that is not finished yet.
///
/// * Errors: the results cannot be written. A meter that cannot be computed is a result and no error.
pub(super) fn run(plan: &Plan<'_>, journal: &mut Journal, bar: &Bar) -> Result<Tally, Refused> {
    // Station by station, so that few stations are in memory at once.
    let mut order: Vec<usize> = (0..plan.meters.len()).collect();
    order.sort_by_key(|meter| (plan.meters.get(*meter).map(|meter| meter.station), *meter));
    let stations = Stations::new(plan, &order);
    let next = AtomicUsize::new(0);
    let Journal { lines, writer, .. } = journal;
    let (lines, order, stations, next) = (&*lines, &order, &stations, &next);
    let mut tally = Tally::new(plan.meters.len());
    thread::scope(|scope| {
        let (send, receive) = sync_channel(WAITING_MAX / TOGETHER);
        for _ in 0..plan.threads() {
            let send: SyncSender<Result<Vec<Finished>, Refused>> = send.clone();
            scope.spawn(move || {
                let (mut done, mut since) = (Vec::with_capacity(TOGETHER), Instant::now());
                while let Some(meter) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = finished(plan, stations, lines, *meter).map(|finished| done.push(finished));
                    if found.is_ok() && done.len() < TOGETHER && since.elapsed() < LATEST {
                        continue;
                    }
                    // Nobody listens any more when results cannot be written.
                    if send.send(found.map(|()| std::mem::take(&mut done))).is_err() {
                        return;
                    }
                    since = Instant::now();
                }
                // As above: whoever does not listen has an error to tell.
                drop(send.send(Ok(done)));
            });
        }
        drop(send);
        collect(plan, receive, writer, &mut tally, bar)
    })?;
    Ok(tally)
}

/// Writes what comes, many lines at once where many wait.
fn collect(
    plan: &Plan<'_>,
    receive: Receiver<Result<Vec<Finished>, Refused>>,
    writer: &mut super::journal::Writer,
    tally: &mut Tally,
    bar: &Bar,
) -> Result<(), Refused> {
    let (mut text, mut lengths, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    while let Ok(first) = receive.recv() {
        waiting.append(&mut first?);
        while let Ok(more) = receive.try_recv() {
            waiting.append(&mut more?);
            if waiting.len() >= WAITING_MAX {
                break;
            }
        }
        for finished in &waiting {
            if let Line::New(line) = &finished.line {
                text.extend_from_slice(line);
                lengths.push(line.len());
            }
        }
        let mut spans = writer.append(&text, &lengths)?.into_iter();
        for finished in waiting.drain(..) {
            let line = match finished.line {
                Line::Old(span) => {
                    tally.kept += 1;
                    Some(span)
                }
                Line::New(_) => spans.next(),
            };
            let (Some(line), Some(meter)) = (line, plan.meters.get(finished.meter)) else { continue };
            let known = Known { line, outcome: finished.outcome, figures: finished.figures };
            tally.add(finished.meter, known, meter.role(), meter.station, &finished.before, &finished.after);
            bar.step();
        }
        text.clear();
        lengths.clear();
    }
    Ok(())
}

/// Does one meter.
fn finished(plan: &Plan<'_>, stations: &Stations<'_>, lines: &Lines, at: usize) -> Result<Finished, Refused> {
    let Some(meter) = plan.meters.get(at) else { return Err(Refused::usage(None, "portfolio", "no such meter".to_owned())) };
    let station = stations.of(meter.station());
    let question = plan.question(meter);
    let content = Content::of(plan, meter);
    let key = key(plan, &question, &station, &content);
    let standing = plan.standing(meter);
    if let Some(span) = lines.of(&meter.name, &key) {
        let read = lines.read(span).ok().and_then(|line| serde_json::from_slice::<Row>(&line).ok());
        if let Some(row) = read {
            let same = row.standing == standing;
            let row = Row { standing, ..row };
            return of_row(at, row, same.then_some(span));
        }
    }
    let name = || meter.name.to_string();
    let row = match answer(meter, question, station, content, plan) {
        Ok(answer) => Row::answered(name(), key, standing, answer),
        Err(refused) => Row::refused(name(), key, standing, refused.fault()),
    };
    of_row(at, row, None)
}

fn of_row(meter: usize, row: Row, written: Option<Span>) -> Result<Finished, Refused> {
    let line = match written {
        Some(span) => Line::Old(span),
        None => {
            let mut line = serde_json::to_vec(&row).map_err(|err| Refused::bug(&err))?;
            line.push(b'\n');
            Line::New(line)
        }
    };
    let months = |written: &[(i32, i64, i64)]| written.iter().map(month).collect();
    Ok(Finished { meter, line, outcome: row.status, figures: row.figures(), before: months(&row.before), after: months(&row.after) })
}

type Weather = Result<std::sync::Arc<super::stations::Read>, std::sync::Arc<Refused>>;

/// Computes one meter.
pub(super) fn answer(
    meter: &Meter,
    question: Result<Question, Refused>,
    station: Weather,
    content: Result<Content, Refused>,
    plan: &Plan<'_>,
) -> Result<Answer, Refused> {
    let question = question?;
    let rows = content?.rows(meter, &question)?;
    let station = station.map_err(|refused| refused.as_ref().clone())?;
    Answer::beside(&question, &rows, &station.weather, Some(&station.digest)).map_err(|err| refused(&err, meter, plan))
}

fn refused(err: &AssessError, meter: &Meter, plan: &Plan<'_>) -> Refused {
    let station = || plan.stations.get(meter.station()).map(super::stations::Station::path);
    let file = err.file().and_then(|file| match file {
        Source::Meter => Some(meter.path()),
        Source::Drivers => Some(meter.variables().unwrap_or_else(|| meter.path())),
        Source::Temperature => station(),
    });
    let refused = Refused::data(file, err.row(), err.rule(), daemon::chain(err));
    // A row of the meter is counted in the file that it lies in.
    if matches!(err.file(), Some(Source::Meter)) { refused.map_row(|row| meter.row_of_file(row)) } else { refused }
}

/// What a meter's rows are made of.
#[derive(Debug)]
pub(super) enum Content {
    Body(Bytes),
    Series(Series),
}

impl Content {
    pub(super) fn of(plan: &Plan<'_>, meter: &Meter) -> Result<Self, Refused> {
        match (&meter.place, &plan.store) {
            (Place::File(_) | Place::Inside(..), _) => Ok(Self::Body(input::body(&meter.path())?)),
            (Place::Part(_, part), _) => Ok(Self::Body(part.body.clone())),
            (Place::Series(info), Some(reader)) => {
                let registers = plan.question(meter).is_ok_and(|question| question.meter.register_digits.is_some());
                Ok(Self::Series(rows_of_series(reader, info, &meter.path(), registers)?))
            }
            (Place::Series(_), None) => Err(Refused::down(&meter.path(), "there is no store".to_owned())),
        }
    }

    fn rows(self, meter: &Meter, question: &Question) -> Result<Series, Refused> {
        match self {
            Self::Body(body) => input::meter_of(&meter.path(), body, question.zone.as_ref())
                .map_err(|refused| refused.map_row(|row| meter.row_of_file(row))),
            Self::Series(series) => Ok(series),
        }
    }
}

/// The usable readings of a series as rows.
///
/// Energies of intervals are closed by the interval after the last one. Of a register's readings, which come every minute,
/// the first of each hour is kept, and the last of all.
pub(super) fn rows_of_series(reader: &Reader, info: &SeriesInfo, path: &Path, registers: bool) -> Result<Series, Refused> {
    let samples = reader.scan(info.id, i64::MIN..i64::MAX).map_err(|err| Refused::down(path, daemon::chain(&err)))?;
    let exponent = i32::from(info.key.exponent);
    let power = |exponent: i32| (0..exponent).fold(1.0, |power, _| power * 10.0);
    #[expect(clippy::cast_precision_loss, reason = "a meter's value, far below 2^53")]
    let value = |raw: i64| if exponent < 0 { raw as f64 / power(-exponent) } else { raw as f64 * power(exponent) };
    let row = |sample: &store::Sample| calculator::assessment::Row {
        at: sample.ts_ms.div_euclid(1_000),
        value: sample.raw.filter(|_| sample.quality.is_usable()).map(value),
    };
    let mut rows: Vec<calculator::assessment::Row> = Vec::new();
    let mut hour = None;
    for (index, sample) in samples.iter().enumerate() {
        let of = sample.ts_ms.div_euclid(HOUR_MS);
        if registers && hour == Some(of) && index + 1 < samples.len() {
            continue;
        }
        let row = row(sample);
        if registers && row.value.is_none() {
            continue;
        }
        hour = Some(of);
        rows.push(row);
    }
    if let (false, [.., before, last]) = (registers, rows.as_slice()) {
        rows.push(calculator::assessment::Row { at: 2 * last.at - before.at, value: None });
    }
    input::series_of(path, rows)
}

/// SHA-256 over everything that decides a meter's result.
fn key(plan: &Plan<'_>, question: &Result<Question, Refused>, station: &Weather, content: &Result<Content, Refused>) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(CODE_VERSION.as_bytes());
    match question {
        Ok(question) => {
            let zone = |zone: &Option<jiff::tz::TimeZone>| zone.as_ref().map(|zone| zone.iana_name().unwrap_or("unnamed").to_owned());
            let Question { method, mode, commodity, unit, blackout_start, blackout_end, drivers, meter, site, .. } = question;
            let settings =
                (method, mode, commodity, unit, blackout_start, blackout_end, drivers, meter, site, zone(&question.zone), zone(&plan.zone));
            // Settings are words, numbers and dates: they can be written.
            part(&serde_json::to_vec(&settings).unwrap_or_default());
        }
        Err(refused) => part(refused.to_string().as_bytes()),
    }
    match station {
        Ok(station) => part(&station.content),
        Err(refused) => part(refused.to_string().as_bytes()),
    }
    match content {
        Ok(Content::Body(body)) => part(body),
        Ok(Content::Series(series)) => part(series.digest().as_bytes()),
        Err(refused) => part(refused.to_string().as_bytes()),
    }
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    hash.finalize().iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl Plan<'_> {
    /// Where a meter stands among the others.
    pub(super) fn standing(&self, meter: &Meter) -> Standing {
        Standing {
            station: self.stations.get(meter.station()).map(|station| station.name.clone()).unwrap_or_default(),
            role: meter.role(),
            stratum: self.strata.get(meter.stratum()).cloned().unwrap_or_default(),
        }
    }
}

impl Meter {
    /// On which side of the comparison it is.
    pub(super) fn role(&self) -> Role {
        self.listed.as_ref().ok().and_then(Option::as_ref).map_or(Role::Treated, |listed| listed.role)
    }
}
