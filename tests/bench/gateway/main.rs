//! What the gateway costs and what it can do: `cargo xtask bench gateway` builds and starts it.
//!
//! The poller is driven in this process where the question is how fast it is; the program itself runs, as its user would start it,
//! where the question is what it takes from the machine.

mod acknowledger;
mod broker;
mod line;
mod peers;
mod plant;
mod process;
mod program;
mod registers;
mod throughput;

use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};

use self::{plant::Plant, program::Program};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long the pollers that are compared may poll.
const POLLING: Duration = Duration::from_secs(5);
/// Polls of 32 buses, one each second.
const JITTER_SECONDS: u32 = 60;
/// Full minutes over which 32 meters on a serial line are watched.
const SERIAL_MINUTES: u32 = 2;

#[derive(Debug, Parser)]
#[command(name = "gateway-bench", about = "Measures the gateway")]
struct Args {
    /// The gateway's program
    #[arg(long)]
    program: PathBuf,
    /// A Python with pymodbus, for the pollers of other people
    #[arg(long)]
    python: PathBuf,
}

fn main() -> ExitCode {
    let written = measure(&Args::parse()).and_then(|figures| Ok(writeln!(io::stdout().lock(), "{figures}")?));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            say(&format!("error: {err}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<Value> {
    let program = Program::new(args.program.clone());
    say("polling as fast as one core can");
    let ours = throughput::measure(POLLING)?;
    say("the same with pymodbus");
    let blocks = peers::pymodbus(&args.python, peers::Style::Blocks, POLLING)?;
    let values = peers::pymodbus(&args.python, peers::Style::OneRequestPerValue, POLLING)?;
    say("a serial line, saturated");
    let line = line::saturated(Duration::from_secs(20))?;
    say("from the start to the first poll");
    let first_poll_ms = program.start_to_first_poll()?;
    say("32 buses, each second");
    let jitter = program.jitter(&Plant::buses(32, 1), JITTER_SECONDS)?;
    say("32 devices over TLS");
    let small = program.memory(&Plant::buses(8, 4))?;
    say("1,000 devices over TLS");
    let large = program.memory(&Plant::buses(8, 125))?;
    say("32 meters on a serial line, each minute");
    let serial = program.serial(SERIAL_MINUTES)?;
    let two_digits = |figure: f64| (figure * 100.0).round() / 100.0;
    let per_second = |poller: &peers::Polled| poller.points_per_cpu_second.round();
    Ok(json!({
        "schema": "negawatt.bench.gateway/1",
        "points_per_second": ours.points_per_second.round(),
        "points_per_cpu_second": ours.points_per_cpu_second.round(),
        "rss_mib_32_devices": two_digits(small.resident_mib),
        "rss_mib_1000_devices": two_digits(large.resident_mib),
        "peak_mib_32_devices": two_digits(small.peak_mib),
        "peak_mib_1000_devices": two_digits(large.peak_mib),
        "cpu_percent_32_rtu": two_digits(serial.cpu_percent),
        "jitter_p999_ms": two_digits(jitter.p999_ms),
        "jitter_p50_ms": two_digits(jitter.p50_ms),
        "jitter_polls": jitter.polls,
        "bus_occupancy_9600": two_digits(line.of_limit),
        "bus_busy_9600": two_digits(line.busy),
        "bus_limit_9600": two_digits(line.limit),
        "write_amplification": two_digits(serial.write_amplification),
        "written_mb_per_day_32_rtu": two_digits(serial.written_mb_per_day),
        "start_to_first_poll_ms": first_poll_ms,
        "binary_mib": two_digits(program.size_mib()?),
        "peers": {
            "pymodbus_points_per_second": blocks.points_per_second.round(),
            "pymodbus_points_per_cpu_second": per_second(&blocks),
            "one_request_per_value_points_per_second": values.points_per_second.round(),
            "one_request_per_value_points_per_cpu_second": per_second(&values),
            "ratio_to_pymodbus_per_cpu_second": two_digits(ours.points_per_cpu_second / blocks.points_per_cpu_second),
            "ratio_to_one_request_per_value_per_cpu_second": two_digits(ours.points_per_cpu_second / values.points_per_cpu_second),
        },
        "anchors": anchors(),
    }))
}

/// The best figures that others have published, as the design's study of the field found them.
fn anchors() -> Value {
    json!({
        "points_per_second": "Neuron 3.2.1: 100,000 floats/s at 30 % of four 3.1 GHz cores, 497 MB",
        "rss_mib_32_devices": "Telegraf with few plugins: 15 MB",
        "rss_mib_1000_devices": "Neuron: 199 to 497 MB",
        "binary_mib": "Telegraf: 37 to 245 MB",
        "jitter_p999_ms": "OpenEMS: cycles of one second",
        "write_amplification": "redb 145, SQLite 66 at commits of 200 bytes",
    })
}

/// Talk, on standard error.
fn say(text: &str) {
    // Nobody is left to tell when standard error is gone.
    drop(writeln!(io::stderr().lock(), "{text}"));
}
