//! The watchdog of a pool in a page (`watchdog`): a timer of the main thread, which is in its event loop when all workers sleep in their futexes.

use std::sync::Weak;

use weblane_workers::{Message, ThreadId, send, timing};

use super::host::WebHost;
use crate::scheduler::Core;
use crate::watchdog::{EVERY, Watchdog};

/// Looks after a pool until it is gone or has ended. May be called on any thread; the timer is the main thread's.
pub(super) fn watch(core: Weak<Core<WebHost>>) {
    // A page whose main thread takes no message has no watchdog.
    let _ = send(ThreadId::MAIN, Message::new(move |_, _| look_later(core, Watchdog::default())));
}

fn look_later(core: Weak<Core<WebHost>>, mut watchdog: Watchdog) {
    timing::after(EVERY, move || {
        {
            let Some(core) = core.upgrade().filter(|core| !core.ended().is_set()) else { return };
            if let Some(report) = watchdog.look(&core) {
                timing::report(&report);
            }
        }
        look_later(core, watchdog);
    });
}
