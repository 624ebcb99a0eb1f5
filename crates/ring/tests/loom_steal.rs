//! Every interleaving of the stealing ring: `RUSTFLAGS="--cfg loom" cargo test -p weblane-ring --release`.
//!
//! Each model counts in a real (not modelled) table which situations it has reached, and fails if one was never met: a model that never
//! wraps or never fills the ring shows nothing about wrapping or filling. Values are boxes, so that a value taken twice or
//! not at all is a double free or a leak, which loom finds. The mutants that each model kills stand in the table at the end of
//! `crates/ring/MUTANTS.md`.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

mod model;

use loom::sync::Arc;
use loom::thread;
use model::{Met, model};
use weblane_ring::steal::{Ring, Steal};

type Value = Box<u32>;

/// A ring shared by an owner, which is the model's main thread, and thieves. Starts next to the wrap of both numbers.
fn shared<const N: usize>() -> Arc<Ring<Value, N>> {
    Arc::new(Ring::starting_at(u32::MAX, u32::MAX))
}

/// Steals one or half; returns what it took.
fn thief<const N: usize>(ring: &Arc<Ring<Value, N>>, half: bool, met: &Met) -> thread::JoinHandle<Vec<u32>> {
    let (ring, met) = (Arc::clone(ring), met.clone());
    thread::spawn(move || {
        let mut own = Ring::<Value, 2>::starting_at(u32::MAX, 0);
        let (mut own, _) = own.split();
        let stolen = if half {
            ring.stealer().steal_half_into(&mut own)
        } else {
            match ring.stealer().steal() {
                Steal::Success(value) => Steal::Success((value, 0)),
                Steal::Empty => Steal::Empty,
                Steal::Busy => Steal::Busy,
            }
        };
        let mut took = Vec::new();
        match stolen {
            Steal::Success((first, more)) => {
                met.note(if more > 0 { "stole several" } else { "stole one" });
                took.push(*first);
                assert_eq!(own.len(), more);
                took.extend(std::iter::from_fn(|| own.pop()).map(|value| *value));
            }
            Steal::Empty => met.note("nothing to steal"),
            Steal::Busy => met.note("another thief"),
        }
        took
    })
}

/// All values came out once, whoever took them; what one side took, it took in order where it should.
fn each_once(count: u32, took: impl IntoIterator<Item = Vec<u32>>) {
    let mut all: Vec<u32> = took.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (0..count).collect::<Vec<_>>());
}

fn rest<const N: usize>(ring: &Arc<Ring<Value, N>>) -> Vec<u32> {
    // SAFETY: the owner of the models is the main thread, and it has ended its other owner.
    let mut owner = unsafe { ring.owner() };
    std::iter::from_fn(|| owner.pop()).map(|value| *value).collect()
}

#[test]
fn push_and_pop_vs_steal() {
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let ring = shared::<2>();
        // SAFETY: the only owner while it lives.
        let mut owner = unsafe { ring.owner() };
        let thief = thief(&ring, false, &log);
        owner.push(Box::new(0)).unwrap();
        owner.push(Box::new(1)).unwrap();
        let popped: Vec<u32> = owner.pop().map(|value| *value).into_iter().collect();
        let stolen = thief.join().unwrap();
        if popped == [1] {
            log.note("popped behind the thief");
        }
        drop(owner);
        each_once(2, [popped, stolen, rest(&ring)]);
    });
    met.all(&["stole one", "nothing to steal", "popped behind the thief"]);
}

/// The last value: the owner at the young end, the thief at the old one.
#[test]
fn pop_lifo_vs_steal_of_the_last() {
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let ring = shared::<2>();
        // SAFETY: the only owner while it lives.
        let mut owner = unsafe { ring.owner() };
        owner.push(Box::new(0)).unwrap();
        let thief = thief(&ring, false, &log);
        let popped: Vec<u32> = owner.pop_lifo().map(|value| *value).into_iter().collect();
        // Writes the slot that was just popped, or the one after it: the thief must get the one or the other whole.
        owner.push(Box::new(1)).unwrap();
        let stolen = thief.join().unwrap();
        if popped.is_empty() {
            log.note("the thief had the last");
        }
        if stolen == [1] {
            log.note("the thief had the next");
        }
        drop(owner);
        each_once(2, [popped, stolen, rest(&ring)]);
    });
    met.all(&["stole one", "nothing to steal", "the thief had the last", "the thief had the next"]);
}

/// Filling a ring while a thief copies: no slot is overwritten before it has been read.
#[test]
fn push_past_full_vs_steal_half() {
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let ring = shared::<4>();
        // SAFETY: the only owner while it lives.
        let mut owner = unsafe { ring.owner() };
        (0..4).for_each(|value| owner.push(Box::new(value)).unwrap());
        let thief = thief(&ring, true, &log);
        let mut kept = Vec::new();
        for value in 4..6 {
            if let Err(back) = owner.push(Box::new(value)) {
                log.note("full");
                kept.push(*back);
            } else {
                log.note("pushed into a stolen slot");
            }
        }
        let stolen = thief.join().unwrap();
        assert!(stolen.is_sorted(), "the oldest first");
        drop(owner);
        each_once(6, [kept, stolen, rest(&ring)]);
    });
    met.all(&["stole several", "full", "pushed into a stolen slot"]);
}

/// Popping at the young end, pushing again, while a thief takes half: the thief's claim must not mix two generations.
#[test]
fn pop_lifo_and_push_vs_steal_half() {
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let ring = shared::<4>();
        // SAFETY: the only owner while it lives.
        let mut owner = unsafe { ring.owner() };
        (0..3).for_each(|value| owner.push(Box::new(value)).unwrap());
        let thief = thief(&ring, true, &log);
        let popped: Vec<u32> = (0..2).filter_map(|_| owner.pop_lifo()).map(|value| *value).collect();
        owner.push(Box::new(3)).unwrap();
        let stolen = thief.join().unwrap();
        assert!(stolen.is_sorted() && popped.iter().rev().is_sorted());
        drop(owner);
        each_once(4, [popped, stolen, rest(&ring)]);
    });
    met.all(&["stole several", "stole one"]);
}

/// Two thieves: one works, the other leaves or comes after him; the owner pushes past what they took.
#[test]
fn two_thieves_and_a_push() {
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let ring = shared::<2>();
        // SAFETY: the only owner while it lives.
        let mut owner = unsafe { ring.owner() };
        owner.push(Box::new(0)).unwrap();
        owner.push(Box::new(1)).unwrap();
        let thieves = [thief(&ring, true, &log), thief(&ring, false, &log)];
        let mut kept = Vec::new();
        if let Err(back) = owner.push(Box::new(2)) {
            log.note("full");
            kept.push(*back);
        } else {
            log.note("pushed into a stolen slot");
        }
        let [a, b] = thieves.map(|thief| thief.join().unwrap());
        drop(owner);
        each_once(3, [kept, a, b, rest(&ring)]);
    });
    met.all(&["another thief", "stole one", "full", "pushed into a stolen slot"]);
}

/// Moving an overflow out while a thief takes half.
#[test]
fn drain_half_vs_steal_half() {
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let ring = shared::<4>();
        // SAFETY: the only owner while it lives.
        let mut owner = unsafe { ring.owner() };
        (0..4).for_each(|value| owner.push(Box::new(value)).unwrap());
        let thief = thief(&ring, true, &log);
        let mut drained = Vec::new();
        owner.drain_half(|value| drained.push(*value));
        if drained.len() == 1 {
            log.note("drained behind the thief");
        }
        let stolen = thief.join().unwrap();
        assert!(drained.is_sorted() && stolen.is_sorted());
        drop(owner);
        each_once(4, [drained, stolen, rest(&ring)]);
    });
    met.all(&["stole several", "stole one", "drained behind the thief"]);
}

/// Race 16: a thief dies after it has copied a value, and its turn is ended for it. The owner uses the slot again after the copy, and not before.
#[test]
fn race_16_push_vs_the_end_of_a_dead_ones_turn() {
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let ring = shared::<2>();
        // SAFETY: the only owner while it lives.
        let mut owner = unsafe { ring.owner() };
        owner.push(Box::new(0)).unwrap();
        owner.push(Box::new(1)).unwrap();
        let dead = Arc::clone(&ring);
        let dead = thread::spawn(move || {
            let value = dead.stealer_numbered(7).steal_and_die();
            // SAFETY: the thief was this thread, and is done.
            assert!(unsafe { dead.end_turn_of_dead(7) });
            value.map(|value| *value)
        });
        let pushed = owner.push(Box::new(2)).is_ok();
        log.note(if pushed { "the slot was free" } else { "the slot was in use" });
        let took = dead.join().unwrap();
        assert_eq!(took, Some(0));
        let left: Vec<u32> = std::iter::from_fn(|| owner.pop()).map(|value| *value).collect();
        assert_eq!(left, [1, 2][..if pushed { 2 } else { 1 }]);
    });
    met.all(&["the slot was free", "the slot was in use"]);
}

/// The same by two at once: one of them has ended it.
#[test]
fn race_16_a_dead_ones_turn_ends_once() {
    model(|| {
        let ring = shared::<2>();
        ring.stealer_numbered(7).begin_turn_and_die();
        let other = Arc::clone(&ring);
        // SAFETY: thief 7 is gone.
        let other = thread::spawn(move || unsafe { other.end_turn_of_dead(7) });
        // SAFETY: as above.
        let here = unsafe { ring.end_turn_of_dead(7) };
        assert_ne!(here, other.join().unwrap());
    });
}

/// A ring whose slots are used three times over, with a thief behind the owner all the time.
#[test]
fn wrap_of_the_slots() {
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let ring = shared::<2>();
        // SAFETY: the only owner while it lives.
        let mut owner = unsafe { ring.owner() };
        let thief = thief(&ring, false, &log);
        let mut popped = Vec::new();
        for value in 0..5 {
            let mut value = Box::new(value);
            while let Err(back) = owner.push(value) {
                value = back;
                popped.extend(owner.pop().map(|value| *value));
                thread::yield_now();
            }
        }
        let stolen = thief.join().unwrap();
        assert!(popped.is_sorted());
        drop(owner);
        each_once(5, [popped, stolen, rest(&ring)]);
    });
    met.all(&["stole one", "nothing to steal"]);
}
