//! What the scheduler needs of the world around it.
//!
//! The scheduler's core knows neither the browser nor the operating system. It sees threads as words to sleep on, and learns by
//! this trait where they are. So the same core runs on web workers, on native threads and in models. What is missing here
//! is missing on purpose: posting a message and coming back from the event loop are the business of the front (`web`), because
//! the core only has to *leave* when the word says that messages are under way.

use alloc::boxed::Box;
use core::any::Any;

use weblane_ring::steal::Ring;
use weblane_sync::ThreadWord;

use crate::fork::window::Window;
use crate::scheduler::Core;
use crate::stats::Counters;
use crate::task::Task;

/// Tasks in one worker's own ring. Small in models, so that they reach "full" and "wrapped".
pub(crate) const RING: usize = if cfg!(loom) { 4 } else { 256 };

/// A panic's payload.
pub(crate) type Payload = Box<dyn Any + Send>;

/// What belongs to one worker and is touched by all: its ring, its window of branches, and its counters.
pub(crate) struct Lane {
    pub(crate) ring: Ring<Task, RING>,
    pub(crate) window: Window,
    pub(crate) counters: Counters,
}

impl Lane {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Lane {
        Lane { ring: Ring::new(), window: Window::new(), counters: Counters::new() }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Lane {
        Lane { ring: Ring::new(), window: Window::new(), counters: Counters::new() }
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

    /// Runs user code and stops a panic, where panics can be stopped.
    fn catch<R>(run: impl FnOnce() -> R) -> Result<R, Payload>;

    /// Before handing memory to other threads.
    fn publish_memory() {}

    /// Before touching memory that other threads have handed over.
    fn adopt_memory() {}
}
