//! Sending closures from any thread to any thread.
//!
//! Every pair of workers has a `MessagePort` of its own, made when the workers are created, so that a message needs neither
//! the main thread's help nor a copy there; between the main thread and a worker the worker's own channel is used, and a
//! thread reaches itself through a channel with both ends in its hands.

use core::cell::RefCell;
use std::thread_local;

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use wasm_bindgen::JsValue;

use crate::error::{SendError, SendErrorReason};
use crate::inbox::Key;
use crate::threads::{Thread, current, manager, thread};
use crate::{Message, ThreadId, death, glue, growth, resident};

thread_local! {
    /// What to post to, by thread: a `Worker`, a `MessagePort`, or the worker's own global scope for the main thread.
    static LINKS: RefCell<Vec<JsValue>> = const { RefCell::new(Vec::new()) };
}

/// Sets the calling thread's links: `links[i]` leads to thread `i`.
pub(crate) fn set_links(links: Vec<JsValue>) {
    LINKS.set(links);
}

/// Sends a closure with its payload to another thread, or to the calling one, which runs it from its event loop.
///
/// It works from every thread to every thread; to a worker that has not started yet (the message waits for it); and to one
/// that sleeps or works in a pool (it is told to come out). Messages from one thread to another arrive in the order in
/// which they were sent.
///
/// Never blocks. Source of the order of steps (post first, count after): `resident`'s essay.
///
/// # Errors
///
/// [`SendError`] gives the message back and says why: the payload cannot be sent, there is no such thread, or it is lost.
///
/// # Examples
///
/// ```no_run
/// use weblane_workers::{Message, ThreadId, send};
///
/// # fn demo(worker: ThreadId) -> Result<(), weblane_workers::SendError> {
/// send(worker, Message::new(|sender, text| {
///     // On the worker. Answer the sender with what came.
///     let _ = send(sender, Message::new(|_, text| web_sys::console::log_1(&text)).payload(text));
/// }).payload("hello".into()))
/// # }
/// ```
pub fn send(target: ThreadId, message: Message) -> Result<(), SendError> {
    let refuse = |reason, message| Err(SendError { reason, message: Box::new(message) });
    let (Some(sender), Some(_)) = (current(), manager()) else {
        return refuse(SendErrorReason::UnknownSender, message);
    };
    let Some(receiver) = thread(target) else {
        return refuse(SendErrorReason::UnknownThread(target), message);
    };
    if let Some(lost) = lost(target, receiver) {
        return refuse(lost, message);
    }
    let Some(lane) = thread(sender).map(|sender| &sender.lanes[target.slot()]) else {
        return refuse(SendErrorReason::UnknownSender, message);
    };
    let Message { action, payload, transfer } = message;
    let key = match receiver.inbox.put(sender, action) {
        Ok(key) => key,
        Err(action) => {
            return refuse(SendErrorReason::Full(target), Message { action, payload, transfer });
        }
    };
    growth::publish();
    // From here to `done` a death of this thread leaves its lane odd, and the receiver settles that.
    let before = lane.begin();
    let posted = LINKS.with_borrow(|links| match links.get(target.slot()) {
        Some(link) if glue::weblane_post(link, key.to_js(), &payload, transfer.as_ref()) => Ok(()),
        Some(_) => Err(glue::weblane_refusal()),
        None => Err(JsValue::from_str("this thread has no channel yet")),
    });
    let failure = match posted {
        // The count comes after the post: a positive count then always means a message that will be delivered.
        Ok(()) => {
            if !target.is_main() {
                receiver.word.message_posted();
            }
            lane.done(before);
            lost(target, receiver)
        }
        Err(error) => {
            lane.undo(before);
            let (name, message) = glue::describe(&error);
            Some(SendErrorReason::Payload { name, message })
        }
    };
    match failure {
        None => Ok(()),
        // The closure is still in the inbox unless the receiver got it after all; then it was sent.
        Some(reason) => match receiver.inbox.take(key) {
            Some(action) => refuse(reason, Message { action, payload, transfer }),
            None => Ok(()),
        },
    }
}

fn lost(id: ThreadId, thread: &Thread) -> Option<SendErrorReason> {
    let status = thread.status.load();
    (!id.is_main() && status.is_lost()).then_some(SendErrorReason::LostThread(id, status))
}

/// Runs the closure of an arrived message on the calling thread, `me`.
pub(crate) fn deliver(me: ThreadId, key: f64, sender: u32, payload: JsValue) {
    let Some(receiver) = thread(me) else { return };
    resident::message_came();
    growth::adopt();
    let Some(action) = receiver.inbox.take(Key::from_js(key)) else {
        // Not ours: anybody may post anything, and only what a closure waits for was counted. (Or taken back by its sender, who has seen
        // that we are lost.)
        return;
    };
    // Dropped last, also when the closure unwinds: the count must go down by one for every message that arrived.
    let _finish = Finish { receiver, sender: ThreadId::from_index(sender), counts: !me.is_main() };
    let run = || action.run(ThreadId::from_index(sender), payload);
    // Where panics unwind, one ends here: the hook has reported it, and the thread goes on. Where they abort, it is a trap.
    // Unwind safety: the closure is gone afterwards, with all it had captured.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
}

/// Settles a message that arrived without its contents: its closure is dropped, which tells whoever waits for it.
pub(crate) fn deliver_nothing(me: ThreadId, sender: u32) {
    let Some(receiver) = thread(me) else { return };
    resident::message_came();
    let sender = ThreadId::from_index(sender);
    let Some(action) = receiver.inbox.take_oldest_of(sender) else {
        // A stranger's message: nobody has counted it.
        return;
    };
    let _finish = Finish { receiver, sender, counts: !me.is_main() };
    web_sys::console::error_1(
        &format!("weblane: a message from {sender} to {me} was lost: the browser could not deserialise its payload")
            .into(),
    );
    drop(action);
}

struct Finish {
    receiver: &'static Thread,
    sender: ThreadId,
    counts: bool,
}

impl Drop for Finish {
    fn drop(&mut self) {
        if self.counts {
            death::handled(self.receiver, self.sender);
        }
    }
}
