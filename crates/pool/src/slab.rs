//! Where job headers come from and go to.
//!
//! Headers are recycled and never unmapped: a completer may notify a word a moment after its header was given back. The first
//! ones are static, so that on the web they lie in memory that existed at the start; further chunks are allocated when these
//! are all in use at once, and kept.

use core::ptr::NonNull;

use crate::job::Header;

#[cfg(not(loom))]
mod pooled {
    use alloc::vec::Vec;
    use core::ptr::NonNull;

    use crate::job::Header;
    use crate::primitive::ShortLock;

    /// Headers that exist from the start.
    const STATIC: usize = 1024;
    /// Headers in each further chunk.
    const CHUNK: usize = 256;

    static HEADERS: [Header; STATIC] = [const { Header::EMPTY }; STATIC];

    /// The free list, linked through the headers' own `next`, and how many of the static ones were ever given out.
    struct Free {
        first: Option<NonNull<Header>>,
        given: usize,
    }

    // SAFETY: the pointers are to headers that live for ever and are `Sync`; the list is used under its lock only.
    unsafe impl Send for Free {}

    static FREE: ShortLock<Free> = ShortLock::new(Free { first: None, given: 0 });

    impl Free {
        fn push(&mut self, header: NonNull<Header>) {
            let next = self.first.replace(header);
            // SAFETY: a free header's `next` belongs to the slab, which is locked here.
            unsafe { header.as_ref() }.next.with_mut(|cell| unsafe { *cell = next });
        }

        fn pop(&mut self) -> Option<NonNull<Header>> {
            let header = self.first?;
            // SAFETY: a free header's `next` belongs to the slab, which is locked here.
            self.first = unsafe { header.as_ref() }.next.with_mut(|cell| unsafe { (*cell).take() });
            Some(header)
        }
    }

    pub(super) fn allocate() -> NonNull<Header> {
        let found = FREE.with(|free| {
            free.pop().or_else(|| {
                let header = HEADERS.get(free.given)?;
                free.given += 1;
                Some(NonNull::from(header))
            })
        });
        found.unwrap_or_else(|| {
            // Allocated outside the lock; two threads that come here at once make a chunk each.
            let mut chunk = Vec::with_capacity(CHUNK);
            chunk.resize_with(CHUNK, || Header::EMPTY);
            let (first, rest) = match chunk.leak() {
                [first, rest @ ..] => (NonNull::from(first), rest),
                [] => unreachable!("a chunk is not empty"),
            };
            FREE.with(|free| rest.iter().for_each(|header| free.push(NonNull::from(header))));
            first
        })
    }

    pub(super) fn recycle(header: NonNull<Header>) {
        FREE.with(|free| free.push(header));
    }
}

/// A header that nobody else refers to.
pub(crate) fn allocate() -> NonNull<Header> {
    #[cfg(not(loom))]
    return pooled::allocate();
    // In models each header is a box of its own, so that a use after its end is found.
    #[cfg(loom)]
    NonNull::from(alloc::boxed::Box::leak(alloc::boxed::Box::new(Header::empty())))
}

/// Gives a header back.
///
/// # Safety
///
/// It came from [`allocate`], no reference to it is left, and nothing in it needs to be dropped.
pub(crate) unsafe fn recycle(header: NonNull<Header>) {
    #[cfg(not(loom))]
    pooled::recycle(header);
    // SAFETY: `allocate` made it from a box, and the caller holds the only reference.
    #[cfg(loom)]
    drop(unsafe { alloc::boxed::Box::from_raw(header.as_ptr()) });
}
