//! Channels against a `VecDeque`, in any sequence of calls by one thread; and after each call: **nobody who could go on sleeps**.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;
use weblane_sync::channel::{
    Closed, RecvFuture, SendFuture, TryRecvError, TrySendError, bounded_starting_at, unbounded_starting_at,
};

#[derive(Clone, Copy, Debug)]
enum Call {
    TrySend,
    TryRecv,
    /// Makes a future and polls it once.
    SendAsync,
    RecvAsync,
    /// Polls one that waits, woken or not.
    PollSend(usize),
    PollRecv(usize),
    DropSend(usize),
    DropRecv(usize),
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        2 => Just(Call::TrySend),
        2 => Just(Call::TryRecv),
        2 => Just(Call::SendAsync),
        2 => Just(Call::RecvAsync),
        1 => any::<usize>().prop_map(Call::PollSend),
        1 => any::<usize>().prop_map(Call::PollRecv),
        1 => any::<usize>().prop_map(Call::DropSend),
        1 => any::<usize>().prop_map(Call::DropRecv),
    ]
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A future that waits, and whether it was woken since it was polled.
struct Waiting<F> {
    future: Pin<Box<F>>,
    woken: Arc<Flag>,
    value: u32,
}

impl<F: Future> Waiting<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        self.woken.0.store(false, Ordering::Relaxed);
        // Another waker each time, half of the time.
        if self.value.is_multiple_of(2) {
            self.woken = Arc::default();
        }
        self.future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&self.woken))))
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed)
    }
}

fn pick<F>(waiting: &[Waiting<F>], which: usize) -> Option<usize> {
    (!waiting.is_empty()).then(|| which % waiting.len())
}

/// `capacity` 0: unbounded. `closing`: 0 leaves both ends, 1 drops the sender, 2 the receiver.
fn check(capacity: usize, start: u32, calls: &[Call], closing: u8) {
    let (sender, receiver) =
        if capacity == 0 { unbounded_starting_at(start) } else { bounded_starting_at(capacity, start) };
    let mut model = VecDeque::new();
    let full = |model: &VecDeque<u32>| capacity != 0 && model.len() == capacity;
    let mut sending: Vec<Waiting<SendFuture<'_, u32>>> = Vec::new();
    let mut receiving: Vec<Waiting<RecvFuture<'_, u32>>> = Vec::new();
    for (value, call) in calls.iter().enumerate() {
        let value = value as u32;
        match *call {
            Call::TrySend if full(&model) => assert_eq!(sender.try_send(value), Err(TrySendError::Full(value))),
            Call::TrySend => {
                assert_eq!(sender.try_send(value), Ok(()));
                model.push_back(value);
            }
            Call::TryRecv => assert_eq!(receiver.try_recv(), model.pop_front().ok_or(TryRecvError::Empty)),
            Call::SendAsync | Call::PollSend(_) => {
                let which = if let Call::PollSend(which) = *call {
                    pick(&sending, which)
                } else {
                    let future = Box::pin(sender.send_async(value));
                    sending.push(Waiting { future, woken: Arc::default(), value });
                    Some(sending.len() - 1)
                };
                if let Some(which) = which {
                    let has_room = !full(&model);
                    match sending[which].poll() {
                        Poll::Ready(done) => {
                            assert!(has_room && done.is_ok());
                            model.push_back(sending.remove(which).value);
                        }
                        Poll::Pending => assert!(!has_room),
                    }
                }
            }
            Call::RecvAsync | Call::PollRecv(_) => {
                let which = if let Call::PollRecv(which) = *call {
                    pick(&receiving, which)
                } else {
                    receiving.push(Waiting { future: Box::pin(receiver.recv_async()), woken: Arc::default(), value });
                    Some(receiving.len() - 1)
                };
                if let Some(which) = which {
                    match receiving[which].poll() {
                        Poll::Ready(got) => {
                            assert_eq!(got.ok(), model.pop_front());
                            receiving.remove(which);
                        }
                        Poll::Pending => assert!(model.is_empty()),
                    }
                }
            }
            Call::DropSend(which) => {
                if let Some(which) = pick(&sending, which) {
                    let Waiting { future, value, .. } = sending.remove(which);
                    assert_eq!(Pin::into_inner(future).into_value(), Some(value));
                }
            }
            Call::DropRecv(which) => {
                if let Some(which) = pick(&receiving, which) {
                    receiving.remove(which);
                }
            }
        }
        assert_eq!((sender.len(), receiver.is_empty()), (model.len(), model.is_empty()));
        assert!(
            model.is_empty() || receiving.is_empty() || receiving.iter().any(Waiting::is_woken),
            "values, and every receiver sleeps, after {call:?}"
        );
        assert!(
            full(&model) || sending.is_empty() || sending.iter().any(Waiting::is_woken),
            "room, and every sender sleeps, after {call:?}"
        );
    }
    match closing {
        1 => {
            drop(sending);
            drop(sender);
            for mut waiting in receiving {
                assert!(waiting.is_woken(), "closing wakes everybody");
                assert_eq!(waiting.poll(), Poll::Ready(model.pop_front().ok_or(Closed(()))));
            }
            assert!(receiver.iter().eq(model));
        }
        2 => {
            drop(receiving);
            drop(receiver);
            for mut waiting in sending {
                assert!(waiting.is_woken(), "closing wakes everybody");
                assert_eq!(waiting.poll(), Poll::Ready(Err(Closed(waiting.value))));
            }
        }
        _ => assert!(receiver.try_iter().take(model.len()).eq(model)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_a_queue_with_waiters(
        capacity in 0_usize..6,
        near_the_wrap in 0_u32..3,
        calls in prop::collection::vec(call(), 0..200),
        closing in 0_u8..3,
    ) {
        check(capacity, near_the_wrap.wrapping_sub(2), &calls, closing);
    }
}
