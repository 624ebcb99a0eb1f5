//! Being told once when a promise settles.
//!
//! A pair of closures for each promise would leak: only one of the two is ever called, and freeing the other is left to a garbage collector
//! that need not run. So each thread has one table of closures that wait, and one function of its loop that brings `(what, key, value)`.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;
use std::thread_local;

use js_sys::Promise;
use wasm_bindgen::JsValue;

use crate::resident;

type Then = Box<dyn FnOnce(Result<JsValue, JsValue>)>;

#[derive(Default)]
struct Table {
    places: Vec<Option<Then>>,
    free: Vec<u32>,
}

thread_local! {
    static TABLE: RefCell<Table> = const { RefCell::new(Table { places: Vec::new(), free: Vec::new() }) };
}

/// Runs `then` on this worker when the promise is resolved (`Ok`) or rejected (`Err`), as a reaction of the promise.
///
/// It does not hold the worker: move a [`Hold`](crate::Hold) into the closure for that. On a thread that is no worker of Weblane's the
/// closure is dropped.
///
/// # Examples
///
/// ```no_run
/// # fn fetch_something() -> js_sys::Promise { js_sys::Promise::resolve(&wasm_bindgen::JsValue::NULL) }
/// // On a worker.
/// let hold = weblane_workers::hold();
/// weblane_workers::on_settled(&fetch_something(), move |result| {
///     // ...
///     drop((hold, result));
/// });
/// ```
pub fn on_settled(promise: &Promise, then: impl FnOnce(Result<JsValue, JsValue>) + 'static) {
    resident::with_loop(|events| {
        let then: Then = Box::new(then);
        let key = TABLE.with_borrow_mut(|table| match table.free.pop() {
            Some(key) => {
                table.places[key as usize] = Some(then);
                key
            }
            None => {
                table.places.push(Some(then));
                table.places.len() as u32 - 1
            }
        });
        events.settled(promise.as_ref(), key);
    });
}

/// A promise of this thread has settled.
pub(crate) fn settled(key: u32, result: Result<JsValue, JsValue>) {
    let then = TABLE.with_borrow_mut(|table| {
        let then = table.places.get_mut(key as usize)?.take()?;
        table.free.push(key);
        Some(then)
    });
    // Run outside the borrow: it may begin other promises.
    if let Some(then) = then {
        let run = || then(result);
        // As for messages: where panics unwind, one ends here, and the hook has reported it.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    }
}
