//! A worker's turn: what it takes, in which order, and how it goes to sleep.
//!
//! The steps are numbered in this crate's `README.md` ("A worker's turn"); this is their code.

use weblane_ring::steal::Steal;

use crate::awake::Awake;
use crate::fork;
use crate::host::{Host, RING};
use crate::injector::Priority;
use crate::primitive::fence_after_publication;
use crate::scheduler::{Core, Leave};
use crate::stats::{Count, Tally};
use crate::task::Task;
use crate::trace::{self, Event, Queue};

/// Every so many turns the shared queue comes before the worker's own ring, so that it cannot be starved (race 33). A prime, so
/// that it does not beat in time with the tasks.
const INJECTOR_FIRST: u32 = 61;

/// Every so many turns background tasks come first, so that they are not starved for ever. A prime too.
const BACKGROUND_FIRST: u32 = 509;

/// The most tasks that one visit to the injector moves: half a ring, so that the ring has room for what they spawn.
const BATCH: usize = RING / 2;

/// What a visit to the injector came to.
struct Batch {
    /// To be run now.
    first: Option<Task>,
    /// How many others are in the own ring.
    moved: usize,
    /// Whether somebody must be told that something is left.
    left: bool,
}

/// A worker inside the loop.
pub(crate) struct Worker<'a, H: Host> {
    pub(crate) core: &'a Core<H>,
    pub(crate) me: usize,
    /// Whether this worker's searcher bit is set. Nobody else clears it; a waker may set it while this worker sleeps.
    searching: bool,
    turn: u32,
    random: u32,
    tally: Tally,
    /// Whether it has run nothing since it woke up.
    idle_since_sleep: bool,
    awake: Awake,
}

/// Counters are published this often, and before every sleep.
const PUBLISH_EVERY: u64 = 64;

impl<'a, H: Host> Worker<'a, H> {
    pub(crate) fn new(core: &'a Core<H>, me: usize) -> Self {
        Worker {
            core,
            me,
            searching: false,
            turn: 0,
            random: seed(me),
            tally: Tally::default(),
            idle_since_sleep: false,
            awake: Awake::new(H::now()),
        }
    }

    pub(crate) fn work(mut self) -> Leave {
        let leave = loop {
            if let Err(leave) = self.turn() {
                break leave;
            }
        };
        self.leave();
        trace::event(if leave == Leave::Stop { Event::Stopped } else { Event::Leave });
        leave
    }

    /// One turn. A function of its own, and never a part of the loop: an engine compiles a function well once it has been called often, but a call
    /// that lasts goes on with what was compiled in haste, and the loop's call lasts as long as there is work.
    #[inline(never)]
    fn turn(&mut self) -> Result<(), Leave> {
        H::adopt_memory();
        // JS has priority, whatever is queued.
        if trace::step(|| self.core.host.word(self.me).load().messages(), |count| Event::Js(*count)) > 0 {
            return Err(Leave::Messages);
        }
        if H::must_come_out() {
            return Err(Leave::Again);
        }
        let Some(task) = self.next() else { return self.sleep() };
        self.found();
        self.execute(task);
        Ok(())
    }

    /// The end of a turn that has found nothing.
    #[inline(never)]
    fn sleep(&mut self) -> Result<(), Leave> {
        let word = self.core.host.word(self.me);
        trace::step(|| self.core.idle.announce_sleep(self.me, self.searching), |()| Event::Announce);
        self.searching = false;
        // Orders the announcement before the second look; partner: `wake_one`.
        fence_after_publication();
        // STOP is read before the queues: what was submitted before the pool was closed is then seen by the second look (race 28). And
        // before sleeping: it stays in the word, and a word with a reason ends every sleep (M9).
        let stop = trace::step(|| word.load().stop(), |stop| Event::ReadStop(*stop));
        if !trace::broken("M1") && self.core.anything_queued() {
            self.end_sleep();
            // Searching, also beyond the limit for searchers: what was seen must be looked for.
            self.search_on();
            return Ok(());
        }
        if stop {
            self.end_sleep();
            return Err(Leave::Stop);
        }
        if self.core.is_closed() {
            // Whoever is the last to fall asleep ends the pool; STOP then ends this sleep too.
            self.core.end_if_quiet();
        }
        self.before_sleep();
        let slept = word.park();
        trace::event(Event::Slept);
        self.end_sleep();
        self.idle_since_sleep = slept.is_ok();
        self.awake.begin(H::CLOCK_AT_HAND, H::now);
        match slept {
            Ok(times) => {
                self.tally.count(Count::Slept, u64::from(times));
                Ok(())
            }
            Err(_) => Err(Leave::Again),
        }
    }

    /// The next task: high ones, own ring, injector, other rings, background ones.
    fn next(&mut self) -> Option<Task> {
        self.turn = self.turn.wrapping_add(1);
        let used = self.core.injector.in_use();
        if used.none() {
            return self.next_normal();
        }
        if self.turn.is_multiple_of(BACKGROUND_FIRST)
            && let Some(task) = self.pop_injector(Priority::Background)
        {
            return Some(task);
        }
        // Every so many turns normal ones come before high ones, so that they go on, however many of the others there are.
        if used.has(Priority::High)
            && !self.turn.is_multiple_of(INJECTOR_FIRST)
            && let Some(task) = self.pop_injector(Priority::High)
        {
            return Some(task);
        }
        self.next_normal()
            .or_else(|| self.pop_injector(Priority::High))
            .or_else(|| self.pop_injector(Priority::Background))
    }

    fn next_normal(&mut self) -> Option<Task> {
        let local = if self.turn.is_multiple_of(INJECTOR_FIRST) {
            self.pop_injector(Priority::Normal).or_else(|| self.pop_own())
        } else {
            self.pop_own().or_else(|| self.pop_injector(Priority::Normal))
        };
        local.or_else(|| self.search())
    }

    pub(crate) fn pop_own(&mut self) -> Option<Task> {
        // SAFETY: this thread is the only one that is worker `me`, and the owner ends before any task runs.
        let mut own = unsafe { self.core.host.lane(self.me).ring.owner() };
        trace::step(|| own.pop(), |task| Event::Pop(Queue::Ring(self.me), usize::from(task.is_some())))
    }

    /// Takes a batch of normal tasks: the first one to run, the others into the own ring. Of other priorities one, because in the ring they
    /// would be like any other.
    pub(crate) fn pop_injector(&mut self, priority: Priority) -> Option<Task> {
        let batch = trace::steps(
            || self.take_batch(priority),
            |batch, note| {
                if priority == Priority::Normal {
                    note(Event::Pop(Queue::Shared, batch.moved + usize::from(batch.first.is_some())));
                    if batch.moved > 0 {
                        note(Event::Push(Queue::Ring(self.me), batch.moved));
                    }
                }
            },
        );
        if (batch.moved > 0 || batch.left) && !trace::broken("M8") {
            // While it was under way the batch was invisible to a re-check (M8).
            self.core.wake_one();
        }
        batch.first
    }

    fn take_batch(&self, priority: Priority) -> Batch {
        let injector = &self.core.injector;
        if injector.is_empty(priority) {
            return Batch { first: None, moved: 0, left: false };
        }
        // SAFETY: as in `pop_own`; the tasks are only moved while the owner is in use.
        let mut own = unsafe { self.core.host.lane(self.me).ring.owner() };
        let most = if priority == Priority::Normal { BATCH.min(own.free() + 1) } else { 1 };
        let (mut first, mut moved, mut rejected) = (None, 0, None);
        let left = injector.pop(priority, self.core.host.workers(), most, |task| match &first {
            None => first = Some(task),
            // `most` leaves room for all of them.
            Some(_) => match own.push(task) {
                Ok(()) => moved += 1,
                Err(task) => rejected = Some(task),
            },
        });
        if let Some(task) = rejected {
            // Not reached while `free` tells the truth; a task is never lost all the same.
            injector.push_many(priority, 1, core::iter::once(task));
        }
        Batch { first, moved, left }
    }

    /// Looks into the other rings and the injector, unless half of the workers do so already.
    fn search(&mut self) -> Option<Task> {
        if !self.searching {
            let seen = trace::step(|| self.core.idle.load(), |seen| Event::Idle(seen.sleepers(), seen.searchers()));
            let searchers = seen.searchers().count_ones() as usize;
            if 2 * searchers >= self.core.host.workers() {
                return None;
            }
            self.start_search();
        }
        self.steal().or_else(|| self.pop_injector(Priority::Normal))
    }

    /// Steals half of the first ring that has something, beginning with a random one.
    pub(crate) fn steal(&mut self) -> Option<Task> {
        let workers = self.core.host.workers();
        let start = self.next_random() as usize % workers;
        // SAFETY: as in `pop_own`; nothing is run while the owner is in use.
        let mut own = unsafe { self.core.host.lane(self.me).ring.owner() };
        for victim in (0..workers).map(|i| (start + i) % workers).filter(|victim| *victim != self.me) {
            let ring = self.core.host.lane(victim).ring.stealer_numbered(self.me as u32 + 1);
            let stolen = trace::steps(
                || ring.steal_half_into(&mut own),
                |stolen, note| match stolen {
                    Steal::Success((_, moved)) => {
                        note(Event::Steal(victim, moved + 1));
                        note(Event::StealEnd(victim));
                        if *moved > 0 {
                            note(Event::Push(Queue::Ring(self.me), *moved));
                        }
                    }
                    Steal::Empty => note(Event::Steal(victim, 0)),
                    Steal::Busy => note(Event::StealLost(victim)),
                },
            );
            if let Steal::Success((task, _)) = stolen {
                self.tally.count(Count::Stolen, 1);
                // What was moved, and what was left in a ring that counted as empty meanwhile, is announced by `found`: this
                // worker is a searcher, and the last searcher to find something looks at the queues again (M5, M8).
                return Some(task);
            }
            if let Some(task) = fork::steal_from(self.core, self.me, victim) {
                self.tally.count(Count::Stolen, 1);
                return Some(task);
            }
        }
        None
    }

    /// This worker has a task and stops searching; if nobody else searches, what is queued needs somebody new.
    fn found(&mut self) {
        if self.searching && self.end_search() && !trace::broken("M5") {
            self.core.hand_over();
        }
    }

    /// Awake again, by whatever cause.
    pub(crate) fn end_sleep(&mut self) {
        self.searching = trace::step(|| self.core.idle.end_sleep(self.me), |claimed| Event::Awake(*claimed));
    }

    /// Becomes a searcher, if no waker has made this worker one already.
    fn search_on(&mut self) {
        if !self.searching {
            self.start_search();
        }
    }

    fn start_search(&mut self) {
        trace::step(|| self.core.idle.start_search(self.me), |()| Event::Search);
        self.searching = true;
    }

    /// Returns whether it was the last searcher.
    fn end_search(&mut self) -> bool {
        self.searching = false;
        trace::step(|| self.core.idle.end_search(self.me), |last| Event::SearchEnd(*last))
    }

    pub(crate) fn execute(&mut self, task: Task) {
        self.idle_since_sleep = false;
        // It may have been queued since the turn began, from memory that has grown since (race 55).
        H::adopt_memory();
        trace::event(Event::Run);
        if self.core.discards() {
            // Dropping it tells whoever waits for it.
            let _ = H::catch(|| drop(task));
            self.tally.count(Count::Discarded, 1);
        } else {
            // A panic in a detached task ends here: the panic hook has reported it.
            let _ = H::catch(|| task.run());
            self.tally.count(Count::Run, 1);
        }
        if self.tally.read(Count::Run) >= PUBLISH_EVERY {
            self.publish_tally();
        }
    }

    /// What is counted at the end of each time awake.
    fn before_sleep(&mut self) {
        if self.idle_since_sleep {
            self.tally.count(Count::Spurious, 1);
        }
        self.count_busy();
        self.publish_tally();
    }

    pub(crate) fn count_busy(&mut self) {
        let busy = self.awake.end(H::now());
        self.tally.count(Count::Busy, busy);
    }

    /// On the way out, whatever this worker was woken for is handed on.
    fn leave(&mut self) {
        self.count_busy();
        self.publish_tally();
        if self.searching {
            self.end_search();
        }
        self.core.hand_over();
    }

    pub(crate) fn publish_tally(&mut self) {
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
