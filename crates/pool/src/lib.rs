#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(
    not(any(feature = "std", target_arch = "wasm32")),
    allow(dead_code, reason = "without a host only the core is left")
)]

extern crate alloc;
#[cfg(any(feature = "std", target_arch = "wasm32", test))]
extern crate std;

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
#[cfg(any(feature = "std", target_arch = "wasm32"))]
mod metrics;
mod primitive;
mod scheduler;
#[cfg(any(feature = "std", target_arch = "wasm32"))]
mod shutdown;
mod slab;
mod stats;
mod task;
mod trace;
#[cfg(all(feature = "std", not(target_arch = "wasm32"), not(loom), any(debug_assertions, test)))]
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
#[cfg(any(feature = "std", target_arch = "wasm32"))]
pub use metrics::{Metrics, WorkerStats};
#[cfg(any(feature = "std", target_arch = "wasm32"))]
pub use shutdown::{Shutdown, ShutdownError, ShutdownHandle};
#[cfg(target_arch = "wasm32")]
pub use web::{JsBatch, JsBroadcast, JsError, JsHandle, JsReply, JsTask, PoolError};
pub use yielding::{js_pending, should_yield};

#[cfg(test)]
mod tests;
