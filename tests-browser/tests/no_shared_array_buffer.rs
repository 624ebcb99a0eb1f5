//! A page that is cross-origin isolated in a browser without `SharedArrayBuffer`, as WebKit can be.
#![cfg(target_arch = "wasm32")]

use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_workers::{InitError, Options, init};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
fn a_missing_shared_array_buffer_is_an_error_of_its_own() {
    assert_eq!(tests_browser::eval("crossOriginIsolated"), true, "this is not about the headers");
    tests_browser::eval("globalThis.keptSharedArrayBuffer = SharedArrayBuffer; delete globalThis.SharedArrayBuffer");
    let error = init(Options::new()).expect_err("no shared memory");
    tests_browser::eval("globalThis.SharedArrayBuffer = keptSharedArrayBuffer");
    assert_eq!(error, InitError::NoSharedArrayBuffer);
    assert!(error.to_string().contains("`SharedArrayBuffer`"), "{error}");
}
