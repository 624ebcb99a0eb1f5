//! The pool in a browser: everything runs once, Rust tasks cost no message, JS tasks are served, an idle pool sleeps.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use js_sys::{Array, Object, Reflect, Uint8Array};
use tests_browser::{Soon, eval, eventually, get, global_number, now, on_each_worker, pool, report, sleep, workers};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_pool::{JoinError, JsError, JsReply, JsTask, PoolError, ThreadPool};
use weblane_workers::{SendErrorReason, ThreadId};

wasm_bindgen_test_configure!(run_in_browser);

fn object(index: u32) -> JsValue {
    let object = Object::new();
    Reflect::set(&object, &"index".into(), &index.into()).expect("an object");
    object.into()
}

fn index_of(payload: &JsValue) -> u32 {
    get(payload, "index").as_f64().expect("a number") as u32
}

fn flags(count: usize) -> Arc<Vec<AtomicU32>> {
    Arc::new((0..count).map(|_| AtomicU32::new(0)).collect())
}

/// Races 4 to 9, 24, 32: 100 000 Rust tasks and 1 000 JS tasks, from the main thread and from inside tasks, each exactly once.
#[wasm_bindgen_test]
async fn a_hundred_thousand_rust_and_a_thousand_js_tasks_run_exactly_once() {
    const OUTER: u32 = 50_000;
    const JS: u32 = 1_000;
    let pool = pool().await;
    let (rust, js) = (flags(2 * OUTER as usize), flags(JS as usize));
    let js_task = |index: u32, js: &Arc<Vec<AtomicU32>>| {
        let js = Arc::clone(js);
        JsTask::new(move |payload: JsValue| {
            assert_eq!(index_of(&payload), index, "the payload that was sent with this closure");
            js[index as usize].fetch_add(1, Ordering::Relaxed);
            Ok::<_, JsValue>(payload)
        })
        .payload(object(index))
    };
    let mut replies = Vec::new();
    let start = now();
    for task in 0..OUTER {
        let (rust, inner_js, inner) = (Arc::clone(&rust), Arc::clone(&js), pool.clone());
        pool.spawn_detached(move || {
            rust[2 * task as usize].fetch_add(1, Ordering::Relaxed);
            // Every hundredth sends a JS task from inside, with a payload made on its own worker.
            if task % 100 == 0 {
                drop(inner.spawn_js(js_task(JS / 2 + task / 100, &inner_js)).expect("sent"));
            }
            inner.spawn_detached(move || {
                rust[2 * task as usize + 1].fetch_add(1, Ordering::Relaxed);
            });
        });
        if task % 100 == 50 {
            replies.push((task / 100, pool.spawn_js(js_task(task / 100, &js)).expect("sent")));
        }
        // The page's main thread goes back to its event loop now and then, as a page does.
        if task % 5_000 == 0 {
            sleep(0).await;
        }
    }
    for (index, reply) in replies {
        assert_eq!(index_of(&reply.soon().await.expect("a reply")), index);
    }
    let ran = |flags: &[AtomicU32]| flags.iter().all(|times| times.load(Ordering::Relaxed) > 0);
    eventually("all Rust tasks", || ran(&rust)).await;
    eventually("all JS tasks", || ran(&js)).await;
    report(&format!("100 000 Rust tasks and 1 000 JS tasks, mixed: {:.0} ms", now() - start));
    sleep(50).await;
    for (name, flags) in [("Rust", &rust), ("JS", &js)] {
        let twice = flags.iter().filter(|times| times.load(Ordering::Relaxed) != 1).count();
        assert_eq!(twice, 0, "{name} tasks that ran more than once");
    }
}

/// Wraps every way to post a message in the calling thread, once, and counts the calls.
const COUNT_POSTS: &str = r"
    if (globalThis.weblanePosts === undefined) {
        globalThis.weblanePosts = 0;
        for (const type of [globalThis.Worker, globalThis.MessagePort, globalThis.DedicatedWorkerGlobalScope]) {
            if (type === undefined) continue;
            const holder = 'postMessage' in type.prototype ? type.prototype : globalThis;
            const original = holder.postMessage;
            holder.postMessage = function (...args) { globalThis.weblanePosts += 1; return original.apply(this, args); };
        }
        if (typeof WorkerGlobalScope !== 'undefined') {
            const original = globalThis.postMessage;
            globalThis.postMessage = function (...args) { globalThis.weblanePosts += 1; return original.apply(this, args); };
        }
    }";

#[wasm_bindgen_test]
async fn a_hundred_thousand_rust_tasks_post_no_message() {
    const TASKS: u32 = 100_000;
    let pool = pool().await;
    // Let what earlier tests have under way arrive first.
    sleep(100).await;
    eval(COUNT_POSTS);
    on_each_worker(&pool, || drop(eval(COUNT_POSTS))).await;
    let before = (global_number("weblanePosts"), posts_of_workers(&pool).await);
    let count = Arc::new(AtomicU32::new(0));
    let start = now();
    for _ in 0..TASKS {
        let count = Arc::clone(&count);
        pool.spawn_detached(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }
    eventually("all tasks", || count.load(Ordering::Relaxed) == TASKS).await;
    report(&format!("100 000 Rust tasks: {:.0} ms", now() - start));
    let after = (global_number("weblanePosts"), posts_of_workers(&pool).await);
    assert_eq!(after, before, "(posts of the main thread, posts of all workers)");
    // The counters do count: one JS task is one post here, and one reply there.
    pool.spawn_js(JsTask::new(Ok::<JsValue, JsValue>)).expect("sent").soon().await.expect("a reply");
    assert_eq!(global_number("weblanePosts"), before.0 + 1.0);
    assert!(posts_of_workers(&pool).await > before.1);
}

async fn posts_of_workers(pool: &ThreadPool) -> u64 {
    let sum = Arc::new(AtomicU64::new(0));
    let shared = Arc::clone(&sum);
    on_each_worker(pool, move || {
        shared.fetch_add(global_number("weblanePosts") as u64, Ordering::SeqCst);
    })
    .await;
    sum.load(Ordering::SeqCst)
}

fn burn(milliseconds: f64) {
    let start = now();
    while now() - start < milliseconds {}
}

/// A JS task reaches a worker that never runs out of 50 µs tasks; its latency is reported.
#[wasm_bindgen_test]
async fn js_tasks_to_busy_workers_are_served() {
    fn keep_busy(pool: &ThreadPool, stop: &Arc<AtomicBool>, turns: &Arc<AtomicU32>) {
        let (again, stop, turns) = (pool.clone(), Arc::clone(stop), Arc::clone(turns));
        pool.spawn_detached(move || {
            burn(0.05);
            turns.fetch_add(1, Ordering::Relaxed);
            if !stop.load(Ordering::Relaxed) {
                keep_busy(&again, &stop, &turns);
            }
        });
    }
    let pool = pool().await;
    let (stop, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    for _ in 0..8 * pool.threads().len() {
        keep_busy(&pool, &stop, &turns);
    }
    sleep(50).await;
    let mut latencies = Vec::new();
    for (round, id) in pool.threads().into_iter().cycle().take(200).enumerate() {
        let before = turns.load(Ordering::Relaxed);
        let sent = now();
        let task = JsTask::new(Ok::<JsValue, JsValue>).payload(object(round as u32));
        let reply = pool.spawn_js_on(id, task).expect("sent").soon().await.expect("a reply");
        latencies.push(now() - sent);
        assert_eq!(index_of(&reply), round as u32);
        eventually("the pool to go on meanwhile", || turns.load(Ordering::Relaxed) > before).await;
    }
    stop.store(true, Ordering::Relaxed);
    latencies.sort_by(f64::total_cmp);
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
    report(&format!(
        "JS task to a worker busy with 50 µs tasks, round trip: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    ));
}

/// Race 12: nothing wakes an idle pool.
#[wasm_bindgen_test]
async fn an_idle_pool_returns_from_its_waits_zero_times_in_ten_seconds() {
    let pool = pool().await;
    pool.spawn(|| ()).soon().await.expect("no panic");
    let asleep = || pool.threads().iter().all(|id| weblane_workers::word(*id).expect("there").load().parked());
    eventually("everybody to sleep", asleep).await;
    sleep(500).await;
    let slept = || pool.stats().iter().map(|worker| (worker.thread, worker.slept)).collect::<Vec<_>>();
    let before = slept();
    sleep(10_000).await;
    assert_eq!(slept(), before);
}

#[wasm_bindgen_test]
async fn lists_that_make_no_pool_are_refused_each_for_its_reason() {
    let pool = pool().await;
    let ids = workers().await;
    let unknown = ThreadId::from_index(60);
    let refused = |list: Vec<ThreadId>| ThreadPool::new(list).expect_err("refused");
    assert_eq!(refused(vec![]), PoolError::NoThreads);
    assert_eq!(refused(vec![ids[0], ThreadId::MAIN]), PoolError::MainThread);
    assert_eq!(refused(vec![unknown]), PoolError::UnknownThread(unknown));
    assert_eq!(refused(vec![ids[1], ids[1]]), PoolError::Duplicate(ids[1]));
    assert_eq!(refused(vec![ids[1]]), PoolError::Taken(ids[1]));
    assert_eq!(refused(vec![ids[0]; 33]), PoolError::TooMany { asked: 33 });
    assert_eq!(pool.spawn(|| 1).soon().await.expect("the pool goes on"), 1);
}

#[wasm_bindgen_test]
async fn values_come_by_await_by_asking_and_by_joining_in_a_task() {
    let pool = pool().await;
    assert_eq!(pool.spawn(|| 6 * 7).soon().await.expect("no panic"), 42);
    let mut asked = pool.spawn(|| vec![1, 2, 3]);
    let mut value = None;
    eventually("the value", || {
        value = value.take().or_else(|| asked.try_join());
        value.is_some()
    })
    .await;
    assert_eq!(value.expect("there").expect("no panic"), [1, 2, 3]);
    let inner = pool.clone();
    let sum = pool.spawn(move || {
        let parts: Vec<_> = (0..100_u64).map(|i| inner.spawn(move || i)).collect();
        parts.into_iter().map(|mut part| part.join().expect("no panic")).sum::<u64>()
    });
    assert_eq!(sum.soon().await.expect("no panic"), 4950);
}

/// Pain 1 of the peers' users: a blocking call on the main thread is an error with a name, not a trap.
#[wasm_bindgen_test]
async fn joining_on_the_main_thread_is_an_error_and_the_handle_stays_good() {
    let pool = pool().await;
    let go = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&go);
    let mut task = pool.spawn(move || {
        while inner.load(Ordering::SeqCst) == 0 {
            let _ = weblane_futex::wait(&inner, 0, None);
        }
        7
    });
    assert!(matches!(task.join(), Err(JoinError::MayNotBlock)));
    go.store(1, Ordering::SeqCst);
    weblane_futex::notify_all(&go);
    assert_eq!(task.soon().await.expect("no panic"), 7);
}

/// Race 4: a payload that cannot be cloned leaves nothing behind, and the pool goes on.
#[wasm_bindgen_test]
async fn a_payload_that_cannot_be_cloned_is_an_error_with_the_browsers_words() {
    let pool = pool().await;
    let held = Arc::new(());
    let inside = Arc::clone(&held);
    let task = JsTask::new(move |value: JsValue| {
        let _held = &inside;
        Ok::<_, JsValue>(value)
    })
    .payload(js_sys::Function::new_no_args("").into());
    let error = pool.spawn_js(task).expect_err("a function cannot be sent");
    match error.reason() {
        SendErrorReason::Payload { name, message } => {
            assert_eq!(name, "DataCloneError");
            assert!(!message.is_empty());
        }
        other => panic!("{other:?}"),
    }
    drop(error);
    sleep(50).await;
    assert_eq!(Arc::strong_count(&held), 1, "the closure is gone");
    let reply = pool.spawn_js(JsTask::new(Ok::<JsValue, JsValue>).payload("on".into())).expect("sent");
    assert_eq!(reply.soon().await.expect("a reply"), "on");
}

#[wasm_bindgen_test]
async fn js_tasks_transfer_buffers_both_ways() {
    let pool = pool().await;
    let buffer = Uint8Array::from(&[1_u8, 2, 3][..]);
    let list = Array::of1(&buffer.buffer());
    let task = JsTask::new(|payload: JsValue| {
        let bytes: Uint8Array = payload.unchecked_into();
        bytes.set_index(0, 9);
        let list = Array::of1(&bytes.buffer());
        Ok(JsReply::new(bytes.into()).transfer(list))
    })
    .payload(buffer.clone().into())
    .transfer(list);
    let reply: Uint8Array = pool.spawn_js(task).expect("sent").soon().await.expect("a reply").unchecked_into();
    assert_eq!(buffer.length(), 0, "it has moved away");
    assert_eq!(reply.to_vec(), [9, 2, 3]);
}

#[wasm_bindgen_test]
async fn js_tasks_that_fail_say_so() {
    let pool = pool().await;
    let threw = pool.spawn_js(JsTask::new(|_| Err::<JsValue, JsValue>("no".into()))).expect("sent").soon().await;
    assert_eq!(threw, Err(JsError::Threw("no".into())));
    let unsendable = JsTask::new(|_| Ok::<JsValue, JsValue>(js_sys::Function::new_no_args("").into()));
    match pool.spawn_js(unsendable).expect("sent").soon().await {
        Err(JsError::ReplyNotSent(text)) => assert!(text.starts_with("DataCloneError"), "{text}"),
        other => panic!("{other:?}"),
    }
    let elsewhere = pool.spawn_js_on(ThreadId::MAIN, JsTask::new(Ok::<JsValue, JsValue>)).expect_err("not in the pool");
    assert_eq!(*elsewhere.reason(), SendErrorReason::UnknownThread(ThreadId::MAIN));
}

/// M2, directed: a submit that races a JS task of 4 ms on the worker that would be woken; the task must not wait for it when
/// others are free.
#[wasm_bindgen_test]
async fn race_8_tasks_submitted_beside_long_js_tasks_all_run() {
    let pool = pool().await;
    let count = Arc::new(AtomicU32::new(0));
    for round in 0..300_u32 {
        let js = pool.spawn_js(JsTask::new(|_| {
            burn(4.0);
            Ok::<_, JsValue>(JsValue::UNDEFINED)
        }));
        let inner = Arc::clone(&count);
        pool.spawn_detached(move || {
            inner.fetch_add(1, Ordering::Relaxed);
        });
        if round % 3 == 0 {
            sleep(0).await;
        }
        eventually("the Rust task", || count.load(Ordering::Relaxed) == round + 1).await;
        js.expect("sent").soon().await.expect("a reply");
    }
}

/// Race 35: a JS task's promises run before the worker goes back to its loop.
#[wasm_bindgen_test]
async fn race_35_promises_of_a_js_task_run_before_the_loop_goes_on() {
    let pool = pool().await;
    let ran = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&ran);
    let task = JsTask::new(move |_| {
        // Ten turns of the microtask queue. (Not by `wasm_bindgen_futures`: with threads its wakers go by a macrotask.)
        let step = Closure::<dyn FnMut(JsValue) -> JsValue>::new(move |turn: JsValue| {
            inner.fetch_add(1, Ordering::SeqCst);
            turn
        });
        let mut promise = js_sys::Promise::resolve(&JsValue::UNDEFINED);
        for _ in 0..10 {
            promise = then(&promise, &step);
        }
        step.forget();
        Ok::<_, JsValue>(JsValue::UNDEFINED)
    });
    drop(pool.spawn_js(task).expect("sent"));
    eventually("ten turns of promises", || ran.load(Ordering::SeqCst) == 10).await;
}

fn then(promise: &js_sys::Promise, step: &Closure<dyn FnMut(JsValue) -> JsValue>) -> js_sys::Promise {
    let then = get(promise, "then").unchecked_into::<js_sys::Function>();
    then.call1(promise, step.as_ref()).expect("a promise").unchecked_into()
}

/// Race 55: memory that one thread grows and hands over at once, used with bulk instructions on the other side.
#[wasm_bindgen_test]
async fn race_55_freshly_grown_memory_can_be_used_by_a_task() {
    let pool = pool().await;
    for round in 0..20_u8 {
        // Large enough that the allocator must grow the memory now and then.
        let block = vec![round; 3 << 20];
        let copy = pool.spawn(move || {
            let mut copy = vec![0_u8; block.len()];
            copy.copy_from_slice(&block);
            copy
        });
        let copy = copy.soon().await.expect("no panic");
        assert!(copy.iter().all(|byte| *byte == round));
    }
}

/// A pool that is dropped drains, and its threads can be another pool's.
#[wasm_bindgen_test]
async fn a_second_pool_can_have_the_threads_of_a_dropped_one() {
    // The shared pool keeps its threads; this one needs its own page's workers, so it takes them over for a moment.
    let pool = pool().await;
    let threads = pool.threads();
    let count = Arc::new(AtomicU32::new(0));
    for _ in 0..1000 {
        let count = Arc::clone(&count);
        pool.spawn_detached(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }
    drop(pool);
    tests_browser::drop_pool();
    let mut next = None;
    eventually("the threads to be free", || {
        next = ThreadPool::new(threads.clone()).ok();
        next.is_some()
    })
    .await;
    assert_eq!(count.load(Ordering::Relaxed), 1000, "what was queued has run");
    let next = next.expect("made");
    assert_eq!(next.spawn(|| 5).soon().await.expect("no panic"), 5);
    drop(next);
    // Later tests make their own again.
    eventually("the threads to be free again", || {
        ThreadPool::new(threads.clone()).map(tests_browser::set_pool).is_ok()
    })
    .await;
}
