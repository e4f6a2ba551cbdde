//! Clients by WebSocket. After the handshake they are clients like all others.

use super::access::Access;
use super::gateway::Gateway;
use super::render::Framing;
use super::server::{Client, Push};
use crate::diagnostics::Ended;
use crate::http::{Call, NoWebSocket, Response, Upgraded};
use crate::live::Live;
use std::sync::Arc;

/// Lets the connection go on as a client's.
pub(super) fn answer(
    gateway: &Arc<Gateway>,
    access: &Live<Access>,
    call: Call,
) -> Result<Response, NoWebSocket> {
    let (gateway, access) = (gateway.clone(), access.clone());
    call.begin_web_socket(move |upgraded| Box::pin(serve_upgraded(gateway, access, upgraded)))
}

async fn serve_upgraded(gateway: Arc<Gateway>, access: Live<Access>, upgraded: Upgraded) -> Ended {
    let patience = gateway.settings.writer.idle.patience();
    let Some(entry) = upgraded.enter(&gateway.front_end, patience) else { return Ended::Broken };
    let Upgraded { connection, early, peer, shutdown } = upgraded;
    let client = Client { connection, entry, peer, framing: Framing::Messages, early };
    Push { gateway, access }.drive(&shutdown, client).await
}
