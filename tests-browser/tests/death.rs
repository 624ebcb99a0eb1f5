//! Workers that die, in every way: who notices, who is told, and what they leave behind. Panics abort here, as in what users build.
//!
//! Each test spends workers of its own: the page starts many, and none comes back.
#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use js_sys::{Array, Function};
use tests_browser::{Soon, eval, eventually, get, sleep, soon};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_pool::{JsError, JsTask, ThreadPool};
use weblane_workers::{
    Message, Options, SendErrorReason, Status, ThreadId, init, last_words, on_death, ready, send, status, word,
};

wasm_bindgen_test_configure!(run_in_browser);

/// Two or three for each test.
const COUNT: usize = 32;

/// Keeps the page's `Worker` objects where the tests find them: the library gives none out.
const CATCH_WORKERS: &str = r"
    globalThis.weblaneWorkers = [];
    globalThis.Worker = class extends Worker {
        constructor(...args) { super(...args); globalThis.weblaneWorkers.push(this); }
    };";

thread_local! {
    static FRESH: RefCell<Vec<ThreadId>> = const { RefCell::new(Vec::new()) };
    static STARTED: RefCell<bool> = const { RefCell::new(false) };
}

static DEATHS: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());

fn note_death(id: ThreadId) {
    assert!(weblane_workers::is_main_thread(), "hooks run on the main thread");
    assert_eq!(status(id), Some(Status::Dead));
    DEATHS.lock().expect("short").push(id);
}

fn deaths_of(id: ThreadId) -> usize {
    DEATHS.lock().expect("short").iter().filter(|dead| **dead == id).count()
}

/// So many workers that no test has touched.
async fn fresh(count: usize) -> Vec<ThreadId> {
    if !STARTED.replace(true) {
        eval(CATCH_WORKERS);
        FRESH.set(init(Options::new().count(COUNT).start_timeout(Duration::from_secs(60))).expect("workers"));
        assert!(on_death(note_death) && on_death(note_death), "twice is once");
    }
    ready().await.expect("all workers start");
    FRESH.with_borrow_mut(|fresh| fresh.split_off(fresh.len() - count))
}

/// Terminates a worker, as page script can that has its `Worker` object.
fn terminate(id: ThreadId) {
    let workers: Array = get(&js_sys::global(), "weblaneWorkers").unchecked_into();
    let worker = workers.get(id.index() - 1);
    get(&worker, "terminate").unchecked_into::<Function>().call0(&worker).expect("a worker");
}

async fn dead(id: ThreadId) {
    eventually("the death to be noticed", || deaths_of(id) != 0).await;
    assert_eq!(status(id), Some(Status::Dead));
    let refused = send(id, Message::new(|_, _| ())).expect_err("it is dead");
    assert_eq!(*refused.reason(), SendErrorReason::LostThread(id, Status::Dead));
}

fn code(code: &'static str) -> JsTask {
    JsTask::new(move |_| Ok::<JsValue, JsValue>(eval(code)))
}

/// Runs this code on a worker, as a plain message.
fn run(id: ThreadId, code: &'static str) {
    send(id, Message::new(move |_, _| drop(js_sys::eval(code)))).expect("sent");
}

/// Never returns: blocks for good, on a word of nobody's.
fn block() {
    static NOBODYS: weblane_futex::AtomicU32 = weblane_futex::AtomicU32::new(0);
    loop {
        let _ = weblane_futex::wait(&NOBODYS, 0, None);
    }
}

/// Race 14, race 18: a panic is a trap. Its message outlives the worker, and everybody who waits is told.
#[wasm_bindgen_test]
async fn race_18_a_trap_leaves_its_last_words() {
    let ids = fresh(2).await;
    let pool = ThreadPool::new(ids.clone()).expect("a pool");
    assert_eq!(last_words(ids[0]), None);
    let long = "x".repeat(600);
    let go = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&go);
    let task = JsTask::new(move |_| -> Result<JsValue, JsValue> {
        // Not before all is sent.
        let _ = weblane_futex::wait(&inner, 0, None);
        panic!("on purpose, number {} {long}", 7)
    });
    let trapped = pool.spawn_js_on(ids[0], task).expect("sent");
    let behind = pool.spawn_js_on(ids[0], code("1")).expect("sent");
    let batch = pool.spawn_js_batch_on(ids[0], [code("1"), code("2")]).expect("sent");
    go.store(1, Ordering::SeqCst);
    weblane_futex::notify_all(&go);
    assert_eq!(soon("the task that traps", trapped).await, Err(JsError::Lost));
    assert_eq!(soon("the one behind it", behind).await, Err(JsError::Lost));
    assert_eq!(soon("the batch behind it", batch).await, vec![Err(JsError::Lost), Err(JsError::Lost)]);
    dead(ids[0]).await;
    let words = last_words(ids[0]).expect("a dead worker has some");
    assert!(words.starts_with("on purpose, number 7 xxx") && words.len() <= 248, "{words}");
    // A JS exception across Rust frames has no panic: the browser's words.
    let task = JsTask::new(|_| -> Result<JsValue, JsValue> { wasm_bindgen::throw_str("thrown across Rust") });
    drop(pool.spawn_js_on(ids[1], task).expect("sent"));
    dead(ids[1]).await;
    assert!(last_words(ids[1]).expect("some").contains("thrown across Rust"));
    sleep(100).await;
    assert_eq!((deaths_of(ids[0]), deaths_of(ids[1])), (1, 1), "reported by the worker and by its lock, and told once");
}

/// A trap in a Rust task of the loop.
#[wasm_bindgen_test]
async fn race_14_a_trap_in_the_loop_is_noticed() {
    let ids = fresh(2).await;
    let pool = ThreadPool::new(ids.clone()).expect("a pool");
    pool.spawn_detached(|| panic!("in a Rust task"));
    eventually("a death", || ids.iter().any(|id| deaths_of(*id) == 1)).await;
    let lost = *ids.iter().find(|id| deaths_of(**id) == 1).expect("one");
    assert!(last_words(lost).expect("some").starts_with("in a Rust task"));
    assert_eq!(soon("a task on the other", pool.spawn(|| 4)).await.expect("no panic"), 4);
}

/// A trap in a callback that the browser calls by itself: nobody's `try` is around it.
#[wasm_bindgen_test]
async fn a_trap_in_a_timer_is_noticed() {
    let id = fresh(1).await[0];
    let message = Message::new(|_, _| {
        let panics = wasm_bindgen::closure::Closure::once_into_js(|| {
            let nothing: Option<u32> = None;
            nothing.expect("in a timer");
        });
        let set = get(&js_sys::global(), "setTimeout").unchecked_into::<Function>();
        set.call2(&JsValue::UNDEFINED, &panics, &1.into()).expect("a timer");
    });
    send(id, message).expect("sent");
    dead(id).await;
    assert!(last_words(id).expect("some").starts_with("in a timer"));
}

/// A worker that is terminated, or closes itself, reports nothing. Its lock does: idle, asleep in its loop, blocked, spinning.
#[wasm_bindgen_test]
async fn workers_that_are_terminated_are_noticed_in_every_state() {
    let ids = fresh(5).await;
    let pool = ThreadPool::new(vec![ids[1]]).expect("a pool");
    eventually("asleep", || word(ids[1]).expect("there").load().parked()).await;
    let going = Arc::new(AtomicU32::new(0));
    for (id, spin) in [(ids[2], false), (ids[3], true)] {
        let going = Arc::clone(&going);
        let message = Message::new(move |_, _| {
            going.fetch_add(1, Ordering::SeqCst);
            while spin {}
            block();
        });
        send(id, message).expect("sent");
    }
    eventually("both busy", || going.load(Ordering::SeqCst) == 2).await;
    // What waits for a blocked worker, and for one that sleeps.
    let waits = Arc::new(());
    let inner = Arc::clone(&waits);
    send(ids[2], Message::new(move |_, _| drop(inner))).expect("sent");
    for id in &ids[..4] {
        terminate(*id);
    }
    run(ids[4], "self.close()");
    for id in &ids {
        dead(*id).await;
        assert!(last_words(*id).expect("some").contains("terminated"), "{id}");
    }
    assert_eq!(Arc::strong_count(&waits), 1, "what waited is dropped");
    drop(pool);
}

/// JS tasks that a terminated worker had in hand, running or waiting for a promise, are lost, and their handles say so: on the main
/// thread and on another worker.
#[wasm_bindgen_test]
async fn handles_of_tasks_on_a_terminated_worker_resolve() {
    let ids = fresh(3).await;
    let pool = ThreadPool::new(ids.clone()).expect("a pool");
    let waiting = pool.spawn_js_on(ids[0], code("new Promise(() => {})")).expect("sent");
    let broadcast = pool.broadcast_js(
        {
            let victim = ids[0];
            move |_| {
                let here = weblane_workers::current().expect("ours");
                Ok::<JsValue, JsValue>(if here == victim { eval("new Promise(() => {})") } else { here.index().into() })
            }
        },
        &JsValue::UNDEFINED,
    );
    // One that waits on another worker, which is held by its own promise meanwhile, and sleeps otherwise.
    let (told, asking) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (inner, asked, victim, of_pool) = (Arc::clone(&told), Arc::clone(&asking), ids[0], pool.clone());
    let message = Message::new(move |_, _| {
        let handle = of_pool.spawn_js_on(victim, code("new Promise(() => {})")).expect("sent");
        asked.fetch_add(1, Ordering::SeqCst);
        let hold = weblane_workers::hold();
        wasm_bindgen_futures::spawn_local(async move {
            let result = handle.soon().await;
            inner.store(if result == Err(JsError::Lost) { 1 } else { 2 }, Ordering::SeqCst);
            drop(hold);
        });
    });
    send(ids[1], message).expect("sent");
    eventually("the other worker's task", || asking.load(Ordering::SeqCst) == 1).await;
    // All of them have begun: a JS task behind them has run.
    assert_eq!(soon("a later task", pool.spawn_js_on(ids[0], code("5")).expect("sent")).await, Ok(5.into()));
    terminate(ids[0]);
    assert_eq!(soon("the promise that cannot settle", waiting).await, Err(JsError::Lost));
    let results = soon("the broadcast", broadcast.expect("sent")).await;
    assert_eq!(results[0], (ids[0], Err(JsError::Lost)));
    assert_eq!(results[1], (ids[1], Ok(ids[1].index().into())));
    assert_eq!(results[2], (ids[2], Ok(ids[2].index().into())));
    eventually("the handle on the other worker", || told.load(Ordering::SeqCst) != 0).await;
    assert_eq!(told.load(Ordering::SeqCst), 1, "lost");
    // From now on a broadcast says so at once.
    let run = |_| Ok::<JsValue, JsValue>(1.into());
    let results = soon("another broadcast", pool.broadcast_js(run, &JsValue::UNDEFINED).expect("sent")).await;
    assert_eq!(results.iter().map(|(_, result)| result.is_ok()).collect::<Vec<_>>(), [false, true, true]);
}

fn counting(counter: &Arc<AtomicU32>) -> Message {
    let counter = Arc::clone(counter);
    Message::new(move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
    })
}

/// Stops a worker inside `postMessage` to others: before the message is posted, or after. It never comes back to count it.
const STOP_IN_POST: &str = r"
    const original = MessagePort.prototype.postMessage;
    MessagePort.prototype.postMessage = function (...args) {
        if (globalThis.weblaneStop === 'before') for (;;);
        original.apply(this, args);
        if (globalThis.weblaneStop === 'counted') globalThis.weblaneCount();
        if (globalThis.weblaneStop) for (;;);
    };";

/// Race 47: a sender dies between post and count, before the post, and after the count. The receiver sleeps in its loop meanwhile.
#[wasm_bindgen_test]
async fn race_47_a_sender_that_dies_while_posting_is_settled() {
    for (stop, before) in [("before", 0), ("after", -1), ("counted", 0)] {
        let ids = fresh(2).await;
        let (sender, receiver) = (ids[0], ids[1]);
        let its_word = word(receiver).expect("there");
        let pool = ThreadPool::new(vec![receiver]).expect("a pool");
        let got = Arc::new(AtomicU32::new(0));
        // Some that go well, so that sums are not all zero.
        let theirs = Arc::clone(&got);
        let good = Message::new(move |_, _| {
            send(receiver, counting(&theirs)).expect("sent");
            send(receiver, counting(&theirs)).expect("sent");
        });
        send(sender, good).expect("sent");
        eventually("two messages", || got.load(Ordering::SeqCst) == 2).await;
        if stop == "after" {
            // The receiver must take the message before it sleeps: a message that is not counted wakes nobody.
            drop(pool);
            eventually("the worker to be free", || weblane_workers::reserve(receiver).is_ok()).await;
        } else {
            eventually("asleep", || its_word.load().parked()).await;
            std::mem::forget(pool);
        }
        let theirs = Arc::clone(&got);
        let bad = Message::new(move |_, _| {
            drop(eval(&format!("{{ {STOP_IN_POST} }}")));
            let count = wasm_bindgen::closure::Closure::<dyn Fn()>::new(move || {
                word(receiver).expect("there").message_posted();
            });
            js_sys::Reflect::set(&js_sys::global(), &"weblaneCount".into(), count.as_ref()).expect("set");
            js_sys::Reflect::set(&js_sys::global(), &"weblaneStop".into(), &stop.into()).expect("set");
            drop(send(receiver, counting(&theirs)));
        });
        send(sender, bad).expect("sent");
        if stop == "before" {
            sleep(50).await;
        } else {
            eventually("the last message", || got.load(Ordering::SeqCst) == 3).await;
        }
        let pool = if stop == "after" { Some(ThreadPool::new(vec![receiver]).expect("a pool")) } else { None };
        if stop == "after" {
            // The pool's own message was posted by a living sender: −1 + 1 wakes nobody, and it was awake.
            eventually("asleep", || its_word.load().parked()).await;
        }
        assert_eq!(its_word.load().messages(), before, "{stop}: as the race leaves it");
        terminate(sender);
        dead(sender).await;
        // The word is right again, and the next message is noticed, whatever was lost.
        eventually(&format!("the word to be settled ({stop})"), || its_word.load().messages() == 0).await;
        send(receiver, counting(&got)).expect("sent");
        let expected = if stop == "before" { 3 } else { 4 };
        eventually("a message to the one that sleeps", || got.load(Ordering::SeqCst) == expected).await;
        eventually("asleep", || its_word.load().parked() && its_word.load().messages() == 0).await;
        std::mem::forget(pool);
    }
}

/// Race 51: locks carry the instance's number, so that another instance's locks on this page are no deaths of ours.
#[wasm_bindgen_test]
async fn race_51_locks_carry_an_instance() {
    fresh(0).await;
    let query = "navigator.locks.query().then(({ held }) => held.map(lock => lock.name).filter(name => name.startsWith('weblane ')))";
    let names = wasm_bindgen_futures::JsFuture::from(eval(query).unchecked_into::<js_sys::Promise>())
        .soon()
        .await
        .expect("a list");
    let names: Vec<String> = names.unchecked_into::<Array>().iter().filter_map(|name| name.as_string()).collect();
    let instance = |name: &String| name.split(' ').nth(1).map(str::to_owned);
    assert!(!names.is_empty() && names.iter().all(|name| instance(name) == instance(&names[0])), "{names:?}");
    assert!(instance(&names[0]).expect("three parts").len() >= 12, "{names:?}");
}
