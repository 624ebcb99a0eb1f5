//! What a long Rust task asks now and then, so that JS tasks do not wait for it.
//!
//! A worker cannot receive a message while a Rust task runs on it: it must return to its event loop first. A task that takes long can ask
//! whether it should; it then spawns its rest as a new task, and returns. Asking costs one load of the thread's own word, which nobody else
//! writes while nothing is under way.

/// Whether JS tasks or messages wait for the calling worker. Always `false` outside of Weblane's workers, and natively.
///
/// # Examples
///
/// ```
/// // In a long task: the time to return, and to go on in a task of its own.
/// if weblane_pool::js_pending() {
///     // pool.spawn_detached(move || rest());
/// }
/// ```
#[must_use]
pub fn js_pending() -> bool {
    #[cfg(target_arch = "wasm32")]
    {
        crate::web::js_pending()
    }
    #[cfg(not(target_arch = "wasm32"))]
    false
}

/// Whether a long Rust task should return, and go on in a task of its own: JS tasks wait for this worker, or promises, timers or fetches
/// that somebody awaits on it.
///
/// # Examples
///
/// ```
/// use weblane_pool::{ThreadPool, should_yield};
///
/// fn search(pool: &ThreadPool, mut from: u64) {
///     while from < 1_000_000 {
///         from += 1; // ... some microseconds of work ...
///         if should_yield() {
///             let again = pool.clone();
///             return pool.spawn_detached(move || search(&again, from));
///         }
///     }
/// }
/// ```
#[must_use]
pub fn should_yield() -> bool {
    #[cfg(target_arch = "wasm32")]
    {
        crate::web::should_yield()
    }
    #[cfg(not(target_arch = "wasm32"))]
    false
}
