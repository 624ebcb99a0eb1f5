//! A closure with a JS payload, before it is sent.

use core::fmt;

use js_sys::Array;
use wasm_bindgen::JsValue;

use crate::ThreadId;
use crate::action::Action;

/// A closure for another thread, with a JS value that travels beside it.
///
/// The closure itself may capture anything that is `Send`, and no JS value: those belong to the thread that made them. What
/// JS can send, it sends as the payload; the closure gets it as the receiver's own value. To send several values, send an
/// array or an object.
///
/// ```no_run
/// use wasm_bindgen::JsValue;
/// use weblane_workers::{Message, ThreadId, send};
///
/// # fn offscreen() -> JsValue { JsValue::NULL }
/// let canvas: JsValue = offscreen();
/// let message = Message::new(|sender, canvas: JsValue| { /* runs on the worker, with its own canvas */ })
///     .payload(canvas.clone())
///     .transfer(js_sys::Array::of1(&canvas));
/// send(ThreadId::from_index(1), message)?;
/// # Ok::<(), weblane_workers::SendError>(())
/// ```
#[must_use = "a message does nothing until it is sent"]
pub struct Message {
    pub(crate) action: Action,
    pub(crate) payload: JsValue,
    pub(crate) transfer: Option<Array>,
}

impl Message {
    /// A message that runs `action` at its receiver, with the sender's id and the payload (`undefined` without one).
    pub fn new(action: impl FnOnce(ThreadId, JsValue) + Send + 'static) -> Message {
        Message { action: Action::new(action), payload: JsValue::UNDEFINED, transfer: None }
    }

    /// The JS value to send. The receiver gets a structured clone of it.
    pub fn payload(mut self, payload: JsValue) -> Message {
        self.payload = payload;
        self
    }

    /// The parts of the payload that move instead of being copied: ports, buffers, canvases. They are unusable here afterwards.
    pub fn transfer(mut self, objects: Array) -> Message {
        self.transfer = Some(objects);
        self
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("payload", &self.payload)
            .field("transfer", &self.transfer)
            .finish_non_exhaustive()
    }
}
