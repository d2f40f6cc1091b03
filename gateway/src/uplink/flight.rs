//! What was handed to the MQTT client and not yet taken by the broker. Pure.
//!
//! The client gives packet ids in turn, from 1 to the number of messages that the broker wants at once, and stops for
//! good when the next id in turn is still in use. So the window is counted from the oldest message that was not taken,
//! and not by how many were: a broker that takes them out of order never brings the client to that point.

use std::collections::VecDeque;

use super::Sent;

/// Places that are kept free of frames, so that events and answers need not wait.
const RESERVED: usize = 2;

#[derive(Debug)]
pub(super) struct Flight {
    slots: VecDeque<Slot>,
    window: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Known when the client has written it.
    packet: Option<u16>,
    what: Sent,
    taken: bool,
}

impl Flight {
    /// * `window`: messages from the oldest to the newest; at most as many as the client has packet ids.
    pub(super) fn new(window: usize) -> Self {
        Self { slots: VecDeque::new(), window: window.max(1) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn has_room(&self, what: Sent) -> bool {
        let reserved = if what == Sent::Frame && self.window > 2 * RESERVED { RESERVED } else { 0 };
        self.slots.len() + reserved < self.window
    }

    /// The client has it in its queue, after everything before.
    pub(super) fn handed_over(&mut self, what: Sent) {
        self.slots.push_back(Slot { packet: None, what, taken: false });
    }

    /// The client wrote the next message, under this packet id.
    pub(super) fn written(&mut self, packet: u16) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.packet.is_none()) {
            slot.packet = Some(packet);
        }
    }

    /// The broker answered to a packet id. Says what it was.
    pub(super) fn answered(&mut self, packet: u16) -> Option<Sent> {
        let slot = self.slots.iter_mut().find(|slot| slot.packet == Some(packet) && !slot.taken)?;
        slot.taken = true;
        let what = slot.what;
        while self.slots.front().is_some_and(|slot| slot.taken) {
            self.slots.pop_front();
        }
        Some(what)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A client like the real one, and a broker that answers in any order: no packet id is given while it is in use.
        #[test]
        fn no_order_of_answers_makes_packet_ids_collide(window in 1_u16..20, picks in prop::collection::vec(any::<prop::sample::Index>(), 1..300)) {
            let mut flight = Flight::new(usize::from(window));
            let (mut next, mut in_use) = (0, BTreeSet::new());
            let mut sent = 0_u64;
            for pick in picks {
                while flight.has_room(Sent::Message(sent)) {
                    next = next % window + 1;
                    prop_assert!(in_use.insert(next), "packet id {next} is given twice");
                    flight.handed_over(Sent::Message(sent));
                    flight.written(next);
                    sent += 1;
                }
                let packet = *pick.get(&in_use.iter().copied().collect::<Vec<_>>());
                in_use.remove(&packet);
                prop_assert!(flight.answered(packet).is_some());
                prop_assert_eq!(flight.answered(packet), None);
            }
            for packet in in_use {
                flight.answered(packet);
            }
            prop_assert!(flight.is_empty());
        }
    }

    #[test]
    fn frames_leave_room_for_what_is_urgent() {
        let mut flight = Flight::new(6);
        let mut frames = 0;
        while flight.has_room(Sent::Frame) {
            flight.handed_over(Sent::Frame);
            frames += 1;
        }
        assert_eq!((frames, flight.has_room(Sent::State)), (4, true));
    }
}
