//! Waiting for the end of a pool: by blocking where that is allowed, by a future anywhere.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use core::task::Waker;

use weblane_futex::{AtomicU32, growth};

use crate::primitive::ShortLock;

const ENDED: u32 = 1;

/// Whether a pool has ended, and who waits for it.
///
/// The word goes from 0 to ENDED once. A future leaves its waker **and then** reads the word again; who ends the pool sets the word **and
/// then** takes the wakers, both under the lock of the list: one of them sees the other.
pub(crate) struct Ended {
    word: AtomicU32,
    wakers: ShortLock<Vec<Waker>>,
}

impl Ended {
    pub(crate) fn new() -> Ended {
        Ended { word: AtomicU32::new(0), wakers: ShortLock::new(Vec::new()) }
    }

    pub(crate) fn is_set(&self) -> bool {
        // Acquire: pairs with the Release in `set`; what the workers did comes before.
        self.word.load(Ordering::Acquire) == ENDED
    }

    pub(crate) fn set(&self) {
        // Release: pairs with the Acquire in `is_set`.
        self.word.swap(ENDED, Ordering::Release);
        weblane_futex::notify_all(&self.word);
        // Woken outside the lock: a waker's code is anybody's.
        let wakers = self.wakers.with(core::mem::take);
        // What they lead to is whoever waits' (race 55).
        growth::adopt();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Sleeps until the end.
    pub(crate) fn wait(&self) -> Result<(), weblane_futex::MayNotBlock> {
        if !weblane_futex::can_block() && !self.is_set() {
            return Err(weblane_futex::MayNotBlock);
        }
        while !self.is_set() {
            // Whatever it returns, the word decides.
            let _ = weblane_futex::wait(&self.word, 0, None);
        }
        Ok(())
    }

    /// Whether it has ended; if not, `waker` is woken at the end.
    pub(crate) fn poll(&self, waker: &Waker) -> bool {
        if self.is_set() {
            return true;
        }
        let waker = waker.clone();
        growth::publish();
        let mut same = None;
        self.wakers.with(|wakers| match wakers.iter_mut().find(|waiting| waiting.will_wake(&waker)) {
            Some(_) => same = Some(waker),
            None => wakers.push(waker),
        });
        // Dropped outside the lock.
        drop(same);
        self.is_set()
    }
}

#[cfg(all(test, loom))]
mod model {
    use core::future::poll_fn;
    use core::task::Poll;

    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// What the workers have done before the end: loom reports who reads it too early.
    struct Work(UnsafeCell<u32>);

    // SAFETY: written before the end, and read after it.
    unsafe impl Sync for Work {}
    // SAFETY: a number.
    unsafe impl Send for Work {}

    impl Work {
        fn is_seen(&self) {
            // SAFETY: nobody writes after the end.
            assert_eq!(self.0.with(|work| unsafe { *work }), 1);
        }
    }

    /// Race 29: the end comes while somebody begins to wait for it, by a future here and by blocking there. A lost wake-up is a deadlock, which loom reports;
    /// and who has waited sees what was done before.
    #[test]
    fn race_29_end_vs_who_waits() {
        crate::tests::model::model(|| {
            let (ended, work) = (Arc::new(Ended::new()), Arc::new(Work(UnsafeCell::new(0))));
            let setter = {
                let (ended, work) = (Arc::clone(&ended), Arc::clone(&work));
                thread::spawn(move || {
                    // SAFETY: before the end.
                    work.0.with_mut(|work| unsafe { *work = 1 });
                    ended.set();
                })
            };
            let sleeper = {
                let (ended, work) = (Arc::clone(&ended), Arc::clone(&work));
                thread::spawn(move || {
                    ended.wait().unwrap();
                    work.is_seen();
                })
            };
            loom::future::block_on(poll_fn(|context| match ended.poll(context.waker()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }));
            work.is_seen();
            setter.join().unwrap();
            sleeper.join().unwrap();
        });
    }
}
