//! A start as it should be: everything that `init` promises, on a page of its own because it succeeds once for each page.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use tests_browser::{Soon, eventually, locked};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_workers::{
    InitError, Leave, Message, Options, ResidentError, SendErrorReason, StartCause, Status, ThreadId, current, init,
    is_main_thread, name, ready, reserve, send, set_resident, status, word,
};

wasm_bindgen_test_configure!(run_in_browser);

const COUNT: usize = 3;

/// One test, because its steps are in order: before `init`, at once after it, and when all are up.
#[wasm_bindgen_test]
async fn race_43_race_49_ids_and_messages_are_good_from_the_moment_of_init() {
    // Before.
    assert_eq!((current(), is_main_thread()), (Some(ThreadId::MAIN), true));
    assert_eq!((status(ThreadId::MAIN), status(ThreadId::from_index(1))), (Some(Status::Ready), None));
    assert_eq!(*ready().soon().await.expect_err("nothing was started").cause(), StartCause::NotInitialised);
    let early = send(ThreadId::MAIN, Message::new(|_, _| ())).expect_err("no init yet");
    assert_eq!(*early.reason(), SendErrorReason::UnknownSender);

    // Bad options start nothing, and `init` can be called again.
    for asked in [0, 64] {
        assert_eq!(init(Options::new().count(asked)), Err(InitError::WorkerCount { asked }));
    }
    assert_eq!(init(Options::new().stack_size(1000)), Err(InitError::StackSize { asked: 1000 }));
    match init(Options::new().script_url("http://[")) {
        Err(error @ InitError::WorkerRefused { .. }) => assert!(error.to_string().contains("http://["), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(status(ThreadId::from_index(1)), None, "nothing was started");

    // The real one.
    let log = Arc::new(Mutex::new(Vec::new()));
    let on_init = {
        let log = Arc::clone(&log);
        move |id: ThreadId| {
            assert_eq!(current(), Some(id));
            locked(&log).push((id, "init"));
        }
    };
    let options = Options::new().count(COUNT).name("physics").stack_size(1 << 20).on_init(on_init);
    let ids = init(options.clone()).expect("workers");
    assert_eq!(ids, (1..=COUNT as u32).map(ThreadId::from_index).collect::<Vec<_>>(), "without the main thread");
    for id in &ids {
        assert_eq!(status(*id), Some(Status::Created), "no worker can have run yet");
        let log = Arc::clone(&log);
        let early = Message::new(move |sender, payload: JsValue| {
            assert_eq!((sender, payload.as_string().as_deref()), (ThreadId::MAIN, Some("early")));
            locked(&log).push((current().expect("ours"), "message"));
        });
        send(*id, early.payload("early".into())).expect("queued");
    }
    assert_eq!(init(options), Err(InitError::AlreadyInitialised));
    ready().soon().await.expect("all workers start");
    ready().soon().await.expect("again");
    eventually("the early messages", || locked(&log).len() == 2 * COUNT).await;
    for id in &ids {
        let log = locked(&log);
        let of_id: Vec<_> = log.iter().filter(|(thread, _)| thread == id).map(|(_, what)| *what).collect();
        assert_eq!(of_id, ["init", "message"], "{id}");
        assert_eq!((status(*id), name(*id)), (Some(Status::Ready), Some(format!("physics {}", id.index()).as_str())));
    }
    assert_eq!(
        (name(ThreadId::MAIN), name(ThreadId::from_index(9)), status(ThreadId::from_index(9))),
        (None, None, None)
    );

    // On a worker.
    let checks = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&checks);
    let on_worker = Message::new(move |_, _| {
        assert_eq!(init(Options::new()), Err(InitError::NotMainThread));
        assert!(!is_main_thread());
        // What `Options::name` is for: devtools and the worker itself see it.
        assert_eq!(tests_browser::get(&js_sys::global(), "name").as_string().as_deref(), Some("physics 2"));
        inner.store(1, Ordering::SeqCst);
    });
    send(ids[1], on_worker).expect("sent");
    eventually("the checks on a worker", || checks.load(Ordering::SeqCst) == 1).await;

    // A loop of one's own on a worker: it sleeps on the thread's word, and still gets messages.
    let reservation = reserve(ids[2]).expect("free");
    assert_eq!(reserve(ids[2]).expect_err("once"), ResidentError::Occupied(ids[2]));
    assert_eq!(
        set_resident(reservation, |_| Leave::Stop),
        Err(ResidentError::WrongThread(ids[2])),
        "we are on the main thread"
    );
    let reservation = reserve(ids[2]).expect("it was given back");
    let (turns, got) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let inner = Arc::clone(&turns);
    let move_in = Message::new(move |_, _| {
        let word = word(current().expect("ours")).expect("there");
        let body = move || {
            inner.fetch_add(1, Ordering::SeqCst);
            word.park().expect("a worker may block");
            if word.load().messages() > 0 { Leave::Messages } else { Leave::Stop }
        };
        set_resident(reservation, move |_| body()).expect("nobody lives here");
    });
    send(ids[2], move_in).expect("sent");
    for number in 1..=3 {
        eventually("the loop to sleep", || word(ids[2]).expect("there").load().parked()).await;
        assert_eq!(turns.load(Ordering::SeqCst), number, "called once, and again after each message");
        let inner = Arc::clone(&got);
        send(ids[2], Message::new(move |_, _| inner.store(number, Ordering::SeqCst))).expect("sent");
        eventually("the message", || got.load(Ordering::SeqCst) == number).await;
    }
    // Called without a message: it stops, and the worker is free again.
    eventually("the loop to sleep", || word(ids[2]).expect("there").load().parked()).await;
    word(ids[2]).expect("there").set_token();
    eventually("the worker to be free", || reserve(ids[2]).is_ok()).await;
}
