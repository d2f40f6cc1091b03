//! The simulated meters as an independent Modbus client sees them, over TCP and over a paced serial line.
#![expect(clippy::unwrap_used, reason = "a test may panic, and its functions beside the tests are tests too")]

use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use devices::{Profile, Table};
use jiff::{Timestamp, ToSpan};
use negawatt_simulator::{DrivenClock, Fault, Faults, Grid, Line, LineConfig, Load, Meter, Rule, Series, TcpServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_modbus::client::Context;
use tokio_modbus::prelude::{Reader, SlaveContext, Writer};
use tokio_modbus::{ExceptionCode, Slave};
use tokio_serial::SerialPortBuilderExt;

fn clock() -> DrivenClock {
    DrivenClock::new(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + 10_000.hours())
}

fn load() -> Load {
    let hours: Vec<_> = (0..1000_i64).map(|n| (Timestamp::UNIX_EPOCH + n.hours(), 30_000 + n * 7)).collect();
    Load::hourly(&hours).unwrap()
}

fn meter(profile: &str, clock: &DrivenClock) -> Arc<Meter> {
    let profile = devices::find(profile).unwrap();
    Arc::new(Meter::electrical(profile, &load(), Grid::EUROPE, 3, 250_000, Arc::new(clock.clone())))
}

fn sensor(clock: &DrivenClock) -> Arc<Meter> {
    let temperature = Series::new(&[(Timestamp::UNIX_EPOCH, 21_300)]).unwrap();
    Arc::new(Meter::climate(devices::find("xy-md02").unwrap(), temperature, 3, Arc::new(clock.clone())))
}

/// Reads every point of a profile through its plan and compares with what the meter measures.
async fn check_all_points(client: &mut Context, meter: &Meter, now: Timestamp) -> usize {
    let profile: &Profile = meter.profile();
    let mut seen = 0;
    for block in &profile.plan(&[]).unwrap().blocks {
        let answer = match block.table {
            Table::Input => client.read_input_registers(block.address, block.count).await,
            Table::Holding => client.read_holding_registers(block.address, block.count).await,
        };
        for (point, _, measured) in block.decode(&answer.unwrap().unwrap()) {
            assert_eq!(measured.ok(), meter.truth(&point.id, now), "{} {}", profile.id(), point.id);
            seen += 1;
        }
    }
    seen
}

#[tokio::test]
async fn many_units_answer_behind_one_port() {
    let clock = clock();
    let meters = [(1, meter("eastron-sdm630", &clock)), (2, meter("abb-b23", &clock)), (7, sensor(&clock))];
    let server = TcpServer::start(meters.to_vec(), Faults::seeded(1)).await.unwrap();
    let mut client = tokio_modbus::client::tcp::connect(server.address()).await.unwrap();
    let mut seen = 0;
    for minute in 1..=5_i64 {
        let now = Timestamp::UNIX_EPOCH + minute.minutes();
        clock.sleep_until(now).await;
        for (unit, meter) in &meters {
            client.set_slave(Slave(*unit));
            seen += check_all_points(&mut client, meter, now).await;
        }
    }
    assert_eq!(seen, 5 * (26 + 23 + 2));
    client.set_slave(Slave(9));
    assert_eq!(client.read_input_registers(0, 2).await.unwrap(), Err(ExceptionCode::GatewayTargetDevice));
    client.set_slave(Slave(1));
    assert_eq!(client.read_input_registers(9_000, 2).await.unwrap(), Err(ExceptionCode::IllegalDataAddress));
    assert_eq!(client.write_single_register(0, 1).await.unwrap(), Err(ExceptionCode::IllegalFunction));
    assert_eq!(client.write_multiple_registers(0, &[1, 2]).await.unwrap(), Err(ExceptionCode::IllegalFunction));
    assert!(server.exchanges() > 20);
}

/// One request, sent and answered byte by byte.
async fn exchange(stream: &mut TcpStream, transaction: u16, unit: u8) -> Option<Vec<u8>> {
    let [high, low] = transaction.to_be_bytes();
    for byte in [high, low, 0, 0, 0, 6, unit, 4, 0, 0, 0, 2] {
        stream.write_all(&[byte]).await.ok()?;
    }
    let mut answer = vec![0; 64];
    let received = timeout(Duration::from_millis(150), stream.read(&mut answer)).await.ok()?.ok()?;
    answer.truncate(received);
    Some(answer)
}

#[tokio::test]
async fn faults_over_tcp_are_what_they_say() {
    let clock = clock();
    let faults = Faults::seeded(5);
    let server = TcpServer::start(vec![(1, meter("eastron-sdm120", &clock))], Arc::clone(&faults)).await.unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let right = exchange(&mut stream, 77, 1).await.unwrap();
    assert_eq!((right.len(), &right[..9]), (13, &[0, 77, 0, 0, 0, 7, 1, 4, 4][..]));
    let mut with = async |fault| {
        faults.once(1, fault);
        exchange(&mut stream, 77, 1).await
    };
    assert_eq!(with(Fault::Silent).await, None);
    assert_eq!(with(Fault::Exception(6)).await, Some(vec![0, 77, 0, 0, 0, 3, 1, 0x84, 6]));
    assert_eq!(with(Fault::WrongUnit).await.map(|answer| answer[6]), Some(2));
    assert_eq!(with(Fault::Late(Duration::from_millis(40))).await, Some(right.clone()));
    assert_eq!(with(Fault::Duplicate).await, Some([right.clone(), right.clone()].concat()));
    let flipped = with(Fault::FlipBit).await.unwrap();
    assert_ne!(flipped[..2], right[..2]);
    assert_eq!(flipped[2..], right[2..]);
    let cut = with(Fault::Truncate).await.unwrap();
    assert!(cut.len() < right.len() && right.starts_with(&cut));
    assert_ne!(with(Fault::Garbage).await, Some(right));
    assert_eq!(with(Fault::HangUp).await, Some(Vec::new()));
    assert_eq!(faults.injected(), 9);
}

#[tokio::test]
async fn a_client_that_speaks_nonsense_is_hung_up_on() {
    let server = TcpServer::start(vec![(1, meter("eastron-sdm120", &clock()))], Faults::seeded(0)).await.unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    assert_eq!(timeout(Duration::from_secs(2), stream.read_to_end(&mut answer)).await.unwrap().unwrap_or(0), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_quick() {
    let clock = clock();
    let meter = meter("eastron-sdm630", &clock);
    let server = TcpServer::start(vec![(1, meter)], Faults::seeded(0)).await.unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let begin = Instant::now();
    let (rounds, window) = (1000, 32);
    let request = [0, 1, 0, 0, 0, 6, 1, 4, 0, 0, 0, 80].repeat(window);
    let mut answers = vec![0; (9 + 160) * window];
    for minute in 1..=rounds {
        clock.sleep_until(Timestamp::UNIX_EPOCH + i64::from(minute).minutes()).await;
        stream.write_all(&request).await.unwrap();
        stream.read_exact(&mut answers).await.unwrap();
    }
    assert_eq!(server.exchanges(), 32_000);
    let rate = 32_000.0 / begin.elapsed().as_secs_f64();
    println!("{rate:.0} exchanges a second");
    assert!(rate > 3_000.0, "{rate:.0} exchanges a second are too few even for a busy machine");
}

fn open(line: &Line, baud: u32) -> tokio_serial::SerialStream {
    tokio_serial::new(line.near().to_str().unwrap(), baud).open_native_async().unwrap()
}

#[tokio::test]
async fn a_serial_bus_answers_at_the_speed_of_its_wire() {
    let clock = clock();
    let meters = [(1, meter("eastron-sdm630", &clock)), (2, sensor(&clock))];
    let turnaround = Duration::from_millis(4);
    for baud in [9_600, 115_200] {
        let mut line = Line::open(LineConfig { baud, turnaround, echo: false }).unwrap();
        line.serve(meters.to_vec(), Faults::seeded(1)).unwrap();
        let mut client = tokio_modbus::client::rtu::attach_slave(open(&line, baud), Slave(1));
        let begin = Instant::now();
        let mut seen = 0;
        for (unit, meter) in &meters {
            client.set_slave(Slave(*unit));
            seen += check_all_points(&mut client, meter, clock.now()).await;
        }
        assert_eq!(seen, 28);
        let blocks: u64 = meters.iter().map(|(_, meter)| u64::try_from(meter.profile().plan(&[]).unwrap().blocks.len()).unwrap()).sum();
        let least =
            Duration::from_nanos(line.carried() * 11 * 1_000_000_000 / u64::from(baud)) + turnaround * u32::try_from(blocks).unwrap();
        let took = begin.elapsed();
        assert!(took >= least, "{took:?} is less than the wire needs: {least:?}");
        assert!(took < least * 2 + Duration::from_millis(200), "{took:?} is far more than the wire needs: {least:?}");
        client.set_slave(Slave(1));
        assert_eq!(client.read_holding_registers(9_000, 2).await.unwrap(), Err(ExceptionCode::IllegalDataAddress));
        client.set_slave(Slave(3));
        assert!(timeout(Duration::from_millis(100), client.read_input_registers(0, 2)).await.is_err(), "nobody answers for unit 3");
    }
}

const REQUEST: [u8; 8] = [1, 4, 0, 0, 0, 2, 0x71, 0xCB];

/// Sends the request and collects what comes back until the line is quiet.
async fn converse(port: &mut tokio_serial::SerialStream, quiet: Duration) -> Vec<u8> {
    port.write_all(&REQUEST).await.unwrap();
    let mut heard = Vec::new();
    let mut chunk = [0; 256];
    while let Ok(Ok(received)) = timeout(quiet, port.read(&mut chunk)).await {
        heard.extend_from_slice(&chunk[..received]);
    }
    heard
}

#[tokio::test]
async fn faults_on_the_wire_are_what_they_say() {
    let clock = clock();
    let faults = Faults::seeded(11);
    let mut line = Line::open(LineConfig { baud: 115_200, turnaround: Duration::from_millis(1), echo: false }).unwrap();
    line.serve(vec![(1, meter("eastron-sdm120", &clock))], Arc::clone(&faults)).unwrap();
    let mut port = open(&line, 115_200);
    let quiet = Duration::from_millis(60);
    let right = converse(&mut port, quiet).await;
    assert_eq!((right.len(), &right[..3]), (9, &[1, 4, 4][..]));
    let mut with = async |fault| {
        faults.once(1, fault);
        converse(&mut port, quiet).await
    };
    assert!(with(Fault::Silent).await.is_empty());
    assert_eq!(with(Fault::Exception(4)).await[..3], [1, 0x84, 4]);
    assert_eq!(with(Fault::WrongUnit).await[0], 2);
    assert_eq!(with(Fault::Duplicate).await, [right.clone(), right.clone()].concat());
    let flipped = with(Fault::FlipBit).await;
    let wrong_bits: u32 = flipped.iter().zip(&right).map(|(a, b)| (a ^ b).count_ones()).sum();
    assert_eq!((flipped.len(), wrong_bits), (9, 1));
    let cut = with(Fault::Truncate).await;
    assert!(cut.len() < 9 && right.starts_with(&cut));
    assert!(with(Fault::Noise).await.ends_with(&right));
    // Later than the reader waits: the answer lies there when the next question is asked.
    assert!(with(Fault::Late(Duration::from_millis(100))).await.is_empty());
    assert_eq!(converse(&mut port, quiet).await.len(), 18);
    faults.set(&[Rule { unit: None, fault: Fault::Silent, per_million: 1_000_000 }]);
    assert!(converse(&mut port, quiet).await.is_empty());
}

#[tokio::test]
async fn an_echoing_adapter_hears_itself_first() {
    let mut line = Line::open(LineConfig { baud: 57_600, turnaround: Duration::from_millis(2), echo: true }).unwrap();
    line.serve(vec![(1, meter("eastron-sdm120", &clock()))], Faults::seeded(0)).unwrap();
    let heard = converse(&mut open(&line, 57_600), Duration::from_millis(60)).await;
    assert_eq!((&heard[..8], heard.len()), (&REQUEST[..], 17));
}

#[tokio::test]
async fn two_who_talk_at_once_are_both_garbled() {
    let line = Line::open(LineConfig { baud: 9_600, ..LineConfig::default() }).unwrap();
    let mut near = open(&line, 9_600);
    let mut far = tokio_serial::new(line.far().to_str().unwrap(), 9_600).open_native_async().unwrap();
    let (at_far, at_near) = tokio::join!(
        async {
            near.write_all(&[0x11; 20]).await.unwrap();
            let mut heard = [0; 20];
            near.read_exact(&mut heard).await.unwrap();
            heard
        },
        async {
            far.write_all(&[0x22; 20]).await.unwrap();
            let mut heard = [0; 20];
            far.read_exact(&mut heard).await.unwrap();
            heard
        },
    );
    assert_ne!(at_far, [0x22; 20]);
    assert_ne!(at_near, [0x11; 20]);
}
