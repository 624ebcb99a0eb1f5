#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;

/// A function that is `const` except in models, whose atomics are made at run time.
macro_rules! not_const_in_models {
    ($(#[$attribute:meta])* $visibility:vis const fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$attribute])*
        $visibility const fn $($rest)*
        #[cfg(loom)]
        $(#[$attribute])*
        $visibility fn $($rest)*
    };
}

mod ends;
#[cfg(loom)]
mod model_atomic;
#[cfg(loom)]
#[doc(hidden)]
pub mod model_steps;
pub mod mpmc;
mod patience;
mod primitive;
mod slot;
pub mod spsc;
#[cfg(target_has_atomic = "64")]
pub mod steal;
mod storage;

pub use storage::{CapacityError, Storage};

/// Whether this build is for loom models, where nothing works outside a model. For doc tests, which cannot ask `cfg`.
#[doc(hidden)]
pub const MODEL: bool = cfg!(loom);

/// Its contents, but nothing in models. For doc tests of what models do not have (slices, rings in `static`s).
#[doc(hidden)]
#[cfg(not(loom))]
#[macro_export]
macro_rules! unless_model {
    ($($contents:tt)*) => { $($contents)* };
}

/// Its contents, but nothing in models.
#[doc(hidden)]
#[cfg(loom)]
#[macro_export]
macro_rules! unless_model {
    ($($contents:tt)*) => {};
}
