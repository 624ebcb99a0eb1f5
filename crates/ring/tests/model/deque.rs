//! Is a history of calls that overlapped the history of a bounded deque with thieves?
//!
//! The specification, one call after the other: the owner pushes at the young end, pops at either, and drains the older half; thieves take the oldest, or some of
//! the oldest, at most half, rounded up. *Empty* is exact for both. *Full* is exact but for one thing that `Owner::push` says: slots that a thief has claimed
//! are free only when he has copied them, so while a theft is under way the ring may be full with fewer values.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// What a call did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Did {
    Pushed(u32),
    /// This value found no room.
    Full(u32),
    PoppedOld(u32),
    PoppedYoung(u32),
    /// The owner drained these.
    Drained(Vec<u32>),
    /// A thief took these.
    Stole(Vec<u32>),
    /// The owner, or a thief, found nothing.
    Empty,
    /// Another thief was at work.
    Busy,
}

/// The thread number of the owner's calls before the thieves are started.
pub(crate) const BEFORE: usize = usize::MAX - 1;
/// The thread number of calls that come after all others.
pub(crate) const AFTERWARDS: usize = usize::MAX;

#[derive(Clone, Debug)]
struct Call {
    thread: usize,
    from: u32,
    to: u32,
    did: Did,
}

impl Call {
    fn took(&self) -> &[u32] {
        match &self.did {
            Did::PoppedOld(value) | Did::PoppedYoung(value) => core::slice::from_ref(value),
            Did::Drained(values) | Did::Stole(values) => values,
            _ => &[],
        }
    }

    /// Whether this call was over before the other one began: under sequential consistency by the clock, otherwise by what the memory model promises (one
    /// thread's calls one after the other, a push before what takes its value, start and end of threads); the rest follows.
    fn directly_before(&self, other: &Call) -> bool {
        if self.to >= other.from {
            return matches!(self.did, Did::Pushed(value) if other.took().contains(&value));
        }
        cfg!(weblane_sc)
            || self.thread == other.thread
            || self.thread == BEFORE
            || other.thread == AFTERWARDS
            || matches!(self.did, Did::Pushed(value) if other.took().contains(&value))
    }
}

/// The calls of one execution. The clock is a real one: loom runs one thread at a time.
#[derive(Clone, Default)]
pub(crate) struct History(Arc<(AtomicU32, Mutex<Vec<Call>>)>);

impl History {
    fn now(&self) -> u32 {
        self.0.0.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn call(&self, thread: usize, run: impl FnOnce() -> Did) -> Did {
        let from = self.now();
        let did = run();
        self.0.1.lock().unwrap().push(Call { thread, from, to: self.now(), did: did.clone() });
        did
    }

    /// How many calls did what `is` says.
    pub(crate) fn count(&self, is: impl Fn(&Did) -> bool) -> usize {
        self.0.1.lock().unwrap().iter().filter(|call| is(&call.did)).count()
    }

    /// Panics unless the calls could have happened one after the other, each in its place.
    pub(crate) fn check(&self, capacity: usize) {
        let calls = self.0.1.lock().unwrap();
        let calls: Vec<Call> = calls.iter().filter(|call| call.did != Did::Busy).cloned().collect();
        let len = calls.len();
        let mut before: Vec<Vec<bool>> = calls
            .iter()
            .map(|call| calls.iter().map(|earlier| earlier.to != call.to && earlier.directly_before(call)).collect())
            .collect();
        for middle in 0..len {
            for later in 0..len {
                for earlier in 0..len {
                    before[later][earlier] |= before[later][middle] && before[middle][earlier];
                }
            }
        }
        let all: Vec<usize> = (0..len).collect();
        assert!(explain(&calls, &before, &all, &VecDeque::new(), capacity), "no order explains {calls:#?}");
    }
}

/// Whether some order of the calls that remain explains them, beginning with this deque.
fn explain(calls: &[Call], before: &[Vec<bool>], remain: &[usize], deque: &VecDeque<u32>, capacity: usize) -> bool {
    if remain.is_empty() {
        return true;
    }
    remain.iter().filter(|next| !remain.iter().any(|other| before[**next][*other])).any(|next| {
        let mut deque = deque.clone();
        let half = deque.len() - deque.len() / 2;
        let call = &calls[*next];
        let possible = match &call.did {
            Did::Pushed(value) => {
                deque.push_back(*value);
                deque.len() <= capacity
            }
            Did::Full(_) => {
                let theft = |other: &usize| {
                    matches!(calls[*other].did, Did::Stole(_) | Did::Empty) && calls[*other].thread != call.thread
                };
                let beside = |other: &usize| !before[*next][*other] && !before[*other][*next];
                deque.len() == capacity || (0..calls.len()).any(|other| theft(&other) && beside(&other))
            }
            Did::PoppedOld(value) => deque.pop_front() == Some(*value),
            Did::PoppedYoung(value) => deque.pop_back() == Some(*value),
            Did::Drained(values) => values.len() == half && deque.drain(..half).eq(values.iter().copied()),
            Did::Stole(values) => {
                (1..=half).contains(&values.len()) && deque.drain(..values.len()).eq(values.iter().copied())
            }
            Did::Empty => deque.is_empty(),
            Did::Busy => unreachable!("left out before"),
        };
        let rest: Vec<usize> = remain.iter().copied().filter(|other| other != next).collect();
        possible && explain(calls, before, &rest, &deque, capacity)
    })
}
