//! The `fanfare` binary: runtime, logging, signals, wiring. The only file that names a runtime.
#![warn(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]
#![warn(clippy::unreachable, clippy::unwrap_used)]

use async_signal::{Signal, Signals};
use fanfare::Broker;
use fanfare::{DrainReport, WhenFull};
use fanfare_server::admin::{AdminServer, AdminSettings};
use fanfare_server::chat::ChatServer;
use fanfare_server::config::{Config, Task};
use fanfare_server::connection::StopReport;
use fanfare_server::connection::{ConnectionLimits, Listener};
use fanfare_server::diagnostics::{Diagnostics, Event};
use fanfare_server::http::{HttpServer, HttpSettings};
use fanfare_server::limits::{self, ADMIN_CONNECTIONS, RESERVED_FILE_DESCRIPTORS};
use fanfare_server::message::ServerMessage;
use fanfare_server::nats::NatsServer;
use fanfare_server::push::{DatagramSocket, PushServer};
use fanfare_server::standard_output::StandardOutput;
use fanfare_server::tasks::Tasks;
use fanfare_server::{bench, client, config, top};
use futures_lite::{FutureExt, StreamExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// With its heap profile: see .cargo/config.toml.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit code for a command line, file or address that cannot be used.
const EXIT_USAGE: u8 = 2;

/// Tasks that a connection of any front-end has, at the most.
const TASKS_PER_CONNECTION: usize = 2;

/// How long the last lines of output may take to be read when the program ends.
const OUTPUT_WAIT: Duration = Duration::from_millis(500);

/// How long the answers that the admin listener is at may take when the program ends.
const ADMIN_GOODBYE: Duration = Duration::from_millis(500);

/// The runtime, in one place.
mod runtime {
    use fanfare_server::tasks::BoxedTask;

    #[cfg(not(feature = "smol"))]
    pub use async_std::task::block_on;
    #[cfg(feature = "smol")]
    pub use smol::block_on;

    /// Runs a task until it ends: `Tasks` ends it and counts it.
    pub fn start(task: BoxedTask) {
        #[cfg(not(feature = "smol"))]
        drop(async_std::task::spawn(task));
        #[cfg(feature = "smol")]
        smol::spawn(task).detach();
    }
}

fn main() -> ExitCode {
    match config::from_command_line(std::env::args_os()) {
        Err(error) => fail(&error.to_string()),
        Ok(Task::Print(text)) => {
            // Nobody may be reading it: `fanfare --help | head -1`.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Task::Chat(client)) => match client::run(&client.server, client.nick.as_deref()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error);
                ExitCode::FAILURE
            }
        },
        Ok(Task::Bench(options)) => match bench::measure(&options, &mut io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error);
                ExitCode::FAILURE
            }
        },
        Ok(Task::Top(options)) => match top::run(&options, &mut io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error);
                ExitCode::FAILURE
            }
        },
        Ok(Task::Serve(config)) => serve(*config),
    }
}

fn fail(problem: &str) -> ExitCode {
    complain(problem);
    ExitCode::from(EXIT_USAGE)
}

fn complain(problem: &str) {
    // Where standard error is closed there is nobody left to tell.
    let _ = writeln!(io::stderr(), "fanfare: {problem}");
}

fn serve(mut config: Config) -> ExitCode {
    let prepared = match prepare(&mut config) {
        Ok(prepared) => prepared,
        Err(problem) => return fail(&problem),
    };
    let output = match StandardOutput::divert() {
        Ok(output) => output,
        Err(error) => return fail(&format!("the standard output cannot be diverted: {error}")),
    };
    let exit = runtime::block_on(run(config, prepared));
    output.close(OUTPUT_WAIT);
    exit
}

/// What is there before anything runs.
struct Prepared {
    chat: Option<Listener>,
    nats: Option<Listener>,
    admin: Option<Listener>,
    push: Option<Listener>,
    push_datagrams: Option<DatagramSocket>,
    push_http: Option<Listener>,
    /// How many connections the system allows, if that is fewer than wanted.
    lowered_to: Option<usize>,
}

/// All that can go wrong before anything runs.
fn prepare(config: &mut Config) -> Result<Prepared, String> {
    let push = &mut config.push;
    let limits = [
        &mut config.chat.connections,
        &mut config.nats.connections,
        &mut push.settings.connections,
        &mut push.http_connections,
    ];
    let connections = limits.map(|limits| &mut limits.total);
    let lowered_to = fit_file_descriptors(connections);
    let listener = |flag, address: Option<SocketAddr>, limits| {
        address.map(|address| bind(flag, address, || Listener::bind(address, limits))).transpose()
    };
    let datagrams = config
        .push
        .udp_address
        .map(|address| bind("--push-udp", address, || DatagramSocket::bind(address)));
    Ok(Prepared {
        chat: listener("--chat", config.chat_address, config.chat.connections)?,
        nats: listener("--nats", config.nats_address, config.nats.connections)?,
        push: listener("--push", config.push.address, config.push.settings.connections)?,
        push_datagrams: datagrams.transpose()?,
        push_http: listener("--push-http", config.push.http_address, config.push.http_connections)?,
        admin: bind_admin(&config.admin)?,
        lowered_to,
    })
}

/// Nobody who did not ask for the admin listener shall have to know that another program has its
/// port.
fn bind_admin(config: &config::AdminConfig) -> Result<Option<Listener>, String> {
    let Some(address) = config.address else { return Ok(None) };
    let limits = ConnectionLimits::from_anywhere(ADMIN_CONNECTIONS);
    match bind("--admin", address, || Listener::bind(address, limits)) {
        Err(problem) if !config.is_asked_for => {
            complain(&format!("no admin listener: {problem}"));
            Ok(None)
        }
        bound => bound.map(Some),
    }
}

fn bind<S>(
    flag: &str,
    address: SocketAddr,
    bind: impl FnOnce() -> io::Result<S>,
) -> Result<S, String> {
    bind().map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{flag} {address} is in use by another program; choose another port, or 0")
        }
        _ => format!("{flag} {address} cannot be listened on: {error}"),
    })
}

/// Raises the limit on open files as far as it goes. If fewer connections than wanted by any
/// front-end fit, lowers the numbers of those and says to how many.
fn fit_file_descriptors<const N: usize>(connections: [&mut usize; N]) -> Option<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // None means that there is no limit.
    let fit = usize::try_from(allowed?.saturating_sub(RESERVED_FILE_DESCRIPTORS))
        .unwrap_or(usize::MAX)
        .max(1);
    let mut lowered_to = None;
    for wanted in connections.into_iter().filter(|wanted| **wanted > fit) {
        *wanted = fit;
        lowered_to = Some(fit);
    }
    lowered_to
}

/// The front-ends that run.
struct FrontEnds {
    chat: Option<ChatServer>,
    nats: Option<NatsServer>,
    admin: Option<AdminServer>,
    push: PushServer,
    push_http: Option<HttpServer>,
}

async fn run(config: Config, prepared: Prepared) -> ExitCode {
    let tasks = Tasks::new(runtime::start);
    let broker = broker(&config);
    let diagnostics = Diagnostics::new();
    // Before anything is announced: whoever reads that may send one.
    let mut signals = match Signals::new([Signal::Int, Signal::Term, Signal::Usr2]) {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("signals cannot be heard: {error}")),
    };
    let chat = |listener| {
        ChatServer::start(listener, &broker, &tasks, config.chat, diagnostics.front_end("chat"))
    };
    let nats = |listener| {
        NatsServer::start(listener, &broker, &tasks, config.nats, diagnostics.front_end("nats"))
    };
    let nats = prepared.nats.map(nats);
    let push = (config.push.settings, Arc::new(config.push.access));
    let front_end = diagnostics.front_end("push");
    let push =
        PushServer::start(prepared.push, prepared.push_datagrams, &broker, &tasks, push, front_end);
    let push_http = prepared.push_http.map(|listener| {
        let connections = config.push.http_connections.total;
        let settings = HttpSettings {
            connections,
            body_bytes: limits::PUSH_BATCH_BYTES,
            ..HttpSettings::default()
        };
        let service = push.http(config.push.http_origins);
        HttpServer::start(listener, &tasks, service, settings, diagnostics.front_end("push-http"))
    });
    let admin_settings = AdminSettings { token: config.admin.token };
    let admin =
        |listener| AdminServer::start(listener, &broker, &tasks, &diagnostics, admin_settings);
    let servers = FrontEnds {
        chat: prepared.chat.map(chat),
        nats,
        push,
        push_http,
        admin: prepared.admin.map(admin),
    };
    // Nobody may be reading it, which is no reason not to serve.
    let _ = announce(&servers);
    // Only now, so that the lines above are the first whatever the level: scripts wait for them.
    femme::with_level(config.log);
    let upkeep = tasks.scope("upkeep");
    let of_front_ends = diagnostics.clone();
    upkeep.spawn_watchdog(&tasks, TASKS_PER_CONNECTION, move || {
        of_front_ends.front_ends().iter().map(|front_end| front_end.connection_count()).sum()
    });
    if let Some(connections) = prepared.lowered_to {
        log::warn!(
            "the system's limit on open files allows {connections} connections only; raise it with ulimit -n"
        );
    }
    let mut signal = signals.next().await;
    if let (Some(Ok(Signal::Usr2)), Some(nats)) = (&signal, &servers.nats) {
        log::info!(
            "lame duck: no new NATS connections, and those that are there are closed one by one; then the end"
        );
        let interrupted = async { signal = signals.next().await };
        nats.lame_duck().or(interrupted).await;
    }
    diagnostics.journal().note(Event::Stopping);
    log::info!("ending within {} ms; a second signal ends at once", config.goodbye.as_millis());
    let second = async {
        signals.next().await;
        log::warn!("ended at once by a second signal; what was not sent is lost");
        ExitCode::FAILURE
    };
    let well = async {
        stop(&broker, servers, config.goodbye).await;
        ExitCode::SUCCESS
    };
    second.or(well).await
}

fn announce(servers: &FrontEnds) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let chat = servers.chat.as_ref().map(ChatServer::local_address);
    if let Some(address) = chat {
        writeln!(output, "listening chat {address}")?;
    }
    if let Some(address) = servers.nats.as_ref().map(NatsServer::local_address) {
        writeln!(output, "listening nats {address}")?;
        // What the tests of NATS's client libraries wait for, where nats-server says it. In one
        // write, since the other output may go to the same file.
        let ready = format!("Listening for client connections on {address}\nServer is ready\n");
        let _ = io::stderr().write_all(ready.as_bytes());
    }
    let http = servers.push_http.as_ref().map(HttpServer::local_address);
    let (push, datagrams) = (servers.push.address(), servers.push.datagram_address());
    for (name, address) in [("push", push), ("push-udp", datagrams), ("push-http", http)] {
        if let Some(address) = address {
            writeln!(output, "listening {name} {address}")?;
        }
    }
    if let Some(chat) = chat {
        let (host, port) = (chat.ip(), chat.port());
        writeln!(
            output,
            "try it: nc {host} {port}, in two terminals; or: fanfare chat {chat} --nick NAME"
        )?;
    }
    match servers.admin.as_ref().map(AdminServer::local_address) {
        Some(admin) => writeln!(output, "listening admin http://{admin}/"),
        None => Ok(()),
    }
}

fn broker(config: &Config) -> Broker<ServerMessage> {
    let mut builder = Broker::builder().when_full(WhenFull::Wait(config.chat.wait));
    if let Some((pattern, messages)) = config.chat.history() {
        builder = builder.history(pattern, messages);
    }
    for (pattern, messages) in config.push.settings.histories() {
        builder = builder.history(pattern, messages);
    }
    builder.build()
}

/// Goodbye: nobody new, nothing more to say, everything queued goes out, and a report of what did
/// not.
async fn stop(broker: &Broker<ServerMessage>, servers: FrontEnds, goodbye: Duration) {
    let deadline = Instant::now() + goodbye;
    if let Some(chat) = &servers.chat {
        chat.begin_stop();
    }
    if let Some(nats) = &servers.nats {
        nats.begin_stop();
    }
    servers.push.begin_stop();
    if let Some(http) = &servers.push_http {
        http.begin_stop();
    }
    let drained = broker.drain(goodbye).await;
    let mut connections = StopReport::default();
    if let Some(chat) = servers.chat {
        connections += chat.ended(deadline).await;
    }
    if let Some(nats) = servers.nats {
        connections += nats.ended(deadline).await;
    }
    let gateway = servers.push.gateway().clone();
    connections += servers.push.ended(deadline).await;
    if let Some(http) = servers.push_http {
        connections += http.stop(deadline).await;
    }
    log::debug!("pushes: {:?}", gateway.figures());
    // Last: until here it says that the server is draining, and what it still has to do.
    if let Some(admin) = servers.admin {
        admin.stop(Instant::now() + ADMIN_GOODBYE).await;
    }
    report(&drained, connections);
}

fn report(drained: &DrainReport, connections: StopReport) {
    log::info!(
        "flushed: {} messages to {} subscriptions, {} connections",
        drained.delivered(),
        drained.subscriptions.len(),
        connections.connections_flushed
    );
    if drained.given_up() > 0 || connections.connections_cut > 0 {
        log::warn!(
            "not flushed: {} messages given up, {} connections cut with {} bytes unwritten",
            drained.given_up(),
            connections.connections_cut,
            connections.bytes_cut
        );
    }
}
