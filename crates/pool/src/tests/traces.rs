//! What the real code does is what the protocol's model allows: recorded runs, natively and under shuttle, are read by `weblane_model::accept`; and it refuses
//! the traces of code that has lost a guard, and traces that were tampered with.

use core::sync::atomic::Ordering;
use std::format;
use std::string::String;
use std::vec::Vec;

use weblane_futex::AtomicU32;
use weblane_model::accept::{Rejection, Trace, accept};

use super::world::{Arc, Pool, live, pool, post, thread};
use crate::host::{Host, RING};
use crate::task::Task;
use crate::trace::recorder::{self, Recorder};

/// What is submitted.
#[derive(Clone, Copy, Debug)]
struct Load {
    workers: usize,
    /// Threads that submit, and how many tasks each.
    producers: usize,
    each: usize,
    /// How many tasks each of these spawns, and each of those again.
    children: [usize; 2],
    /// Messages, from the first producer.
    messages: usize,
    /// Producers wait so often for everybody to be asleep.
    pauses: bool,
}

const DRIP: Load = Load { workers: 2, producers: 1, each: 6, children: [0, 0], messages: 0, pauses: true };
const CHAIN: Load = Load { workers: 3, producers: 1, each: 3, children: [3, 1], messages: 0, pauses: true };
const CROWD: Load = Load { workers: 3, producers: 2, each: 5, children: [2, 2], messages: 0, pauses: false };
const MESSAGES: Load = Load { workers: 2, producers: 2, each: 4, children: [1, 0], messages: 3, pauses: false };
const OVERFLOW: Load =
    Load { workers: 2, producers: 1, each: 1, children: [RING + RING / 2, 0], messages: 0, pauses: false };

fn task(pool: &Pool, ran: &Arc<AtomicU32>, children: [usize; 2]) -> Task {
    let (pool, ran) = (Arc::clone(pool), Arc::clone(ran));
    Task::new(move || {
        for _ in 0..children[0] {
            pool.submit(task(&pool, &ran, [children[1], 0]));
        }
        ran.fetch_add(1, Ordering::AcqRel);
        weblane_futex::notify_all(&ran);
    })
}

/// Runs a load and returns its trace. `broken`: a guard that is left out, for as long as it is recorded.
fn record(load: Load, broken: Option<&'static str>) -> String {
    let (recorder, pool, ran) = (Recorder::new(broken), pool(load.workers), Arc::new(AtomicU32::new(0)));
    let workers: Vec<_> = (0..load.workers)
        .map(|me| {
            let (recorder, pool) = (Arc::clone(&recorder), Arc::clone(&pool));
            thread::spawn(move || {
                recorder::begin(&recorder, &format!("w{me}"));
                live(&pool, me);
                recorder::end();
            })
        })
        .collect();
    let producers: Vec<_> = (0..load.producers)
        .map(|number| {
            let (recorder, pool, ran) = (Arc::clone(&recorder), Arc::clone(&pool), Arc::clone(&ran));
            thread::spawn(move || {
                recorder::begin(&recorder, &format!("p{number}"));
                for round in 0..load.each {
                    if load.pauses {
                        for _ in 0..3 * round {
                            thread::yield_now();
                        }
                    }
                    if number == 0 && round < load.messages {
                        post(&pool, round % load.workers);
                    }
                    pool.submit(task(&pool, &ran, load.children));
                }
                recorder::end();
            })
        })
        .collect();
    for producer in producers {
        producer.join().expect("no panic");
    }
    let tasks = load.producers * load.each * (1 + load.children[0] * (1 + load.children[1]));
    wait_for(&ran, tasks as u32, broken.is_some());
    let log = if broken.is_some() { recorder.log() } else { Vec::new() };
    // Who has lost a task finds it again.
    recorder.mend();
    recorder::begin(&recorder, "main");
    pool.close(false);
    recorder::end();
    if broken.is_some() {
        (0..load.workers).for_each(|worker| pool.host().word(worker).call_anyway());
    }
    for worker in workers {
        worker.join().expect("no panic");
    }
    assert_eq!(ran.load(Ordering::Acquire), tasks as u32);
    let log = if broken.is_some() { log } else { recorder.log() };
    let mut text = format!("pool {} 1 coarse\n", load.workers);
    for (thread, event) in log {
        text += &format!("{thread} {event}\n");
    }
    text
}

fn wait_for(count: &AtomicU32, expected: u32, patience_ends: bool) {
    for _ in 0..20 {
        loop {
            let now = count.load(Ordering::Acquire);
            if now == expected {
                return;
            }
            let limit = patience_ends.then_some(core::time::Duration::from_millis(5));
            if weblane_futex::wait(count, now, limit) == Ok(weblane_futex::Wait::TimedOut) {
                break;
            }
        }
    }
}

fn read(text: &str) -> Trace {
    Trace::parse(text).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

/// Fails with the trace up to what is refused.
fn must_be_accepted(text: &str) -> Trace {
    let trace = read(text);
    if let Err(Rejection { index, why }) = accept(&trace) {
        let lines: Vec<&str> = text.lines().skip(1).take(index + 1).collect();
        panic!("{why}:\n{}", lines.join("\n"));
    }
    trace
}

#[cfg(not(shuttle))]
mod native {
    use super::*;

    fn runs(load: Load, times: usize) -> Vec<Trace> {
        (0..times).map(|_| must_be_accepted(&record(load, None))).collect()
    }

    #[test]
    fn traces_of_drips_are_accepted() {
        runs(DRIP, 60);
    }

    #[test]
    fn traces_of_chains_are_accepted() {
        runs(CHAIN, 40);
    }

    #[test]
    fn traces_of_crowds_are_accepted() {
        runs(CROWD, 40);
    }

    #[test]
    fn traces_with_messages_are_accepted() {
        let traces = runs(MESSAGES, 60);
        let left = |trace: &Trace| trace.events.iter().any(|event| event.what == weblane_model::event::What::Leave);
        assert!(traces.iter().any(left), "nobody ever left for a message");
    }

    #[test]
    fn traces_of_overflows_are_accepted() {
        let traces = runs(OVERFLOW, 20);
        let full = |trace: &Trace| trace.events.iter().any(|event| event.what == weblane_model::event::What::Full);
        assert!(traces.iter().any(full), "no ring was ever full");
    }

    /// Some run of code that has lost a guard does what the protocol forbids.
    fn is_refused(load: Load, guard: &'static str, because: &str) {
        let why: Vec<String> =
            (0..50).filter_map(|_| accept(&read(&record(load, Some(guard)))).err()).map(|no| no.why).collect();
        assert!(why.iter().any(|why| why.contains(because)), "{guard}: {why:?}");
    }

    #[test]
    fn traces_without_the_second_look_are_refused() {
        is_refused(DRIP, "M1", "look at all queues again");
    }

    #[test]
    fn traces_of_a_last_searcher_that_does_not_chain_are_refused() {
        is_refused(CHAIN, "M5", "has not looked at all queues");
    }

    #[test]
    fn traces_of_batches_that_wake_nobody_are_refused() {
        is_refused(Load { each: 40, ..CROWD }, "M8", "somebody must be woken");
    }

    /// Each event of a kind, left out of a trace that is accepted, or changed places with the next one of its thread, makes it one that is not.
    #[test]
    fn traces_that_were_tampered_with_are_refused() {
        use weblane_model::event::What;

        let trace = must_be_accepted(&record(CHAIN, None));
        let without = |index: usize| {
            let mut other = trace.clone();
            other.events.remove(index);
            accept(&other).is_err()
        };
        let swapped = |index: usize| {
            let mut other = trace.clone();
            let thread = other.events[index].thread.clone();
            let next = (index + 1..other.events.len()).find(|later| other.events[*later].thread == thread);
            next.is_some_and(|next| {
                other.events.swap(index, next);
                accept(&other).is_err()
            })
        };
        let mut tried = 0;
        for (index, event) in trace.events.iter().enumerate() {
            // What a thread leaves out at its very end shows in nothing that it does.
            if trace.events[index + 1..].iter().all(|later| later.thread != event.thread) {
                continue;
            }
            match event.what {
                What::Announce | What::Claim(_) | What::Token(..) | What::SearchEnd(_) | What::Awake(_) => {
                    assert!(without(index), "without {index}: {event:?}");
                    assert!(swapped(index), "{index} swapped: {event:?}");
                    tried += 1;
                }
                What::Push(..) | What::Pop(_, 1..) | What::Steal(_, 1..) => {
                    assert!(without(index), "without {index}: {event:?}");
                    tried += 1;
                }
                _ => {}
            }
        }
        assert!(tried > 50, "a short trace: {tried}");
    }
}

#[cfg(shuttle)]
mod shuttled {
    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    use shuttle::{Config, Runner};

    use super::*;

    fn runs(load: Load, times: usize) {
        let check = move || drop(must_be_accepted(&record(load, None)));
        let config = || {
            let mut config = Config::default();
            config.stack_size = 1 << 18;
            config.silence_warnings = true;
            config
        };
        Runner::new(RandomScheduler::new_from_seed(7, times), config()).run(check);
        Runner::new(PctScheduler::new_from_seed(7, 3, times), config()).run(check);
    }

    #[test]
    fn traces_of_drips_are_accepted_under_shuttle() {
        runs(DRIP, 150);
    }

    #[test]
    fn traces_of_chains_are_accepted_under_shuttle() {
        runs(CHAIN, 60);
    }

    #[test]
    fn traces_with_messages_are_accepted_under_shuttle() {
        runs(MESSAGES, 100);
    }

    #[test]
    fn traces_of_overflows_are_accepted_under_shuttle() {
        runs(OVERFLOW, 80);
    }
}
