//! Every interleaving of the two single-producer single-consumer rings: `RUSTFLAGS="--cfg loom" cargo test -p weblane-ring --release`.
//!
//! Values are boxes, so that a value taken twice or not at all is a double free or a leak, which loom finds. Each model asserts that it met the cases that it is
//! for. The mutants that each one kills stand in `crates/ring/MUTANTS.md`.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

mod model;

use loom::sync::Arc;
use loom::thread;
use model::{Met, small_model};
use weblane_ring::spsc::{self, stream};

type Value = Box<u32>;

/// Pushes `0..count`, each once; returns what found no room.
fn push_all(mut push: impl FnMut(Value) -> Result<(), Value>, count: u32, met: &Met) -> Vec<u32> {
    let refused: Vec<u32> = (0..count).filter_map(|value| push(Box::new(value)).err()).map(|value| *value).collect();
    if !refused.is_empty() {
        met.note("full");
    }
    refused
}

/// Pops so many times; returns what came.
fn pop_some(mut pop: impl FnMut() -> Option<Value>, times: u32, met: &Met) -> Vec<u32> {
    let popped: Vec<u32> = (0..times).filter_map(|_| pop()).map(|value| *value).collect();
    met.note(if popped.len() < times as usize { "empty" } else { "as many as asked" });
    popped
}

/// What was popped, and what was left, is what was pushed, in its order.
fn in_order(count: u32, refused: &[u32], popped: Vec<u32>, left: impl Iterator<Item = Value>, met: &Met) {
    let popped_count = popped.len();
    let all: Vec<u32> = popped.into_iter().chain(left.map(|value| *value)).collect();
    let expected: Vec<u32> = (0..count).filter(|value| !refused.contains(value)).collect();
    assert_eq!(all, expected);
    if popped_count < all.len() {
        met.note("some were left");
    }
}

/// Pushes against pops, with slots that are used again.
#[test]
fn push_vs_pop() {
    let met = Met::default();
    let log = met.clone();
    small_model(move || {
        let (mut producer, mut consumer) = spsc::channel::<Value>(2);
        // Natively positions start again after two rounds: in the middle of what follows.
        for value in 7..10 {
            producer.push(Box::new(value)).unwrap();
            assert_eq!(consumer.pop(), Some(Box::new(value)));
        }
        let inner = log.clone();
        let pushing = thread::spawn(move || push_all(|value| producer.push(value), 4, &inner));
        let popped = pop_some(|| consumer.pop(), 4, &log);
        let refused = pushing.join().unwrap();
        if popped.len() > 2 {
            log.note("around the ring");
        }
        in_order(4, &refused, popped, std::iter::from_fn(|| consumer.pop()), &log);
    });
    met.all(&["full", "empty", "as many as asked", "around the ring", "some were left"]);
}

/// The same with positions, next to their wrap.
#[test]
fn stream_push_vs_pop() {
    let met = Met::default();
    let log = met.clone();
    small_model(move || {
        let (mut producer, mut consumer) = stream::channel_starting_at::<Value>(2, u32::MAX);
        let inner = log.clone();
        let pushing = thread::spawn(move || push_all(|value| producer.push(value), 4, &inner));
        let popped = pop_some(|| consumer.pop(), 4, &log);
        let refused = pushing.join().unwrap();
        if popped.len() > 2 {
            log.note("around the ring");
        }
        in_order(4, &refused, popped, std::iter::from_fn(|| consumer.pop()), &log);
    });
    met.all(&["full", "empty", "as many as asked", "around the ring", "some were left"]);
}

/// Chunks on both sides, and a capacity that is less than the slots.
#[test]
fn stream_chunks() {
    let met = Met::default();
    let log = met.clone();
    small_model(move || {
        let (mut producer, mut consumer) = stream::channel_starting_at::<Value>(3, u32::MAX - 1);
        let inner = log.clone();
        let pushing = thread::spawn(move || {
            let mut next = 0;
            for _ in 0..2 {
                match producer.write_chunk(2) {
                    Ok(chunk) => {
                        let written = chunk.fill((next..).map(Box::new));
                        assert_eq!(written, 2);
                        next += 2;
                    }
                    Err(_) => inner.note("full"),
                }
            }
            next
        });
        let mut popped = Vec::new();
        for _ in 0..2 {
            match consumer.read_chunk(2) {
                Ok(chunk) => popped.extend(chunk.into_iter().map(|value| *value)),
                Err(_) => log.note("empty"),
            }
        }
        let pushed = pushing.join().unwrap();
        if popped.len() == 4 {
            log.note("both");
        }
        in_order(pushed, &[], popped, std::iter::from_fn(|| consumer.pop()), &log);
    });
    met.all(&["full", "empty", "both", "some were left"]);
}

/// A producer that goes: whoever has seen it gone has seen all it pushed.
#[test]
fn gone_vs_pop() {
    let met = Met::default();
    let log = met.clone();
    small_model(move || {
        let (mut producer, mut consumer) = spsc::channel::<Value>(2);
        let pushing = thread::spawn(move || producer.push(Box::new(7)).unwrap());
        let gone = consumer.is_abandoned();
        let popped = consumer.pop();
        log.note(if gone { "gone" } else { "not yet" });
        assert!(popped.is_some() || !gone, "gone, and its value is not here");
        if !gone && popped.is_some() {
            log.note("before it was gone");
        }
        pushing.join().unwrap();
    });
    met.all(&["gone", "not yet", "before it was gone"]);
}

/// The same for the stream.
#[test]
fn stream_gone_vs_pop() {
    let met = Met::default();
    let log = met.clone();
    small_model(move || {
        let (mut producer, mut consumer) = stream::channel_starting_at::<Value>(2, u32::MAX);
        let pushing = thread::spawn(move || producer.push(Box::new(7)).unwrap());
        let gone = consumer.is_abandoned();
        let popped = consumer.pop();
        log.note(if gone { "gone" } else { "not yet" });
        assert!(popped.is_some() || !gone, "gone, and its value is not here");
        pushing.join().unwrap();
    });
    met.all(&["gone", "not yet"]);
}

/// Ends that are made anew while the last ones go, each on a thread of its own: the new ones go on where the old ones stopped.
#[test]
fn ends_vs_new_ends() {
    let met = Met::default();
    let log = met.clone();
    small_model(move || {
        let ring: &'static spsc::Ring<Value, 2> = Box::leak(Box::new(spsc::Ring::new()));
        let (mut producer, mut consumer) = ring.ends().unwrap();
        let pushing = thread::spawn(move || {
            producer.push(Box::new(1)).unwrap();
            producer.push(Box::new(2)).unwrap();
        });
        let first = consumer.pop().map(|value| *value);
        assert!(matches!(first, None | Some(1)));
        drop(consumer);
        let early = ring.ends();
        log.note(if early.is_some() { "new ends at once" } else { "an end is still there" });
        let joined = early.is_none();
        if joined {
            pushing.join().unwrap();
        }
        let (mut producer, mut consumer) = early.unwrap_or_else(|| ring.ends().expect("both are gone"));
        assert_eq!(producer.push(Box::new(3)).is_ok(), first.is_some(), "a place is free if one was popped");
        let rest: Vec<u32> = std::iter::from_fn(|| consumer.pop()).map(|value| *value).collect();
        assert_eq!(rest, if first.is_some() { vec![2, 3] } else { vec![1, 2] });
        drop((producer, consumer));
        // The leak is given back, so that loom can look for others.
        // SAFETY: it came from a box, and both pairs of ends are gone.
        drop(unsafe { Box::from_raw(core::ptr::from_ref(ring).cast_mut()) });
    });
    met.all(&["new ends at once", "an end is still there"]);
}

/// The same for the stream.
#[test]
fn stream_ends_vs_new_ends() {
    let met = Met::default();
    let log = met.clone();
    small_model(move || {
        let ring = Arc::new(stream::Ring::<Value, 2>::starting_at(u32::MAX));
        let pushing = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                if let Some((mut producer, mut consumer)) = ring.ends() {
                    producer.push(Box::new(1)).unwrap();
                    producer.push(Box::new(2)).unwrap();
                    return consumer.pop().map(|value| *value);
                }
                None
            })
        };
        let mine = ring.ends().map(|(mut producer, mut consumer)| {
            let room = producer.push(Box::new(3)).is_ok();
            log.note("both in turn");
            (room, std::iter::from_fn(|| consumer.pop()).map(|value| *value).collect::<Vec<u32>>())
        });
        let theirs = pushing.join().unwrap();
        match (mine, theirs) {
            (Some((true, popped)), Some(1)) => assert!(popped == [2, 3] || popped == [3], "{popped:?}"),
            (Some((true, popped)), None) => {
                assert_eq!(popped, [3]);
                log.note("they came too late");
            }
            (None, Some(1)) => log.note("we came too late"),
            other => panic!("{other:?}"),
        }
    });
    met.all(&["both in turn", "they came too late", "we came too late"]);
}
