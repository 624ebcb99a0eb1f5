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

#[cfg(any(not(any(loom, shuttle)), all(loom, test)))]
mod pooled {
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::ptr::{self, NonNull};
    use core::sync::atomic::Ordering;

    use weblane_futex::growth;

    use crate::free_list::FreeList;
    use crate::job::Header;
    use crate::primitive::{AtomicPtr, AtomicU32};

    /// Headers that exist from the start.
    const STATIC: usize = if cfg!(loom) { 1 } else { 1024 };
    /// Chunks: chunk `k` has `STATIC << k` headers, so that 20 hold more than memory does.
    const CHUNKS: usize = if cfg!(loom) { 2 } else { 20 };

    pub(super) struct Slab {
        first: [Header; STATIC],
        more: [AtomicPtr<Header>; CHUNKS],
        free: FreeList,
        /// How many headers were ever given out.
        given: AtomicU32,
    }

    #[cfg(not(loom))]
    pub(super) static SLAB: Slab = Slab {
        first: [const { Header::empty() }; STATIC],
        more: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
        free: FreeList::new(),
        given: AtomicU32::new(0),
    };

    /// The chunk of a header beyond the static ones, and its place there.
    const fn chunk_of(number: u32) -> (usize, usize) {
        let index = number as usize - 1;
        let chunk = (index / STATIC).ilog2() as usize;
        (chunk, index - (STATIC << chunk))
    }

    impl Slab {
        /// A header that was given out once.
        fn get(&self, number: u32) -> &Header {
            if number as usize <= STATIC {
                return &self.first[number as usize - 1];
            }
            let (chunk, offset) = chunk_of(number);
            // Acquire: pairs with the Release in `make`; whoever has the number has it from `make`, or by way of the free list.
            let first = self.more[chunk].load(Ordering::Acquire);
            // SAFETY: the number was given out, so its chunk is there, and for ever; `chunk_of` keeps to its length.
            let header = unsafe { first.add(offset) };
            // Whoever has made it may just have grown the memory for it (race 55).
            growth::reach(header);
            // SAFETY: as above.
            unsafe { &*header }
        }

        /// Whether there is memory for this number: it may be given out, and its chunk still be in the making.
        fn is_there(&self, number: u32) -> bool {
            // Relaxed: `get` reads it again.
            number as usize <= STATIC || !self.more[chunk_of(number).0].load(Ordering::Relaxed).is_null()
        }

        /// A header that was never used, from memory that is made now if need be.
        #[cold]
        fn make(&self) -> u32 {
            // Relaxed: only the number must be different.
            let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
            if !self.is_there(number) {
                let (chunk, _) = chunk_of(number);
                let mut headers = Vec::with_capacity(STATIC << chunk);
                headers.resize_with(STATIC << chunk, Header::empty);
                let mine = Box::into_raw(headers.into_boxed_slice());
                let (null, first) = (ptr::null_mut(), mine.cast::<Header>());
                // Release: pairs with the Acquire in `get`. A chunk that comes second was shared with nobody.
                if self.more[chunk].compare_exchange(null, first, Ordering::Release, Ordering::Relaxed).is_err() {
                    // SAFETY: made from a box just now.
                    drop(unsafe { Box::from_raw(mine) });
                }
            }
            // Relaxed: ordered by whatever hands the header on.
            self.get(number).number.swap(number, Ordering::Relaxed);
            number
        }

        pub(super) fn allocate(&self) -> NonNull<Header> {
            let number = self.free.pop(|number| &self.get(number).next).unwrap_or_else(|| self.make());
            NonNull::from(self.get(number))
        }

        pub(super) fn recycle(&self, header: NonNull<Header>) {
            // SAFETY: headers live for ever.
            let header = unsafe { header.as_ref() };
            self.free.push(header.number.load(Ordering::Relaxed), &header.next);
        }

        /// Every header that was ever given out, in use or not.
        #[cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code, reason = "for the reaper"))]
        pub(super) fn all(&self) -> impl Iterator<Item = &Header> {
            // Relaxed: whoever looks for a dead thread's jobs knows of its death, which came after its last `make`.
            let given = self.given.load(Ordering::Relaxed);
            (1..=given).filter(|number| self.is_there(*number)).map(|number| self.get(number))
        }
    }

    #[cfg(all(test, loom))]
    mod model {
        use loom::sync::Arc;
        use loom::thread;

        use super::*;
        use crate::tests::model::model;

        impl Slab {
            fn new() -> Slab {
                let nothing = || AtomicPtr::new(ptr::null_mut());
                let (free, given) = (FreeList::new(), AtomicU32::new(0));
                Slab { first: [Header::empty()], more: [nothing(), nothing()], free, given }
            }
        }

        /// Race 31 (for headers): two threads make the chunk for their headers at once, and the reaper looks at all headers meanwhile. loom reports
        /// whoever reads what is there before it was made.
        #[test]
        fn race_31_two_make_a_chunk_at_once() {
            model(|| {
                let slab = Arc::new(Slab::new());
                // The static one, and the only one of the first chunk: the next two lie in one chunk, which is not there.
                let two = [slab.allocate(), slab.allocate()];
                let take = || {
                    let slab = Arc::clone(&slab);
                    thread::spawn(move || {
                        let header = slab.allocate();
                        // SAFETY: headers live for ever.
                        unsafe { header.as_ref() }.next.store(7, Ordering::Relaxed);
                        header.as_ptr() as usize
                    })
                };
                let threads = [take(), take()];
                assert!(
                    (2..=4).contains(&slab.all().filter(|header| header.next.load(Ordering::Relaxed) <= 7).count())
                );
                let [a, b] = threads.map(|thread| thread.join().unwrap());
                assert_ne!(a, b, "a header was given to two");
                let found: Vec<usize> = slab.all().map(|header| ptr::from_ref(header) as usize).collect();
                assert!(found.len() == 4 && found.contains(&a) && found.contains(&b), "one is not found by its number");
                assert!(slab.all().map(|header| header.number.load(Ordering::Relaxed)).eq(1..=4));
                for header in two {
                    slab.recycle(header);
                    assert_eq!(slab.allocate(), header, "what was given back last comes first");
                }
            });
        }
    }

    #[cfg(all(test, not(loom)))]
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
            SLAB.given.fetch_add(2 * STATIC as u32, Ordering::Relaxed);
            let take = || (0..3 * STATIC).map(|_| SLAB.allocate().as_ptr() as usize).collect::<Vec<_>>();
            let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(take)).collect();
            // Whoever looks at all headers meanwhile finds only those whose memory is there.
            while threads.iter().any(|thread| !thread.is_finished()) {
                let there = SLAB
                    .all()
                    .filter(|header| header.number.load(Ordering::Relaxed) <= SLAB.given.load(Ordering::Relaxed));
                assert!(there.count() <= SLAB.given.load(Ordering::Relaxed) as usize);
            }
            let mut all: Vec<usize> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "a header was given to two");
            let mut known: Vec<usize> = SLAB.all().map(|header| core::ptr::from_ref(header) as usize).collect();
            known.sort_unstable();
            assert!(all.iter().all(|address| known.binary_search(address).is_ok()), "one is not found by its number");
            for address in all {
                SLAB.recycle(NonNull::new(address as *mut Header).expect("an address"));
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
    pooled::SLAB.all().filter(|job| unsafe { job.trap(runner, words) }).count()
}

/// Every job of the pool with this tag that nobody has claimed, with one more reference for a queue.
#[cfg(not(any(loom, shuttle)))]
#[cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code, reason = "native threads do not die alone"))]
pub(crate) fn unclaimed(tag: u32) -> impl Iterator<Item = JobRef> {
    pooled::SLAB.all().filter_map(move |job| job.again(tag))
}

/// A header that nobody else refers to.
pub(crate) fn allocate() -> NonNull<Header> {
    #[cfg(not(any(loom, shuttle)))]
    return pooled::SLAB.allocate();
    // In models each header is a box of its own, so that a use after its end is found.
    #[cfg(any(loom, shuttle))]
    NonNull::from(alloc::boxed::Box::leak(alloc::boxed::Box::new(Header::empty())))
}

/// Gives a header back.
///
/// # Safety
///
/// It came from [`allocate`], no reference to it is left, and nothing in it needs to be dropped.
pub(crate) unsafe fn recycle(header: NonNull<Header>) {
    #[cfg(not(any(loom, shuttle)))]
    pooled::SLAB.recycle(header);
    // SAFETY: a header is there until it is given back.
    #[cfg(all(test, loom))]
    if unsafe { header.as_ref() }.stays_when_given_back() {
        return;
    }
    // SAFETY: `allocate` made it from a box, and the caller holds the only reference.
    #[cfg(any(loom, shuttle))]
    drop(unsafe { alloc::boxed::Box::from_raw(header.as_ptr()) });
}
