#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(
    not(any(feature = "std", target_arch = "wasm32")),
    allow(dead_code, reason = "without a host only the core is left")
)]

extern crate alloc;
#[cfg(any(feature = "std", target_arch = "wasm32", test))]
extern crate std;

mod awake;
mod closing;
mod ended;
mod fork;
mod free_list;
#[cfg(any(feature = "std", target_arch = "wasm32"))]
mod front;
mod handle;
mod held;
mod host;
mod idle;
mod injector;
mod job;
mod latency;
#[cfg(any(feature = "std", target_arch = "wasm32"))]
mod metrics;
#[cfg(any(feature = "std", target_arch = "wasm32"))]
mod named;
mod primitive;
mod scheduler;
#[cfg(any(feature = "std", target_arch = "wasm32"))]
mod shutdown;
mod slab;
mod stats;
mod stored;
mod task;
mod trace;
#[cfg(all(any(feature = "std", target_arch = "wasm32"), not(loom)))]
#[cfg_attr(not(any(debug_assertions, feature = "watchdog", test)), allow(dead_code, reason = "nobody watches"))]
mod watchdog;
mod worker;
mod yielding;

#[cfg(all(not(target_arch = "wasm32"), feature = "std"))]
mod native;
#[cfg(all(not(target_arch = "wasm32"), feature = "std"))]
use native as here;
#[cfg(target_arch = "wasm32")]
mod web;
#[cfg(target_arch = "wasm32")]
use web as here;

#[cfg(any(feature = "std", target_arch = "wasm32"))]
pub use fork::{Scope, join, par_chunks, par_chunks_mut, par_for, par_map_reduce, scope};
#[cfg(any(feature = "std", target_arch = "wasm32"))]
pub use front::{Closed, JoinHandle, ThreadPool};
pub use handle::JoinError;
pub use injector::Priority;
pub use job::CancelToken;
pub use latency::{LATENCY_BUCKETS, LatencyHistogram};
#[cfg(any(feature = "std", target_arch = "wasm32"))]
pub use metrics::{Metrics, WorkerStats};
#[cfg(any(feature = "std", target_arch = "wasm32"))]
pub use named::NamedTask;
#[cfg(all(feature = "task-hook", any(feature = "std", target_arch = "wasm32")))]
pub use named::{TaskPhase, set_task_hook};
#[cfg(any(feature = "std", target_arch = "wasm32"))]
pub use shutdown::{Shutdown, ShutdownError, ShutdownHandle};
#[cfg(all(target_arch = "wasm32", feature = "watchdog"))]
#[doc(hidden)]
pub use watchdog::lose_a_wake_up;
#[cfg(all(any(feature = "std", target_arch = "wasm32"), not(loom)))]
#[doc(hidden)]
pub use watchdog::watchdog_barks;
#[cfg(target_arch = "wasm32")]
pub use web::{JsBatch, JsBroadcast, JsError, JsHandle, JsReply, JsTask, PoolError};
pub use yielding::{js_pending, should_yield};

#[cfg(test)]
mod tests;
