//! A watchdog for debug builds, and for others with the feature `watchdog`: a pool that has tasks queued, and whose workers all sleep, for a
//! second, has lost a wake-up.
//!
//! That must never happen; if it does, the state of every word is what one needs to find out why. So it is printed, and counted, and everybody is
//! called, which gets the pool going again. Natively a thread looks twice a second; on the web a timer of the page's main thread does, because
//! workers that sleep have no timers. It ends with its pool. While the main thread is blocked nobody looks, and nobody is accused for it: what
//! counts is the number of looks, not the time between.
//!
//! *Asleep* is who has announced it (`idle`), who rests in its event loop (`held`), and who was claimed and called, and is parked all the same: a
//! notification that was lost is a lost wake-up too. A worker that runs JS, or is on its way in or out, is awake.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::host::Host;
use crate::scheduler::Core;
use crate::stats::Count;

impl<H: Host> Core<H> {
    /// If something is queued although everybody sleeps: how many tasks have run so far. The same answer a second later means that nothing moves.
    pub(crate) fn seems_stuck(&self) -> Option<u64> {
        let all_sleep = || {
            let present = self.present();
            let parked = |worker: &usize| self.host.word(*worker).load().parked();
            let parked = (0..self.host.workers()).filter(parked).fold(0, |parked, worker| parked | 1 << worker);
            present != 0 && present & !(self.idle.load().sleepers() | self.held.load() | parked) == 0
        };
        let run = || (0..self.host.workers()).map(|worker| self.host.lane(worker).counters.read(Count::Run)).sum();
        (all_sleep() && self.anything_queued() && all_sleep()).then(run)
    }

    /// The state of every word, for people.
    pub(crate) fn state_of_all(&self) -> String {
        let queued = crate::Priority::ALL.map(|priority| self.queued(priority));
        let mut text = format!(
            "{:?}; held: {:#b}; in the shared queues: {queued:?}; present: {:#b}",
            self.idle.load(),
            self.held.load(),
            self.present()
        );
        for worker in 0..self.host.workers() {
            let (word, lane) = (self.host.word(worker).load(), self.host.lane(worker));
            let ring = lane.ring.stealer();
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "\n  worker {worker}: {word:?}; {} in its ring (looks empty: {})",
                ring.len(),
                ring.is_empty()
            );
        }
        text
    }

    /// Gets everybody to look.
    pub(crate) fn call_everybody(&self) {
        for worker in 0..self.host.workers() {
            self.host.word(worker).call_anyway();
            self.host.call(worker);
        }
    }
}

/// Between two looks.
#[cfg(any(debug_assertions, feature = "watchdog", test))]
pub(crate) const EVERY: core::time::Duration = core::time::Duration::from_millis(500);

/// Looks in a row that must find the same before it barks: a second from the first to the last.
const LOOKS: u32 = 3;

/// How often any watchdog of this program has barked.
static BARKED: AtomicU32 = AtomicU32::new(0);

/// How often the watchdog of any pool of this program has found a pool with queued tasks and all workers asleep for a second. Always 0, unless the
/// pool has a bug; only counted in debug builds and with the feature `watchdog`.
#[doc(hidden)]
#[must_use]
pub fn watchdog_barks() -> u32 {
    BARKED.load(Ordering::Relaxed)
}

/// Queues a task and wakes nobody: a wake-up that is lost on purpose, for the watchdog's own test in a page.
#[cfg(all(target_arch = "wasm32", feature = "watchdog"))]
#[doc(hidden)]
pub fn lose_a_wake_up(pool: &crate::ThreadPool, task: impl FnOnce() + Send + 'static) {
    let task = crate::task::Task::new(task);
    drop(pool.owner.core().injector.push(crate::Priority::Normal, task, false));
}

/// One pool's watchdog.
#[derive(Default)]
pub(crate) struct Watchdog {
    before: Option<u64>,
    looks: u32,
}

impl Watchdog {
    /// Looks at the pool; the report, if it has been stuck for as many looks as it takes. Everybody has been called then.
    pub(crate) fn look<H: Host>(&mut self, core: &Core<H>) -> Option<String> {
        let now = core.seems_stuck();
        self.looks = if now.is_some() && now == self.before { self.looks + 1 } else { u32::from(now.is_some()) };
        self.before = now;
        if self.looks < LOOKS {
            return None;
        }
        self.looks = 0;
        // Relaxed: a count for people and tests.
        BARKED.fetch_add(1, Ordering::Relaxed);
        let text =
            format!("weblane-pool: tasks are queued and all workers sleep; a bug of the pool. {}", core.state_of_all());
        core.call_everybody();
        Some(text)
    }
}

#[cfg(all(not(target_arch = "wasm32"), any(debug_assertions, feature = "watchdog", test)))]
pub(crate) mod thread {
    use std::sync::Weak;

    use super::{EVERY, Watchdog};
    use crate::host::Host;
    use crate::scheduler::Core;

    /// Looks after a pool until it is gone or has ended. In tests a pool that gets stuck, and is not `expected` to, ends the process: no suite is
    /// green with it.
    pub(crate) fn watch<H: Host>(core: Weak<Core<H>>, expected: bool) {
        let look = move || {
            let mut watchdog = Watchdog::default();
            loop {
                std::thread::sleep(EVERY);
                let Some(core) = core.upgrade().filter(|core| !core.ended().is_set()) else { return };
                if let Some(report) = watchdog.look(&core) {
                    std::eprintln!("{report}");
                    if cfg!(test) && !expected {
                        std::process::abort();
                    }
                }
            }
        };
        // A machine that refuses the thread has no watchdog.
        let _ = std::thread::Builder::new().name("weblane watchdog".into()).spawn(look);
    }
}

#[cfg(all(test, not(any(loom, shuttle)), feature = "std"))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::injector::Priority;
    use crate::native::NativeHost;
    use crate::task::Task;

    /// A wake-up that is lost on purpose: a worker sleeps, and a task is queued without anybody being called.
    #[test]
    fn a_lost_wake_up_is_noticed_and_cured() {
        let core = Arc::new(Core::new(NativeHost::new(1)));
        let worker = {
            let core = Arc::clone(&core);
            std::thread::spawn(move || core.run(0))
        };
        while !core.host().word(0).load().parked() {
            std::thread::yield_now();
        }
        assert_eq!(core.seems_stuck(), None, "nothing is queued");
        let ran = Arc::new(AtomicU32::new(0));
        let inner = Arc::clone(&ran);
        let task = Task::new(move || {
            inner.store(1, Ordering::Relaxed);
        });
        assert!(core.injector.push(Priority::Normal, task, false).is_ok());
        assert_eq!(core.seems_stuck(), Some(0));
        let text = core.state_of_all();
        assert!(
            text.contains("sleepers: 0b1") && text.contains("parked: true") && text.contains("[0, 1, 0]"),
            "{text}"
        );
        thread::watch(Arc::downgrade(&core), true);
        while ran.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        core.close(false);
        worker.join().expect("no panic");
        core.left(0);
        assert_ne!(watchdog_barks(), 0);
    }

    /// It takes as many looks in a row that find the same; a task that has run meanwhile begins anew.
    #[test]
    fn it_barks_at_what_stays_and_not_at_what_moves() {
        let core = Core::new(NativeHost::new(2));
        let mut watchdog = Watchdog::default();
        let mut look = || watchdog.look(&core).is_some();
        let push = || assert!(core.injector.push(Priority::Normal, Task::new(|| ()), false).is_ok());
        push();
        assert!(!(look() || look() || look() || look()), "both are awake");
        core.idle.announce_sleep(0, false);
        core.held.announce(1);
        assert!(!(look() || look()));
        core.host().lane(0).counters.count(Count::Run, 1);
        assert!(!(look() || look()), "one has run");
        core.idle.end_sleep(0);
        assert!(!look(), "one is awake");
        core.idle.announce_sleep(0, false);
        assert!(!(look() || look()));
        assert!(look(), "the third in a row");
        assert!(!(look() || look()), "and not with every look from then on");
        assert!(core.host().word(0).load().token(), "everybody is called");
    }
}
