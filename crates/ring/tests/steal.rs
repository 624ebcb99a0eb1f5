//! The stealing ring by property: against a `VecDeque`, over the wrap, drops, sizes, and under stress.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use common::Random;
use weblane_ring::steal::{Ring, Steal};

/// Where positions begin: at zero, and next to the wrap of each of the two numbers (race 30).
const STARTS: [(u32, u32); 4] = [(0, 0), (u32::MAX - 2, 0), (7, u32::MAX - 2), (u32::MAX, u32::MAX)];

/// One thread does everything in random order; a deque tells what must come out.
fn against_a_deque<const N: usize>(head: u32, pops: u32, seed: u32) {
    let (mut ring, mut other) = (Ring::<u32, N>::starting_at(head, pops), Ring::<u32, N>::starting_at(pops, head));
    let (mut owner, stealer) = ring.split();
    let (mut thief, _) = other.split();
    let (mut model, mut stolen) = (VecDeque::new(), VecDeque::new());
    let (mut random, mut reached_full) = (Random::new(seed), false);
    for value in 0..20_000 {
        // Times of filling and times of emptying take turns, so that also a large ring is full at times.
        match random.below(if value % 2000 < 1000 { 60 } else { 12 }) {
            0..=5 | 12.. => match owner.push(value) {
                Ok(()) => model.push_back(value),
                Err(back) => {
                    assert_eq!((back, model.len()), (value, N), "full only when full, with no thief about");
                    reached_full = true;
                }
            },
            6 => assert_eq!(owner.pop(), model.pop_front()),
            7 => assert_eq!(owner.pop_lifo(), model.pop_back()),
            8 => match stealer.steal() {
                Steal::Success(value) => assert_eq!(Some(value), model.pop_front()),
                nothing => assert_eq!((nothing, model.len()), (Steal::Empty, 0)),
            },
            9 => match stealer.steal_half_into(&mut thief) {
                Steal::Success((first, more)) => {
                    let half = model.len() - model.len() / 2;
                    assert_eq!(1 + more, half.min(N - stolen.len() + 1));
                    assert_eq!(Some(first), model.pop_front());
                    stolen.extend(model.drain(..more));
                }
                nothing => assert_eq!((nothing, model.len()), (Steal::Empty, 0)),
            },
            10 => {
                let mut drained = Vec::new();
                let count = owner.drain_half(|value| drained.push(value));
                assert_eq!(count, model.len() - model.len() / 2);
                assert_eq!(drained, model.drain(..count).collect::<Vec<_>>());
            }
            _ => assert_eq!(thief.pop(), stolen.pop_front()),
        }
        assert_eq!((owner.len(), stealer.len(), thief.len()), (model.len(), model.len(), stolen.len()));
        assert_eq!((owner.is_empty(), stealer.is_empty()), (model.is_empty(), model.is_empty()));
        assert_eq!(owner.free(), N - model.len());
    }
    assert!(reached_full);
}

#[test]
fn race_30_behaves_as_a_deque_also_over_the_wrap() {
    for (head, pops) in STARTS {
        for seed in [1, 77, 0xdead_beef] {
            against_a_deque::<1>(head, pops, seed);
            against_a_deque::<2>(head, pops, seed);
            against_a_deque::<8>(head, pops, seed);
            against_a_deque::<256>(head, pops, seed);
        }
    }
}

#[test]
fn what_is_left_is_dropped_once() {
    let value = Arc::new(());
    for (head, pops) in STARTS {
        let mut ring = Ring::<Arc<()>, 8>::starting_at(head, pops);
        let mut other = Ring::<Arc<()>, 8>::new();
        let (mut owner, stealer) = ring.split();
        (0..8).for_each(|_| owner.push(Arc::clone(&value)).expect("room"));
        assert!(owner.push(Arc::clone(&value)).is_err());
        drop((owner.pop(), owner.pop_lifo(), stealer.steal()));
        assert_eq!(Arc::strong_count(&value), 6);
        assert!(matches!(stealer.steal_half_into(&mut other.split().0), Steal::Success((_, 2))));
        assert_eq!(Arc::strong_count(&value), 5, "one came back and was dropped, two are in the other ring");
        drop(ring);
        assert_eq!(Arc::strong_count(&value), 3);
        drop(other);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}

#[test]
fn a_panic_while_draining_drops_the_rest() {
    let value = Arc::new(());
    let mut ring = Ring::<Arc<()>, 8>::new();
    let (mut owner, _) = ring.split();
    (0..8).for_each(|_| owner.push(Arc::clone(&value)).expect("room"));
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| owner.drain_half(|_| panic!("on purpose"))));
    assert!(panicked.is_err());
    assert_eq!((owner.len(), Arc::strong_count(&value)), (4, 5));
}

#[test]
fn values_of_no_size_and_of_much() {
    let mut ring = Ring::<(), 4>::new();
    let (mut owner, stealer) = ring.split();
    (0..4).for_each(|_| owner.push(()).expect("room"));
    assert!(owner.push(()).is_err());
    assert_eq!((owner.pop_lifo(), stealer.steal(), owner.len()), (Some(()), Steal::Success(()), 2));

    let mut ring = Ring::<[u64; 100], 4>::new();
    let (mut owner, stealer) = ring.split();
    owner.push([7; 100]).expect("room");
    assert_eq!(stealer.steal(), Steal::Success([7; 100]));
}

#[test]
fn an_owner_may_not_steal_from_itself() {
    let mut ring = Ring::<u32, 4>::new();
    let (mut owner, stealer) = ring.split();
    owner.push(1).expect("room");
    assert_eq!(stealer.steal_half_into(&mut owner), Steal::Empty);
    assert_eq!(owner.pop(), Some(1));
}

#[test]
fn a_ring_lives_in_a_static() {
    static RING: Ring<u32, 16> = Ring::new();
    // SAFETY: the only owner of this ring.
    let mut owner = unsafe { RING.owner() };
    owner.push(5).expect("room");
    let stolen = thread::spawn(|| RING.stealer().steal()).join().expect("no panic");
    assert_eq!(stolen, Steal::Success(5));
}

/// A value of several words that tears visibly.
#[derive(Clone, Copy)]
struct Wide([u32; 9]);

impl Wide {
    fn new(value: u32) -> Wide {
        Wide([value; 9])
    }

    fn value(self) -> u32 {
        assert!(self.0.iter().all(|part| *part == self.0[0]), "torn: {:?}", self.0);
        self.0[0]
    }
}

/// Every value comes out exactly once, whole, with the owner at both ends and thieves taking one and half.
#[test]
fn race_24_stress_with_thieves() {
    const VALUES: u32 = 300_000;
    for (head, pops) in [(0, 0), (u32::MAX - 1000, u32::MAX - 1000)] {
        let mut ring = Ring::<Wide, 64>::starting_at(head, pops);
        let (mut owner, stealer) = ring.split();
        let seen: Vec<AtomicU32> = (0..VALUES).map(|_| AtomicU32::new(0)).collect();
        let done = AtomicBool::new(false);
        let see = |wide: Wide| seen[wide.value() as usize].fetch_add(1, Ordering::Relaxed);
        thread::scope(|threads| {
            for one in [true, false, false] {
                let (see, done) = (&see, &done);
                threads.spawn(move || {
                    let mut own = Ring::<Wide, 16>::starting_at(head, pops);
                    let (mut own, _) = own.split();
                    loop {
                        let stop = done.load(Ordering::Acquire);
                        let stolen = if one {
                            stealer.steal()
                        } else {
                            match stealer.steal_half_into(&mut own) {
                                Steal::Success((first, _)) => Steal::Success(first),
                                Steal::Empty => Steal::Empty,
                                Steal::Busy => Steal::Busy,
                            }
                        };
                        match stolen {
                            Steal::Success(wide) => {
                                see(wide);
                            }
                            Steal::Empty if stop => break,
                            _ => thread::yield_now(),
                        }
                        while let Some(wide) = own.pop() {
                            see(wide);
                        }
                    }
                });
            }
            let mut random = Random::new(9);
            for value in 0..VALUES {
                let mut wide = Wide::new(value);
                while let Err(back) = owner.push(wide) {
                    wide = back;
                    owner.drain_half(|old| {
                        see(old);
                    });
                }
                let _ = match random.below(4) {
                    0 => owner.pop().map(see),
                    1 => owner.pop_lifo().map(see),
                    _ => None,
                };
            }
            done.store(true, Ordering::Release);
        });
        assert!(seen.iter().all(|times| times.load(Ordering::Relaxed) == 1));
    }
}

/// Race 16: a thief that dies in the middle of its turn. Its turn is ended for it; what it had claimed is lost, and the ring is as good as before.
#[test]
fn race_16_a_thief_that_died_does_not_close_the_ring() {
    use weblane_ring::steal::{Ring, Steal};

    struct Mine(u32);

    let ring = Ring::<Mine, 4>::new();
    // SAFETY: this thread is the only owner.
    let mut owner = unsafe { ring.owner() };
    for number in 0..3 {
        assert!(owner.push(Mine(number)).is_ok());
    }
    ring.stealer_numbered(7).begin_turn_and_die();
    assert!(matches!(ring.stealer().steal(), Steal::Busy));
    assert!(ring.stealer().is_empty(), "it looks empty meanwhile");
    // SAFETY: thief 8 never was.
    assert!(!unsafe { ring.end_turn_of_dead(8) }, "not this one's turn");
    // SAFETY: thief 7 is gone.
    assert!(unsafe { ring.end_turn_of_dead(7) });
    // SAFETY: as above.
    assert!(!unsafe { ring.end_turn_of_dead(7) }, "once");
    assert!(matches!(ring.stealer().steal(), Steal::Success(Mine(0))));
    assert!(matches!(owner.pop(), Some(Mine(1))));
    for number in 3..6 {
        assert!(owner.push(Mine(number)).is_ok(), "its slots are used again");
    }
}
