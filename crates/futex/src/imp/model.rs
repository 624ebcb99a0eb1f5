//! The futex of models: for each address a lock, a condition and a queue of sleepers.
//!
//! loom and shuttle know no futex, but they know mutexes and conditions. Steps:
//!
//! - *wait*: lock the address; read the word **under the lock**; if it differs, go. Else take a ticket, and sleep on the condition until the
//!   ticket is gone from the queue.
//! - *notify*: lock the address; take up to `count` tickets from the front; wake everybody, so that those whose ticket is gone go on.
//!
//! A waiter compares and queues under the same lock under which a notifier looks, so a change that is followed by a
//! notification is not missed; and the count of woken threads is exact.
//!
//! A wait that may end early, by its time-out or for no reason, does not sleep at first: it queues, unlocks, locks again, and looks whether its
//! ticket is gone. If so, the notification came first. If not, it takes the ticket back, spends one of the execution's budget
//! ([`crate::model`]), and returns; or, when the budget is spent, it sleeps. So every step of the other threads comes, in some interleaving,
//! before the early end, and in another after it.
//!
//! Between unlocking and locking again it yields, so that loom does not count a notification in between as a preemption, and that a loop around a
//! timed wait ends, which loom would explore for ever. But who yields comes back only after another thread's next step, and "timed out, and nobody
//! has moved" is what races of a withdrawal against a notification are made of. So the first time-out at each address does not yield.
//!
//! What a model cannot see: the address's lock orders a notification before what its waiter does next, which no real futex promises. A program that
//! relied on that would look right when its wait slept; but it would be found where the wait finds the word changed.

use alloc::collections::VecDeque;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::boxed::Box;
use std::collections::HashMap;
use std::sync::{Mutex as RealMutex, PoisonError};

#[cfg(loom)]
use loom as modelled;
#[cfg(all(shuttle, not(loom)))]
use shuttle as modelled;

use modelled::sync::{Arc, Condvar, Mutex};

use crate::{AtomicU32, Wait, model};

pub(crate) const CAN_SLEEP: bool = true;

#[derive(Default)]
struct Queue {
    next: u64,
    sleepers: VecDeque<u64>,
    /// Whether a wait has timed out here.
    timed_out: bool,
}

impl Queue {
    fn push(&mut self) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.sleepers.push_back(ticket);
        ticket
    }

    fn contains(&self, ticket: u64) -> bool {
        self.sleepers.contains(&ticket)
    }

    fn withdraw(&mut self, ticket: u64) {
        self.sleepers.retain(|sleeper| *sleeper != ticket);
    }
}

struct Address {
    queue: Mutex<Queue>,
    changed: Condvar,
}

modelled::lazy_static! {
    // A real mutex around the map: it is never held across a step of the model. One map for each execution.
    static ref ADDRESSES: Box<RealMutex<HashMap<usize, Arc<Address>>>> = Box::new(RealMutex::new(HashMap::new()));
}

pub(crate) fn begin_model() {
    drop(ADDRESSES.lock());
}

fn address(word: &AtomicU32) -> Arc<Address> {
    let key = core::ptr::from_ref(word) as usize;
    if let Some(known) = ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Arc::clone(known);
    }
    let made = Arc::new(Address { queue: Mutex::new(Queue::default()), changed: Condvar::new() });
    let mut map = ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(map.entry(key).or_insert(made))
}

pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wait {
    let address = address(word);
    let mut queue = address.queue.lock().expect("a model does not poison");
    // SeqCst: the kernel's comparison, and wasm's, is not weaker than the program's strongest access.
    if word.load(Ordering::SeqCst) != expected {
        return Wait::Mismatch;
    }
    let ticket = queue.push();
    let timed = timeout.is_some();
    if model::may_end_early(timed) {
        let at_once = timed && !queue.timed_out;
        drop(queue);
        if !at_once {
            modelled::thread::yield_now();
        }
        queue = address.queue.lock().expect("a model does not poison");
        if !queue.contains(ticket) {
            return Wait::Woken;
        }
        if timed && model::spend_time_out() {
            queue.withdraw(ticket);
            queue.timed_out = true;
            return Wait::TimedOut;
        }
        if model::spend_spurious_wake() {
            queue.withdraw(ticket);
            return Wait::Woken;
        }
    }
    while queue.contains(ticket) {
        queue = address.changed.wait(queue).expect("a model does not poison");
    }
    Wait::Woken
}

pub(crate) fn notify(word: &AtomicU32, count: u32) -> u32 {
    let address = address(word);
    let mut queue = address.queue.lock().expect("a model does not poison");
    let woken = queue.sleepers.len().min(count as usize);
    queue.sleepers.drain(..woken);
    if woken > 0 {
        address.changed.notify_all();
    }
    woken as u32
}
