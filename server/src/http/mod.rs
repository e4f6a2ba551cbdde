//! HTTP/1.1 for the front-ends that speak it: hyper over our listener and connections, on any
//! executor.
//!
//! [`HttpServer`] accepts, limits and ends connections; a [`Service`] answers their requests. A
//! client that is slow to ask, or slow to read, loses its connection and nobody else notices. A
//! service can let a connection go on in another protocol ([`Call::upgrade`]).

mod adapter;
mod forwarded;
mod request;
mod response;
mod server;
mod upgrade;
mod web_socket;

pub use request::{Asked, BodyError, Call, QueryError, read_body};
pub use response::{Body, Response, append_event, bytes, empty, event, events, json, text, whole};
pub use server::{Documents, HttpServer, HttpSettings, Service, ServiceFuture};
pub use upgrade::{Upgraded, UpgradedFuture};
pub use web_socket::{NoWebSocket, want_web_socket};
