//! The admin listener: what the server does, for people, for scrapers, and for `go tool pprof`.
//!
//! It answers on a loopback address, or anywhere with a token. What it shows is made
//! when somebody asks.

mod absent;
mod accounts;
mod connections;
mod context;
mod health;
mod leaf_nodes;
mod listing;
mod lists;
mod metrics;
mod pprof;
mod problems;
mod server;
mod snapshots;
mod times;
mod try_it;
mod varz;

use crate::http::Response;
pub use server::{AdminSettings, documents, start};

/// A page, or the refusal of a request for it.
type Page = Result<Response, Box<Response>>;
