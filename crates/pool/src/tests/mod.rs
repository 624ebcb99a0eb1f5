//! Models of the scheduler (under `--cfg loom` and `--cfg shuttle`) and native tests of its parts.

/// What the hosts of tests have in common: `threads`, whose first two parts are a word and a lane, and a `SEAT`. Nothing is caught, for no task panics.
#[allow(unused_macros, reason = "some builds have no such host")]
macro_rules! threads_of_tests {
    () => {
        fn workers(&self) -> usize {
            self.threads.len()
        }

        fn word(&self, worker: usize) -> &ThreadWord {
            &self.threads[worker].0
        }

        fn lane(&self, worker: usize) -> &Lane {
            &self.threads[worker].1
        }

        fn seat() -> Option<Seat<Self>> {
            SEAT.with(Cell::get)
        }

        fn set_seat(seat: Option<Seat<Self>>) -> Option<Seat<Self>> {
            SEAT.with(|cell| cell.replace(seat))
        }

        fn catch<R>(run: impl FnOnce() -> R) -> Result<R, Payload> {
            Ok(run())
        }
    };
}

#[cfg(all(not(any(loom, shuttle)), feature = "std", not(target_arch = "wasm32")))]
mod fork;
#[cfg(all(not(any(loom, shuttle)), feature = "std", not(target_arch = "wasm32")))]
mod grown;
#[cfg(loom)]
mod held;
#[cfg(loom)]
pub(crate) mod model;
#[cfg(loom)]
mod model_fork;
#[cfg(loom)]
mod model_queues;
#[cfg(loom)]
mod model_words;
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
