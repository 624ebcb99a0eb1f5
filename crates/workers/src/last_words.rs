//! What a dead worker said last.
//!
//! Where panics abort, a panic is a trap, and the trap's exception says "unreachable" and no more. So a panic hook writes the message down
//! before the trap: into static memory of a fixed size, because a panic may come out of the allocator, or under a lock. A worker that dies
//! in another way gets as its last words what the browser said, or what the manager knows.
//!
//! The bytes are written by the thread itself, or, when it is dead and has written none, by the main thread; then the length is published.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::ThreadId;
use crate::threads::{current, thread};

/// The most bytes that are kept of one thread's last words.
const KEPT: usize = 248;

/// One thread's last words.
pub(crate) struct LastWords {
    /// 0: none yet. Else the number of bytes, and one.
    length: AtomicU32,
    bytes: [AtomicU8; KEPT],
}

impl LastWords {
    pub(crate) const fn new() -> Self {
        LastWords { length: AtomicU32::new(0), bytes: [const { AtomicU8::new(0) }; KEPT] }
    }

    /// Writes them down, over what was there. What does not fit is cut off at a character's end.
    pub(crate) fn set(&self, words: impl fmt::Display) {
        let mut pen = Pen { words: self, at: 0, full: false };
        // A pen that is full goes on without writing, so it does not fail; and a `Display` that fails has written what it has.
        let _ = write!(pen, "{words}");
        // Release: pairs with the Acquire in `get`, which then sees the bytes.
        self.length.swap(pen.at as u32 + 1, Ordering::Release);
    }

    pub(crate) fn get(&self) -> Option<String> {
        // Acquire: pairs with the Release in `set`.
        let length = self.length.load(Ordering::Acquire).checked_sub(1)? as usize;
        // Relaxed: the length published them. Bytes that are being written over at this moment give a mixture, and never anything unsound.
        let bytes = self.bytes[..length.min(KEPT)].iter().map(|byte| byte.load(Ordering::Relaxed));
        Some(String::from_utf8_lossy(&bytes.collect::<alloc::vec::Vec<_>>()).into_owned())
    }
}

/// Writes without allocating.
struct Pen<'a> {
    words: &'a LastWords,
    at: usize,
    full: bool,
}

impl Write for Pen<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.full {
            return Ok(());
        }
        let mut end = text.len().min(KEPT - self.at);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.full = end < text.len();
        for byte in text.as_bytes()[..end].iter() {
            // Relaxed: published by the length.
            self.words.bytes[self.at].swap(*byte, Ordering::Relaxed);
            self.at += 1;
        }
        Ok(())
    }
}

/// What a thread said before it died: its panic's message where panics abort, else what the browser or the manager knows of the cause. `None`
/// while it lives and has not panicked, and for a thread that does not exist.
///
/// At most 248 bytes are kept. A hook that is set *after* [`init`](crate::init) and does not call the one before takes the panic's message
/// away; then it is the browser's word for a trap. Set your own hook first.
///
/// ```no_run
/// if let Some(words) = weblane_workers::last_words(weblane_workers::ThreadId::from_index(1)) {
///     println!("worker 1 said: {words}");
/// }
/// ```
#[must_use]
pub fn last_words(id: ThreadId) -> Option<String> {
    thread(id)?.last_words.get()
}

/// Puts our panic hook before the one that is there. One hook serves all threads: it lies in the memory that they share.
pub(crate) fn install_hook() {
    if cfg!(not(panic = "abort")) {
        // A panic that is caught is nobody's last word.
        return;
    }
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // First: what the other hook does may fail.
        if let Some(thread) = current().and_then(thread) {
            match info.location() {
                Some(place) => thread.last_words.set(format_args!("{} ({place})", Message(info))),
                None => thread.last_words.set(Message(info)),
            }
        }
        previous(info);
    }));
}

struct Message<'a, 'b>(&'a std::panic::PanicHookInfo<'b>);

impl fmt::Display for Message<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = self.0.payload();
        let text =
            payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        f.write_str(text.unwrap_or("a panic without a text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_and_cut_at_a_characters_end() {
        let words = LastWords::new();
        assert_eq!(words.get(), None);
        words.set("");
        assert_eq!(words.get().as_deref(), Some(""));
        words.set(format_args!("{} and {}", "one", 2));
        assert_eq!(words.get().as_deref(), Some("one and 2"));
        // 247 bytes, then a character of two: it does not fit, and nothing after it is taken.
        words.set(format_args!("{}é{}", "x".repeat(KEPT - 1), "y"));
        assert_eq!(words.get(), Some("x".repeat(KEPT - 1)));
    }
}
