//! Solo termination, which is what lock-free promises: two threads are stopped for good, each before any of its atomic steps, in any interleaving;
//! then a third one works alone. Each of its calls ends within a bounded number of its own steps, and what all calls did, the stopped ones with or
//! without effect, is a history of a bounded queue with exact "full" and "empty".
//!
//! That is every state that two threads can reach (with as many preemptions as the models explore), on the shipped code. The fast ring is held
//! against it at the end: it fails, as its docs say.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

#[path = "model/linear.rs"]
mod linear;
mod model;

use linear::{AFTERWARDS, Did, History};
use loom::sync::Arc;
use loom::thread;
use model::{Met, model};
use weblane_ring::model_steps::at_most;
use weblane_ring::mpmc::{Ring, fast};

/// One call of a script: push a number, or pop.
#[derive(Clone, Copy)]
enum Step {
    Push(u32),
    Pop,
}
use Step::{Pop, Push};

/// More steps than any script has.
const FOREVER: u32 = 64;

/// Makes one call, unless it is stopped at its last step; says so.
fn make<const N: usize>(queue: &Ring<u32, N>, step: Step, most: u32) -> (Did, u32) {
    let stopped = match step {
        Push(value) => Did::Pushing(value),
        Pop => Did::Popping,
    };
    let call = || match step {
        Push(value) => match queue.push(value) {
            Ok(()) => Did::Pushed(value),
            Err(back) => {
                assert_eq!(back, value);
                Did::Full
            }
        },
        Pop => queue.pop().map_or(Did::Empty, Did::Popped),
    };
    at_most(most, call).unwrap_or((stopped, most))
}

/// Makes the calls of a script until their steps are used up. Returns how many were not used.
fn script<const N: usize>(
    queue: &Ring<u32, N>,
    history: &History,
    thread: usize,
    steps: &[Step],
    mut most: u32,
) -> u32 {
    for step in steps {
        let from = history.now();
        let (did, made) = make(queue, *step, most);
        history.record(thread, from, did);
        if matches!(did, Did::Pushing(_) | Did::Popping) {
            return 0;
        }
        most -= made;
    }
    most
}

/// The first thread's script and the second one's, stopped everywhere; `before` was pushed at the start.
fn alone<const N: usize>(start: u32, before: u32, first: &'static [Step], second: &'static [Step]) {
    let met = Met::default();
    // The stops go from 0 on until the script ends unstopped in all executions.
    for first_stop in 0.. {
        assert!(first_stop < FOREVER);
        let first_left = Least::default();
        for second_stop in 0.. {
            assert!(second_stop < FOREVER);
            let second_left = Least::default();
            let (log, firsts, seconds) = (met.clone(), first_left.clone(), second_left.clone());
            model(move || {
                let (queue, history) = (Arc::new(Ring::<u32, N>::starting_at(start)), History::default());
                for value in 0..before {
                    history.call(0, || queue.push(value).map_or(Did::Full, |()| Did::Pushed(value)));
                }
                let other = {
                    let (queue, history) = (Arc::clone(&queue), history.clone());
                    thread::spawn(move || script(&queue, &history, 1, second, second_stop))
                };
                firsts.least(script(&queue, &history, 0, first, first_stop));
                seconds.least(other.join().unwrap());
                // Alone from here on: until it is full, until it is empty, and once more around.
                let did_this = |step| {
                    let from = history.now();
                    let (did, made) = make(&queue, step, FOREVER);
                    assert!(made <= bound(N, step), "{did:?} took {made} steps");
                    history.record(AFTERWARDS, from, did);
                    did
                };
                for round in 0..2 {
                    let pushed =
                        (0..).take_while(|value| did_this(Push(100 + 10 * round + value)) != Did::Full).count();
                    assert!(pushed <= N);
                    let popped = (0..).take_while(|_| did_this(Pop) != Did::Empty).count();
                    assert_eq!((popped, round == 0 || pushed == N), (N, true), "all places are there");
                }
                if queue.free_cells() < 2 * N + 2 {
                    log.note("a cell was lost");
                }
                history.check(N, true);
            });
            if second_left.get() > 0 {
                break;
            }
        }
        if first_left.get() > 0 {
            break;
        }
    }
    met.all(&["a cell was lost"]);
}

/// The most steps that a call can take alone: its hint, `N + 1` entries (and one to find its way after an old hint), then for a push all flags twice,
/// one claim, the exchange and the new hint; for a pop the exchange, its cell's flag twice and the new hint.
fn bound(capacity: usize, step: Step) -> u32 {
    let search = 1 + capacity as u32 + 2;
    match step {
        Push(_) => search + 2 * (2 * capacity as u32 + 2) + 3,
        Pop => search + 4,
    }
}

/// The least of some numbers, over all executions of a model.
#[derive(Clone)]
struct Least(std::sync::Arc<std::sync::atomic::AtomicU32>);

impl Default for Least {
    fn default() -> Self {
        Least(std::sync::Arc::new(std::sync::atomic::AtomicU32::new(u32::MAX)))
    }
}

impl Least {
    fn least(&self, number: u32) {
        self.0.fetch_min(number, std::sync::atomic::Ordering::SeqCst);
    }
    fn get(&self) -> u32 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[test]
fn push_and_push() {
    alone::<1>(u32::MAX, 0, &[Push(50)], &[Push(60)]);
    alone::<2>(u32::MAX, 1, &[Push(50)], &[Push(60)]);
}

#[test]
fn push_and_pop() {
    alone::<1>(u32::MAX, 1, &[Pop], &[Push(60)]);
    alone::<2>(u32::MAX - 1, 2, &[Push(50)], &[Pop]);
}

#[test]
fn pop_and_pop() {
    alone::<2>(u32::MAX, 1, &[Pop], &[Pop]);
    alone::<2>(u32::MAX, 2, &[Pop], &[Pop]);
}

#[test]
fn calls_in_a_row() {
    alone::<2>(u32::MAX, 1, &[Push(50), Pop], &[Pop, Push(60)]);
    alone::<1>(u32::MAX, 0, &[Push(50), Pop], &[Pop]);
}

/// The same question to the fast ring: a push that was stopped half-way hides what was pushed after it, and a pop that was makes the ring full.
#[test]
fn fast_is_not_lock_free() {
    let met = Met::default();
    for stop in 0..8 {
        let log = met.clone();
        model(move || {
            let queue = fast::Ring::<u32, 2>::new();
            let pushed = at_most(stop, || queue.push(1)).is_some();
            queue.push(2).expect("there is room");
            if !pushed && queue.pop().is_none() {
                log.note("hidden");
            }
            let queue = fast::Ring::<u32, 1>::new();
            queue.push(1).expect("there is room");
            let popped = at_most(stop, || queue.pop()).is_some();
            if !popped && queue.pop().is_none() && queue.push(2).is_err() {
                log.note("neither full nor empty");
            }
        });
    }
    met.all(&["hidden", "neither full nor empty"]);
}
