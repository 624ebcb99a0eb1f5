//! A host for tests that run natively and under shuttle: workers are threads of the one or the other, with an event loop in which messages are counted down.

use std::cell::Cell;
use std::vec::Vec;

#[cfg(shuttle)]
use shuttle::thread_local;
#[cfg(shuttle)]
pub(super) use shuttle::{sync::Arc, thread};
#[cfg(not(shuttle))]
use std::thread_local;
#[cfg(not(shuttle))]
pub(super) use std::{sync::Arc, thread};

use weblane_sync::ThreadWord;

use crate::host::{Host, Lane, Payload, Seat};
use crate::scheduler::{Core, Leave};
use crate::trace::{self, Event};

pub(super) struct World {
    threads: Vec<(ThreadWord, Lane)>,
}

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "shuttle's cannot")]
    static SEAT: Cell<Option<Seat<World>>> = Cell::new(None);
}

impl Host for World {
    threads_of_tests!();
}

pub(super) type Pool = Arc<Core<World>>;

pub(super) fn pool(workers: usize) -> Pool {
    Arc::new(Core::new(World { threads: (0..workers).map(|_| (ThreadWord::new(), Lane::new())).collect() }))
}

/// The life of worker `me`, to its end. Returns how many messages it handled.
pub(super) fn live(pool: &Pool, me: usize) -> u32 {
    let mut handled = 0;
    loop {
        match pool.run(me) {
            Leave::Stop => break,
            Leave::Again => unreachable!("these workers may sleep"),
            Leave::Messages => {
                handled += 1;
                trace::step(|| pool.host().word(me).message_done(), |count| Event::Uncount(*count));
            }
        }
    }
    pool.left(me);
    handled
}

/// Counts a message for `worker`, which needs no posting here.
pub(super) fn post(pool: &Pool, worker: usize) {
    trace::step(|| pool.host().word(worker).message_posted(), |_| Event::Count(worker));
}
