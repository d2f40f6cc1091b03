//! The Modbus crate as most programs use it: a context, a timeout around each call, trust in what comes back.
//!
//! One request for each value, as many loggers do. It exists to show that the matrix finds wrong values where there are any.

use std::time::Duration;

use devices::{BlockRequest, Table};
use simulator::Connection;
use tokio::time::{sleep, timeout};
use tokio_modbus::{
    Request, Response, Slave,
    client::{Client as _, Context, rtu, tcp},
    slave::SlaveContext as _,
};

use super::matrix::Bench;
use super::{Report, Tally};

const TIMEOUT: Duration = Duration::from_millis(500);
const RECONNECT: Duration = Duration::from_millis(500);

pub(super) async fn run(bench: &Bench, exchanges: u64) -> Report {
    let (mut report, mut context) = (Report::default(), None);
    loop {
        for (unit, meter) in &bench.meters {
            for point in meter.profile().points() {
                let Ok(plan) = meter.profile().plan(&[&point.id]) else { continue };
                let Some(block) = plan.blocks.first() else { continue };
                let ready = match context.take() {
                    Some(ready) => ready,
                    None => connect(bench).await,
                };
                let (kept, words) = call(ready, *unit, block).await;
                context = kept;
                // What did not even arrive is no exchange, and somebody will restart the program.
                let Some(exchange) = bench.channel.take_book().pop() else {
                    context = None;
                    continue;
                };
                let measured = words.and_then(|words| block.decode(&words).find_map(|(_, _, measured)| measured.ok()));
                let held = exchange.sampled.and_then(|at| meter.truth(&point.id, at));
                let outcome = match measured {
                    None => Tally { flagged: 1, ..Tally::default() },
                    Some(_) if measured == held => Tally { right: 1, ..Tally::default() },
                    Some(_) => Tally { wrong: 1, ..Tally::default() },
                };
                if outcome.wrong > 0 {
                    report.show(|| format!("{}: {} of unit {unit} reads {measured:?} and held {held:?}", bench.name, point.id));
                }
                report.note(bench.name, exchange.fault, outcome);
                if report.whole.exchanges() == exchanges {
                    return report;
                }
            }
        }
    }
}

async fn connect(bench: &Bench) -> Context {
    let connection: Connection = loop {
        match bench.channel.connect() {
            Ok(connection) => break connection,
            Err(_absent) => sleep(RECONNECT).await,
        }
    };
    if bench.network { tcp::attach(connection) } else { rtu::attach(connection) }
}

/// One read. The context stays after a timeout, as it does in most programs, and goes when the connection broke.
///
/// Whatever words come are taken, as the crate's own methods do when they are built for release.
async fn call(mut context: Context, unit: u8, block: &BlockRequest) -> (Option<Context>, Option<Vec<u16>>) {
    let question = match block.table {
        Table::Holding => Request::ReadHoldingRegisters(block.address, block.count),
        Table::Input => Request::ReadInputRegisters(block.address, block.count),
    };
    context.set_slave(Slave(unit));
    match timeout(TIMEOUT, context.call(question)).await {
        Ok(Ok(Ok(Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words)))) => (Some(context), Some(words)),
        Ok(Err(tokio_modbus::Error::Transport(_))) => (None, None),
        _ => (Some(context), None),
    }
}
