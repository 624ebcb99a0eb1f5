//! The queue that everybody shares: what other threads submit, and what a ring had no room for.
//!
//! A growing ring buffer behind a short spin lock, with its length beside it, so that asking "is there anything?" takes no
//! lock. The lock covers moves of tasks and, now and then, the growth of the buffer. A worker that is preempted inside makes
//! the others spin, the main thread included; a lock-free queue is to take this place (see `ARCHITECTURE.md`).
//!
//! Steps of a push: lock, append, store the length, unlock. Of a pop: read the length; if it is not zero, lock, take up to a
//! batch, store the length, unlock. A pusher that then wakes and a worker that announces sleep and then reads the length see one
//! another, because the length is stored before the pusher reads the idle word.

use alloc::collections::VecDeque;
use core::sync::atomic::Ordering;

use crate::host::Host;
use crate::primitive::{AtomicUsize, ShortLock};
use crate::task::Task;

/// Tasks in the order in which they came.
pub(crate) struct Injector {
    tasks: ShortLock<VecDeque<Task>>,
    /// The length, stored under the lock. Written by swap: on wasm a store costs eight times as much in one engine.
    length: AtomicUsize,
}

/// The tasks that fit before the buffer grows for the first time.
const FIRST_CAPACITY: usize = if cfg!(loom) { 4 } else { 4096 };

impl Injector {
    pub(crate) fn new() -> Injector {
        Injector { tasks: ShortLock::new(VecDeque::with_capacity(FIRST_CAPACITY)), length: AtomicUsize::new(0) }
    }

    /// Whether there was nothing a moment ago.
    pub(crate) fn is_empty(&self) -> bool {
        // SeqCst: read by the re-check after a worker announced sleep; its partner is the swap in `publish`.
        self.length.load(Ordering::SeqCst) == 0
    }

    pub(crate) fn push<H: Host>(&self, tasks: impl Iterator<Item = Task>) {
        self.tasks.with(|queue| {
            queue.extend(tasks);
            // The buffer may have grown; whoever locks next must see the new pages.
            H::publish_memory();
            self.publish(queue.len());
        });
    }

    /// Takes a fair share for one of `workers` workers, at most `most` tasks: hands each to `take`, in order.
    pub(crate) fn pop_batch<H: Host>(&self, workers: usize, most: usize, mut take: impl FnMut(Task)) {
        if self.is_empty() {
            return;
        }
        self.tasks.with(|queue| {
            H::adopt_memory();
            let share = (queue.len() / workers + 1).min(most).min(queue.len());
            queue.drain(..share).for_each(&mut take);
            self.publish(queue.len());
        });
    }

    fn publish(&self, length: usize) {
        // SeqCst: pairs with the load in `is_empty`.
        self.length.swap(length, Ordering::SeqCst);
    }
}
