//! Everything at once, for a long time, with counts that must add up: what `cargo xtask soak` runs in a page.
//!
//! Each round submits plain tasks that spawn tasks, tasks with handles of which some are cancelled, all priorities, joins, JS tasks one by one, in
//! batches and to all workers, and a promise that keeps its worker in the event loop; once a minute a worker grows the memory, and the main thread is
//! blocked for a quarter of a second. After each round all that was submitted must be accounted for; at the end a flood is discarded. The pool's own
//! count of JS tasks must be ours, and its watchdog must have been silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use weblane_pool::{
    JoinError, JsReply, JsTask, LatencyHistogram, Priority, Shutdown, ThreadPool, join, watchdog_barks,
};
use weblane_workers::{Options, init, ready};

const WORKERS: usize = 4;
/// Tasks from the main thread in each round; each second one spawns another.
const TASKS: u64 = 20_000;
const PAGE: f64 = 65_536.0;

/// What was submitted, and what became of it.
#[derive(Default)]
struct Counts {
    submitted: AtomicU64,
    run: AtomicU64,
    cancelled: AtomicU64,
    js_submitted: AtomicU64,
    js_run: AtomicU64,
    js_replies: AtomicU64,
    growths: AtomicU64,
    held: AtomicU64,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn now() -> f64 {
    weblane_workers::timing::now()
}

fn timer(milliseconds: u32) -> Promise {
    let set = Function::new_with_args(
        "milliseconds",
        "return new Promise(done => setTimeout(done, milliseconds, 'settled'))",
    );
    set.call1(&JsValue::UNDEFINED, &milliseconds.into())
        .map_or_else(|error| Promise::reject(&error), JsCast::unchecked_into)
}

async fn sleep(milliseconds: u32) {
    let _ = JsFuture::from(timer(milliseconds)).await;
}

/// The memory's size in bytes.
fn level() -> f64 {
    core::arch::wasm32::memory_size::<0>() as f64 * PAGE
}

fn fib(n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (a, b) = join(move || fib(n - 1), move || fib(n - 2));
    a + b
}

fn object(index: u32) -> JsValue {
    let object = Object::new();
    // A fresh object takes properties.
    let _ = Reflect::set(&object, &"index".into(), &index.into());
    object.into()
}

fn counted_js(counts: &Arc<Counts>, index: u32) -> JsTask {
    add(&counts.js_submitted, 1);
    let counts = Arc::clone(counts);
    JsTask::new(move |payload: JsValue| {
        add(&counts.js_run, 1);
        Ok::<_, JsValue>(payload)
    })
    .payload(object(index))
}

type Outcome<T> = Result<T, String>;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Waits until everything that was submitted has run or was cancelled; an error after a minute.
async fn settle(counts: &Counts) -> Outcome<()> {
    let start = now();
    while read(&counts.submitted) != read(&counts.run) + read(&counts.cancelled)
        || read(&counts.js_submitted) != read(&counts.js_run)
    {
        if now() - start > 60_000.0 {
            return Err(format!(
                "lost: {} submitted, {} run, {} cancelled; JS: {} submitted, {} run",
                read(&counts.submitted),
                read(&counts.run),
                read(&counts.cancelled),
                read(&counts.js_submitted),
                read(&counts.js_run)
            ));
        }
        sleep(1).await;
    }
    Ok(())
}

async fn round(pool: &ThreadPool, counts: &Arc<Counts>, number: u32) -> Outcome<()> {
    for index in 0..TASKS {
        let (counts, pool_inside) = (Arc::clone(counts), pool.clone());
        add(&counts.submitted, 1 + (index & 1));
        let task = move || {
            add(&counts.run, 1);
            if index & 1 == 1 {
                let counts = Arc::clone(&counts);
                pool_inside.spawn_detached(move || add(&counts.run, 1));
            }
        };
        let priority = match index % 100 {
            0 => Priority::High,
            1 => Priority::Background,
            _ => Priority::Normal,
        };
        pool.try_spawn_detached(priority, task).map_err(text)?;
    }
    let handles: Vec<_> = (0..200_u64)
        .map(|index| {
            add(&counts.submitted, 1);
            let counts = Arc::clone(counts);
            pool.spawn(move || {
                add(&counts.run, 1);
                index
            })
        })
        .collect();
    handles.iter().step_by(10).for_each(|handle| {
        handle.cancel();
    });
    for (index, handle) in handles.into_iter().enumerate() {
        match handle.await {
            Ok(value) if value == index as u64 => {}
            Err(JoinError::Cancelled) if index % 10 == 0 => add(&counts.cancelled, 1),
            other => return Err(format!("task {index} of round {number}: {other:?}")),
        }
    }
    let forked = pool.spawn(|| fib(18)).await.map_err(text)?;
    if forked != 2584 {
        return Err(format!("fib(18) is {forked}"));
    }
    for index in 0..20 {
        let reply = pool.spawn_js(counted_js(counts, index)).map_err(text)?.await.map_err(text)?;
        if Reflect::get(&reply, &"index".into()).ok().and_then(|value| value.as_f64()) != Some(f64::from(index)) {
            return Err(format!("JS task {index} replied {reply:?}"));
        }
        add(&counts.js_replies, 1);
    }
    let batch: Vec<_> = (0..64).map(|index| counted_js(counts, index)).collect();
    let replies = pool.spawn_js_batch(batch).map_err(text)?.await;
    add(&counts.js_replies, replies.iter().filter(|reply| reply.is_ok()).count() as u64);
    add(&counts.js_submitted, WORKERS as u64);
    let all = Arc::clone(counts);
    let everywhere = move |payload: JsValue| {
        add(&all.js_run, 1);
        Ok::<_, JsValue>(payload)
    };
    let done = pool.broadcast_js(everywhere, &number.into()).map_err(text)?.await;
    if done.iter().any(|(_, result)| result.is_err()) {
        return Err(format!("broadcast {number}: {done:?}"));
    }
    // A promise keeps its worker in the event loop while it runs tasks in slices.
    add(&counts.js_submitted, 1);
    let inside = Arc::clone(counts);
    let held = JsTask::new(move |_| {
        add(&inside.js_run, 1);
        Ok::<JsReply, JsValue>(JsValue::from(timer(5)).into())
    });
    let settled = pool.spawn_js(held).map_err(text)?.await.map_err(text)?;
    if settled.as_string().as_deref() != Some("settled") {
        return Err(format!("the promise came back as {settled:?}"));
    }
    add(&counts.held, 1);
    settle(counts).await
}

/// The main thread is busy with something else: Rust tasks run all the while, and what they send to the main thread waits for it.
async fn blocked_main(pool: &ThreadPool, counts: &Arc<Counts>) -> Outcome<()> {
    let (start, mut tasks) = (now(), Vec::new());
    while now() - start < 250.0 {
        add(&counts.submitted, 1);
        let inside = Arc::clone(counts);
        tasks.push(pool.spawn(move || {
            add(&inside.run, 1);
            fib(10)
        }));
        let pause = now();
        while now() - pause < 1.0 {}
    }
    for task in tasks {
        if task.await.map_err(text)? != 55 {
            return Err("a task of a blocked page".into());
        }
    }
    Ok(())
}

async fn soak(minutes: f64) -> Outcome<String> {
    let threads = init(Options::new().count(WORKERS).name("soak").start_timeout(core::time::Duration::from_secs(60)))
        .map_err(text)?;
    ready().await.map_err(text)?;
    let pool = ThreadPool::new(threads).map_err(text)?;
    let counts = Arc::new(Counts::default());
    let (start, mut rounds, mut first) = (now(), 0, None);
    let mut minute = 0.0;
    while now() - start < minutes * 60_000.0 {
        round(&pool, &counts, rounds).await?;
        rounds += 1;
        if now() - start >= minute * 60_000.0 {
            minute += 1.0;
            // A page more, by a worker, and a task on another that copies into it.
            let grown = pool.spawn(|| core::arch::wasm32::memory_grow::<0>(1) != usize::MAX).await.map_err(text)?;
            let copied = pool
                .spawn(|| vec![7_u8; 200_000].iter().map(|byte| u64::from(*byte)).sum::<u64>())
                .await
                .map_err(text)?;
            if !grown || copied != 1_400_000 {
                return Err(format!("growth: {grown}, {copied}"));
            }
            add(&counts.growths, 1);
            blocked_main(&pool, &counts).await?;
        }
        if first.is_none() && now() - start >= minutes.min(2.0) * 30_000.0 {
            first = Some(level());
        }
    }
    let last = level();
    // The end: a flood that is discarded. What was accepted has run, or was discarded.
    let before: u64 = pool.metrics().workers.iter().map(|worker| worker.run).sum();
    let flood = 50_000_u64;
    for _ in 0..flood {
        let counts = Arc::clone(&counts);
        pool.spawn_detached(move || add(&counts.run, 1));
    }
    add(&counts.submitted, flood);
    pool.shutdown(Shutdown::Discard).await;
    let (mut latency, mut discarded, mut js_counted) = (LatencyHistogram::default(), 0, 0);
    for worker in pool.metrics().workers {
        latency.merge(&worker.js_latency);
        discarded += worker.discarded;
        js_counted += worker.js;
    }
    let quantile = |part| latency.quantile_us(part).unwrap_or(0);
    let barks = watchdog_barks();
    let (submitted, run, cancelled) = (read(&counts.submitted), read(&counts.run), read(&counts.cancelled));
    let (js_submitted, js_run) = (read(&counts.js_submitted), read(&counts.js_run));
    let first = first.unwrap_or(last);
    let ok = submitted == run + cancelled + discarded
        && js_submitted == js_run
        && last <= first * 1.05
        && before > 0
        && js_counted == js_run
        && barks == 0;
    Ok(format!(
        "{{\"ok\":{ok},\"minutes\":{:.2},\"rounds\":{rounds},\"submitted\":{submitted},\"run\":{run},\"cancelled\":{cancelled},\"discarded\":{discarded},\
         \"js_submitted\":{js_submitted},\"js_run\":{js_run},\"js_replies\":{},\"held_promises\":{},\"growths\":{},\"memory_first\":{first},\
         \"memory_last\":{last},\"js_p50_us\":{},\"js_p99_us\":{},\"js_counted\":{js_counted},\"watchdog\":{barks}}}",
        (now() - start) / 60_000.0,
        read(&counts.js_replies),
        read(&counts.held),
        read(&counts.growths),
        quantile(0.5),
        quantile(0.99),
    ))
}

/// Soaks the pool for so many minutes and returns the counts as JSON.
#[wasm_bindgen(js_name = runSoak)]
pub async fn run_soak(minutes: f64) -> Result<String, JsError> {
    soak(minutes).await.map_err(|error| JsError::new(&error))
}
