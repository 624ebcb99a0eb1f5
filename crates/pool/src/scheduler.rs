//! The scheduler: where a task waits, who runs it, who sleeps, and who wakes whom.
//!
//! The protocol, its argument and its list of races stand in this crate's `README.md`; this file is its code, step by step.
//! In one paragraph: every worker has a ring of its own; what other threads submit, and what a ring has no room for, goes to
//! the injector; a worker takes from its ring, then the injector, then steals half of somebody's ring. A worker with nothing to
//! do announces that it sleeps, looks once more, and sleeps on its thread's word. Whoever publishes a task wakes one
//! sleeper, unless somebody is searching already: a searcher that finds something and was the last one wakes the next.
//! A worker whose word says that JS messages are under way returns to the event loop, whatever is queued.

use core::sync::atomic::Ordering;
use core::time::Duration;

use weblane_ring::steal::Steal;
use weblane_sync::Wake;

use crate::ended::Ended;
use crate::fork;
use crate::held::Held;
use crate::host::{Host, Lane, RING, Seat};
use crate::idle::Idle;
use crate::injector::{Injector, Priority};
use crate::primitive::{AtomicU32, fence_after_publication};
use crate::stats::{Count, Tally};
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
    pub(crate) idle: Idle,
    pub(crate) held: Held,
    injector: Injector,
    /// CLOSED, DISCARD, STOPPED.
    closing: AtomicU32,
    /// A bit for each worker that has left for good: stopped or dead.
    gone: AtomicU32,
    /// Set when all have.
    ended: Ended,
}

/// Nothing is accepted from outside any more.
const CLOSED: u32 = 1 << 0;
/// What is queued is dropped instead of run.
const DISCARD: u32 = 1 << 1;
/// The workers have been told to stop. Once: a word may belong to another pool soon after.
const STOPPED: u32 = 1 << 2;

/// Every so many turns the shared queue comes before the worker's own ring, so that it cannot be starved (race 33). A prime, so
/// that it does not beat in time with the tasks.
const INJECTOR_FIRST: u32 = 61;

/// Every so many turns background tasks come first, so that they are not starved for ever. A prime too.
const BACKGROUND_FIRST: u32 = 509;

/// The most tasks that one visit to the injector moves: half a ring, so that the ring has room for what they spawn.
const BATCH: usize = RING / 2;

impl<H: Host> Core<H> {
    pub(crate) fn new(host: H) -> Core<H> {
        Core {
            host,
            idle: Idle::new(),
            held: Held::new(),
            injector: Injector::new(),
            closing: AtomicU32::new(0),
            gone: AtomicU32::new(0),
            ended: Ended::new(),
        }
    }

    /// A pool whose shared queues are single steps, for models with two workers.
    #[cfg(all(test, loom))]
    pub(crate) fn coarse(host: H) -> Core<H> {
        Core { injector: Injector::coarse(), ..Core::new(host) }
    }

    pub(crate) fn host(&self) -> &H {
        &self.host
    }

    /// Tasks in a shared queue, roughly.
    #[cfg_attr(not(any(feature = "std", target_arch = "wasm32")), expect(dead_code, reason = "for metrics"))]
    pub(crate) fn queued(&self, priority: Priority) -> usize {
        self.injector.len(priority)
    }

    /// A worker that sleeps, if there is one; a hint.
    #[cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "only JS tasks are placed"))]
    pub(crate) fn sleeping_worker(&self) -> Option<usize> {
        let sleepers = self.idle.load().sleepers();
        (sleepers != 0).then(|| sleepers.trailing_zeros() as usize)
    }

    // ------------------------------------------------------------------------------------------------------- submitting

    /// Queues a task: a normal one of a worker in its own ring, every other in the injector. Gives it back if the pool is closed and
    /// the caller is none of its workers in the loop.
    pub(crate) fn submit_at(&self, priority: Priority, task: Task) -> Result<(), Task> {
        H::publish_memory();
        let seat = self.seat();
        let accepted = match seat {
            Some(worker) if priority == Priority::Normal => {
                self.push_own(worker, task);
                Ok(())
            }
            _ => self.injector.push(priority, task, seat.is_some()),
        };
        // Also when it was refused: it may have left an empty place in the queue, which somebody must pass before the pool can end.
        self.wake_one();
        accepted
    }

    /// Queues a normal task, or drops it if the pool is closed.
    #[cfg_attr(not(test), allow(dead_code, reason = "for tests"))]
    pub(crate) fn submit(&self, task: Task) {
        drop(self.submit_at(Priority::Normal, task));
    }

    /// The calling thread's number in this pool, while it is in the loop.
    pub(crate) fn seat(&self) -> Option<usize> {
        H::seat().filter(|seat| core::ptr::eq(seat.core, self)).map(|seat| seat.worker)
    }

    /// Pushes to the ring of `me`, the calling worker. A full ring gives half of its tasks to the injector, in one batch.
    fn push_own(&self, me: usize, task: Task) {
        let lane = self.host.lane(me);
        // SAFETY: the seat says that this thread is worker `me`, inside its loop; the loop holds no owner while a task runs.
        let mut own = unsafe { lane.ring.owner() };
        let Err(task) = own.push(task) else { return };
        let mut moved: [Option<Task>; RING] = [const { None }; RING];
        let mut count = 0;
        own.drain_half(|task| {
            moved[count] = Some(task);
            count += 1;
        });
        moved[count] = Some(task);
        self.injector.push_many(Priority::Normal, count + 1, moved.into_iter().flatten());
        lane.counters.count(Count::Overflowed, count as u64 + 1);
    }

    /// Wakes a sleeper if nobody is searching. To be called after every publication of a task, and after every move of tasks.
    pub(crate) fn wake_one(&self) {
        // Orders the publication before the look at the idle word; partner: `announce_sleep` and the re-check in `run`.
        fence_after_publication();
        let Some(worker) = self.idle.claim() else {
            self.wake_held();
            return;
        };
        if self.call(worker) {
            return;
        }
        // Nobody slept there: it was about to, and will see the token; or it is dead, and a searcher for ever. So another is called too; if that
        // one is dead as well, the reaper calls everybody.
        if let Some(other) = self.idle.claim_beside(1 << worker) {
            self.call(other);
        }
    }

    /// Calls a worker that was claimed. Returns whether it is certain to come.
    fn call(&self, worker: usize) -> bool {
        let wake = self.host.word(worker).set_token();
        if wake == Wake::Notified {
            let lane = self.host.lane(self.seat().unwrap_or(worker));
            lane.counters.count(Count::Notified, 1);
        }
        wake != Wake::NobodyWoken
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
    pub(crate) fn anything_queued(&self) -> bool {
        !self.injector.all_empty() || self.anything_stealable()
    }

    /// Whether a ring has a task, or a window a branch.
    fn anything_stealable(&self) -> bool {
        let queued = |lane: &Lane| !lane.ring.stealer().is_empty() || !lane.window.is_empty();
        (0..self.host.workers()).any(|i| queued(self.host.lane(i)))
    }

    // ---------------------------------------------------------------------------------------------------------- the loop

    /// The loop of worker `me`. Entered with an empty JS stack; returns when the thread must do something else.
    pub(crate) fn run(&self, me: usize) -> Leave {
        let before = H::set_seat(Some(Seat { core: self, worker: me }));
        self.held.end(me);
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

    /// What a waker does that dies before it has called the worker that it has claimed.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn claim_and_die(&self) {
        assert!(self.idle.claim().is_some());
    }

    // -------------------------------------------------------------------------------------------------------- the end

    /// Refuses tasks from outside from now on; the workers stop when nothing is queued and nothing runs. With `discard`, what is queued is
    /// dropped instead of run.
    pub(crate) fn close(&self, discard: bool) {
        self.injector.close();
        self.closing.fetch_or(if discard { CLOSED | DISCARD } else { CLOSED }, Ordering::SeqCst);
        // Publish CLOSED, then read who sleeps; partner: `announce_sleep` and the look at CLOSED in `run`. One of the two finds that all sleep.
        fence_after_publication();
        self.end_if_quiet();
    }

    pub(crate) fn is_closed(&self) -> bool {
        // SeqCst: in `run` it is read after announcing sleep; partner: `close`.
        self.closing.load(Ordering::SeqCst) & CLOSED != 0
    }

    fn discards(&self) -> bool {
        // Relaxed: a task more or less.
        self.closing.load(Ordering::Relaxed) & DISCARD != 0
    }

    /// The workers that have not left for good.
    fn present(&self) -> u32 {
        let all = u32::MAX >> (32 - self.host.workers());
        all & !self.gone.load(Ordering::SeqCst)
    }

    /// Tells everybody to stop, if the pool is closed, all sleep, and nothing is queued.
    ///
    /// Between the two looks at the sleepers a worker may have been woken by a late token and have run a task; then it is not done with
    /// that: a stopped worker empties its own ring, and whatever it spawns is run by itself. Nothing is lost; the others only go home early.
    fn end_if_quiet(&self) {
        let all_sleep = || self.idle.load().sleepers() == self.present();
        if all_sleep() && self.injector.is_finished() && !self.anything_stealable() && all_sleep() {
            self.stop_all();
        }
    }

    fn stop_all(&self) {
        if self.closing.fetch_or(STOPPED, Ordering::SeqCst) & STOPPED != 0 {
            return;
        }
        for worker in 0..self.host.workers() {
            self.host.word(worker).set_stop();
        }
        self.call_all_held();
    }

    /// Worker `me` has left for good, or never came. To be called when its thread is free for others.
    pub(crate) fn left(&self, me: usize) {
        // SeqCst: the last one to leave sees all others' bits.
        let before = self.gone.fetch_or(1 << me, Ordering::SeqCst);
        if (before | 1 << me).count_ones() as usize == self.host.workers() {
            self.ended.set();
        } else if self.is_closed() {
            // It may have been the only one that did not sleep.
            self.end_if_quiet();
        }
    }

    pub(crate) fn ended(&self) -> &Ended {
        &self.ended
    }

    /// The reaper: worker `dead` runs nothing any more, and never will. For one thread at a time.
    ///
    /// 1. It neither sleeps nor searches, and nobody waits for what it has claimed in the injector.
    /// 2. It may have died between claiming a sleeper and calling it: then a live worker sleeps and is listed as a searcher, and all wake-ups freeze.
    ///    So everybody is called, whatever their words say (M11).
    /// 3. If the pool is closed, it may have been the last one awake.
    #[cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code, reason = "native threads do not die alone"))]
    pub(crate) fn bury(&self, dead: usize) {
        if self.gone.load(Ordering::SeqCst) & 1 << dead != 0 {
            return;
        }
        self.idle.bury(dead);
        self.held.end(dead);
        self.injector.skip_claimed();
        fence_after_publication();
        let present = self.present();
        for worker in (0..self.host.workers()).filter(|worker| *worker != dead && present & 1 << worker != 0) {
            self.host.word(worker).call_anyway();
        }
        self.left(dead);
    }

    // ------------------------------------------------------------------------------------------------ circles of waiters

    /// Worker `me` waits for a task that `runner` runs; 0 when it does not wait any more.
    pub(crate) fn waits_for(&self, me: usize, runner: u32) {
        // Relaxed: a note for `waits_in_circle`, which looks twice.
        self.host.lane(me).waits_for.swap(runner, Ordering::Relaxed);
    }

    /// Whether the one that `me` waits for waits, by way of others, for `me` (race 21). What is read may be out of date, so only a circle that
    /// is there again much later is one.
    pub(crate) fn waits_in_circle(&self, me: usize) -> bool {
        let mut worker = me;
        for _ in 0..self.host.workers() {
            let runner = self.host.lane(worker).waits_for.load(Ordering::Relaxed);
            match self.host.worker_of(runner) {
                Some(next) if next == me => return true,
                Some(next) => worker = next,
                None => return false,
            }
        }
        false
    }
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
    /// When it last woke up or entered.
    awake_since: Duration,
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
            awake_since: H::now(),
        }
    }

    fn work(mut self) -> Leave {
        let word = self.core.host.word(self.me);
        let leave = loop {
            H::adopt_memory();
            // JS has priority, whatever is queued.
            if word.load().messages() > 0 {
                break Leave::Messages;
            }
            if H::must_come_out() {
                break Leave::Again;
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
            if self.core.is_closed() {
                // Whoever is the last to fall asleep ends the pool; STOP then ends this sleep too.
                self.core.end_if_quiet();
            }
            self.before_sleep();
            let slept = word.park();
            self.end_sleep();
            self.idle_since_sleep = slept.is_ok();
            self.awake_since = H::now();
            match slept {
                Ok(times) => self.tally.count(Count::Slept, u64::from(times)),
                Err(_) => break Leave::Again,
            }
        };
        self.leave();
        leave
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
        unsafe { self.core.host.lane(self.me).ring.owner() }.pop()
    }

    /// Takes a batch of normal tasks: the first one to run, the others into the own ring. Of other priorities one, because in the ring they
    /// would be like any other.
    pub(crate) fn pop_injector(&mut self, priority: Priority) -> Option<Task> {
        let injector = &self.core.injector;
        if injector.is_empty(priority) {
            return None;
        }
        // SAFETY: as in `pop_own`; the tasks are only moved while the owner is in use.
        let mut own = unsafe { self.core.host.lane(self.me).ring.owner() };
        let most = if priority == Priority::Normal { BATCH.min(own.free() + 1) } else { 1 };
        let (mut first, mut moved, mut rejected) = (None, false, None);
        let left = injector.pop(priority, self.core.host.workers(), most, |task| match &first {
            None => first = Some(task),
            // `most` leaves room for all of them.
            Some(_) => match own.push(task) {
                Ok(()) => moved = true,
                Err(task) => rejected = Some(task),
            },
        });
        if let Some(task) = rejected {
            // Not reached while `free` tells the truth; a task is never lost all the same.
            injector.push_many(priority, 1, core::iter::once(task));
        }
        if moved || left {
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
        self.steal().or_else(|| self.pop_injector(Priority::Normal))
    }

    /// Steals half of the first ring that has something, beginning with a random one.
    pub(crate) fn steal(&mut self) -> Option<Task> {
        let workers = self.core.host.workers();
        let start = self.next_random() as usize % workers;
        // SAFETY: as in `pop_own`; nothing is run while the owner is in use.
        let mut own = unsafe { self.core.host.lane(self.me).ring.owner() };
        for victim in (0..workers).map(|i| (start + i) % workers).filter(|victim| *victim != self.me) {
            if let Steal::Success((task, _)) = self.core.host.lane(victim).ring.stealer().steal_half_into(&mut own) {
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

    pub(crate) fn execute(&mut self, task: Task) {
        self.idle_since_sleep = false;
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
        let busy = H::now().saturating_sub(self.awake_since);
        self.tally.count(Count::Busy, busy.as_micros() as u64);
    }

    /// On the way out, whatever this worker was woken for is handed on.
    fn leave(&mut self) {
        self.count_busy();
        self.publish_tally();
        if self.searching {
            self.searching = false;
            self.core.idle.end_search(self.me);
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
