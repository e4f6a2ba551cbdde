//! The admin listener of a chat server, with requests as programs and browsers send them.

use crate::chat::{TestServer, unhurried};
use crate::http::get;
use crate::ports::{own_address, rebound};
use fanfare_server::admin::{self, AdminSettings};
use fanfare_server::chat::ChatSettings;
use fanfare_server::connection::ConnectionLimits;
use fanfare_server::http::HttpServer;
use fanfare_server::limits::ADMIN_CONNECTIONS;
use fanfare_server::live::Live;
use futures_lite::future::block_on;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Ends before the chat server, whose leak check would find it.
pub struct Admin {
    server: Option<HttpServer>,
    pub chat: TestServer,
    pub address: SocketAddr,
}

pub fn start() -> Admin {
    start_with(unhurried(), None)
}

pub fn start_with(settings: ChatSettings, token: Option<&str>) -> Admin {
    let chat = TestServer::start(settings);
    let server = serve(&chat, own_address(), token);
    Admin { address: server.local_address(), server: Some(server), chat }
}

fn serve(chat: &TestServer, address: SocketAddr, token: Option<&str>) -> HttpServer {
    let listener = rebound(address, ConnectionLimits::from_anywhere(ADMIN_CONNECTIONS));
    let settings = AdminSettings { token: Live::new(token.map(str::to_owned)) };
    admin::start(listener, &chat.broker, &chat.tasks, &chat.diagnostics, settings)
}

impl Admin {
    /// Restarts the listener.
    pub fn restart(&mut self) {
        if let Some(server) = self.server.take() {
            block_on(server.ended(Instant::now()));
        }
        self.server = Some(serve(&self.chat, self.address, None));
    }

    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        let answer = get(self.address, path);
        assert_eq!(
            (answer.status, answer.headers["content-type"].as_str()),
            (200, "application/json")
        );
        answer.json()
    }

    /// Every sample by its name with labels. Also checks the form of all lines.
    #[track_caller]
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let answer = get(self.address, "/metrics");
        let expected = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.headers["content-type"], expected);
        let text = answer.text();
        assert!(text.ends_with("\n# EOF\n") && !text.contains("\n\n"), "{text}");
        let mut samples = BTreeMap::new();
        let mut family = "";
        for line in text.lines().take_while(|line| *line != "# EOF") {
            if let Some(typed) = line.strip_prefix("# TYPE ") {
                family = typed.split(' ').next().unwrap();
            } else if !line.starts_with('#') {
                assert!(line.starts_with(family), "{line} is not of {family}");
                let (name, value) = line.rsplit_once(' ').unwrap();
                let is_new = samples.insert(name.to_owned(), value.parse().unwrap()).is_none();
                assert!(is_new, "twice: {name}");
            }
        }
        samples
    }
}
