//! Workers that die.
#![cfg(target_arch = "wasm32")]
