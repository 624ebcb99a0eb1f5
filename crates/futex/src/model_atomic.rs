//! The atomics of models: shuttle's as they are, and loom's with a cure for the interleavings that loom 0.7.3 does not explore.
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
//! With `--cfg weblane_sc` these are wasm's atomics, which are sequentially consistent whatever the program says: a load is a read-modify-write that
//! changes nothing, and so reads the newest value. Every other access does that anyway, or writes; so an execution is one order of all accesses. Code
//! that leaves out fences on wasm is explored so.

#[cfg(all(shuttle, not(loom)))]
pub use shuttle::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

#[cfg(loom)]
use core::{fmt, sync::atomic::Ordering};

#[cfg(loom)]
macro_rules! atomic {
    ($name:ident, $inner:ident, $value:ty) => {
        /// The atomic of models.
        pub struct $name {
            value: loom::sync::atomic::$inner,
            #[cfg_attr(weblane_sc, allow(dead_code, reason = "loads are read-modify-writes there"))]
            companion: loom::sync::atomic::AtomicBool,
        }

        #[allow(missing_docs, dead_code, reason = "the interface of `core::sync::atomic`")]
        impl $name {
            pub fn new(value: $value) -> Self {
                $name {
                    value: loom::sync::atomic::$inner::new(value),
                    companion: loom::sync::atomic::AtomicBool::new(false),
                }
            }

            /// With `--cfg weblane_sc` the newest value, as every load on wasm.
            #[cfg(weblane_sc)]
            pub fn load(&self, _: Ordering) -> $value {
                self.value.fetch_add(0, Ordering::AcqRel)
            }

            #[cfg(not(weblane_sc))]
            pub fn load(&self, order: Ordering) -> $value {
                self.companion.fetch_or(false, Ordering::Relaxed);
                self.value.load(order)
            }

            pub fn store(&self, value: $value, order: Ordering) {
                self.value.store(value, order);
            }

            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.value.swap(value, order)
            }

            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.value.compare_exchange(current, new, success, failure)
            }

            /// loom's weak exchange never fails for no reason.
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }

            pub fn fetch_update(
                &self,
                set_order: Ordering,
                fetch_order: Ordering,
                mut change: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut before = self.load(fetch_order);
                while let Some(after) = change(before) {
                    match self.compare_exchange_weak(before, after, set_order, fetch_order) {
                        Ok(before) => return Ok(before),
                        Err(now) => before = now,
                    }
                }
                Err(before)
            }

            pub fn fetch_add(&self, by: $value, order: Ordering) -> $value {
                self.value.fetch_add(by, order)
            }

            pub fn fetch_sub(&self, by: $value, order: Ordering) -> $value {
                self.value.fetch_sub(by, order)
            }

            pub fn fetch_or(&self, bits: $value, order: Ordering) -> $value {
                self.value.fetch_or(bits, order)
            }

            pub fn fetch_xor(&self, bits: $value, order: Ordering) -> $value {
                self.value.fetch_xor(bits, order)
            }

            pub fn fetch_and(&self, bits: $value, order: Ordering) -> $value {
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

#[cfg(loom)]
atomic!(AtomicU32, AtomicU32, u32);
#[cfg(loom)]
atomic!(AtomicU64, AtomicU64, u64);
#[cfg(loom)]
atomic!(AtomicUsize, AtomicUsize, usize);
