//! Which ends of a ring exist: one producer and one consumer at a time.

use core::sync::atomic::Ordering;

use crate::primitive::AtomicU32;

/// One end of a ring, as a bit.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Producer = 1,
    Consumer = 2,
}

/// The ends that exist.
pub(crate) struct Ends(AtomicU32);

impl Ends {
    not_const_in_models! {
        pub(crate) const fn none() -> Ends {
            Ends(AtomicU32::new(0))
        }
    }

    /// Reserves both ends, if neither exists. What earlier ends did then happens before.
    pub(crate) fn reserve(&self) -> bool {
        let both = End::Producer as u32 | End::Consumer as u32;
        // Acquire: pairs with the Release in `leave`, of both ends: the second one to go continues the first one's release sequence.
        self.0.compare_exchange(0, both, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// One end goes.
    pub(crate) fn leave(&self, end: End) {
        // Release: pairs with the Acquire in `gone` and in `reserve`.
        self.0.fetch_and(!(end as u32), Ordering::Release);
    }

    /// Whether that end is gone; all it did then happens before.
    #[inline]
    pub(crate) fn gone(&self, end: End) -> bool {
        // Acquire: pairs with the Release in `leave`.
        self.0.load(Ordering::Acquire) & end as u32 == 0
    }

    /// Says that no end exists, because the ring is borrowed mutably. Returns whether that end was leaked: it has left its bit.
    pub(crate) fn settle(&mut self, end: End) -> bool {
        let leaked = !self.gone(end);
        *self = Ends::none();
        leaked
    }
}
