//! Linearizability of the stealing ring, on the shipped code: in every interleaving the calls could have happened one after the other on a deque.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p weblane-ring --release --test loom_steal_history`. The specification stands in `model/deque.rs`. All rings begin
//! next to the wrap of both numbers, and each model asserts that it met what it is for: full, empty, wrapped, and a theft in the middle.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

#[path = "model/deque.rs"]
mod deque;
mod model;

use deque::{AFTERWARDS, BEFORE, Did, History};
use loom::sync::Arc;
use loom::thread;
use model::{Met, model};
use weblane_ring::steal::{Owner, Ring, Steal};

/// A box, so that a value taken twice or not at all is a double free or a leak.
type Value = Box<u32>;

/// What the owner does.
#[derive(Clone, Copy)]
enum Do {
    Push(u32),
    Old,
    Young,
    Drain,
}

/// The owner's thread number.
const OWNER: usize = 0;

fn run<const N: usize>(owner: &mut Owner<'_, Value, N>, history: &History, thread: usize, what: Do) -> Did {
    history.call(thread, || match what {
        Do::Push(value) => owner.push(Box::new(value)).map_or_else(|back| Did::Full(*back), |()| Did::Pushed(value)),
        Do::Old => owner.pop().map_or(Did::Empty, |value| Did::PoppedOld(*value)),
        Do::Young => owner.pop_lifo().map_or(Did::Empty, |value| Did::PoppedYoung(*value)),
        Do::Drain => {
            let mut drained = Vec::new();
            if owner.drain_half(|value| drained.push(*value)) == 0 { Did::Empty } else { Did::Drained(drained) }
        }
    })
}

/// Steals once for each: one value (`false`), or half (`true`).
fn thief<const N: usize>(
    ring: &Arc<Ring<Value, N>>,
    history: &History,
    number: usize,
    turns: &'static [bool],
) -> thread::JoinHandle<()> {
    let (ring, history) = (Arc::clone(ring), history.clone());
    thread::spawn(move || {
        let mut own = Ring::<Value, 4>::new();
        let (mut own, _) = own.split();
        for half in turns {
            history.call(number, || {
                let stolen = if *half {
                    ring.stealer().steal_half_into(&mut own)
                } else {
                    match ring.stealer().steal() {
                        Steal::Success(value) => Steal::Success((value, 0)),
                        Steal::Empty => Steal::Empty,
                        Steal::Busy => Steal::Busy,
                    }
                };
                match stolen {
                    Steal::Success((first, _)) => {
                        let more = std::iter::from_fn(|| own.pop());
                        Did::Stole(std::iter::once(first).chain(more).map(|value| *value).collect())
                    }
                    Steal::Empty => Did::Empty,
                    Steal::Busy => Did::Busy,
                }
            });
        }
    })
}

/// One model: what the owner does before the thieves start and beside them, and what each of them does.
fn check<const N: usize>(
    before: &'static [Do],
    beside: &'static [Do],
    thieves: &'static [&'static [bool]],
    expected: &[&'static str],
) {
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let history = History::default();
        // Position MAX is the first value's; with the second one the numbers have wrapped.
        let ring = Arc::new(Ring::<Value, N>::starting_at(u32::MAX, u32::MAX));
        // SAFETY: the only owner while it lives.
        let mut owner = unsafe { ring.owner() };
        before.iter().for_each(|what| drop(run(&mut owner, &history, BEFORE, *what)));
        let running: Vec<_> = (1..).zip(thieves).map(|(number, turns)| thief(&ring, &history, number, turns)).collect();
        for what in beside {
            match run(&mut owner, &history, OWNER, *what) {
                Did::Full(_) => log.note("full"),
                Did::Empty => log.note("empty"),
                _ => {}
            }
        }
        running.into_iter().for_each(|thief| thief.join().unwrap());
        while run(&mut owner, &history, AFTERWARDS, Do::Old) != Did::Empty {}
        history.check(N);
        if history.count(|did| matches!(did, Did::Pushed(_))) > 1 {
            log.note("wrapped");
        }
        if history.count(|did| matches!(did, Did::Stole(values) if values.len() > 1)) > 0 {
            log.note("stole several");
        }
        match history.count(|did| matches!(did, Did::Stole(_))) {
            0 => {}
            1 => log.note("a theft"),
            _ => log.note("two thefts"),
        }
        if history.count(|did| *did == Did::Busy) > 0 {
            log.note("busy");
        }
    });
    met.all(expected);
}

use Do::{Drain, Old, Push, Young};

/// Full, and slots that are used again, with a thief who takes one after the other.
#[test]
fn history_push_past_full() {
    check::<2>(&[Push(0)], &[Push(1), Push(2), Old, Push(3)], &[&[false, false]], &["full", "wrapped", "two thefts"]);
}

/// The last value: owner at the young end, thief at the old one, and a push into what was popped.
#[test]
fn history_last_value() {
    check::<2>(&[Push(0)], &[Young, Push(1), Young, Old], &[&[false, true]], &["empty", "wrapped", "a theft"]);
}

/// Half a ring leaves while the owner pops at the young end and pushes.
#[test]
fn history_half_vs_young() {
    check::<4>(
        &[Push(0), Push(1), Push(2)],
        &[Young, Push(3), Young, Young],
        &[&[true, false]],
        &["empty", "wrapped", "stole several", "two thefts"],
    );
}

/// Half a ring leaves while the owner drains the other half and fills what it may.
#[test]
fn history_half_vs_drain() {
    check::<4>(
        &[Push(0), Push(1), Push(2), Push(3)],
        &[Push(4), Drain, Push(5), Old],
        &[&[true]],
        &["full", "wrapped", "stole several"],
    );
}

/// Two thieves, one of each kind.
#[test]
fn history_two_thieves() {
    check::<2>(&[Push(0), Push(1)], &[Old, Push(2)], &[&[true], &[false]], &["full", "wrapped", "two thefts", "busy"]);
}
