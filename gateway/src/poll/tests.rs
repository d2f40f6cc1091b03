//! A poller on buses in memory, in paused time: what one device does to the others, and what happens when things go away and return.

use std::{path::Path, sync::Arc, time::Duration};

use daemon::Clock;
use jiff::Timestamp;
use simulator::{Carrier, Channel, Fault, Faults, Meter, TokioClock};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use units::Quality;
use wire::DeviceReading;

use super::{Poller, Tick};
use crate::{
    config::Config,
    modbus::{Open, Opening, Stream},
};

#[derive(Debug)]
struct Plug(Channel);

impl Open for Plug {
    fn open(&mut self) -> Opening<'_> {
        Box::pin(async { Ok(Box::new(self.0.connect()?) as Box<dyn Stream>) })
    }
}

struct Room {
    poller: Poller,
    clock: TokioClock,
    faults: Arc<Faults>,
    interval: Duration,
    tick_ms: i64,
}

/// A serial bus with these unit ids on it, configured for `configured` and with more lines for each device.
fn room(there: &[u8], configured: &[u8], interval: &str, more: &str) -> Room {
    let base: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let (clock, faults) = (TokioClock::starting(base), Faults::seeded(1));
    let channel = Channel::new(Carrier::Serial { baud: 9_600, echo: false }, clock.clone(), Duration::from_millis(15), Arc::clone(&faults));
    let profile = devices::find("eastron-sdm630").unwrap();
    for &unit in there {
        let meter = |seed| Arc::new(Meter::coded(profile, seed, 10, Arc::new(clock.clone())));
        channel.add(unit, meter(u64::from(unit)), meter(99));
    }
    let mut text = format!(
        "[gateway]\ntenant = \"t\"\nfacility = \"f\"\nid = \"g\"\ndata_dir = \"none\"\n[broker]\nurl = \"mqtt://localhost:1\"\n[poll]\ninterval = \"{interval}\"\n"
    );
    text.push_str("[[bus]]\nname = \"bus\"\nkind = \"rtu\"\npath = \"/dev/simulated\"\nbaud = 9600\n");
    for unit in configured {
        text.push_str(&format!("[[bus.device]]\nid = \"meter-{unit}\"\nunit = {unit}\nprofile = \"eastron-sdm630\"\n{more}\n"));
    }
    let bus = Config::parse(Path::new("gateway.toml"), &text).unwrap_or_else(|faults| panic!("{faults}")).buses.remove(0);
    let interval = bus.interval;
    let poller = Poller::new(bus, Arc::new(clock.clone()), Box::new(Plug(channel)));
    Room { poller, clock, faults, interval, tick_ms: base.as_millisecond() }
}

impl Room {
    /// The next poll, and how long the bus was busy with it.
    async fn poll(&mut self) -> (Vec<DeviceReading>, Duration) {
        self.tick_ms += i64::try_from(self.interval.as_millis()).unwrap();
        self.clock.sleep_until(Timestamp::from_millisecond(self.tick_ms).unwrap()).await;
        let began = Instant::now();
        let tick = Tick { at_ms: self.tick_ms, clock_synced: true, until: began + self.interval };
        let readings = self.poller.poll(tick, &CancellationToken::new()).await;
        (readings, began.elapsed())
    }
}

fn is_good(reading: &DeviceReading) -> bool {
    reading.quality == u32::from(Quality::GOOD.bits()) && reading.points.iter().all(|point| point.raw.is_some())
}

#[tokio::test(start_paused = true)]
async fn a_dead_device_costs_the_others_less_than_a_hundredth_of_the_bus() {
    let busy = async |configured: &[u8]| {
        let mut room = room(&[1, 2, 3, 4], configured, "10s", "");
        let mut busy = Duration::ZERO;
        for _ in 0..360 {
            let (readings, took) = room.poll().await;
            assert!(readings.iter().filter(|reading| reading.device != "meter-9").all(is_good));
            busy += took;
        }
        busy
    };
    let (alone, beside) = (busy(&[1, 2, 3, 4]).await, busy(&[1, 2, 9, 3, 4]).await);
    let cost = beside.saturating_sub(alone).as_secs_f64() / 3_600.0;
    assert!(cost > 0.0 && cost < 0.01, "a dead device takes {:.2} % of an hour", cost * 100.0);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_refuses_gaps_is_read_without_them_for_good() {
    let mut room = room(&[1], &[1], "1m", "points = [\"v1\", \"i1\"]");
    assert!(is_good(&room.poll().await.0[0]));
    room.faults.once(1, Fault::Exception(2));
    let (readings, _) = room.poll().await;
    assert!(is_good(&readings[0]), "not even this poll is lost: {readings:?}");
    assert!(room.poller.status().devices[0].without_gaps);
    let before = room.poller.counters().exchanges;
    assert!(is_good(&room.poll().await.0[0]));
    assert_eq!(room.poller.counters().exchanges - before, 2, "voltage and current, and nothing between them");
}

#[tokio::test(start_paused = true)]
async fn an_adapter_that_is_pulled_out_costs_the_polls_in_which_it_is_gone() {
    let mut room = room(&[1, 2], &[1, 2], "10s", "");
    assert!(room.poll().await.0.iter().all(is_good));
    room.faults.once(1, Fault::Unplugged(Duration::from_secs(15)));
    let (readings, took) = room.poll().await;
    assert!(!readings.iter().any(is_good) && took < Duration::from_secs(2), "{took:?}");
    let mut gone = 1;
    while !room.poll().await.0.iter().all(is_good) {
        gone += 1;
        assert!(gone < 6, "it never came back");
    }
    assert!(gone >= 2 && room.poller.counters().broken >= 1 && room.poller.counters().opened == 2, "{:?}", room.poller.counters());
}

#[tokio::test(start_paused = true)]
async fn a_device_for_which_there_is_no_time_is_first_in_the_next_poll() {
    let mut room = room(&[1, 2, 3], &[1, 2, 3], "1m", "");
    let at_ms = room.tick_ms;
    let brief = Tick { at_ms, clock_synced: true, until: Instant::now() + Duration::from_millis(100) };
    let good =
        async |room: &mut Room, tick| room.poller.poll(tick, &CancellationToken::new()).await.iter().map(is_good).collect::<Vec<_>>();
    assert_eq!(good(&mut room, brief).await, [true, false, false]);
    let brief = Tick { until: Instant::now() + Duration::from_millis(100), ..brief };
    assert_eq!(good(&mut room, brief).await, [false, true, false]);
    assert_eq!(room.poller.status().devices[2].left_out, 2);
}

#[tokio::test(start_paused = true)]
async fn slow_points_are_in_the_readings_in_which_they_are_due() {
    let mut room = room(&[1], &[1], "1m", "points = [\"p\"]\nslow = { interval = \"5m\", points = [\"e_imp\"] }");
    let mut widths = Vec::new();
    for _ in 0..10 {
        let (readings, _) = room.poll().await;
        assert!(is_good(&readings[0]));
        widths.push(readings[0].points.len());
    }
    assert_eq!(widths, [1, 1, 1, 1, 2, 1, 1, 1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn the_timeout_follows_what_the_device_needs() {
    let mut room = room(&[1], &[1], "10s", "");
    let before = room.poller.status().devices[0].timeout_us;
    for _ in 0..40 {
        room.poll().await;
    }
    let status = room.poller.status().devices.remove(0);
    assert!(status.timeout_us == 200_000 && status.timeout_us < before, "{status:?}");
    assert!(status.latency_p99_us.is_some_and(|took| (10_000..40_000).contains(&took)), "{status:?}");
}
