//! The pool on web workers: the only part that knows JS values, and the only one that depends on `weblane-workers`.

mod host;
mod js;
mod pool;
mod reaper;
mod reply;
#[cfg(any(debug_assertions, feature = "watchdog"))]
mod watch;

pub use js::{JsError, JsReply, JsTask};
pub use pool::PoolError;
pub use reply::{JsBatch, JsBroadcast, JsHandle};

pub(crate) use host::{Here, ThreadName, js_pending, should_yield};
pub(crate) use pool::Owner;
