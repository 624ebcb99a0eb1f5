//! The few functions of `js/worker.js` that Rust calls.

use js_sys::Array;
use wasm_bindgen::prelude::*;

/// Kinds of messages to the main thread, as `worker.js` numbers them.
pub(crate) const MESSAGE: u32 = 1;
pub(crate) const READY: u32 = 2;
pub(crate) const FAILED: u32 = 3;
pub(crate) const DEAD: u32 = 4;

/// Handler of `(kind, key, value)`.
pub(crate) type OnMessage = Closure<dyn FnMut(u32, f64, JsValue)>;
/// Handler of `(what, key, value)`, see `resident`.
pub(crate) type OnLoop = Closure<dyn Fn(u32, u32, JsValue)>;
/// Handler of `(is_message_error, text)`.
pub(crate) type OnError = Closure<dyn FnMut(bool, String)>;

#[wasm_bindgen(module = "/js/worker.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    pub(crate) fn weblane_create_worker(
        url: Option<&str>,
        name: &str,
        on_message: &OnMessage,
        on_error: &OnError,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn weblane_script_url(url: Option<&str>) -> Result<String, JsValue>;

    #[expect(clippy::too_many_arguments, reason = "one crossing into JS, every argument named on the other side")]
    #[wasm_bindgen(catch)]
    pub(crate) fn weblane_start_worker(
        worker: &JsValue,
        url: &str,
        module: &JsValue,
        memory: &JsValue,
        id: u32,
        phase: usize,
        trapped: usize,
        stack: Option<u32>,
        ports: &Array,
        lock: &str,
    ) -> Result<(), JsValue>;

    /// False: `weblane_refusal` says why.
    pub(crate) fn weblane_post(target: &JsValue, key: f64, payload: &JsValue, transfer: Option<&Array>) -> bool;

    pub(crate) fn weblane_refusal() -> JsValue;

    pub(crate) fn weblane_loopback(on_message: &OnMessage) -> JsValue;

    pub(crate) fn weblane_loop(rust: &OnLoop, die: &JsValue, memory: &JsValue, address: usize) -> Loop;

    pub(crate) fn weblane_watch(lock: &str, gone: &Closure<dyn FnMut()>) -> bool;

    pub(crate) fn weblane_instance() -> String;

    pub(crate) fn weblane_now() -> f64;

    pub(crate) fn weblane_clock() -> f64;

    #[cfg(feature = "user-timing")]
    pub(crate) fn weblane_measure(name: &str, start: f64);

    pub(crate) fn weblane_after(milliseconds: f64, fire: &JsValue);

    pub(crate) fn weblane_environment() -> Array;
}

#[wasm_bindgen]
extern "C" {
    /// What `weblane_loop` returns.
    pub(crate) type Loop;

    #[wasm_bindgen(method)]
    pub(crate) fn request(this: &Loop);

    #[wasm_bindgen(method)]
    pub(crate) fn rest(this: &Loop, seen: i32);

    #[wasm_bindgen(method)]
    pub(crate) fn overdue(this: &Loop, milliseconds: u32);

    #[wasm_bindgen(method)]
    pub(crate) fn settled(this: &Loop, promise: &JsValue, key: u32);
}

#[wasm_bindgen]
extern "C" {
    /// The URL of the wasm glue: the module that imported us.
    #[wasm_bindgen(thread_local_v2, js_namespace = ["import", "meta"], js_name = url)]
    pub(crate) static GLUE_URL: String;
}

/// A JS exception as one line: `Name: message`.
pub(crate) fn describe(error: &JsValue) -> (String, String) {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => (error.name().into(), error.message().into()),
        // `DOMException` is not an `Error` for `instanceof` in every engine, but has the same two properties.
        None => {
            let get = |name: &str| js_sys::Reflect::get(error, &name.into()).ok().and_then(|value| value.as_string());
            let message = get("message").or_else(|| error.as_string()).unwrap_or_else(|| format!("{error:?}"));
            (get("name").unwrap_or_else(|| "Error".into()), message)
        }
    }
}
