//! The real program, killed without a word again and again, while another process hears what it sends.
//!
//! Nothing is ever acknowledged, so after each start everything is sent again: what was heard once was durable before it
//! was sent, and must come back to the byte.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use rumqttc::v5::{
    AsyncClient, Event, MqttOptions,
    mqttbytes::{QoS, v5::Packet},
};
use simulator::{DrivenClock, Faults, Grid, Load, Meter, TcpServer};
use tokio::time::{sleep, timeout};
use wire::{Envelope, Frame, Message};

const GATEWAYS: usize = 4;
/// Kills of each in an ordinary run; `NEGAWATT_KILLS` asks for more, over all of them.
const ROUNDS: usize = 5;

/// What was heard of one gateway: each frame, and after which kill it was heard last.
type Heard = BTreeMap<u64, (Vec<u8>, usize)>;

#[derive(Debug, Default)]
struct Ear {
    round: usize,
    gateways: BTreeMap<String, Heard>,
    changed: Vec<String>,
}

async fn meter() -> TcpServer {
    let start: Timestamp = "2025-06-01T00:00:00Z".parse().unwrap();
    let load = Load::hourly(&[(start, 60_000)]).unwrap();
    let clock = DrivenClock::new(start, start);
    let profile = devices::find("eastron-sdm630").unwrap();
    let meter = Arc::new(Meter::electrical(profile, &load, Grid::EUROPE, 1, 5_000, Arc::new(clock)));
    TcpServer::start(vec![(1, meter)], Faults::seeded(1)).await.unwrap()
}

fn configuration(folder: &Path, number: usize, broker: &str, meter: &str) -> String {
    format!(
        "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-{number}\"\ndata_dir = \"{}/data-{number}\"\n\
         [broker]\nurl = \"mqtt://{broker}\"\n[poll]\ninterval = \"1s\"\n[spool]\nmax = \"4MiB\"\n\
         [[bus]]\nname = \"main\"\nkind = \"tcp\"\naddress = \"{meter}\"\n\
         [[bus.device]]\nid = \"main\"\nunit = 1\nprofile = \"eastron-sdm630\"\n",
        folder.display()
    )
}

fn start(config: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_negawatt-gateway"));
    command.args(["run", "--quiet", "--config"]).arg(config).env_remove("NEGAWATT_LOG");
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Hears every frame of every gateway.
async fn listen(port: u16, ear: Arc<Mutex<Ear>>) {
    let mut options = MqttOptions::new("ear", "127.0.0.1", port);
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut events) = AsyncClient::new(options, 16);
    client.subscribe("nw/1/acme/hall/+/data", QoS::AtLeastOnce).await.unwrap();
    while let Ok(event) = events.poll().await {
        let Event::Incoming(Packet::Publish(publish)) = event else { continue };
        let envelope = Envelope::decode(&publish.payload[..]).unwrap();
        let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
        let mut ear = ear.lock().unwrap_or_else(PoisonError::into_inner);
        let round = ear.round;
        let heard = ear.gateways.entry(topic.clone()).or_default();
        let before = heard.insert(envelope.seq, (envelope.frame.clone(), round));
        if before.is_some_and(|(frame, _)| frame != envelope.frame) {
            ear.changed.push(format!("frame {} of {topic}", envelope.seq));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how much is asked of a test is no setting of ours")]
fn rounds() -> usize {
    let kills = std::env::var("NEGAWATT_KILLS").ok().map(|kills| kills.parse::<usize>().expect("a number of kills"));
    kills.map_or(ROUNDS, |kills| kills.div_ceil(GATEWAYS))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_sends_again_what_it_ever_sent() {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker::Broker::start("127.0.0.1:0".parse().unwrap(), broker::Limits::default()).unwrap();
    let meter = meter().await;
    let address = meter.address().to_string();
    let ear = Arc::new(Mutex::new(Ear::default()));
    let listening = tokio::spawn(listen(broker.addr().port(), Arc::clone(&ear)));
    let configs: Vec<_> = (0..GATEWAYS)
        .map(|number| {
            let path = folder.path().join(format!("gateway-{number}.toml"));
            std::fs::write(&path, configuration(folder.path(), number, &broker.addr().to_string(), &address)).unwrap();
            path
        })
        .collect();

    let rounds = rounds();
    for round in 0..rounds {
        let mut running: Vec<Child> = configs.iter().map(|config| start(config)).collect();
        // Around the second at which they poll, at another moment each time.
        sleep(Duration::from_millis(1_050 + u64::try_from(round * 211 % 997).unwrap())).await;
        for (number, child) in running.iter_mut().enumerate() {
            sleep(Duration::from_millis(u64::try_from(number * 13 % 29).unwrap())).await;
            child.kill().unwrap();
            child.wait().unwrap();
        }
        sleep(Duration::from_millis(50)).await;
        ear.lock().unwrap().round = round + 1;
    }

    let promised: BTreeMap<String, u64> =
        ear.lock().unwrap().gateways.iter().map(|(topic, heard)| (topic.clone(), heard.keys().copied().max().unwrap_or(0))).collect();
    assert_eq!(promised.len(), GATEWAYS, "every gateway was heard: {promised:?}");
    assert!(promised.values().all(|&last| last >= u64::try_from(rounds).unwrap() / 2), "{promised:?}");
    let mut running: Vec<Child> = configs.iter().map(|config| start(config)).collect();
    let all_again = async {
        loop {
            let done = {
                let ear = ear.lock().unwrap();
                promised
                    .iter()
                    .all(|(topic, &last)| (1..=last).all(|seq| ear.gateways[topic].get(&seq).is_some_and(|(_, round)| *round == rounds)))
            };
            if done {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = timeout(Duration::from_secs(30), all_again).await;
    for child in &mut running {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    listening.abort();
    let ear = ear.lock().unwrap();
    assert!(
        waited.is_ok(),
        "some of {promised:?} did not come again: {:?}",
        ear.gateways.iter().map(|(topic, heard)| (topic, heard.len())).collect::<Vec<_>>()
    );
    assert_eq!(ear.changed, Vec::<String>::new());
    for (topic, heard) in &ear.gateways {
        let frames: Vec<Frame> = heard.values().map(|(frame, _)| Frame::decode(&frame[..]).unwrap()).collect();
        assert!(frames.iter().all(|frame| frame.lost == 0 && frame.devices.len() == 1), "{topic}");
        assert!(frames.windows(2).all(|pair| pair[0].tick_ms < pair[1].tick_ms), "{topic}: the minutes are in order");
    }
}
