//! A scripted peer misbehaves in every way the field knows. Each time: the right words or an error, never wrong words.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    Bus, BusError, Endpoint, Parity, Request, Stream,
    endpoint::{Open, Opening},
    framing::checksum_of,
};

const TIMEOUT: Duration = Duration::from_millis(60);

/// Opens one end of an in-memory pipe and hands the other to the script.
#[derive(Debug)]
struct Pipe {
    peers: mpsc::Sender<DuplexStream>,
}

impl Open for Pipe {
    fn open(&mut self) -> Opening<'_> {
        Box::pin(async {
            let (ours, theirs) = duplex(4096);
            self.peers.try_send(theirs).map_err(std::io::Error::other)?;
            Ok(Box::new(ours) as Box<dyn Stream>)
        })
    }
}

fn bus(endpoint: Endpoint) -> (Bus, mpsc::Receiver<DuplexStream>) {
    let (peers, taken) = mpsc::channel(8);
    let pipe = Pipe { peers };
    (Bus::with_opener(endpoint, Box::new(pipe)), taken)
}

fn rtu_bus() -> (Bus, mpsc::Receiver<DuplexStream>) {
    bus(Endpoint::Rtu { path: "/dev/test".into(), baud: 115_200, parity: Parity::None })
}

fn ask(address: u16, count: u16) -> Request {
    Request { unit: 1, function: 4, address, count, timeout: TIMEOUT, gap: Duration::ZERO }
}

/// What the registers truly hold: a register's word is its address plus a thousand.
fn truth(address: u16, count: u16) -> Vec<u16> {
    (address..address + count).map(|register| register + 1_000).collect()
}

fn pdu(unit: u8, address: u16, count: u16) -> Vec<u8> {
    let mut body = vec![unit, 4, u8::try_from(count * 2).unwrap()];
    body.extend(truth(address, count).into_iter().flat_map(u16::to_be_bytes));
    body
}

fn rtu(body: &[u8]) -> Vec<u8> {
    let mut frame = body.to_vec();
    frame.extend(checksum_of(body).to_le_bytes());
    frame
}

fn tcp(transaction: [u8; 2], body: &[u8]) -> Vec<u8> {
    let mut frame = transaction.to_vec();
    frame.extend([0, 0, 0, u8::try_from(body.len()).unwrap()]);
    frame.extend(body);
    frame
}

async fn rtu_request(peer: &mut DuplexStream) -> (u16, u16, Vec<u8>) {
    let mut request = vec![0; 8];
    peer.read_exact(&mut request).await.unwrap();
    (u16::from_be_bytes([request[2], request[3]]), u16::from_be_bytes([request[4], request[5]]), request)
}

async fn answer_well(peer: &mut DuplexStream) {
    let (address, count, _) = rtu_request(peer).await;
    peer.write_all(&rtu(&pdu(1, address, count))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_late_serial_answer_of_the_same_length_is_never_taken_for_another() {
    let (mut bus, mut peers) = rtu_bus();
    let script = tokio::spawn(async move {
        let mut peer = peers.recv().await.unwrap();
        let (address, count, _) = rtu_request(&mut peer).await;
        sleep(TIMEOUT * 2).await;
        // Late, and while the next question may already be asked.
        peer.write_all(&rtu(&pdu(1, address, count))).await.unwrap();
        loop {
            answer_well(&mut peer).await;
        }
    });
    assert!(matches!(bus.read(ask(0, 2)).await, Err(BusError::Silent { unit: 1, .. })));
    assert!(matches!(bus.read(ask(100, 2)).await, Err(BusError::Ambiguous { .. })));
    // The same question again: the late answer is its answer too.
    assert_eq!(bus.read(ask(0, 2)).await.unwrap(), truth(0, 2));
    assert_eq!(bus.read(ask(200, 3)).await.unwrap(), truth(200, 3));
    sleep(TIMEOUT * 10).await;
    assert_eq!(bus.read(ask(100, 2)).await.unwrap(), truth(100, 2));
    assert_eq!(bus.read(ask(300, 2)).await.unwrap(), truth(300, 2));
    script.abort();
}

#[tokio::test(start_paused = true)]
async fn a_late_serial_answer_of_another_length_is_stepped_over() {
    let (mut bus, mut peers) = rtu_bus();
    let script = tokio::spawn(async move {
        let mut peer = peers.recv().await.unwrap();
        let (first, count, _) = rtu_request(&mut peer).await;
        let late = rtu(&pdu(1, first, count));
        let (address, count, _) = rtu_request(&mut peer).await;
        peer.write_all(&late).await.unwrap();
        sleep(Duration::from_millis(5)).await;
        peer.write_all(&rtu(&pdu(1, address, count))).await.unwrap();
        loop {
            answer_well(&mut peer).await;
        }
    });
    assert!(matches!(bus.read(ask(0, 2)).await, Err(BusError::Silent { .. })));
    assert_eq!(bus.read(ask(100, 5)).await.unwrap(), truth(100, 5));
    assert_eq!(bus.read(ask(0, 2)).await.unwrap(), truth(0, 2));
    script.abort();
}

#[tokio::test(start_paused = true)]
async fn noise_harms_at_most_its_own_exchange() {
    let (mut bus, mut peers) = rtu_bus();
    let script = tokio::spawn(async move {
        let mut peer = peers.recv().await.unwrap();
        rtu_request(&mut peer).await;
        peer.write_all(&[0x55; 40]).await.unwrap();
        let (address, count, _) = rtu_request(&mut peer).await;
        peer.write_all(&[0xAA, 1, 4]).await.unwrap();
        peer.write_all(&rtu(&pdu(1, address, count))).await.unwrap();
        loop {
            answer_well(&mut peer).await;
        }
    });
    assert!(matches!(bus.read(ask(0, 2)).await, Err(BusError::Silent { .. })));
    assert_eq!(bus.read(ask(0, 2)).await.unwrap(), truth(0, 2));
    assert_eq!(bus.read(ask(10, 3)).await.unwrap(), truth(10, 3));
    script.abort();
}

#[tokio::test(start_paused = true)]
async fn the_echo_of_a_request_is_not_its_answer() {
    let (mut bus, mut peers) = rtu_bus();
    let script = tokio::spawn(async move {
        let mut peer = peers.recv().await.unwrap();
        loop {
            let (address, count, request) = rtu_request(&mut peer).await;
            peer.write_all(&request).await.unwrap();
            sleep(Duration::from_millis(20)).await;
            peer.write_all(&rtu(&pdu(1, address, count))).await.unwrap();
        }
    });
    assert_eq!(bus.read(ask(0, 2)).await.unwrap(), truth(0, 2));
    assert_eq!(bus.read(ask(0x5B00, 6)).await.unwrap(), truth(0x5B00, 6));
    assert_eq!(bus.read(ask(0x0400, 2)).await.unwrap(), truth(0x0400, 2));
    script.abort();
}

#[tokio::test(start_paused = true)]
async fn a_late_tcp_answer_costs_the_connection_and_nothing_else() {
    let (mut bus, mut peers) = bus(Endpoint::Tcp("meter:502".into()));
    let script = tokio::spawn(async move {
        let mut request = [0; 12];
        let mut first = peers.recv().await.unwrap();
        first.read_exact(&mut request).await.unwrap();
        // After the first question was given up, and before the next is.
        sleep(TIMEOUT * 3 / 2).await;
        // Nobody may be there any more to hear it.
        drop(first.write_all(&tcp([request[0], request[1]], &pdu(1, 0, 2))).await);
        let mut second = peers.recv().await.unwrap();
        loop {
            second.read_exact(&mut request).await.unwrap();
            let address = u16::from_be_bytes([request[8], request[9]]);
            let count = u16::from_be_bytes([request[10], request[11]]);
            // An answer to a question that was never asked, then the true one, byte by byte.
            second.write_all(&tcp([0x77, 0x77], &pdu(1, 0, count))).await.unwrap();
            for byte in tcp([request[0], request[1]], &pdu(1, address, count)) {
                second.write_all(&[byte]).await.unwrap();
            }
        }
    });
    assert!(matches!(bus.read(ask(0, 2)).await, Err(BusError::Silent { .. })));
    // Behind the address there may be a serial line of its own, on which the old answer is still under way.
    assert!(matches!(bus.read(ask(100, 2)).await, Err(BusError::Ambiguous { .. })));
    for (address, count) in [(0, 2), (100, 3), (300, 2)] {
        assert_eq!(bus.read(ask(address, count)).await.unwrap(), truth(address, count));
    }
    script.abort();
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_an_earlier_poll_is_old_even_to_the_same_question() {
    let (mut bus, mut peers) = rtu_bus();
    let script = tokio::spawn(async move {
        let mut peer = peers.recv().await.unwrap();
        rtu_request(&mut peer).await;
        loop {
            answer_well(&mut peer).await;
        }
    });
    assert!(matches!(bus.read(ask(0, 2)).await, Err(BusError::Silent { .. })));
    bus.begin_poll();
    assert!(matches!(bus.read(ask(0, 2)).await, Err(BusError::Ambiguous { .. })));
    // A device answers in order: whatever it answers now, the old answer will not come any more.
    assert_eq!(bus.read(ask(50, 4)).await.unwrap(), truth(50, 4));
    assert_eq!(bus.read(ask(0, 2)).await.unwrap(), truth(0, 2));
    // And as it may answer it in another length than asked for, the first question after it is asked twice.
    assert_eq!((bus.counters().silent, bus.counters().ambiguous, bus.counters().doubted, bus.counters().answered), (1, 1, 1, 3));
    script.abort();
}

#[tokio::test(start_paused = true)]
async fn an_old_answer_of_another_length_than_asked_for_is_not_believed() {
    let (mut bus, mut peers) = rtu_bus();
    let script = tokio::spawn(async move {
        let mut peer = peers.recv().await.unwrap();
        rtu_request(&mut peer).await;
        rtu_request(&mut peer).await;
        // Two registers fewer than the first question asked for, as many as the second one.
        peer.write_all(&rtu(&pdu(1, 0, 4))).await.unwrap();
        answer_well(&mut peer).await;
        answer_well(&mut peer).await;
        peer
    });
    assert!(matches!(bus.read(ask(0, 6)).await, Err(BusError::Silent { .. })));
    bus.begin_poll();
    assert_eq!(bus.read(ask(50, 4)).await.unwrap(), truth(50, 4));
    assert_eq!(bus.read(ask(60, 2)).await.unwrap(), truth(60, 2));
    assert_eq!((bus.counters().doubted, bus.counters().answered), (1, 3));
    script.abort();
}

#[tokio::test(start_paused = true)]
async fn two_devices_with_one_unit_id_are_an_error() {
    let (mut bus, mut peers) = rtu_bus();
    let script = tokio::spawn(async move {
        let mut peer = peers.recv().await.unwrap();
        let (address, count, _) = rtu_request(&mut peer).await;
        let twin: Vec<u8> = rtu(&[1, 4, 4, 0, 7, 0, 8]);
        peer.write_all(&[rtu(&pdu(1, address, count)), twin].concat()).await.unwrap();
        // The click of a transceiver behind an answer is no second device.
        let (address, count, _) = rtu_request(&mut peer).await;
        peer.write_all(&[rtu(&pdu(1, address, count)), vec![0]].concat()).await.unwrap();
        peer
    });
    assert!(matches!(bus.read(ask(0, 2)).await, Err(BusError::Broken { .. })));
    assert_eq!(bus.counters().doubled, 1);
    assert_eq!(bus.read(ask(0, 2)).await.unwrap(), truth(0, 2));
    script.abort();
}

#[tokio::test(start_paused = true)]
async fn words_that_were_just_said_to_another_question_are_asked_for_again() {
    let (mut bus, mut peers) = rtu_bus();
    let script = tokio::spawn(async move {
        let mut peer = peers.recv().await.unwrap();
        answer_well(&mut peer).await;
        answer_well(&mut peer).await;
        // A copy of the first answer, as repeaters make them, and the right one only when asked again.
        rtu_request(&mut peer).await;
        peer.write_all(&rtu(&pdu(1, 0, 2))).await.unwrap();
        answer_well(&mut peer).await;
        peer
    });
    assert_eq!(bus.read(ask(0, 2)).await.unwrap(), truth(0, 2));
    assert_eq!(bus.read(ask(10, 3)).await.unwrap(), truth(10, 3));
    assert_eq!(bus.read(ask(20, 2)).await.unwrap(), truth(20, 2));
    assert_eq!(bus.counters().repeated, 1);
    script.abort();
}

#[tokio::test(start_paused = true)]
async fn a_damaged_answer_is_not_waited_for() {
    let (mut bus, mut peers) = rtu_bus();
    let script = tokio::spawn(async move {
        let mut peer = peers.recv().await.unwrap();
        let (address, count, _) = rtu_request(&mut peer).await;
        let mut answer = rtu(&pdu(1, address, count));
        answer[4] ^= 8;
        peer.write_all(&answer).await.unwrap();
        peer
    });
    let patient = Request { timeout: Duration::from_secs(20), ..ask(0, 2) };
    let read = timeout(Duration::from_secs(5), bus.read(patient)).await.expect("it is all there and not right");
    assert!(matches!(read, Err(BusError::Broken { .. })) && bus.counters().damaged == 1);
    script.abort();
}

mod strangers {
    //! The door of strangers: whatever bytes come, nothing panics, and nothing is a right answer that does not say so itself.

    use proptest::prelude::*;

    use super::*;
    use crate::modbus::framing::Framing;

    /// A frame that is right in itself, and answers any question.
    fn frame() -> impl Strategy<Value = Vec<u8>> {
        let body =
            (0_u8..4, prop_oneof![Just(3_u8), Just(4), Just(0x83), Just(0x84), any::<u8>()], proptest::collection::vec(any::<u8>(), 0..12));
        body.prop_map(|(unit, function, words)| {
            let mut body = vec![unit, function, u8::try_from(words.len()).unwrap()];
            body.extend(words);
            rtu(&body)
        })
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let noise = proptest::collection::vec(any::<u8>(), 0..24);
        proptest::collection::vec(prop_oneof![noise, frame()], 0..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn serial_bytes_are_an_answer_only_to_their_own_question(arrived in bytes(), unit in 0_u8..4, function in 3_u8..5, count in 1_u16..6) {
            let request = rtu(&[unit, function, 0, 9, 0, u8::try_from(count).unwrap()]);
            let expected = Framing::Rtu.expected(&request).unwrap();
            let mut rest = arrived.clone();
            if let Ok(Some(taken)) = Framing::Rtu.take(expected, &request, &mut rest) {
                prop_assert_eq!([taken.before, taken.answer.clone(), rest].concat(), arrived);
                let (body, sum) = taken.answer.split_at(taken.answer.len() - 2);
                prop_assert_eq!(checksum_of(body).to_le_bytes(), [sum[0], sum[1]]);
                prop_assert_eq!(body[0], unit);
                let refusal = body[1] == function | 0x80 && body.len() == 3;
                let answer = body[1] == function && usize::from(body[2]) == 2 * usize::from(count) && body.len() == 3 + 2 * usize::from(count);
                prop_assert!(refusal || answer, "{:?}", body);
            }
        }

        #[test]
        fn network_bytes_are_an_answer_only_to_their_own_question(arrived in bytes(), lead in any::<bool>(), number in 0_u8..3, count in 1_u16..6) {
            let request = [0, number, 0, 0, 0, 6, 1, 4, 0, 9, 0, u8::try_from(count).unwrap()];
            let expected = Framing::Tcp.expected(&request).unwrap();
            // Some begin as a right header does.
            let mut heard = if lead { tcp([0, number], arrived.get(..arrived.len().min(250)).unwrap()) } else { arrived };
            if let Ok(Some(taken)) = Framing::Tcp.take(expected, &request, &mut heard) {
                let answer = taken.answer;
                prop_assert_eq!(&answer[..4], &[0, number, 0, 0]);
                prop_assert_eq!(answer[6], 1);
                let right = answer[7] == 4 && usize::from(answer[8]) == 2 * usize::from(count) && answer.len() == 9 + 2 * usize::from(count);
                prop_assert!(right || (answer[7] == 0x84 && answer.len() == 9), "{:?}", answer);
            }
        }

        #[test]
        fn whatever_a_peer_says_words_are_as_many_as_were_asked_for(said in bytes(), count in 1_u16..6, network in any::<bool>()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let words = runtime.block_on(async {
                let endpoint = if network { Endpoint::Tcp("meter:502".into()) } else { Endpoint::Rtu { path: "/dev/test".into(), baud: 9_600, parity: Parity::None } };
                let (mut bus, mut peers) = bus(endpoint);
                let said = said.clone();
                let script = tokio::spawn(async move {
                    let mut peer = peers.recv().await.unwrap();
                    let mut request = [0; 8];
                    drop(peer.read_exact(&mut request).await);
                    drop(peer.write_all(&said).await);
                    sleep(Duration::from_secs(9)).await;
                });
                let words = bus.read(ask(9, count)).await;
                script.abort();
                words
            });
            if let Ok(words) = words {
                prop_assert_eq!(words.len(), usize::from(count));
                let mut body = vec![1, 4, u8::try_from(2 * count).unwrap()];
                body.extend(words.iter().flat_map(|word| word.to_be_bytes()));
                let frame = if network { body } else { rtu(&body) };
                prop_assert!(said.windows(frame.len()).any(|window| window == frame), "made up");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_is_not_used_again_on_the_next_connection() {
    let (mut bus, mut peers) = bus(Endpoint::Tcp("meter:502".into()));
    let script = tokio::spawn(async move {
        let mut request = [0; 12];
        let mut first = peers.recv().await.unwrap();
        first.read_exact(&mut request).await.unwrap();
        let old = tcp([request[0], request[1]], &[1, 4, 4, 0, 7, 0, 8]);
        let mut second = peers.recv().await.unwrap();
        second.read_exact(&mut request).await.unwrap();
        // A converter that hands the old answer to whoever is there.
        second.write_all(&old).await.unwrap();
        second.write_all(&tcp([request[0], request[1]], &pdu(1, 0, 2))).await.unwrap();
        second
    });
    assert!(matches!(bus.read(ask(0, 2)).await, Err(BusError::Silent { .. })));
    assert_eq!(bus.read(ask(0, 2)).await.unwrap(), truth(0, 2));
    script.abort();
}

#[tokio::test(start_paused = true)]
async fn behind_a_converter_a_second_answer_spoils_the_first() {
    for converter in [true, false] {
        let (mut bus, mut peers) = bus(Endpoint::Tcp("meter:502".into()));
        bus.set_converter(converter);
        let script = tokio::spawn(async move {
            let mut peer = peers.recv().await.unwrap();
            let mut request = [0; 12];
            peer.read_exact(&mut request).await.unwrap();
            let number = [request[0], request[1]];
            peer.write_all(&tcp(number, &pdu(1, 0, 2))).await.unwrap();
            sleep(Duration::from_millis(3)).await;
            peer.write_all(&tcp(number, &[1, 4, 4, 0, 7, 0, 8])).await.unwrap();
            peers.recv().await
        });
        let read = bus.read(ask(0, 2)).await;
        assert_eq!(matches!(read, Err(BusError::Broken { .. })), converter, "{read:?}");
        script.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_answers_on_tcp_are_errors() {
    for (what, body) in [
        ("other unit", pdu(2, 0, 2)),
        ("fewer words", pdu(1, 0, 1)),
        ("more words", pdu(1, 0, 3)),
        ("other function", [1, 3, 4, 0, 1, 0, 2].to_vec()),
        ("count and length differ", [1, 4, 2, 0, 1, 0, 2].to_vec()),
    ] {
        let (mut bus, mut peers) = bus(Endpoint::Tcp("meter:502".into()));
        let script = tokio::spawn(async move {
            let mut peer = peers.recv().await.unwrap();
            let mut request = [0; 12];
            peer.read_exact(&mut request).await.unwrap();
            peer.write_all(&tcp([request[0], request[1]], &body)).await.unwrap();
            peers.recv().await
        });
        assert!(matches!(bus.read(ask(0, 2)).await, Err(BusError::Broken { .. })), "{what}");
        script.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_its_reason_and_leaves_the_line_in_order() {
    let (mut bus, mut peers) = rtu_bus();
    let script = tokio::spawn(async move {
        let mut peer = peers.recv().await.unwrap();
        rtu_request(&mut peer).await;
        peer.write_all(&rtu(&[1, 0x84, 2])).await.unwrap();
        answer_well(&mut peer).await;
        peer
    });
    let refused = bus.read(ask(9_000, 2)).await.unwrap_err();
    assert!(refused.is_answer() && !refused.is_transient());
    insta::assert_snapshot!(refused, @"unit 1 on rtu:///dev/test refused to read 2 registers at 9000 with function 4: Illegal data address");
    assert_eq!(bus.read(ask(0, 2)).await.unwrap(), truth(0, 2));
    script.abort();
}

#[tokio::test(start_paused = true)]
async fn a_truncated_serial_answer_is_an_error_at_every_length() {
    let whole = rtu(&pdu(1, 0, 2));
    for length in 0..whole.len() {
        let (mut bus, mut peers) = rtu_bus();
        let cut = whole[..length].to_vec();
        let script = tokio::spawn(async move {
            let mut peer = peers.recv().await.unwrap();
            rtu_request(&mut peer).await;
            peer.write_all(&cut).await.unwrap();
            answer_well(&mut peer).await;
            peer
        });
        let brief = Request { timeout: Duration::from_millis(10), ..ask(0, 2) };
        assert!(bus.read(brief).await.is_err(), "cut to {length}");
        assert_eq!(bus.read(brief).await.unwrap(), truth(0, 2), "after a cut to {length}");
        script.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_never_falls_silent_is_an_error_and_not_a_hang() {
    let (mut bus, mut peers) = rtu_bus();
    let script = tokio::spawn(async move {
        let mut peer = peers.recv().await.unwrap();
        while peer.write_all(&[0x55; 16]).await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    });
    let read = timeout(Duration::from_secs(5), bus.read(ask(0, 2))).await.expect("ends by itself");
    assert!(matches!(read, Err(BusError::Broken { .. })), "{read:?}");
    script.abort();
}
