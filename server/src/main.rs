//! The `fanfare` binary: runtime, logging, signals, wiring. The only file that names a runtime.
#![warn(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]
#![warn(clippy::unreachable, clippy::unwrap_used)]

use async_signal::{Signal, Signals};
use fanfare::{Broker, DrainReport, WhenFull};
use fanfare_server::admin::{self, AdminSettings};
use fanfare_server::chat::ChatServer;
use fanfare_server::config::{Config, Task};
use fanfare_server::connection::{ConnectionLimits, Listener, RunningServer, StopReport};
use fanfare_server::diagnostics::{Diagnostics, Event};
use fanfare_server::http::{HttpServer, HttpSettings};
use fanfare_server::limits::{self, ADMIN_CONNECTIONS};
use fanfare_server::message::ServerMessage;
use fanfare_server::nats::NatsServer;
use fanfare_server::push::{DatagramSocket, PushServer};
use fanfare_server::standard_output::StandardOutput;
use fanfare_server::tasks::Tasks;
use fanfare_server::{bench, client, config, file_descriptors, top};
use futures_lite::{FutureExt, StreamExt};
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

/// The most tasks that a connection of any front-end has.
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
        Ok(Task::Chat(client)) => exit(client::run(&client.server, client.nick.as_deref())),
        Ok(Task::Bench(options)) => exit(bench::measure(&options, &mut io::stdout().lock())),
        Ok(Task::Top(options)) => exit(top::run(&options, &mut io::stdout().lock())),
        Ok(Task::Serve(config)) => serve(*config),
    }
}

fn exit(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
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
    let output = match StandardOutput::divert() {
        Ok(output) => output,
        Err(error) => return fail(&format!("the standard output cannot be diverted: {error}")),
    };
    let exit = match prepare(&mut config) {
        Ok(prepared) => runtime::block_on(run(config, prepared)),
        Err(problem) => fail(&problem),
    };
    output.close(OUTPUT_WAIT);
    exit
}

/// What is there before anything runs.
struct Prepared {
    chat: Option<Listener>,
    nats: Option<Listener>,
    push: Option<Listener>,
    push_datagrams: Option<DatagramSocket>,
    push_http: Option<Listener>,
    admin: Option<Listener>,
    /// The doors that get fewer connections than configured, because the system allows too few open
    /// files, each with its number.
    lowered: Vec<(&'static str, usize)>,
}

/// All that can go wrong before anything runs.
fn prepare(config: &mut Config) -> Result<Prepared, String> {
    let lowered = file_descriptors::fit(config);
    let listener = |flag, address: Option<SocketAddr>, limits| {
        address.map(|address| bind(flag, address, || Listener::bind(address, limits))).transpose()
    };
    let datagrams = |address| bind("--push-udp", address, || DatagramSocket::bind(address));
    Ok(Prepared {
        chat: listener("--chat", config.chat_address, config.chat.connections)?,
        nats: listener("--nats", config.nats_address, config.nats.connections)?,
        push: listener("--push", config.push.address, config.push.settings.connections)?,
        push_datagrams: config.push.udp_address.map(datagrams).transpose()?,
        push_http: listener("--push-http", config.push.http_address, config.push.http_connections)?,
        admin: bind_admin(&config.admin)?,
        lowered,
    })
}

/// Another program may have the admin port. That stops only those who asked for the admin listener.
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

/// What runs.
struct Running {
    broker: Broker<ServerMessage>,
    tasks: Tasks,
    diagnostics: Diagnostics,
    servers: Vec<Box<dyn RunningServer>>,
    /// Apart: it ends last, so that it can tell what the others still have to do.
    admin: Option<HttpServer>,
}

async fn run(config: Config, prepared: Prepared) -> ExitCode {
    // Before anything is announced: whoever reads that may send one.
    let heard = [Signal::Int, Signal::Term, Signal::Usr1, Signal::Usr2];
    let mut signals = match Signals::new(heard) {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("signals cannot be heard: {error}")),
    };
    let (level, goodbye) = (config.log, config.goodbye);
    let exposed = config.exposed_secrets.join(", ");
    let lowered: Vec<String> =
        prepared.lowered.iter().map(|(door, share)| format!("{door} {share}")).collect();
    let running = start(config, prepared);
    // Nobody may be reading it, which is no reason not to serve.
    let _ = announce(&running);
    // Only now, so that the lines above are the first whatever the level: scripts wait for them.
    femme::with_level(level);
    let upkeep = running.tasks.scope("upkeep");
    let counted = running.diagnostics.clone();
    upkeep.spawn_watchdog(&running.tasks, TASKS_PER_CONNECTION, move || {
        counted.front_ends().iter().map(|front_end| front_end.connection_count()).sum()
    });
    if !lowered.is_empty() {
        let lowered = lowered.join(", ");
        log::warn!(
            "the limit on open files allows only these connections: {lowered}; raise it \
             with ulimit -n"
        );
    }
    if !exposed.is_empty() {
        log::warn!(
            "every user of this machine can read these in the list of processes: {exposed}; set \
             them in the environment, or by the flag that ends in -file"
        );
    }
    let mut signal = next_signal(&mut signals).await;
    if signal == Some(Signal::Usr2) {
        let interrupted = async { signal = next_signal(&mut signals).await };
        lame_duck(&running.servers).or(interrupted).await;
    }
    running.diagnostics.journal().note(Event::Stopping);
    log::info!("ending within {} ms; a second signal ends at once", goodbye.as_millis());
    let second = async {
        next_signal(&mut signals).await;
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
async fn next_signal(signals: &mut Signals) -> Option<Signal> {
    loop {
        match signals.next().await?.ok()? {
            Signal::Usr1 => log::info!("SIGUSR1 is ignored: it means nothing here"),
            signal => return Some(signal),
        }
    }
}

fn start(config: Config, prepared: Prepared) -> Running {
    let (broker, diagnostics) = (broker(&config), Diagnostics::new());
    let tasks = Tasks::new(runtime::start);
    let front_end = |name| diagnostics.front_end(name);
    let mut servers: Vec<Box<dyn RunningServer>> = Vec::new();
    if let Some(listener) = prepared.chat {
        let chat = ChatServer::start(listener, &broker, &tasks, config.chat, front_end("chat"));
        servers.push(Box::new(chat));
    }
    if let Some(listener) = prepared.nats {
        let nats = NatsServer::start(listener, &broker, &tasks, config.nats, front_end("nats"));
        servers.push(Box::new(nats));
    }
    let push = (config.push.settings, Arc::new(config.push.access));
    let (listener, datagrams) = (prepared.push, prepared.push_datagrams);
    let push = PushServer::start(listener, datagrams, &broker, &tasks, push, front_end("push"));
    let push_http = prepared.push_http.map(|listener| {
        let settings =
            HttpSettings { body_bytes: limits::PUSH_BATCH_BYTES, ..HttpSettings::default() };
        let service = push.http(config.push.http_origins);
        HttpServer::start(listener, &tasks, service, settings, front_end("push-http"))
    });
    servers.push(Box::new(push));
    servers.extend(push_http.map(|http| Box::new(http) as Box<dyn RunningServer>));
    let settings = AdminSettings { token: config.admin.token };
    let admin = |listener| admin::start(listener, &broker, &tasks, &diagnostics, settings);
    let admin = prepared.admin.map(admin);
    Running { broker, tasks, diagnostics, servers, admin }
}

fn broker(config: &Config) -> Broker<ServerMessage> {
    let histories = config.chat.history().into_iter().chain(config.push.settings.histories());
    let builder = Broker::builder()
        .when_full(WhenFull::Wait(config.chat.wait))
        .keep_pace_from(config.slowest_reader);
    histories
        .fold(builder, |builder, (pattern, messages)| builder.history(pattern, messages))
        .build()
}

fn announce(running: &Running) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let listening: Vec<_> = running.servers.iter().flat_map(|server| server.listening()).collect();
    for (name, address) in &listening {
        writeln!(output, "listening {name} {address}")?;
        if *name == "nats" {
            // What the tests of NATS's client libraries wait for, where nats-server says it. In
            // one write, since the other output may go to the same file.
            let ready = format!("Listening for client connections on {address}\nServer is ready\n");
            let _ = io::stderr().write_all(ready.as_bytes());
        }
    }
    if let Some((_, chat)) = listening.iter().find(|(name, _)| *name == "chat") {
        let (host, port) = (chat.ip(), chat.port());
        writeln!(
            output,
            "try it: nc {host} {port}, in two terminals; or: fanfare chat {chat} --nick NAME"
        )?;
    }
    match running.admin.as_ref().map(HttpServer::local_address) {
        Some(admin) => writeln!(output, "listening admin http://{admin}/"),
        None => Ok(()),
    }
}

async fn lame_duck(servers: &[Box<dyn RunningServer>]) {
    for server in servers {
        server.lame_duck().await;
    }
}

/// Goodbye: no new connections, nothing more to say, everything queued goes out, and a report of
/// what did not.
async fn stop(running: Running, goodbye: Duration) {
    let deadline = Instant::now() + goodbye;
    running.servers.iter().for_each(|server| server.begin_stop());
    let drained = running.broker.drain(goodbye).await;
    let mut connections = StopReport::default();
    for server in running.servers {
        connections += server.ended(deadline).await;
    }
    if let Some(admin) = running.admin {
        admin.ended(Instant::now() + ADMIN_GOODBYE).await;
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
