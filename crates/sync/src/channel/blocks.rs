//! The blocks of an unbounded channel: found by number, used again and again, freed with the channel.
//!
//! # State
//!
//! | name | written by | means |
//! |---|---|---|
//! | `buckets[k]` | whoever needs it first, once | 2^k blocks, numbered from 2^k − 1 |
//! | `fresh` | who takes, by compare-and-swap | the first number that was never used |
//! | `free` | who takes and who gives, by compare-and-swap | the top of the stack of unused blocks, and a tag that changes with every step |
//! | `Block::below` | who gives | the next one of that stack, plus 1 |
//! | `Block::life` | who gives | how often the block was used before, modulo 2^23 |
//!
//! # Argument
//!
//! 1. *A number is always good.* Blocks are not freed before the channel is, so who holds a stale number reads old words but never freed ones; that they are
//!    old he finds out by a compare-and-swap of a cursor, which has the life in it.
//! 2. *The stack has no ABA*: each step changes the tag (32 bits).
//! 3. *Memory.* At most twice as many blocks as were ever in use at once. Allocation happens only when that number doubles: a channel in its steady
//!    state does not allocate (race 27).

use alloc::boxed::Box;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

use weblane_futex::growth;

use super::primitive::{AtomicPtr, AtomicU32, AtomicU64, Cell, Padded};

/// Values in a block.
pub(super) const SIZE: u32 = if cfg!(loom) { 2 } else { 32 };
/// No block.
pub(super) const NONE: u32 = u32::MAX;
/// Bits of a block's number and of its life.
pub(super) const BITS: u32 = 23;

pub(super) struct Slot<T> {
    /// `2 * life + 1`: holds a value of that life.
    pub(super) tag: AtomicU32,
    pub(super) value: Cell<MaybeUninit<T>>,
}

pub(super) struct Block<T> {
    pub(super) slots: [Slot<T>; SIZE as usize],
    /// The block after this one, or `NONE`.
    pub(super) next: AtomicU32,
    /// How many are done with it: the receiver of each value, and the one who moved `head` on.
    pub(super) done: AtomicU32,
    /// Counts the blocks of this channel in their order.
    pub(super) number: AtomicU32,
    pub(super) life: AtomicU32,
    below: AtomicU32,
}

impl<T> Block<T> {
    fn new(life: u32) -> Block<T> {
        let slot = |_| Slot { tag: AtomicU32::new(0), value: Cell::new(MaybeUninit::uninit()) };
        Block {
            slots: core::array::from_fn(slot),
            next: AtomicU32::new(NONE),
            done: AtomicU32::new(0),
            number: AtomicU32::new(0),
            life: AtomicU32::new(life),
            below: AtomicU32::new(0),
        }
    }
}

pub(super) struct Blocks<T> {
    buckets: [AtomicPtr<Block<T>>; BITS as usize],
    fresh: AtomicU32,
    free: Padded<AtomicU64>,
    /// The life of a block that was never used: not 0 in tests of the wrap.
    young: u32,
}

/// The bucket of a block, and its place there.
#[inline]
fn place(block: u32) -> (usize, usize) {
    let bucket = (block + 1).ilog2();
    (bucket as usize, (block + 1 - (1 << bucket)) as usize)
}

impl<T> Blocks<T> {
    pub(super) fn new(young: u32) -> Blocks<T> {
        Blocks {
            buckets: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            fresh: AtomicU32::new(0),
            free: Padded(AtomicU64::new(0)),
            young,
        }
    }

    /// The block of a number that was given out by `take`.
    #[inline]
    pub(super) fn get(&self, block: u32) -> &Block<T> {
        let (bucket, place) = place(block);
        // Relaxed: whoever knows the number has acquired it from whoever was given it, and with it the bucket. SAFETY: the bucket was there when the number was
        // given out, it has that many blocks, and it lives as long as the channel.
        let block = unsafe { self.buckets.get_unchecked(bucket).load(Ordering::Relaxed).add(place) };
        // Whoever has made it may just have grown the memory for it (race 55).
        growth::reach(block);
        // SAFETY: as above.
        unsafe { &*block }
    }

    /// A block that nobody uses, with nothing after it.
    pub(super) fn take(&self) -> u32 {
        // Acquire: pairs with the Release in `give`, here and where the exchange fails.
        let mut top = self.free.0.load(Ordering::Acquire);
        while top as u32 != 0 {
            // Relaxed: if the block was taken by somebody else, this may be anything, and the tag has changed.
            let below = self.get(top as u32 - 1).below.load(Ordering::Relaxed);
            let next = (top >> 32).wrapping_add(1) << 32 | u64::from(below);
            // Relaxed on success: what was there is, tag and all, what was acquired before.
            match self.free.0.compare_exchange(top, next, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => return top as u32 - 1,
                Err(now) => top = now,
            }
        }
        // Relaxed: numbers are given out once each; the bucket publishes itself.
        let mut block = self.fresh.load(Ordering::Relaxed);
        loop {
            let (index, _) = place(block);
            let bucket = self.buckets.get(index).expect("an unbounded channel holds at most 2^23 blocks");
            // Acquire: pairs with the Release below, of whoever has made it.
            if bucket.load(Ordering::Acquire).is_null() {
                let blocks: Box<[Block<T>]> = (0..1_u32 << index).map(|_| Block::new(self.young)).collect();
                let blocks = Box::into_raw(blocks);
                // Release: pairs with the Acquire above, and with the one here, of whoever comes too late.
                let made =
                    bucket.compare_exchange(ptr::null_mut(), blocks.cast(), Ordering::Release, Ordering::Acquire);
                if made.is_err() {
                    // SAFETY: it was just made, and nobody has got to know it.
                    drop(unsafe { Box::from_raw(blocks) });
                }
            }
            match self.fresh.compare_exchange(block, block + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return block,
                Err(now) => block = now,
            }
        }
    }

    /// Gives a block back that was used: nobody is going to read or write a value in it.
    pub(super) fn retire(&self, number: u32) {
        let block = self.get(number);
        // Relaxed, all: published by the Release in `give`.
        block.next.store(NONE, Ordering::Relaxed);
        block.done.store(0, Ordering::Relaxed);
        block.life.store((block.life.load(Ordering::Relaxed) + 1) & ((1 << BITS) - 1), Ordering::Relaxed);
        self.give(number);
    }

    /// Gives a block back as it was taken.
    pub(super) fn give(&self, number: u32) {
        let block = self.get(number);
        let mut top = self.free.0.load(Ordering::Relaxed);
        loop {
            block.below.store(top as u32, Ordering::Relaxed);
            let next = (top >> 32).wrapping_add(1) << 32 | u64::from(number + 1);
            // Release: pairs with the Acquire in `take`.
            match self.free.0.compare_exchange(top, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }
}

impl<T> Drop for Blocks<T> {
    fn drop(&mut self) {
        for (bucket, blocks) in self.buckets.iter().enumerate() {
            // Relaxed: who drops the blocks has them for himself, and whoever gave up the channel last has ordered everything before.
            if let Some(blocks) = NonNull::new(blocks.load(Ordering::Relaxed)) {
                // SAFETY: made by `take` from a box of so many.
                drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(blocks.as_ptr(), 1 << bucket)) });
            }
        }
    }
}

#[cfg(all(test, loom))]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::Blocks;

    fn model(check: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(Some(2));
        builder.check(move || {
            crate::begin_model();
            check();
        });
    }

    /// Uses a block as one to whom it is new. loom knows who has made the cells and atomics in it, and that whoever touches them must have seen that.
    fn touch(blocks: &Blocks<u32>, number: u32) {
        let block = blocks.get(number);
        block.number.store(number, super::Ordering::Relaxed);
        // SAFETY: the block was taken, so nobody else uses it; loom would tell.
        block.slots[0].value.with_mut(|value| unsafe { (*value).write(number) });
    }

    /// Two want a block of a bucket that is not there yet: one of them makes it, and the other one sees its blocks as they were made.
    #[test]
    fn two_make_a_bucket() {
        model(|| {
            let blocks = Arc::new(Blocks::new(0));
            // The next two share a bucket.
            assert_eq!(blocks.take(), 0);
            let other = Arc::clone(&blocks);
            let take = |blocks: &Blocks<u32>| {
                let number = blocks.take();
                touch(blocks, number);
                number
            };
            let thread = thread::spawn(move || take(&other));
            let mine = take(&blocks);
            assert_eq!(mine + thread.join().unwrap(), 3, "1 and 2");
        });
    }

    /// One takes what another one gives, a block that he has never heard of: he sees it as it was made, be it that he learns of it only when his
    /// first attempt fails.
    #[test]
    fn one_takes_what_another_has_made() {
        model(|| {
            let blocks = Arc::new(Blocks::new(0));
            let first = blocks.take();
            blocks.give(first);
            let threads = [0, 1].map(|many| {
                let blocks = Arc::clone(&blocks);
                thread::spawn(move || {
                    let number = blocks.take();
                    touch(&blocks, number);
                    if many == 1 {
                        let another = blocks.take();
                        touch(&blocks, another);
                        blocks.give(another);
                    }
                    number
                })
            });
            let numbers = threads.map(|thread| thread.join().unwrap());
            assert_ne!(numbers[0], numbers[1]);
        });
    }
}
