//! A value that is written once. When and by whom is decided by a [`Once`]; this adds the place.
//!
//! Who has the [`Running`](crate::once::Running) is alone with the place. Afterwards it is only read, by whoever has seen DONE by an Acquire load, until
//! somebody has the whole for himself.

use core::fmt;
use core::mem::{self, MaybeUninit};

use weblane_futex::MayNotBlock;

use crate::error::{LockError, NotYet};
use crate::once::{Begin, Once, Running};
use crate::primitive::{UnsafeCell, constructor};

/// A place that is filled once.
///
/// # Progress
///
/// `get` is wait-free: one load. Filling it blocks those who want to fill it too.
///
/// # Examples
///
/// ```
/// use weblane_sync::OnceLock;
///
/// static TABLE: OnceLock<Vec<u32>> = OnceLock::new();
/// let table = TABLE.get_or_init(|| (0..10).map(|n| n * n).collect())?;
/// assert_eq!(table[3], 9);
/// assert_eq!(TABLE.get().map(Vec::len), Some(10));
/// # Ok::<(), weblane_sync::MayNotBlock>(())
/// ```
pub struct OnceLock<T> {
    pub(crate) once: Once,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value may be written by one thread, read by others, and dropped by another.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}
// SAFETY: it takes its value along.
unsafe impl<T: Send> Send for OnceLock<T> {}

impl<T> OnceLock<T> {
    constructor! {
        /// An empty one.
        #[must_use]
        pub fn new() -> OnceLock<T> {
            OnceLock { once: Once::new(), value: UnsafeCell::new(MaybeUninit::uninit()) }
        }
    }

    /// The value, if it is there.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: it is done, and this thread has seen it by an Acquire load.
        self.once.is_completed().then(|| unsafe { self.filled() })
    }

    /// # Safety
    ///
    /// This thread has seen that it is done.
    pub(crate) unsafe fn filled(&self) -> &T {
        let place = self.value.get();
        // SAFETY: nobody writes to a place that was filled, while it is borrowed.
        let place: *const MaybeUninit<T> = unsafe { place.deref() };
        // SAFETY: the same, and the value lies in `self`; it was written before it was done.
        unsafe { (*place).assume_init_ref() }
    }

    pub(crate) fn fill(&self, running: Running<'_>, value: T) {
        {
            let place = self.value.get_mut();
            // SAFETY: who has the `Running` is alone with the place.
            unsafe { place.deref() }.write(value);
        }
        running.complete();
    }

    /// What `begin` and its like said, with the place filled by this thread if it is to.
    pub(crate) fn settle(&self, running: Option<Running<'_>>, make: impl FnOnce() -> T) -> &T {
        if let Some(running) = running {
            let value = make();
            self.fill(running, value);
        }
        // SAFETY: another thread was done, as this one has seen; or this one has done it.
        unsafe { self.filled() }
    }

    /// Fills it. Never blocks, on any thread.
    ///
    /// # Errors
    ///
    /// Gives the value back if there is one already, or another thread is making one.
    pub fn set(&self, value: T) -> Result<(), T> {
        match self.once.begin() {
            Begin::Mine(running) => {
                self.fill(running, value);
                Ok(())
            }
            Begin::Done | Begin::Busy(_) => Err(value),
        }
    }

    /// The value; made now if there is none. `None` if another thread is making it. Never blocks, on any thread.
    pub fn try_get_or_init(&self, make: impl FnOnce() -> T) -> Option<&T> {
        let running = match self.once.begin() {
            Begin::Done => None,
            Begin::Mine(running) => Some(running),
            Begin::Busy(_) => return None,
        };
        Some(self.settle(running, make))
    }

    /// The value; made now if there is none. If another thread is making it, waits for it: asleep on threads that may block, else
    /// spinning for a bounded time. If the other thread panics or dies, this one makes it.
    ///
    /// # Errors
    ///
    /// [`MayNotBlock`] on a thread that may not block, when another thread was at it for all of that time (some hundred microseconds). Await
    /// [`get_or_init_async`](OnceLock::get_or_init_async), or try again in a later task of the event loop.
    ///
    /// # Panics
    ///
    /// If `make` asks the same place for its value, on a thread with a number (else it waits for itself for ever).
    #[inline]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> Result<&T, MayNotBlock> {
        let running = self.once.begin_or_wait()?;
        Ok(self.settle(running, make))
    }

    /// As [`get_or_init`](OnceLock::get_or_init), but waits by spinning, for at most `turns` turns, on any thread.
    ///
    /// # Errors
    ///
    /// [`NotYet`] if another thread was at it for all of them.
    pub fn get_or_init_spinning(&self, turns: u32, make: impl FnOnce() -> T) -> Result<&T, NotYet> {
        let running = self.once.begin_or_spin(turns)?;
        Ok(self.settle(running, make))
    }

    /// Waits until somebody fills it.
    ///
    /// # Errors
    ///
    /// As for [`Once::wait`].
    pub fn wait(&self) -> Result<&T, LockError> {
        self.once.wait()?;
        // SAFETY: `wait` has seen that it is done.
        Ok(unsafe { self.filled() })
    }

    /// As [`wait`](OnceLock::wait), but by spinning, for at most `turns` turns, on any thread. To look without waiting: [`get`](OnceLock::get).
    ///
    /// # Errors
    ///
    /// As for [`Once::wait_spinning`].
    ///
    /// # Examples
    ///
    /// ```
    /// # if weblane_sync::MODEL { return }
    /// use weblane_sync::{LockError, OnceLock};
    ///
    /// let place = OnceLock::new();
    /// assert_eq!(place.wait_spinning(10), Err(LockError::Held));
    /// place.set(5).unwrap();
    /// assert_eq!(place.wait_spinning(10), Ok(&5));
    /// ```
    pub fn wait_spinning(&self, turns: u32) -> Result<&T, LockError> {
        self.once.wait_spinning(turns)?;
        // SAFETY: `wait_spinning` has seen that it is done.
        Ok(unsafe { self.filled() })
    }

    /// Takes the value out, and leaves it empty.
    pub fn take(&mut self) -> Option<T> {
        if !mem::take(&mut self.once).is_completed() {
            return None;
        }
        let place = self.value.get_mut();
        // SAFETY: nobody shares it; and it was filled, but is not any more as far as anybody can see.
        Some(unsafe { place.deref().assume_init_read() })
    }

    /// The value, if there is one.
    pub fn into_inner(mut self) -> Option<T> {
        self.take()
    }
}

#[cfg(not(loom))]
impl<T> OnceLock<T> {
    /// The value, if it is there, for changing it: the borrow shows that nobody shares it.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        let filled = self.once.is_completed();
        // SAFETY: it was filled.
        filled.then(|| unsafe { self.value.get_exclusive().assume_init_mut() })
    }
}

impl<T> Drop for OnceLock<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        OnceLock::new()
    }
}

#[cfg(not(loom))]
impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> Self {
        OnceLock { once: Once::completed(), value: UnsafeCell::new(MaybeUninit::new(value)) }
    }
}

#[cfg(not(loom))]
impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> Self {
        self.get().cloned().map_or_else(OnceLock::new, OnceLock::from)
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(value) => f.debug_tuple("OnceLock").field(value).finish(),
            None => f.write_str("OnceLock(<empty>)"),
        }
    }
}
