//! Helpers that tests and benchmarks share.
#![allow(missing_docs, reason = "a name says enough where a test is the only reader")]

#[cfg(feature = "server")]
pub mod admin;
pub mod broker;
#[cfg(feature = "server")]
pub mod browser;
#[cfg(feature = "server")]
pub mod chat;
pub mod directory;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod leak_check;
#[cfg(feature = "measure")]
pub mod measure;
pub mod memory;
#[cfg(feature = "server")]
pub mod nats;
pub mod patience;
#[cfg(feature = "server")]
pub mod ports;
#[cfg(feature = "server")]
pub mod process;
#[cfg(feature = "server")]
pub mod push;
pub mod tools;
#[cfg(feature = "server")]
pub mod web_socket;
