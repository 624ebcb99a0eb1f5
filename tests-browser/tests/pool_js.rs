//! JS tasks: what they may return, one for every worker, many in one message.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use js_sys::{Array, Object, Reflect, Uint8Array, WebAssembly};
use tests_browser::{eval, eventually, get, global_number, now, pool, report, sleep, soon, workers};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_pool::{
    JsError, JsReply, JsTask, Priority, TaskPhase, ThreadPool, js_pending, set_task_hook, should_yield,
};
use weblane_workers::{Message, SendErrorReason, send, word};

wasm_bindgen_test_configure!(run_in_browser);

/// A task that runs this code on its worker and returns what the code evaluates to.
fn code(code: &'static str) -> JsTask {
    JsTask::new(move |_| Ok::<JsValue, JsValue>(eval(code)))
}

async fn result_of(pool: &ThreadPool, task: JsTask) -> Result<JsValue, JsError> {
    soon("a reply", pool.spawn_js(task).expect("sent")).await
}

/// Races 37 and 45: what the promise waits for arrives on a worker that would otherwise sleep in its futex.
#[wasm_bindgen_test]
async fn race_45_a_promise_replies_with_what_it_settles_to() {
    let pool = pool().await;
    for (source, expected) in [
        ("Promise.resolve('at once')", Ok("at once")),
        ("new Promise(done => setTimeout(() => done('by a timer'), 20))", Ok("by a timer")),
        ("new Promise((_, fail) => setTimeout(() => fail('rejected'), 5))", Err("rejected")),
        (
            "(async () => { for (let i = 0; i < 5; i += 1) await new Promise(done => setTimeout(done, 1)); return 'in steps'; })()",
            Ok("in steps"),
        ),
        ("fetch('data:text/plain,fetched').then(response => response.text())", Ok("fetched")),
    ] {
        // One on each worker, and twice, so that workers are held and let go again.
        for _ in 0..2 {
            let replies: Vec<_> =
                pool.threads().into_iter().map(|id| pool.spawn_js_on(id, code(source)).expect("sent")).collect();
            for reply in replies {
                let result = soon(source, reply).await;
                assert_eq!(
                    result,
                    expected.map(JsValue::from).map_err(|error| JsError::Threw(error.into())),
                    "{source}"
                );
            }
        }
    }
    // The workers go back to sleep in their loops.
    let asleep = || pool.threads().iter().all(|id| word(*id).expect("there").load().parked());
    eventually("all asleep again", asleep).await;
}

#[wasm_bindgen_test]
async fn a_promise_of_something_that_cannot_be_sent_says_so() {
    let pool = pool().await;
    match result_of(&pool, code("Promise.resolve(() => 1)")).await {
        Err(JsError::ReplyNotSent(text)) => assert!(text.starts_with("DataCloneError"), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// An async task's message is over when its closure returns: other JS tasks and Rust tasks of that worker go on, and it finishes though nobody waits.
#[wasm_bindgen_test]
async fn a_promise_nobody_waits_for_is_carried_through() {
    let pool = pool().await;
    let target = pool.threads()[0];
    let begin = code(
        "globalThis.weblaneDone = 0; new Promise(done => { globalThis.weblaneGo = () => { weblaneDone += 1; done(); }; })",
    );
    drop(pool.spawn_js_on(target, begin).expect("sent"));
    for round in 0..10 {
        let reply = pool.spawn_js_on(target, JsTask::new(Ok::<JsValue, JsValue>).payload(round.into())).expect("sent");
        assert_eq!(soon("a reply from the held worker", reply).await, Ok(round.into()));
    }
    // The last reply is sent before its own message is counted down.
    eventually("the async task's message is counted down", || word(target).expect("there").load().messages() == 0)
        .await;
    let end = code("setTimeout(weblaneGo, 5); new Promise(done => setTimeout(() => done(weblaneDone), 30))");
    assert_eq!(soon("the end", pool.spawn_js_on(target, end).expect("sent")).await, Ok(1.into()));
}

/// A module that exports `answer() == 42`.
const ANSWER: [u8; 39] = [
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // magic, version
    1, 5, 1, 0x60, 0, 1, 0x7f, // one type: () -> i32
    3, 2, 1, 0, // one function of it
    7, 10, 1, 6, b'a', b'n', b's', b'w', b'e', b'r', 0, 0, // exported
    10, 6, 1, 4, 0, 0x41, 42, 0x0b, // i32.const 42
];

/// What started it all: every worker gets a new `WebAssembly.Module`, though all of them are busy with Rust tasks, and calls into it.
#[wasm_bindgen_test]
async fn broadcast_js_hands_every_worker_a_new_module() {
    let pool = pool().await;
    let busy = Arc::new(AtomicU32::new(0));
    keep_busy(&pool, &busy);
    let bytes = Uint8Array::from(&ANSWER[..]);
    let module: JsValue = WebAssembly::Module::new(&bytes).expect("a module").into();
    let times = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&times);
    let keep = move |module: JsValue| {
        let instance = WebAssembly::Instance::new(module.unchecked_ref(), &Object::new())?;
        Reflect::set(&js_sys::global(), &"weblaneAnswer".into(), &get(&instance.exports(), "answer"))?;
        inner.fetch_add(1, Ordering::SeqCst);
        Ok::<JsValue, JsValue>(weblane_workers::current().expect("ours").index().into())
    };
    let results = soon("every worker", pool.broadcast_js(keep, &module).expect("sent")).await;
    assert_eq!(results.iter().map(|(thread, _)| *thread).collect::<Vec<_>>(), pool.threads());
    for (thread, result) in results {
        assert_eq!(result, Ok(thread.index().into()), "each ran it itself");
    }
    assert_eq!(times.load(Ordering::SeqCst) as usize, pool.threads().len(), "once each");
    busy.store(u32::MAX, Ordering::SeqCst);
    // Now they all have it, also inside Rust tasks.
    let total = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&total);
    tests_browser::on_each_worker(&pool, move || {
        inner.fetch_add(eval("weblaneAnswer()").as_f64().expect("a number") as u32, Ordering::SeqCst);
    })
    .await;
    assert_eq!(total.load(Ordering::SeqCst) as usize, 42 * pool.threads().len());
}

/// Short tasks without end on every worker, until `turns` is `u32::MAX`.
fn keep_busy(pool: &ThreadPool, turns: &Arc<AtomicU32>) {
    fn again(pool: &ThreadPool, turns: &Arc<AtomicU32>) {
        let (next, shared) = (pool.clone(), Arc::clone(turns));
        pool.spawn_detached(move || {
            let start = now();
            while now() - start < 0.05 {}
            if shared.load(Ordering::SeqCst) != u32::MAX {
                again(&next, &shared);
            }
        });
    }
    for _ in 0..8 * pool.threads().len() {
        again(pool, turns);
    }
}

#[wasm_bindgen_test]
async fn broadcast_js_of_something_that_cannot_be_copied_queues_nothing() {
    let pool = pool().await;
    let held = Arc::new(());
    let inner = Arc::clone(&held);
    let function: JsValue = js_sys::Function::new_no_args("").into();
    let run = move |value: JsValue| {
        let _held = &inner;
        Ok::<JsValue, JsValue>(value)
    };
    let error = pool.broadcast_js(run, &function).expect_err("a function cannot be sent");
    assert!(matches!(error.reason(), SendErrorReason::Payload { .. }), "{error}");
    drop(error);
    sleep(20).await;
    assert_eq!(Arc::strong_count(&held), 1, "the closure is gone everywhere");
}

fn object(index: u32) -> JsValue {
    let object = Object::new();
    Reflect::set(&object, &"index".into(), &index.into()).expect("an object");
    object.into()
}

const COUNT_POSTS: &str = r"
    if (globalThis.weblanePosts === undefined) {
        globalThis.weblanePosts = 0;
        const original = Worker.prototype.postMessage;
        Worker.prototype.postMessage = function (...args) { globalThis.weblanePosts += 1; return original.apply(this, args); };
    }";

#[wasm_bindgen_test]
async fn a_batch_is_one_message_and_every_task_has_its_own_result() {
    let pool = pool().await;
    eval(COUNT_POSTS);
    let buffer = Uint8Array::from(&[7_u8][..]);
    let list = Array::of1(&buffer.buffer());
    let tasks = || {
        vec![
            JsTask::new(Ok::<JsValue, JsValue>).payload(object(5)),
            JsTask::new(|_| Err::<JsValue, JsValue>("no".into())),
            code("new Promise(done => setTimeout(() => done('late'), 10))"),
            code("new Promise((_, fail) => setTimeout(() => fail('late no'), 10))"),
            JsTask::new(|payload: JsValue| {
                assert!(payload.is_undefined(), "no payload");
                Ok::<JsValue, JsValue>(6.into())
            }),
        ]
    };
    let mut all = tasks();
    all.push(
        JsTask::new(|payload: JsValue| {
            let bytes: Uint8Array = payload.unchecked_into();
            let list = Array::of1(&bytes.buffer());
            Ok::<JsReply, JsValue>(JsReply::new(bytes.into()).transfer(list))
        })
        .payload(buffer.clone().into())
        .transfer(list),
    );
    let before = global_number("weblanePosts");
    let batch = pool.spawn_js_batch(all).expect("sent");
    assert_eq!(global_number("weblanePosts"), before + 1.0);
    assert_eq!(buffer.length(), 0, "it has moved away");
    let results = soon("the batch", batch).await;
    assert_eq!(get(results[0].as_ref().expect("a value"), "index"), 5);
    assert_eq!(results[1], Err(JsError::Threw("no".into())));
    assert_eq!(results[2], Ok("late".into()));
    assert_eq!(results[3], Err(JsError::Threw("late no".into())));
    assert_eq!(results[4], Ok(6.into()));
    assert_eq!(results[5].as_ref().expect("a value").unchecked_ref::<Uint8Array>().to_vec(), [7]);
    assert_eq!(results.len(), 6);

    // One result that cannot be sent fails alone.
    let mut all = tasks();
    all.insert(1, code("() => 1"));
    let results = soon("the batch", pool.spawn_js_batch(all).expect("sent")).await;
    assert!(
        matches!(&results[1], Err(JsError::ReplyNotSent(text)) if text.starts_with("DataCloneError")),
        "{results:?}"
    );
    assert_eq!(get(results[0].as_ref().expect("a value"), "index"), 5);
    assert_eq!(results[5], Ok(6.into()));

    assert_eq!(soon("no tasks", pool.spawn_js_batch([]).expect("nothing to send")).await, []);
}

/// Races 4 to 6 for envelopes: 200 batches of 64 and as many single tasks, with and without handles; everything runs once, and the counts
/// end at zero.
#[wasm_bindgen_test]
async fn batches_and_single_tasks_run_exactly_once() {
    const BATCHES: u32 = 200;
    const EACH: u32 = 64;
    let pool = pool().await;
    let ran: Arc<Vec<AtomicU32>> = Arc::new((0..BATCHES * (EACH + 1)).map(|_| AtomicU32::new(0)).collect());
    let task = |index: u32| {
        let ran = Arc::clone(&ran);
        JsTask::new(move |payload: JsValue| {
            assert_eq!(get(&payload, "index"), index);
            ran[index as usize].fetch_add(1, Ordering::SeqCst);
            Ok::<JsValue, JsValue>(payload)
        })
        .payload(object(index))
    };
    let start = now();
    let mut batches = Vec::new();
    for round in 0..BATCHES {
        let first = round * (EACH + 1);
        let tasks = (first..first + EACH).map(task);
        if round % 4 == 0 {
            batches.push((first, pool.spawn_js_batch(tasks).expect("sent")));
        } else {
            pool.spawn_js_batch_detached(tasks).expect("sent");
        }
        pool.spawn_js_detached(task(first + EACH)).expect("sent");
    }
    eventually("all", || ran.iter().all(|times| times.load(Ordering::SeqCst) != 0)).await;
    report(&format!("{} JS tasks, most in batches of 64: {:.0} ms", BATCHES * (EACH + 1), now() - start));
    for (first, batch) in batches {
        for (index, result) in soon("a batch", batch).await.into_iter().enumerate() {
            assert_eq!(get(&result.expect("a value"), "index"), first + index as u32);
        }
    }
    assert!(ran.iter().all(|times| times.load(Ordering::SeqCst) == 1));
    let counts = || pool.threads().iter().all(|id| word(*id).expect("there").load().messages() == 0);
    eventually("all counted down", counts).await;
}

/// Race 7: a message that arrives without contents. Browsers do that for what they cannot rebuild; here the worker's handler is told so
/// for one marked message.
#[wasm_bindgen_test]
async fn race_7_a_lost_envelope_tells_every_handle_and_is_counted_down_once() {
    const LOSE_MARKED: &str = r"
        const deliver = self.onmessage;
        self.onmessage = (event) => {
            const payload = event.data[1];
            const marked = payload === 'lose' || (Array.isArray(payload) && payload[0] === 'lose');
            if (marked) self.dispatchEvent(new MessageEvent('messageerror'));
            else deliver(event);
        };";
    let pool = pool().await;
    let target = pool.threads()[1];
    let patched = JsTask::new(|_| Ok::<JsValue, JsValue>(eval(&format!("{{ {LOSE_MARKED} }} 1"))));
    assert_eq!(soon("the patch", pool.spawn_js_on(target, patched).expect("sent")).await, Ok(1.into()));
    let held = Arc::new(());
    for _ in 0..20 {
        let task = |payload: JsValue| {
            let held = Arc::clone(&held);
            let run = move |value: JsValue| {
                let _held = &held;
                Ok::<JsValue, JsValue>(value)
            };
            JsTask::new(run).payload(payload)
        };
        let lost = pool.spawn_js_on(target, task("lose".into())).expect("sent");
        let kept = pool.spawn_js_on(target, task("keep".into())).expect("sent");
        let batch =
            pool.spawn_js_batch_on(target, [task("lose".into()), task(1.into()), task(2.into())]).expect("sent");
        assert_eq!(soon("the lost one", lost).await, Err(JsError::Lost));
        assert_eq!(soon("the one behind it", kept).await, Ok("keep".into()));
        assert_eq!(soon("the batch", batch).await, vec![Err(JsError::Lost); 3]);
        // Asleep, and its count is right: a Rust task and another JS task reach it.
        eventually("asleep", || word(target).expect("there").load().parked()).await;
        assert_eq!(word(target).expect("there").load().messages(), 0);
    }
    assert_eq!(Arc::strong_count(&held), 1, "no closure leaks");
}

/// Strangers' messages on a worker's own channel are left alone, and count nothing.
#[wasm_bindgen_test]
async fn forged_messages_are_ignored() {
    let ids = workers().await;
    let pool = pool().await;
    let forge = "for (const message of [[0], [1, 2], [2 ** 53], ['x'], [], 'text', null, { weblane: 9 }, [NaN, {}]]) self.postMessage(message)";
    let done = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&done);
    let message = Message::new(move |_, _| {
        eval(forge);
        inner.store(1, Ordering::SeqCst);
    });
    send(ids[0], message).expect("sent");
    eventually("the forger", || done.load(Ordering::SeqCst) == 1).await;
    // To a worker: through its own handler.
    let to_itself = code(
        "for (const data of [[0], [1, 2], ['x'], [], 'text', null]) self.onmessage(new MessageEvent('message', { data })); 1",
    );
    assert_eq!(soon("the other forger", pool.spawn_js_on(ids[0], to_itself).expect("sent")).await, Ok(1.into()));
    let count = || word(ids[0]).expect("there").load().messages();
    eventually("counted down", || count() == 0).await;
    assert_eq!(soon("a task", pool.spawn(|| 3)).await.expect("no panic"), 3);
}

/// Race 34: a long Rust task learns that JS waits for its worker, and not before.
#[wasm_bindgen_test]
async fn race_34_a_long_task_learns_that_js_waits() {
    let pool = pool().await;
    assert!(!js_pending() && !should_yield(), "never on the main thread");
    let (started, seen) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (in_task, at_end) = (Arc::clone(&started), Arc::clone(&seen));
    let task = pool.spawn(move || {
        let before = js_pending() || should_yield();
        in_task.store(weblane_workers::current().expect("ours").index(), Ordering::SeqCst);
        let start = now();
        while !js_pending() && now() - start < 30_000.0 {}
        at_end.store(u32::from(should_yield()), Ordering::SeqCst);
        (before, js_pending())
    });
    eventually("the task", || started.load(Ordering::SeqCst) != 0).await;
    let busy = weblane_workers::ThreadId::from_index(started.load(Ordering::SeqCst));
    let reply = pool.spawn_js_on(busy, JsTask::new(Ok::<JsValue, JsValue>).payload(4.into())).expect("sent");
    assert_eq!(soon("the long task", task).await.expect("no panic"), (false, true));
    assert_eq!(soon("the JS task", reply).await, Ok(4.into()));
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

/// How long JS tasks waited, as `metrics` says: one by one each is timed, of a flood every eighth and counts for eight.
#[wasm_bindgen_test]
async fn the_latency_of_js_tasks_is_counted_on_their_workers() {
    const ALONE: u64 = 20;
    const FLOOD: u64 = 2_000;
    let pool = pool().await;
    let target = pool.threads()[2];
    let waits = || {
        let metrics = pool.metrics();
        let worker = metrics.workers.iter().find(|worker| worker.thread == target).expect("there");
        (worker.js, worker.js_latency)
    };
    let (js, before) = waits();
    for index in 0..ALONE {
        let reply = pool.spawn_js_on(target, JsTask::new(Ok::<JsValue, JsValue>).payload((index as u32).into()));
        soon("a reply", reply.expect("sent")).await.expect("a value");
    }
    assert_eq!((waits().0 - js, waits().1.count() - before.count()), (ALONE, ALONE));
    // A batch is one message.
    let batch: Vec<_> = (0..64).map(|_| code("1")).collect();
    soon("a batch", pool.spawn_js_batch_on(target, batch).expect("sent")).await;
    assert_eq!((waits().0 - js, waits().1.count() - before.count()), (ALONE + 64, ALONE + 1));
    // The worker is kept from its event loop while the flood is posted, so that all of it waits there, for a time that is known from below.
    let (began, go) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (in_task, gate) = (Arc::clone(&began), Arc::clone(&go));
    let keep = JsTask::new(move |_| {
        in_task.store(1, Ordering::SeqCst);
        while gate.load(Ordering::SeqCst) == 0 {
            let _ = weblane_futex::wait(&gate, 0, None);
        }
        Ok::<_, JsValue>(JsValue::UNDEFINED)
    });
    let kept = pool.spawn_js_on(target, keep).expect("sent");
    eventually("the worker to be kept", || began.load(Ordering::SeqCst) == 1).await;
    let (_, before) = waits();
    let handles: Vec<_> = (0..FLOOD).map(|_| pool.spawn_js_on(target, code("1")).expect("sent")).collect();
    sleep(20).await;
    go.store(1, Ordering::SeqCst);
    weblane_futex::notify_all(&go);
    soon("the kept one", kept).await.expect("a value");
    for handle in handles {
        soon("one of the flood", handle).await.expect("a value");
    }
    let (_, after) = waits();
    let counted = after.count() - before.count();
    assert!(counted <= FLOOD && counted > FLOOD - 8, "{counted} of {FLOOD}");
    // 20 ms, but for the clock's steps: in the bucket of 8 to 16 ms, or above.
    let long: u64 =
        after.buckets()[14..].iter().zip(&before.buckets()[14..]).map(|(after, before)| after - before).sum();
    assert_eq!(long, counted, "{after:?}");
    report(&format!("JS tasks of a worker, latency: {:?}", after.buckets()));
}

/// With the feature `user-timing`, which these tests have: Rust tasks show by name in the profiler, on the track of the worker that ran them; those
/// without a name leave nothing. With `task-hook`, the hook is told of both kinds, on their workers.
#[wasm_bindgen_test]
async fn named_rust_tasks_are_measured_and_the_hook_is_told() {
    static TOLD: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
    fn hook(name: &str, phase: TaskPhase) {
        if name.starts_with("weblane hooked") {
            let end = usize::from(phase != TaskPhase::Begin);
            // A bit for each thread, above a count.
            let here = weblane_workers::current().expect("ours").index();
            TOLD[end].fetch_add(1, Ordering::SeqCst);
            TOLD[end].fetch_or(1 << (16 + here), Ordering::SeqCst);
        }
    }
    const ENTRIES: &str =
        "performance.getEntriesByType('measure').filter(entry => entry.name.startsWith('weblane hooked'))";
    let pool = pool().await;
    set_task_hook(Some(hook));
    let entries = || async {
        let mut all = Vec::new();
        for id in pool.threads() {
            let task = JsTask::new(|_| {
                Ok::<JsValue, JsValue>(eval(&format!("{ENTRIES}.map(entry => [entry.name, entry.duration])")))
            });
            let list: Array =
                soon("the entries", pool.spawn_js_on(id, task).expect("sent")).await.expect("a list").unchecked_into();
            all.extend(
                list.iter()
                    .map(|pair| (id.index(), get(&pair, "0").as_string().expect("a name"), get(&pair, "1").as_f64())),
            );
        }
        all
    };
    assert_eq!(entries().await, []);
    let here = || weblane_workers::current().expect("ours").index();
    let spin = move || {
        let start = now();
        while now() - start < 3.0 {}
        here()
    };
    let one = soon("a named task", pool.named("weblane hooked task").spawn(spin)).await.expect("no panic");
    soon("one without a name", pool.spawn(spin)).await.expect("no panic");
    let two = pool
        .named("weblane hooked search")
        .priority(Priority::High)
        .spawn_cancellable(move |token| (token.is_cancelled(), here()));
    let (cancelled, two) = soon("a named task with a token", two).await.expect("no panic");
    assert!(!cancelled);
    let ran = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&ran);
    pool.named("weblane hooked detached").spawn_detached(move || inner.store(here(), Ordering::SeqCst));
    eventually("a detached named task", || ran.load(Ordering::SeqCst) != 0).await;
    let three = ran.load(Ordering::SeqCst);
    let target = pool.threads()[1];
    soon("a named JS task", pool.spawn_js_on(target, code("1").name("weblane hooked JS")).expect("sent"))
        .await
        .expect("a value");
    // A handle has its value a moment before the hook is told of the end.
    eventually("the hook to be told of each end", || TOLD[1].load(Ordering::SeqCst) & 0xffff == 4).await;
    set_task_hook(None);
    soon("nobody is told", pool.spawn_js_on(target, code("1").name("weblane unheard")).expect("sent"))
        .await
        .expect("a value");
    let expected = [(one, "task"), (two, "search"), (three, "detached"), (target.index(), "JS")];
    let all = entries().await;
    assert_eq!(all.len(), expected.len(), "{all:?}");
    for (thread, name) in expected {
        let entry = all.iter().find(|entry| entry.1 == format!("weblane hooked {name}"));
        let (id, _, duration) = entry.unwrap_or_else(|| panic!("{name} in {all:?}"));
        assert_eq!(*id, thread, "measured where it ran");
        assert!(name != "task" || duration.is_some_and(|duration| duration >= 2.5), "{all:?}");
    }
    let threads = expected.iter().fold(0, |threads, (thread, _)| threads | 1 << (16 + thread));
    let told = TOLD.each_ref().map(|told| told.load(Ordering::SeqCst));
    assert_eq!(told, [threads | 4; 2], "begin and end of each, on its worker");
}

/// With the feature `user-timing`, which these tests have: tasks show by name in the profiler.
#[wasm_bindgen_test]
async fn named_tasks_are_measured() {
    let pool = pool().await;
    let target = pool.threads()[0];
    let named = code("1").name("weblane test task");
    soon("the named task", pool.spawn_js_on(target, named).expect("sent")).await.expect("a value");
    let entries = code("performance.getEntriesByName('weblane test task', 'measure').length");
    assert_eq!(soon("the entries", pool.spawn_js_on(target, entries).expect("sent")).await, Ok(1.into()));
    let run = weblane_workers::timing::named("weblane test closure", || {
        eval("performance.getEntriesByName('weblane test closure').length").as_f64()
    });
    assert_eq!(
        soon("the closure", pool.spawn(run)).await.expect("no panic"),
        Some(0.0),
        "measured when it has returned"
    );
}
