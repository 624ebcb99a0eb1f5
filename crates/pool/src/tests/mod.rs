//! Models of the scheduler (under `--cfg loom` and `--cfg shuttle`) and native tests of its parts.

#[cfg(all(not(any(loom, shuttle)), feature = "std", not(target_arch = "wasm32")))]
mod fork;
#[cfg(loom)]
mod held;
#[cfg(loom)]
mod model;
#[cfg(loom)]
mod model_fork;
#[cfg(loom)]
mod model_queues;
#[cfg(all(not(any(loom, shuttle)), feature = "std", not(target_arch = "wasm32")))]
mod native;
#[cfg(all(shuttle, not(loom)))]
mod storm;
#[cfg(all(not(any(loom, shuttle)), feature = "std", not(target_arch = "wasm32")))]
mod told;
#[cfg(all(not(loom), feature = "std", not(target_arch = "wasm32")))]
mod traces;
#[cfg(all(not(loom), feature = "std", not(target_arch = "wasm32")))]
mod world;
