//! Tasks with JS values, beside a bare `postMessage` to workers that do nothing else; and what submitting costs the page's main thread.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use weblane_pool::{JsTask, ThreadPool};

use super::{Effort, Sample, percentile};
use crate::Pools;

/// Messages that have arrived.
static ARRIVED: AtomicU32 = AtomicU32::new(0);

/// Milliseconds on a clock that all threads share.
fn shared_clock() -> f64 {
    thread_local! {
        static CLOCK: Function = Function::new_no_args("return performance.timeOrigin + performance.now()");
    }
    CLOCK.with(|clock| clock.call0(&JsValue::UNDEFINED).ok().and_then(|time| time.as_f64()).unwrap_or(f64::NAN))
}

async fn sleep(milliseconds: u32) {
    let set = Function::new_with_args("milliseconds", "return new Promise(done => setTimeout(done, milliseconds))");
    if let Ok(promise) = set.call1(&JsValue::UNDEFINED, &milliseconds.into()) {
        let _ = JsFuture::from(promise.unchecked_into::<Promise>()).await;
    }
}

/// Waits until so many have arrived.
async fn arrived(count: u32) {
    // A timer and not a message, so that the main thread's event loop is nobody's competitor for long.
    while ARRIVED.load(Ordering::Acquire) < count {
        sleep(0).await;
    }
}

fn object(index: u32) -> JsValue {
    let object = Object::new();
    // A fresh object takes properties.
    let _ = Reflect::set(&object, &"index".into(), &index.into());
    object.into()
}

/// Workers with nothing of ours on them, which count what arrives, or say when it did.
struct Raw(Vec<JsValue>, Function);

impl Raw {
    fn new() -> Result<Raw, JsValue> {
        let source = "let count; onmessage = ({ data }) => {
            if (data.memory) count = new Int32Array(data.memory.buffer, data.address, 1);
            else if (data.sent) postMessage(performance.timeOrigin + performance.now() - data.sent);
            else Atomics.add(count, 0, Array.isArray(data) ? data.length : 1);
        }";
        let start = Function::new_with_args(
            "source, memory, address",
            "const worker = new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
             worker.postMessage({ memory, address });
             return worker",
        );
        let arguments = [source.into(), wasm_bindgen::memory(), ARRIVED.as_ptr().addr().into()];
        let workers = (0..2).map(|_| start.apply(&JsValue::UNDEFINED, &arguments.iter().collect::<Array>()));
        let post = Function::new_with_args("worker, value", "worker.postMessage(value)");
        Ok(Raw(workers.collect::<Result<_, _>>()?, post))
    }

    fn post(&self, turn: u32, value: &JsValue) -> Result<(), JsValue> {
        self.1.call2(&JsValue::UNDEFINED, &self.0[turn as usize % self.0.len()], value).map(drop)
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
        ARRIVED.fetch_add(1, Ordering::Release);
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

/// 50 microseconds of work.
fn fifty() {
    let end = shared_clock() + 0.05;
    while shared_clock() < end {}
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
    let (messages, ways, submits) = if full { (3_000, 200, 20_000) } else { (64, 3, 100) };
    let (pool, raw) = (&pools.two, Raw::new()?);
    let mut found = Vec::new();
    for round in 0..effort.reps + 1 {
        let mut add = |metric, peer, value| {
            // The first round warms.
            if let Some(rep) = round.checked_sub(1) {
                found.push(Sample { peer, metric, workers: 2, rep, value });
            }
        };
        let per_message = |start: f64| (shared_clock() - start) * 1e3 / f64::from(messages);
        ARRIVED.store(0, Ordering::Release);
        let start = shared_clock();
        for index in 0..messages {
            sent(pool.spawn_js_detached(counting().payload(object(index))))?;
        }
        arrived(messages).await;
        add("js_task_us", "weblane", per_message(start));
        ARRIVED.store(0, Ordering::Release);
        let start = shared_clock();
        for index in 0..messages {
            raw.post(index, &object(index))?;
        }
        arrived(messages).await;
        add("js_task_us", "floor", per_message(start));

        ARRIVED.store(0, Ordering::Release);
        let start = shared_clock();
        for index in (0..messages).step_by(64) {
            let batch = (index..messages.min(index + 64)).map(|index| counting().payload(object(index)));
            sent(pool.spawn_js_batch_detached(batch))?;
        }
        arrived(messages).await;
        add("js_batch_us", "weblane", per_message(start));
        ARRIVED.store(0, Ordering::Release);
        let start = shared_clock();
        for index in (0..messages).step_by(64) {
            let batch: Array = (index..messages.min(index + 64)).map(object).collect();
            raw.post(index / 64, &batch)?;
        }
        arrived(messages).await;
        add("js_batch_us", "floor", per_message(start));

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
