//! The window under a collector and a broker that are slow, silent, forgetful or unwilling.

use super::{again::REPLAYS_MAX, *};

const DEADLINE: Duration = Duration::from_secs(2);

fn window(now: Instant) -> Window {
    Window::new(0, DEADLINE, 64 << 20, now)
}

fn send_all(window: &mut Window, committed: u64, now: Instant) -> Vec<u64> {
    let mut sent = Vec::new();
    while let Some((lane, range)) = window.next(committed, now) {
        window.sent(lane, range.first, 500, now);
        sent.push(range.first);
    }
    sent
}

#[tokio::test]
async fn frames_go_out_once_and_in_order_while_the_collector_answers() {
    let now = Instant::now();
    let mut window = window(now);
    let mut sent = Vec::new();
    for round in 1..=20_u64 {
        sent.extend(send_all(&mut window, round * 1_000, now));
        assert!(!window.acknowledge(*sent.last().unwrap(), &[], now));
    }
    assert_eq!(sent, (1..=20_000).collect::<Vec<_>>());
    assert_eq!(window.due(), None);
}

#[tokio::test]
async fn silence_is_probed_with_few_frames_at_growing_pauses() {
    let start = Instant::now();
    let mut window = window(start);
    assert_eq!(send_all(&mut window, 2_000, start).len(), 2_000);
    let mut now = start;
    let mut pauses = Vec::new();
    let mut again = 0;
    for _ in 0..6 {
        let due = window.due().unwrap();
        assert!(!window.tick(due - Duration::from_millis(1)));
        assert!(window.tick(due));
        pauses.push(due.duration_since(now).as_secs());
        now = due;
        again += send_all(&mut window, 2_000, now).len();
    }
    assert_eq!(pauses, [2, 4, 5, 5, 5, 5]);
    assert_eq!(again, 6 * 16);
    // The collector is back and had nothing but the probe: the rest follows, once.
    assert!(!window.acknowledge(16, &[], now));
    assert_eq!(send_all(&mut window, 2_000, now), (17..=2_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_collector_is_not_sent_everything_twice() {
    let now = Instant::now();
    let mut window = window(now);
    send_all(&mut window, 2_000, now);
    let late = now + DEADLINE;
    assert!(window.tick(late));
    assert_eq!(send_all(&mut window, 2_000, late).len(), 16);
    assert!(!window.acknowledge(1_500, &[], late));
    assert_eq!(send_all(&mut window, 2_000, late), Vec::<u64>::new());
    assert!(!window.acknowledge(2_000, &[], late));
    assert_eq!(window.due(), None);
}

#[tokio::test]
async fn holes_are_filled_and_not_again_before_the_deadline() {
    let now = Instant::now();
    let mut window = window(now);
    send_all(&mut window, 100, now);
    let holes = [SeqRange { first: 11, last: 13 }, SeqRange { first: 20, last: 20 }];
    assert!(!window.acknowledge(10, &holes, now));
    assert_eq!(send_all(&mut window, 100, now), [11, 12, 13, 20]);
    window.acknowledge(10, &holes, now + Duration::from_millis(500));
    assert_eq!(send_all(&mut window, 100, now), Vec::<u64>::new());
    window.acknowledge(100, &[], now + Duration::from_millis(600));
    assert_eq!(window.due(), None);
}

#[tokio::test]
async fn a_collector_that_lost_frames_gets_them_again() {
    let now = Instant::now();
    let mut window = window(now);
    send_all(&mut window, 100, now);
    window.acknowledge(100, &[], now);
    assert!(!window.acknowledge(60, &[], now), "once may be an old word");
    assert!(window.acknowledge(40, &[], now));
    assert_eq!(send_all(&mut window, 100, now), (41..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn bytes_bound_what_is_under_way() {
    let now = Instant::now();
    let mut window = Window::new(0, DEADLINE, 100_000, now);
    let mut seq = 0;
    while let Some((lane, range)) = window.next(10_000, now) {
        seq = range.first;
        window.sent(lane, seq, 2_000, now);
    }
    assert!((49..=60).contains(&seq), "{seq}");
}

#[tokio::test]
async fn live_frames_overtake_the_backlog_and_leave_it_a_fifth() {
    let now = Instant::now();
    let mut window = window(now);
    let mut committed = 10_000;
    assert_eq!(window.next(committed, now), Some((Lane::Backlog, SeqRange { first: 1, last: 2_048 })));
    // From here on something new is always there.
    committed += 4_000;
    let (mut live, mut backlog) = (Vec::new(), Vec::new());
    for _ in 0..2_000 {
        let (lane, range) = window.next(committed, now).unwrap();
        window.sent(lane, range.first, 400, now);
        if lane == Lane::Live { live.push(range.first) } else { backlog.push(range.first) }
    }
    assert_eq!(live, (10_001..=11_600).collect::<Vec<_>>());
    assert_eq!(backlog, (1..=400).collect::<Vec<_>>());
    // The collector has all of it: what it misses between the two is under way, and nothing is sent twice.
    assert!(!window.acknowledge(390, &[SeqRange { first: 391, last: 10_000 }], now));
    let rest = send_all(&mut window, committed, now);
    assert_eq!(rest.iter().filter(|seq| **seq > 10_000).count(), 2_400);
    assert!(!rest.iter().any(|seq| *seq <= 400 || (10_001..=11_600).contains(seq)));
    // A live frame that was lost is sent again before it is too late.
    assert!(!window.acknowledge(4_000, &[SeqRange { first: 4_001, last: 10_000 }, SeqRange { first: 12_000, last: 12_001 }], now));
    let sent = send_all(&mut window, committed, now);
    assert!(sent.starts_with(&[12_000, 12_001]), "{:?}", &sent[..4]);
    // With the backlog confirmed there is one lane again.
    let mut upto = 4_000;
    while upto < committed {
        upto = (upto + 3_000).min(committed);
        window.acknowledge(upto, &[], now);
        send_all(&mut window, committed, now);
    }
    assert_eq!((window.due(), window.next(committed, now)), (None, None));
    assert_eq!(send_all(&mut window, committed + 3, now), [14_001, 14_002, 14_003]);
}

#[tokio::test]
async fn a_drain_that_takes_days_does_not_stop_live_frames() {
    let mut now = Instant::now();
    // Room for fifty frames of two thousand bytes.
    let mut window = Window::new(0, DEADLINE, 100_000, now);
    let (mut acknowledged, backlog) = (0, 100_000);
    for minute in 1..=1_900 {
        let committed = backlog + minute;
        let mut live = Vec::new();
        while let Some((lane, range)) = window.next(committed, now) {
            window.sent(lane, range.first, 2_000, now);
            match lane {
                Lane::Live => live.push(range.first),
                _ => acknowledged = range.first,
            }
        }
        assert_eq!(live, if minute == 1 { vec![] } else { vec![committed] }, "minute {minute}");
        now += Duration::from_secs(60);
        assert!(!window.acknowledge(acknowledged, &[SeqRange { first: acknowledged + 1, last: backlog + 1 }], now));
    }
    assert!(acknowledged < backlog);
}

#[tokio::test]
async fn a_broker_that_nobody_listens_to_gets_a_probe_and_no_backlog() {
    let now = Instant::now();
    let mut window = window(now);
    assert_eq!(send_all(&mut window, 200, now).len(), 200);
    assert!(window.unheard(now));
    assert_eq!(send_all(&mut window, 200, now), (1..=16).collect::<Vec<_>>());
    assert!(!window.unheard(now), "it is known already");
    assert_eq!(send_all(&mut window, 200, now), Vec::<u64>::new());
    assert!(!window.acknowledge(16, &[], now));
    assert_eq!(send_all(&mut window, 200, now).len(), 184);
}

#[tokio::test]
async fn a_broker_that_refuses_is_left_alone_and_then_asked_with_one_frame() {
    let now = Instant::now();
    let mut window = window(now);
    assert_eq!(send_all(&mut window, 100, now).len(), 100);
    let until = now + Duration::from_secs(3);
    window.refused(until);
    assert_eq!((send_all(&mut window, 5_000, now), window.due()), (Vec::new(), Some(until)));
    assert!(!window.tick(until));
    assert_eq!(send_all(&mut window, 5_000, until), [1]);
    window.accepted();
    assert_eq!(send_all(&mut window, 5_000, until).len(), 15);
    window.acknowledge(16, &[], until);
    assert_eq!(send_all(&mut window, 5_000, until).len(), 2_048);
}

#[tokio::test]
async fn what_somebody_wants_again_comes_last() {
    let now = Instant::now();
    let mut window = window(now);
    send_all(&mut window, 50, now);
    window.acknowledge(50, &[], now);
    assert!(window.replay(SeqRange { first: 10, last: 14 }));
    assert_eq!(window.next(52, now), Some((Lane::Backlog, SeqRange { first: 51, last: 52 })));
    let mut sent = Vec::new();
    while let Some((lane, range)) = window.next(52, now) {
        // One of them is gone from the spool.
        if lane == Lane::Replay && range.first == 12 {
            window.skip_replay(12);
            continue;
        }
        window.sent(lane, range.first, 500, now);
        sent.push(range.first);
    }
    assert_eq!(sent, [51, 52, 10, 11, 13, 14]);
    for _ in 0..REPLAYS_MAX {
        assert!(window.replay(SeqRange { first: 1, last: 1 }));
    }
    assert!(!window.replay(SeqRange { first: 1, last: 1 }));
}
