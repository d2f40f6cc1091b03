//! A thousand clients of the stream of readings, and how long a reading is on its way to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use negawatt_tests::fleet::{Fleet, START_MS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use super::field::{TENANT, message};
use super::mqtt::Client;
use super::{Result, percentile_ms};

pub(crate) const FACILITIES: usize = 10;
/// Between two frames of one facility: below what the stream may send to one client.
const FRAME_EVERY: Duration = Duration::from_millis(500);
/// Between the times of two frames.
const TICK_MS: i64 = 1_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// When each frame was published, in nanoseconds since the beginning, by facility.
type Sent = Vec<Vec<AtomicU64>>;

#[derive(Debug)]
struct Watched {
    began: Instant,
    sent: Sent,
    watching: AtomicUsize,
}

/// p99 from just before a frame of 50 points is published to the last byte of its event at a client, in milliseconds.
///
/// It holds all of what lies between a commit and a client, and the way to the commit besides.
pub(crate) fn p99_ms(collector: SocketAddr, broker: SocketAddr, clients: usize, frames: usize, seed: u64) -> Result<f64> {
    let sent = (0..FACILITIES).map(|_| (0..frames).map(|_| AtomicU64::new(0)).collect()).collect();
    let watched = Arc::new(Watched { began: Instant::now(), sent, watching: AtomicUsize::new(0) });
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let tasks: Vec<_> = (0..clients).map(|number| runtime.spawn(watch(collector, number % FACILITIES, frames, watched.clone()))).collect();
    while watched.watching.load(Ordering::SeqCst) < clients {
        if watched.began.elapsed() > PATIENCE {
            return Err(format!("{} of {clients} clients were let in", watched.watching.load(Ordering::SeqCst)).into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    publish(broker, frames, &watched, seed)?;
    let mut took = Vec::new();
    for task in tasks {
        took.extend(runtime.block_on(async { tokio::time::timeout(PATIENCE, task).await })???);
    }
    if took.len() != clients * frames {
        return Err(format!("{} of {} events arrived", took.len(), clients * frames).into());
    }
    Ok(percentile_ms(took, 99))
}

/// Publishes the frames of all facilities, one after another.
fn publish(broker: SocketAddr, frames: usize, watched: &Watched, seed: u64) -> Result<()> {
    let mut client = Client::connect(broker, "watched", false)?;
    let mut fleet = Fleet::new(5, seed)?;
    let began = Instant::now();
    for frame in 0..frames {
        let number = i64::try_from(frame)?;
        fleet.advance(number);
        let rows = fleet.batches.first().map(|batch| batch.rows.clone()).unwrap_or_default();
        for (facility, sent) in watched.sent.iter().enumerate() {
            let due = FRAME_EVERY * u32::try_from(frame)? + FRAME_EVERY * u32::try_from(facility)? / u32::try_from(FACILITIES)?;
            std::thread::sleep(due.saturating_sub(began.elapsed()));
            let message = message(&format!("watched-{facility}"), "gw", number, START_MS + number * TICK_MS, &rows)?;
            if let Some(sent) = sent.get(frame) {
                sent.store(u64::try_from(watched.began.elapsed().as_nanos())?, Ordering::SeqCst);
            }
            client.publish(std::slice::from_ref(&message))?;
        }
    }
    Ok(())
}

/// Watches a facility until it has seen every frame; how long each took. One that was told together with a later one counts with it.
async fn watch(collector: SocketAddr, facility: usize, frames: usize, watched: Arc<Watched>) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(collector).await?;
    let request =
        format!("GET /v1/live?tenant={TENANT}&facility=watched-{facility} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut took, mut buffer, mut part, mut counted) = (Vec::new(), Vec::new(), vec![0; 1 << 14], false);
    while took.len() < frames {
        let read = stream.read(&mut part).await?;
        if read == 0 {
            return Err("the stream has ended".into());
        }
        let now = watched.began.elapsed();
        buffer.extend_from_slice(part.get(..read).unwrap_or_default());
        if !counted && find(&buffer, b"\r\n\r\n").is_some() {
            counted = true;
            if !buffer.starts_with(b"HTTP/1.1 200") {
                return Err("the collector does not let a client watch".into());
            }
            watched.watching.fetch_add(1, Ordering::SeqCst);
        }
        while let Some(end) = find(&buffer, b"\n\n") {
            let event: Vec<u8> = buffer.drain(..end + 2).collect();
            let Some(frame) = newest_frame(&event) else { continue };
            for frame in took.len()..=frame {
                let sent = watched.sent.get(facility).and_then(|sent| sent.get(frame)).ok_or("a frame that was never sent")?;
                took.push(now.saturating_sub(Duration::from_nanos(sent.load(Ordering::SeqCst))));
            }
        }
    }
    Ok(took)
}

/// The number of the frame that an event tells.
fn newest_frame(event: &[u8]) -> Option<usize> {
    const KEY: &[u8] = b"\"ts_ms\":";
    let digits = event.get(find(event, KEY)? + KEY.len()..)?;
    let ts_ms = digits.iter().take_while(|byte| byte.is_ascii_digit()).fold(0_i64, |number, digit| number * 10 + i64::from(digit - b'0'));
    usize::try_from((ts_ms - START_MS) / TICK_MS).ok()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
