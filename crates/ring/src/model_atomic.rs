//! loom's atomics, with a cure for the interleavings that loom 0.7.3 does not explore.
//!
//! loom looks for accesses whose order matters by remembering, for each atomic, the **last** access only. A load by one thread
//! is forgotten when another thread loads too; when that other thread then writes (the everyday "load, then compare-and-swap"), loom
//! does not see that the first load could have come after the write. `a.load()` here against `a.load(); a.compare_exchange()` there is
//! explored in one single execution.
//!
//! So every load here first touches a companion, by a relaxed read-modify-write that changes nothing: any two loads are then
//! known to loom as dependent, and so both their orders are explored. A relaxed read-modify-write of another atomic orders no
//! memory, so what a load may return is what it was.
//!
//! And loom takes a sequentially consistent load for an acquiring one, which may return an old value. Here it is a read-modify-write that changes
//! nothing, acquires, and returns the newest value. That is right for an atomic all of whose accesses are sequentially consistent.

use core::fmt;
use core::sync::atomic::Ordering;

use crate::model_steps::step;

macro_rules! atomic {
    ($name:ident, $inner:ident, $value:ty) => {
        /// The atomic of models.
        pub(crate) struct $name {
            value: loom::sync::atomic::$inner,
            companion: loom::sync::atomic::AtomicBool,
        }

        #[allow(dead_code, reason = "the interface of `core::sync::atomic`")]
        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                $name {
                    value: loom::sync::atomic::$inner::new(value),
                    companion: loom::sync::atomic::AtomicBool::new(false),
                }
            }

            /// With `--cfg weblane_sc` a load reads the newest value, as every load on wasm does: it is a read-modify-write then.
            #[cfg(weblane_sc)]
            pub(crate) fn load(&self, _: Ordering) -> $value {
                step();
                self.value.fetch_add(0, Ordering::AcqRel)
            }

            #[cfg(not(weblane_sc))]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                step();
                if order == Ordering::SeqCst {
                    return self.value.fetch_add(0, Ordering::Acquire);
                }
                self.companion.fetch_or(false, Ordering::Relaxed);
                self.value.load(order)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                step();
                self.value.store(value, order);
            }

            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                step();
                self.value.swap(value, order)
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                step();
                self.value.compare_exchange(current, new, success, failure)
            }

            pub(crate) fn fetch_add(&self, by: $value, order: Ordering) -> $value {
                step();
                self.value.fetch_add(by, order)
            }

            pub(crate) fn fetch_sub(&self, by: $value, order: Ordering) -> $value {
                step();
                self.value.fetch_sub(by, order)
            }

            pub(crate) fn fetch_or(&self, bits: $value, order: Ordering) -> $value {
                step();
                self.value.fetch_or(bits, order)
            }

            pub(crate) fn fetch_and(&self, bits: $value, order: Ordering) -> $value {
                step();
                self.value.fetch_and(bits, order)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

atomic!(AtomicU32, AtomicU32, u32);
atomic!(AtomicU64, AtomicU64, u64);
