//! The scheduler: where a task waits, who runs it, who sleeps, and who wakes whom.
//!
//! The protocol, its argument and its list of races stand in this crate's `README.md`; this file is its code, step by step.
//! In one paragraph: every worker has a ring of its own; what other threads submit, and what a ring has no room for, goes to
//! the injector; a worker takes from its ring, then the injector, then steals half of somebody's ring. A worker with nothing to
//! do announces that it sleeps, looks once more, and sleeps on its thread's word. Whoever publishes a task wakes one
//! sleeper, unless somebody is searching already: a searcher that finds something and was the last one wakes the next.
//! A worker whose word says that JS messages are under way returns to the event loop, whatever is queued.

use core::iter;

use weblane_ring::steal::Steal;

use crate::fork;
use crate::host::{Host, Lane, RING, Seat};
use crate::idle::Idle;
use crate::injector::Injector;
use crate::primitive::fence_after_publication;
use crate::stats::Tally;
use crate::task::Task;

/// Why a worker left the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// JS messages are under way to it.
    Messages,
    /// The pool is closed and nothing is queued.
    Stop,
    /// The thread may not sleep; call again later.
    Again,
}

/// The part of a pool that all its threads share.
pub(crate) struct Core<H> {
    host: H,
    idle: Idle,
    injector: Injector,
}

/// Every so many turns the injector comes before the worker's own ring, so that it cannot be starved (race 33). A prime, so
/// that it does not beat in time with the tasks.
const INJECTOR_FIRST: u32 = 61;

/// The most tasks that one visit to the injector moves: half a ring, so that the ring has room for what they spawn.
const BATCH: usize = RING / 2;

impl<H: Host> Core<H> {
    pub(crate) fn new(host: H) -> Core<H> {
        Core { host, idle: Idle::new(), injector: Injector::new() }
    }

    pub(crate) fn host(&self) -> &H {
        &self.host
    }

    /// A worker that sleeps, if there is one; a hint.
    #[cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "only JS tasks are placed"))]
    pub(crate) fn sleeping_worker(&self) -> Option<usize> {
        let sleepers = self.idle.load().sleepers();
        (sleepers != 0).then(|| sleepers.trailing_zeros() as usize)
    }

    // ------------------------------------------------------------------------------------------------------- submitting

    /// Queues a task: in the calling worker's own ring, or in the injector.
    pub(crate) fn submit(&self, task: Task) {
        H::publish_memory();
        match self.seat() {
            Some(worker) => self.push_own(worker, task),
            None => self.injector.push::<H>(iter::once(task)),
        }
        self.wake_one();
    }

    /// The calling thread's number in this pool, while it is in the loop.
    fn seat(&self) -> Option<usize> {
        H::seat().filter(|seat| core::ptr::eq(seat.core, self)).map(|seat| seat.worker)
    }

    /// Pushes to the ring of `me`, the calling worker. A full ring gives half of its tasks to the injector, in one batch.
    fn push_own(&self, me: usize, task: Task) {
        // SAFETY: the seat says that this thread is worker `me`, inside its loop; the loop holds no owner while a task runs.
        let mut own = unsafe { self.host.lane(me).ring.owner() };
        let Err(task) = own.push(task) else { return };
        let mut moved: [Option<Task>; RING] = [const { None }; RING];
        let mut count = 0;
        own.drain_half(|task| {
            moved[count] = Some(task);
            count += 1;
        });
        self.injector.push::<H>(moved.into_iter().flatten().chain(iter::once(task)));
    }

    /// Wakes a sleeper if nobody is searching. To be called after every publication of a task, and after every move of tasks.
    pub(crate) fn wake_one(&self) {
        // Orders the publication before the look at the idle word; partner: `announce_sleep` and the re-check in `run`.
        fence_after_publication();
        if let Some(worker) = self.idle.claim() {
            self.host.word(worker).set_token();
        }
    }

    /// Lets others take what this worker has queued, because it is about to do something else for an unknown time.
    pub(crate) fn hand_over(&self) {
        fence_after_publication();
        if self.anything_queued() {
            self.wake_one();
        }
    }

    /// Whether some queue has a task that can be taken. A ring that a thief is emptying counts as empty: it would only make
    /// others spin, and the thief wakes somebody after its move (race 52).
    fn anything_queued(&self) -> bool {
        let queued = |lane: &Lane| !lane.ring.stealer().is_empty() || !lane.window.is_empty();
        !self.injector.is_empty() || (0..self.host.workers()).any(|i| queued(self.host.lane(i)))
    }

    // ---------------------------------------------------------------------------------------------------------- the loop

    /// The loop of worker `me`. Entered with an empty JS stack; returns when the thread must do something else.
    pub(crate) fn run(&self, me: usize) -> Leave {
        let before = H::set_seat(Some(Seat { core: self, worker: me }));
        #[cfg(any(feature = "std", target_arch = "wasm32", test))]
        let _stay = fork::hot::enter(&self.host.lane(me).window);
        let leave = Worker::new(self, me).work();
        H::set_seat(before);
        leave
    }

    /// Runs worker `me` from the moment it has announced sleep: `meanwhile` happens, then it wakes up. For models whose race begins in
    /// this state, so that they need not search for it.
    #[cfg(all(test, loom))]
    pub(crate) fn run_woken(&self, me: usize, meanwhile: impl FnOnce()) -> Leave {
        let mut worker = Worker::new(self, me);
        self.idle.announce_sleep(me, false);
        meanwhile();
        worker.end_sleep();
        worker.work()
    }

    /// Tells every worker to stop when nothing is queued any more.
    pub(crate) fn close(&self) {
        for worker in 0..self.host.workers() {
            self.host.word(worker).set_stop();
        }
    }
}

/// A worker inside the loop.
struct Worker<'a, H: Host> {
    core: &'a Core<H>,
    me: usize,
    /// Whether this worker's searcher bit is set. Nobody else clears it; a waker may set it while this worker sleeps.
    searching: bool,
    turn: u32,
    random: u32,
    tally: Tally,
}

/// Counters are published this often, and before every sleep.
const PUBLISH_EVERY: u64 = 64;

impl<'a, H: Host> Worker<'a, H> {
    fn new(core: &'a Core<H>, me: usize) -> Self {
        Worker { core, me, searching: false, turn: 0, random: seed(me), tally: Tally::default() }
    }

    fn work(mut self) -> Leave {
        let word = self.core.host.word(self.me);
        let leave = loop {
            H::adopt_memory();
            // JS has priority, whatever is queued.
            if word.load().messages() > 0 {
                break Leave::Messages;
            }
            if let Some(task) = self.next() {
                self.found();
                self.execute(task);
                continue;
            }
            self.core.idle.announce_sleep(self.me, self.searching);
            self.searching = false;
            // Orders the announcement before the second look; partner: `wake_one`.
            fence_after_publication();
            // STOP is read before the queues: what was submitted before the pool was closed is then seen by the second look (race 28). And
            // before sleeping: it stays in the word, and a word with a reason ends every sleep (M9).
            let stop = word.load().stop();
            if self.core.anything_queued() {
                self.end_sleep();
                // Searching, also beyond the limit for searchers: what was seen must be looked for.
                self.search_on();
                continue;
            }
            if stop {
                self.end_sleep();
                break Leave::Stop;
            }
            self.publish_tally();
            let slept = word.park();
            self.end_sleep();
            match slept {
                Ok(times) => self.tally.slept += u64::from(times),
                Err(_) => break Leave::Again,
            }
        };
        self.leave();
        leave
    }

    /// The next task: own ring, injector, other rings.
    fn next(&mut self) -> Option<Task> {
        self.turn = self.turn.wrapping_add(1);
        let local = if self.turn.is_multiple_of(INJECTOR_FIRST) {
            self.pop_injector().or_else(|| self.pop_own())
        } else {
            self.pop_own().or_else(|| self.pop_injector())
        };
        local.or_else(|| self.search())
    }

    fn pop_own(&mut self) -> Option<Task> {
        // SAFETY: this thread is the only one that is worker `me`, and the owner ends before any task runs.
        unsafe { self.core.host.lane(self.me).ring.owner() }.pop()
    }

    /// Takes a batch: the first task to run, the others into the own ring.
    fn pop_injector(&mut self) -> Option<Task> {
        // SAFETY: as in `pop_own`; the tasks are only moved while the owner is in use.
        let mut own = unsafe { self.core.host.lane(self.me).ring.owner() };
        let (mut first, mut moved) = (None, false);
        let most = BATCH.min(own.free() + 1);
        let mut rejected = None;
        self.core.injector.pop_batch::<H>(self.core.host.workers(), most, |task| match &first {
            None => first = Some(task),
            // `most` leaves room for all of them.
            Some(_) => match own.push(task) {
                Ok(()) => moved = true,
                Err(task) => rejected = Some(task),
            },
        });
        if let Some(task) = rejected {
            // Not reached while `free` tells the truth; a task is never lost all the same.
            self.core.injector.push::<H>(iter::once(task));
        }
        if moved {
            // While it was under way the batch was invisible to a re-check (M8).
            self.core.wake_one();
        }
        first
    }

    /// Looks into the other rings and the injector, unless half of the workers do so already.
    fn search(&mut self) -> Option<Task> {
        if !self.searching {
            let searchers = self.core.idle.load().searchers().count_ones() as usize;
            if 2 * searchers >= self.core.host.workers() {
                return None;
            }
            self.core.idle.start_search(self.me);
            self.searching = true;
        }
        self.steal().or_else(|| self.pop_injector())
    }

    /// Steals half of the first ring that has something, beginning with a random one.
    fn steal(&mut self) -> Option<Task> {
        let workers = self.core.host.workers();
        let start = self.next_random() as usize % workers;
        // SAFETY: as in `pop_own`; nothing is run while the owner is in use.
        let mut own = unsafe { self.core.host.lane(self.me).ring.owner() };
        for victim in (0..workers).map(|i| (start + i) % workers).filter(|victim| *victim != self.me) {
            if let Steal::Success((task, _)) = self.core.host.lane(victim).ring.stealer().steal_half_into(&mut own) {
                self.tally.stolen += 1;
                // What was moved, and what was left in a ring that counted as empty meanwhile, is announced by `found`: this
                // worker is a searcher, and the last searcher to find something looks at the queues again (M5, M8).
                return Some(task);
            }
            if let Some(task) = fork::steal_from(self.core, self.me, victim) {
                self.tally.stolen += 1;
                return Some(task);
            }
        }
        None
    }

    /// This worker has a task and stops searching; if nobody else searches, what is queued needs somebody new.
    fn found(&mut self) {
        if self.searching {
            self.searching = false;
            if self.core.idle.end_search(self.me) {
                self.core.hand_over();
            }
        }
    }

    /// Awake again, by whatever cause.
    fn end_sleep(&mut self) {
        self.searching = self.core.idle.end_sleep(self.me);
    }

    /// Becomes a searcher, if no waker has made this worker one already.
    fn search_on(&mut self) {
        if !self.searching {
            self.core.idle.start_search(self.me);
            self.searching = true;
        }
    }

    fn execute(&mut self, task: Task) {
        // A panic in a detached task ends here: the panic hook has reported it.
        let _ = H::catch(|| task.run());
        self.tally.run += 1;
        if self.tally.run >= PUBLISH_EVERY {
            self.publish_tally();
        }
    }

    /// On the way out, whatever this worker was woken for is handed on.
    fn leave(&mut self) {
        self.publish_tally();
        if self.searching {
            self.searching = false;
            self.core.idle.end_search(self.me);
        }
        self.core.hand_over();
    }

    fn publish_tally(&mut self) {
        self.core.host.lane(self.me).counters.add(&mut self.tally);
    }

    fn next_random(&mut self) -> u32 {
        // Marsaglia's xorshift32.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }
}

/// A different non-zero start for each worker's generator. Not random: runs can be repeated.
fn seed(worker: usize) -> u32 {
    0x9e37_79b9_u32.wrapping_mul(worker as u32 + 1) | 1
}
