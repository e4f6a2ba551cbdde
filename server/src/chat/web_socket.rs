//! Chat in browsers: its pages, and WebSockets whose frames carry the same lines.

use super::demo::Demos;
use super::shared::Chat;
use crate::connection::Server;
use crate::http::{Call, NoWebSocket, Response, Service, ServiceFuture, text};
use crate::web;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, StatusCode};
use std::future::ready;
use std::sync::Arc;

/// Answers `/chat` with the page, and serves a person over `/chat/socket`. `/chat/demo`
/// demonstrates what happens to slow readers.
pub struct ChatWebSocket {
    chat: Arc<Chat>,
    demos: Arc<Demos>,
    /// Whether only people on this machine may come: the chat is theirs alone, or is encrypted and
    /// this listener is not.
    is_local: bool,
}

impl Server<Chat> {
    /// A service for the chat in browsers. The connections belong to the HTTP server that it is
    /// given to, and end with that. Where the chat is encrypted and they are not
    /// (`is_less_secret`), they stay on this machine.
    pub fn web_socket(&self, is_less_secret: bool) -> ChatWebSocket {
        let is_local = is_less_secret || self.local_address().ip().is_loopback();
        ChatWebSocket { chat: self.protocol.clone(), demos: Arc::default(), is_local }
    }
}

impl ChatWebSocket {
    /// The refusal of a request, unless it may see the chat.
    fn refusal(&self, call: &Call) -> Option<Response> {
        let refusal = |problem| Some(text(StatusCode::FORBIDDEN, problem));
        if call.is_from_foreign_page(&[]) {
            return refusal("pages of other sites are not allowed\n");
        }
        // A page can have its own name resolved to this machine, and be its own server that way.
        let is_of_here = call.peer.ip().is_loopback() && call.is_for_loopback();
        if self.is_local && !is_of_here {
            return refusal("this chat is for the machine that it runs on; ask for localhost\n");
        }
        None
    }

    fn answer(&self, call: Call) -> ServiceFuture {
        let is_post = call.request.method() == Method::POST;
        let response = match call.path() {
            "/chat" => web::page("/web/chat/index.html"),
            "/chat/socket" => self.begin(call),
            "/chat/demo" => web::page("/web/chat/demo.html"),
            "/chat/demo/events" => self.demos.begin(),
            "/chat/demo/pace" if is_post => self.demos.pace(&call),
            "/chat/demo/burst" if is_post => {
                let demos = self.demos.clone();
                return Box::pin(async move { demos.burst(call).await });
            }
            "/chat/demo/pace" | "/chat/demo/burst" => {
                let mut refusal =
                    text(StatusCode::METHOD_NOT_ALLOWED, "this path answers only POST\n");
                refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                refusal
            }
            _ => text(StatusCode::NOT_FOUND, "there are /chat, /chat/socket and /chat/demo\n"),
        };
        Box::pin(ready(response))
    }

    fn begin(&self, call: Call) -> Response {
        let chat = self.chat.clone();
        let upgraded = call.begin_web_socket(move |upgraded| Box::pin(chat.serve_framed(upgraded)));
        upgraded.unwrap_or_else(NoWebSocket::response)
    }
}

impl Service for ChatWebSocket {
    fn call(&self, call: Call) -> ServiceFuture {
        match self.refusal(&call) {
            Some(refusal) => Box::pin(ready(refusal)),
            None => self.answer(call),
        }
    }
}
