//! loom models of the reaper, who looks at a header while others end with it and make it anew.
//!
//! The reaper has no reference when it comes. So these headers stay where they are, as those of the slab do: whoever has seen that one was given
//! back makes it anew. (The headers of all other models are boxes of their own.)

use alloc::boxed::Box;
use core::task::Waker;

use loom::sync::Arc;
use loom::thread;

use super::*;
use crate::tests::model::{ModelHost, model};

/// The dead one's number, and those of two who live.
const DEAD: u32 = 9;
const WORKER: u32 = 2;
const REAPER: u32 = 3;

fn job(header: &'static Header, tag: u32, ran: &Arc<AtomicU32>) -> (JobRef, JobRef) {
    let ran = Arc::clone(ran);
    let run = move || {
        ran.fetch_add(1, Ordering::Relaxed);
    };
    // SAFETY: each model gives a header to a second job only when it was given back by the first.
    unsafe { JobRef::make_in::<ModelHost, _, ()>(NonNull::from(header), tag, Plain(run)) }
}

fn counter() -> Arc<AtomicU32> {
    Arc::new(AtomicU32::new(0))
}

/// Explores what `check` does with a header. It returns how many jobs it made there: so often the header must have been given back.
fn with_header(check: impl Fn(&'static Header) -> u32 + Send + Sync + 'static) {
    model(move || {
        let header = Box::into_raw(Box::new(Header { given_back: Some(AtomicU32::new(0)), ..Header::empty() }));
        // SAFETY: it was made just now, and is freed when every thread of the model has ended.
        let jobs = check(unsafe { &*header });
        // SAFETY: as just said; nothing refers to it any more.
        let header = unsafe { Box::from_raw(header) };
        assert_eq!(header.references.load(Ordering::Relaxed), 0, "a reference was lost, or is left");
        assert_eq!(times_given_back(&header), jobs, "a header is given back once for each of its jobs");
    });
}

impl Header {
    /// Counts that it was given back, if its memory stays where it is.
    pub(crate) fn stays_when_given_back(&self) -> bool {
        // Release: pairs with the Acquire of the model that makes it anew.
        self.given_back.as_ref().map(|count| count.fetch_add(1, Ordering::Release)).is_some()
    }
}

fn times_given_back(header: &Header) -> u32 {
    // Acquire: pairs with the Release of whoever gave it back; then it may be made anew.
    header.given_back.as_ref().map_or(0, |count| count.load(Ordering::Acquire))
}

/// Races 16, 40: the reaper queues a job again that is being made, and that another queue has too. It runs once, and who runs it has its closure.
#[test]
fn race_40_queued_again_vs_made_and_run() {
    with_header(|header| {
        let ran = counter();
        let count = Arc::clone(&ran);
        let maker = thread::spawn(move || {
            let (queued, waiting) = job(header, 1, &count);
            queued.run_if_queued(WORKER);
            // Nobody waits for it, so it may be that the reaper runs it.
            drop(waiting);
        });
        if let Some(again) = header.again(1) {
            again.run_if_queued(REAPER);
        }
        maker.join().expect("it ended");
        assert_eq!(ran.load(Ordering::Relaxed), 1);
        1
    });
}

/// Races 16, 40: the header that the reaper takes for one of its pool's is made anew for another pool. That job is none of the reaper's.
#[test]
fn race_40_queued_again_vs_made_anew() {
    with_header(|header| {
        let (ran, others) = (counter(), counter());
        let (queued, waiting) = job(header, 1, &ran);
        let own = Arc::clone(&others);
        let worker = thread::spawn(move || {
            queued.run_if_queued(WORKER);
            drop(waiting);
            if times_given_back(header) == 1 {
                let (queued, waiting) = job(header, 2, &own);
                queued.run_if_queued(WORKER);
                drop(waiting);
            }
        });
        if let Some(again) = header.again(1) {
            assert_eq!(again.header().state().tag(), 1, "a job of another pool was queued in this one");
            again.run_if_queued(REAPER);
        }
        worker.join().expect("it ended");
        assert_eq!(ran.load(Ordering::Relaxed), 1);
        1 + others.load(Ordering::Relaxed)
    });
}

/// Races 18, 40: the reaper means to tell whoever waits for a job that the dead one had ended. But that one was told, and the header is made anew: the waker
/// there is another's now, who is not to be disturbed.
#[test]
fn race_40_told_again_vs_made_anew() {
    with_header(|header| {
        let (ran, next) = (counter(), counter());
        let (queued, waiting) = job(header, 0, &ran);
        queued.run_if_queued(DEAD);
        let own = Arc::clone(&next);
        let handle = thread::spawn(move || {
            drop(waiting);
            if times_given_back(header) == 1 {
                let (queued, waiting) = job(header, 0, &own);
                // SAFETY: this is the handle.
                assert!(!unsafe { waiting.header().set_waker(Waker::noop()) });
                queued.run_if_queued(WORKER);
            }
        });
        // SAFETY: that one is an invention, and runs nothing any more.
        assert!(!unsafe { header.trap(DEAD, "") });
        handle.join().expect("it ended");
        assert_eq!(ran.load(Ordering::Relaxed), 1);
        1 + next.load(Ordering::Relaxed)
    });
}
