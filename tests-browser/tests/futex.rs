//! Waiting and notifying between real workers, and waiting on the main thread without blocking it.
#![cfg(target_arch = "wasm32")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tests_browser::{Soon, eval, eventually, global_number, now, report, sleep, workers};
use wasm_bindgen_futures::spawn_local;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_futex::web::{wait_async, waiters_of_this_thread};
use weblane_futex::{AtomicU32, MayNotBlock, Wait, notify, notify_all, notify_one, wait, wait_timeout};
use weblane_workers::{Message, ThreadId, send};

wasm_bindgen_test_configure!(run_in_browser);

/// Runs something on a worker, which idles in its event loop before and after.
fn on(worker: ThreadId, run: impl FnOnce() + Send + 'static) {
    send(worker, Message::new(move |_, _| run())).expect("a living worker");
}

/// A word for ever, as `wait_async` wants it.
fn word(value: u32) -> &'static AtomicU32 {
    Box::leak(Box::new(AtomicU32::new(value)))
}

/// Polls once, with a waker that does nothing.
fn poll_once<T>(future: impl Future<Output = T> + Unpin) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Whether this browser is new enough.
fn has_wait_async() -> bool {
    eval("typeof Atomics.waitAsync").as_string().is_some_and(|kind| kind == "function")
}

/// Race 3: two workers hand a number back and forth; a lost notification would hang.
#[wasm_bindgen_test]
async fn race_3_ping_pong_between_workers_loses_nothing() {
    const ROUNDS: u32 = 5000;
    let ids = workers().await;
    let turns = Arc::new(AtomicU32::new(0));
    for me in 0..2 {
        let turns = Arc::clone(&turns);
        on(ids[me as usize], move || {
            for turn in (me..ROUNDS).step_by(2) {
                loop {
                    let seen = turns.load(Ordering::Acquire);
                    if seen == turn {
                        break;
                    }
                    wait(&turns, seen, None).expect("a worker may block");
                }
                turns.store(turn + 1, Ordering::Release);
                notify_all(&turns);
            }
        });
    }
    eventually("all turns", || turns.load(Ordering::SeqCst) == ROUNDS).await;
}

/// Race 41: time-outs against notifications from the main thread; who was counted was woken, and nobody else.
#[wasm_bindgen_test]
async fn race_41_time_outs_against_notifications() {
    const ENOUGH: u32 = 200;
    let ids = workers().await;
    let (word, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let (woken, timed_out, gone) =
        (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    for id in &ids[..2] {
        let (word, stop) = (Arc::clone(&word), Arc::clone(&stop));
        let (woken, timed_out, gone) = (Arc::clone(&woken), Arc::clone(&timed_out), Arc::clone(&gone));
        on(*id, move || {
            while !stop.load(Ordering::SeqCst) {
                match wait_timeout(&word, 0, Duration::from_micros(100)) {
                    Ok(Wait::Woken) => woken.fetch_add(1, Ordering::SeqCst),
                    Ok(Wait::TimedOut) => timed_out.fetch_add(1, Ordering::SeqCst),
                    other => unreachable!("{other:?}"),
                };
            }
            gone.fetch_add(1, Ordering::SeqCst);
        });
    }
    let mut counted = 0;
    eventually("enough of both", || {
        counted += (0..200).map(|_| notify(&word, 1)).sum::<u32>();
        counted >= ENOUGH && timed_out.load(Ordering::SeqCst) >= ENOUGH
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    eventually("both workers to be back", || gone.load(Ordering::SeqCst) == 2).await;
    assert_eq!(woken.load(Ordering::SeqCst), counted);
}

#[wasm_bindgen_test]
async fn the_main_thread_may_not_block_and_its_answer_is_remembered() {
    workers().await;
    let word = AtomicU32::new(0);
    for _ in 0..3 {
        assert_eq!(wait(&word, 0, None), Err(MayNotBlock));
        assert_eq!(wait_timeout(&word, 1, Duration::ZERO), Err(MayNotBlock));
    }
}

/// What the answer costs, for the log.
#[wasm_bindgen_test]
async fn what_asking_costs() {
    workers().await;
    let mut yes = 0_u32;
    // The first rounds warm: the engine compiles.
    let round = |_| {
        let start = now();
        for _ in 0..1_000_000 {
            yes += u32::from(std::hint::black_box(weblane_futex::can_block()));
        }
        now() - start
    };
    let least = (0..10).map(round).fold(f64::INFINITY, f64::min);
    report(&format!("can_block: {least:.2} ns"));
    assert_eq!(yes, 0);
}

#[wasm_bindgen_test]
async fn a_worker_wakes_the_main_thread() {
    let ids = workers().await;
    let word = word(0);
    on(ids[0], || {
        // Until the main thread waits; then the change, then the notification.
        while !notify_one(word) {
            std::hint::spin_loop();
        }
        word.swap(7, Ordering::Release);
        notify_all(word);
    });
    let mut turns = 0;
    while word.load(Ordering::Acquire) == 0 {
        wait_async(word, 0, None).soon().await;
        turns += 1;
    }
    assert_eq!(word.load(Ordering::Acquire), 7);
    assert!(turns >= 1);
}

#[wasm_bindgen_test]
async fn a_worker_in_its_event_loop_is_woken_by_another() {
    let ids = workers().await;
    let (word, done) = (word(0), Arc::new(AtomicBool::new(false)));
    let inner = Arc::clone(&done);
    on(ids[0], move || {
        spawn_local(async move {
            while word.load(Ordering::Acquire) == 0 {
                wait_async(word, 0, None).soon().await;
            }
            inner.store(true, Ordering::SeqCst);
        });
    });
    on(ids[1], move || {
        word.swap(1, Ordering::Release);
        notify_all(word);
    });
    eventually("the other worker", || done.load(Ordering::SeqCst)).await;
}

/// WebKit's time-outs do not fire in a worker that idles; ours do.
#[wasm_bindgen_test]
async fn time_runs_out_on_the_main_thread_and_in_an_idle_worker() {
    let ids = workers().await;
    let start = now();
    assert_eq!(wait_async(word(0), 0, Some(Duration::from_millis(20))).soon().await, Wait::TimedOut);
    assert!(now() - start >= 19.0, "not before its time");
    let outcome = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&outcome);
    on(ids[0], move || {
        spawn_local(async move {
            let waited = wait_async(word(0), 0, Some(Duration::from_millis(20))).soon().await;
            inner.store(1 + u32::from(waited == Wait::TimedOut), Ordering::SeqCst);
        });
    });
    eventually("the worker's time-out", || outcome.load(Ordering::SeqCst) != 0).await;
    assert_eq!(outcome.load(Ordering::SeqCst), 2);
    eventually("the engine to forget the waiter", || waiters_of_this_thread() == 0).await;
}

#[wasm_bindgen_test]
async fn a_word_that_differs_and_no_time_need_no_waiter() {
    workers().await;
    let before = waiters_of_this_thread();
    assert_eq!(wait_async(word(1), 0, None).soon().await, Wait::Mismatch);
    assert_eq!(wait_async(word(0), 0, Some(Duration::ZERO)).soon().await, Wait::TimedOut);
    assert_eq!(waiters_of_this_thread(), before);
}

/// More than `setTimeout` takes, which would fire at once.
#[wasm_bindgen_test]
async fn a_month_is_not_over_at_once() {
    let ids = workers().await;
    let word = word(0);
    let mut waiting = wait_async(word, 0, Some(Duration::from_secs(30 * 24 * 3600)));
    assert!(poll_once(&mut waiting).is_pending());
    sleep(20).await;
    assert!(poll_once(&mut waiting).is_pending());
    on(ids[0], || {
        word.swap(1, Ordering::Release);
        notify_all(word);
    });
    assert_eq!(waiting.soon().await, Wait::Woken);
}

/// A notification without a change is a wake-up, and the condition is looked at when the future is polled for another reason.
#[wasm_bindgen_test]
async fn notifications_wake_and_changes_are_seen() {
    workers().await;
    if !has_wait_async() {
        return;
    }
    let word = word(0);
    let mut waiting = wait_async(word, 0, None);
    assert!(poll_once(&mut waiting).is_pending());
    assert_eq!(notify_all(word), 1);
    assert_eq!(waiting.soon().await, Wait::Woken);
    let mut waiting = wait_async(word, 0, None);
    assert!(poll_once(&mut waiting).is_pending());
    word.store(1, Ordering::Release);
    assert_eq!(poll_once(&mut waiting), Poll::Ready(Wait::Woken), "nobody notified, but it is so");
    notify_all(word);
    eventually("the waiter to end", || waiters_of_this_thread() == 0).await;
}

/// A thousand futures that are dropped leave one waiter, and the next future gets what it is told.
#[wasm_bindgen_test]
async fn futures_that_are_dropped_leave_one_waiter() {
    workers().await;
    if !has_wait_async() {
        return;
    }
    let word = word(0);
    for _ in 0..1000 {
        assert!(poll_once(&mut wait_async(word, 0, Some(Duration::from_secs(3600)))).is_pending());
    }
    assert_eq!(waiters_of_this_thread(), 1);
    let mut waiting = wait_async(word, 0, None);
    assert!(poll_once(&mut waiting).is_pending());
    assert_eq!(waiters_of_this_thread(), 1, "adopted");
    assert_eq!(notify_all(word), 1);
    assert_eq!(waiting.soon().await, Wait::Woken);
    assert_eq!(waiters_of_this_thread(), 0);
}

/// An adopted waiter whose first future's time is up arms again, for its new one's time.
#[wasm_bindgen_test]
async fn an_adopted_waiter_does_not_end_with_its_first_owners_time() {
    let ids = workers().await;
    let word = word(0);
    assert!(poll_once(&mut wait_async(word, 0, Some(Duration::from_millis(10)))).is_pending());
    let second = async {
        let outcome = wait_async(word, 0, None).soon().await;
        assert_eq!((outcome, word.load(Ordering::Acquire)), (Wait::Woken, 1));
    };
    on(ids[0], || {
        let _ = wait_timeout(&AtomicU32::new(0), 0, Duration::from_millis(60));
        word.swap(1, Ordering::Release);
        notify_all(word);
    });
    second.soon().await;
}

/// A waiter that was left is first in the list. It takes the notification, and passes it on to the worker that blocks.
#[wasm_bindgen_test]
async fn a_notification_for_a_dropped_future_is_passed_on() {
    let ids = workers().await;
    if !has_wait_async() {
        return;
    }
    // A worker that is kept from falling asleep for so long is not there to be told, and wakes by its time: then once more.
    for round in 1.. {
        let (word, outcome) = (word(0), Arc::new(AtomicU32::new(0)));
        assert!(poll_once(&mut wait_async(word, 0, None)).is_pending());
        assert_eq!(waiters_of_this_thread(), 1);
        let inner = Arc::clone(&outcome);
        on(ids[0], move || {
            inner.store(1, Ordering::SeqCst);
            let waited = wait_timeout(word, 0, Duration::from_secs(2));
            inner.store(2 + u32::from(waited == Ok(Wait::Woken)), Ordering::SeqCst);
        });
        eventually("the worker to come", || outcome.load(Ordering::SeqCst) == 1).await;
        // Only one notification is ever given, and the waiter is before the worker in the list.
        sleep(50).await;
        assert!(notify_one(word));
        eventually("the notification to be passed on", || outcome.load(Ordering::SeqCst) != 1).await;
        assert_eq!(waiters_of_this_thread(), 0);
        if outcome.load(Ordering::SeqCst) == 3 {
            return;
        }
        assert!(round < 10, "it is not passed on");
    }
}

/// The same where the future was told, and dropped before it was polled.
#[wasm_bindgen_test]
async fn a_notification_that_nobody_looked_at_is_passed_on() {
    workers().await;
    if !has_wait_async() {
        return;
    }
    let word = word(0);
    let (mut first, mut second) = (wait_async(word, 0, None), wait_async(word, 0, None));
    assert!(poll_once(&mut first).is_pending());
    assert!(poll_once(&mut second).is_pending());
    assert_eq!(waiters_of_this_thread(), 2);
    assert!(notify_one(word));
    eventually("the first to be told", || waiters_of_this_thread() == 1).await;
    assert!(poll_once(&mut second).is_pending());
    drop(first);
    assert_eq!(second.soon().await, Wait::Woken);
}

/// Browsers without the function, where calling it throws. Only for a value that is ours: the test's executor waits with 0 and 1.
#[wasm_bindgen_test]
async fn without_wait_async_changes_are_seen_by_timers() {
    let ids = workers().await;
    eval(
        "const kept = Atomics.waitAsync; globalThis.refused = 0; Atomics.waitAsync = (words, index, value, ...more) => { \
         if (value === 77) { globalThis.refused += 1; throw new TypeError('Atomics.waitAsync is not a function'); } \
         return kept.call(Atomics, words, index, value, ...more); }",
    );
    let word = word(77);
    on(ids[0], || {
        let _ = wait_timeout(&AtomicU32::new(0), 0, Duration::from_millis(30));
        word.swap(1, Ordering::Release);
        notify_all(word);
    });
    assert_eq!(wait_async(word, 77, None).soon().await, Wait::Woken);
    assert_eq!(word.load(Ordering::Acquire), 1);
    word.store(77, Ordering::Release);
    assert_eq!(wait_async(word, 77, Some(Duration::from_millis(20))).soon().await, Wait::TimedOut);
    let mut dropped = wait_async(word, 77, None);
    assert!(poll_once(&mut dropped).is_pending());
    drop(dropped);
    let looks = global_number("refused");
    assert!(looks >= 3.0, "{looks} calls were refused");
    sleep(60).await;
    assert_eq!(global_number("refused"), looks, "nobody looks for a future that is gone");
    assert_eq!(waiters_of_this_thread(), 0);
}

/// Four workers notify, the main thread waits: as many changes as there were are seen at the end, and no turn is lost.
#[wasm_bindgen_test]
async fn four_workers_wake_the_main_thread_many_times() {
    const EACH: u32 = 500;
    let ids = workers().await;
    let word = word(0);
    for id in &ids {
        on(*id, || {
            for _ in 0..EACH {
                word.fetch_add(1, Ordering::Release);
                notify_all(word);
            }
        });
    }
    let all = EACH * ids.len() as u32;
    let (mut turns, start) = (0, now());
    loop {
        let seen = word.load(Ordering::Acquire);
        if seen == all {
            break;
        }
        assert!(now() - start < 60_000.0, "{seen} changes of {all} in a minute");
        // Dropped and polled again, now and then.
        let mut waiting = wait_async(word, seen, Some(Duration::from_secs(10)));
        turns += 1;
        if turns % 3 == 0 {
            let _ = poll_once(&mut waiting);
            drop(waiting);
        } else {
            let waited = waiting.soon().await;
            // Workers that had no time for so long are no fault.
            assert!(waited != Wait::TimedOut || word.load(Ordering::Acquire) == seen, "a lost wake-up");
        }
    }
    report(&format!("{turns} turns for {all} changes"));
}
