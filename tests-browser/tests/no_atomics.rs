//! wasm without atomics. `cargo xtask test-wasm` builds this one without the flags; with them it has nothing to test.
#![cfg(target_arch = "wasm32")]

#[cfg(not(target_feature = "atomics"))]
mod plain {
    use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
    use weblane_futex::{AtomicU32, MayNotBlock, notify_all, wait};
    use weblane_workers::{InitError, Options, init};

    wasm_bindgen_test_configure!(run_in_browser);

    #[wasm_bindgen_test]
    fn a_build_without_atomics_is_told_how_to_build() {
        let error = init(Options::new()).expect_err("no threads");
        assert_eq!(error, InitError::BuiltWithoutAtomics);
        let text = error.to_string();
        assert!(text.contains("+atomics") && text.contains("build-std"), "{text}");
    }

    #[wasm_bindgen_test]
    fn waiting_without_threads_is_an_error_and_not_for_ever() {
        let word = AtomicU32::new(0);
        assert_eq!(wait(&word, 0, None), Err(MayNotBlock));
        assert_eq!(notify_all(&word), 0);
    }
}
