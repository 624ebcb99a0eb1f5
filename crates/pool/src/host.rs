//! What the scheduler needs of the world around it.
//!
//! The scheduler's core knows neither the browser nor the operating system. It sees threads as words to sleep on, and learns by
//! this trait where they are. So the same core runs on web workers, on native threads and in models. What is missing here
//! is missing on purpose: posting a message and coming back from the event loop are the business of the front (`web`), because
//! the core only has to *leave* when the word says that messages are under way.

use alloc::boxed::Box;
use core::any::Any;
use core::time::Duration;

use weblane_ring::steal::Ring;
use weblane_sync::ThreadWord;

use crate::fork::window::Window;
use crate::primitive::AtomicU32;
use crate::scheduler::Core;
use crate::stats::Counters;
use crate::task::Task;

/// Tasks in one worker's own ring. Small in models, so that they reach "full" and "wrapped".
pub(crate) const RING: usize = if cfg!(any(loom, shuttle)) { 4 } else { 256 };

/// A panic's payload.
pub(crate) type Payload = Box<dyn Any + Send>;

/// What belongs to one worker and is touched by all: its ring, its window of branches, and its counters.
pub(crate) struct Lane {
    pub(crate) ring: Ring<Task, RING>,
    pub(crate) window: Window,
    pub(crate) counters: Counters,
    /// While this worker sleeps for a task that runs somewhere: that task's runner, else 0.
    pub(crate) waits_for: AtomicU32,
}

impl Lane {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Lane {
        Lane { ring: Ring::new(), window: Window::new(), counters: Counters::new(), waits_for: AtomicU32::new(0) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Lane {
        Lane { ring: Ring::new(), window: Window::new(), counters: Counters::new(), waits_for: AtomicU32::new(0) }
    }
}

/// Which worker of which pool the calling thread is, while it runs the pool's loop.
pub(crate) struct Seat<H: Host> {
    pub(crate) core: *const Core<H>,
    pub(crate) worker: usize,
}

impl<H: Host> Clone for Seat<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H: Host> Copy for Seat<H> {}

/// The surroundings of one pool.
pub(crate) trait Host: Sized + Send + Sync + 'static {
    /// The number of workers, 1 to [`MAX_POOL`](crate::idle::MAX_POOL).
    fn workers(&self) -> usize;

    /// The word on which a worker sleeps.
    fn word(&self, worker: usize) -> &ThreadWord;

    /// A worker's ring and counters.
    fn lane(&self, worker: usize) -> &Lane;

    /// The calling thread's seat, if it is inside the loop of a pool with this kind of host.
    fn seat() -> Option<Seat<Self>>;

    /// Sets the calling thread's seat, and returns the one before.
    fn set_seat(seat: Option<Seat<Self>>) -> Option<Seat<Self>>;

    /// The calling thread's number among those that run jobs and can die alone, 1 to 65535; 0 for every other thread.
    fn runner() -> u32 {
        0
    }

    /// The worker of this pool with that number.
    fn worker_of(&self, runner: u32) -> Option<usize> {
        let _ = runner;
        None
    }

    /// Whether [`now`](Host::now) costs next to nothing.
    const CLOCK_AT_HAND: bool = true;

    /// The time since some fixed moment. Only differences say something.
    fn now() -> Duration {
        Duration::ZERO
    }

    /// The calling thread's seat while it rests in its event loop (`held`), and runs somebody's JS.
    fn resting() -> Option<Seat<Self>> {
        None
    }

    /// Sets what [`resting`](Host::resting) says.
    fn set_resting(seat: Option<Seat<Self>>) {
        let _ = seat;
    }

    /// Runs user code and stops a panic, where panics can be stopped.
    fn catch<R>(run: impl FnOnce() -> R) -> Result<R, Payload>;

    /// Calls a worker that rests in its event loop; see `held`.
    fn call(&self, worker: usize) {
        let _ = worker;
    }

    /// Whether the calling worker must run in slices from now on, because somebody holds it in its event loop.
    fn must_come_out() -> bool {
        false
    }

    /// Before handing memory to other threads.
    fn publish_memory() {}

    /// Before touching memory that other threads have handed over.
    fn adopt_memory() {}
}
