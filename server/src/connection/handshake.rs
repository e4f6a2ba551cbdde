//! TLS from the first byte, in time.

use super::shutdown::Shutdown;
use crate::transport::{Connection, Identity};
use async_io::Timer;
use futures_lite::future;
use std::time::Duration;

/// Whether the connection speaks TLS within this time, and before the server stops.
pub(crate) async fn shake_hands(
    connection: &Connection,
    identity: &Identity,
    shutdown: &Shutdown,
    within: Duration,
) -> bool {
    let stopped = async {
        shutdown.begun().await;
        false
    };
    let out_of_time = async {
        // why: once in the life of a connection, before its writer's timer is there.
        Timer::after(within).await;
        false
    };
    let shaking = async { connection.upgrade(identity).await.is_ok() };
    future::or(shaking, future::or(stopped, out_of_time)).await
}
