//! The hook for pages that use this crate without `weblane-workers`.

use core::cell::Cell;
use std::thread_local;

use wasm_bindgen::JsValue;

thread_local! {
    static MAY: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Installs a hook that asks the JS world once for each thread: dedicated and shared workers may block, and so may threads
/// outside browsers; pages, service workers and worklets may not.
pub fn install() {
    crate::set_can_block(|| {
        MAY.get().unwrap_or_else(|| {
            let global = js_sys::global();
            let has = |name: &str| js_sys::Reflect::has(&global, &JsValue::from_str(name)).unwrap_or(false);
            let worker = has("DedicatedWorkerGlobalScope") || has("SharedWorkerGlobalScope");
            let browser = has("Window") || has("WorkerGlobalScope") || has("WorkletGlobalScope");
            let may = worker || !browser;
            MAY.set(Some(may));
            may
        })
    });
}
