#![doc = include_str!("../README.md")]
//!
//! # Code map
//!
//! | module | what |
//! |---|---|
//! | `start` | `init`, `ready`, the worker's side of the start |
//! | `send`, `inbox`, `message` | closures from any thread to any thread |
//! | `resident` | a loop that shares its worker with the event loop |
//! | `threads`, `id`, `status` | the static table of threads |
//! | [`growth`] | a cure for memory that another thread has just added |
//! | `glue` | the functions of `js/worker.js`, the only JS here |

extern crate alloc;

mod error;
mod glue;
pub mod growth;
mod id;
mod inbox;
mod message;
mod options;
mod resident;
mod send;
mod start;
mod status;
mod threads;

pub use error::{InitError, SendError, SendErrorReason, StartCause, StartError};
pub use id::{MAX_THREADS, MAX_WORKERS, ThreadId};
pub use message::Message;
pub use options::Options;
pub use resident::{Leave, Reservation, ResidentError, reserve, set_resident};
pub use send::send;
pub use start::{init, ready};
pub use status::Status;
pub use threads::{current, is_main_thread, name, status, word};

#[doc(hidden)]
pub use start::{__weblane_deliver, __weblane_message_error, __weblane_start};
