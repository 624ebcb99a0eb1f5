#![doc = include_str!("../README.md")]
//!
//! # Code map
//!
//! | module | what |
//! |---|---|
//! | `start` | `init`, `ready`, the worker's side of the start |
//! | `send`, `inbox`, `message` | closures from any thread to any thread |
//! | `resident` | a loop that shares its worker with the event loop |
//! | [`timing`] | marks in the browser's profiler |
//! | `threads`, `id`, `status` | the static table of threads |
//! | `hold`, `settled` | workers that stay in their event loop; promises |
//! | `death`, `last_words` | workers that die, and who is told |
//! | [`growth`] | a cure for memory that another thread has just added (of `weblane-futex`) |
//! | `glue` | the functions of `js/worker.js`, the only JS here |

extern crate alloc;

mod action;
mod death;
mod error;
mod glue;
mod hold;
mod id;
mod inbox;
mod last_words;
mod message;
mod options;
mod resident;
mod send;
mod settled;
mod start;
mod status;
mod threads;
pub mod timing;

pub use death::on_death;
pub use error::{InitError, SendError, SendErrorReason, StartCause, StartError};
pub use hold::{Hold, call, hold, holds};
pub use id::{MAX_THREADS, MAX_WORKERS, ThreadId};
pub use last_words::last_words;
pub use message::Message;
pub use options::Options;
pub use resident::{Leave, Reservation, ResidentError, Turn, reserve, set_message_budget, set_resident};
pub use send::send;
pub use settled::on_settled;
pub use start::{init, ready};
pub use status::Status;
pub use threads::{current, is_main_thread, name, status, word};
pub use weblane_futex::growth;

#[doc(hidden)]
pub use start::{__weblane_deliver, __weblane_message_error, __weblane_start};
