//! What a worker, or a submitter, does to the pool's words and queues, as events that the protocol's model can read.
//!
//! The scheduler's accesses that the protocol speaks of go through [`step`]: the access, and what is to be said of it. In a build for users that is the access and nothing
//! else. In tests (`tests/traces.rs`) a thread may have a *recorder*. Then access and note are made under the recorder's lock, so the order of the notes is the
//! order of the accesses, for all threads that share it. The lock is for the recording only: an access of several steps (a queue's operation) is one step under it, as it is in the protocol's
//! model; what those steps do in between is the affair of the queues' own models.
//!
//! The alphabet stands in `model/README.md`. Recorded are the normal level of the shared queues, the rings, `idle`, and what words are given; not the insides of a sleep (the
//! recording is "coarse"), windows, and held workers.

use core::fmt;

/// A queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// A worker's ring.
    Ring(usize),
    /// The shared queue of normal tasks.
    Shared,
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Queue::Ring(worker) => write!(f, "r{worker}"),
            Queue::Shared => f.write_str("s0"),
        }
    }
}

/// One access, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Enter,
    Js(i32),
    Push(Queue, usize),
    Pop(Queue, usize),
    Full,
    Steal(usize, usize),
    StealEnd(usize),
    StealLost(usize),
    Look(Queue, bool),
    Idle(u32, u32),
    Search,
    SearchEnd(bool),
    Announce,
    Awake(bool),
    Claim(usize),
    ClaimFailed,
    Token(usize),
    NobodyWoken(usize),
    Stop(usize),
    ReadStop(bool),
    Slept,
    Run,
    Leave,
    Stopped,
    #[cfg_attr(not(test), allow(dead_code, reason = "messages are not the core's"))]
    Count(usize),
    #[cfg_attr(not(test), allow(dead_code, reason = "messages are not the core's"))]
    Uncount(i32),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |yes: bool| if yes { "yes" } else { "no" };
        match *self {
            Event::Enter => f.write_str("enter"),
            Event::Js(count) => write!(f, "js {count}"),
            Event::Push(queue, count) => write!(f, "push {queue} {count}"),
            Event::Pop(queue, count) => write!(f, "pop {queue} {count}"),
            Event::Full => f.write_str("full"),
            Event::Steal(victim, count) => write!(f, "steal r{victim} {count}"),
            Event::StealEnd(victim) => write!(f, "steal-end r{victim}"),
            Event::StealLost(victim) => write!(f, "steal-lost r{victim}"),
            Event::Look(queue, some) => write!(f, "look {queue} {}", flag(some)),
            Event::Idle(sleepers, searchers) => write!(f, "idle {sleepers:b} {searchers:b}"),
            Event::Search => f.write_str("search"),
            Event::SearchEnd(last) => write!(f, "search-end {}", flag(last)),
            Event::Announce => f.write_str("announce"),
            Event::Awake(claimed) => write!(f, "awake {}", flag(claimed)),
            Event::Claim(worker) => write!(f, "claim {:b}", 1 << worker),
            Event::ClaimFailed => f.write_str("claim-failed"),
            Event::Token(worker) => write!(f, "token w{worker} no"),
            Event::NobodyWoken(worker) => write!(f, "notify w{worker} 0"),
            Event::Stop(worker) => write!(f, "stop w{worker} no"),
            Event::ReadStop(stop) => write!(f, "read-stop {}", flag(stop)),
            Event::Slept => f.write_str("slept"),
            Event::Run => f.write_str("run 0"),
            Event::Leave => f.write_str("leave"),
            Event::Stopped => f.write_str("stopped"),
            Event::Count(worker) => write!(f, "count w{worker} no"),
            Event::Uncount(count) => write!(f, "uncount {count}"),
        }
    }
}

/// An access of which one thing is to be said.
#[inline(always)]
pub(crate) fn step<R>(access: impl FnOnce() -> R, what: impl FnOnce(&R) -> Event) -> R {
    steps(access, |result, note| note(what(result)))
}

/// An access of which several things are to be said, or none.
#[inline(always)]
pub(crate) fn steps<R>(access: impl FnOnce() -> R, what: impl FnOnce(&R, &mut dyn FnMut(Event))) -> R {
    #[cfg(all(test, feature = "std", not(loom)))]
    return recorder::steps(access, what);
    #[cfg(not(all(test, feature = "std", not(loom))))]
    {
        let _ = what;
        access()
    }
}

/// Something to be said of no access.
#[inline(always)]
pub(crate) fn event(what: Event) {
    step(|| (), |()| what);
}

/// Whether the calling thread is to leave out this guard, so that its trace is wrong: for tests of who reads it. Never otherwise.
#[inline(always)]
pub(crate) fn broken(guard: &str) -> bool {
    #[cfg(all(test, feature = "std", not(loom)))]
    return recorder::broken(guard);
    #[cfg(not(all(test, feature = "std", not(loom))))]
    {
        let _ = guard;
        false
    }
}

#[cfg(all(test, feature = "std", not(loom)))]
pub(crate) mod recorder {
    use core::sync::atomic::{AtomicBool, Ordering};
    use std::cell::RefCell;
    use std::string::String;
    use std::vec::Vec;

    #[cfg(shuttle)]
    use shuttle::{sync::Arc, sync::Mutex, thread_local};
    #[cfg(not(shuttle))]
    use std::{sync::Arc, sync::Mutex, thread_local};

    use super::Event;

    /// Where the threads of one pool write down what they do.
    pub(crate) struct Recorder {
        log: Mutex<Vec<(String, Event)>>,
        broken: Option<&'static str>,
        /// A real atomic, under shuttle too: no step of its own.
        mended: AtomicBool,
    }

    impl Recorder {
        /// A new one, for threads that leave out this guard, if any.
        pub(crate) fn new(broken: Option<&'static str>) -> Arc<Recorder> {
            Arc::new(Recorder { log: Mutex::new(Vec::new()), broken, mended: AtomicBool::new(false) })
        }

        /// The guard is no longer left out.
        pub(crate) fn mend(&self) {
            self.mended.store(true, Ordering::Release);
        }

        /// What was written down so far.
        pub(crate) fn log(&self) -> Vec<(String, Event)> {
            self.log.lock().expect("no panic").clone()
        }
    }

    thread_local! {
        #[allow(clippy::missing_const_for_thread_local, reason = "shuttle's cannot")]
        static MINE: RefCell<Option<(Arc<Recorder>, String)>> = RefCell::new(None);
    }

    /// From now on the calling thread's steps are recorded under this name.
    pub(crate) fn begin(recorder: &Arc<Recorder>, name: &str) {
        MINE.with(|mine| *mine.borrow_mut() = Some((Arc::clone(recorder), String::from(name))));
    }

    /// No longer.
    pub(crate) fn end() {
        MINE.with(|mine| drop(mine.borrow_mut().take()));
    }

    fn mine() -> Option<(Arc<Recorder>, String)> {
        MINE.with(|mine| mine.borrow().clone())
    }

    pub(super) fn steps<R>(access: impl FnOnce() -> R, what: impl FnOnce(&R, &mut dyn FnMut(Event))) -> R {
        let Some((recorder, name)) = mine() else { return access() };
        let mut log = recorder.log.lock().expect("no panic");
        let result = access();
        what(&result, &mut |event| log.push((name.clone(), event)));
        result
    }

    pub(super) fn broken(guard: &str) -> bool {
        mine().is_some_and(|(recorder, _)| recorder.broken == Some(guard) && !recorder.mended.load(Ordering::Acquire))
    }
}
