//! From sending a reading to the answer that has it, while others are written at a steady rate.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::rival::Rival;
use super::{Result, percentile_ms};

/// Between two readings that are waited for.
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// Longer than any of these servers keeps a reading to itself.
const PATIENCE: Duration = Duration::from_secs(40);

/// What is sent, part by part.
pub(crate) struct Load<'a> {
    pub(crate) parts: usize,
    pub(crate) send: Box<dyn FnMut(usize) -> Result<()> + Send + 'a>,
    /// Sends the reading that is waited for, by its number.
    pub(crate) probe: Box<dyn FnMut(i64) -> Result<()> + Send + 'a>,
}

/// The parts of the load over a duration, evenly; p99 of how long a probe is on its way into an answer, in milliseconds.
///
/// A question is asked as soon as the one before is answered, and an answer counts when it is there to its end. The first reading of all
/// is not counted: a series that is new is made known first, and takes some servers seconds.
pub(crate) fn queryable_p99_ms(rival: &mut dyn Rival, load: Load<'_>, duration: Duration) -> Result<f64> {
    let Load { parts, mut send, mut probe } = load;
    let probes = usize::try_from(duration.as_millis() / PROBE_EVERY.as_millis())?;
    probe(0)?;
    let began = Instant::now();
    while rival.newest_probe()?.is_none() {
        if began.elapsed() > PATIENCE {
            return Err("a first reading was never found".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let sent: Mutex<Vec<Instant>> = Mutex::new(Vec::new());
    let began = Instant::now();
    let wait_for = |at: Duration| std::thread::sleep(at.saturating_sub(began.elapsed()));
    let mut took: Vec<Duration> = Vec::new();
    let (sending, probing, asked) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| -> Result<()> {
            for part in 0..parts {
                wait_for(duration.mul_f64(ratio(part, parts)));
                send(part)?;
            }
            Ok(())
        });
        let probing = scope.spawn(|| -> Result<()> {
            for number in 0..probes {
                wait_for(duration.mul_f64(ratio(number, probes)));
                sent.lock().expect("nobody panics while it holds the times").push(Instant::now());
                probe(i64::try_from(number + 1)?)?;
            }
            Ok(())
        });
        let asked = ask(rival, probes, &sent, &mut took, || sending.is_finished() && probing.is_finished());
        let panicked = |_panic| -> Result<()> { Err("a sender has panicked".into()) };
        (sending.join().unwrap_or_else(panicked), probing.join().unwrap_or_else(panicked), asked)
    });
    sending.and(probing).and(asked)?;
    Ok(percentile_ms(took, 99))
}

fn ask(
    rival: &mut dyn Rival,
    probes: usize,
    sent: &Mutex<Vec<Instant>>,
    took: &mut Vec<Duration>,
    all_sent: impl Fn() -> bool,
) -> Result<()> {
    let mut over = None;
    while took.len() < probes {
        let newest = rival.newest_probe()?;
        let found = newest.map_or(0, |number| usize::try_from(number).unwrap_or(0));
        let now = Instant::now();
        let times = sent.lock().expect("nobody panics while it holds the times").clone();
        took.extend(times.iter().take(found).skip(took.len()).map(|sent| now - *sent));
        if all_sent() && now > *over.get_or_insert(now + PATIENCE) {
            return Err(format!("{} of {probes} readings were never found", probes - took.len()).into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn ratio(part: usize, of: usize) -> f64 {
    let number = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    number(part) / number(of.max(1))
}
