//! The portfolio as its user runs it: a folder of meters, one thread, from the start of the program to its results on the disk.
//!
//! A thousand meters differ, each in its size, its heating, its cooling and its noise; under a hundred names each they are a
//! hundred thousand files, every one of which is opened, read, decoded, fitted, sealed and written down.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use calculator::assessment::Row;
use parquet::basic::Compression;
use parquet::data_type::{DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Meters that differ.
const DISTINCT: u32 = 1_000;
/// Clock ticks of a second in `/proc`, on every Linux.
const TICKS: f64 = 100.0;

/// What the run of so many meters takes, with the results that it must have.
pub(crate) fn measured(program: &Path, temperature: &Path, meter: &[Row], meters: u32) -> Outcome<Value> {
    let dir = tempfile::tempdir()?;
    let folder = dir.path().join("meters");
    fs::create_dir(&folder)?;
    for name in 0..meters {
        let file = folder.join(format!("m{name:06}.parquet"));
        if name < DISTINCT {
            write(&file, &made_up(meter, name))?;
        } else {
            fs::hard_link(folder.join(format!("m{:06}.parquet", name % DISTINCT)), file)?;
        }
    }
    let before = children_seconds()?;
    let began = Instant::now();
    let mut command = Command::new(program);
    command.args(["--quiet", "savings", "portfolio", "--commodity", "electricity", "--unit", "kWh", "--zone", "America/Chicago"]);
    command.args(["--blackout-start", "2016-12-26", "--blackout-end", "2017-01-04", "--threads", "1", "--output", "json"]);
    command.arg("--meters").arg(&folder).arg("--temperature").arg(temperature).arg("--out").arg(dir.path().join("out"));
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let watched = thread::spawn(move || {
        let mut most: Option<f64> = None;
        while let Some(mib) = super::ours::resident_mib_in(&status) {
            most = Some(mib);
            thread::sleep(Duration::from_millis(20));
        }
        most
    });
    let output = child.wait_with_output()?;
    let wall_seconds = began.elapsed().as_secs_f64();
    let rss_mib = watched.join().map_err(|_panic| "the watcher of memory panicked")?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", program.display(), output.status).into());
    }
    let found: Value = serde_json::from_slice(&output.stdout)?;
    if found["meters"]["summed"] != meters {
        return Err(format!("not all of {meters} meters were added up: {}", found["meters"]).into());
    }
    let core_seconds = children_seconds()? - before;
    let rounded = |value: f64| (value * 100.0).round() / 100.0;
    Ok(
        json!({ "meters": meters, "core_seconds": rounded(core_seconds), "wall_seconds": rounded(wall_seconds), "threads": 1, "rss_mib": rss_mib }),
    )
}

/// A meter like the sample's, and not the same.
fn made_up(sample: &[Row], number: u32) -> Vec<Row> {
    let mut state = u64::from(number) + 1;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 33).unwrap_or(0)) / f64::from(1_u32 << 31) - 0.5
    };
    let (scale, base, spread) = (0.5 + 4.0 * (noise() + 0.5), 20.0 * (noise() + 0.5), 0.1 + 0.2 * (noise() + 0.5));
    sample.iter().map(|row| Row { value: row.value.map(|kwh| (base + scale * kwh) * (1.0 + spread * noise())), ..*row }).collect()
}

/// A file as pandas writes it: nanoseconds of UTC, floats, snappy.
fn write(file: &Path, rows: &[Row]) -> Outcome<()> {
    let schema = "message m { optional int64 start (TIMESTAMP(NANOS,true)); optional double value; }";
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let schema = Arc::new(parse_message_type(schema)?);
    let mut writer = SerializedFileWriter::new(fs::File::create(file)?, schema, Arc::new(properties))?;
    let starts: Vec<i64> = rows.iter().map(|row| row.at * 1_000_000_000).collect();
    let values: Vec<f64> = rows.iter().filter_map(|row| row.value).collect();
    let present: Vec<i16> = rows.iter().map(|row| i16::from(row.value.is_some())).collect();
    let mut group = writer.next_row_group()?;
    let mut column = group.next_column()?.ok_or("a column for the times")?;
    column.typed::<Int64Type>().write_batch(&starts, Some(&vec![1; rows.len()]), None)?;
    column.close()?;
    let mut column = group.next_column()?.ok_or("a column for the values")?;
    column.typed::<DoubleType>().write_batch(&values, Some(&present), None)?;
    column.close()?;
    group.close()?;
    writer.close()?;
    Ok(())
}

/// Processor seconds of programs that we started and that have ended, those of the system for them included.
fn children_seconds() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the program may have blanks in it; behind its bracket there are only numbers.
    let (_, numbers) = stat.rsplit_once(')').ok_or("/proc/self/stat has no name")?;
    let ticks = |place: usize| -> Outcome<f64> { Ok(numbers.split_whitespace().nth(place).ok_or("/proc/self/stat is short")?.parse()?) };
    Ok((ticks(13)? + ticks(14)?) / TICKS)
}
