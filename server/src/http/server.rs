//! Accepting HTTP connections, serving them with hyper, and ending them.

use super::adapter::{Clock, Departure, Socket};
use super::forwarded;
use super::request::{Asked, Call};
use super::response::{Response, text};
use super::upgrade::Takeover;
use crate::connection::outbound::Request;
use crate::connection::protocol::{AcceptedConnection, Profile, Protocol, task_names};
use crate::connection::{Listener, Permit, Server, TrustedProxies};
use crate::diagnostics::{ConnectionFigures, Ended, FrontEnd};
use crate::limits;
use crate::locks::lock;
use crate::tasks::{Tasks, Wait, waiting};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use std::convert::Infallible;
use std::future::{Future, poll_fn, ready};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// Answers requests. Runs in the connection's task, so it is dropped when the peer leaves or the
/// server ends.
pub trait Service: Send + Sync + 'static {
    /// The answer to a request.
    fn call(&self, call: Call) -> ServiceFuture;
}

/// An answer to come.
pub type ServiceFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers questions for documents that tell how the server is.
pub type Documents = Box<dyn Fn(Asked) -> ServiceFuture + Send + Sync>;

/// The bounds of an HTTP server. The default is what [`limits`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Bytes of the largest body that its handlers accept, as shown by `/varz`.
    pub body_bytes: usize,
    /// The time in which the head of a request has to be complete, and for which a connection may
    /// be idle.
    pub head_deadline: Duration,
    /// The time in which a peer has to take at least one byte of what waits for it.
    pub write_deadline: Duration,
    /// How long a request is still worked on after its sender has closed its sending half.
    pub half_closed: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            body_bytes: 0,
            head_deadline: Duration::from_millis(limits::HTTP_HEAD_MS),
            write_deadline: Duration::from_millis(limits::HTTP_WRITE_DEADLINE_MS),
            half_closed: Duration::from_millis(limits::HTTP_HALF_CLOSED_MS),
        }
    }
}

/// A running HTTP server. The connections that go on in another protocol end as that protocol ends,
/// the others with the answer they are at.
pub type HttpServer = Server<Http>;

/// The state that all connections share.
pub struct Http {
    service: Box<dyn Service>,
    settings: HttpSettings,
    proxies: TrustedProxies,
    front_end: Arc<FrontEnd>,
}

impl Server<Http> {
    /// Serves what `listener` accepts. All tasks are started through `tasks`; `front_end` is told
    /// of every connection.
    pub fn start(
        listener: Listener,
        tasks: &Tasks,
        service: impl Service,
        settings: HttpSettings,
        front_end: Arc<FrontEnd>,
    ) -> Self {
        let profile = Profile {
            tasks: task_names!("http"),
            front_end: front_end.clone(),
            max_payload_bytes: settings.body_bytes,
            peer_timeout: settings.write_deadline,
            takes_proxy_header: false,
        };
        let (service, proxies) = (Box::new(service), listener.proxies().clone());
        Self::run(listener, tasks, profile, Http { service, settings, proxies, front_end })
    }
}

impl Protocol for Http {
    fn refusal(&self, _peer: SocketAddr, reason: &str) -> Vec<u8> {
        refused(reason).into_bytes()
    }

    /// Serves one connection: request after request, and then the protocol that it goes on in.
    async fn serve(self: Arc<Self>, accepted: AcceptedConnection) {
        let AcceptedConnection { connection, peer, mut entry, shutdown, permit } = accepted;
        let figures = entry.figures().clone();
        let traffic = connection.traffic().clone();
        let (takeover, permit) = (Takeover::default(), Mutex::new(permit));
        let service = service_fn(|request: hyper::Request<Incoming>| {
            figures.received(1);
            let answer = match self.client(request.headers(), &figures, peer, &permit) {
                Ok(peer) => {
                    let (takeover, asked) = (takeover.clone(), Asked(request.uri().clone()));
                    self.service.call(Call { request, peer, takeover, asked })
                }
                Err(refusal) => refusal,
            };
            let (figures, traffic) = (figures.clone(), traffic.clone());
            async move {
                let answer = answer.await;
                traffic.note_gathered(0);
                figures.sent(1);
                Ok::<_, Infallible>(answer)
            }
        });
        let socket = Socket::new(connection.clone(), self.settings.write_deadline);
        let serving = http1::Builder::new()
            .timer(Clock)
            .half_close(true)
            .header_read_timeout(self.settings.head_deadline)
            .max_buf_size(limits::HTTP_HEAD_BYTES)
            .max_headers(limits::HTTP_HEADERS)
            .serve_connection(socket, service)
            .with_upgrades();
        let mut serving = pin!(serving);
        let mut is_stopping = false;
        let mut departure = Departure::new(connection.clone(), self.settings.half_closed);
        let outcome = {
            // Gone before the connection goes on in another protocol, which listens for itself.
            let mut stop = pin!(shutdown.asks_to_close());
            let outcome = poll_fn(|context| {
                if !is_stopping && let Poll::Ready(request) = stop.as_mut().poll(context) {
                    is_stopping = true;
                    serving.as_mut().graceful_shutdown();
                    if request == Request::Leave {
                        takeover.leave();
                    }
                }
                match serving.as_mut().poll(context) {
                    Poll::Ready(outcome) => Poll::Ready(outcome.map(|()| is_stopping)),
                    // Hyper does not notice that the peer has left while a request is worked on.
                    Poll::Pending => departure.poll(context).map(|()| Ok(is_stopping)),
                }
            });
            waiting(Wait::fixed("http"), outcome).await
        };
        entry.ended(match (outcome, takeover.take()) {
            (Ok(_), Some(next)) => next.serve(connection, &figures, &shutdown).await,
            (Ok(true), None) => Ended::ServerStopped,
            (Ok(false), None) => Ended::PeerClosed,
            (Err(error), _) => ended(&error),
        });
        drop(permit);
    }
}

impl Http {
    /// The client that the request is from, or the refusal if there is none. The connection counts
    /// as that client's from now on.
    fn client(
        &self,
        headers: &HeaderMap,
        figures: &ConnectionFigures,
        peer: SocketAddr,
        permit: &Mutex<Permit>,
    ) -> Result<SocketAddr, ServiceFuture> {
        if headers.get_all(HOST).iter().count() != 1 {
            // Such a request does not say which host it is for. (RFC 9112, section 3.2)
            return Err(answer(StatusCode::BAD_REQUEST, "a request has one Host header\n"));
        }
        if !self.proxies.contains(peer.ip()) {
            return Ok(peer);
        }
        let named = forwarded::client(headers, &self.proxies);
        let named = named.map_err(|problem| answer(StatusCode::BAD_REQUEST, problem))?;
        let client = SocketAddr::new(named.unwrap_or(peer.ip()), peer.port());
        figures.set_peer(client);
        lock(permit).count_for(client.ip()).map_err(|refusal| {
            let refusal = refusal.to_string();
            self.front_end.refused(client, &refusal);
            answer(StatusCode::SERVICE_UNAVAILABLE, &format!("{refusal}\n"))
        })?;
        Ok(client)
    }
}

fn answer(status: StatusCode, why: &str) -> ServiceFuture {
    Box::pin(ready(text(status, why.to_owned())))
}

/// The answer to a client that is not let in. Hyper never sees that client.
fn refused(why: &str) -> String {
    let length = why.len() + 1;
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {length}\r\n\
         Retry-After: 1\r\nConnection: close\r\n\r\n{why}\n"
    )
}

fn ended(error: &hyper::Error) -> Ended {
    use std::error::Error;
    let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    if cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut) {
        Ended::Stuck
    } else if error.is_timeout() {
        Ended::Quiet
    } else if error.is_parse() {
        Ended::Because("not HTTP")
    } else {
        Ended::Broken
    }
}
