//! A path tracer on Weblane's pool.
//!
//! [`tracer`] is pure, deterministic Rust: the same seed gives the same picture, bit for bit, in a browser and natively. [`render`] cuts
//! the picture into tiles and the tiles into passes, each a task of the pool. `page` is the web's side: every worker receives an
//! `OffscreenCanvas` by a JS task and draws on it what it has rendered.

#[cfg(target_arch = "wasm32")]
mod page;
pub mod render;
pub mod tracer;
