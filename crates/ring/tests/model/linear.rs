//! Is a history of calls that overlapped, some of which were stopped half-way for good, the history of a bounded queue?
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Did {
    Pushed(u32),
    Full,
    Popped(u32),
    Empty,
    /// A push that was stopped half-way: it has taken effect, or it has not and will not.
    Pushing(u32),
    /// A pop that was stopped half-way: it has taken a value, or nothing.
    Popping,
}

/// A call: whose, when, and what it did.
#[derive(Clone, Copy, Debug)]
struct Call {
    thread: usize,
    from: u32,
    to: u32,
    did: Did,
}

impl Call {
    /// Whether this call was over before the other one began.
    ///
    /// By the clock, where the linearization points are sequentially consistent: in the lock-free ring, and anywhere on wasm (`--cfg weblane_sc`).
    /// Otherwise by what the memory model promises: in one thread one after the other, and a value is pushed before it is popped; all else that is
    /// before follows from these.
    fn directly_before(&self, other: &Call, clock: bool) -> bool {
        if clock {
            return self.to < other.from;
        }
        let handed_over = matches!(
            (self.did, other.did),
            (Did::Pushed(value) | Did::Pushing(value), Did::Popped(same)) if value == same
        );
        let in_turn = self.thread == other.thread || other.thread == AFTERWARDS;
        (in_turn && self.to < other.from) || handed_over
    }
}

/// The thread number of calls that come after all others.
pub(crate) const AFTERWARDS: usize = usize::MAX;

/// The calls of one execution. Its clock is a real one, not a modelled one: loom runs one thread at a time, so it orders what really came before.
#[derive(Clone, Default)]
pub(crate) struct History(Arc<(AtomicU32, Mutex<Vec<Call>>)>);

impl History {
    pub(crate) fn now(&self) -> u32 {
        self.0.0.fetch_add(1, Ordering::SeqCst)
    }

    /// Records a call that began at this time and ends now.
    pub(crate) fn record(&self, thread: usize, from: u32, did: Did) {
        self.0.1.lock().unwrap().push(Call { thread, from, to: self.now(), did });
    }

    /// Records a call.
    pub(crate) fn call(&self, thread: usize, run: impl FnOnce() -> Did) -> Did {
        let from = self.now();
        let did = run();
        self.record(thread, from, did);
        did
    }

    /// Panics unless the calls could have happened one after the other, each in its place, on a queue of this capacity. Where "full" and "empty" are
    /// not exact, these calls do not count.
    pub(crate) fn check(&self, capacity: usize, exact: bool) {
        let calls = self.0.1.lock().unwrap();
        let counts = |call: &Call| exact || call.thread == AFTERWARDS || !matches!(call.did, Did::Full | Did::Empty);
        let left: Vec<Call> = calls.iter().filter(|call| counts(call)).copied().collect();
        // Which calls are before which, directly or by way of others.
        let mut before: Vec<Vec<bool>> = left
            .iter()
            .map(|call| {
                left.iter()
                    .map(|earlier| earlier.to != call.to && earlier.directly_before(call, exact || cfg!(weblane_sc)))
                    .collect()
            })
            .collect();
        for middle in 0..left.len() {
            for later in 0..left.len() {
                for earlier in 0..left.len() {
                    before[later][earlier] |= before[later][middle] && before[middle][earlier];
                }
            }
        }
        let all = (0..left.len()).collect::<Vec<_>>();
        assert!(explain(&left, &before, &all, &VecDeque::new(), capacity), "no order explains {calls:#?}");
    }
}

/// Whether some order of the calls that remain explains them, beginning with this queue.
fn explain(calls: &[Call], before: &[Vec<bool>], remain: &[usize], unchanged: &VecDeque<u32>, capacity: usize) -> bool {
    if remain.is_empty() {
        return true;
    }
    remain.iter().filter(|next| !remain.iter().any(|other| before[**next][*other])).any(|next| {
        let mut queue = unchanged.clone();
        let possible = match calls[*next].did {
            Did::Pushed(value) => {
                queue.push_back(value);
                queue.len() <= capacity
            }
            Did::Full => queue.len() == capacity,
            Did::Popped(value) => queue.pop_front() == Some(value),
            Did::Empty => queue.is_empty(),
            Did::Pushing(value) => {
                queue.push_back(value);
                queue.len() <= capacity
            }
            Did::Popping => queue.pop_front().is_some(),
        };
        let rest: Vec<usize> = remain.iter().copied().filter(|other| other != next).collect();
        let went_out = matches!(calls[*next].did, Did::Pushing(_) | Did::Popping);
        (possible && explain(calls, before, &rest, &queue, capacity))
            || (went_out && explain(calls, before, &rest, unchanged, capacity))
    })
}
