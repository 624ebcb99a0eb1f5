//! The scheduler: where a task waits, who runs it, who sleeps, and who wakes whom.
//!
//! The protocol, its argument and its list of races stand in this crate's `README.md`; this file is its code, step by step.
//! In one paragraph: every worker has a ring of its own; what other threads submit, and what a ring has no room for, goes to
//! the injector; a worker takes from its ring, then the injector, then steals half of somebody's ring. A worker with nothing to
//! do announces that it sleeps, looks once more, and sleeps on its thread's word. Whoever publishes a task wakes one
//! sleeper, unless somebody is searching already: a searcher that finds something and was the last one wakes the next.
//! A worker whose word says that JS messages are under way returns to the event loop, whatever is queued.

use core::mem::MaybeUninit;
use core::sync::atomic::Ordering;

use weblane_sync::Wake;

use crate::ended::Ended;
use crate::fork;
use crate::held::Held;
use crate::host::{Host, Lane, RING, Seat};
use crate::idle::Idle;
use crate::injector::{Injector, Priority};
use crate::primitive::{AtomicU32, fence_after_publication};
use crate::stats::Count;
use crate::task::Task;
use crate::trace::{self, Event, Queue};
use crate::worker::Worker;

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
    pub(crate) host: H,
    pub(crate) idle: Idle,
    pub(crate) held: Held,
    /// What its jobs say that they are of, 1 to 1023.
    tag: u32,
    pub(crate) injector: Injector,
    /// CLOSED, DISCARD, STOPPED.
    pub(crate) closing: AtomicU32,
    /// A bit for each worker that has left for good: stopped or dead.
    pub(crate) gone: AtomicU32,
    /// Set when all have.
    pub(crate) ended: Ended,
}

impl<H: Host> Core<H> {
    pub(crate) fn new(host: H) -> Core<H> {
        Core {
            host,
            idle: Idle::new(),
            held: Held::new(),
            tag: next_tag(),
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

    pub(crate) fn tag(&self) -> u32 {
        self.tag
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
            _ => trace::steps(
                || self.injector.push(priority, task, seat.is_some()),
                |accepted, note| {
                    if priority == Priority::Normal && accepted.is_ok() {
                        note(Event::Push(Queue::Shared, 1));
                    }
                },
            ),
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
        let push = trace::step(
            || own.push(task),
            |pushed| if pushed.is_ok() { Event::Push(Queue::Ring(me), 1) } else { Event::Full },
        );
        let Err(task) = push else { return };
        // Not filled before, and not copied afterwards: each of these costs as much as a tenth of the pushes that it takes to fill a ring.
        let mut moved = [const { MaybeUninit::uninit() }; RING / 2 + 1];
        let mut count = 0;
        let mut keep = |task: Task| {
            moved[count].write(task);
            count += 1;
        };
        trace::step(|| own.drain_half(&mut keep), |count| Event::Pop(Queue::Ring(me), *count));
        keep(task);
        // SAFETY: the first `count` were written, by `keep`, and each is read once.
        let tasks = moved[..count].iter().map(|task| unsafe { task.assume_init_read() });
        trace::step(|| self.injector.push_many(Priority::Normal, count, tasks), |()| Event::Push(Queue::Shared, count));
        lane.counters.count(Count::Overflowed, count as u64);
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
        let wake = trace::steps(
            || self.host.word(worker).set_token(),
            |wake, note| {
                note(Event::Token(worker));
                if *wake == Wake::NobodyWoken {
                    note(Event::NobodyWoken(worker));
                }
            },
        );
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
        trace::step(|| !self.injector.all_empty(), |some| Event::Look(Queue::Shared, *some))
            || (0..self.host.workers()).any(|worker| {
                let lane = self.host.lane(worker);
                trace::step(|| !lane.ring.stealer().is_empty(), |some| Event::Look(Queue::Ring(worker), *some))
                    || !lane.window.is_empty()
            })
    }

    /// Whether a ring has a task, or a window a branch.
    pub(crate) fn anything_stealable(&self) -> bool {
        let queued = |lane: &Lane| !lane.ring.stealer().is_empty() || !lane.window.is_empty();
        (0..self.host.workers()).any(|i| queued(self.host.lane(i)))
    }

    // ---------------------------------------------------------------------------------------------------------- the loop

    /// The loop of worker `me`. Entered with an empty JS stack; returns when the thread must do something else.
    pub(crate) fn run(&self, me: usize) -> Leave {
        let before = H::set_seat(Some(Seat { core: self, worker: me }));
        self.end_rest(me);
        #[cfg(any(feature = "std", target_arch = "wasm32", test))]
        let _stay = fork::hot::enter(&self.host.lane(me).window);
        trace::event(Event::Enter);
        let leave = unless_it_panics(|| Worker::new(self, me).work());
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

    /// What a worker does that dies while it searches.
    #[cfg(all(test, loom))]
    pub(crate) fn search_and_die(&self, me: usize) {
        self.idle.start_search(me);
        let _ = self.anything_queued();
    }

    /// What a waker does that dies before it has called the worker that it has claimed.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn claim_and_die(&self) {
        assert!(self.idle.claim().is_some());
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

/// Tags of pools, given out in turn; after 1023 of them they come again.
fn next_tag() -> u32 {
    // Not the models' atomic: it lives longer than one execution.
    static TAGS: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);
    TAGS.fetch_add(1, Ordering::Relaxed) % 1023 + 1
}

/// Runs the pool's own code, in which a panic must not be survived: it would leave words, rings and counts in the middle of a step, and others waiting
/// for ever (race 19). A panic that leaves `run` ends the process, or on the web the worker. Users' code is caught before it gets here.
pub(crate) fn unless_it_panics<R>(run: impl FnOnce() -> R) -> R {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            // Dropped by an unwinding panic only; a panic while panicking aborts, with both messages.
            panic!("weblane-pool: the pool's own code panicked; this is a bug of the pool, and nothing can go on");
        }
    }

    let bomb = Bomb;
    let result = run();
    core::mem::forget(bomb);
    result
}
