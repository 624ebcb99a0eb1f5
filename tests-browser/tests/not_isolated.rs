//! A page without the two headers. `cargo xtask test-wasm` has this one served without them.
#![cfg(target_arch = "wasm32")]

use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_workers::{InitError, Options, init};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
fn a_page_that_is_not_isolated_is_told_which_headers_it_lacks() {
    assert_eq!(tests_browser::eval("crossOriginIsolated"), false, "served without the headers");
    let error = init(Options::new()).expect_err("no shared memory");
    assert_eq!(error, InitError::NotIsolated);
    let text = error.to_string();
    for header in ["Cross-Origin-Opener-Policy: same-origin", "Cross-Origin-Embedder-Policy: require-corp"] {
        assert!(text.contains(header), "{text}");
    }
}
