//! The blocks that an injector's queues are made of: cells for tasks, used again and again.
//!
//! A block is known by its number, from 1, and lives as long as the injector: a thread that was stopped may look into a block that has been
//! given to other positions meanwhile, and finds cells whose states do not fit its position.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::ptr;
// Not loom's: what orders this is a number's way from `make` to `get`, by the table or the free list, which models see.
use core::sync::atomic::{AtomicPtr, Ordering};

use weblane_futex::growth;

use crate::free_list::FreeList;
use crate::primitive::{AtomicU32, AtomicU64, UnsafeCell};
use crate::task::Task;

/// Cells in a block. A batch is taken from one block at a time.
pub(crate) const BLOCK: usize = if cfg!(any(loom, shuttle)) { 2 } else { 128 };

/// The most blocks that one injector can have: what its queues can refer to, and room for those that are in somebody's hands.
const MOST: usize = super::LEVELS * super::queue::TABLE + if cfg!(any(loom, shuttle)) { 8 } else { 1024 };

/// Blocks that exist from the start, so that a pool in its steady state allocates none.
const FIRST: usize = if cfg!(any(loom, shuttle)) { 0 } else { 4 };

/// A cell's state as it was at some instant: which position of which queue (`Queue::mark`) it was last filled for, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct CellState(pub(super) u64);

impl CellState {
    const SKIPPED: u64 = 1 << 63;

    /// There is a task for `position`.
    pub(super) const fn full(position: u64) -> CellState {
        CellState(position + 1)
    }

    /// There is nothing for `position`, and never will be.
    pub(super) const fn skipped(position: u64) -> CellState {
        CellState((position + 1) | Self::SKIPPED)
    }

    /// Whether `position` may be consumed: its task is there, or will never be.
    pub(super) const fn ready(self, position: u64) -> bool {
        self.0 & !Self::SKIPPED == position + 1
    }
}

/// Room for one task, on a line of its own.
#[repr(align(64))]
pub(super) struct Cell {
    pub(super) state: AtomicU64,
    task: UnsafeCell<MaybeUninit<Task>>,
}

impl Cell {
    pub(super) fn state(&self) -> CellState {
        // Acquire: pairs with the Release in `set`; who sees "full" sees the task.
        CellState(self.state.load(Ordering::Acquire))
    }

    /// Moves the cell on from `seen`. Fails if somebody else has: the reaper skips cells whose producers may be dead.
    pub(super) fn set(&self, seen: CellState, next: CellState) -> bool {
        // Release: pairs with the Acquire in `state`. Relaxed on failure: the loser learns nothing from the winner.
        self.state.compare_exchange(seen.0, next.0, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// # Safety
    ///
    /// The cell is the caller's, and empty.
    pub(super) unsafe fn write(&self, task: Task) {
        // SAFETY: the caller's promise.
        self.task.with_mut(|cell| unsafe { (*cell).write(task) });
    }

    /// # Safety
    ///
    /// The cell is the caller's, full, and read once.
    pub(super) unsafe fn read(&self) -> Task {
        // SAFETY: the caller's promise.
        self.task.with_mut(|cell| unsafe { (*cell).assume_init_read() })
    }
}

/// Cells for consecutive positions.
pub(crate) struct Block {
    /// In the block and not behind a pointer: after a sleep all of this is out of the caches, and what hangs in a chain comes one by one.
    pub(super) cells: [Cell; BLOCK],
    /// How many of the cells are done with. When it reaches `BLOCK` the block is nobody's.
    read: AtomicU32,
    /// For the free list.
    next: AtomicU32,
}

impl Block {
    fn new() -> Box<Block> {
        let cell = |_| Cell { state: AtomicU64::new(0), task: UnsafeCell::new(MaybeUninit::uninit()) };
        Box::new(Block { cells: core::array::from_fn(cell), read: AtomicU32::new(0), next: AtomicU32::new(0) })
    }
}

/// All blocks of an injector.
pub(crate) struct Blocks {
    /// Where block `number` lies, at `number - 1`.
    places: Box<[AtomicPtr<Block>]>,
    made: AtomicU32,
    free: FreeList,
}

// SAFETY: the cells of blocks are used by the queues' protocol, and what is in them is `Send`.
unsafe impl Send for Blocks {}
// SAFETY: as above.
unsafe impl Sync for Blocks {}

impl Blocks {
    pub(super) fn new() -> Blocks {
        let places: Vec<AtomicPtr<Block>> = (0..MOST).map(|_| AtomicPtr::new(ptr::null_mut())).collect();
        let blocks = Blocks { places: places.into_boxed_slice(), made: AtomicU32::new(0), free: FreeList::new() };
        for _ in 0..FIRST {
            let number = blocks.make();
            blocks.free.push(number, &blocks.get(number).next);
        }
        blocks
    }

    /// A block that nobody else uses.
    pub(super) fn take(&self) -> u32 {
        self.free.pop(|number| &self.get(number).next).unwrap_or_else(|| self.make())
    }

    #[cold]
    fn make(&self) -> u32 {
        let block = Box::into_raw(Block::new());
        // Relaxed: only the number must be different.
        let index = self.made.fetch_add(1, Ordering::Relaxed) as usize;
        assert!(index < MOST, "{MOST} blocks of tasks are in use at once, which the limits of the queues exclude");
        // Relaxed: the number is handed on with more, see `get`.
        self.places[index].store(block, Ordering::Relaxed);
        index as u32 + 1
    }

    /// Gives back a block that was taken and not used.
    pub(super) fn give_back(&self, number: u32) {
        self.free.push(number, &self.get(number).next);
    }

    /// Says that `count` cells of a block are done with; the last one frees it.
    pub(super) fn done_with(&self, number: u32, count: u32) {
        let block = self.get(number);
        // AcqRel: Release for the caller's reads of cells; Acquire, for whoever is last, of all the others'. Then `push` hands both on.
        if block.read.fetch_add(count, Ordering::AcqRel) + count == BLOCK as u32 {
            // Relaxed: nobody else has the block until it is on the free list.
            block.read.swap(0, Ordering::Relaxed);
            self.free.push(number, &block.next);
        }
    }

    /// How many are free, and how many were made. When nobody is here; empties the list.
    #[cfg(test)]
    pub(super) fn count(&self) -> (usize, usize) {
        let free = core::iter::from_fn(|| self.free.pop(|number| &self.get(number).next)).count();
        (free, self.made.load(Ordering::Relaxed) as usize)
    }

    pub(super) fn get(&self, number: u32) -> &Block {
        // Relaxed: whoever has a number has it from `make`, or by way of a queue's table or the free list, which put it there with Release and
        // took it with Acquire.
        let block = self.places[number as usize - 1].load(Ordering::Relaxed);
        // Whoever has made it may just have grown the memory for it (race 55).
        growth::reach(block);
        // SAFETY: a number that was given out has its block in its place, until the end of `self`.
        unsafe { &*block }
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        for place in &mut self.places {
            let block = *place.get_mut();
            if !block.is_null() {
                // SAFETY: made from a box, and nobody uses the injector any more. Its queues have emptied the cells.
                drop(unsafe { Box::from_raw(block) });
            }
        }
    }
}
