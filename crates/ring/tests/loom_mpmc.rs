//! Every interleaving of the many-to-many rings: `RUSTFLAGS="--cfg loom" cargo test -p weblane-ring --release`.
//!
//! Each execution's history is checked to be that of a bounded queue (linearizability): for the lock-free ring by the clock and with exact "full" and
//! "empty"; for the fast one by what happens before what and, with `--cfg weblane_sc`, which makes every load read the newest value as wasm does, by
//! the clock. Values are boxes, so that a value taken twice or not at all is a double free or a leak, which loom finds.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

#[path = "model/linear.rs"]
mod linear;
mod model;

use linear::{AFTERWARDS, Did, History};
use loom::sync::Arc;
use loom::thread;
use model::{Met, model, small_model};
use weblane_ring::mpmc;

/// What the models use of both rings.
trait Queue: Send + Sync + 'static {
    const EXACT: bool;
    fn push(&self, value: Box<u32>) -> Result<(), Box<u32>>;
    fn pop(&self) -> Option<Box<u32>>;
    /// Many at once; `between` is called before each value that goes in or after it came out.
    fn push_many(&self, values: &[u32], between: impl FnMut(usize)) -> usize;
    fn pop_many(&self, most: usize, take: impl FnMut(u32)) -> usize;
    /// What must be true when nothing is inside and nobody is at work.
    fn at_rest(&self) {}
}

impl<const N: usize> Queue for mpmc::Ring<Box<u32>, N> {
    const EXACT: bool = true;
    fn push(&self, value: Box<u32>) -> Result<(), Box<u32>> {
        self.push(value)
    }
    fn pop(&self) -> Option<Box<u32>> {
        self.pop()
    }
    fn push_many(&self, values: &[u32], mut between: impl FnMut(usize)) -> usize {
        let mut next = 0;
        let each = values.iter().enumerate().map(|(index, value)| {
            next = index;
            between(index);
            Box::new(*value)
        });
        match self.push_many(each) {
            Ok(()) => values.len(),
            Err(back) => {
                assert_eq!(*back, values[next]);
                next
            }
        }
    }
    fn pop_many(&self, most: usize, mut take: impl FnMut(u32)) -> usize {
        self.pop_many(most, |value| take(*value))
    }
    fn at_rest(&self) {
        assert_eq!(self.free_cells(), 2 * N + 2, "no call has kept a cell");
    }
}

impl<const N: usize> Queue for mpmc::fast::Ring<Box<u32>, N> {
    const EXACT: bool = false;
    fn push(&self, value: Box<u32>) -> Result<(), Box<u32>> {
        self.push(value)
    }
    fn pop(&self) -> Option<Box<u32>> {
        self.pop()
    }
    fn push_many(&self, _: &[u32], _: impl FnMut(usize)) -> usize {
        unreachable!("`fast_batches` looks at these, which stay together");
    }
    fn pop_many(&self, _: usize, _: impl FnMut(u32)) -> usize {
        unreachable!("as above");
    }
}

/// One call of a script: push a number, or pop; or many.
#[derive(Clone, Copy)]
enum Step {
    Push(u32),
    Pop,
    PushMany(&'static [u32]),
    PopMany(usize),
}
use Step::{Pop, PopMany, Push, PushMany};

/// The name of what a call did.
fn name(did: Did) -> &'static str {
    match did {
        Did::Pushed(_) => "pushed",
        Did::Full => "full",
        Did::Popped(_) => "popped",
        Did::Empty => "empty",
        Did::Pushing(_) | Did::Popping => "stopped",
    }
}

/// Makes one call and records what it did; a call for many is recorded as one after the other.
fn act<Q: Queue>(queue: &Q, history: &History, thread: usize, step: Step, note: &dyn Fn(&'static str)) {
    let from = std::cell::Cell::new(history.now());
    let record = |did| {
        history.record(thread, from.get(), did);
        from.set(history.now());
        note(name(did));
    };
    match step {
        Push(value) => match queue.push(Box::new(value)) {
            Ok(()) => record(Did::Pushed(value)),
            Err(back) => {
                assert_eq!(*back, value);
                record(Did::Full);
            }
        },
        Pop => record(queue.pop().map_or(Did::Empty, |value| Did::Popped(*value))),
        PushMany(values) => {
            let count = queue.push_many(values, |next| {
                if next > 0 {
                    record(Did::Pushed(values[next - 1]));
                }
            });
            record(if count < values.len() { Did::Full } else { Did::Pushed(values[count - 1]) });
        }
        PopMany(most) => {
            let count = queue.pop_many(most, |value| record(Did::Popped(value)));
            if count < most {
                record(Did::Empty);
            }
        }
    }
}

/// Runs each script on a thread of its own, the first one on the model's main thread; then empties the queue and checks the history.
fn scripts<Q: Queue>(make: fn() -> Q, capacity: usize, scripts: &'static [&'static [Step]], expected: &[&'static str]) {
    let met = Met::default();
    let log = met.clone();
    let explore = if scripts.len() == 2 { small_model } else { model };
    explore(move || {
        let (queue, history) = (Arc::new(make()), History::default());
        let run = {
            let log = log.clone();
            move |queue: &Q, history: &History, thread: usize| {
                for step in scripts[thread] {
                    act(queue, history, thread, *step, &|what| log.note(what));
                }
            }
        };
        let threads: Vec<_> = (1..scripts.len())
            .map(|number| {
                let (queue, history, run) = (Arc::clone(&queue), history.clone(), run.clone());
                thread::spawn(move || run(&queue, &history, number))
            })
            .collect();
        run(&queue, &history, 0);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        // What is left; nothing runs meanwhile, so now "empty" is exact in both rings.
        while let Did::Popped(_) =
            history.call(AFTERWARDS, || queue.pop().map_or(Did::Empty, |value| Did::Popped(*value)))
        {}
        queue.at_rest();
        history.check(capacity, Q::EXACT);
    });
    met.all(expected);
}

const ALL: &[&str] = &["pushed", "full", "popped", "empty"];

#[test]
fn lock_free_one_place() {
    scripts(|| mpmc::Ring::<_, 1>::starting_at(u32::MAX), 1, &[&[Push(1), Push(2)], &[Pop, Pop]], ALL);
}

#[test]
fn lock_free_two_pushers() {
    scripts(|| mpmc::Ring::<_, 1>::starting_at(u32::MAX), 1, &[&[Pop], &[Push(1)], &[Push(2)]], ALL);
}

#[test]
fn lock_free_two_poppers() {
    scripts(
        || mpmc::Ring::<_, 2>::starting_at(u32::MAX),
        2,
        &[&[Push(1), Push(2)], &[Pop], &[Pop]],
        &["pushed", "popped", "empty"],
    );
}

#[test]
fn lock_free_both_ways() {
    scripts(
        || mpmc::Ring::<_, 2>::starting_at(u32::MAX - 1),
        2,
        &[&[Push(1), Pop, Push(2)], &[Push(3), Pop]],
        &["pushed", "popped"],
    );
}

/// While one call reads its cell, another one goes once through all the others.
#[test]
fn lock_free_around_a_slow_pop() {
    scripts(
        || mpmc::Ring::<_, 1>::new(),
        1,
        &[&[Push(1), Pop], &[Push(2), Pop, Push(3)]],
        &["pushed", "full", "popped", "empty"],
    );
}

/// Two push and two pop, with room for two: positions go over the wrap.
#[test]
fn lock_free_two_by_two() {
    scripts(|| mpmc::Ring::<_, 2>::starting_at(u32::MAX), 2, &[&[Pop], &[Push(1), Push(2)], &[Push(3)], &[Pop]], ALL);
}

/// "Full" with two places and three threads, all spare cells in their hands.
#[test]
fn lock_free_full_with_three() {
    scripts(
        || mpmc::Ring::<_, 2>::starting_at(u32::MAX),
        2,
        &[&[Push(1), Pop, Push(2)], &[Push(3), Push(4)], &[Push(5)]],
        &["pushed", "full", "popped"],
    );
}

/// As many threads as a ring with one place can have so that its "full" is exact.
#[test]
fn lock_free_one_place_for_four() {
    scripts(|| mpmc::Ring::<_, 1>::starting_at(u32::MAX), 1, &[&[Push(1)], &[Pop], &[Push(2)], &[Push(3)]], ALL);
}

/// Many at once against single ones.
#[test]
fn lock_free_batches() {
    scripts(
        || mpmc::Ring::<_, 2>::starting_at(u32::MAX),
        2,
        &[&[PushMany(&[1, 2, 3])], &[Push(9), PopMany(2)]],
        &["pushed", "full", "popped"],
    );
    scripts(
        || mpmc::Ring::<_, 2>::starting_at(u32::MAX - 1),
        2,
        &[&[PushMany(&[1, 2]), Pop], &[PopMany(3)]],
        &["pushed", "popped", "empty"],
    );
}

#[test]
fn fast_one_place() {
    scripts(|| mpmc::fast::Ring::<_, 1>::starting_at(u32::MAX), 1, &[&[Push(1), Push(2)], &[Pop, Pop]], ALL);
}

#[test]
fn fast_two_pushers() {
    scripts(|| mpmc::fast::Ring::<_, 1>::starting_at(u32::MAX >> 1), 1, &[&[Pop, Pop], &[Push(1)], &[Push(2)]], ALL);
}

#[test]
fn fast_two_poppers() {
    scripts(
        || mpmc::fast::Ring::<_, 2>::starting_at(u32::MAX),
        2,
        &[&[Push(1), Push(2), Push(3)], &[Pop], &[Pop]],
        ALL,
    );
}

/// "Full" is for places that are taken: two calls at once that find two places both get one. And "empty" likewise.
#[test]
fn fast_room_for_all() {
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let (free, filled) = (mpmc::fast::Ring::<u32, 2>::starting_at(u32::MAX), mpmc::fast::Ring::<u32, 2>::new());
        filled.push(1).unwrap();
        filled.push(2).unwrap();
        let (free, filled) = (Arc::new(free), Arc::new(filled));
        let other = {
            let (free, filled) = (Arc::clone(&free), Arc::clone(&filled));
            thread::spawn(move || {
                free.push(1).expect("there are two places");
                filled.pop().expect("there are two values")
            })
        };
        free.push(2).expect("there are two places");
        let mine = filled.pop().expect("there are two values");
        let theirs = other.join().unwrap();
        assert_eq!(mine + theirs, 3);
        log.note(if mine < theirs { "we were first" } else { "they were first" });
    });
    met.all(&["we were first", "they were first"]);
}

/// Many at once against single ones: the values of a batch stay together.
#[test]
fn fast_batches() {
    let met = Met::default();
    let log = met.clone();
    model(move || {
        let queue = Arc::new(mpmc::fast::Ring::<u32, 2>::starting_at(u32::MAX));
        let pusher = {
            let (queue, log) = (Arc::clone(&queue), log.clone());
            thread::spawn(move || {
                let first = queue.push_slice(&[1, 2]);
                log.note(["none", "one", "both"][first]);
                first
            })
        };
        let alone = queue.push(9).is_ok();
        let mut popped = Vec::new();
        queue.pop_many(2, |value| popped.push(value));
        if popped.len() == 2 {
            log.note("two at once");
        }
        let pushed = pusher.join().unwrap();
        queue.pop_many(2, |value| popped.push(value));
        queue.pop_many(2, |value| popped.push(value));
        let mut batch = popped.clone();
        batch.retain(|value| *value != 9);
        assert_eq!(batch, [1, 2][..pushed]);
        assert_eq!(popped.len(), pushed + usize::from(alone));
        assert_ne!(popped, [1, 9, 2], "nothing comes between a batch");
    });
    met.all(&["one", "both", "two at once"]);
}
