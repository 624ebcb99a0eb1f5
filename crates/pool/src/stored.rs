//! The room in a job's header: first its closure lies there, then its output.
//!
//! Whose it is, and what is in it, the protocol at the head of `job` says.

use alloc::boxed::Box;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// The room for a closure, and afterwards for its output: eight 64-bit words. What does not fit is boxed.
pub(crate) type Storage = MaybeUninit<[u64; 8]>;

/// A value in a header's storage: inline where it fits, boxed where it does not.
pub(crate) struct Stored<V>(PhantomData<V>);

impl<V> Stored<V> {
    const INLINE: bool = size_of::<V>() <= size_of::<Storage>() && align_of::<V>() <= align_of::<Storage>();

    /// # Safety
    ///
    /// `storage` is the caller's and holds nothing that needs to be dropped.
    pub(crate) unsafe fn write(storage: *mut Storage, value: V) {
        if Self::INLINE {
            // SAFETY: it fits in size and alignment.
            unsafe { storage.cast::<V>().write(value) };
        } else {
            // SAFETY: a thin box fits.
            unsafe { storage.cast::<Box<V>>().write(Box::new(value)) };
        }
    }

    /// # Safety
    ///
    /// `storage` is the caller's and holds a `V` written by [`write`](Stored::write), which he does not use again.
    pub(crate) unsafe fn read(storage: *mut Storage) -> V {
        if Self::INLINE {
            // SAFETY: the caller says that a `V` is there.
            unsafe { storage.cast::<V>().read() }
        } else {
            // SAFETY: the caller says that a `V` is there, boxed.
            *unsafe { storage.cast::<Box<V>>().read() }
        }
    }
}
