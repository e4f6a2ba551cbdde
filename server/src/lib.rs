//! The servers on top of Fanfare's broker: chat, NATS, pushes, and the admin listener; and what
//! they are made of.
//!
//! The `fanfare` binary wires them together. All of them share one [`Broker`](fanfare::Broker), so
//! what one publishes reaches the subscribers of the others.
#![warn(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]
#![warn(clippy::unreachable, clippy::unwrap_used)]
#![allow(
    clippy::manual_async_fn,
    reason = "an async fn keeps its arguments twice, which every connection would pay for"
)]

pub mod admin;
pub mod bench;
pub mod build;
pub mod chat;
pub mod client;
pub mod cluster;
pub mod codec;
pub mod config;
pub mod connection;
pub mod counted;
pub mod diagnostics;
pub mod file_descriptors;
pub mod http;
pub mod limits;
pub mod live;
mod locks;
pub mod logging;
pub mod login;
pub mod memory;
pub mod message;
pub mod messages;
pub mod nats;
mod process;
mod progress;
pub mod push;
pub mod store;
pub mod tasks;
pub mod threads;
pub mod time;
pub mod top;
pub mod transport;
mod web;

/// The page for newcomers, whose Rust `cargo test --doc` compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/start.md")]
pub struct StartDoctests;
