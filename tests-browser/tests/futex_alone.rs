//! Waiting in wasm without atomics, which has one thread: never for ever.
#![cfg(target_arch = "wasm32")]

#[cfg(not(target_feature = "atomics"))]
mod plain {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use tests_browser::{Soon, sleep};
    use wasm_bindgen_futures::spawn_local;
    use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
    use weblane_futex::web::{wait_async, waiters_of_this_thread};
    use weblane_futex::{AtomicU32, MayNotBlock, Wait, can_block, notify_all, set_can_block, wait};

    wasm_bindgen_test_configure!(run_in_browser);

    #[wasm_bindgen_test]
    fn waiting_is_an_error_whatever_the_hook_says() {
        set_can_block(|| true);
        let word = AtomicU32::new(0);
        assert!(!can_block());
        assert_eq!(wait(&word, 0, None), Err(MayNotBlock));
        assert_eq!(wait(&word, 0, Some(Duration::from_secs(1))), Err(MayNotBlock));
        assert_eq!(notify_all(&word), 0);
    }

    /// Tasks of one thread can wait for each other all the same, by timers.
    #[wasm_bindgen_test]
    async fn wait_async_looks_at_the_word_by_timers() {
        static WORD: AtomicU32 = AtomicU32::new(0);
        spawn_local(async {
            sleep(20).await;
            WORD.store(1, Ordering::Relaxed);
        });
        assert_eq!(wait_async(&WORD, 0, None).soon().await, Wait::Woken);
        assert_eq!(wait_async(&WORD, 1, Some(Duration::from_millis(5))).soon().await, Wait::TimedOut);
        assert_eq!(waiters_of_this_thread(), 0);
    }
}
