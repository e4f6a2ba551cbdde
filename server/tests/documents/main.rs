//! What the pages tell to type works: programs and commands run against the server, conversations
//! take place as they are written, settings can be used, and the figures that are named are there.
//!
//! A block that begins with `sh,no_run` needs what a test has not: the network, a second machine,
//! or somebody who ends it.

mod code;
mod commands;
mod conversations;
mod listings;
mod pages;
mod server;
