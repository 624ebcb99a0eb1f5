//! Where job headers come from and go to.
//!
//! Headers are recycled and never unmapped: a completer may notify a word a moment after its header was given back. A header is known by a
//! number, from 1. The first 1024 are static, so that on the web they lie in memory that existed at the start (race 55); when they are all in
//! use at once, chunks are allocated, each as large as all before it, and kept. Taking and giving back is a lock-free stack ([`FreeList`]); a
//! thread that needs a new chunk makes it itself, and of two that do, one keeps its own.

use core::ptr::NonNull;

use crate::job::Header;
#[cfg(not(any(loom, shuttle)))]
use crate::job::JobRef;

#[cfg(not(any(loom, shuttle)))]
mod pooled {
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::ptr::{self, NonNull};
    use core::sync::atomic::Ordering;

    use crate::free_list::FreeList;
    use crate::job::Header;
    use crate::primitive::{AtomicPtr, AtomicU32};

    /// Headers that exist from the start.
    const STATIC: usize = 1024;
    /// Chunks: chunk `k` has `STATIC << k` headers, so that 20 hold more than memory does.
    const CHUNKS: usize = 20;

    static HEADERS: [Header; STATIC] = [const { Header::EMPTY }; STATIC];
    static MORE: [AtomicPtr<Header>; CHUNKS] = [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS];
    static FREE: FreeList = FreeList::new();
    /// How many headers were ever given out.
    static GIVEN: AtomicU32 = AtomicU32::new(0);

    /// The chunk of a header beyond the static ones, and its place there.
    const fn chunk_of(number: u32) -> (usize, usize) {
        let index = number as usize - 1;
        let chunk = (index / STATIC).ilog2() as usize;
        (chunk, index - (STATIC << chunk))
    }

    /// A header that was given out once.
    fn get(number: u32) -> &'static Header {
        if number as usize <= STATIC {
            return &HEADERS[number as usize - 1];
        }
        let (chunk, offset) = chunk_of(number);
        // Acquire: pairs with the Release in `make`; whoever has the number has it from `make`, or by way of the free list.
        let first = MORE[chunk].load(Ordering::Acquire);
        // SAFETY: the number was given out, so its chunk is there, and for ever; `chunk_of` keeps to its length.
        unsafe { &*first.add(offset) }
    }

    /// A header that was never used, from memory that is made now if need be.
    #[cold]
    fn make() -> u32 {
        // Relaxed: only the number must be different.
        let number = GIVEN.fetch_add(1, Ordering::Relaxed) + 1;
        if number as usize > STATIC {
            let (chunk, _) = chunk_of(number);
            if MORE[chunk].load(Ordering::Acquire).is_null() {
                let mut headers = Vec::with_capacity(STATIC << chunk);
                headers.resize_with(STATIC << chunk, || Header::EMPTY);
                let mine = Box::into_raw(headers.into_boxed_slice());
                let (null, first) = (ptr::null_mut(), mine.cast::<Header>());
                // Release: pairs with the Acquire in `get`. A chunk that comes second was shared with nobody.
                if MORE[chunk].compare_exchange(null, first, Ordering::AcqRel, Ordering::Acquire).is_err() {
                    // SAFETY: made from a box just now.
                    drop(unsafe { Box::from_raw(mine) });
                }
            }
        }
        // Relaxed: ordered by whatever hands the header on.
        get(number).number.swap(number, Ordering::Relaxed);
        number
    }

    pub(super) fn allocate() -> NonNull<Header> {
        let number = FREE.pop(|number| &get(number).next).unwrap_or_else(make);
        NonNull::from(get(number))
    }

    pub(super) fn recycle(header: NonNull<Header>) {
        // SAFETY: headers live for ever.
        let header = unsafe { header.as_ref() };
        FREE.push(header.number.load(Ordering::Relaxed), &header.next);
    }

    /// Every header that was ever given out, in use or not.
    #[cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code, reason = "for the reaper"))]
    pub(super) fn all() -> impl Iterator<Item = &'static Header> {
        // Acquire: whoever looks for a dead thread's jobs knows of its death after its last `make`.
        let given = GIVEN.load(Ordering::Acquire);
        // A number may be given out whose chunk is still being made.
        let there =
            |number: &u32| *number as usize <= STATIC || !MORE[chunk_of(*number).0].load(Ordering::Acquire).is_null();
        (1..=given).filter(there).map(get)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn every_number_has_its_own_place() {
            assert_eq!(chunk_of(STATIC as u32 + 1), (0, 0));
            assert_eq!(chunk_of(2 * STATIC as u32), (0, STATIC - 1));
            assert_eq!(chunk_of(2 * STATIC as u32 + 1), (1, 0));
            assert_eq!(chunk_of(4 * STATIC as u32), (1, 2 * STATIC - 1));
            assert_eq!(chunk_of(4 * STATIC as u32 + 1), (2, 0));
        }

        /// Race 31 (for headers): more than the static ones, by several threads; nobody has one that somebody else has.
        #[test]
        fn race_31_a_header_has_one_user_at_a_time() {
            // Threads that have their numbers, and have not made the memory yet.
            GIVEN.fetch_add(2 * STATIC as u32, Ordering::Relaxed);
            let take = || (0..3 * STATIC).map(|_| allocate().as_ptr() as usize).collect::<Vec<_>>();
            let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(take)).collect();
            // Whoever looks at all headers meanwhile finds only those whose memory is there.
            while threads.iter().any(|thread| !thread.is_finished()) {
                let there =
                    all().filter(|header| header.number.load(Ordering::Relaxed) <= GIVEN.load(Ordering::Relaxed));
                assert!(there.count() <= GIVEN.load(Ordering::Relaxed) as usize);
            }
            let mut all: Vec<usize> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "a header was given to two");
            let mut known: Vec<usize> = super::all().map(|header| core::ptr::from_ref(header) as usize).collect();
            known.sort_unstable();
            assert!(all.iter().all(|address| known.binary_search(address).is_ok()), "one is not found by its number");
            for address in all {
                recycle(NonNull::new(address as *mut Header).expect("an address"));
            }
        }
    }
}

/// Completes every job that the dead thread `runner` has claimed, with its last words. Returns how many.
///
/// # Safety
///
/// Thread `runner` runs nothing any more, for ever, and nobody else calls this for it.
#[cfg(not(any(loom, shuttle)))]
#[cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code, reason = "native threads do not die alone"))]
pub(crate) unsafe fn trap_all(runner: u32, words: &str) -> usize {
    // SAFETY: the caller's promise.
    pooled::all().filter(|job| unsafe { job.trap(runner, words) }).count()
}

/// Every job of the pool with this tag that nobody has claimed, with one more reference for a queue.
#[cfg(not(any(loom, shuttle)))]
#[cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code, reason = "native threads do not die alone"))]
pub(crate) fn unclaimed(tag: u32) -> impl Iterator<Item = JobRef> {
    pooled::all().filter_map(move |job| job.again(tag))
}

/// A header that nobody else refers to.
pub(crate) fn allocate() -> NonNull<Header> {
    #[cfg(not(any(loom, shuttle)))]
    return pooled::allocate();
    // In models each header is a box of its own, so that a use after its end is found.
    #[cfg(loom)]
    return NonNull::from(alloc::boxed::Box::leak(alloc::boxed::Box::new(Header::empty())));
    #[cfg(all(shuttle, not(loom)))]
    NonNull::from(alloc::boxed::Box::leak(alloc::boxed::Box::new(Header::EMPTY)))
}

/// Gives a header back.
///
/// # Safety
///
/// It came from [`allocate`], no reference to it is left, and nothing in it needs to be dropped.
pub(crate) unsafe fn recycle(header: NonNull<Header>) {
    #[cfg(not(any(loom, shuttle)))]
    pooled::recycle(header);
    // SAFETY: a header is there until it is given back.
    #[cfg(loom)]
    if let Some(count) = unsafe { &header.as_ref().given_back } {
        // Release: pairs with the Acquire of the model that makes it anew.
        count.fetch_add(1, core::sync::atomic::Ordering::Release);
        return;
    }
    // SAFETY: `allocate` made it from a box, and the caller holds the only reference.
    #[cfg(any(loom, shuttle))]
    drop(unsafe { alloc::boxed::Box::from_raw(header.as_ptr()) });
}
