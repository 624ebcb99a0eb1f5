//! The end that receives.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use super::primitive::Arc;
use super::wait::{self, InVain};
use super::wait_list::Place;
use super::{Closed, Nothing, RecvError, RecvTimeoutError, Shared, TryRecvError, Values};

/// Receives from a channel. Clone it for more receivers, each value goes to one of them; when the last one is dropped, the channel closes.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Receiver<T> {
        Receiver { shared }
    }

    /// Receives a value if one is there. Never blocks, on any thread.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`]: nothing is there, or every sender is gone and everything was received. "Empty" may mean that the value whose turn it is is still on its
    /// way in.
    ///
    /// # Examples
    ///
    /// ```
    /// # if weblane_futex::MODEL { return }
    /// use weblane_sync::channel::{TryRecvError, bounded};
    ///
    /// let (sender, receiver) = bounded(1);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.try_send('a').expect("there is room");
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Ok('a'));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    /// ```
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.shared.pop() {
            Ok(value) => {
                self.shared.received();
                Ok(value)
            }
            Err(Nothing::Empty) => Err(TryRecvError::Empty),
            Err(Nothing::Closed) => Err(TryRecvError::Closed),
        }
    }

    /// Receives a value, trying again for so many turns of a spin. Never blocks, on any thread.
    ///
    /// # Errors
    ///
    /// As for [`try_recv`](Receiver::try_recv).
    pub fn recv_spinning(&self, turns: u32) -> Result<T, TryRecvError> {
        match wait::spinning(&mut Values(&self.shared), turns) {
            Some(done) => Ok(done?),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Receives a value, waiting for it: asleep on threads that may block.
    ///
    /// # Errors
    ///
    /// [`RecvError`]: every sender is gone and everything was received; or nothing is there, and this thread may not block. Then use `try_recv` again later, or
    /// [`recv_async`](Receiver::recv_async).
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        match self.try_recv() {
            Ok(value) => Ok(value),
            Err(TryRecvError::Closed) => Err(RecvError::Closed),
            Err(TryRecvError::Empty) => self.recv_waiting(),
        }
    }

    #[cold]
    fn recv_waiting(&self) -> Result<T, RecvError> {
        match wait::block(&mut Values(&self.shared), None) {
            Ok(done) => Ok(done?),
            // There is no time that could be up.
            Err(InVain::MayNotBlock | InVain::TimedOut) => Err(RecvError::MayNotBlock),
        }
    }

    /// Receives a value, waiting for at most about `timeout`.
    ///
    /// This crate has no clock. A wait that nothing interrupts ends when the time is up; one that is woken for a value which another receiver then takes goes
    /// on with half of the time that was left to it before. So with several receivers it may end early, and at the latest after twice the time.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`]: as for [`recv`](Receiver::recv), or the time was up.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        match wait::block(&mut Values(&self.shared), Some(timeout)) {
            Ok(done) => Ok(done?),
            Err(InVain::MayNotBlock) => Err(RecvTimeoutError::MayNotBlock),
            Err(InVain::TimedOut) => Err(RecvTimeoutError::TimedOut),
        }
    }

    /// Receives a value, as a future. For every thread, the browser's main one included.
    ///
    /// Dropping it loses nothing: a value is taken out of the channel by the very poll that returns it, and a wake-up that came for a dropped future goes to
    /// another receiver.
    ///
    /// # Errors
    ///
    /// The future's result is [`Closed`] if every sender is gone and everything was received.
    pub fn recv_async(&self) -> RecvFuture<'_, T> {
        RecvFuture { shared: &self.shared, place: None }
    }

    /// The values as they come, until the channel closes; waits for each.
    ///
    /// # Panics
    ///
    /// `next` panics where [`recv`](Receiver::recv) returns [`RecvError::MayNotBlock`]: an end of the loop would look like a closed channel.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// The values that are there; does not wait.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { receiver: self }
    }

    /// How many values are inside, at some moment of the call.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.len()
    }

    /// Whether nothing is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values it holds at most; `None`: any number.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.shared.capacity()
    }

    /// Whether every sender is gone; values may still be inside. `true` stays so; `false` may be old when it arrives.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Shared::<T>::join(&self.shared.receiver_count);
        Receiver { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if Shared::<T>::part(&self.shared.receiver_count) {
            self.shared.abandon();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&*self.shared).finish()
    }
}

/// Receiving a value; made by [`Receiver::recv_async`]. Polled again after it was ready, it receives another one.
#[must_use = "a future does nothing unless it is polled"]
pub struct RecvFuture<'a, T> {
    shared: &'a Shared<T>,
    place: Option<Place>,
}

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let RecvFuture { shared, place } = &mut *self;
        wait::poll(&mut Values(shared), place, context)
    }
}

impl<T> Drop for RecvFuture<'_, T> {
    fn drop(&mut self) {
        wait::give_up(&Values(self.shared), &mut self.place);
    }
}

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecvFuture").field(self.shared).finish()
    }
}

fn next<T>(receiver: &Receiver<T>) -> Option<T> {
    match receiver.recv() {
        Ok(value) => Some(value),
        Err(RecvError::Closed) => None,
        Err(error @ RecvError::MayNotBlock) => panic!("{error}"),
    }
}

/// The values as they come; made by [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        next(self.receiver)
    }
}

/// The values that are there; made by [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

/// The values as they come, with the receiver inside.
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        next(&self.receiver)
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}
