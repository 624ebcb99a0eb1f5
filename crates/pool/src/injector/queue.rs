//! One level of the injector: a lock-free queue of any length, in blocks.
//!
//! # State
//!
//! | name | type | means |
//! |---|---|---|
//! | `tail` | `AtomicU64` = CLOSED:1, position:63 | positions below have been claimed by producers |
//! | `head` | `AtomicU64` | positions below have been claimed by consumers |
//! | `table` | `[AtomicU64; TABLE]`, each number:32, block:32 | which block has the cells of the positions `number * BLOCK ..` |
//! | a cell's state | `AtomicU64` | the last position for which it was filled, or skipped, and that position's queue |
//! | `limit` | `AtomicU64` | producers that see a tail beyond it look whether the table has room |
//!
//! Positions and numbers count up and never wrap (63 bits); a table entry carries the lower half of its number, so an entry is mistaken for
//! another only after 2^32 blocks while one thread is stopped between two instructions.
//!
//! # Steps
//!
//! - *Push*: `tail.fetch_add(1)` claims a position. Find its block in the table, or put one there. Write the task, then set the cell's state.
//!   For a batch of k: one `fetch_add(k)`.
//! - *Pop*: read `head`; count the cells from there that are ready, up to what is wanted and to the end of the block;
//!   compare-and-swap `head` over them; read the tasks; say that these cells are done with. Whoever is done with a block's last cell frees the block.
//! - *Empty?*: the cell at `head` is not ready, and `head` is still the same afterwards.
//! - *Close*: set CLOSED in `tail`. A producer from outside whose `fetch_add` returns CLOSED has claimed a position all the same: it
//!   marks the cell as skipped and takes its task back.
//! - *Skip* (for the reaper, when a thread has died): mark every claimed cell that is not ready as skipped. A producer that lives and finds
//!   its cell skipped pushes again; so a dead one's cell blocks nobody (race 15).
//!
//! # Argument
//!
//! 1. *No cell is filled twice or read twice.* Positions are claimed by `fetch_add`, and by compare-and-swap of a number that only grows.
//! 2. *What is claimed by a consumer is there*: the state of its cell said so (Acquire) for this position, and stays so until the block is freed,
//!    which needs this very consumer to be done with it.
//!    (All levels' queues use the same blocks, and each counts from 0; so the state has the level in it, or what one queue left in a block would look ready to another.)
//! 3. *A block is freed once, when nobody will touch its cells*: each of its cells is counted once, by its consumer, or by its producer if it
//!    was skipped. (One that a dead producer left is never counted; that block is lost, and its place in the table is used
//!    again like any other.)
//! 4. *An entry is replaced only when all of its block's positions have been consumed*: producers claim no position `TABLE` blocks beyond `head`. They look
//!    at `limit` before they claim, and may then be stopped; so the limit is a margin lower, for as many claims as can be on the way at once.
//! 5. *A producer waits for nobody.* What it needs of others, a block in the table, it puts there itself; a race for that has a winner, and the losers use
//!    his. A consumer waits for nobody: a cell that is not ready ends its batch.
//! 6. A producer that is stopped after its claim hides what comes behind it, and a sleeper's second look finds the queue empty. That is no
//!    lost wake-up: it wakes somebody after its own publication (races 15, 32).
//!
//! # Lines
//!
//! What a push costs is lines that travel: the cell's, which must, and the tail's, if others look at it. A consumer that has caught up with its producers
//! finds a task or two at each look, and looks all the time; so it goes by the cells alone. Only when it has found many tasks, or the end of a block, does it
//! ask the tail for the number of them, by which it takes its share. (With a look at the tail in each `is_empty` and `pop` a push to a nearly empty
//! queue took 290 ns natively instead of 160.)
//!
//! # Source
//!
//! The claim by `fetch_add` and the blocks are of the family of LCRQ (Morrison and Afek, 2013) and crossbeam's `SegQueue`; a table in
//! place of links, so that nobody waits for a block that somebody else is about to link.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::Priority;
use super::blocks::{BLOCK, Blocks, CellState};
use super::overflow::Overflow;
use crate::primitive::AtomicU64;
use crate::task::Task;

/// Blocks that a queue can refer to at once.
pub(super) const TABLE: usize = if cfg!(loom) {
    4
} else if cfg!(shuttle) {
    64
} else {
    4096
};

/// Where in a cell's state the level begins. Positions stay below it for thousands of years.
const LEVEL: u32 = 60;

/// Positions that may be claimed by producers who looked at the limit before others moved it: claims on the way at the same time.
const MARGIN: u64 = if cfg!(loom) {
    4
} else if cfg!(shuttle) {
    64
} else {
    1 << 16
};

/// The most tasks in the table's blocks.
const ROOM: u64 = (TABLE * BLOCK) as u64 - MARGIN;

/// A consumer that finds fewer tasks does not ask the tail how many there are: see "Lines" in the module's essay.
const A_FEW: usize = if cfg!(loom) { 2 } else { 32 };

/// The tail as it was at some instant.
#[derive(Clone, Copy)]
struct Tail(u64);

impl Tail {
    const CLOSED: u64 = 1 << 63;

    const fn closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    const fn position(self) -> u64 {
        self.0 & !Self::CLOSED
    }
}

/// A table entry as it was at some instant.
#[derive(Clone, Copy)]
struct Entry(u64);

impl Entry {
    const fn new(number: u64, block: u32) -> Entry {
        Entry((number << 32) | block as u64)
    }

    /// The block of the positions `number * BLOCK ..`, if that is what the entry is for.
    const fn block_of(self, number: u64) -> Option<u32> {
        let block = self.0 as u32;
        if block != 0 && (self.0 >> 32) as u32 == number as u32 { Some(block) } else { None }
    }

    /// Whether the entry is for later positions than these.
    const fn is_after(self, number: u64) -> bool {
        self.0 as u32 != 0 && ((self.0 >> 32) as u32).wrapping_sub(number as u32) as i32 > 0
    }
}

/// On a line of its own: producers, consumers and readers do not disturb one another.
#[repr(align(128))]
struct Line<T>(T);

pub(super) struct Queue {
    tail: Line<(AtomicU64, AtomicU64)>,
    head: Line<AtomicU64>,
    table: Box<[AtomicU64]>,
    overflow: Overflow,
    /// The level, as it stands in the cells.
    level: u64,
}

impl Queue {
    pub(super) fn new(blocks: &Blocks, priority: Priority) -> Queue {
        let table: Vec<AtomicU64> = (0..TABLE).map(|_| AtomicU64::new(0)).collect();
        if priority == Priority::Normal {
            // Not shared yet.
            table[0].store(Entry::new(0, blocks.take()).0, Ordering::Relaxed);
        }
        Queue {
            tail: Line((AtomicU64::new(0), AtomicU64::new(ROOM))),
            head: Line(AtomicU64::new(0)),
            table: table.into_boxed_slice(),
            overflow: Overflow::new(),
            level: (priority as u64) << LEVEL,
        }
    }

    /// What cells say of a position: the queues of all levels use the same blocks, and what one has left there must not fit another's positions.
    const fn mark(&self, position: u64) -> u64 {
        self.level | position
    }

    fn tail(&self) -> Tail {
        // Relaxed: a claim orders nothing; the cells' states do.
        Tail(self.tail.0.0.load(Ordering::Relaxed))
    }

    fn head(&self) -> u64 {
        // Relaxed: as for the tail. An old one is a lower one, and finds cells that are not its own.
        self.head.0.load(Ordering::Relaxed)
    }

    /// Whether the table has room for a claim at `tail`.
    fn has_room(&self, tail: Tail) -> bool {
        let limit = &self.tail.0.1;
        // Relaxed: an old limit is a lower one.
        tail.position() < limit.load(Ordering::Relaxed) || {
            let now = self.head() + ROOM;
            // Another thread may just have written a higher one; then the next claim looks again.
            limit.swap(now, Ordering::Relaxed);
            tail.position() < now
        }
    }

    /// Appends a task. Gives it back if the queue is closed and it comes from outside.
    pub(super) fn push(&self, blocks: &Blocks, mut task: Task, inside: bool) -> Result<(), Task> {
        loop {
            let tail = self.tail();
            if tail.closed() && !inside {
                return Err(task);
            }
            if !self.has_room(tail) {
                return self.overflow.push(task, inside);
            }
            // Relaxed: as in `tail`. Closing is a change of the same word, so this is before it or after.
            let claimed = Tail(self.tail.0.0.fetch_add(1, Ordering::Relaxed));
            let position = claimed.position();
            let number = position / BLOCK as u64;
            let block = self.block(blocks, number);
            if claimed.closed() && !inside {
                self.skip_own(blocks, block, position);
                return Err(task);
            }
            match self.fill(blocks, block, position, task) {
                Ok(()) => return Ok(()),
                Err(back) => task = back,
            }
        }
    }

    /// Appends a worker's tasks, exactly `count`, by one claim.
    pub(super) fn push_many(&self, blocks: &Blocks, count: usize, mut tasks: impl Iterator<Item = Task>) {
        let mut again = None;
        if self.has_room(self.tail()) {
            // Relaxed: as in `push`.
            let first = Tail(self.tail.0.0.fetch_add(count as u64, Ordering::Relaxed)).position();
            for position in first..first + count as u64 {
                let block = self.block(blocks, position / BLOCK as u64);
                match tasks.next() {
                    Some(task) => {
                        if let Err(task) = self.fill(blocks, block, position, task) {
                            // The reaper was here. Seldom, so one by one.
                            again = Some(task);
                        }
                    }
                    None => self.skip_own(blocks, block, position),
                }
                if let Some(task) = again.take() {
                    // From inside, it is taken.
                    let _ = self.push(blocks, task, true);
                }
            }
        }
        for task in tasks {
            let _ = self.overflow.push(task, true);
        }
    }

    /// The block of positions `number * BLOCK ..`; puts one there if need be. One of these positions has been claimed. `None` if they have been
    /// consumed (the reaper has skipped the caller's), and so long ago that their place in the table is another's.
    fn block(&self, blocks: &Blocks, number: u64) -> Option<u32> {
        let entry = &self.table[(number % TABLE as u64) as usize];
        // Acquire: pairs with the Release of whoever put the block there.
        let mut seen = Entry(entry.load(Ordering::Acquire));
        loop {
            if let Some(block) = seen.block_of(number) {
                return Some(block);
            }
            if seen.is_after(number) {
                return None;
            }
            let fresh = blocks.take();
            let next = Entry::new(number, fresh);
            // Release: gives the block and what its former users did with it to whoever finds it here. Acquire: as above.
            match entry.compare_exchange(seen.0, next.0, Ordering::Release, Ordering::Acquire) {
                Ok(_) => return Some(fresh),
                Err(now) => {
                    blocks.give_back(fresh);
                    seen = Entry(now);
                }
            }
        }
    }

    /// Puts a task into the cell of a claimed position. Gives it back if the reaper has skipped the cell.
    fn fill(&self, blocks: &Blocks, block: Option<u32>, position: u64, task: Task) -> Result<(), Task> {
        let Some(block) = block else { return Err(task) };
        let cell = &blocks.get(block).cells[(position % BLOCK as u64) as usize];
        let before = cell.state();
        if !before.ready(self.mark(position)) {
            // SAFETY: the position is this thread's and the cell not ready, so nobody reads it; and the block's former positions are done with.
            unsafe { cell.write(task) };
            if cell.set(before, CellState::full(self.mark(position))) {
                return Ok(());
            }
            // SAFETY: it was skipped meanwhile, so nobody else reads it.
            let task = unsafe { cell.read() };
            blocks.done_with(block, 1);
            return Err(task);
        }
        blocks.done_with(block, 1);
        Err(task)
    }

    /// Leaves a claimed position without a task.
    fn skip_own(&self, blocks: &Blocks, block: Option<u32>, position: u64) {
        let Some(block) = block else { return };
        let cell = &blocks.get(block).cells[(position % BLOCK as u64) as usize];
        // If it fails the reaper has done it.
        cell.set(cell.state(), CellState::skipped(self.mark(position)));
        blocks.done_with(block, 1);
    }

    /// Takes a fair share for one of `workers` workers, at most `most`, and hands the tasks to `take` in order. Returns whether others must be
    /// told that something is left: a second look may have found nothing while this was under way.
    pub(super) fn pop(&self, blocks: &Blocks, workers: usize, most: usize, mut take: impl FnMut(Task)) -> bool {
        let mut head = self.head();
        loop {
            let (block, ready) = self.ready(blocks, head, most);
            if ready == 0 {
                let now = self.head();
                if now != head {
                    head = now;
                    continue;
                }
                return !self.overflow.is_empty() && {
                    self.overflow.take(most, take);
                    self.overflow.pending()
                };
            }
            let count = ready.min(self.queued(head, ready) / workers + 1);
            // Relaxed: the cells' states have ordered the tasks before this already.
            match self.head.0.compare_exchange(head, head + count as u64, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    self.read(blocks, block, head, count, &mut take);
                    return false;
                }
                Err(now) => head = now,
            }
        }
    }

    /// The tasks from `head` on, of which `ready` were found ready; roughly.
    fn queued(&self, head: u64, ready: usize) -> usize {
        let to_the_end = (head as usize + ready).is_multiple_of(BLOCK);
        if ready < A_FEW && !to_the_end {
            // These are all, or nearly, and a share that is too small is followed by another.
            return ready;
        }
        self.tail().position().saturating_sub(head) as usize
    }

    /// Reads `count` cells that this thread has just claimed.
    fn read(&self, blocks: &Blocks, block: u32, head: u64, count: usize, take: &mut impl FnMut(Task)) {
        let cells = &blocks.get(block).cells[(head % BLOCK as u64) as usize..][..count];
        let mut full = 0;
        for (position, cell) in (head..).zip(cells) {
            if cell.state() == CellState::full(self.mark(position)) {
                full += 1;
                // SAFETY: claimed by this thread, full, and read once.
                take(unsafe { cell.read() });
            }
        }
        if full != 0 {
            // A cell that was skipped is counted by its producer.
            blocks.done_with(block, full);
        }
    }

    /// How many positions from `head` on can be consumed, up to `most` and to the end of the block; and the block.
    fn ready(&self, blocks: &Blocks, head: u64, most: usize) -> (u32, usize) {
        let number = head / BLOCK as u64;
        // Acquire: pairs with the Release of whoever put the block there.
        let entry = Entry(self.table[(number % TABLE as u64) as usize].load(Ordering::Acquire));
        let Some(block) = entry.block_of(number) else { return (0, 0) };
        let cells = &blocks.get(block).cells[(head % BLOCK as u64) as usize..];
        let ready =
            (head..).zip(cells).take(most).take_while(|(position, cell)| cell.state().ready(self.mark(*position)));
        (block, ready.count())
    }

    /// Whether there was nothing to take a moment ago. What has been claimed and not published yet is not there yet.
    pub(super) fn is_empty(&self, blocks: &Blocks) -> bool {
        // Not by the tail: see "Lines".
        let mut head = self.head();
        loop {
            if self.ready(blocks, head, 1).1 != 0 {
                return false;
            }
            // If the head has moved, what was looked at may have been the cell of another position.
            let now = self.head();
            if now == head {
                return self.overflow.is_empty();
            }
            head = now;
        }
    }

    /// The tasks inside, roughly.
    pub(super) fn len(&self) -> usize {
        self.tail().position().saturating_sub(self.head()) as usize
    }

    /// Refuses what comes from outside from now on.
    pub(super) fn close(&self) {
        // Relaxed: only that it comes before or after a claim counts.
        self.tail.0.0.fetch_or(Tail::CLOSED, Ordering::Relaxed);
        self.overflow.close();
    }

    /// Whether everything that was accepted has been taken. To be asked when `close` has been called: with CLOSED all claims from outside that were in time
    /// are in the position, and who asks has seen all others asleep, which orders this after what they did.
    pub(super) fn is_finished(&self) -> bool {
        self.tail().position() == self.head() && !self.overflow.pending()
    }

    /// Skips every claimed position that is not published: its producer may be dead. One that lives pushes again.
    pub(super) fn skip(&self, blocks: &Blocks) {
        let (head, tail) = (self.head(), self.tail().position());
        for position in head..tail {
            if let Some(block) = self.block(blocks, position / BLOCK as u64) {
                let cell = &blocks.get(block).cells[(position % BLOCK as u64) as usize];
                let seen = cell.state();
                // If the head has passed it the cell may be another position's by now.
                if !seen.ready(self.mark(position)) && self.head() <= position {
                    cell.set(seen, CellState::skipped(self.mark(position)));
                }
            }
        }
    }

    /// Drops what is inside. For the end, when no other thread is here.
    pub(super) fn clear(&self, blocks: &Blocks) {
        // What a dead producer has left unpublished would hide what is behind it.
        self.skip(blocks);
        while !self.is_empty(blocks) {
            self.pop(blocks, 1, BLOCK, drop);
        }
    }

    /// What a producer does that dies before it has filled its cell.
    #[cfg(test)]
    pub(super) fn claim_and_die(&self) -> u64 {
        Tail(self.tail.0.0.fetch_add(1, Ordering::Relaxed)).position()
    }

    /// What a producer does that goes on long after its claim.
    #[cfg(all(test, loom))]
    pub(super) fn fill_late(&self, blocks: &Blocks, position: u64, task: Task) -> Result<(), Task> {
        self.fill(blocks, self.block(blocks, position / BLOCK as u64), position, task)
    }

    /// Blocks that the table refers to and that have positions to come. When nobody is here and everything is consumed.
    #[cfg(test)]
    pub(super) fn blocks_in_use(&self) -> usize {
        let in_use = |(index, entry): (usize, &AtomicU64)| {
            let (entry, first) = (Entry(entry.load(Ordering::Relaxed)), self.head() / BLOCK as u64);
            (first..first + TABLE as u64)
                .any(|number| number % TABLE as u64 == index as u64 && entry.block_of(number).is_some())
        };
        self.table.iter().enumerate().filter(|entry| in_use(*entry)).count()
    }
}
