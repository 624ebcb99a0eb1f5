//! The futex of loom models: for each address a mutex, a condition and a queue of sleepers.
//!
//! loom knows no futex, but it knows mutexes and conditions. Steps:
//!
//! - *wait*: lock the address; read the word **under the lock**; if it differs, go. Else take a ticket, and sleep on the condition until the
//!   ticket is gone from the queue.
//! - *notify*: lock the address; take up to `count` tickets from the front; wake everybody, so that those whose ticket is gone go on.
//!
//! A waiter compares and queues under the same lock under which a notifier looks, so a change that is followed by a
//! notification is not missed; and the count of woken threads is exact. A timed wait does not sleep: it queues, lets the others
//! run, and looks whether its ticket is gone. So in some interleavings the notification comes first, in others the time-out.

use core::time::Duration;
use std::boxed::Box;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex as RealMutex;

use core::sync::atomic::Ordering;

use loom::sync::{Arc, Condvar, Mutex};

use crate::{AtomicU32, Wait};

#[derive(Default)]
struct Queue {
    next: u64,
    sleepers: VecDeque<u64>,
}

struct Address {
    queue: Mutex<Queue>,
    changed: Condvar,
}

loom::lazy_static! {
    // A real mutex around the map: it is never held across a step of the model. One map for each execution.
    static ref ADDRESSES: Box<RealMutex<HashMap<usize, Arc<Address>>>> = Box::new(RealMutex::new(HashMap::new()));
}

fn address(word: &AtomicU32) -> Arc<Address> {
    let key = core::ptr::from_ref(word) as usize;
    if let Some(known) = ADDRESSES.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&key) {
        return Arc::clone(known);
    }
    let made = Arc::new(Address { queue: Mutex::new(Queue::default()), changed: Condvar::new() });
    let mut map = ADDRESSES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    Arc::clone(map.entry(key).or_insert(made))
}

pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wait {
    let address = address(word);
    let mut queue = address.queue.lock().expect("a model does not poison");
    // SeqCst: the kernel's comparison, and wasm's, is not weaker than the program's strongest access.
    if word.load(Ordering::SeqCst) != expected {
        return Wait::Mismatch;
    }
    let ticket = queue.next;
    queue.next += 1;
    queue.sleepers.push_back(ticket);
    if timeout.is_some() {
        drop(queue);
        loom::thread::yield_now();
        queue = address.queue.lock().expect("a model does not poison");
        let still = queue.sleepers.contains(&ticket);
        queue.sleepers.retain(|sleeper| *sleeper != ticket);
        return if still { Wait::TimedOut } else { Wait::Woken };
    }
    while queue.sleepers.contains(&ticket) {
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
