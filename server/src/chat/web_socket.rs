//! Chat in browsers: its page, and WebSockets in whose frames the same lines go.

use super::server::Chat;
use crate::codec::web_socket::VERSION;
use crate::http::{Call, Response, Service, ServiceFuture, text};
use crate::web;
use hyper::StatusCode;
use hyper::header::{HeaderValue, SEC_WEBSOCKET_VERSION};
use std::future::ready;
use std::sync::Arc;

/// Answers `/chat` with the page, and makes `/chat/socket` a person of a chat server.
pub struct ChatWebSocket {
    chat: Arc<Chat>,
    /// Whether only this machine's people may come: the chat is for them alone, or encrypted.
    is_local: bool,
}

impl ChatWebSocket {
    pub(super) fn new(chat: &Arc<Chat>, is_local: bool) -> Self {
        Self { chat: chat.clone(), is_local }
    }

    fn answer(&self, call: Call) -> Response {
        let refusal = |problem| text(StatusCode::FORBIDDEN, problem);
        if call.is_from_foreign_page(&[]) {
            return refusal("pages of other sites may not ask\n");
        }
        // A page can have its own name resolved to this machine, and be its own server that way.
        let is_of_here = call.peer.ip().is_loopback() && call.is_for_loopback();
        if self.is_local && !is_of_here {
            return refusal("this chat is for the machine that it runs on; ask for localhost\n");
        }
        match call.path() {
            "/chat" => web::page("/web/chat/index.html"),
            "/chat/socket" => self.begin(call),
            _ => text(StatusCode::NOT_FOUND, "there are /chat and /chat/socket\n"),
        }
    }

    fn begin(&self, call: Call) -> Response {
        let chat = self.chat.clone();
        let upgraded = call.begin_web_socket(move |upgraded| Box::pin(chat.serve_framed(upgraded)));
        upgraded.unwrap_or_else(|no| {
            let mut response = text(no.status(), format!("{no}\n"));
            let version = HeaderValue::from_static(VERSION);
            response.headers_mut().insert(SEC_WEBSOCKET_VERSION, version);
            response
        })
    }
}

impl Service for ChatWebSocket {
    fn call(&self, call: Call) -> ServiceFuture {
        Box::pin(ready(self.answer(call)))
    }
}
