//! Names for threads.

use core::fmt;

/// The most threads the manager keeps: the main thread and 63 workers. Their words are static, so the number is fixed.
pub const MAX_THREADS: usize = 64;

/// The most workers one page can start: every thread but the main one.
pub const MAX_WORKERS: usize = MAX_THREADS - 1;

/// The name of one thread: 0 is the browser's main thread, workers count from 1.
///
/// An id is valid from the moment [`init`](crate::init) returns it, before its worker runs, and is never given to another
/// thread.
///
/// ```
/// use weblane_workers::ThreadId;
///
/// assert_eq!(ThreadId::MAIN.index(), 0);
/// assert!(ThreadId::MAIN.is_main());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(u32);

impl ThreadId {
    /// The browser's main thread, the one that owns the page.
    pub const MAIN: ThreadId = ThreadId(0);

    /// The id with this number: 0 for the main thread, then the workers in the order in which they were created. Whether such
    /// a thread exists is for [`status`](crate::status) to say.
    #[must_use]
    pub const fn from_index(index: u32) -> ThreadId {
        ThreadId(index)
    }

    /// This thread's number.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0
    }

    /// Whether this names the main thread.
    #[must_use]
    pub const fn is_main(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn slot(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_main() { f.write_str("main thread") } else { write!(f, "worker {}", self.0) }
    }
}
