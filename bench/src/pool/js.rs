//! Tasks with JS values, beside a bare `postMessage` to workers that do nothing else; and what submitting costs the page's main thread.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use js_sys::{Array, Function, Promise};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use weblane_pool::{JsTask, ThreadPool};

use super::{Effort, Sample, percentile};
use crate::Pools;

/// Messages that have arrived.
static ARRIVED: AtomicU32 = AtomicU32::new(0);

/// How many are to arrive.
static WANTED: AtomicU32 = AtomicU32::new(0);

/// When the last one had, as the bits of a time by the shared clock. Who waits for it looks every few milliseconds only.
static ENDED: AtomicU64 = AtomicU64::new(0);

use weblane_workers::timing::clock as shared_clock;

async fn sleep(milliseconds: u32) {
    let set = Function::new_with_args("milliseconds", "return new Promise(done => setTimeout(done, milliseconds))");
    if let Ok(promise) = set.call1(&JsValue::UNDEFINED, &milliseconds.into()) {
        let _ = JsFuture::from(promise.unchecked_into::<Promise>()).await;
    }
}

/// Microseconds for each of `count` messages that `post` posts, until the last one has been handled.
async fn per_message(count: u32, post: impl FnOnce() -> Result<(), JsValue>) -> Result<f64, JsValue> {
    WANTED.store(count, Ordering::Release);
    ARRIVED.store(0, Ordering::Release);
    let start = shared_clock();
    post()?;
    // A timer and not a message, so that the main thread's event loop is nobody's competitor for long.
    while ARRIVED.load(Ordering::Acquire) < count {
        sleep(0).await;
    }
    // It is written after the count.
    sleep(1).await;
    Ok((f64::from_bits(ENDED.load(Ordering::Acquire)) - start) * 1e3 / f64::from(count))
}

/// Each message's own object, made as a page makes one.
fn object(index: u32) -> JsValue {
    thread_local! {
        static MAKE: Function = Function::new_with_args("index", "return { index }");
    }
    MAKE.with(|make| make.call1(&JsValue::UNDEFINED, &index.into())).unwrap_or(JsValue::UNDEFINED)
}

/// Workers with nothing of ours on them, which count what arrives, or say when it did.
struct Raw(Vec<JsValue>, Function);

impl Raw {
    fn new() -> Result<Raw, JsValue> {
        let source = "let count, wanted, ended, busy = false;
        const clock = () => performance.timeOrigin + performance.now(), { port1, port2 } = new MessageChannel();
        port2.onmessage = () => {
            for (const end = clock() + 0.05; clock() < end; ) for (let i = 0; i < 2000; i += 1) Atomics.load(count, 0);
            if (busy) port1.postMessage(0);
        };
        onmessage = ({ data }) => {
            if (data.memory) {
                count = new Int32Array(data.memory.buffer, data.count, 1);
                wanted = new Int32Array(data.memory.buffer, data.wanted, 1);
                ended = new Float64Array(data.memory.buffer, data.ended, 1);
            } else if (data.sent) postMessage(clock() - data.sent);
            else if (data.busy !== undefined) { if (busy = data.busy) port1.postMessage(0); }
            else {
                const some = Array.isArray(data) ? data.length : 1;
                if (Atomics.add(count, 0, some) + some === wanted[0]) ended[0] = clock();
            }
        }";
        let start = Function::new_with_args(
            "source, memory, count, wanted, ended",
            "const worker = new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
             worker.postMessage({ memory, count, wanted, ended });
             return worker",
        );
        let addresses = [ARRIVED.as_ptr().addr(), WANTED.as_ptr().addr(), ENDED.as_ptr().addr()].map(JsValue::from);
        let arguments = [source.into(), wasm_bindgen::memory()].into_iter().chain(addresses).collect::<Array>();
        let workers = (0..2).map(|_| start.apply(&JsValue::UNDEFINED, &arguments));
        let post = Function::new_with_args("worker, value", "worker.postMessage(value)");
        Ok(Raw(workers.collect::<Result<_, _>>()?, post))
    }

    fn post(&self, turn: u32, value: &JsValue) -> Result<(), JsValue> {
        self.1.call2(&JsValue::UNDEFINED, &self.0[turn as usize % self.0.len()], value).map(drop)
    }

    /// Each worker does 50 microseconds of work again and again, and looks for messages in between.
    fn busy(&self, busy: bool) -> Result<(), JsValue> {
        let say = Function::new_with_args("worker, busy", "worker.postMessage({ busy })");
        self.0.iter().try_for_each(|worker| say.call2(&JsValue::UNDEFINED, worker, &busy.into()).map(drop))
    }

    /// Milliseconds of one message's way there.
    async fn one_way(&self) -> Result<f64, JsValue> {
        let ask = Function::new_with_args(
            "worker",
            "return new Promise(done => {
                 worker.onmessage = ({ data }) => done(data);
                 worker.postMessage({ sent: performance.timeOrigin + performance.now() });
             })",
        );
        let promise = ask.call1(&JsValue::UNDEFINED, &self.0[0])?;
        Ok(JsFuture::from(promise.unchecked_into::<Promise>()).await?.as_f64().unwrap_or(f64::NAN))
    }
}

fn sent<T>(result: Result<T, weblane_workers::SendError>) -> Result<T, JsValue> {
    result.map_err(|error| JsValue::from_str(&error.to_string()))
}

fn counting() -> JsTask {
    JsTask::new(|_| {
        if ARRIVED.fetch_add(1, Ordering::Release) + 1 == WANTED.load(Ordering::Relaxed) {
            ENDED.store(shared_clock().to_bits(), Ordering::Release);
        }
        Ok::<_, JsValue>(JsValue::UNDEFINED)
    })
}

/// Microseconds of each JS task's way to the pool, one at a time.
async fn one_way(pool: &ThreadPool, count: u32, pause: u32) -> Result<Vec<f64>, JsValue> {
    let values = Arc::new(Mutex::new(Vec::with_capacity(count as usize)));
    for _ in 0..count {
        let (values, at) = (Arc::clone(&values), shared_clock());
        let task = JsTask::new(move |_| {
            values.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((shared_clock() - at) * 1e3);
            Ok::<_, JsValue>(JsValue::UNDEFINED)
        });
        let handle = sent(pool.spawn_js(task.payload(object(0))))?;
        handle.await.map_err(|error| JsValue::from_str(&error.to_string()))?;
        if pause != 0 {
            sleep(pause).await;
        }
    }
    Ok(core::mem::take(&mut *values.lock().unwrap_or_else(std::sync::PoisonError::into_inner)))
}

/// Keeps the workers of a pool busy until dropped: each task does its piece of work, and spawns the next.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn new(pool: &ThreadPool, workers: u32, work: fn()) -> Busy {
        fn next(pool: ThreadPool, stop: Arc<AtomicBool>, work: fn()) {
            work();
            if !stop.load(Ordering::Relaxed) {
                let again = pool.clone();
                pool.spawn_detached(move || next(again, stop, work));
            }
        }
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..2 * workers {
            let (pool, inner, stop) = (pool.clone(), pool.clone(), Arc::clone(&stop));
            pool.spawn_detached(move || next(inner, stop, work));
        }
        Busy(stop)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// 50 microseconds of work. Most of it is not looking at the clock, which would leave numbers for the engine to collect.
fn fifty() {
    let end = shared_clock() + 0.05;
    while shared_clock() < end {
        for turn in 0..2_000 {
            std::hint::black_box(turn);
        }
    }
}

/// Tasks that allocate and free all the time.
fn allocating() {
    for size in 0..200_usize {
        std::hint::black_box(vec![0_u8; 16 + size]);
    }
}

/// What needs the main thread's event loop.
pub(crate) async fn samples(pools: &Pools, effort: Effort) -> Result<Vec<Sample>, JsValue> {
    let full = effort.tasks == Effort::FULL.tasks;
    let (turns, messages, ways, submits) = if full { (4, 3_000, 500, 20_000) } else { (1, 64, 3, 100) };
    let (pool, raw) = (&pools.two, Raw::new()?);
    let mut found = Vec::new();
    for round in 0..effort.reps + 1 {
        let mut add = |metric, peer, value| {
            // The first round warms.
            if let Some(rep) = round.checked_sub(1) {
                found.push(Sample { peer, metric, workers: 2, rep, value });
            }
        };
        let mut sums = [0.0; 4];
        // In turns within the round too, so that a moment in which the machine does something else is not one contender's.
        for _ in 0..turns {
            let one_by_one =
                || (0..messages).try_for_each(|index| sent(pool.spawn_js_detached(counting().payload(object(index)))));
            sums[0] += per_message(messages, one_by_one).await?;
            let one_by_one = || (0..messages).try_for_each(|index| raw.post(index, &object(index)));
            sums[1] += per_message(messages, one_by_one).await?;
            let batches = || {
                (0..messages).step_by(64).try_for_each(|index| {
                    let batch = (index..messages.min(index + 64)).map(|index| counting().payload(object(index)));
                    sent(pool.spawn_js_batch_detached(batch))
                })
            };
            sums[2] += per_message(messages, batches).await?;
            let batches = || {
                (0..messages).step_by(64).try_for_each(|index| {
                    let batch: Array = (index..messages.min(index + 64)).map(object).collect();
                    raw.post(index / 64, &batch)
                })
            };
            sums[3] += per_message(messages, batches).await?;
        }
        let what =
            [("js_task_us", "weblane"), ("js_task_us", "floor"), ("js_batch_us", "weblane"), ("js_batch_us", "floor")];
        for ((metric, peer), sum) in what.into_iter().zip(sums) {
            add(metric, peer, sum / f64::from(turns));
        }

        sleep(5).await;
        let mut idle = one_way(pool, ways, 1).await?;
        add("js_idle_p50_us", "weblane", percentile(&mut idle, 0.5));
        let mut idle = Vec::new();
        for _ in 0..ways {
            idle.push(raw.one_way().await? * 1e3);
            sleep(1).await;
        }
        add("js_idle_p50_us", "floor", percentile(&mut idle, 0.5));

        let busy = Busy::new(pool, 2, fifty);
        sleep(5).await;
        let mut times = one_way(pool, ways, 0).await?;
        drop(busy);
        add("js_busy_p50_us", "weblane", percentile(&mut times, 0.5));
        add("js_busy_p99_us", "weblane", percentile(&mut times, 0.99));
        sleep(5).await;
        raw.busy(true)?;
        sleep(5).await;
        let mut times = Vec::new();
        for _ in 0..ways {
            times.push(raw.one_way().await? * 1e3);
        }
        raw.busy(false)?;
        add("js_busy_p50_us", "floor", percentile(&mut times, 0.5));
        add("js_busy_p99_us", "floor", percentile(&mut times, 0.99));

        sleep(5).await;
        let busy = Busy::new(pool, 2, allocating);
        sleep(5).await;
        let mut times = Vec::with_capacity(submits as usize);
        for index in 0..submits {
            let start = shared_clock();
            pool.spawn_detached(|| ());
            times.push((shared_clock() - start) * 1e3);
            if index % 1_000 == 0 {
                sleep(0).await;
            }
        }
        drop(busy);
        add("main_submit_p999_us", "weblane", percentile(&mut times, 0.999));
        sleep(5).await;
    }
    Ok(found)
}
