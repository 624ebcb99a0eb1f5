//! A watchdog for debug builds: a pool that has tasks queued, and whose workers all sleep, for a second, has lost a wake-up.
//!
//! That must never happen; if it does, the state of every word is what one needs to find out why. So it is printed, and counted, and everybody is called,
//! which gets the pool going again. Natively a thread looks twice a second, as long as the pool is there. (On the web nobody looks yet.)

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use crate::host::Host;
use crate::scheduler::Core;
use crate::stats::Count;

impl<H: Host> Core<H> {
    /// If something is queued although everybody sleeps: how many tasks have run so far. The same answer a second later means that nothing moves.
    pub(crate) fn seems_stuck(&self) -> Option<u64> {
        let all_sleep = || self.idle.load().sleepers() == self.present() && self.present() != 0;
        let run = || (0..self.host.workers()).map(|worker| self.host.lane(worker).counters.read(Count::Run)).sum();
        (all_sleep() && self.anything_queued() && all_sleep()).then(run)
    }

    /// The state of every word, for people.
    pub(crate) fn state_of_all(&self) -> String {
        let queued = crate::Priority::ALL.map(|priority| self.queued(priority));
        let mut text =
            format!("{:?}; in the shared queues: {queued:?}; present: {:#b}", self.idle.load(), self.present());
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
        (0..self.host.workers()).for_each(|worker| self.host.word(worker).call_anyway());
    }
}

#[cfg(any(debug_assertions, test))]
pub(crate) mod thread {
    use std::sync::Weak;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use crate::host::Host;
    use crate::scheduler::Core;

    /// How often any watchdog of this process has barked.
    pub(crate) static BARKED: AtomicU32 = AtomicU32::new(0);

    /// Looks after a pool until it is gone or has ended.
    pub(crate) fn watch<H: Host>(core: Weak<Core<H>>) {
        let look = move || {
            let mut before = None;
            loop {
                std::thread::sleep(Duration::from_millis(500));
                let Some(core) = core.upgrade().filter(|core| !core.ended().is_set()) else { return };
                let now = core.seems_stuck();
                if now.is_some() && now == before {
                    BARKED.fetch_add(1, Ordering::Relaxed);
                    std::eprintln!(
                        "weblane-pool: tasks are queued and all workers sleep; a bug of the pool. {}",
                        core.state_of_all()
                    );
                    core.call_everybody();
                }
                before = now;
            }
        };
        // A machine that refuses the thread has no watchdog.
        let _ = std::thread::Builder::new().name("weblane watchdog".into()).spawn(look);
    }
}

#[cfg(all(test, not(any(loom, shuttle)), feature = "std"))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

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
        thread::watch(Arc::downgrade(&core));
        while ran.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        core.close(false);
        worker.join().expect("no panic");
        core.left(0);
        assert_ne!(thread::BARKED.load(Ordering::Relaxed), 0);
    }
}
