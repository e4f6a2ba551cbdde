//! The admin server: authorises requests and routes them to pages.

use super::context::{AdminContext, NAME};
use super::snapshots::{self, Snapshots};
use super::{
    Page, absent, accounts, connections, health, leaf_nodes, lists, metrics, pprof, try_it, varz,
};
use crate::connection::Listener;
use crate::diagnostics::Diagnostics;
use crate::http::{
    Asked, Call, Documents, HttpServer, HttpSettings, Response, Service, ServiceFuture, text,
};
use crate::live::Live;
use crate::message::ServerMessage;
use crate::tasks::Tasks;
use crate::web;
use fanfare::Broker;
use hyper::header::{ALLOW, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use std::future::ready;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Makes a document.
type MakeDocument = fn(Arc<AdminContext>, Asked) -> Response;

/// Settings of the admin listener.
#[derive(Clone, Debug, Default)]
pub struct AdminSettings {
    /// With a token every request has to carry it (`Authorization: Bearer TOKEN`). Without one,
    /// only requests for a loopback name or address are answered, and it should listen on such an
    /// address alone.
    pub token: Live<Option<String>>,
}

/// Serves pages about the broker, the tasks and the front-ends on `listener`.
pub fn start(
    listener: Listener,
    broker: &Broker<ServerMessage>,
    tasks: &Tasks,
    diagnostics: &Diagnostics,
    settings: AdminSettings,
) -> HttpServer {
    let context = Arc::new(AdminContext::new(broker, tasks, diagnostics));
    let snapshots = Arc::new(Snapshots::new(diagnostics.started_at()));
    let pages = Pages { context, snapshots, token: settings.token };
    let front_end = diagnostics.front_end(NAME);
    HttpServer::start(listener, tasks, pages, HttpSettings::default(), front_end)
}

/// The documents of the admin listener, for a front-end whose clients may ask for them.
pub fn documents(
    broker: &Broker<ServerMessage>,
    tasks: &Tasks,
    diagnostics: &Diagnostics,
) -> Documents {
    let context = Arc::new(AdminContext::new(broker, tasks, diagnostics));
    Box::new(move |asked| match document(asked.path()) {
        Some(make) => elsewhere(context.clone(), asked, make),
        None => Box::pin(ready(nothing())),
    })
}

/// All pages, for those who may see them.
struct Pages {
    context: Arc<AdminContext>,
    snapshots: Arc<Snapshots>,
    token: Live<Option<String>>,
}

impl Service for Pages {
    fn call(&self, call: Call) -> ServiceFuture {
        match self.refusal(&call) {
            Some(refusal) => Box::pin(ready(refusal)),
            None => match file(&call) {
                Some(file) => Box::pin(ready(file)),
                None => self.page(call),
            },
        }
    }
}

impl Pages {
    /// The refusal of a request, unless it may see the pages.
    fn refusal(&self, call: &Call) -> Option<Response> {
        if call.is_from_foreign_page(&[]) {
            return Some(text(StatusCode::FORBIDDEN, "pages of other sites are not allowed\n"));
        }
        match self.token.get().as_ref() {
            // The files say nothing about this server, and people type the token into one of them.
            Some(token) if !carries(call, token) && file(call).is_none() => {
                let mut refusal = text(
                    StatusCode::UNAUTHORIZED,
                    "this listener requires Authorization: Bearer TOKEN\n",
                );
                refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                Some(refusal)
            }
            None if !call.is_for_loopback() => Some(text(
                StatusCode::FORBIDDEN,
                "without a token, ask for localhost or a loopback address\n",
            )),
            _ => None,
        }
    }

    /// The page at the path of a request.
    fn page(&self, call: Call) -> ServiceFuture {
        let method = call.request.method().clone();
        let context = self.context.clone();
        let mut methods = "GET";
        let answer: ServiceFuture = match call.path() {
            // Answered at once, whatever pages are being made.
            "/healthz" => Box::pin(ready(health::healthz(context, call.asked))),
            "/readyz" => Box::pin(health::readyz(context, call)),
            "/live" => Box::pin(snapshots::live(context, self.snapshots.clone())),
            "/subscribe" => served(try_it::subscribe(context, call)),
            "/publish" => {
                methods = "POST";
                served(try_it::publish(context, call))
            }
            "/disconnect" => {
                methods = "POST";
                served(connections::disconnect(context, call))
            }
            "/debug/pprof/" => Box::pin(pprof::index(context, call)),
            "/debug/pprof/goroutine" => served(pprof::goroutine(context, call)),
            "/debug/pprof/cmdline" => Box::pin(pprof::cmdline(context, call)),
            "/debug/pprof/symbol" => {
                methods = "GET, POST";
                Box::pin(pprof::symbol(context, call))
            }
            // Where the system has no profiles of memory and processor, only the tasks are there.
            #[cfg(target_os = "linux")]
            "/debug/pprof/heap" => served(pprof::heap(context, call)),
            #[cfg(target_os = "linux")]
            "/debug/pprof/profile" => served(pprof::profile(context, call)),
            path => match document(path) {
                Some(make) => elsewhere(context, call.asked, make),
                None => return Box::pin(ready(nothing())),
            },
        };
        // Hyper sends the answer to a HEAD without its body.
        let method = if method == Method::HEAD { Method::GET } else { method };
        if methods.split(", ").any(|allowed| allowed == method.as_str()) {
            return answer;
        }
        let mut refusal =
            text(StatusCode::METHOD_NOT_ALLOWED, format!("this path answers only {methods}\n"));
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        Box::pin(ready(refusal))
    }
}

/// The file of the dashboard that a request reads.
fn file(call: &Call) -> Option<Response> {
    web::requested(call, "/web/admin/index.html")
}

/// The function that makes the document at a path: a page that only reports.
fn document(path: &str) -> Option<MakeDocument> {
    Some(match path {
        "/healthz" => health::healthz,
        "/metrics" => metrics::metrics,
        "/varz" => varz::varz,
        "/connz" => connections::list,
        "/leafz" => leaf_nodes::list,
        "/subsz" | "/subscriptionsz" => lists::subscriptions,
        "/accountz" => accounts::accounts,
        "/routez" | "/gatewayz" | "/jsz" => absent::absent,
        "/slowz" => lists::slowest,
        "/topicz" => lists::topics,
        "/journal" => lists::journal,
        _ => return None,
    })
}

fn nothing() -> Response {
    text(StatusCode::NOT_FOUND, "there is nothing at this path; / lists what there is\n")
}

fn served(page: impl Future<Output = Page> + Send + 'static) -> ServiceFuture {
    Box::pin(async { page.await.unwrap_or_else(|refusal| *refusal) })
}

/// Makes a page on another thread, one page at a time: with thousands of rows it would keep other
/// tasks from their turn. Once begun, a page is finished even if the client leaves.
fn elsewhere(context: Arc<AdminContext>, asked: Asked, make: MakeDocument) -> ServiceFuture {
    Box::pin(async move {
        let permit = context.pages.acquire().await;
        blocking::unblock(move || {
            let _permit = permit;
            make(context, asked)
        })
        .await
    })
}

/// Whether a request carries the token. Takes as long for a wrong one as for the right one.
fn carries(call: &Call, token: &str) -> bool {
    call.bearer().is_some_and(|given| given.as_bytes().ct_eq(token.as_bytes()).into())
}
