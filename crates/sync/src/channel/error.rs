//! What channels answer when they do not do what they were asked for. Values that were not sent come back.

use core::fmt;

/// The other side of the channel is gone. What could not be sent is in here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<T = ()>(pub T);

impl<T> fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the other side of the channel is gone")
    }
}

impl<T> core::error::Error for Closed<T> {}

macro_rules! with_value {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub enum $name<T> {
            $($(#[$variant_doc])* $variant(T),)*
        }

        impl<T> $name<T> {
            /// The value that was not sent.
            pub fn into_inner(self) -> T {
                match self {
                    $($name::$variant(value) => value,)*
                }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($name::$variant(_) => concat!(stringify!($variant), "(..)"),)*
                })
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($name::$variant(_) => $text,)*
                })
            }
        }

        impl<T> core::error::Error for $name<T> {}

        impl<T> From<Closed<T>> for $name<T> {
            fn from(Closed(value): Closed<T>) -> Self {
                $name::Closed(value)
            }
        }
    };
}

macro_rules! without_value {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($name::$variant => $text,)*
                })
            }
        }

        impl core::error::Error for $name {}

        impl From<Closed> for $name {
            fn from(Closed(()): Closed) -> Self {
                $name::Closed
            }
        }
    };
}

const CLOSED: &str = "the other side of the channel is gone";
const EMPTY: &str = "the channel is empty";
const FULL: &str = "the channel is full";
const LATE: &str = "the time is up";
const NO_WAIT_TO_SEND: &str = "the channel is full, and this thread may not block, because it is the browser's main thread or nobody \
     has said that it may: use `try_send`, or await `send_async`, or make the channel unbounded";
const NO_WAIT_TO_RECEIVE: &str = "the channel is empty, and this thread may not block, because it is the browser's main thread or nobody \
     has said that it may: use `try_recv`, or await `recv_async`";

with_value! {
    /// Why [`send`](super::Sender::send) has not sent.
    SendError {
        /// Every receiver is gone.
        Closed => CLOSED,
        /// It would have had to wait, and this thread may not: use `try_send` or `send_async`.
        MayNotBlock => NO_WAIT_TO_SEND,
    }
}
with_value! {
    /// Why [`try_send`](super::Sender::try_send) has not sent.
    TrySendError {
        /// Every receiver is gone.
        Closed => CLOSED,
        /// There is no room now.
        Full => FULL,
    }
}
with_value! {
    /// Why [`send_timeout`](super::Sender::send_timeout) has not sent.
    SendTimeoutError {
        /// Every receiver is gone.
        Closed => CLOSED,
        /// There was no room in all of the time.
        TimedOut => LATE,
        /// It would have had to wait, and this thread may not: use `try_send` or `send_async`.
        MayNotBlock => NO_WAIT_TO_SEND,
    }
}
without_value! {
    /// Why [`recv`](super::Receiver::recv) has received nothing.
    RecvError {
        /// Every sender is gone, and everything was received.
        Closed => CLOSED,
        /// It would have had to wait, and this thread may not: use `try_recv` or `recv_async`.
        MayNotBlock => NO_WAIT_TO_RECEIVE,
    }
}
without_value! {
    /// Why [`try_recv`](super::Receiver::try_recv) has received nothing.
    TryRecvError {
        /// Every sender is gone, and everything was received.
        Closed => CLOSED,
        /// Nothing is there now.
        Empty => EMPTY,
    }
}
without_value! {
    /// Why [`recv_timeout`](super::Receiver::recv_timeout) has received nothing.
    RecvTimeoutError {
        /// Every sender is gone, and everything was received.
        Closed => CLOSED,
        /// Nothing came in all of the time.
        TimedOut => LATE,
        /// It would have had to wait, and this thread may not: use `try_recv` or `recv_async`.
        MayNotBlock => NO_WAIT_TO_RECEIVE,
    }
}
