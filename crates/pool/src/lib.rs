#![doc = include_str!("../README.md")]
#![no_std]
#![cfg_attr(
    not(any(feature = "std", target_arch = "wasm32")),
    allow(dead_code, reason = "without a host only the core is left")
)]

extern crate alloc;
#[cfg(any(feature = "std", target_arch = "wasm32", test))]
extern crate std;

mod fork;
#[cfg(any(feature = "std", target_arch = "wasm32"))]
mod front;
mod handle;
mod host;
mod idle;
mod injector;
mod job;
mod primitive;
mod scheduler;
mod slab;
mod stats;
mod task;

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
pub use front::{JoinHandle, ThreadPool, WorkerStats};
pub use handle::JoinError;
#[cfg(target_arch = "wasm32")]
pub use web::{JsError, JsHandle, JsReply, JsTask, PoolError};

#[cfg(test)]
mod tests;
