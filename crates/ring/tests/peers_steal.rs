//! What `st3` (0.4) asserts of its queues, asserted of ours: the properties of its `tests/general.rs` for both of its flavours, written anew.
//!
//! Different here on purpose: both ends are in one ring; half is taken, not what a closure says; a theft from a ring into itself is refused.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::Random;
use weblane_ring::steal::{Owner, Ring, Steal};

/// How often a ring has gone round before the test begins: st3's numbers, and ours next to the wrap of 32 bits.
const ROTATIONS: [u32; 8] = [0, 255, 256, 257, 65535, 65536, 65537, u32::MAX - 1];

fn ring(rotation: u32) -> Box<Ring<usize, 128>> {
    Box::new(Ring::starting_at(rotation, rotation.rotate_left(7)))
}

fn push_all<const N: usize>(owner: &mut Owner<'_, usize, N>, values: impl IntoIterator<Item = usize>) {
    values.into_iter().for_each(|value| assert_eq!(owner.push(value), Ok(())));
}

#[test]
fn half_is_stolen_from_the_old_end() {
    for rotation in ROTATIONS {
        let (mut first, mut second) = (ring(rotation), ring(rotation));
        let ((mut owner, stealer), (mut thief, _)) = (first.split(), second.split());
        push_all(&mut owner, 1..=5);
        assert_eq!(owner.pop(), Some(1));
        assert_eq!(stealer.steal_half_into(&mut thief), Steal::Success((2, 1)));
        assert_eq!((owner.pop(), owner.pop(), owner.pop()), (Some(4), Some(5), None));
        assert_eq!((thief.pop(), thief.pop()), (Some(3), None));
        push_all(&mut owner, 1..=5);
        assert_eq!(owner.pop_lifo(), Some(5));
        assert_eq!(stealer.steal_half_into(&mut thief), Steal::Success((1, 1)));
        assert_eq!((owner.pop_lifo(), owner.pop_lifo(), owner.pop_lifo()), (Some(4), Some(3), None));
        assert_eq!((thief.pop_lifo(), thief.pop_lifo()), (Some(2), None));
    }
}

#[test]
fn stealing_from_oneself_changes_nothing() {
    for rotation in ROTATIONS {
        let mut ring = ring(rotation);
        let (mut owner, stealer) = ring.split();
        push_all(&mut owner, 1..=4);
        assert_eq!(stealer.steal_half_into(&mut owner), Steal::Empty);
        assert_eq!((1..=4).map(|_| owner.pop()).collect::<Vec<_>>(), [1, 2, 3, 4].map(Some));
    }
}

/// st3 keeps thieves out until a drain is read; here what is drained is the owner's at once, and thieves go on with the rest.
#[test]
fn thieves_go_on_while_values_are_drained() {
    for rotation in ROTATIONS {
        let mut ring = ring(rotation);
        let (mut owner, stealer) = ring.split();
        push_all(&mut owner, 1..=4);
        let mut seen = Vec::new();
        let drained = owner.drain_half(|value| seen.push((value, stealer.steal())));
        assert_eq!((drained, seen), (2, vec![(1, Steal::Success(3)), (2, Steal::Success(4))]));
        assert!(owner.is_empty());
    }
}

#[test]
fn pushes_until_full_come_out_at_either_end() {
    for rotation in ROTATIONS {
        let mut ring = ring(rotation);
        let (mut owner, _) = ring.split();
        assert_eq!(owner.free(), 128);
        push_all(&mut owner, 1..=4);
        assert_eq!(owner.free(), 124);
        let pushed = (5..).take_while(|value| owner.push(*value).is_ok()).count();
        assert_eq!((pushed, owner.free(), owner.push(0)), (124, 0, Err(0)));
        (1..=64).for_each(|value| assert_eq!(owner.pop(), Some(value)));
        (65..=128).rev().for_each(|value| assert_eq!(owner.pop_lifo(), Some(value)));
        assert_eq!((owner.pop(), owner.pop_lifo(), owner.free()), (None, None, 128));
    }
}

#[test]
fn a_ring_holds_its_capacity() {
    fn check<const N: usize>() {
        let mut ring = Ring::<u8, N>::new();
        assert_eq!(ring.capacity(), N);
        let (mut owner, _) = ring.split();
        (0..N).for_each(|_| assert_eq!(owner.push(42), Ok(())));
        assert_eq!((owner.push(42), owner.free(), owner.len()), (Err(42), 0, N));
    }
    check::<1>();
    check::<4>();
    check::<8>();
    check::<128>();
}

/// Each value is popped or stolen once, at the owner's old end (st3's fifo) and at its young one (its lifo).
#[test]
fn race_24_with_two_thieves_each_value_comes_once() {
    const COUNT: usize = 200_000;
    for young in [false, true] {
        let mut ring = ring(u32::MAX - 1000);
        let (mut owner, stealer) = ring.split();
        let times: Vec<AtomicUsize> = (0..COUNT).map(|_| AtomicUsize::new(0)).collect();
        let seen = AtomicUsize::new(0);
        let see = |value: usize| {
            times[value].fetch_add(1, Ordering::Relaxed);
            seen.fetch_add(1, Ordering::Relaxed);
        };
        thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    let mut own = ring_of_its_own();
                    let (mut own, _) = own.split();
                    while seen.load(Ordering::Relaxed) < COUNT {
                        match stealer.steal_half_into(&mut own) {
                            Steal::Success((first, _)) => {
                                see(first);
                                while let Some(value) = own.pop() {
                                    see(value);
                                }
                            }
                            Steal::Empty | Steal::Busy => thread::yield_now(),
                        }
                    }
                });
            }
            let (mut random, mut next) = (Random::new(3), 0);
            while next < COUNT {
                for _ in 0..1 + random.below(9) {
                    if next < COUNT && owner.push(next).is_ok() {
                        next += 1;
                    }
                }
                if let Some(value) = if young { owner.pop_lifo() } else { owner.pop() } {
                    see(value);
                }
            }
        });
        assert!(times.iter().all(|times| times.load(Ordering::Relaxed) == 1));
    }
}

fn ring_of_its_own() -> Box<Ring<usize, 128>> {
    ring(u32::MAX - 77)
}
