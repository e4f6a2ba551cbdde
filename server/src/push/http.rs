//! Pushes, streams of events and WebSockets by HTTP.
//!
//! | request | answer |
//! |---|---|
//! | `POST /push/{target}?id=&ttl=&ack` | pushes the body; the receipt (`ack_ms=`: later) |
//! | `POST /publish/{topic}` | publishes the body on a topic of the broker; the receipt |
//! | `POST /push` | pushes an array of `{"to":..., "text":...}`; an array of receipts, errors |
//! | `GET /push/{id}` | what became of a push that asked to be acknowledged |
//! | `GET /events?user=&group=&seen=` | what that user is pushed, as server-sent events |
//! | `GET /socket` | a WebSocket, in which a client says and gets the same objects as over TCP |
//! | `GET /figures` | what the gateway has counted |
//! | `GET /` | a page that listens and pushes |

use super::access::{Access, Denied, Grant};
use super::counters::Ingress;
use super::datagrams::is_local;
use super::events;
use super::gateway::{Gateway, HandedOver, PushReceipt, PushRefusal};
use super::rates::Rates;
use super::reader::topics_of;
use super::server::PushServer;
use super::session::{Action, Session};
use super::web_socket;
use crate::codec::datagram::{Push, PushError, Target};
use crate::codec::push::{ClientObject, ErrorCode, Hello, Seen, ServerObject};
use crate::http::{
    Call, NoWebSocket, Response, Service, ServiceFuture, empty, json, read_body, want_web_socket,
};
use crate::limits::{
    PUSH_ACKS_TRACKED, PUSH_BATCH, PUSH_BATCH_BYTES, PUSH_BODY_MS, PUSH_PAYLOAD_BYTES,
};
use crate::live::Live;
use crate::locks::lock;
use crate::web;
use bytes::Bytes;
use data_encoding::BASE64;
use hyper::header::{HeaderName, HeaderValue, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt::Display;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct PushHttp {
    shared: Arc<Shared>,
    /// Answers what is below `/chat`, if there is a chat.
    chat: Option<Arc<dyn Service>>,
}

struct Shared {
    gateway: Arc<Gateway>,
    access: Live<Access>,
    /// The pages that may ask, besides those of this server; `*` for all.
    origins: Vec<String>,
    rates: Mutex<Rates>,
}

/// One push of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    to: String,
    id: Option<String>,
    ttl: Option<u64>,
    #[serde(default)]
    ack: bool,
    ack_ms: Option<u64>,
    text: Option<String>,
    base64: Option<String>,
}

/// The outcome of one push of a batch.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Receipt(PushReceipt),
    Error { error: String },
}

/// An answer that is no receipt.
struct Problem {
    status: StatusCode,
    text: String,
    retry_after: Option<Duration>,
    /// Whether the push is counted already.
    is_counted: bool,
}

impl PushServer {
    /// A service for pushes, streams of events and WebSockets by HTTP. `origins` are those of the
    /// pages that may ask. The connections belong to the HTTP server that it is given to, and end
    /// with that.
    pub fn http(&self, origins: Vec<String>) -> PushHttp {
        let (gateway, access) = (self.gateway().clone(), self.access());
        let rates = Mutex::new(Rates::new(gateway.settings.http_per_second));
        PushHttp { shared: Arc::new(Shared { gateway, access, origins, rates }), chat: None }
    }
}

impl PushHttp {
    /// Has `chat` answer what is below `/chat`.
    pub fn with_chat(self, chat: impl Service) -> Self {
        Self { chat: Some(Arc::new(chat)), ..self }
    }
}

impl Service for PushHttp {
    fn call(&self, call: Call) -> ServiceFuture {
        let (shared, chat) = (self.shared.clone(), self.chat.clone());
        Box::pin(async move {
            if !shared.access.get().wants_tokens() && !call.is_for_loopback() {
                let text = "without tokens, ask for localhost or a loopback address";
                return problem(StatusCode::FORBIDDEN, text).response();
            }
            let origin = call.headers().get(ORIGIN).cloned();
            if call.is_from_foreign_page(&shared.origins) {
                return problem(StatusCode::FORBIDDEN, "pages of that origin are not allowed")
                    .response();
            }
            if let Some(chat) = chat.filter(|_| call.path().starts_with("/chat")) {
                return chat.call(call).await;
            }
            if let Some(file) = web::requested(&call, "/web/push/index.html") {
                return file;
            }
            let mut response = match shared.answer(call).await {
                Ok(response) => response,
                Err(problem) => problem.response(),
            };
            if response.status() == StatusCode::SERVICE_UNAVAILABLE {
                shared.gateway.counters.unavailable.add(1);
            }
            if let Some(origin) = origin {
                let headers = response.headers_mut();
                headers.insert(HeaderName::from_static("access-control-allow-origin"), origin);
                let allowed = HeaderValue::from_static("authorization, content-type");
                headers.insert(HeaderName::from_static("access-control-allow-headers"), allowed);
                headers.insert(HeaderName::from_static("vary"), HeaderValue::from_static("origin"));
            }
            response
        })
    }
}

impl Shared {
    async fn answer(&self, call: Call) -> Result<Response, Problem> {
        let path = percent_decode_str(call.path()).decode_utf8();
        let path = path
            .map_err(|_| problem(StatusCode::BAD_REQUEST, "the path is not UTF-8"))?
            .into_owned();
        let (first, rest) = path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((path.trim_start_matches('/'), ""));
        match (call.request.method(), first, rest) {
            (&Method::OPTIONS, _, _) => Ok(empty(StatusCode::NO_CONTENT)),
            (&Method::POST, "push", "") => {
                self.batch(call).await.map_err(|problem| self.counted(problem, 1))
            }
            (&Method::POST, "push", target) => self.push(call, target).await,
            (&Method::POST, "publish", topic) => self.push(call, &format!("topic:{topic}")).await,
            (&Method::GET, "push", id) if !id.is_empty() => self.status(&call, id),
            (&Method::GET, "events", "") => self.events(&call),
            (&Method::GET, "socket", "") => {
                Ok(web_socket::answer(&self.gateway, &self.access, call)?)
            }
            (&Method::GET, "figures", "") => {
                self.grant(&call)?;
                Ok(json(StatusCode::OK, &self.gateway.figures()))
            }
            (_, "push" | "publish" | "events" | "socket" | "figures", _) => {
                Err(problem(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method"))
            }
            _ => Err(problem(
                StatusCode::NOT_FOUND,
                "there are /push/TARGET, /publish/TOPIC, /push, /events, /socket and /figures",
            )),
        }
    }

    async fn push(&self, call: Call, target: &str) -> Result<Response, Problem> {
        let receipt =
            self.push_body(call, target).await.map_err(|problem| self.counted(problem, 1))?;
        Ok(json(StatusCode::OK, &receipt))
    }

    async fn push_body(&self, call: Call, target: &str) -> Result<PushReceipt, Problem> {
        let grant = self.grant(&call)?;
        let mut push = Push {
            wants_ack: call.query("ack").is_some(),
            ..Push::to(Target::parse(target)?, &[])
        };
        let id = self.decoded(&call, "id")?;
        let ttl = self.decoded(&call, "ttl")?;
        let ack_ms = self.decoded(&call, "ack_ms")?;
        set_options(&mut push, id.as_deref(), ttl.as_deref(), ack_ms.as_deref())?;
        grant.push_to(push.target)?;
        self.pace(&grant, 1)?;
        let body = body(call, PUSH_PAYLOAD_BYTES).await?;
        push.payload = &body;
        Ok(self.gateway.push(Ingress::Http, &push).await?)
    }

    async fn batch(&self, call: Call) -> Result<Response, Problem> {
        let grant = self.grant(&call)?;
        let body = body(call, PUSH_BATCH_BYTES).await?;
        let entries: Vec<Entry> = serde_json::from_slice(&body)
            .map_err(|error| problem(StatusCode::BAD_REQUEST, error))?;
        if entries.len() > PUSH_BATCH {
            let text = format!("at most {PUSH_BATCH} pushes fit into a batch");
            let too_many = problem(StatusCode::PAYLOAD_TOO_LARGE, text);
            return Err(self.counted(too_many, entries.len()));
        }
        self.pace(&grant, entries.len()).map_err(|problem| self.counted(problem, entries.len()))?;
        let mut pushed = Vec::with_capacity(entries.len());
        for entry in &entries {
            pushed.push(
                self.push_entry(&grant, entry).await.map_err(|problem| self.counted(problem, 1)),
            );
        }
        // Only now, so that no push waits for the acknowledgements of another.
        let mut outcomes = Vec::with_capacity(pushed.len());
        for pushed in pushed {
            outcomes.push(match pushed {
                Ok(handed_over) => Outcome::Receipt(self.gateway.settled(handed_over).await),
                Err(problem) => Outcome::Error { error: problem.text },
            });
        }
        Ok(json(StatusCode::OK, &outcomes))
    }

    async fn push_entry(&self, grant: &Grant, entry: &Entry) -> Result<HandedOver, Problem> {
        let payload = match (&entry.text, &entry.base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(base64)) => BASE64
                .decode(base64.as_bytes())
                .map_err(|error| problem(StatusCode::BAD_REQUEST, format!("base64: {error}")))?,
            _ => return Err(problem(StatusCode::BAD_REQUEST, "a push has either text or base64")),
        };
        if payload.len() > PUSH_PAYLOAD_BYTES {
            return Err(problem(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("at most {PUSH_PAYLOAD_BYTES} bytes"),
            ));
        }
        let text = |number: Option<u64>| number.map(|number| number.to_string());
        let (ttl, ack_ms) = (text(entry.ttl), text(entry.ack_ms));
        let mut push =
            Push { wants_ack: entry.ack, ..Push::to(Target::parse(&entry.to)?, &payload) };
        set_options(&mut push, entry.id.as_deref(), ttl.as_deref(), ack_ms.as_deref())?;
        grant.push_to(push.target)?;
        Ok(self.gateway.hand_over(Ingress::Http, &push).await?)
    }

    /// Counts pushes that never reach the gateway.
    fn counted(&self, problem: Problem, pushes: usize) -> Problem {
        if !problem.is_counted {
            let outcomes = self.gateway.counters.of(Ingress::Http);
            let counter = match problem.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => &outcomes.denied,
                StatusCode::TOO_MANY_REQUESTS => &outcomes.limited,
                _ => &outcomes.malformed,
            };
            counter.add(pushes as u64);
        }
        Problem { is_counted: true, ..problem }
    }

    fn status(&self, call: &Call, id: &str) -> Result<Response, Problem> {
        self.grant(call)?;
        let unknown = || {
            let text = "no push of that id has asked to be acknowledged since the server began";
            let text = format!("{text}, or {PUSH_ACKS_TRACKED} later ones have");
            problem(StatusCode::NOT_FOUND, text)
        };
        self.gateway.status(id).map(|status| json(StatusCode::OK, &status)).ok_or_else(unknown)
    }

    fn events(&self, call: &Call) -> Result<Response, Problem> {
        let query = call.request.uri().query().unwrap_or_default();
        let groups = query.split('&').filter_map(|pair| pair.strip_prefix("group="));
        let groups: Result<Vec<String>, Problem> = groups.map(decode).collect();
        // An `EventSource` that comes back says the id of its last event.
        let seen = match call.header("last-event-id") {
            Some(id) => Some(id.to_owned()),
            None => self.decoded(call, "seen")?,
        };
        let seen = seen.map(|seen| seen.parse().map_or(Seen::Id(seen), Seen::Number));
        let token = match call.bearer() {
            Some(token) => Some(token.to_owned()),
            None => self.decoded(call, "token")?,
        };
        let hello = Hello {
            user: self.decoded(call, "user")?.unwrap_or_default(),
            token,
            groups: groups?,
            seen,
        };
        let mut session =
            Session::new(self.access.get(), is_local(call.peer), self.gateway.settings.groups);
        let mut actions = Vec::new();
        session.handle(ClientObject::Hello(hello), &mut actions);
        for action in actions {
            match action {
                Action::Begin { user, groups, seen } => {
                    let entry = self.gateway.front_end.connected(call.peer, &Arc::default());
                    let topics = topics_of(&user, &groups);
                    let answer =
                        events::answer(&self.gateway, (call, entry), &user, groups, topics, seen);
                    return answer.map_err(|error| problem(StatusCode::SERVICE_UNAVAILABLE, error));
                }
                Action::Reply(ServerObject::Error { code: ErrorCode::Denied, text }) => {
                    return Err(problem(StatusCode::FORBIDDEN, text));
                }
                Action::Reply(ServerObject::Error { text, .. }) => {
                    return Err(problem(StatusCode::BAD_REQUEST, text));
                }
                _ => {}
            }
        }
        Err(problem(StatusCode::BAD_REQUEST, "say who listens: user=ID"))
    }

    fn grant(&self, call: &Call) -> Result<Grant, Problem> {
        Ok(self.access.get().grant(call.bearer(), is_local(call.peer))?)
    }

    fn pace(&self, grant: &Grant, pushes: usize) -> Result<(), Problem> {
        let mut rates = lock(&self.rates);
        rates.take(grant, pushes, Instant::now()).map_err(|wait| Problem {
            status: StatusCode::TOO_MANY_REQUESTS,
            text: "too many pushes a second".to_owned(),
            retry_after: Some(wait),
            is_counted: false,
        })
    }

    fn decoded(&self, call: &Call, name: &str) -> Result<Option<String>, Problem> {
        call.query(name).map(decode).transpose()
    }
}

/// `ack_ms` includes what `ack` says, so both may be there.
fn set_options<'p>(
    push: &mut Push<'p>,
    id: Option<&'p str>,
    ttl: Option<&str>,
    ack_ms: Option<&str>,
) -> Result<(), PushError> {
    id.map_or(Ok(()), |id| push.set_id(id))?;
    ttl.map_or(Ok(()), |ttl| push.set_ttl(ttl))?;
    if let Some(ack_ms) = ack_ms {
        push.wants_ack = false;
        push.set_ack_wait(ack_ms)?;
    }
    Ok(())
}

fn decode(written: &str) -> Result<String, Problem> {
    let decoded = percent_decode_str(written).decode_utf8().map(|text| text.into_owned());
    decoded.map_err(|_| problem(StatusCode::BAD_REQUEST, "the query is not UTF-8"))
}

async fn body(call: Call, limit_bytes: usize) -> Result<Bytes, Problem> {
    let body =
        read_body(call.request.into_body(), limit_bytes, Duration::from_millis(PUSH_BODY_MS)).await;
    body.map_err(|error| problem(error.response().status(), error))
}

fn problem(status: StatusCode, text: impl Display) -> Problem {
    Problem { status, text: text.to_string(), retry_after: None, is_counted: false }
}

impl Problem {
    fn response(self) -> Response {
        let mut response = json(self.status, &json!({"error": self.text}));
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            want_web_socket(response.headers_mut());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<PushError> for Problem {
    fn from(error: PushError) -> Self {
        problem(StatusCode::BAD_REQUEST, error)
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let status = match denied {
            Denied::TokenNeeded | Denied::UnknownToken => StatusCode::UNAUTHORIZED,
            _ => StatusCode::FORBIDDEN,
        };
        problem(status, denied)
    }
}

impl From<NoWebSocket> for Problem {
    fn from(no: NoWebSocket) -> Self {
        problem(no.status(), no)
    }
}

impl From<PushRefusal> for Problem {
    fn from(refusal: PushRefusal) -> Self {
        let (status, retry_after) = match refusal {
            PushRefusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(1))),
            PushRefusal::Closed => (StatusCode::SERVICE_UNAVAILABLE, None),
            PushRefusal::TimedOut => (StatusCode::GATEWAY_TIMEOUT, None),
            PushRefusal::BadTopic(_) | PushRefusal::NotForTopics => (StatusCode::BAD_REQUEST, None),
        };
        Self { status, text: refusal.to_string(), retry_after, is_counted: true }
    }
}
