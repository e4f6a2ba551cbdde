//! Connections from their acceptance to their close, and the servers that own them. The same for
//! every protocol: [`server`] starts and stops, its acceptor admits, `entrance` does what comes
//! before the protocol (TLS, and what a proxy says of the client), `duplex` drives the reading
//! and the writing half of each connection, and between the halves there is an outbound queue.

mod acceptor;
pub(crate) mod duplex;
pub(crate) mod entrance;
mod limiter;
mod listener;
pub(crate) mod outbound;
pub mod protocol;
mod proxies;
pub(crate) mod rate;
pub mod server;
pub mod shutdown;
pub(crate) mod turns;

pub(crate) use limiter::counted_address;
pub use limiter::{ConnectionLimiter, ConnectionLimits, Permit, Refusal};
pub use listener::{Accepted, Listener, refuse};
pub use proxies::TrustedProxies;
pub use server::{Ending, LameDuck, RunningServer, Server};
pub use shutdown::StopReport;
