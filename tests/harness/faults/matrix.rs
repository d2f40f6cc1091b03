//! What goes wrong, how often, and on which kinds of bus.

use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use jiff::Timestamp;
use simulator::{Carrier, Channel, Fault, Faults, Labels, Meter, Rule, TokioClock};

use super::Shard;

/// How long a register keeps its number.
const STEP_MS: i64 = 10;

/// Kinds of bus.
pub(super) const BUSES: u64 = 8;

/// The devices of every bus: one and two requests, short and long ones, both tables, lengths that alternate, a device of few registers.
pub(super) const DEVICES: [(u8, &str); 5] =
    [(1, "eastron-sdm630"), (2, "abb-b23"), (3, "carlo-gavazzi-em340"), (4, "xy-md02"), (5, "carlo-gavazzi-em24-rs485")];

/// A bus with its devices, as a reader finds it.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) name: &'static str,
    /// How the gateway's configuration describes it.
    pub(super) toml: String,
    /// Whether frames have the header of a network.
    pub(super) network: bool,
    pub(super) channel: Channel,
    pub(super) clock: TokioClock,
    pub(super) meters: Vec<(u8, Arc<Meter>)>,
}

impl Bench {
    /// The bus of a shard. Needs tokio's time.
    pub(super) fn new(shard: Shard) -> Self {
        let port = |baud: u32| format!("kind = \"rtu\"\npath = \"/dev/simulated\"\nbaud = {baud}\n");
        let tcp = || "kind = \"tcp\"\naddress = \"simulated:1\"\n".to_owned();
        let converter = |labels| Carrier::Converter { baud: 19_200, labels };
        let (name, carrier, turnaround_ms, lines) = match shard.number % BUSES {
            0 => ("serial_9600", Carrier::Serial { baud: 9_600, echo: false }, 12, port(9_600)),
            1 => ("serial_19200_echo", Carrier::Serial { baud: 19_200, echo: true }, 5, port(19_200)),
            2 => ("serial_115200", Carrier::Serial { baud: 115_200, echo: false }, 2, port(115_200)),
            3 => ("serial_38400_slow", Carrier::Serial { baud: 38_400, echo: false }, 120, port(38_400)),
            4 => {
                ("serial_over_tcp", Carrier::Tunnel { baud: 9_600 }, 20, "kind = \"rtu-over-tcp\"\naddress = \"simulated:1\"\n".to_owned())
            }
            5 => ("converter_newest", converter(Labels::Newest), 8, tcp()),
            6 => ("converter_in_order", converter(Labels::InOrder), 8, tcp()),
            _ => ("tcp", Carrier::Network, 3, tcp()),
        };
        let base: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let clock = TokioClock::starting(base);
        let faults = Faults::seeded(shard.seed);
        faults.set(&rules(carrier));
        let channel = Channel::new(carrier, clock.clone(), Duration::from_millis(turnaround_ms), faults);
        let told: Arc<dyn Clock> = Arc::new(clock.clone());
        let coded = |unit: u8, profile: &str, salt: u64| {
            let profile = devices::find(profile).expect("a built-in profile");
            Arc::new(Meter::coded(profile, shard.seed ^ salt ^ u64::from(unit), STEP_MS, Arc::clone(&told)))
        };
        let mut meters = Vec::new();
        for (unit, profile) in DEVICES {
            let meter = coded(unit, profile, 0);
            channel.add(unit, Arc::clone(&meter), coded(unit, profile, 0xF00D));
            meters.push((unit, meter));
        }
        let network = matches!(carrier, Carrier::Network | Carrier::Converter { .. });
        Self { name, toml: lines, network, channel, clock, meters }
    }
}

/// Every fault of the field, at rates at which most exchanges stay whole, so that each fault meets a bus at work.
fn rules(carrier: Carrier) -> Vec<Rule> {
    let ms = Duration::from_millis;
    let mut faults = vec![
        Fault::Silent,
        Fault::WrongUnit,
        Fault::Garbage,
        Fault::Truncate,
        Fault::Truncate,
        Fault::FlipBit,
        Fault::FlipBit,
        Fault::FlipBit,
        Fault::Duplicate,
        Fault::Noise,
        Fault::Noise,
        Fault::HangUp,
        Fault::OtherCount(-1),
        Fault::OtherCount(1),
        Fault::OtherCount(-2),
        Fault::AtMost(4),
        Fault::OtherFunction,
        Fault::Chatter,
        Fault::EchoPart,
        Fault::Click,
        Fault::Trickle(ms(1)),
        Fault::Trickle(ms(7)),
        Fault::Busy(ms(3_000)),
        Fault::BaudChange(ms(2_000)),
        Fault::Reset,
        Fault::HalfOpen,
        Fault::ZeroWindow,
        Fault::Unplugged(ms(1_500)),
    ];
    // Half, one, two and ten timeouts, for timeouts from 200 to 500 ms.
    faults.extend([100, 190, 210, 250, 400, 500, 600, 1_000, 2_000, 5_000].map(|late| Fault::Late(ms(late))));
    faults.extend([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map(Fault::Exception));
    faults.extend([1, 5, 20, 60, 150].map(|later| Fault::Repeat(ms(later))));
    faults.extend([0, 1, 3].map(|offset| Fault::Twin(ms(offset))));
    // A converter passes on whole answers only, and some swallow what they did not ask for. Where a twin's answer is the only one of two
    // that is whole, because something else spoilt or hid the other, it leaves no trace that there was another, and no reader can know.
    // Behind a converter twins therefore talk at the same time, as devices of one make do.
    if !matches!(carrier, Carrier::Converter { .. }) {
        faults.push(Fault::Twin(ms(9)));
    }
    // The rules are tried one after another, so the later ones are met a little less often.
    faults.into_iter().map(|fault| Rule { unit: None, fault, per_million: 2_000 }).collect()
}
