//! Race 55: whoever touches what another thread has made has adopted the memory that there was when it was made.
//!
//! This thread plays all the others. Memory is a number of pages here, and what is made remembers how many there were. Whether it may be touched can be
//! asked at any time: that number must have been published, and adopted after that.

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread_local;
use std::vec::Vec;

use weblane_sync::ThreadWord;

use crate::fork::{self, hot};
use crate::handle::Handle;
use crate::host::{Host, Lane, Payload, Seat};
use crate::job::JobRef;
use crate::scheduler::{Core, Leave};
use crate::task::Task;

struct Grown {
    threads: Vec<(ThreadWord, Lane)>,
}

thread_local! {
    static SEAT: Cell<Option<Seat<Grown>>> = const { Cell::new(None) };
    /// Pages that there are, that are known to everybody, and that this thread knows to be there.
    static PAGES: Cell<u32> = const { Cell::new(1) };
    static PUBLISHED: Cell<u32> = const { Cell::new(1) };
    static ADOPTED: Cell<u32> = const { Cell::new(1) };
    /// What others do when a turn has begun.
    #[allow(clippy::type_complexity, reason = "once")]
    static MEANWHILE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

impl Host for Grown {
    threads_of_tests!();

    fn must_come_out() -> bool {
        if let Some(run) = MEANWHILE.take() {
            run();
        }
        false
    }

    fn publish_memory() {
        PUBLISHED.set(PAGES.get());
    }

    fn adopt_memory() {
        ADOPTED.set(PUBLISHED.get());
    }
}

fn core(workers: usize) -> Arc<Core<Grown>> {
    Arc::new(Core::new(Grown { threads: (0..workers).map(|_| (ThreadWord::new(), Lane::new())).collect() }))
}

/// Something on a page that is new.
struct Made(u32);

impl Made {
    fn now() -> Made {
        PAGES.set(PAGES.get() + 1);
        Made(PAGES.get())
    }

    fn may_be_touched(&self) -> bool {
        ADOPTED.get() >= self.0
    }
}

/// A task that was there before, and one that comes when the turn has begun.
#[test]
fn race_55_a_task_runs_in_memory_that_was_adopted() {
    let core = core(1);
    let touched = Arc::new(AtomicU32::new(0));
    let made = Made::now();
    let (inner, count, before) = (Arc::clone(&core), Arc::clone(&touched), Arc::clone(&touched));
    MEANWHILE.set(Some(Box::new(move || {
        // Where it lies in the queue is looked at before the task is run.
        before.fetch_add(u32::from(made.may_be_touched()), Ordering::Relaxed);
        let made = Made::now();
        let pool = Arc::clone(&inner);
        inner.submit(Task::new(move || {
            count.fetch_add(u32::from(made.may_be_touched()), Ordering::Relaxed);
            pool.close(false);
        }));
    })));
    core.submit(Task::new(|| ()));
    assert_eq!(core.run(0), Leave::Stop);
    assert_eq!(touched.load(Ordering::Relaxed), 2);
}

#[test]
fn race_55_an_output_is_taken_from_memory_that_was_adopted() {
    let (queued, waiting) = JobRef::new::<Grown, _, _>(Made::now);
    queued.run_if_queued(7);
    let mut handle = Handle::<Made, Grown>::new(waiting);
    let made = handle.try_join().expect("it is done").expect("it ran");
    assert!(made.may_be_touched());
}

/// A branch that a thief takes, and what it brings back.
#[test]
fn race_55_a_branch_and_its_output_are_in_memory_that_was_adopted() {
    let core = core(2);
    let _stay = hot::enter(&core.host().lane(0).window);
    let before = Grown::set_seat(Some(Seat { core: &*core, worker: 0 }));
    let input = Made::now();
    let branch = || (input.may_be_touched(), Made::now());
    let steal = || {
        let taken = fork::steal_from(&core, 1, 0).expect("a branch");
        taken.run();
    };
    let ((), (touched, output)) = fork::join::join_in::<Grown, _, _, _, _>(steal, branch);
    assert!(touched && output.may_be_touched(), "{touched}");
    Grown::set_seat(before);
}
