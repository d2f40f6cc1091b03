//! The cable between a gateway and a broker, with somebody's hands on it: packets stop moving, answers come in another order,
//! and readings are refused in the broker's name for reasons that no broker here has.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::sleep,
};

const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
/// How long answers are collected before they pass in another order.
const HOLD: Duration = Duration::from_millis(30);
/// Packets on their way to the gateway.
const PACKETS_MAX: usize = 1_024;

/// What is done to what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hands {
    Off,
    /// Nothing moves, though every connection stays open.
    Stall,
    /// Readings do not get to the broker: the gateway is told this reason.
    Refuse(u8),
    /// What the broker says comes last first.
    Reverse,
}

pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    pub(crate) hands: watch::Sender<Hands>,
    counted: Arc<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    connections: AtomicU64,
    refused: AtomicU64,
    reversed: AtomicU64,
}

impl Cable {
    pub(crate) async fn to(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (hands, held) = watch::channel(Hands::Off);
        let counted = Arc::new(Counted::default());
        let counts = Arc::clone(&counted);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                counts.connections.fetch_add(1, Ordering::SeqCst);
                let Ok(far) = TcpStream::connect(broker).await else { continue };
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                let (told, telling) = mpsc::channel(PACKETS_MAX);
                tokio::spawn(up(near_in, far_out, told.clone(), held.clone(), Arc::clone(&counts)));
                tokio::spawn(down(far_in, told, held.clone()));
                tokio::spawn(tell(near_out, telling, held.clone(), Arc::clone(&counts)));
            }
        });
        Self { address, hands, counted }
    }

    pub(crate) fn connections(&self) -> u64 {
        self.counted.connections.load(Ordering::SeqCst)
    }

    /// Readings that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.counted.refused.load(Ordering::SeqCst)
    }

    /// Answers that were overtaken.
    pub(crate) fn reversed(&self) -> u64 {
        self.counted.reversed.load(Ordering::SeqCst)
    }
}

/// Waits while nothing may move. Gives what is done to the next packet, or nothing when the test is over.
async fn moving(held: &mut watch::Receiver<Hands>) -> Option<Hands> {
    held.wait_for(|hands| *hands != Hands::Stall).await.ok().map(|hands| *hands)
}

/// One MQTT packet as it is, or nothing when the connection has ended.
async fn packet(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut bytes = vec![from.read_u8().await.ok()?];
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = from.read_u8().await.ok()?;
        bytes.push(byte);
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let header = bytes.len();
    bytes.resize(header + length, 0);
    from.read_exact(&mut bytes[header..]).await.ok()?;
    Some(bytes)
}

fn kind(packet: &[u8]) -> u8 {
    packet[0] >> 4
}

/// The packet id of a reading, if this is one.
fn reading(packet: &[u8]) -> Option<[u8; 2]> {
    if kind(packet) != PUBLISH {
        return None;
    }
    let header = packet.iter().skip(1).position(|byte| byte & 0x80 == 0).unwrap() + 2;
    let length = usize::from(u16::from_be_bytes([packet[header], packet[header + 1]]));
    let (topic, rest) = packet[header + 2..].split_at(length);
    topic.ends_with(b"/data").then(|| [rest[0], rest[1]])
}

/// From the gateway to the broker.
async fn up(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    told: mpsc::Sender<Vec<u8>>,
    mut held: watch::Receiver<Hands>,
    counted: Arc<Counted>,
) {
    // A stalled sender is not even read from: its window fills up.
    while moving(&mut held).await.is_some() {
        let Some(packet) = packet(&mut from).await else { return };
        let Some(hands) = moving(&mut held).await else { return };
        let passed = match (hands, reading(&packet)) {
            (Hands::Refuse(reason), Some([high, low])) => {
                counted.refused.fetch_add(1, Ordering::SeqCst);
                told.send(vec![PUBACK << 4, 4, high, low, reason, 0]).await.is_ok()
            }
            _ => to.write_all(&packet).await.is_ok(),
        };
        if !passed {
            return;
        }
    }
}

/// From the broker.
async fn down(mut from: OwnedReadHalf, told: mpsc::Sender<Vec<u8>>, mut held: watch::Receiver<Hands>) {
    while moving(&mut held).await.is_some() {
        let Some(packet) = packet(&mut from).await else { return };
        if told.send(packet).await.is_err() {
            return;
        }
    }
}

/// To the gateway.
async fn tell(mut to: OwnedWriteHalf, mut telling: mpsc::Receiver<Vec<u8>>, mut held: watch::Receiver<Hands>, counted: Arc<Counted>) {
    while let Some(packet) = telling.recv().await {
        let mut packets = vec![packet];
        if moving(&mut held).await == Some(Hands::Reverse) && kind(&packets[0]) == PUBACK {
            sleep(HOLD).await;
            while let Ok(packet) = telling.try_recv() {
                packets.push(packet);
            }
            packets.reverse();
            let answers = packets.iter().filter(|packet| kind(packet) == PUBACK).count();
            counted.reversed.fetch_add(answers as u64 - 1, Ordering::SeqCst);
        }
        for packet in packets {
            if moving(&mut held).await.is_none() || to.write_all(&packet).await.is_err() {
                return;
            }
        }
    }
}
