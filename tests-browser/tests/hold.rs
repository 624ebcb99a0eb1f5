//! Workers that are held in their event loop: the browser's events arrive there, Rust tasks go on, nobody is stranded on the way in or out.
#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tests_browser::{WORKERS, eval, eventually, get, now, report, sleep, soon, workers};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_pool::{JsHandle, JsTask, ThreadPool};
use weblane_workers::{Leave, Message, ThreadId, Turn, hold, holds, reserve, send, set_resident, word};

wasm_bindgen_test_configure!(run_in_browser);

/// A pool of the first so many workers. Tests run one after the other, and each ends its pool.
async fn pool_of(count: usize) -> ThreadPool {
    let ids = workers().await;
    let mut pool = None;
    eventually("the threads to be free", || {
        pool = ThreadPool::new(ids[..count].to_vec()).ok();
        pool.is_some()
    })
    .await;
    pool.expect("made")
}

fn code(code: &'static str) -> JsTask {
    JsTask::new(move |_| Ok::<JsValue, JsValue>(eval(code)))
}

/// Holds this worker of the pool by a promise, until [`release`].
async fn hold_worker(pool: &ThreadPool, worker: ThreadId) -> JsHandle {
    let held = code("new Promise(done => { globalThis.weblaneRelease = () => done('released'); })");
    let held = pool.spawn_js_on(worker, held).expect("sent");
    // When this one has run, that one has.
    soon("a JS task", pool.spawn_js_on(worker, code("1")).expect("sent")).await.expect("a value");
    held
}

async fn release(pool: &ThreadPool, worker: ThreadId, held: JsHandle) {
    drop(pool.spawn_js_on(worker, code("weblaneRelease(); 1")).expect("sent"));
    assert_eq!(soon("the held promise", held).await, Ok("released".into()));
}

fn set_timeout(run: impl FnOnce() + 'static, milliseconds: u32) {
    let set = get(&js_sys::global(), "setTimeout").unchecked_into::<js_sys::Function>();
    set.call2(&JsValue::UNDEFINED, &Closure::once_into_js(run), &milliseconds.into()).expect("a timer");
}

async fn asleep(ids: &[ThreadId]) {
    eventually("asleep", || ids.iter().all(|id| word(*id).expect("there").load().parked())).await;
}

/// Race 37: timers that a message, a JS task or a Rust task sets on its worker fire while a hold lives, and the worker sleeps afterwards.
#[wasm_bindgen_test]
async fn race_37_timers_of_a_held_worker_fire() {
    let pool = pool_of(2).await;
    let ids = pool.threads();
    let fired = Arc::new(AtomicU32::new(0));
    let timer = |fired: &Arc<AtomicU32>| {
        let fired = Arc::clone(fired);
        move || {
            let guard = hold();
            assert_eq!(holds(), 1);
            set_timeout(
                move || {
                    fired.fetch_add(1, Ordering::SeqCst);
                    drop(guard);
                },
                10,
            );
        }
    };
    for round in 0..10 {
        asleep(&ids).await;
        let run = timer(&fired);
        match round % 3 {
            0 => send(ids[0], Message::new(move |_, _| run())).expect("sent"),
            1 => pool.spawn_detached(run),
            _ => {
                let task = JsTask::new(move |_| {
                    run();
                    Ok::<JsValue, JsValue>(JsValue::UNDEFINED)
                });
                drop(pool.spawn_js_on(ids[1], task).expect("sent"));
            }
        }
        eventually("the timer", || fired.load(Ordering::SeqCst) == round + 1).await;
    }
    asleep(&ids).await;
}

/// Rust tasks go on while the only worker is held, each woken while it rests (its call word), whoever submits; then the worker sleeps in
/// its futex again, and is woken there. Race 46: neither way loses the wake-ups of the other.
#[wasm_bindgen_test]
async fn race_46_rust_tasks_wake_the_only_worker_held_and_not() {
    let pool = pool_of(1).await;
    let worker = pool.threads()[0];
    for round in 0..6 {
        let held = hold_worker(&pool, worker).await;
        let start = now();
        for task in 0..50_u32 {
            assert_eq!(soon("a task on the held worker", pool.spawn(move || task)).await.expect("no panic"), task);
        }
        if round == 0 {
            report(&format!("a Rust task on a resting worker and back: {:.2} ms", (now() - start) / 50.0));
        }
        assert!(!word(worker).expect("there").load().parked(), "it does not sleep while it is held");
        release(&pool, worker, held).await;
        asleep(&[worker]).await;
        for task in 0..50_u32 {
            assert_eq!(soon("a task on the sleeping worker", pool.spawn(move || task)).await.expect("no panic"), task);
        }
    }
}

/// Tasks that come without end do not keep a held worker from its timers and promises.
#[wasm_bindgen_test]
async fn race_45_a_flood_of_rust_tasks_does_not_starve_what_is_awaited() {
    fn again(pool: &ThreadPool, stop: &Arc<AtomicBool>) {
        let (next, shared) = (pool.clone(), Arc::clone(stop));
        pool.spawn_detached(move || {
            let start = now();
            while now() - start < 0.02 {}
            if !shared.load(Ordering::SeqCst) {
                again(&next, &shared);
            }
        });
    }
    let pool = pool_of(1).await;
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..50 {
        again(&pool, &stop);
    }
    for _ in 0..5 {
        let steps = "(async () => { for (let i = 0; i < 5; i += 1) await new Promise(done => setTimeout(done, 1)); return 'steps'; })()";
        let reply = pool.spawn_js(code(steps)).expect("sent");
        assert_eq!(soon("timers beside a flood", reply).await, Ok("steps".into()));
        // And the shared queue is not starved by the held worker's own ring (race 33).
        let held = hold_worker(&pool, pool.threads()[0]).await;
        assert_eq!(soon("a task from outside", pool.spawn(|| 5)).await.expect("no panic"), 5);
        release(&pool, pool.threads()[0], held).await;
    }
    stop.store(true, Ordering::SeqCst);
    // Nothing keeps the pool any more, so that its threads become free.
    drop(pool);
    drop(pool_of(1).await);
}

/// M12: a held worker is no searcher, so long JS on it silences nobody: the others run what comes.
#[wasm_bindgen_test]
async fn race_8_long_js_on_a_held_worker_keeps_no_task_waiting() {
    let pool = pool_of(2).await;
    let ids = pool.threads();
    let held = hold_worker(&pool, ids[0]).await;
    let go = Arc::new(AtomicBool::new(false));
    for round in 0..30_u32 {
        go.store(false, Ordering::SeqCst);
        let inner = Arc::clone(&go);
        let long = JsTask::new(move |_| {
            let start = now();
            while !inner.load(Ordering::SeqCst) && now() - start < 20_000.0 {}
            Ok::<JsValue, JsValue>(inner.load(Ordering::SeqCst).into())
        });
        // A task that has just called the held worker, and JS that comes before it can take it.
        let first = pool.spawn(move || round);
        let long = pool.spawn_js_on(ids[0], long).expect("sent");
        for task in 0..20_u32 {
            assert_eq!(soon("a task for the other", pool.spawn(move || task)).await.expect("no panic"), task);
        }
        assert_eq!(soon("the first task", first).await.expect("no panic"), round);
        go.store(true, Ordering::SeqCst);
        assert_eq!(soon("the long JS task", long).await, Ok(true.into()), "it waited for us, not we for it");
    }
    release(&pool, ids[0], held).await;
}

/// All workers held, tasks of all kinds from all sides: everything runs once.
#[wasm_bindgen_test]
async fn a_pool_of_held_workers_runs_everything_once() {
    const OUTER: u32 = 2_000;
    let pool = pool_of(WORKERS).await;
    let ids = pool.threads();
    let mut held = Vec::new();
    for id in &ids {
        held.push(hold_worker(&pool, *id).await);
    }
    let ran: Arc<Vec<AtomicU32>> = Arc::new((0..2 * OUTER).map(|_| AtomicU32::new(0)).collect());
    for task in 0..OUTER {
        let (ran, inner) = (Arc::clone(&ran), pool.clone());
        pool.spawn_detached(move || {
            ran[2 * task as usize].fetch_add(1, Ordering::SeqCst);
            inner.spawn_detached(move || {
                ran[2 * task as usize + 1].fetch_add(1, Ordering::SeqCst);
            });
        });
        if task % 100 == 0 {
            drop(pool.spawn_js(code("1")).expect("sent"));
            sleep(0).await;
        }
    }
    eventually("all tasks", || ran.iter().all(|times| times.load(Ordering::SeqCst) > 0)).await;
    // Some let go, some not, and again.
    for (index, promise) in held.into_iter().enumerate() {
        release(&pool, ids[index], promise).await;
        assert_eq!(soon("a task", pool.spawn(move || index)).await.expect("no panic"), index);
    }
    asleep(&ids).await;
    assert!(ran.iter().all(|times| times.load(Ordering::SeqCst) == 1));
}

/// Race 29: a pool that is dropped while its worker rests drains, and the thread is free; the promise settles all the same.
#[wasm_bindgen_test]
async fn race_29_a_resting_worker_learns_that_its_pool_is_closed() {
    let pool = pool_of(1).await;
    let worker = pool.threads()[0];
    let held = hold_worker(&pool, worker).await;
    // Let it come to rest.
    sleep(20).await;
    drop(pool);
    let next = pool_of(1).await;
    assert_eq!(soon("a task of the next pool", next.spawn(|| 8)).await.expect("no panic"), 8);
    release(&next, worker, held).await;
}

/// Race 36: a JS task that waits for a Rust task of its own worker runs it on the spot, and does not enter the loop a second time.
#[wasm_bindgen_test]
async fn race_36_a_js_task_may_join_a_rust_task_of_its_own_worker() {
    let pool = pool_of(1).await;
    for round in 0..20_u32 {
        let inner = pool.clone();
        let task = JsTask::new(move |_| {
            let others: Vec<_> = (0..5_u32).map(|i| inner.spawn(move || i)).collect();
            let sum: u32 = others.into_iter().map(|mut task| task.join().expect("no panic")).sum();
            Ok::<JsValue, JsValue>((sum + round).into())
        });
        assert_eq!(soon("the JS task", pool.spawn_js(task).expect("sent")).await, Ok((10 + round).into()));
    }
}

/// Races 36 and 48: a loop is called once for each time that it asks, never inside itself, though a message and a timer race for each re-entry.
#[wasm_bindgen_test]
async fn race_48_a_loop_is_called_once_for_each_request() {
    const AGAIN: u32 = 200;
    const LAST: u32 = AGAIN + 3;
    let worker = workers().await[WORKERS - 1];
    let mut reservation = None;
    eventually("the worker to be free", || {
        reservation = reserve(worker).ok();
        reservation.is_some()
    })
    .await;
    let reservation = reservation.expect("free");
    let (calls, inside) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (in_loop, nested) = (Arc::clone(&calls), Arc::clone(&inside));
    let move_in = Message::new(move |_, _| {
        let depth = Rc::new(RefCell::new(()));
        let body = move |turn| {
            assert_eq!(turn, Turn::Full);
            if depth.try_borrow_mut().is_err() {
                nested.fetch_add(1, Ordering::SeqCst);
            }
            let _deep = depth.try_borrow_mut();
            let call = in_loop.fetch_add(1, Ordering::SeqCst);
            // Longer than a timer of 0 ms now and then, so that both are due.
            if call % 8 == 0 {
                let start = now();
                while now() - start < 6.0 {}
            }
            match call {
                0..AGAIN => Leave::Again,
                AGAIN..LAST => Leave::Idle,
                _ => Leave::Stop,
            }
        };
        set_resident(reservation, body).expect("free");
    });
    send(worker, move_in).expect("sent");
    eventually("all calls", || calls.load(Ordering::SeqCst) > AGAIN).await;
    sleep(100).await;
    assert_eq!((calls.load(Ordering::SeqCst), inside.load(Ordering::SeqCst)), (AGAIN + 1, 0));
    // Called while it rests, and by a message: once each.
    weblane_workers::call(worker);
    eventually("the call", || calls.load(Ordering::SeqCst) == AGAIN + 2).await;
    send(worker, Message::new(|_, _| ())).expect("sent");
    eventually("the message", || calls.load(Ordering::SeqCst) == AGAIN + 3).await;
    sleep(300).await;
    assert_eq!(calls.load(Ordering::SeqCst), LAST, "nothing else calls it");
    weblane_workers::call(worker);
    eventually("the end", || reserve(worker).is_ok()).await;
    assert_eq!((calls.load(Ordering::SeqCst), inside.load(Ordering::SeqCst)), (LAST + 1, 0));
}

/// Race 53: a message is counted and does not come, as in WebKit while the page is busy. Rust tasks go on, in slices, and the count stays
/// until it comes.
#[wasm_bindgen_test]
async fn race_53_rust_tasks_go_on_while_a_counted_message_does_not_come() {
    let pool = pool_of(1).await;
    let worker = pool.threads()[0];
    let its_word = word(worker).expect("there");
    for _ in 0..5 {
        asleep(&[worker]).await;
        // Counted, and nothing posted.
        its_word.message_posted();
        for task in 0..20_u32 {
            assert_eq!(soon("a task meanwhile", pool.spawn(move || task)).await.expect("no panic"), task);
        }
        assert_eq!(its_word.load().messages(), 1);
        assert!(!its_word.load().parked(), "it stays out");
        // Others come, and it is still one short.
        assert_eq!(soon("a JS task", pool.spawn_js(code("7")).expect("sent")).await, Ok(7.into()));
        assert_eq!(soon("a task", pool.spawn(|| 1)).await.expect("no panic"), 1);
        // The late one: its handler counts it down.
        its_word.message_done();
        assert_eq!(soon("a JS task", pool.spawn_js(code("8")).expect("sent")).await, Ok(8.into()));
    }
    asleep(&[worker]).await;
}

/// Race 34: JS tasks without end keep Rust tasks waiting, by contract, until there is a budget: so many JS tasks, or so much time.
#[wasm_bindgen_test]
async fn race_34_a_budget_lets_rust_tasks_run_beside_a_flood_of_js_tasks() {
    /// Each JS task sends the next two before it ends, up to a bound, so there is always one more.
    fn flood(pool: &ThreadPool, stop: &Arc<AtomicBool>, turns: &Arc<AtomicU32>) {
        let (next, inner, counted) = (pool.clone(), Arc::clone(stop), Arc::clone(turns));
        let task = JsTask::new(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            if !inner.load(Ordering::SeqCst) {
                flood(&next, &inner, &counted);
            }
            Ok::<JsValue, JsValue>(JsValue::UNDEFINED)
        });
        pool.spawn_js_detached(task).expect("sent");
    }
    let pool = pool_of(1).await;
    for (tasks, time) in [(NonZeroU32::new(10), None), (None, Some(Duration::from_millis(2)))] {
        let (stop, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        pool.set_js_budget(None, None).expect("told");
        for _ in 0..4 {
            flood(&pool, &stop, &turns);
        }
        eventually("the flood", || turns.load(Ordering::SeqCst) > 100).await;
        let task = pool.spawn(|| 3);
        let before = turns.load(Ordering::SeqCst);
        eventually("more of the flood", || turns.load(Ordering::SeqCst) > before + 1_000).await;
        assert!(!task.is_finished(), "JS comes first");
        pool.set_js_budget(tasks, time).expect("told");
        assert_eq!(soon("the Rust task", task).await.expect("no panic"), 3);
        // Each gets its turn.
        for round in 0..20 {
            assert_eq!(soon("a Rust task", pool.spawn(move || round)).await.expect("no panic"), round);
        }
        assert!(!stop.swap(true, Ordering::SeqCst), "the flood went on all the time");
    }
    pool.set_js_budget(None, None).expect("told");
}
