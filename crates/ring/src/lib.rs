#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(loom)]
mod model_atomic;
mod primitive;
pub mod steal;

/// Whether this build is for loom models, where nothing works outside a model. For doc tests, which cannot ask `cfg`.
#[doc(hidden)]
pub const MODEL: bool = cfg!(loom);
