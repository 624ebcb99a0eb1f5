//! What a page does to a pool: it blocks its main thread, is hidden, has more workers than cores, grows its memory while everybody sleeps. And
//! three edges that a directed test reaches better than chance: the moment of parking, a submit that races a JS task, the first pages of a growth.
#![cfg(target_arch = "wasm32")]

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tests_browser::growth::{Blind, GROWTHS};
use tests_browser::{eval, eventually, get, now, report, sleep, soon, turns, workers_of};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_pool::{JsTask, ThreadPool, join};
use weblane_workers::{Message, ThreadId, growth, send, word};

wasm_bindgen_test_configure!(run_in_browser);

/// Four times the cores of a small machine.
const WORKERS: usize = 8;

/// A pool over the first `count` workers of this page, as soon as the one of the test before has gone.
async fn pool_of(count: usize) -> ThreadPool {
    let threads = workers_of(WORKERS).await;
    let mut pool = None;
    eventually("free workers", || {
        pool = ThreadPool::new(threads[..count].to_vec()).ok();
        pool.is_some()
    })
    .await;
    pool.expect("made")
}

async fn asleep(pool: &ThreadPool) {
    let threads = pool.threads();
    eventually("all asleep", || threads.iter().all(|id| word(*id).expect("there").load().parked())).await;
}

fn burn(milliseconds: f64) {
    let start = now();
    while now() - start < milliseconds {}
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

// ------------------------------------------------------------------------------------------------------- mixed work

/// What was sent, and what has come, of a mix of everything that workers do by themselves.
#[derive(Default)]
struct Mix {
    stop: AtomicBool,
    submitted: AtomicU64,
    run: AtomicU64,
    forked: AtomicU64,
    js_sent: AtomicU64,
    js_run: AtomicU64,
    to_main: AtomicU64,
    at_main: AtomicU64,
}

impl Mix {
    fn text(&self) -> String {
        format!(
            "{} of {} Rust tasks, {} joins, {} of {} JS tasks, {} of {} messages to main",
            read(&self.run),
            read(&self.submitted),
            read(&self.forked),
            read(&self.js_run),
            read(&self.js_sent),
            read(&self.at_main),
            read(&self.to_main)
        )
    }

    fn whole(&self) -> bool {
        read(&self.run) == read(&self.submitted)
            && read(&self.js_run) == read(&self.js_sent)
            && read(&self.at_main) == read(&self.to_main)
    }
}

/// A link of a chain that goes on until it is stopped: each submits the next one and a second task, forks, now and then sends a JS task with a
/// payload of its worker's own to another worker, and a message to the main thread.
fn mix(pool: &ThreadPool, shared: &Arc<Mix>, link: u32) {
    add(&shared.submitted);
    let (pool_inside, shared_inside) = (pool.clone(), Arc::clone(shared));
    pool.spawn_detached(move || {
        let (pool, shared) = (pool_inside, shared_inside);
        add(&shared.run);
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        add(&shared.submitted);
        let second = Arc::clone(&shared);
        pool.spawn_detached(move || add(&second.run));
        let (a, b) = join(|| fib(9), || fib(10));
        assert_eq!(a + b, 89);
        add(&shared.forked);
        if link % 16 == 0 {
            let threads = pool.threads();
            let target = threads[(link / 16) as usize % threads.len()];
            add(&shared.js_sent);
            let counted = Arc::clone(&shared);
            let task = JsTask::new(move |payload: JsValue| {
                assert_eq!(payload.as_f64(), Some(f64::from(link)));
                add(&counted.js_run);
                Ok::<JsValue, JsValue>(payload)
            });
            // A reply comes back to the worker that sent it; nobody waits for it here.
            drop(pool.spawn_js_on(target, task.payload(link.into())).expect("sent"));
        }
        if link % 64 == 0 {
            add(&shared.to_main);
            let counted = Arc::clone(&shared);
            send(ThreadId::MAIN, Message::new(move |_, _| add(&counted.at_main))).expect("sent");
        }
        mix(&pool, &shared, link + 1);
    });
}

fn fib(n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (a, b) = join(|| fib(n - 1), || fib(n - 2));
    a + b
}

/// The main thread is busy for a second: workers run, submit to one another, fork, and send JS tasks to one another all the while. What needs the
/// main thread waits for it, and nothing is lost. (WebKit delivers messages between workers only while the main thread is free; this is tested in
/// the other two.)
#[wasm_bindgen_test]
async fn the_main_thread_is_blocked_for_a_second_and_the_workers_go_on() {
    let pool = pool_of(4).await;
    let shared = Arc::new(Mix::default());
    for chain in 0..8 {
        mix(&pool, &shared, chain * 7);
    }
    eventually("a first round", || read(&shared.js_run) > 10 && read(&shared.at_main) > 0).await;
    let answered = Rc::new(Cell::new(0));
    let mut answers = Vec::new();
    for index in 0..50_u32 {
        answers.push((
            pool.spawn(move || index),
            pool.spawn_js(JsTask::new(Ok::<JsValue, JsValue>).payload(index.into())),
        ));
    }
    let before = [&shared.run, &shared.forked, &shared.js_run, &shared.to_main].map(read);
    let (start, at_main) = (now(), read(&shared.at_main));
    let advanced = || {
        let after = [&shared.run, &shared.forked, &shared.js_run, &shared.to_main].map(read);
        after.iter().zip(before).all(|(after, before)| *after >= before + 20)
    };
    // A second at least, and until all of it has gone on; nothing of this returns to the event loop.
    while now() - start < 1_000.0 || !advanced() {
        assert!(now() - start < 60_000.0, "the workers wait for the main thread: {}", shared.text());
        // A page's own work submits too.
        add(&shared.submitted);
        let counted = Arc::clone(&shared);
        pool.spawn_detached(move || add(&counted.run));
        burn(5.0);
    }
    assert_eq!(read(&shared.at_main), at_main, "what needs the main thread waits");
    report(&format!("{:.0} ms blocked, meanwhile: {}", now() - start, shared.text()));
    for (index, (rust, js)) in answers.into_iter().enumerate() {
        assert_eq!(soon("a Rust task's value", rust).await.expect("no panic"), index as u32);
        assert_eq!(soon("a JS task's value", js.expect("sent")).await, Ok((index as u32).into()));
        answered.set(answered.get() + 1);
    }
    assert_eq!(answered.get(), 50);
    shared.stop.store(true, Ordering::Relaxed);
    eventually("everything that was sent", || shared.whole()).await;
    report(&format!("blocked main thread, in all: {}", shared.text()));
}

/// The page is hidden by a tab in front of it, which this test opens: browsers then hold back the main thread's timers to one in a second and its
/// frames altogether. Tasks and JS tasks complete all the same. If the browser cannot hide a page (some cannot without a screen), what can be
/// emulated is: the main thread's timers come once in a second, and its frames never.
#[wasm_bindgen_test]
async fn a_hidden_page_completes_rust_and_js_tasks() {
    let pool = pool_of(4).await;
    eval("globalThis.weblaneTab = globalThis.open('about:blank', '_blank'); 1");
    let hidden = || get(&get(&js_sys::global(), "document"), "visibilityState") == JsValue::from("hidden");
    let start = now();
    while !hidden() && now() - start < 5_000.0 {
        sleep(10).await;
    }
    let really = hidden();
    if !really {
        eval(
            "{ const timer = globalThis.setTimeout; globalThis.weblaneTimer = timer; \
             globalThis.setTimeout = (run, after, ...args) => timer(run, Math.max(after ?? 0, 1000), ...args); \
             globalThis.requestAnimationFrame = () => 0; } 1",
        );
    }
    let shared = Arc::new(Mix::default());
    for chain in 0..8 {
        mix(&pool, &shared, chain * 5);
    }
    for index in 0..200_u32 {
        let rust = pool.spawn(move || index);
        let js = pool.spawn_js(JsTask::new(Ok::<JsValue, JsValue>).payload(index.into())).expect("sent");
        assert_eq!(soon("a Rust task in a hidden page", rust).await.expect("no panic"), index);
        assert_eq!(soon("a JS task in a hidden page", js).await, Ok(index.into()));
    }
    // A worker's own timers, and its promises.
    for id in pool.threads() {
        let timer = JsTask::new(|_| Ok::<JsValue, JsValue>(eval("new Promise(done => setTimeout(done, 5, 'timed'))")));
        assert_eq!(soon("a timer of a worker", pool.spawn_js_on(id, timer).expect("sent")).await, Ok("timed".into()));
    }
    // From sleep, too: whoever sleeps is woken by a page that nobody sees.
    shared.stop.store(true, Ordering::Relaxed);
    eventually("everything of a hidden page", || shared.whole()).await;
    asleep(&pool).await;
    assert_eq!(soon("a task for sleepers", pool.spawn(|| 7)).await.expect("no panic"), 7);
    let still = hidden();
    eval(
        "if (globalThis.weblaneTimer) globalThis.setTimeout = weblaneTimer; if (globalThis.weblaneTab) weblaneTab.close(); 1",
    );
    report(&format!("page hidden: {really}, still at the end: {still}; {:.0} ms; {}", now() - start, shared.text()));
    assert_eq!(really, still, "it was hidden for the whole test, or not at all");
}

/// More workers than cores: fork-join storms, floods of Rust tasks and of JS tasks, one after the other and all at once. Whoever is needed is
/// preempted somewhere.
#[wasm_bindgen_test]
async fn eight_workers_on_few_cores_lose_nothing_of_a_mixed_storm() {
    const ROUNDS: u32 = 12;
    const TASKS: u64 = 4_000;
    const JS: u64 = 64;
    let pool = pool_of(WORKERS).await;
    let (start, mut rounds) = (now(), Vec::new());
    for round in 0..ROUNDS {
        let (ran, js_ran) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let storms: Vec<_> = (0..WORKERS).map(|_| pool.spawn(|| fib(15))).collect();
        for _ in 0..TASKS {
            let (ran, inner) = (Arc::clone(&ran), pool.clone());
            pool.spawn_detached(move || {
                let again = Arc::clone(&ran);
                inner.spawn_detached(move || add(&again));
                add(&ran);
            });
        }
        for index in 0..JS {
            let js_ran = Arc::clone(&js_ran);
            let task = JsTask::new(move |payload: JsValue| {
                add(&js_ran);
                Ok::<JsValue, JsValue>(payload)
            });
            pool.spawn_js_detached(task.payload((index as u32).into())).expect("sent");
        }
        if round % 3 == 0 {
            burn(3.0);
        }
        for storm in storms {
            assert_eq!(soon("a fork-join storm", storm).await.expect("no panic"), 610);
        }
        eventually("the flood", || read(&ran) >= 2 * TASKS && read(&js_ran) >= JS).await;
        rounds.push((ran, js_ran));
    }
    // When all is over: once each.
    sleep(50).await;
    assert!(rounds.iter().all(|(ran, js_ran)| read(ran) == 2 * TASKS && read(js_ran) == JS));
    let expected = u64::from(ROUNDS) * (2 * TASKS + WORKERS as u64);
    asleep(&pool).await;
    let (run, js) = pool.metrics().workers.iter().fold((0, 0), |sum, worker| (sum.0 + worker.run, sum.1 + worker.js));
    // A branch of a join that was taken by another worker counts as a task there.
    assert!(run >= expected, "{run} of {expected}");
    assert_eq!(js, u64::from(ROUNDS) * JS);
    let shares: Vec<_> = pool.metrics().workers.iter().map(|worker| (worker.run, worker.js, worker.stolen)).collect();
    report(&format!("8 workers, {expected} Rust tasks, {:.0} ms; (run, JS, stolen): {shares:?}", now() - start));
}

/// Race 55: the memory grows while every worker sleeps, by the main thread and by a worker outside the pool; what they are woken for lies on the
/// new pages.
#[wasm_bindgen_test]
async fn race_55_memory_grows_while_all_workers_are_parked() {
    let pool = pool_of(4).await;
    let outside = workers_of(WORKERS).await[5];
    for round in 0..12_u32 {
        asleep(&pool).await;
        let block = if round % 2 == 0 { fresh_pages(2) } else { fresh_pages_of(outside, 2).await };
        // By a task; and by a JS task, whose message wakes a sleeper too.
        let sum = move || {
            block.copy_within(PAGE, 0, 1_000);
            block.bytes()[..1_000].iter().map(|byte| u64::from(*byte)).sum::<u64>()
        };
        block.fill(PAGE, 1_000, round as u8 + 1);
        let expected = 1_000 * u64::from(round + 1);
        assert_eq!(soon("a task on new pages", pool.spawn(sum)).await.expect("no panic"), expected);
        asleep(&pool).await;
        let js = JsTask::new(move |_| Ok::<JsValue, JsValue>((sum() as f64).into()));
        assert_eq!(
            soon("a JS task on new pages", pool.spawn_js(js).expect("sent")).await,
            Ok((expected as f64).into())
        );
    }
}

// ---------------------------------------------------------------------------------------------------- directed: growth

const PAGE: usize = 65_536;

/// Pages that the memory has just grown by, which nobody else uses.
#[derive(Clone, Copy)]
struct Block {
    start: usize,
    len: usize,
}

impl Block {
    fn word(self, at: usize) -> &'static AtomicU32 {
        assert!(at % 4 == 0 && at + 4 <= self.len);
        // SAFETY: inside the block, aligned, and there for ever; used as an atomic only.
        unsafe { &*((self.start + at) as *const AtomicU32) }
    }

    fn bytes(self) -> Vec<u8> {
        let mut copy = vec![0; self.len];
        // SAFETY: all of the block is there; whoever writes to it has handed it over.
        unsafe { core::ptr::copy_nonoverlapping(self.start as *const u8, copy.as_mut_ptr(), self.len) };
        copy
    }

    /// `memory.fill`.
    fn fill(self, at: usize, len: usize, value: u8) {
        assert!(at + len <= self.len);
        // SAFETY: inside the block, which the caller has.
        unsafe { core::ptr::write_bytes((self.start + at) as *mut u8, value, len) };
    }

    /// `memory.copy`.
    fn copy_within(self, from: usize, to: usize, len: usize) {
        assert!(from + len <= self.len && to + len <= self.len);
        // SAFETY: inside the block, which the caller has.
        unsafe { core::ptr::copy((self.start + from) as *const u8, (self.start + to) as *mut u8, len) };
    }
}

fn fresh_pages(pages: usize) -> Block {
    let before = core::arch::wasm32::memory_grow::<0>(pages);
    assert_ne!(before, usize::MAX, "the memory can grow");
    Block { start: before * PAGE, len: pages * PAGE }
}

/// The same by another thread.
async fn fresh_pages_of(thread: ThreadId, pages: usize) -> Block {
    let at = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&at);
    let grow = move |_, _| {
        let block = fresh_pages(pages);
        growth::publish();
        inner.store(block.start as u32, Ordering::SeqCst);
    };
    send(thread, Message::new(grow)).expect("sent");
    eventually("new pages", || at.load(Ordering::SeqCst) != 0).await;
    growth::adopt();
    Block { start: at.load(Ordering::SeqCst) as usize, len: pages * PAGE }
}

/// Race 55, directed: worker A grows the memory and hands B, by a task, an address on the very first of the new pages, and B waits there (`wait32`)
/// until A has copied (`memory.copy`, `memory.fill`) and notified. Without the cure this can trap in Chromium, at moments that a test cannot choose.
#[wasm_bindgen_test]
async fn race_55_wait32_and_memory_copy_on_pages_that_another_worker_has_just_grown() {
    let pool = pool_of(2).await;
    for round in 0..40_u32 {
        let inner = pool.clone();
        let rounds = pool.spawn(move || {
            let block = fresh_pages(1);
            // On both ends of the page.
            let (gate, answer) = (block.word(0), block.word(PAGE - 4));
            let waiter = inner.spawn(move || {
                let mut waits = 0;
                while gate.load(Ordering::Acquire) == 0 {
                    let _ = weblane_futex::wait(gate, 0, Some(Duration::from_secs(10)));
                    waits += 1;
                }
                block.copy_within(1_024, 32_768, 1_024);
                let right = block.bytes()[32_768..33_792].iter().all(|byte| *byte == 5);
                answer.store(1 + u32::from(right), Ordering::Release);
                weblane_futex::notify_all(answer);
                waits
            });
            // Until the other one has it, which it will while this one does not join.
            turns(round * 500);
            block.fill(1_024, 512, 5);
            block.copy_within(1_024, 1_536, 512);
            gate.store(1, Ordering::Release);
            weblane_futex::notify_all(gate);
            let mut late = false;
            while answer.load(Ordering::Acquire) == 0 && !late {
                late = weblane_futex::wait(answer, 0, Some(Duration::from_secs(50))).is_err();
            }
            (answer.load(Ordering::Acquire), waiter)
        });
        let (right, waiter) = soon("both workers", rounds).await.expect("no panic");
        assert_eq!(right, 2);
        soon("who waited", waiter).await.expect("no panic");
    }
}

/// Race 55: a worker touches memory that was added while it did not look, after each of the two cures. Without the cure it dies in Chromium.
#[wasm_bindgen_test]
async fn race_55_memory_that_was_added_while_a_worker_did_not_look() {
    let pool = pool_of(1).await;
    let mut blind = Blind::new();
    // For the browser to compile all of it: every way, several times.
    for way in (0..GROWTHS).flat_map(|_| 0..4) {
        let mut touched = false;
        while !touched {
            static AT: AtomicUsize = AtomicUsize::new(0);
            let begun = Arc::new(AtomicU32::new(0));
            let inner = Arc::clone(&begun);
            AT.store(0, Ordering::SeqCst);
            let touches = pool.spawn(move || {
                inner.store(1, Ordering::Release);
                blind.turn();
                let at = AT.load(Ordering::SeqCst) as *mut AtomicU32;
                // Unless the main thread was too late.
                if !at.is_null() {
                    if way < 2 {
                        growth::reach(at)
                    } else {
                        growth::adopt()
                    }
                    if way % 2 == 0 {
                        // SAFETY: on a page that nobody else uses.
                        unsafe { (*at).fetch_add(1, Ordering::SeqCst) };
                    } else {
                        // SAFETY: the same. `memory.fill`.
                        unsafe { at.cast::<u8>().write_bytes(1, black_box(1_000)) };
                    }
                }
                (blind, !at.is_null())
            });
            tests_browser::spin_until("the worker to have begun", || begun.load(Ordering::Acquire) == 1);
            let block = fresh_pages(1);
            growth::publish();
            AT.store(block.start, Ordering::SeqCst);
            (blind, touched) = soon("the worker", touches).await.expect("no panic, and no trap");
        }
    }
}

// ----------------------------------------------------------------------------------------------- directed: two edges

/// Spins until the flag is set; an error after a minute, because a task is lost then.
fn spin_until(flag: &AtomicU32, value: u32) {
    let (start, mut looks) = (now(), 0_u32);
    while flag.load(Ordering::Acquire) != value {
        turns(1);
        looks += 1;
        assert!(looks % 100_000 != 0 || now() - start < 60_000.0, "a task was lost at the parking edge");
    }
}

/// So many rounds, or as many as there are in ten seconds: each needs two threads at once, and takes a turn of the system's scheduler where other programs
/// want the same cores.
struct Rounds {
    done: u32,
    most: u32,
    start: f64,
}

impl Rounds {
    fn new(most: u32) -> Rounds {
        Rounds { done: 0, most, start: now() }
    }

    /// The number of the next one, from 1.
    fn next(&mut self) -> Option<u32> {
        let time = self.done % 10 != 0 || now() - self.start < 10_000.0;
        (self.done < self.most && time).then(|| {
            self.done += 1;
            self.done
        })
    }
}

/// Race 1 and race 3, directed: the next task is submitted when the only worker is on its way to sleep, each time a little later: before its
/// announcement, between that and the second look, between the second look and the futex, and when it sleeps. The main thread does not return to
/// its event loop meanwhile, so nothing else can wake the worker.
#[wasm_bindgen_test]
async fn race_1_a_submit_at_the_parking_edge_is_never_lost() {
    let pool = pool_of(1).await;
    let (ran, go) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let before = pool.stats()[0];
    let mut rounds = Rounds::new(6_000);
    while let Some(round) = rounds.next() {
        // Both run at the moment of `go`. From there the worker has a while to the end of its task, and the main thread one to the next submit:
        // longer or shorter.
        let (inner, start, rest) = (Arc::clone(&ran), Arc::clone(&go), round * 137 % 1_500);
        pool.spawn_detached(move || {
            inner.store(round, Ordering::Release);
            spin_until(&start, round);
            turns(rest);
        });
        spin_until(&ran, round);
        go.store(round, Ordering::Release);
        turns(round * 101 % 3_000);
    }
    asleep(&pool).await;
    let after = pool.stats()[0];
    assert_eq!(after.run - before.run, u64::from(rounds.done));
    let (slept, spurious) = (after.slept - before.slept, after.spurious - before.spurious);
    report(&format!("parking edge: {} tasks, {slept} sleeps, {spurious} spurious", rounds.done));
    assert_ne!(slept, 0);
}

/// Race 8, directed: a Rust task and a JS task for the same worker, which sleeps or is about to; which of them is sent first, and how long before
/// the other, changes with the round. The worker leaves its loop for the message with a task in hand, or comes back, and must find it.
#[wasm_bindgen_test]
async fn race_8_a_submit_that_races_a_js_task_on_the_only_worker() {
    let pool = pool_of(1).await;
    let (ran, js_ran) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut rounds = Rounds::new(1_500);
    while let Some(round) = rounds.next() {
        let submit = || {
            let inner = Arc::clone(&ran);
            pool.spawn_detached(move || {
                inner.fetch_add(1, Ordering::Release);
            });
        };
        let post = || {
            let inner = Arc::clone(&js_ran);
            let task = JsTask::new(move |_| {
                inner.fetch_add(1, Ordering::Release);
                Ok::<JsValue, JsValue>(JsValue::UNDEFINED)
            });
            pool.spawn_js_detached(task).expect("sent");
        };
        let pause = || turns(round / 2 * 67 % 5_000);
        if round % 2 == 0 {
            submit();
            pause();
            post();
        } else {
            post();
            pause();
            submit();
        }
        // Both of them without the main thread's help.
        spin_until(&ran, round);
        spin_until(&js_ran, round);
        if round % 100 == 0 {
            sleep(0).await;
        }
        if round % 3 == 0 {
            // From sleep, as far as it goes.
            turns(20_000);
        }
    }
    asleep(&pool).await;
    assert_eq!((ran.load(Ordering::SeqCst), js_ran.load(Ordering::SeqCst)), (rounds.done, rounds.done));
}
