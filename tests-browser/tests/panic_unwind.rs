//! Panics in a build where they unwind: they reach whoever waits, and every worker lives on.
//! `cargo xtask test-wasm` builds this one with `panic=unwind`; otherwise it has nothing to test.
#![cfg(target_arch = "wasm32")]

#[cfg(panic = "unwind")]
mod unwinding {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use tests_browser::{Soon, eventually, pool, soon, workers};
    use wasm_bindgen::JsValue;
    use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
    use weblane_pool::{JoinError, JsError, JsTask, join, scope};
    use weblane_workers::{Message, Status, ThreadId, send, status};

    wasm_bindgen_test_configure!(run_in_browser);

    #[wasm_bindgen_test]
    async fn race_18_a_panic_reaches_its_handle_and_the_pool_goes_on() {
        let (mut ids, pool) = (workers().await, pool().await);
        ids.retain(|id| status(*id) == Some(Status::Ready));
        for round in 0..20_u32 {
            let error = pool.spawn(move || -> u32 { panic!("number {round}") }).soon().await.expect_err("it panicked");
            assert_eq!(error.panic_message(), Some(format!("number {round}").as_str()));
            pool.spawn_detached(|| panic!("nobody waits for this"));
            assert_eq!(pool.spawn(move || round).soon().await.expect("no panic"), round);
        }
        // A JS task that panics tells its handle; a plain message's panic ends in the console.
        let task = JsTask::new(|_| -> Result<JsValue, JsValue> { panic!("in a JS task") });
        assert_eq!(pool.spawn_js(task).expect("sent").soon().await, Err(JsError::Lost));
        let count = Arc::new(AtomicU32::new(0));
        for id in &ids {
            send(*id, Message::new(|_, _| panic!("in a message"))).expect("sent");
            let count = Arc::clone(&count);
            let message = Message::new(move |_, _| {
                count.fetch_add(1, Ordering::SeqCst);
            });
            send(*id, message).expect("sent");
        }
        eventually("the messages after the panics", || count.load(Ordering::SeqCst) == ids.len() as u32).await;
        assert!(ids.iter().all(|id| status(*id) == Some(Status::Ready)));
        assert_eq!(pool.spawn(|| 5).soon().await.expect("no panic"), 5);
    }

    /// Both sides end, the first panic wins, and the pool goes on.
    #[wasm_bindgen_test]
    async fn race_18_a_panic_crosses_joins_and_scopes() {
        let pool = pool().await;
        for round in 0..50_u32 {
            let ran = Arc::new(AtomicU32::new(0));
            let counter = Arc::clone(&ran);
            let task = move || {
                let count = || {
                    counter.fetch_add(1, Ordering::SeqCst);
                };
                join(
                    || {
                        scope(|scope| {
                            for child in 0..20 {
                                let count = &count;
                                scope.spawn(move |_| {
                                    count();
                                    assert!(child != 7, "a child of {round}");
                                });
                            }
                        });
                    },
                    || {
                        count();
                        panic!("the other side");
                    },
                );
            };
            let error = pool.spawn(task).soon().await.expect_err("it panicked");
            assert_eq!(error.panic_message(), Some(format!("a child of {round}").as_str()));
            assert_eq!(ran.load(Ordering::SeqCst), 21);
        }
        assert_eq!(pool.spawn(|| join(|| 2, || 3)).soon().await.expect("no panic"), (2, 3));
    }

    /// Race 50: a trap that is no panic. The glue marks the module, which all threads share, as terminated: then each thread's next call from JS throws, and each
    /// thread's next call of a JS function traps. Workers have a mark of their own: only the worker that trapped is lost, its task's handle says so, and
    /// calls of JS at that very moment, messages, JS tasks and Rust tasks of all others go on, as does the main thread.
    /// (It spends one of the page's workers; the other tests go by those that live.)
    #[wasm_bindgen_test]
    async fn race_50_a_trap_ends_one_worker_and_not_the_module() {
        let (ids, pool) = (workers().await, pool().await);
        let before = ids.iter().filter(|id| status(**id) == Some(Status::Ready)).count();
        let count = Arc::new(AtomicU32::new(0));
        let post = |to: ThreadId| {
            let count = Arc::clone(&count);
            let message = Message::new(move |_, _| {
                count.fetch_add(1, Ordering::SeqCst);
            });
            send(to, message).is_ok()
        };
        // The glue calls this when it has set its mark: time for everybody to meet it. No JS here, which would meet it too.
        wasm_bindgen::handler::set_on_abort(|| (0..10_000_000_u32).for_each(|turn| _ = std::hint::black_box(turn)));
        // All living workers but one call JS without a pause.
        let (calling, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let callers: Vec<_> = (1..before)
            .map(|_| {
                let (calling, stop) = (Arc::clone(&calling), Arc::clone(&stop));
                pool.spawn(move || {
                    calling.fetch_add(1, Ordering::SeqCst);
                    let (object, key) = (js_sys::Object::new(), JsValue::from("key"));
                    while !stop.load(Ordering::SeqCst) {
                        assert!(js_sys::Reflect::get(&object, &key).expect("no getter throws").is_undefined());
                    }
                })
            })
            .collect();
        eventually("the callers run", || calling.load(Ordering::SeqCst) == before as u32 - 1).await;
        let trapped = pool.spawn(|| -> u32 { core::arch::wasm32::unreachable() });
        // On their way to all while one of them traps.
        let mut posted = ids.iter().flat_map(|id| [*id; 20]).filter(|id| post(*id)).count();
        let error = soon("the trap", trapped).await.expect_err("there is no value");
        assert!(matches!(error, JoinError::Trapped(_)), "{error}");
        eventually("one worker is lost", || {
            ids.iter().filter(|id| status(**id) == Some(Status::Ready)).count() == before - 1
        })
        .await;
        stop.store(true, Ordering::SeqCst);
        for caller in callers {
            soon("a caller", caller).await.expect("it was not hurt");
        }
        let living: Vec<ThreadId> = ids.into_iter().filter(|id| status(*id) == Some(Status::Ready)).collect();
        // Whatever was sent to the dead one does not count.
        posted -= posted.min(20);
        eventually("the messages to the others", || count.load(Ordering::SeqCst) >= posted as u32).await;
        for round in 0..50_u32 {
            assert_eq!(
                pool.spawn(move || join(|| round, || round + 1)).soon().await.expect("it ran"),
                (round, round + 1)
            );
        }
        for id in living {
            let task = JsTask::new(|_| Ok(JsValue::from(7)));
            assert_eq!(pool.spawn_js_on(id, task).expect("sent").soon().await, Ok(JsValue::from(7)));
        }
    }
}
