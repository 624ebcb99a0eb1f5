//! Channels for every thread of a page: many senders, many receivers, bounded or not.
//!
//! # Which operation where
//!
//! | | waits asleep | does not wait | spins for so many turns | future |
//! |---|---|---|---|---|
//! | send | [`send`](Sender::send), [`send_timeout`](Sender::send_timeout) | [`try_send`](Sender::try_send) | [`send_spinning`](Sender::send_spinning) | [`send_async`](Sender::send_async) |
//! | receive | [`recv`](Receiver::recv), [`recv_timeout`](Receiver::recv_timeout), [`iter`](Receiver::iter) | [`try_recv`](Receiver::try_recv), [`try_iter`](Receiver::try_iter) | [`recv_spinning`](Receiver::recv_spinning) | [`recv_async`](Receiver::recv_async) |
//!
//! The browser's main thread may use all of them. Those of the first column do there what needs no waiting, and else return an error that names the
//! alternative and has the value in it. The futures need nothing but a `Waker`; both kinds of waiters may use one channel together, and are
//! served in the order of their coming.
//!
//! # Closing
//!
//! A channel closes when all its senders, or all its receivers, are gone. What was sent before the last sender went can still be received; only then
//! receivers are told. What is inside when the last receiver goes is dropped.
//!
//! # How it is made
//!
//! Two parts that know nothing of each other: a queue, and for each side a list of those who wait.
//!
//! | file | what | never |
//! |---|---|---|
//! | `ring.rs` | the bounded queue: Vyukov's ring, any capacity | a lock |
//! | `segments.rs`, `blocks.rs` | the unbounded queue: blocks in a row, used again | a lock; an allocation, unless it holds more than ever before |
//! | `wait_list.rs` | wakers and sleeping threads, in one line | a lock that somebody waits for |
//! | `wait.rs` | trying, entering the list, looking again, waiting: for both sides, asleep and async | |
//!
//! *An operation that finds what it needs* touches the queue, and reads of each list whether somebody waits. No notification is made if nobody does.
//!
//! *An operation that has changed something* wakes one of the other side; and one of its own side if there is more to be had. Why the second:
//! see `wait.rs`.
//!
//! *The main thread's rule* (races 26, 27): no lock is met that another thread may hold while it is preempted. A thread that stops in the middle of an
//! operation makes others find "empty", "full", or a delayed wake-up, but keeps nobody from returning.
//!
//! # Progress
//!
//! `try_` operations are lock-free in what they do to the cursors. The queues are not: a thread that stops for good between claiming a slot and
//! completing it hides the values behind it (values of a worker that traps there are lost, and receivers wait). The lock-free ring of
//! `weblane-ring` has no such state.
//!
//! # Memory ordering
//!
//! Receiving a value happens after sending it. On a bounded channel, a send that found a slot free happens after the receive that freed it.

#[cfg(target_has_atomic = "64")]
mod blocks;
mod error;
mod primitive;
mod receiver;
mod ring;
#[cfg(target_has_atomic = "64")]
mod segments;
mod sender;
mod wait;
mod wait_list;

use core::fmt;

use core::sync::atomic::Ordering;

use primitive::{Arc, AtomicU32, model_fence};
use ring::Ring;
#[cfg(target_has_atomic = "64")]
use segments::Segments;
use wait::{Side, chain};
use wait_list::WaitList;
use weblane_futex::growth;

pub use error::{Closed, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
pub use receiver::{IntoIter, Iter, Receiver, RecvFuture, TryIter};
pub use sender::{SendFuture, Sender};

/// Why a queue has not taken a value.
enum Refused<T> {
    Full(T),
    Closed(T),
}

/// Why a queue has given nothing.
enum Nothing {
    Empty,
    Closed,
}

#[allow(clippy::large_enum_variant, reason = "there is one for each channel, behind a pointer")]
enum Queue<T> {
    Bounded(Ring<T>),
    #[cfg(target_has_atomic = "64")]
    Unbounded(Segments<T>),
}

/// The same for both queues.
macro_rules! either {
    ($queue:expr, $name:ident => $do:expr) => {
        match &$queue {
            Queue::Bounded($name) => $do,
            #[cfg(target_has_atomic = "64")]
            Queue::Unbounded($name) => $do,
        }
    };
}

/// What the ends of a channel share.
struct Shared<T> {
    queue: Queue<T>,
    /// Who waits for a value.
    receivers: WaitList,
    /// Who waits for room.
    senders: WaitList,
    sender_count: AtomicU32,
    receiver_count: AtomicU32,
}

// SAFETY: a value is touched by who has claimed its slot, one thread at a time, and moves from thread to thread: `T: Send` is enough.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

// Values are never looked at where they are, and a panic leaves no slot half done.
#[cfg(not(loom))]
impl<T> core::panic::UnwindSafe for Shared<T> {}
#[cfg(not(loom))]
impl<T> core::panic::RefUnwindSafe for Shared<T> {}

impl<T> Shared<T> {
    fn ends(queue: Queue<T>) -> (Sender<T>, Receiver<T>) {
        let shared = Arc::new(Shared {
            queue,
            receivers: WaitList::new(),
            senders: WaitList::new(),
            sender_count: AtomicU32::new(1),
            receiver_count: AtomicU32::new(1),
        });
        (Sender::new(Arc::clone(&shared)), Receiver::new(shared))
    }

    #[inline]
    fn push(&self, value: T) -> Result<(), Refused<T>> {
        // What the value leads to may have been allocated a moment ago (race 55).
        growth::publish();
        either!(self.queue, queue => queue.push(value))
    }

    #[inline]
    fn pop(&self) -> Result<T, Nothing> {
        let value = either!(self.queue, queue => queue.pop())?;
        growth::adopt();
        Ok(value)
    }

    fn ready(&self) -> bool {
        either!(self.queue, queue => queue.ready())
    }

    fn room(&self) -> bool {
        match &self.queue {
            Queue::Bounded(ring) => ring.room(),
            #[cfg(target_has_atomic = "64")]
            Queue::Unbounded(_) => true,
        }
    }

    fn is_closed(&self) -> bool {
        either!(self.queue, queue => queue.is_closed())
    }

    fn len(&self) -> usize {
        either!(self.queue, queue => queue.len())
    }

    fn capacity(&self) -> Option<usize> {
        match &self.queue {
            Queue::Bounded(ring) => Some(ring.capacity()),
            #[cfg(target_has_atomic = "64")]
            Queue::Unbounded(_) => None,
        }
    }

    /// A value was sent.
    #[inline]
    #[allow(irrefutable_let_patterns, reason = "on targets without 64-bit atomics there is one kind")]
    fn sent(&self) {
        model_fence();
        if self.receivers.anyone() {
            self.receivers.call_one();
        }
        // In an unbounded channel no sender waits.
        if let Queue::Bounded(ring) = &self.queue {
            chain(&self.senders, || ring.room());
        }
    }

    /// A value was received.
    #[inline]
    fn received(&self) {
        model_fence();
        // In an unbounded channel no sender waits.
        if matches!(self.queue, Queue::Bounded(_)) && self.senders.anyone() {
            self.senders.call_one();
        }
        chain(&self.receivers, || self.ready());
    }

    fn close(&self) {
        either!(self.queue, queue => queue.close());
        model_fence();
        self.receivers.call_all();
        self.senders.call_all();
    }

    /// The last receiver has gone: nobody is going to have what is inside. What is still on its way in is dropped with the channel.
    fn abandon(&self) {
        self.close();
        either!(self.queue, queue => queue.drain());
    }

    /// One more of these ends.
    fn join(count: &AtomicU32) {
        // Relaxed: whoever clones an end has one.
        let before = count.fetch_add(1, Ordering::Relaxed);
        assert!(before < u32::MAX / 2, "more than 2^31 ends of one channel");
    }

    /// One less; returns whether it was the last one.
    fn part(count: &AtomicU32) -> bool {
        // AcqRel: the last one sees what the others have done.
        count.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

/// Receiving a value.
struct Values<'a, T>(&'a Shared<T>);

impl<T> Side for Values<'_, T> {
    type Done = Result<T, Closed>;

    #[inline]
    fn list(&self) -> &WaitList {
        &self.0.receivers
    }

    #[inline]
    fn attempt(&mut self) -> Option<Self::Done> {
        match self.0.pop() {
            Ok(value) => Some(Ok(value)),
            Err(Nothing::Closed) => Some(Err(Closed(()))),
            Err(Nothing::Empty) => None,
        }
    }

    fn hopeful(&self) -> bool {
        self.0.ready()
    }

    #[inline]
    fn after(&self) {
        self.0.received();
    }
}

/// A channel that holds at most `capacity` values; sending waits for room.
///
/// # Panics
///
/// If the capacity is 0 or more than 2^29.
///
/// # Examples
///
/// ```
/// # if weblane_futex::MODEL { return }
/// use weblane_sync::channel::bounded;
///
/// let (sender, receiver) = bounded(2);
/// let producer = std::thread::spawn(move || {
///     for value in 0..5 {
///         sender.send(value).expect("the receiver is there, and this thread may block");
///     }
/// });
/// assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
/// producer.join().unwrap();
/// ```
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    bounded_starting_at(capacity, 0)
}

/// The same after so many laps: for tests of the wrap.
#[doc(hidden)]
#[must_use]
pub fn bounded_starting_at<T>(capacity: usize, laps: u32) -> (Sender<T>, Receiver<T>) {
    Shared::ends(Queue::Bounded(Ring::new(capacity, laps)))
}

/// A channel that holds any number of values; sending never waits.
///
/// Its memory is used again, and freed with the channel: it has room for at most twice what it ever held at once. Sending allocates only when it holds
/// more than ever before.
///
/// Not on targets without 64-bit atomics: there use [`bounded`].
///
/// # Examples
///
/// ```
/// # if weblane_futex::MODEL { return }
/// use weblane_sync::channel::unbounded;
///
/// let (sender, receiver) = unbounded();
/// for value in 0..1000 {
///     sender.try_send(value).expect("there is always room");
/// }
/// drop(sender);
/// assert_eq!(receiver.iter().sum::<u32>(), 499_500);
/// ```
#[cfg(target_has_atomic = "64")]
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    unbounded_starting_at(0)
}

/// The same with blocks that have lived so often: for tests of the wrap.
#[cfg(target_has_atomic = "64")]
#[doc(hidden)]
#[must_use]
pub fn unbounded_starting_at<T>(life: u32) -> (Sender<T>, Receiver<T>) {
    Shared::ends(Queue::Unbounded(Segments::new(life)))
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Channel");
        shown.field("len", &self.len()).field("capacity", &self.capacity());
        shown.field("closed", &self.is_closed()).finish()
    }
}
