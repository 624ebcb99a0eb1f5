//! Where a closure waits while its message is under way.
//!
//! A JS message can carry a number but no Rust closure. So the sender puts the closure into the inbox of the receiver, and the
//! message carries the key under which it lies there. A raw pointer in the message would do less: it leaks when the message
//! is lost, and a page script could forge one. A key that is not in the inbox is simply ignored.
//!
//! Steps of a send: `put`; `postMessage`; if that throws, `take` the closure back. Steps of a delivery: `take` by key. Steps of
//! a delivery that failed (`messageerror`: the browser could not rebuild the payload and gives no contents at all): messages
//! of one sender arrive in the order in which he posted them, so the lost one is his oldest: `take_oldest_of` him.
//!
//! The lock is a short spin lock: it covers a few loads and stores, and now and then the growth of the table. It is taken by
//! the main thread too, which must never wait for a preempted worker for long; a lock-free table is to replace it together
//! with the pool's injector.

use alloc::vec::Vec;

use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::action::Action;
use crate::{ThreadId, growth};

/// The name of a waiting closure. It travels as a JS number, so it stays below 2^53: 21 bits of position, 32 bits of serial
/// number, and every closure has a serial number of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Key(f64);

const POSITION_BITS: u32 = 21;

/// The most closures that can wait for one thread.
const MOST: usize = 1 << POSITION_BITS;

/// Slots of an inbox that is used for the first time.
const FIRST: usize = 64;

impl Key {
    fn new(position: usize, serial: u32) -> Key {
        Key((u64::from(serial) << POSITION_BITS | position as u64) as f64)
    }

    fn parts(self) -> Option<(usize, u32)> {
        if !(0.0..9_007_199_254_740_992.0).contains(&self.0) {
            return None;
        }
        let bits = self.0 as u64;
        Some(((bits & ((1 << POSITION_BITS) - 1)) as usize, (bits >> POSITION_BITS) as u32))
    }

    pub(crate) fn from_js(number: f64) -> Key {
        Key(number)
    }

    pub(crate) fn to_js(self) -> f64 {
        self.0
    }
}

/// As large as a line of memory, and on one by itself: sender and receiver are at work on neighbouring slots at the same time.
#[repr(align(64))]
struct Waiting {
    serial: u32,
    sender: ThreadId,
    action: Action,
}

struct Table {
    slots: Vec<Option<Waiting>>,
    /// How many of them are taken.
    waiting: usize,
    /// Where the next closure is put, if there is room. Messages are handled roughly in the order in which they come, so this is the
    /// slot that has been free for longest: a slot that the receiver has just emptied, and a list of free ones, would be lines that travel back and
    /// forth with every message.
    next: usize,
    serial: u32,
}

impl Table {
    /// A free position, unless two million are taken.
    fn place(&mut self) -> Option<usize> {
        let len = self.slots.len();
        if 2 * self.waiting >= len && len < MOST {
            // So the search below is short, whatever stays for long.
            self.slots.resize_with((2 * len).clamp(FIRST, MOST), || None);
            self.next = len;
            // Others are about to use it.
            growth::publish();
        } else if self.waiting == len {
            return None;
        }
        while self.slots[self.next].is_some() {
            self.step();
        }
        let position = self.next;
        self.step();
        Some(position)
    }

    fn step(&mut self) {
        self.next = if self.next + 1 == self.slots.len() { 0 } else { self.next + 1 };
    }

    fn take(&mut self, position: usize) -> Option<Action> {
        let waiting = self.slots[position].take()?;
        self.waiting -= 1;
        Some(waiting.action)
    }
}

/// The closures on their way to one thread.
pub(crate) struct Inbox(SpinMutex<Table>);

impl Inbox {
    pub(crate) const fn new() -> Self {
        Inbox(SpinMutex::new(Table { slots: Vec::new(), waiting: 0, next: 0, serial: 0 }))
    }

    /// The table, whose memory another thread may just have added (race 55).
    fn lock(&self) -> SpinMutexGuard<'_, Table> {
        let table = self.0.lock();
        growth::adopt();
        table
    }

    /// Begins the serial numbers somewhere else, so that strangers' numbers do not meet ours by chance.
    pub(crate) fn seed(&self, serial: u32) {
        self.lock().serial = serial;
    }

    /// Stores a closure; `None` gives it back when two million are under way to this thread already.
    pub(crate) fn put(&self, sender: ThreadId, action: Action) -> Result<Key, Action> {
        let mut table = self.lock();
        let serial = table.serial;
        let Some(position) = table.place() else { return Err(action) };
        table.serial = serial.wrapping_add(1);
        table.waiting += 1;
        table.slots[position] = Some(Waiting { serial, sender, action });
        Ok(Key::new(position, serial))
    }

    /// Takes the closure of this key, if it is still here.
    pub(crate) fn take(&self, key: Key) -> Option<Action> {
        let (position, serial) = key.parts()?;
        let mut table = self.lock();
        if table.slots.get(position)?.as_ref()?.serial != serial {
            return None;
        }
        table.take(position)
    }

    /// Takes the oldest closure of one sender.
    pub(crate) fn take_oldest_of(&self, sender: ThreadId) -> Option<Action> {
        let mut table = self.lock();
        let now = table.serial;
        let position = table
            .slots
            .iter()
            .enumerate()
            .filter_map(|(position, slot)| slot.as_ref().map(|waiting| (position, waiting)))
            .filter(|(_, waiting)| waiting.sender == sender)
            .max_by_key(|(_, waiting)| now.wrapping_sub(waiting.serial))?
            .0;
        table.take(position)
    }

    /// Takes everything: the thread will never run it.
    pub(crate) fn clear(&self) -> Vec<Action> {
        let mut table = self.lock();
        (table.waiting, table.next) = (0, 0);
        core::mem::take(&mut table.slots).into_iter().flatten().map(|waiting| waiting.action).collect()
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use core::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn counting(counter: &Arc<AtomicU32>, by: u32) -> Action {
        let counter = Arc::clone(counter);
        Action::new(move |_, _| {
            counter.fetch_add(by, Ordering::Relaxed);
        })
    }

    #[test]
    fn a_key_finds_its_closure_once() {
        let (inbox, counter) = (Inbox::new(), Arc::new(AtomicU32::new(0)));
        let key = inbox.put(ThreadId::MAIN, counting(&counter, 5)).ok().unwrap();
        let key = Key::from_js(key.to_js());
        assert!(inbox.take(key).is_some());
        assert!(inbox.take(key).is_none());
        assert_eq!(Arc::strong_count(&counter), 1, "the closure is gone with its captures");
    }

    #[test]
    fn a_stale_key_does_not_find_the_next_closure_in_its_place() {
        let (inbox, counter) = (Inbox::new(), Arc::new(AtomicU32::new(0)));
        let old = inbox.put(ThreadId::MAIN, counting(&counter, 1)).ok().unwrap();
        drop(inbox.take(old));
        let new = inbox.put(ThreadId::MAIN, counting(&counter, 1)).ok().unwrap();
        assert!(inbox.take(old).is_none());
        assert!(inbox.take(new).is_some());
    }

    /// Whatever stays for long, what comes and goes finds a place, and the table grows with what waits only.
    #[test]
    fn places_are_found_beside_those_that_stay() {
        let (inbox, counter) = (Inbox::new(), Arc::new(AtomicU32::new(0)));
        let put = || inbox.put(ThreadId::MAIN, counting(&counter, 1)).ok().unwrap();
        let staying: Vec<Key> = (0..100).map(|_| put()).collect();
        for _ in 0..1_000 {
            let key = put();
            assert!(inbox.take(key).is_some());
            assert!(inbox.take(key).is_none());
        }
        assert_eq!(inbox.0.lock().slots.len(), 256, "twice what waits, in powers of two");
        assert!(staying.into_iter().all(|key| inbox.take(key).is_some()));
        assert_eq!((inbox.0.lock().waiting, Arc::strong_count(&counter)), (0, 1));
    }

    #[test]
    fn numbers_that_nobody_gave_out_are_ignored() {
        let inbox = Inbox::new();
        for number in [0.0, -1.0, 0.5, 1e300, f64::NAN, f64::INFINITY, 9_007_199_254_740_991.0] {
            assert!(inbox.take(Key::from_js(number)).is_none());
        }
    }

    #[test]
    fn the_oldest_of_a_sender_is_the_one_he_put_first() {
        let (inbox, counter) = (Inbox::new(), Arc::new(AtomicU32::new(0)));
        let (one, two) = (ThreadId::from_index(1), ThreadId::from_index(2));
        let mut keys = Vec::new();
        for (sender, by) in [(two, 1), (one, 2), (one, 3), (two, 4)] {
            keys.push(inbox.put(sender, counting(&counter, by)).ok().unwrap());
        }
        drop(inbox.take_oldest_of(one));
        assert!(inbox.take(keys[1]).is_none(), "the first of sender one is gone");
        assert!(inbox.take(keys[2]).is_some());
        assert!(inbox.take_oldest_of(one).is_none());
        assert_eq!(inbox.clear().len(), 2);
        assert_eq!(Arc::strong_count(&counter), 1);
    }
}
