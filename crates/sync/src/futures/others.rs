//! Futures of what calls all who wait: once cells, the parker, the barrier, the wait group.
//!
//! Everybody is called whenever there may be something to get, so a future that was called and dropped takes nobody's turn along. Only the
//! barrier must be told: who does not wait any more has not arrived.

use core::future::Future;
use core::sync::atomic::Ordering;

use super::{Source, Turn};
use crate::barrier::{Barrier, BarrierWaitResult, FOLLOWER, LEADER, Round};
use crate::error::LockError;
use crate::lazy_lock::LazyLock;
use crate::once::{Begin, Once, Running};
use crate::once_lock::OnceLock;
use crate::parker::{self, Parker};
use crate::primitive::AtomicU32;
use crate::wait_group::{self, WaitGroup};
use crate::word::{DONE, FUTURES, HELD, State};

/// Sets `bit` in the word while `waits` is true of it. Returns whether it was.
fn announce(word: &AtomicU32, bit: u32, waits: impl Fn(u32) -> bool) -> bool {
    // Relaxed, here and below: the table's lock orders it against whoever changes the word and looks.
    let mut seen = word.load(Ordering::Relaxed);
    while waits(seen) {
        if seen & bit != 0 {
            return true;
        }
        match word.compare_exchange(seen, seen | bit, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(now) => seen = now,
        }
    }
    false
}

/// To do it, or to see that it is done.
struct Doing<'a>(&'a Once);

impl<'a> Source for Doing<'a> {
    type Output = Option<Running<'a>>;

    fn word(&self) -> &AtomicU32 {
        &self.0.word
    }

    fn attempt(&mut self) -> Option<Option<Running<'a>>> {
        match self.0.begin() {
            Begin::Done => Some(None),
            Begin::Mine(running) => Some(Some(running)),
            Begin::Busy(_) => None,
        }
    }

    fn announce(&self) -> bool {
        announce(&self.0.word, FUTURES, |seen| State(seen).has(HELD) && !State(seen).is_abandoned())
    }

    fn cancel(&mut self, _chosen: bool) {}
}

/// To see that it is done.
struct Done<'a>(&'a Once);

impl Source for Done<'_> {
    type Output = Result<(), LockError>;

    fn word(&self) -> &AtomicU32 {
        &self.0.word
    }

    fn attempt(&mut self) -> Option<Result<(), LockError>> {
        self.0.look().ok()
    }

    fn announce(&self) -> bool {
        announce(&self.0.word, FUTURES, |seen| !State(seen).has(DONE) && !State(seen).is_abandoned())
    }

    fn cancel(&mut self, _chosen: bool) {}
}

impl Once {
    /// Does it, or waits for whoever is at it, without blocking the thread. If the other panics or dies, this does it.
    pub async fn call_once_async(&self, work: impl FnOnce()) {
        if let Some(running) = Turn::new(Doing(self)).await {
            work();
            running.complete();
        }
    }

    /// Waits until somebody has done it, without blocking the thread.
    ///
    /// # Errors
    ///
    /// [`LockError::Abandoned`] if the thread that was at it has died: somebody has to begin anew.
    pub fn wait_async(&self) -> impl Future<Output = Result<(), LockError>> {
        Turn::new(Done(self))
    }
}

impl<T> OnceLock<T> {
    /// The value; made now if there is none. If another thread is making it, waits for it without blocking the thread.
    pub async fn get_or_init_async(&self, make: impl FnOnce() -> T) -> &T {
        let running = Turn::new(Doing(&self.once)).await;
        self.settle(running, make)
    }

    /// Waits until somebody fills it, without blocking the thread.
    ///
    /// # Errors
    ///
    /// As for [`Once::wait_async`].
    pub async fn wait_async(&self) -> Result<&T, LockError> {
        self.once.wait_async().await?;
        // SAFETY: `wait_async` has seen that it is done.
        Ok(unsafe { self.filled() })
    }
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// The value, made now if need be. If another thread is making it, waits for it without blocking the thread.
    ///
    /// # Panics
    ///
    /// As for [`force`](LazyLock::force).
    pub async fn force_async(this: &LazyLock<T, F>) -> &T {
        let running = Turn::new(Doing(&this.place.once)).await;
        this.settle(running)
    }
}

struct Token<'a>(&'a Parker);

impl Source for Token<'_> {
    type Output = ();

    fn word(&self) -> &AtomicU32 {
        &self.0.word
    }

    fn attempt(&mut self) -> Option<()> {
        self.0.take().ok()
    }

    fn announce(&self) -> bool {
        announce(&self.0.word, parker::FUTURES, |seen| seen & parker::TOKEN == 0)
    }

    fn cancel(&mut self, _chosen: bool) {}
}

impl Parker {
    /// Waits for the token and takes it, without blocking the thread.
    pub fn park_async(&self) -> impl Future<Output = ()> {
        Turn::new(Token(self))
    }
}

struct Meeting<'a> {
    barrier: &'a Barrier,
    /// Where this has arrived.
    round: Option<Round>,
}

impl Source for Meeting<'_> {
    type Output = BarrierWaitResult;

    fn word(&self) -> &AtomicU32 {
        &self.barrier.word
    }

    fn attempt(&mut self) -> Option<BarrierWaitResult> {
        if let Some(round) = self.round {
            return self.barrier.is_over(round).then_some(FOLLOWER);
        }
        self.round = self.barrier.arrive();
        if self.round.is_none() { Some(LEADER) } else { None }
    }

    fn announce(&self) -> bool {
        // No mark: the last one always looks.
        !self.round.is_some_and(|round| self.barrier.is_over(round))
    }

    fn cancel(&mut self, _chosen: bool) {
        if let Some(round) = self.round {
            self.barrier.withdraw(round);
        }
    }
}

impl Barrier {
    /// Waits until all are there, without blocking the thread. It arrives when it is first polled; dropped before all are there, it has not
    /// arrived.
    pub fn wait_async(&self) -> impl Future<Output = BarrierWaitResult> {
        Turn::new(Meeting { barrier: self, round: None })
    }
}

struct Nobody<'a>(&'a WaitGroup);

impl Source for Nobody<'_> {
    type Output = ();

    fn word(&self) -> &AtomicU32 {
        &self.0.word
    }

    fn attempt(&mut self) -> Option<()> {
        self.0.busy().is_none().then_some(())
    }

    fn announce(&self) -> bool {
        announce(&self.0.word, wait_group::FUTURES, |seen| seen & wait_group::MEMBERS != 0)
    }

    fn cancel(&mut self, _chosen: bool) {}
}

impl WaitGroup {
    /// Waits until there are no members, without blocking the thread.
    pub fn wait_async(&self) -> impl Future<Output = ()> {
        Turn::new(Nobody(self))
    }
}

#[cfg(all(test, loom))]
mod models {
    use core::mem;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};
    use std::task::Wake;

    use loom::sync::Arc;
    use loom::thread;

    use super::{Begin, Once};
    use crate::{LockError, Parker, ThreadNumber};

    struct Call(Parker);

    impl Wake for Call {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        let call = std::sync::Arc::new(Call(Parker::new()));
        let waker = Waker::from(std::sync::Arc::clone(&call));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => call.0.park().unwrap(),
            }
        }
    }

    /// Somebody is at it, and dies in the middle, while `waits` runs on another thread.
    fn maker_dies(waits: fn(&Once)) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(Some(2));
        builder.check(move || {
            crate::begin_model();
            let once = Arc::new(Once::new());
            let (own, dead) = (ThreadNumber::claim().unwrap(), ThreadNumber::claim().unwrap());
            dead.adopt();
            match once.begin() {
                Begin::Mine(running) => mem::forget(running),
                _ => unreachable!("nobody else is there"),
            }
            own.adopt();
            let other = Arc::clone(&once);
            let waiter = thread::spawn(move || {
                ThreadNumber::claim().unwrap().adopt();
                waits(&other);
            });
            dead.abandon();
            waiter.join().unwrap();
        });
    }

    /// A future that comes to do it does it when the maker dies, however far it has come.
    #[test]
    fn once_doing_future_vs_abandon() {
        maker_dies(|once| {
            block_on(once.call_once_async(|| ()));
            assert!(once.is_completed());
        });
    }

    /// One that only waits learns it.
    #[test]
    fn once_waiting_future_vs_abandon() {
        maker_dies(|once| assert_eq!(block_on(once.wait_async()), Err(LockError::Abandoned)));
    }
}
