//! The end that sends.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use super::primitive::Arc;
use super::wait::{self, InVain, Side};
use super::wait_list::{Place, WaitList};
use super::{Closed, Refused, SendError, SendTimeoutError, Shared, TrySendError};

/// Sends into a channel. Clone it for more senders; when the last one is dropped, the channel closes.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Sending a value, again and again until there is room.
struct Sending<'a, T> {
    shared: &'a Shared<T>,
    /// Taken out by the attempt that succeeds.
    value: Option<T>,
}

impl<T> Side for Sending<'_, T> {
    type Done = Result<(), Closed<T>>;

    #[inline]
    fn list(&self) -> &WaitList {
        &self.shared.senders
    }

    #[inline]
    fn attempt(&mut self) -> Option<Self::Done> {
        let value = self.value.take().expect("not sent yet");
        match self.shared.push(value) {
            Ok(()) => Some(Ok(())),
            Err(Refused::Closed(value)) => Some(Err(Closed(value))),
            Err(Refused::Full(value)) => {
                self.value = Some(value);
                None
            }
        }
    }

    fn hopeful(&self) -> bool {
        self.shared.room()
    }

    #[inline]
    fn after(&self) {
        self.shared.sent();
    }
}

impl<T> Sending<'_, T> {
    fn into_value(self) -> T {
        self.value.expect("not sent")
    }
}

impl<T> Sender<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Sender<T> {
        Sender { shared }
    }

    fn sending(&self, value: T) -> Sending<'_, T> {
        Sending { shared: &self.shared, value: Some(value) }
    }

    /// Sends a value if there is room. Never blocks, on any thread.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the value in it: the channel is full, or every receiver is gone. "Full" may mean that the slot whose turn it is is still being
    /// emptied.
    ///
    /// # Examples
    ///
    /// ```
    /// # if weblane_futex::MODEL { return }
    /// use weblane_sync::channel::{TrySendError, bounded};
    ///
    /// let (sender, receiver) = bounded(1);
    /// assert_eq!(sender.try_send(1), Ok(()));
    /// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    /// drop(receiver);
    /// assert_eq!(sender.try_send(3), Err(TrySendError::Closed(3)));
    /// ```
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.shared.push(value) {
            Ok(()) => {
                self.shared.sent();
                Ok(())
            }
            Err(Refused::Closed(value)) => Err(TrySendError::Closed(value)),
            Err(Refused::Full(value)) => Err(TrySendError::Full(value)),
        }
    }

    /// Sends a value, trying again for so many turns of a spin. Never blocks, on any thread.
    ///
    /// # Errors
    ///
    /// As for [`try_send`](Sender::try_send).
    pub fn send_spinning(&self, value: T, turns: u32) -> Result<(), TrySendError<T>> {
        let mut sending = self.sending(value);
        match wait::spinning(&mut sending, turns) {
            Some(done) => Ok(done?),
            None => Err(TrySendError::Full(sending.into_value())),
        }
    }

    /// Sends a value, waiting for room: asleep on threads that may block.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value in it: every receiver is gone; or there is no room, and this thread may not block. Then use `try_send` again later, or
    /// [`send_async`](Sender::send_async). An unbounded channel always has room.
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        match self.try_send(value) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(value)) => Err(SendError::Closed(value)),
            Err(TrySendError::Full(value)) => self.send_waiting(value),
        }
    }

    #[cold]
    fn send_waiting(&self, value: T) -> Result<(), SendError<T>> {
        let mut sending = self.sending(value);
        match wait::block(&mut sending, None) {
            Ok(done) => Ok(done?),
            // There is no time that could be up.
            Err(InVain::MayNotBlock | InVain::TimedOut) => Err(SendError::MayNotBlock(sending.into_value())),
        }
    }

    /// Sends a value, waiting for room for at most `timeout`.
    ///
    /// For what happens to the time when others are quicker, see [`recv_timeout`](super::Receiver::recv_timeout).
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`], with the value in it.
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        let mut sending = self.sending(value);
        match wait::block(&mut sending, Some(timeout)) {
            Ok(done) => Ok(done?),
            Err(InVain::MayNotBlock) => Err(SendTimeoutError::MayNotBlock(sending.into_value())),
            Err(InVain::TimedOut) => Err(SendTimeoutError::TimedOut(sending.into_value())),
        }
    }

    /// Sends a value, as a future that waits for room. For every thread, the browser's main one included.
    ///
    /// A future that is dropped before it is ready has sent nothing, and its value is dropped with it;
    /// [`into_value`](SendFuture::into_value) gets it back.
    ///
    /// # Errors
    ///
    /// The future's result is [`Closed`], with the value in it, if every receiver is gone.
    pub fn send_async(&self, value: T) -> SendFuture<'_, T> {
        SendFuture { sending: self.sending(value), place: None }
    }

    /// How many values are inside, at some moment of the call. After the last receiver, an attempt under way may be counted for a moment.
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

    /// Whether every receiver is gone. `true` stays so; `false` may be old when it arrives.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Shared::<T>::join(&self.shared.sender_count);
        Sender { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if Shared::<T>::part(&self.shared.sender_count) {
            self.shared.close();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&*self.shared).finish()
    }
}

/// Sending a value; made by [`Sender::send_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct SendFuture<'a, T> {
    sending: Sending<'a, T>,
    place: Option<Place>,
}

impl<T> SendFuture<'_, T> {
    /// The value, if it was not sent.
    #[must_use]
    pub fn into_value(mut self) -> Option<T> {
        self.sending.value.take()
    }
}

// The value is moved out, never pinned.
impl<T> Unpin for SendFuture<'_, T> {}

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), Closed<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let SendFuture { sending, place } = &mut *self;
        assert!(sending.value.is_some(), "a future that is done was polled");
        wait::poll(sending, place, context)
    }
}

impl<T> Drop for SendFuture<'_, T> {
    fn drop(&mut self) {
        wait::give_up(&self.sending, &mut self.place);
    }
}

impl<T> fmt::Debug for SendFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SendFuture").field(self.sending.shared).finish()
    }
}
