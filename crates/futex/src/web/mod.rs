//! Pages: which threads may block, for those that use this crate without `weblane-workers`, and waiting without blocking.

mod registry;
mod wait_async;

use wasm_bindgen::JsValue;

pub use registry::waiters_of_this_thread;
pub use wait_async::{WaitAsync, wait_async};

// Who blocks asks; without atomics nobody blocks.
#[cfg(target_feature = "atomics")]
pub(crate) use registry::assert_not_armed;

/// Installs a hook that asks the JS world once for each thread: dedicated and shared workers may block, and so may threads
/// outside browsers; pages, service workers and worklets may not.
///
/// `weblane-workers` sets a hook of its own; do not call both.
///
/// # Examples
///
/// ```no_run
/// # #[cfg(target_arch = "wasm32")]
/// weblane_futex::web::install();
/// ```
pub fn install() {
    crate::set_can_block(|| {
        let global = js_sys::global();
        let has = |name: &str| js_sys::Reflect::has(&global, &JsValue::from_str(name)).unwrap_or(false);
        let worker = has("DedicatedWorkerGlobalScope") || has("SharedWorkerGlobalScope");
        let browser = has("Window") || has("WorkerGlobalScope") || has("WorkletGlobalScope");
        worker || !browser
    });
}
