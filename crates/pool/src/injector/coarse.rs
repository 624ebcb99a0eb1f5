//! The injector of models with two workers: the same promises in fewer steps.
//!
//! The real queues have models of their own (`tests`), and stand in the models with one worker. With two, their steps multiply with those
//! of the scheduler until nothing ends. So here each operation is one step, a lock around plain lists; and what the real ones
//! may do, this does: a batch is in no queue from the moment it is taken until the worker has put it into its ring (M8).

use alloc::collections::VecDeque;
use core::sync::atomic::Ordering;

use super::{LEVELS, Priority};
use crate::primitive::{AtomicU32, ShortLock};
use crate::task::Task;

#[derive(Default)]
struct Inner {
    queues: [VecDeque<Task>; LEVELS],
    closed: bool,
}

pub(super) struct Coarse {
    inner: ShortLock<Inner>,
    lengths: [AtomicU32; LEVELS],
}

impl Coarse {
    pub(super) fn new() -> Coarse {
        let length = || AtomicU32::new(0);
        Coarse { inner: ShortLock::new(Inner::default()), lengths: [length(), length(), length()] }
    }

    fn publish(&self, priority: Priority, queue: &VecDeque<Task>) {
        self.lengths[priority as usize].swap(queue.len() as u32, Ordering::SeqCst);
    }

    pub(super) fn push(
        &self,
        priority: Priority,
        tasks: impl Iterator<Item = Task>,
        inside: bool,
    ) -> Result<(), impl Iterator<Item = Task>> {
        self.inner.with(|inner| {
            if inner.closed && !inside {
                return Err(tasks);
            }
            let queue = &mut inner.queues[priority as usize];
            queue.extend(tasks);
            self.publish(priority, queue);
            Ok(())
        })
    }

    pub(super) fn pop(&self, priority: Priority, workers: usize, most: usize, take: impl FnMut(Task)) {
        let batch: VecDeque<Task> = self.inner.with(|inner| {
            let queue = &mut inner.queues[priority as usize];
            let share = (queue.len() / workers + 1).min(most).min(queue.len());
            let batch = queue.drain(..share).collect();
            self.publish(priority, queue);
            batch
        });
        batch.into_iter().for_each(take);
    }

    pub(super) fn len(&self, priority: Priority) -> usize {
        self.lengths[priority as usize].load(Ordering::SeqCst) as usize
    }

    pub(super) fn close(&self) {
        self.inner.with(|inner| inner.closed = true);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.inner.with(|inner| inner.closed && inner.queues.iter().all(VecDeque::is_empty))
    }
}
