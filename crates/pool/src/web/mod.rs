//! The pool on web workers: the only part that knows JS values, and the only one that depends on `weblane-workers`.

mod host;
mod js;
mod pool;

pub use js::{JsError, JsHandle, JsReply, JsTask};
pub use pool::PoolError;

pub(crate) use host::{Here, ThreadName, stats};
pub(crate) use pool::Owner;
