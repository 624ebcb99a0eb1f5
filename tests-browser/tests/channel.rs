//! Channels between the main thread, which tries, spins and awaits, and workers, which sleep.
#![cfg(target_arch = "wasm32")]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tests_browser::growth::{Blind, GROWTHS, grow};
use tests_browser::{Soon, WORKERS, eventually, on_each_worker, pool, sleep, spin_until};
use wasm_bindgen_futures::spawn_local;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_sync::channel::{
    Closed, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, TryRecvError, TrySendError,
    bounded, unbounded,
};

wasm_bindgen_test_configure!(run_in_browser);

/// Channels of each kind.
fn kinds<T>() -> [(Sender<T>, Receiver<T>); 3] {
    [bounded(1), bounded(5), unbounded()]
}

#[wasm_bindgen_test]
async fn what_would_have_to_wait_is_an_error_on_the_main_thread() {
    pool().await;
    for (sender, receiver) in kinds::<u32>() {
        assert_eq!(receiver.recv(), Err(RecvError::MayNotBlock));
        assert_eq!(receiver.recv_timeout(Duration::from_secs(1)), Err(RecvTimeoutError::MayNotBlock));
        assert_eq!(receiver.recv_spinning(100), Err(TryRecvError::Empty));
        for value in 0..sender.capacity().unwrap_or(100) as u32 {
            assert_eq!(sender.send(value), Ok(()), "what need not wait is done");
        }
        if sender.capacity().is_some() {
            assert_eq!(sender.send(7), Err(SendError::MayNotBlock(7)), "the value comes back");
            assert_eq!(sender.send_timeout(7, Duration::from_secs(1)), Err(SendTimeoutError::MayNotBlock(7)));
            assert_eq!(sender.send_spinning(7, 100), Err(TrySendError::Full(7)));
        }
        assert_eq!(receiver.recv(), Ok(0));
    }
}

/// Every worker sends asleep, the main thread receives in all its ways.
#[wasm_bindgen_test]
async fn workers_send_to_the_main_thread() {
    const EACH: u32 = 5000;
    let pool = pool().await;
    for (sender, receiver) in kinds() {
        for by in 0..WORKERS as u32 {
            let sender = sender.clone();
            pool.spawn_detached(move || {
                (0..EACH).for_each(|value| sender.send((by, value)).expect("the main thread receives"));
            });
        }
        drop(sender);
        let mut next = [0; WORKERS];
        for turn in 0.. {
            let value = match turn % 3 {
                0 => receiver.try_recv().map_err(|error| error == TryRecvError::Closed),
                1 => receiver.recv_spinning(50).map_err(|error| error == TryRecvError::Closed),
                _ => receiver.recv_async().soon().await.map_err(|Closed(())| true),
            };
            match value {
                Ok((by, value)) => {
                    let next = &mut next[by as usize];
                    assert_eq!(value, *next, "in the order of its sender");
                    *next += 1;
                }
                Err(true) => break,
                Err(false) => {}
            }
        }
        assert_eq!(next, [EACH; WORKERS]);
    }
}

/// The main thread sends in all its ways; every worker receives asleep.
#[wasm_bindgen_test]
async fn the_main_thread_sends_to_workers() {
    const VALUES: u32 = 10_000;
    let pool = pool().await;
    for (sender, receiver) in kinds() {
        let tasks: Vec<_> = (0..WORKERS)
            .map(|_| {
                let receiver = receiver.clone();
                pool.spawn(move || {
                    let values: Vec<u32> = receiver.iter().collect();
                    assert!(values.is_sorted());
                    values.into_iter().map(u64::from).sum::<u64>()
                })
            })
            .collect();
        drop(receiver);
        for value in 0..VALUES {
            let sent = match value % 3 {
                0 => sender.try_send(value),
                1 => sender.send_spinning(value, 50),
                _ => sender.send_async(value).soon().await.map_err(Into::into),
            };
            if let Err(TrySendError::Full(value)) = sent {
                sender.send_async(value).soon().await.expect("workers receive");
            }
            if value % 1000 == 0 {
                // Long enough for all of them to fall asleep.
                sleep(5).await;
            }
        }
        drop(sender);
        let mut sum = 0;
        for task in tasks {
            sum += task.soon().await.expect("no panic");
        }
        assert_eq!(sum, u64::from(VALUES) * u64::from(VALUES - 1) / 2);
    }
}

/// Many tasks of the main thread and a worker on one channel: each value to one of them, and dropped tasks lose nothing.
#[wasm_bindgen_test]
async fn futures_that_are_dropped_lose_nothing() {
    const VALUES: u32 = 3000;
    let pool = pool().await;
    for (sender, receiver) in kinds() {
        let (sum, running) = (Rc::new(Cell::new(0_u32)), Rc::new(Cell::new(3)));
        for _ in 0..3 {
            let (receiver, sum, running) = (receiver.clone(), Rc::clone(&sum), Rc::clone(&running));
            spawn_local(async move {
                loop {
                    // A future that is polled once and dropped, at whatever moment that is.
                    let early = {
                        let mut future = std::pin::pin!(receiver.recv_async());
                        std::future::poll_fn(|context| {
                            std::task::Poll::Ready(match future.as_mut().poll(context) {
                                std::task::Poll::Ready(done) => Some(done),
                                std::task::Poll::Pending => None,
                            })
                        })
                        .soon()
                        .await
                    };
                    let done = match early {
                        Some(done) => done,
                        None => receiver.recv_async().soon().await,
                    };
                    match done {
                        Ok(value) => sum.set(sum.get() + value),
                        Err(Closed(())) => break,
                    }
                }
                running.set(running.get() - 1);
            });
        }
        let theirs = Arc::new(AtomicU32::new(0));
        let (inner, theirs_too) = (receiver.clone(), Arc::clone(&theirs));
        drop(receiver);
        let receives =
            pool.spawn(move || inner.iter().for_each(|value| _ = theirs_too.fetch_add(value, Ordering::Relaxed)));
        let sends: Vec<_> = (0..2)
            .map(|_| {
                let sender = sender.clone();
                pool.spawn(move || (0..VALUES).for_each(|_| sender.send(1).expect("open")))
            })
            .collect();
        drop(sender);
        for send in sends {
            send.soon().await.expect("no panic");
        }
        receives.soon().await.expect("no panic");
        eventually("the tasks to see the end", || running.get() == 0).await;
        assert_eq!(sum.get() + theirs.load(Ordering::Relaxed), 2 * VALUES);
    }
}

/// Races 26, 27: every worker sends and receives as fast as it can; the main thread's sends stay short, and nobody stops.
#[wasm_bindgen_test]
async fn race_26_the_main_thread_among_busy_workers() {
    const EACH: u32 = 20_000;
    let pool = pool().await;
    for (sender, receiver) in kinds::<u32>() {
        let sum = Arc::new(AtomicU32::new(0));
        let done = Arc::new(AtomicU32::new(0));
        let (inner_sum, inner_done) = (Arc::clone(&sum), Arc::clone(&done));
        let (theirs, takes) = (sender.clone(), receiver.clone());
        let mut sent = 0;
        let work = move || {
            for _ in 0..EACH {
                // One in, one out: no channel is full for ever.
                let mut value = Err(TrySendError::Full(1));
                while let Err(TrySendError::Full(again)) = value {
                    value = theirs.try_send(again);
                    if let Ok(taken) = takes.try_recv() {
                        inner_sum.fetch_add(taken, Ordering::Relaxed);
                    }
                }
            }
            inner_done.fetch_add(1, Ordering::SeqCst);
        };
        let pool = pool.clone();
        spawn_local(async move { on_each_worker(&pool, work).await });
        eventually("the workers to have sent", || {
            for _ in 0..50 {
                sent += u32::from(sender.try_send(1).is_ok());
                sum.fetch_add(receiver.try_recv().unwrap_or(0), Ordering::Relaxed);
            }
            done.load(Ordering::SeqCst) == WORKERS as u32
        })
        .await;
        let left: u32 = receiver.try_iter().sum();
        assert_eq!(sum.load(Ordering::Relaxed) + left, sent + EACH * WORKERS as u32);
    }
}

/// Race 55: a worker sends while the main thread adds the memory for the block that the value comes to. Without `reach` the worker dies in Chromium.
#[wasm_bindgen_test]
async fn race_55_a_sender_comes_to_a_block_on_pages_that_were_added_meanwhile() {
    let pool = pool().await;
    let (mut blind, mut met) = (Blind::new(), 0);
    while met < GROWTHS {
        let (sender, receiver) = unbounded::<[u32; 128]>();
        let theirs = sender.clone();
        let (begun, grown) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (inner, outer) = (Arc::clone(&begun), Arc::clone(&grown));
        let sends = pool.spawn(move || {
            inner.store(1, Ordering::Release);
            blind.turn();
            let in_time = outer.load(Ordering::Acquire);
            theirs.try_send([1; 128]).expect("open");
            (blind, in_time)
        });
        spin_until("the worker to have begun", || begun.load(Ordering::Acquire) == 1);
        let mut sent = 1;
        let mut send = || {
            sender.try_send([1; 128]).expect("open");
            sent += 1;
        };
        // Blocks are made in ever larger lots: after as many again the one in use is on new pages, wherever the first of them began.
        grow(64, &mut send);
        grow(64, &mut send);
        grown.store(1, Ordering::Release);
        let in_time;
        (blind, in_time) = sends.soon().await.expect("no panic, and no trap");
        met += in_time;
        drop(sender);
        assert_eq!(receiver.try_iter().map(|value| value[127]).sum::<u32>(), sent);
        // Its memory is not used again in the next round.
        std::mem::forget(receiver);
    }
}
