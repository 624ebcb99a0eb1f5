//! The queues that everybody shares: what other threads submit, and what a ring had no room for.
//!
//! One queue for each [`Priority`], of the same blocks. Pushing takes no lock, waits for nobody and, in the steady state, allocates nothing: the page's
//! main thread does it (races 26, 27). `queue` has the protocol, `blocks` the memory, `overflow` what happens when half a million tasks wait.

mod blocks;
#[cfg(loom)]
mod coarse;
mod overflow;
mod queue;
#[cfg(all(test, not(shuttle)))]
mod tests;

use core::sync::atomic::Ordering;

use blocks::Blocks;
use queue::Queue;

use crate::primitive::AtomicU32;
use crate::task::Task;

/// How soon a task is run, compared to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// When nothing else is queued, and at least every 509th turn of a worker.
    Background,
    /// In the order in which tasks come.
    #[default]
    Normal,
    /// Before normal ones, except every 61st turn.
    High,
}

impl Priority {
    /// The most urgent first.
    pub(crate) const ALL: [Priority; LEVELS] = [Priority::High, Priority::Normal, Priority::Background];
}

/// Levels of priority.
pub(crate) const LEVELS: usize = 3;

/// The levels that were in use at some instant.
#[derive(Clone, Copy)]
pub(crate) struct Used(u32);

impl Used {
    pub(crate) const fn has(self, priority: Priority) -> bool {
        self.0 & 1 << priority as u32 != 0
    }

    /// Whether only the normal level is in use.
    pub(crate) const fn none(self) -> bool {
        self.0 == 0
    }
}

/// All shared queues of a pool.
pub(crate) struct Injector {
    /// By priority, the lowest first.
    queues: [Queue; LEVELS],
    blocks: Blocks,
    /// A bit for each level but the normal one that was ever used: most pools use none, and ask once for both.
    used: AtomicU32,
    /// Stands in for the queues in large models.
    #[cfg(loom)]
    coarse: Option<coarse::Coarse>,
}

impl Injector {
    pub(crate) fn new() -> Injector {
        let blocks = Blocks::new();
        let queue = |priority| Queue::new(&blocks, priority);
        let queues = [queue(Priority::Background), queue(Priority::Normal), queue(Priority::High)];
        Injector {
            queues,
            blocks,
            used: AtomicU32::new(0),
            #[cfg(loom)]
            coarse: None,
        }
    }

    /// One whose operations are single steps, for large models.
    #[cfg(all(loom, test))]
    pub(crate) fn coarse() -> Injector {
        let mut injector = Injector::new();
        injector.coarse = Some(coarse::Coarse::new());
        injector
    }

    fn queue(&self, priority: Priority) -> &Queue {
        &self.queues[priority as usize]
    }

    /// Appends a task. Gives it back if the injector is closed and the task comes from outside.
    pub(crate) fn push(&self, priority: Priority, task: Task, inside: bool) -> Result<(), Task> {
        // Relaxed: a bit that is set stays so. SeqCst: set before the task is published; partner: the second look, see `in_use`.
        if priority != Priority::Normal && self.used.load(Ordering::Relaxed) & 1 << priority as u32 == 0 {
            self.used.fetch_or(1 << priority as u32, Ordering::SeqCst);
        }
        #[cfg(loom)]
        if let Some(coarse) = &self.coarse {
            return coarse.push(priority, core::iter::once(task), inside).map_err(|mut back| back.next().expect("one"));
        }
        self.queue(priority).push(&self.blocks, task, inside)
    }

    /// Appends a worker's tasks, of which there are `count`.
    pub(crate) fn push_many(&self, priority: Priority, count: usize, tasks: impl Iterator<Item = Task>) {
        #[cfg(loom)]
        if let Some(coarse) = &self.coarse {
            let _ = coarse.push(priority, tasks.take(count), true);
            return;
        }
        self.queue(priority).push_many(&self.blocks, count, tasks);
    }

    /// Takes a fair share for one of `workers` workers, at most `most` tasks: hands each to `take`, in order. Returns whether somebody must be told
    /// that something is left.
    pub(crate) fn pop(&self, priority: Priority, workers: usize, most: usize, take: impl FnMut(Task)) -> bool {
        #[cfg(loom)]
        if let Some(coarse) = &self.coarse {
            coarse.pop(priority, workers, most, take);
            return false;
        }
        self.queue(priority).pop(&self.blocks, workers, most, take)
    }

    /// Whether this level had nothing a moment ago.
    pub(crate) fn is_empty(&self, priority: Priority) -> bool {
        #[cfg(loom)]
        if let Some(coarse) = &self.coarse {
            return coarse.len(priority) == 0;
        }
        self.queue(priority).is_empty(&self.blocks)
    }

    /// Which levels but the normal one have ever been used.
    pub(crate) fn in_use(&self) -> Used {
        // SeqCst: in the second look it is read after sleep was announced. A level that is used for the first time after this is used by a
        // producer that sees the sleeper.
        Used(self.used.load(Ordering::SeqCst))
    }

    /// Whether no level had anything a moment ago (race 54: the second look covers every level).
    pub(crate) fn all_empty(&self) -> bool {
        let used = self.in_use();
        let other = |priority| used.has(priority) && !self.is_empty(priority);
        self.is_empty(Priority::Normal) && !other(Priority::High) && !other(Priority::Background)
    }

    /// Tasks queued at this level, roughly.
    pub(crate) fn len(&self, priority: Priority) -> usize {
        self.queue(priority).len()
    }

    /// Refuses what comes from outside from now on.
    pub(crate) fn close(&self) {
        #[cfg(loom)]
        if let Some(coarse) = &self.coarse {
            return coarse.close();
        }
        self.queues.iter().for_each(Queue::close);
    }

    /// Whether every level is empty for good unless a worker pushes. To be asked when [`close`](Injector::close) has been called.
    pub(crate) fn is_finished(&self) -> bool {
        #[cfg(loom)]
        if let Some(coarse) = &self.coarse {
            return coarse.is_finished();
        }
        self.queues.iter().all(Queue::is_finished)
    }

    /// What a producer of normal tasks does that dies before it has filled its cell.
    #[cfg(test)]
    pub(crate) fn claim_and_die(&self) -> u64 {
        self.queue(Priority::Normal).claim_and_die()
    }

    /// Lets nobody wait for what a dead thread has claimed (race 15).
    pub(crate) fn skip_claimed(&self) {
        self.queues.iter().for_each(|queue| queue.skip(&self.blocks));
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        self.queues.iter().for_each(|queue| queue.clear(&self.blocks));
    }
}
