//! Wires everything together, serves until a signal asks for the end, and says goodbye.

use crate::listeners::Listeners;
use crate::reload::Reloaded;
use crate::shared::Shared;
use crate::{runtime, systemd};
use async_signal::{Signal, Signals};
use fanfare::DrainReport;
use fanfare_server::admin::{self, AdminSettings};
use fanfare_server::chat::ChatServer;
use fanfare_server::cluster::{ClusterLink, ClusterSettings};
use fanfare_server::config::{Config, Source};
use fanfare_server::connection::{LameDuck, RunningServer, StopReport};
use fanfare_server::counted::counted;
use fanfare_server::diagnostics::{Diagnostics, Event};
use fanfare_server::http::{HttpServer, HttpSettings};
use fanfare_server::limits;
use fanfare_server::live::Live;
use fanfare_server::logging::{LogFormat, Logging};
use fanfare_server::memory::MemoryWatch;
use fanfare_server::nats::NatsServer;
use fanfare_server::push::PushServer;
use fanfare_server::tasks::Tasks;
use futures_lite::{FutureExt, StreamExt};
use std::fmt::Write as _;
use std::fs::File;
use std::future::poll_fn;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// The most tasks that a connection of any front-end has.
const TASKS_PER_CONNECTION: usize = 2;

/// How long unfinished answers of the admin listener may take when the program ends.
const ADMIN_GOODBYE: Duration = Duration::from_millis(500);

/// The running servers, and what they share.
struct Running {
    shared: Shared,
    tasks: Tasks,
    diagnostics: Diagnostics,
    servers: Vec<Box<dyn RunningServer>>,
    /// Separate, since it ends last: until then it shows what the others still have to do.
    admin: Option<HttpServer>,
    reloaded: Reloaded,
}

/// Serves until a signal asks for the end. Announces the listeners on `output`.
pub async fn run(
    (config, source): (Config, Source),
    (shared, listeners): (Shared, Listeners),
    output: Option<File>,
    log: &Logging,
) -> ExitCode {
    // Before the announcement, since its reader may send a signal at once.
    let heard = [Signal::Int, Signal::Term, Signal::Hup, Signal::Usr1, Signal::Usr2];
    let mut signals = match Signals::new(heard) {
        Ok(signals) => signals,
        Err(error) => {
            log::error!("signals cannot be received: {error}");
            return ExitCode::FAILURE;
        }
    };
    warn_of_secrets(&config);
    config.warnings.iter().chain(&listeners.warnings).for_each(|warning| log::warn!("{warning}"));
    let is_json = config.log_format == LogFormat::Json;
    let (goodbye, times, memory_bytes) = (config.goodbye, config.lame_duck, config.memory_bytes);
    let running = start(config, shared, listeners);
    // If nobody reads it, the server serves all the same.
    let _ = output.map(|mut output| output.write_all(announcement(&running).as_bytes()));
    let listening = running.listening();
    let nats = listening.iter().find(|(name, _)| *name == "nats" && !is_json);
    if let Some((_, address)) = nats {
        // The tests of NATS's client libraries wait for these lines on standard error.
        log.say(&format!("Listening for client connections on {address}\nServer is ready\n"));
    }
    let upkeep = running.tasks.scope("upkeep");
    let counted = running.diagnostics.clone();
    upkeep.spawn_watchdog(&running.tasks, TASKS_PER_CONNECTION, move || {
        counted.front_ends().iter().map(|front_end| front_end.connection_count()).sum()
    });
    MemoryWatch::new(&running.diagnostics, &running.shared.broker, memory_bytes).spawn(&upkeep);
    upkeep.spawn("threads", runtime::follow_load());
    upkeep.spawn("systemd", systemd::watchdog());
    systemd::ready();
    let reload = || {
        systemd::reloading();
        running.reloaded.reload(&source);
        systemd::ready();
    };
    let mut signal = next_signal(&mut signals, reload).await;
    if signal == Some(Signal::Usr2) {
        let interrupted = async { signal = next_signal(&mut signals, reload).await };
        lame_duck(&running, times).or(interrupted).await;
    }
    systemd::stopping();
    running.diagnostics.journal().note("", Event::Stopping);
    log::info!("ending within {} ms; a second signal ends at once", goodbye.as_millis());
    let second = async {
        next_signal(&mut signals, || log::info!("SIGHUP is ignored: the server is ending")).await;
        log::warn!("ended at once by a second signal; what was not sent is lost");
        ExitCode::FAILURE
    };
    let well = async {
        stop(running, goodbye).await;
        ExitCode::SUCCESS
    };
    second.or(well).await
}

/// The next signal that asks for the end.
async fn next_signal(signals: &mut Signals, reload: impl Fn()) -> Option<Signal> {
    loop {
        match signals.next().await?.ok()? {
            Signal::Hup => reload(),
            Signal::Usr1 => log::info!("SIGUSR1 is ignored: it means nothing here"),
            signal => return Some(signal),
        }
    }
}

fn start(config: Config, mut shared: Shared, listeners: Listeners) -> Running {
    let (broker, diagnostics) = (shared.broker.clone(), Diagnostics::new());
    let (left_chat, left_pushes) = shared.left.take().unzip();
    let tasks = Tasks::new(runtime::start);
    let front_end = |name| diagnostics.front_end(name);
    let mut servers: Vec<Box<dyn RunningServer>> = Vec::new();
    let limiters = listeners.limiters();
    let identities = config.identities().map(|(listener, identity)| (listener, identity.cloned()));
    let is_less_secret = config.chat_tls.is_some() && config.push.http_tls.is_none();
    let (mut authentication, mut chat_web_socket, mut chat_password) = (None, None, None);
    if let Some(listener) = listeners.chat {
        let (front_end, left) = (front_end("chat"), shared.store.clone().zip(left_chat));
        let chat = ChatServer::start(listener, &broker, &tasks, config.chat, front_end, left);
        chat_web_socket = Some(chat.web_socket(is_less_secret));
        chat_password = Some(chat.password());
        servers.push(Box::new(chat));
    }
    if let Some(listener) = listeners.nats {
        let web_socket = config.nats.web_socket.clone();
        let front_end_of_nats = front_end("nats");
        let nats =
            NatsServer::start(listener, &shared.accounts, &tasks, config.nats, front_end_of_nats);
        nats.has_documents(admin::documents(&broker, &tasks, &diagnostics));
        authentication = Some(nats.authentication());
        let by_web_socket =
            web_socket.zip(listeners.nats_web_socket).map(|(settings, listener)| {
                let service = nats.web_socket(settings.origins);
                let front_end = front_end("nats-websocket");
                HttpServer::start(listener, &tasks, service, HttpSettings::default(), front_end)
            });
        servers.push(Box::new(nats));
        servers.extend(by_web_socket.map(|http| Box::new(http) as Box<dyn RunningServer>));
    }
    let push = (config.push.settings, Arc::new(config.push.access));
    let (listener, datagrams) = (listeners.push, listeners.push_datagrams);
    let (of_push, left) = (front_end("push"), shared.store.clone().zip(left_pushes));
    let push = PushServer::start(listener, datagrams, &broker, &tasks, push, of_push, left);
    let push_http = listeners.push_http.map(|listener| {
        let settings =
            HttpSettings { body_bytes: limits::PUSH_BATCH_BYTES, ..HttpSettings::default() };
        let service = push.http(config.push.http_origins);
        let service = match chat_web_socket {
            Some(chat) => service.with_chat(chat),
            None => service,
        };
        HttpServer::start(listener, &tasks, service, settings, front_end("push-http"))
    });
    let access = push.access();
    servers.push(Box::new(push));
    servers.extend(push_http.map(|http| Box::new(http) as Box<dyn RunningServer>));
    let link = |settings: ClusterSettings| {
        let account = shared.accounts.get(&settings.account);
        let front_end = front_end(settings.title);
        ClusterLink::start(&account.broker, &tasks, settings, front_end)
    };
    let links: Vec<ClusterLink> = config.clusters.into_iter().map(link).collect();
    let of_links = links.iter().map(ClusterLink::settings).collect();
    servers.extend(links.into_iter().map(|link| Box::new(link) as Box<dyn RunningServer>));
    let admin_token = Live::new(config.admin.token);
    let settings = AdminSettings { token: admin_token.clone() };
    let admin = |listener| admin::start(listener, &broker, &tasks, &diagnostics, settings);
    let admin = listeners.admin.map(admin);
    let of_reload = diagnostics.clone();
    let reloaded = Reloaded {
        accounts: shared.accounts.clone(),
        authentication,
        identities,
        chat_password,
        links: of_links,
        proxies: config.proxies,
        access,
        admin_token,
        limiters,
        diagnostics: of_reload,
    };
    Running { shared, tasks, diagnostics, servers, admin, reloaded }
}

fn warn_of_secrets(config: &Config) {
    if !config.exposed_secrets.is_empty() {
        log::warn!(
            "every user of this machine can read these in the list of processes: {}; set them in \
             the environment, or by the flag that ends in -file",
            config.exposed_secrets.join(", ")
        );
    }
}

impl Running {
    fn listening(&self) -> Vec<(&'static str, SocketAddr)> {
        self.servers.iter().flat_map(|server| server.listening()).collect()
    }
}

/// The lines that say where the server listens, for scripts to wait for.
fn announcement(running: &Running) -> String {
    let mut text = String::new();
    let listening = running.listening();
    for (name, address) in &listening {
        let _ = writeln!(text, "listening {name} {address}");
    }
    if let Some((_, chat)) = listening.iter().find(|(name, _)| *name == "chat") {
        let (host, port) = (chat.ip(), chat.port());
        let _ = match running.reloaded.has_tls("chat") {
            true => writeln!(text, "try it: fanfare chat {chat} --tls --nick NAME"),
            false => writeln!(
                text,
                "try it: nc {host} {port}, in two terminals; or: fanfare chat {chat} --nick NAME"
            ),
        };
    }
    if let Some(admin) = running.admin.as_ref().map(HttpServer::local_address) {
        let scheme = if running.reloaded.has_tls("admin") { "https" } else { "http" };
        let _ = writeln!(text, "listening admin {scheme}://{admin}/");
    }
    text
}

/// Sends the clients of all front-ends elsewhere at the same time.
async fn lame_duck(running: &Running, times: LameDuck) {
    running.diagnostics.begin_lame_duck();
    log::info!(
        "lame duck: no new connections; from {} ms on the present ones are closed one by one, \
         within {} ms; a second signal ends sooner",
        times.grace.as_millis(),
        times.duration.as_millis()
    );
    let servers = running.servers.iter();
    let mut ending: Vec<_> = servers.map(|server| server.lame_duck(times)).collect();
    poll_fn(|context| {
        ending.retain_mut(|ending| ending.as_mut().poll(context).is_pending());
        if ending.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Stops everything: no new connections, a goodbye to each client, everything queued goes out, and
/// the log says what did not.
async fn stop(running: Running, goodbye: Duration) {
    let deadline = Instant::now() + goodbye;
    running.servers.iter().for_each(|server| server.begin_stop());
    let drained = running.shared.accounts.drain(goodbye).await;
    let mut connections = StopReport::default();
    for server in running.servers {
        connections += server.ended(deadline).await;
    }
    if let Some(admin) = running.admin {
        admin.ended(Instant::now() + ADMIN_GOODBYE).await;
    }
    if let Some(store) = running.shared.store
        && !store.close(deadline).await
    {
        log::warn!("the last lines of the chat are not stored: the disk is too slow");
    }
    report(&drained, connections);
}

fn report(drained: &DrainReport, connections: StopReport) {
    log::info!(
        "flushed: {} to {}, {}",
        counted(drained.delivered(), "message"),
        counted(drained.subscriptions.len(), "subscription"),
        counted(connections.connections_flushed, "connection")
    );
    if drained.given_up() > 0 || connections.connections_cut > 0 {
        log::warn!(
            "not flushed: {} given up, {} cut with {} unwritten",
            counted(drained.given_up(), "message"),
            counted(connections.connections_cut, "connection"),
            counted(connections.bytes_cut, "byte")
        );
    }
}
