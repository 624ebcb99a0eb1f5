//! A value that is made when it is first needed: a [`OnceLock`] with its maker.
//!
//! The maker is taken out by whoever has the [`Running`](crate::once::Running), and so is alone with it. A maker runs once; if it panics, or its thread
//! dies, there is nothing left to make the value with, and whoever needs it panics: this is the one place where poisoning comes by itself.

use core::fmt;
use core::ops::Deref;

use weblane_futex::MayNotBlock;

use crate::error::NotYet;
use crate::once::{Begin, Running};
use crate::once_lock::OnceLock;
use crate::primitive::{UnsafeCell, constructor};

/// A value that is made when it is first needed.
///
/// # Examples
///
/// ```
/// use weblane_sync::LazyLock;
///
/// static PRIMES: LazyLock<Vec<u32>> = LazyLock::new(|| (2..50).filter(|n| (2..*n).all(|d| n % d != 0)).collect());
/// assert_eq!(PRIMES[4], 11);
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    pub(crate) place: OnceLock<T>,
    make: UnsafeCell<Option<F>>,
}

// SAFETY: the maker is sent to the thread that needs the value first; the value is as in `OnceLock`.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}
// SAFETY: it takes both along.
unsafe impl<T: Send, F: Send> Send for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    constructor! {
        /// A value that `make` will make.
        pub fn new(make: F) -> LazyLock<T, F> {
            LazyLock { place: OnceLock::new(), make: UnsafeCell::new(Some(make)) }
        }
    }

    /// The value, if it was made.
    pub fn get(this: &LazyLock<T, F>) -> Option<&T> {
        this.place.get()
    }

    /// The value, made now if need be. If another thread is making it, waits for it: asleep on threads that may block, else spinning for a bounded
    /// time.
    ///
    /// # Errors
    ///
    /// [`MayNotBlock`], as for [`OnceLock::get_or_init`]. Dereferencing panics there.
    ///
    /// # Panics
    ///
    /// If the maker panics or has panicked, or its thread has died.
    #[inline]
    pub fn force(this: &LazyLock<T, F>) -> Result<&T, MayNotBlock> {
        if let Some(value) = this.place.get() {
            return Ok(value);
        }
        let running = this.place.once.begin_or_wait()?;
        Ok(this.settle(running))
    }

    /// The value, made now if need be. `None` if another thread is making it. Never blocks, on any thread.
    ///
    /// # Panics
    ///
    /// As for [`force`](LazyLock::force).
    pub fn try_force(this: &LazyLock<T, F>) -> Option<&T> {
        match this.place.once.begin() {
            Begin::Done => Some(this.settle(None)),
            Begin::Mine(running) => Some(this.settle(Some(running))),
            Begin::Busy(_) => None,
        }
    }

    /// As [`force`](LazyLock::force), but waits by spinning, for at most `turns` turns, on any thread.
    ///
    /// # Errors
    ///
    /// [`NotYet`] if another thread was at it for all of them.
    ///
    /// # Panics
    ///
    /// As for [`force`](LazyLock::force).
    pub fn force_spinning(this: &LazyLock<T, F>, turns: u32) -> Result<&T, NotYet> {
        let running = this.place.once.begin_or_spin(turns)?;
        Ok(this.settle(running))
    }

    pub(crate) fn settle(&self, running: Option<Running<'_>>) -> &T {
        if let Some(running) = running {
            let make = {
                let make = self.make.get_mut();
                // SAFETY: who has the `Running` is alone with the maker.
                unsafe { make.deref() }.take()
            };
            let make = make.expect("the value of a `LazyLock` was never made: its maker panicked, or its thread died");
            self.place.fill(running, make());
        }
        // SAFETY: another thread was done, as this one has seen; or this one has done it.
        unsafe { self.place.filled() }
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    /// # Panics
    ///
    /// As [`force`](LazyLock::force) does, and where that returns an error: await [`force_async`](LazyLock::force_async) once, before.
    #[inline]
    fn deref(&self) -> &T {
        match LazyLock::force(self) {
            Ok(value) => value,
            Err(MayNotBlock) => panic!(
                "another thread is making the value of a `LazyLock`, and {MayNotBlock} (`LazyLock::force_async`, or `try_force`)"
            ),
        }
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> Self {
        LazyLock::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.get() {
            Some(value) => f.debug_tuple("LazyLock").field(value).finish(),
            None => f.write_str("LazyLock(<not made>)"),
        }
    }
}
