//! Channels on real threads.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use weblane_sync::channel::{
    Closed, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, TryRecvError, TrySendError,
    bounded, bounded_starting_at, unbounded, unbounded_starting_at,
};

/// A waker that counts, and wakes a thread.
#[derive(Default)]
struct Bell {
    rung: AtomicU32,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.fetch_add(1, Ordering::SeqCst);
        weblane_futex::notify_all(&self.rung);
    }
}

/// Runs a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    loop {
        let seen = bell.rung.load(Ordering::SeqCst);
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        weblane_futex::wait(&bell.rung, seen, None).expect("may block");
    }
}

fn poll<F: Future>(future: Pin<&mut F>, bell: &Arc<Bell>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(bell))))
}

fn rung(bell: &Bell) -> u32 {
    bell.rung.load(Ordering::SeqCst)
}

/// Channels of each kind, next to the wrap of their positions too.
fn kinds<T>() -> Vec<(Sender<T>, Receiver<T>)> {
    vec![
        bounded(1),
        bounded(3),
        bounded(64),
        bounded_starting_at(1, u32::MAX),
        bounded_starting_at(3, (1 << 29) - 2),
        unbounded(),
        unbounded_starting_at(u32::MAX),
    ]
}

#[test]
fn values_come_in_order_and_are_counted() {
    for (sender, receiver) in kinds() {
        let mut model = VecDeque::new();
        for round in 0..300_u32 {
            for value in 0..round % 70 {
                match sender.try_send(value) {
                    Ok(()) => model.push_back(value),
                    Err(error) => {
                        assert_eq!(error, TrySendError::Full(value));
                        assert_eq!(Some(model.len()), sender.capacity());
                    }
                }
                assert_eq!((sender.len(), receiver.len()), (model.len(), model.len()));
            }
            for _ in 0..round % 67 {
                assert_eq!(receiver.try_recv().ok(), model.pop_front());
            }
            assert_eq!(receiver.is_empty(), model.is_empty());
        }
        assert!(receiver.try_iter().eq(model));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
}

#[test]
fn a_channel_closes_when_one_side_is_gone() {
    for (sender, receiver) in kinds() {
        let other = sender.clone();
        sender.try_send(1).expect("there is room");
        drop(sender);
        assert!(!receiver.is_closed());
        drop(other);
        assert!(receiver.is_closed());
        assert_eq!(receiver.try_recv(), Ok(1), "what was queued is still received");
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(receiver.recv(), Err(RecvError::Closed));
        assert_eq!(receiver.recv_spinning(9), Err(TryRecvError::Closed));
        assert_eq!(receiver.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Closed));
        assert_eq!(block_on(receiver.recv_async()), Err(Closed(())));
        assert_eq!(receiver.iter().next(), None);
    }
    for (sender, receiver) in kinds() {
        let other = receiver.clone();
        drop(receiver);
        assert!(!sender.is_closed());
        drop(other);
        assert!(sender.is_closed());
        for value in 0..70_000 {
            assert_eq!(sender.try_send(value), Err(TrySendError::Closed(value)));
        }
        assert!(sender.is_empty());
        assert_eq!(sender.send(5), Err(SendError::Closed(5)));
        assert_eq!(sender.send_spinning(5, 9), Err(TrySendError::Closed(5)));
        assert_eq!(sender.send_timeout(5, Duration::MAX), Err(SendTimeoutError::Closed(5)));
        assert_eq!(block_on(sender.send_async(5)), Err(Closed(5)));
    }
}

#[test]
fn time_is_up() {
    for (sender, receiver) in kinds() {
        assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::TimedOut));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::TimedOut));
        for value in 0..sender.capacity().unwrap_or(0) {
            assert_eq!(sender.send_timeout(value, Duration::ZERO), Ok(()));
        }
        if sender.capacity().is_some() {
            assert_eq!(sender.send_timeout(9, Duration::from_millis(1)), Err(SendTimeoutError::TimedOut(9)));
            assert_eq!(sender.send_spinning(9, 9), Err(TrySendError::Full(9)));
            assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(0));
        }
    }
}

/// Every value arrives once, in the order of its sender, however the two sides work.
#[test]
fn many_to_many() {
    const EACH: u32 = if cfg!(miri) { 50 } else { 20_000 };
    const THREADS: u32 = 3;
    for (kind, (sender, receiver)) in kinds::<(u32, u32)>().into_iter().enumerate() {
        let producers: Vec<_> = (0..THREADS)
            .map(|by| {
                let sender = sender.clone();
                thread::spawn(move || {
                    for value in 0..EACH {
                        let value = (by, value);
                        match value.1 % 4 {
                            0 => sender.send(value).expect("open"),
                            1 => block_on(sender.send_async(value)).expect("open"),
                            2 => sender.send_timeout(value, Duration::from_secs(600)).expect("open"),
                            _ => {
                                let mut result = sender.send_spinning(value, 10);
                                while let Err(TrySendError::Full(value)) = result {
                                    thread::yield_now();
                                    result = sender.try_send(value);
                                }
                            }
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let consumers: Vec<_> = (0..THREADS)
            .map(|by| {
                let receiver = receiver.clone();
                thread::spawn(move || {
                    let mut got = Vec::new();
                    loop {
                        let next = match (by + got.len() as u32) % 3 {
                            0 => receiver.recv().ok(),
                            1 => block_on(receiver.recv_async()).ok(),
                            _ => match receiver.recv_timeout(Duration::from_millis(1)) {
                                Err(RecvTimeoutError::TimedOut) => continue,
                                other => other.ok(),
                            },
                        };
                        let Some(next) = next else { return got };
                        got.push(next);
                    }
                })
            })
            .collect();
        drop(receiver);
        producers.into_iter().for_each(|producer| producer.join().expect("no panic"));
        let mut all = Vec::new();
        for consumer in consumers {
            let got = consumer.join().expect("no panic");
            for by in 0..THREADS {
                let own: Vec<_> = got.iter().filter(|value| value.0 == by).collect();
                assert!(own.is_sorted(), "kind {kind}: in the order of the sender");
            }
            all.extend(got);
        }
        all.sort_unstable();
        let expected: Vec<_> = (0..THREADS).flat_map(|by| (0..EACH).map(move |value| (by, value))).collect();
        assert!(all == expected, "kind {kind}: each value once");
    }
}

/// Two threads that mostly find the other one asleep.
#[test]
fn ping_pong() {
    for ((there, ping), (back, pong)) in kinds().into_iter().zip(kinds()) {
        let other = thread::spawn(move || {
            for value in ping {
                back.send(value + 1).expect("open");
            }
        });
        for value in 0..5000 {
            there.send(value).expect("open");
            assert_eq!(pong.recv(), Ok(value + 1));
        }
        drop(there);
        assert_eq!(pong.recv(), Err(RecvError::Closed));
        other.join().expect("no panic");
    }
}

#[test]
fn a_dropped_future_passes_its_wake_on() {
    for (sender, receiver) in kinds() {
        let (first, second) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
        let mut a = Box::pin(receiver.recv_async());
        let mut b = Box::pin(receiver.recv_async());
        assert!(poll(a.as_mut(), &first).is_pending());
        assert!(poll(b.as_mut(), &second).is_pending());
        assert!(poll(a.as_mut(), &first).is_pending(), "polled twice, listed once");
        sender.try_send(7).expect("there is room");
        assert_eq!((rung(&first), rung(&second)), (1, 0), "one is woken");
        drop(a);
        assert_eq!((rung(&first), rung(&second)), (1, 1), "the other one instead");
        assert_eq!(poll(b.as_mut(), &second), Poll::Ready(Ok(7)));
        drop(b);

        // The same to send.
        let Some(capacity) = sender.capacity() else { continue };
        (0..capacity).for_each(|value| sender.try_send(value).expect("there is room"));
        let mut a = Box::pin(sender.send_async(100));
        let mut b = Box::pin(sender.send_async(200));
        assert!(poll(a.as_mut(), &first).is_pending());
        assert!(poll(b.as_mut(), &second).is_pending());
        assert_eq!(receiver.try_recv(), Ok(0));
        assert_eq!((rung(&first), rung(&second)), (2, 1));
        drop(a);
        assert_eq!((rung(&first), rung(&second)), (2, 2));
        assert_eq!(poll(b.as_mut(), &second), Poll::Ready(Ok(())));
        assert_eq!(receiver.len(), capacity);
    }
}

#[test]
fn a_future_that_moves_to_another_waker_wakes_that_one() {
    let (sender, receiver) = unbounded();
    let (first, second) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    let mut future = pin!(receiver.recv_async());
    assert!(poll(future.as_mut(), &first).is_pending());
    assert!(poll(future.as_mut(), &second).is_pending());
    sender.send(1).expect("open");
    assert_eq!((rung(&first), rung(&second)), (0, 1));
    assert_eq!(poll(future.as_mut(), &first), Poll::Ready(Ok(1)));
    assert_eq!(Arc::strong_count(&first) + Arc::strong_count(&second), 2, "no waker is kept");
}

/// A future that is dropped takes its waker with it, though its place stays in the line until somebody comes by: a waker that outlived it would keep a
/// whole task alive, on an idle channel for ever.
#[test]
fn who_leaves_takes_his_waker_along() {
    for (sender, receiver) in kinds() {
        let bell = Arc::new(Bell::default());
        let mut future = Box::pin(receiver.recv_async());
        assert!(poll(future.as_mut(), &bell).is_pending());
        assert_eq!(Arc::strong_count(&bell), 2, "the line has it");
        drop(future);
        assert_eq!(Arc::strong_count(&bell), 1, "of who waits for a value");

        // The same to send.
        let Some(capacity) = sender.capacity() else { continue };
        (0..capacity).for_each(|value| sender.try_send(value).expect("there is room"));
        let mut future = Box::pin(sender.send_async(100));
        assert!(poll(future.as_mut(), &bell).is_pending());
        assert_eq!(Arc::strong_count(&bell), 2, "the line has it");
        drop(future);
        assert_eq!(Arc::strong_count(&bell), 1, "of who waits for room");
    }
}

/// Two values for one wake-up, as when the first of two sends is finished last: who takes the first one wakes for the second.
#[test]
fn who_receives_wakes_the_next_one_if_there_is_more() {
    let (sender, receiver) = bounded(8);
    let bells = [(); 2].map(|()| Arc::new(Bell::default()));
    let mut futures = [(); 2].map(|()| Box::pin(receiver.recv_async()));
    for (future, bell) in futures.iter_mut().zip(&bells) {
        assert!(poll(future.as_mut(), bell).is_pending());
    }
    sender.try_send(1).expect("there is room");
    sender.try_send(2).expect("there is room");
    assert_eq!([rung(&bells[0]), rung(&bells[1])], [1, 1]);
    // The second one takes the first value and goes to wait again: for it the other one has to be told.
    assert_eq!(poll(futures[1].as_mut(), &bells[1]), Poll::Ready(Ok(1)));
    assert_eq!(poll(futures[1].as_mut(), &bells[1]), Poll::Ready(Ok(2)));
    assert!(poll(futures[1].as_mut(), &bells[1]).is_pending());
    assert!(poll(futures[0].as_mut(), &bells[0]).is_pending());
    drop(sender);
    assert_eq!([rung(&bells[0]), rung(&bells[1])], [2, 2], "closing wakes everybody");
}

#[test]
fn a_value_comes_back_from_a_future() {
    let (sender, receiver) = bounded(1);
    sender.try_send(1).expect("there is room");
    let bell = Arc::new(Bell::default());
    let mut future = Box::pin(sender.send_async(2));
    assert!(poll(future.as_mut(), &bell).is_pending());
    assert_eq!(Pin::into_inner(future).into_value(), Some(2));
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(rung(&bell), 0, "who has left is not woken");
}

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn what_is_left_is_dropped_once() {
    let dropped = AtomicUsize::new(0);
    for receiver_first in [false, true] {
        for (sender, receiver) in kinds() {
            let mut sent = 0;
            while sent < 200 && sender.try_send(Counted(&dropped)).is_ok() {
                sent += 1;
            }
            drop(receiver.try_recv());
            assert_eq!(
                dropped.swap(0, Ordering::Relaxed),
                1 + usize::from(sent < 200),
                "the one received, and the one too many"
            );
            if receiver_first {
                drop(receiver);
                assert_eq!(dropped.load(Ordering::Relaxed), sent - 1, "nobody is going to receive them");
                drop(sender);
            } else {
                drop(sender);
                assert_eq!(dropped.load(Ordering::Relaxed), 0);
                drop(receiver);
            }
            assert_eq!(dropped.swap(0, Ordering::Relaxed), sent - 1);
        }
    }
}

#[test]
fn large_and_empty_values() {
    for (sender, receiver) in kinds::<[u64; 100]>() {
        sender.send([5; 100]).expect("open");
        assert_eq!(receiver.recv(), Ok([5; 100]));
    }
    for (sender, receiver) in kinds::<()>() {
        sender.send(()).expect("open");
        assert_eq!((receiver.len(), receiver.recv()), (1, Ok(())));
    }
}

#[test]
fn errors_say_what_to_do() {
    for text in [SendError::MayNotBlock(1).to_string(), SendTimeoutError::MayNotBlock(1).to_string()] {
        assert!(text.contains("main thread") && text.contains("send_async") && text.contains("try_send"), "{text}");
    }
    for text in [RecvError::MayNotBlock.to_string(), RecvTimeoutError::MayNotBlock.to_string()] {
        assert!(text.contains("main thread") && text.contains("recv_async") && text.contains("try_recv"), "{text}");
    }
    assert_eq!(SendError::MayNotBlock(3).into_inner(), 3);
    let (sender, receiver) = bounded::<u8>(4);
    sender.try_send(1).expect("there is room");
    assert_eq!(format!("{sender:?}"), "Sender(Channel { len: 1, capacity: Some(4), closed: false })");
    assert_eq!(
        format!("{:?}", receiver.recv_async()),
        "RecvFuture(Channel { len: 1, capacity: Some(4), closed: false })"
    );
}

#[test]
#[should_panic(expected = "use a capacity of 1")]
fn there_is_no_capacity_of_nothing() {
    let _ = bounded::<()>(0);
}
