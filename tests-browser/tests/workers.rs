//! Messages: from every thread to every thread, in order, queued or refused, and to a worker that sleeps in a pool.
#![cfg(target_arch = "wasm32")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use js_sys::{Array, Uint8Array};
use tests_browser::{Soon, eventually, locked, pool, sleep, workers};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_workers::{Message, ResidentError, SendErrorReason, ThreadId, current, reserve, send, word};

wasm_bindgen_test_configure!(run_in_browser);

/// A message that counts itself when it is handled.
fn counting(counter: &Arc<AtomicU32>) -> Message {
    let counter = Arc::clone(counter);
    Message::new(move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
    })
}

/// Main to worker, worker to main, worker to worker, and each to itself: every pair of threads, with a payload, and the right sender.
#[wasm_bindgen_test]
async fn every_thread_reaches_every_thread() {
    let workers = workers().await;
    let all: Vec<ThreadId> = [ThreadId::MAIN].into_iter().chain(workers).collect();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for from in &all {
        let (from, all, seen) = (*from, all.clone(), Arc::clone(&seen));
        let send_to_all = move |_: ThreadId, _: JsValue| {
            assert_eq!(current(), Some(from));
            for to in all {
                let seen = Arc::clone(&seen);
                let message = Message::new(move |sender, payload: JsValue| {
                    assert_eq!((current(), sender), (Some(to), from));
                    assert_eq!(payload.as_string(), Some(format!("{from} to {to}")));
                    locked(&seen).push((from, to));
                });
                send(to, message.payload(format!("{from} to {to}").into())).expect("sent");
            }
        };
        send(from, Message::new(send_to_all)).expect("sent");
    }
    eventually("every pair", || locked(&seen).len() == all.len() * all.len()).await;
    let mut seen = locked(&seen).clone();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all.len() * all.len(), "each pair once");
}

/// Messages of one sender arrive in the order in which he sent them, whatever others send meanwhile.
#[wasm_bindgen_test]
async fn messages_of_one_sender_keep_their_order() {
    const EACH: u32 = 500;
    let ids = workers().await;
    let target = ids[0];
    let seen = Arc::new(Mutex::new(Vec::new()));
    let send_all = |seen: Arc<Mutex<Vec<(ThreadId, u32)>>>| {
        move || {
            for number in 0..EACH {
                let seen = Arc::clone(&seen);
                let message = Message::new(move |sender, payload: JsValue| {
                    assert_eq!(payload.as_f64(), Some(f64::from(number)));
                    locked(&seen).push((sender, number));
                });
                send(target, message.payload(number.into())).expect("sent");
            }
        }
    };
    for other in &ids[1..] {
        let send_all = send_all(Arc::clone(&seen));
        send(*other, Message::new(move |_, _| send_all())).expect("sent");
    }
    send_all(Arc::clone(&seen))();
    eventually("all messages", || locked(&seen).len() == EACH as usize * ids.len()).await;
    let seen = locked(&seen);
    for sender in [ThreadId::MAIN].iter().chain(&ids[1..]) {
        let numbers: Vec<u32> = seen.iter().filter(|(from, _)| from == sender).map(|(_, number)| *number).collect();
        assert_eq!(numbers, (0..EACH).collect::<Vec<_>>(), "from {sender}");
    }
}

/// Race 4: nothing is queued, nothing leaks, the message comes back, and later ones go through.
#[wasm_bindgen_test]
async fn race_4_a_payload_that_cannot_be_cloned_comes_back() {
    let target = workers().await[0];
    let held = Arc::new(());
    let inner = Arc::clone(&held);
    let function: JsValue = js_sys::Function::new_no_args("").into();
    let message = Message::new(move |_, _| drop(inner)).payload(function);
    let error = send(target, message).expect_err("a function cannot be cloned");
    let text = error.to_string();
    match error.reason() {
        SendErrorReason::Payload { name, message } => {
            assert_eq!(name, "DataCloneError");
            assert!(!message.is_empty() && text.contains(message.as_str()), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(Arc::strong_count(&held), 2, "the closure is in the error");
    // The same closure, with a payload that can be sent.
    send(target, error.into_message().payload(1.into())).expect("sent");
    eventually("the message", || Arc::strong_count(&held) == 1).await;
    // The message is counted down after its closure has gone.
    eventually("nothing was counted for the failure", || word(target).expect("there").load().messages() == 0).await;
}

#[wasm_bindgen_test]
async fn buffers_are_transferred_and_a_second_transfer_is_an_error() {
    let target = workers().await[0];
    let bytes = Uint8Array::from(&[1_u8, 2, 3][..]);
    let list = Array::of1(&bytes.buffer());
    let sum = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&sum);
    let message = Message::new(move |_, payload: JsValue| {
        let bytes: Uint8Array = payload.unchecked_into();
        inner.store(bytes.to_vec().iter().map(|byte| u32::from(*byte)).sum(), Ordering::SeqCst);
    });
    send(target, message.payload(bytes.clone().into()).transfer(list.clone())).expect("sent");
    assert_eq!(bytes.length(), 0, "it has moved away");
    eventually("the bytes", || sum.load(Ordering::SeqCst) == 6).await;
    let again = send(target, Message::new(|_, _| ()).transfer(list)).expect_err("it is not here any more");
    assert!(matches!(again.reason(), SendErrorReason::Payload { .. }), "{again}");
}

#[wasm_bindgen_test]
async fn a_thread_that_does_not_exist_is_an_error() {
    workers().await;
    let nobody = ThreadId::from_index(60);
    let error = send(nobody, Message::new(|_, _| ())).expect_err("nobody");
    assert_eq!(*error.reason(), SendErrorReason::UnknownThread(nobody));
    assert!(error.to_string().contains("worker 60"), "{error}");
}

/// Race 2: a plain message reaches workers that sleep in a pool, from the main thread and from other workers, and the pool goes on.
#[wasm_bindgen_test]
async fn race_2_messages_reach_workers_that_sleep_in_a_pool() {
    let (ids, pool) = (workers().await, pool().await);
    for round in 0..20_u32 {
        // Asleep again.
        let parked = || ids.iter().all(|id| word(*id).expect("there").load().parked());
        eventually("all asleep", parked).await;
        let got = Arc::new(AtomicU32::new(0));
        for (index, id) in ids.iter().enumerate() {
            let (next, got) = (ids[(index + 1) % ids.len()], Arc::clone(&got));
            let message = Message::new(move |_, _| {
                got.fetch_add(1, Ordering::SeqCst);
                send(next, counting(&got)).expect("sent");
            });
            send(*id, message).expect("sent");
        }
        eventually("all messages", || got.load(Ordering::SeqCst) == 2 * ids.len() as u32).await;
        assert_eq!(pool.spawn(move || round + 1).soon().await.expect("no panic"), round + 1);
    }
}

/// A worker has one loop at a time, and it is for workers only.
#[wasm_bindgen_test]
async fn a_worker_is_reserved_once() {
    let (ids, _pool) = (workers().await, pool().await);
    assert_eq!(reserve(ids[0]).expect_err("the pool has it"), ResidentError::Occupied(ids[0]));
    assert_eq!(reserve(ThreadId::MAIN).expect_err("must not block"), ResidentError::NotAWorker(ThreadId::MAIN));
    let nobody = ThreadId::from_index(50);
    assert_eq!(reserve(nobody).expect_err("nobody"), ResidentError::NotAWorker(nobody));
}

/// A storm of small messages from all sides to all sides, while a pool runs on the same workers.
#[wasm_bindgen_test]
async fn a_storm_of_messages_arrives_whole() {
    const EACH: u32 = 300;
    let (ids, pool) = (workers().await, pool().await);
    let (got, ran) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    for from in &ids {
        let (ids, got) = (ids.clone(), Arc::clone(&got));
        let message = Message::new(move |_, _| {
            for number in 0..EACH {
                let to = ids[number as usize % ids.len()];
                send(to, counting(&got)).expect("sent");
            }
        });
        send(*from, message).expect("sent");
    }
    for _ in 0..2_000 {
        let ran = Arc::clone(&ran);
        pool.spawn_detached(move || {
            ran.fetch_add(1, Ordering::SeqCst);
        });
    }
    eventually("all messages", || got.load(Ordering::SeqCst) == EACH * ids.len() as u32).await;
    eventually("all tasks", || ran.load(Ordering::SeqCst) == 2_000).await;
    sleep(20).await;
    assert_eq!((got.load(Ordering::SeqCst), ran.load(Ordering::SeqCst)), (EACH * ids.len() as u32, 2_000));
    // A message is counted down after its closure has returned.
    let counted_down = || ids.iter().all(|id| word(*id).expect("there").load().messages() == 0);
    eventually("all counted down", counted_down).await;
}
