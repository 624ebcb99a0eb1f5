#![doc = include_str!("../README.md")]

pub mod accept;
pub mod event;
pub mod explore;
pub mod machine;
pub mod mutant;
mod outside;
mod park;
mod reaper;
pub mod scenario;
pub mod scenarios;
mod script;
pub mod settled;
pub mod state;
mod wake;
pub mod words;
mod worker;

pub use accept::accept;
