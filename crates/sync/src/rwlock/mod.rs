//! Many readers or one writer: the value and the guards. The lock itself, and why it works, is in `raw`.

mod raw;

use core::fmt;
use core::marker::PhantomData;
use core::mem;
use core::ops::{Deref, DerefMut};

use crate::error::LockError;
use crate::primitive::{ConstPtr, MutPtr, UnsafeCell, constructor};

pub(crate) use raw::RawRwLock;

/// A lock around a value that many may read at once, or one may write.
///
/// # Progress
///
/// Blocking, like [`Mutex`](crate::Mutex). Threads that want to write are not starved by threads that read: who comes to read while
/// somebody waits, waits behind him. Therefore do not read-lock again on a thread that reads already.
/// Uncontended, each lock and unlock is one read-modify-write.
///
/// # When a thread dies
///
/// One that dies while it **writes** is named by the lock: see [`recover`](RwLock::recover). One that dies while it **reads** is not, as the lock
/// counts its readers only: others can read on, but who wants to write gets no [`LockError::Abandoned`]: he waits for ever, asleep or awaiting,
/// or gets [`LockError::Held`] or [`LockError::MayNotBlock`]; and as readers do not pass a thread that waits to write, they then wait behind him.
/// So do nothing under a read guard that may trap or be terminated (clone what is needed and drop the guard first), or use a
/// [`Mutex`](crate::Mutex), whose holder is always named; where writers must get through whatever happens, let them come by
/// [`write_spinning`](RwLock::write_spinning) and give up.
///
/// # Examples
///
/// ```
/// use weblane_sync::RwLock;
///
/// static SETTINGS: RwLock<Vec<u32>> = RwLock::new(Vec::new());
/// SETTINGS.write()?.push(3);
/// let (one, two) = (SETTINGS.read()?, SETTINGS.read()?);
/// assert_eq!(one[0], two[0]);
/// # Ok::<(), weblane_sync::LockError>(())
/// ```
pub struct RwLock<T: ?Sized> {
    pub(crate) raw: RawRwLock,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives the value to one thread at a time (`Send`), or shares it (`Sync`).
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}
// SAFETY: a lock that is moved takes its value along.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}

impl<T> RwLock<T> {
    constructor! {
        /// An unlocked lock.
        pub fn new(value: T) -> RwLock<T> {
            RwLock { raw: RawRwLock::new(), value: UnsafeCell::new(value) }
        }
    }

    /// The value, without locking: nobody else has the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading, waiting for it: asleep on threads that may block, else spinning for a bounded time.
    ///
    /// # Errors
    ///
    /// - [`LockError::MayNotBlock`] on a thread that may not block, when it could not be had for all of that time (some hundred
    ///   microseconds). Await [`read_async`](RwLock::read_async), try again in a later task of the event loop, or do without.
    /// - [`LockError::Abandoned`] if a thread died while it was writing: see [`recover`](RwLock::recover).
    #[inline]
    pub fn read(&self) -> Result<RwLockReadGuard<'_, T>, LockError> {
        self.raw.read().map(|()| self.read_guard())
    }

    /// Locks for writing, waiting for it as [`read`](RwLock::read) does.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read).
    #[inline]
    pub fn write(&self) -> Result<RwLockWriteGuard<'_, T>, LockError> {
        self.raw.write().map(|()| self.write_guard())
    }

    /// Locks for reading if that is possible now. Never blocks, on any thread.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.raw.try_read().is_ok().then(|| self.read_guard())
    }

    /// Locks for writing if that is possible now. Never blocks, on any thread.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.raw.try_write().is_ok().then(|| self.write_guard())
    }

    /// Locks for reading, looking for at most `turns` turns of a spin. Never sleeps, on any thread.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if it could not be had, [`LockError::Abandoned`] as for [`read`](RwLock::read).
    pub fn read_spinning(&self, turns: u32) -> Result<RwLockReadGuard<'_, T>, LockError> {
        self.raw.spinning(turns, RawRwLock::try_read).map(|()| self.read_guard())
    }

    /// Locks for writing, looking for at most `turns` turns of a spin. Never sleeps, on any thread.
    ///
    /// # Errors
    ///
    /// As for [`read_spinning`](RwLock::read_spinning).
    pub fn write_spinning(&self, turns: u32) -> Result<RwLockWriteGuard<'_, T>, LockError> {
        self.raw.spinning(turns, RawRwLock::try_write).map(|()| self.write_guard())
    }

    /// Whether a thread has died while it was writing, and nobody has recovered the lock.
    pub fn is_abandoned(&self) -> bool {
        self.raw.is_abandoned()
    }

    /// Takes over the lock that a dead thread held for writing, with the value as it was left: whoever calls this makes it good. `None` if
    /// the lock is not abandoned.
    pub fn recover(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.raw.recover().then(|| self.write_guard())
    }

    pub(crate) fn read_guard(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard { value: self.value.get(), hold: Reading(&self.raw), stays: PhantomData }
    }

    pub(crate) fn write_guard(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard { value: self.value.get_mut(), hold: Writing(&self.raw), stays: PhantomData }
    }
}

#[cfg(not(loom))]
impl<T: ?Sized> RwLock<T> {
    /// The value, without locking: the borrow shows that nobody else has the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_exclusive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_read() {
            Some(guard) => f.debug_struct("RwLock").field("value", &&*guard).finish(),
            None if self.is_abandoned() => f.write_str("RwLock { <abandoned> }"),
            None => f.write_str("RwLock { <locked> }"),
        }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        RwLock::new(value)
    }
}

struct Reading<'a>(&'a RawRwLock);

impl Drop for Reading<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.unlock_shared();
    }
}

struct Writing<'a>(&'a RawRwLock);

impl Drop for Writing<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.unlock();
    }
}

/// The lock, held for reading; dropping it unlocks. Stays on its thread.
#[must_use = "dropping the guard unlocks at once"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    // Dropped before `hold`: the access ends before the lock is given up.
    value: ConstPtr<T>,
    #[expect(dead_code, reason = "dropped")]
    hold: Reading<'a>,
    stays: PhantomData<(*const (), &'a T)>,
}

// SAFETY: a shared guard gives shared access to the value, which is `Sync`.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: while this thread reads, nobody writes.
        unsafe { self.value.deref() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The lock, held for writing; dropping it unlocks. Stays on its thread.
#[must_use = "dropping the guard unlocks at once"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    // Dropped before `hold`: the access ends before the lock is given up.
    value: MutPtr<T>,
    hold: Writing<'a>,
    stays: PhantomData<(*const (), &'a mut T)>,
}

// SAFETY: a shared guard gives shared access to the value, which is `Sync`.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<T: ?Sized> RwLockWriteGuard<'_, T> {
    /// Ends the guard and leaves the lock held: for models of threads that die.
    #[doc(hidden)]
    pub fn keep(self) {
        mem::forget(self.hold);
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock, and the borrow of the guard keeps mutable access away meanwhile.
        unsafe { self.value.deref() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread holds the lock, and has the guard for itself.
        unsafe { self.value.deref() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
