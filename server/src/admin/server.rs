//! Who may ask, and which page answers.

use super::state::State;
use super::{health, lists, metrics, pprof, varz};
use crate::connection::Listener;
use crate::diagnostics::Diagnostics;
use crate::http::{Call, HttpServer, HttpSettings, Router, Service, ServiceFuture, text};
use crate::message::ServerMessage;
use crate::tasks::Tasks;
use fanfare::Broker;
use hyper::StatusCode;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// The name of this front-end.
pub(super) const NAME: &str = "admin";

/// Settings of the admin listener.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminSettings {
    /// With a token every request has to carry it (`Authorization: Bearer TOKEN`). Without one,
    /// only requests for a loopback name or address are answered, and it should listen on such an
    /// address alone.
    pub token: Option<String>,
}

/// A running admin listener. Dropping it ends all of its connections at once.
pub struct AdminServer {
    http: HttpServer,
}

impl AdminServer {
    /// Answers on `listener`, about the broker, the tasks and the front-ends.
    pub fn start(
        listener: Listener,
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        diagnostics: &Diagnostics,
        settings: AdminSettings,
    ) -> Self {
        let state = Arc::new(State::new(broker, tasks, diagnostics));
        let guarded = Guarded { pages: pages(state), token: settings.token };
        let front_end = diagnostics.front_end(NAME);
        Self {
            http: HttpServer::start(listener, tasks, guarded, HttpSettings::default(), front_end),
        }
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.http.local_address()
    }

    /// Ends with the answers it is at, or at `deadline`.
    pub async fn stop(self, deadline: Instant) {
        self.http.stop(deadline).await;
    }
}

fn pages(state: Arc<State>) -> Router<State> {
    let router = Router::new(state)
        .get("/", health::index)
        .get("/healthz", health::healthz)
        .get("/readyz", health::readyz)
        .get("/metrics", metrics::metrics)
        .get("/varz", varz::varz)
        .get("/connz", lists::connections)
        .get("/subsz", lists::subscriptions)
        .get("/slowz", lists::slowest)
        .get("/topicz", lists::topics)
        .get("/journal", lists::journal);
    pprof::pages(router)
}

/// All pages, for those who may see them.
struct Guarded {
    pages: Router<State>,
    token: Option<String>,
}

impl Service for Guarded {
    fn call(&self, call: Call) -> ServiceFuture {
        let refusal = match &self.token {
            Some(token) if !carries(&call, token) => {
                let mut refusal = text(
                    StatusCode::UNAUTHORIZED,
                    "this listener wants Authorization: Bearer TOKEN\n",
                );
                refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                refusal
            }
            None if !call.is_for_loopback() => text(
                StatusCode::FORBIDDEN,
                "without a token, ask for localhost or a loopback address\n",
            ),
            _ => return self.pages.call(call),
        };
        Box::pin(std::future::ready(refusal))
    }
}

fn carries(call: &Call, token: &str) -> bool {
    let given = call
        .header("authorization")
        .and_then(|header| header.strip_prefix("Bearer "))
        .unwrap_or_default();
    // Looks at every byte whatever it finds: the time says nothing about how much was right.
    let difference = given
        .bytes()
        .zip(token.bytes())
        .fold(0, |difference, (one, other)| difference | (one ^ other));
    given.len() == token.len() && difference == 0
}
