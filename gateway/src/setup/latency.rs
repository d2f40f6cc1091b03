//! How quick and how sure a device answers, and what timeout, gap and block follow from it.

use std::time::Duration;

use devices::{Profile, ReadPlan};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{
    Finding,
    speak::{Heard, Speaker},
    symptoms::{Tally, explain_load},
};
use crate::modbus::Endpoint;

/// A timeout is this many times what all but one in a hundred answers need, and never less than the floor.
const MARGIN: u32 = 4;
const TIMEOUT_FLOOR: Duration = Duration::from_millis(100);
/// Longest wait while measuring.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Pauses that cure devices that are asked too fast, the shortest first.
const GAPS: [Duration; 5] =
    [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(50), Duration::from_millis(100), Duration::from_millis(500)];
/// The specification's limit.
const REGISTERS_MAX: u16 = 125;
/// As many meters as one bus segment carries.
const BUS_FULL: u32 = 32;

/// What was measured, and what follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Reads.
    pub reads: u32,
    /// Reads without a right answer.
    pub failed: u32,
    /// Half of the answers came within; the line's own time left aside.
    pub p50_ms: f64,
    /// All but one in a hundred came within.
    pub p99_ms: f64,
    /// Four times p99, at least 100 ms.
    pub timeout_ms: u64,
    /// The shortest pause before a request at which nothing failed.
    pub gap_ms: u64,
    /// Most registers that one read brought, from the first block of the plan on.
    pub largest_block: u16,
    /// Time the bus is busy with one reading of this device.
    pub reading_ms: f64,
    /// Share of each minute that the bus is busy with the devices it has, in percent.
    pub busy_percent: f64,
    /// The same with 32 such meters.
    pub busy_percent_32: f64,
}

/// Measures a device.
///
/// * Shape: `reads` at least 10; `devices_on_bus` is how many are polled there now, `interval` how often.
/// * Errors: the port could not be used. No latency where nothing was understood: there is nothing to measure then.
pub(super) async fn measure(
    endpoint: &Endpoint,
    unit: u8,
    profile: &Profile,
    plan: &ReadPlan,
    reads: u32,
    devices_on_bus: u32,
    interval: Duration,
) -> std::io::Result<(Option<Latency>, Vec<Finding>)> {
    let mut speaker = Speaker::open(endpoint).await?;
    let Some(block) = plan.blocks.first() else { return Err(std::io::Error::other("the plan reads nothing")) };
    let question = |count: u16| read(block.table.function(), block.address, count);
    let short_count = profile.align().max(2).min(block.count);
    let line_time = |registers: u16| endpoint.line_time(u64::from(registers) * 2 + 5);
    let (mut tally, mut short, mut long, mut thinking) = (Tally::default(), Tally::default(), Tally::default(), Vec::new());
    let mut gap = Duration::ZERO;
    for &tried in &GAPS {
        (tally, short, long, gap) = (Tally::default(), Tally::default(), Tally::default(), tried);
        thinking.clear();
        for turn in 0..reads {
            sleep(gap).await;
            let (count, part) = if turn % 2 == 0 { (block.count, &mut long) } else { (short_count, &mut short) };
            let heard = speaker.ask(unit, &question(count), PATIENCE).await?;
            part.note(&heard);
            tally.note(&heard);
            if is_right(&heard, count) {
                thinking.push(heard.took.saturating_sub(line_time(count)));
            }
        }
        if tally.answered == tally.asked {
            break;
        }
    }
    if tally.answered < tally.asked {
        gap = Duration::from_millis(u64::from(profile.timing().gap_ms));
    }
    thinking.sort();
    let percentile = |percent: usize| thinking.get((thinking.len() * percent / 100).min(thinking.len().saturating_sub(1))).copied();
    let (Some(p50), Some(p99)) = (percentile(50), percentile(99)) else {
        let what = format!("none of {} answers could be understood", tally.asked);
        return Ok((
            None,
            vec![Finding::red("answers", what, "put the cable right before billing: termination, shield, unit ids, one master")],
        ));
    };
    let largest_block = largest(&mut speaker, unit, block.table.function(), block.address, block.count).await?;
    let exchange = |count: u16| endpoint.line_time(8) + p50 + line_time(count) + gap.max(endpoint.frame_silence());
    let reading: Duration = plan.blocks.iter().map(|block| exchange(block.count)).sum();
    let busy = |devices: u32| 100.0 * reading.as_secs_f64() * f64::from(devices) / interval.as_secs_f64();
    let latency = Latency {
        reads: tally.asked,
        failed: tally.asked - tally.answered,
        p50_ms: millis(p50),
        p99_ms: millis(p99),
        timeout_ms: rounded_up(p99 * MARGIN).max(u64::try_from(TIMEOUT_FLOOR.as_millis()).unwrap_or(100)),
        gap_ms: u64::try_from(gap.as_millis()).unwrap_or(0),
        largest_block,
        reading_ms: millis(reading),
        busy_percent: rounded(busy(devices_on_bus)),
        busy_percent_32: rounded(busy(BUS_FULL)),
    };
    let mut findings = vec![errors(&latency)];
    findings.extend(explain_load(&[
        (short_count, short.asked, short.asked - short.answered),
        (block.count, long.asked, long.asked - long.answered),
    ]));
    if latency.busy_percent > 80.0 {
        let what = format!("the bus is busy for {} % of the time", latency.busy_percent);
        findings.push(Finding::amber("bus-load", what, "raise the baud rate, read fewer points, or use a second bus"));
    }
    Ok((Some(latency), findings))
}

fn errors(latency: &Latency) -> Finding {
    let Latency { reads, failed, p50_ms, p99_ms, timeout_ms, gap_ms, .. } = latency;
    let answers = format!("{failed} of {reads} reads failed; half answer within {p50_ms} ms, 99 of 100 within {p99_ms} ms");
    let percent = f64::from(*failed) * 100.0 / f64::from((*reads).max(1));
    if *failed == 0 {
        Finding::green("answers", format!("{answers}; timeout {timeout_ms} ms and gap {gap_ms} ms suffice"))
    } else if percent <= 2.0 {
        Finding::amber("answers", answers, "see the termination of the cable: 120 ohm at both ends; readings are asked again once")
    } else {
        Finding::red("answers", answers, "put the cable right before billing: termination, shield, unit ids, one master")
    }
}

fn is_right(heard: &Heard, count: u16) -> bool {
    match &heard.sound {
        super::speak::Sound::Answer(pdu) => pdu.len() == usize::from(count) * 2 + 2,
        _ => false,
    }
}

/// The longest read that the device answers, between what it surely can and the specification's limit.
async fn largest(speaker: &mut Speaker, unit: u8, function: u8, address: u16, known: u16) -> std::io::Result<u16> {
    let (mut good, mut bad) = (known.min(REGISTERS_MAX), REGISTERS_MAX + 1);
    while bad - good > 1 {
        let tried = good + (bad - good) / 2;
        let heard = speaker.ask(unit, &read(function, address, tried), PATIENCE).await?;
        if is_right(&heard, tried) { good = tried } else { bad = tried }
    }
    Ok(good)
}

/// A read request without its framing.
pub(super) fn read(function: u8, address: u16, count: u16) -> [u8; 5] {
    let ([a, b], [c, d]) = (address.to_be_bytes(), count.to_be_bytes());
    [function, a, b, c, d]
}

fn millis(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1_000.0)
}

fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// In tens of milliseconds.
fn rounded_up(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(10) * 10).unwrap_or(u64::MAX)
}
