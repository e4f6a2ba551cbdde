//! The `fanfare` binary: runtime, logging, signals, wiring. The only file that names a runtime.

mod client;
mod config;
mod standard_output;

use async_signal::{Signal, Signals};
use config::{Config, Task};
use fanfare::Broker;
use fanfare::diagnostics::{Diagnostics, Event};
use fanfare::frontend::StopReport;
use fanfare::frontend::chat::ChatServer;
use fanfare::frontend::message::ServerMessage;
use fanfare::frontend::push::{DatagramSocket, PushServer};
use fanfare::limits::RESERVED_FILE_DESCRIPTORS;
use fanfare::tasks::Tasks;
use fanfare::transport::{Gate, Listener};
use fanfare::{DrainReport, WhenFull};
use futures_lite::{FutureExt, StreamExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use standard_output::StandardOutput;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Exit code for a command line, file or address that cannot be used.
const EXIT_USAGE: u8 = 2;

/// How long the last lines of output may take to be read when the program ends.
const OUTPUT_WAIT: Duration = Duration::from_millis(500);

/// The runtime, in one place.
mod runtime {
    use fanfare::tasks::BoxedTask;

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
    let sockets = match prepare(&mut config) {
        Ok(prepared) => prepared,
        Err(problem) => return fail(&problem),
    };
    let output = match StandardOutput::divert() {
        Ok(output) => output,
        Err(error) => return fail(&format!("the standard output cannot be diverted: {error}")),
    };
    let exit = runtime::block_on(run(config, sockets));
    output.close(OUTPUT_WAIT);
    exit
}

/// Where the server listens.
struct Sockets {
    chat: Option<Listener>,
    push: Option<Listener>,
    push_datagrams: Option<DatagramSocket>,
    /// How many connections there may be, if that is fewer than was asked for.
    lowered_to: Option<usize>,
}

/// All that can go wrong before anything runs.
fn prepare(config: &mut Config) -> Result<Sockets, String> {
    let Config { chat, push, .. } = config;
    let mut connections = Vec::new();
    connections.extend(config.chat_address.map(|_| &mut chat.gate.connections));
    connections.extend(push.address.map(|_| &mut push.settings.gate.connections));
    let lowered_to = fit_file_descriptors(connections);
    let listener =
        |flag, address: Option<_>, limits| address.map(|at| bind(flag, at, || Listener::bind(at, Gate::new(limits))));
    let datagrams = push.udp_address.map(|at| bind("--push-udp", at, || DatagramSocket::bind(at)));
    Ok(Sockets {
        chat: listener("--chat", config.chat_address, chat.gate).transpose()?,
        push: listener("--push", push.address, push.settings.gate).transpose()?,
        push_datagrams: datagrams.transpose()?,
        lowered_to,
    })
}

fn bind<S>(flag: &str, address: SocketAddr, bind: impl FnOnce() -> io::Result<S>) -> Result<S, String> {
    bind().map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("{flag} {address} is in use by another program; choose another port, or 0"),
        _ => format!("{flag} {address} cannot be listened on: {error}"),
    })
}

/// Raises the limit on open files as far as it goes. If fewer connections than wanted fit, lowers the number of those, of
/// each front-end in proportion, and says to how many in all.
fn fit_file_descriptors(connections: Vec<&mut usize>) -> Option<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // None means that there is no limit.
    let fit = usize::try_from(allowed?.saturating_sub(RESERVED_FILE_DESCRIPTORS)).unwrap_or(usize::MAX).max(1);
    let wanted: usize = connections.iter().map(|connections| **connections).sum();
    if wanted <= fit {
        return None;
    }
    for connections in connections {
        *connections = (*connections as u128 * fit as u128 / wanted as u128).max(1) as usize;
    }
    Some(fit)
}

async fn run(config: Config, sockets: Sockets) -> ExitCode {
    let tasks = Tasks::new(runtime::start);
    let broker = broker(&config);
    let diagnostics = Diagnostics::new();
    let goodbye = config.goodbye;
    let servers = Servers {
        chat: sockets
            .chat
            .map(|listener| ChatServer::start(listener, &broker, &tasks, config.chat, diagnostics.front_end("chat"))),
        push: PushServer::start(
            sockets.push,
            sockets.push_datagrams,
            &broker,
            &tasks,
            (config.push.settings, Arc::new(config.push.access)),
            diagnostics.front_end("push"),
        ),
    };
    // Nobody may be reading it, which is no reason not to serve.
    let _ = servers.announce();
    // Only now, so that the lines above are the first whatever the level: scripts wait for them.
    femme::with_level(config.log);
    if let Some(connections) = sockets.lowered_to {
        log::warn!("the system's limit on open files allows {connections} connections only; raise it with ulimit -n");
    }
    let mut signals = match Signals::new([Signal::Int, Signal::Term]) {
        Ok(signals) => signals,
        Err(error) => {
            log::error!("signals cannot be heard, ending: {error}");
            return ExitCode::FAILURE;
        }
    };
    signals.next().await;
    diagnostics.journal().note(Event::Stopping);
    log::info!("ending within {} ms; a second signal ends at once", goodbye.as_millis());
    let second = async {
        signals.next().await;
        log::warn!("ended at once by a second signal; what was not sent is lost");
        ExitCode::FAILURE
    };
    let well = async {
        stop(&broker, servers, goodbye).await;
        ExitCode::SUCCESS
    };
    second.or(well).await
}

/// The front-ends that run.
struct Servers {
    chat: Option<ChatServer>,
    push: PushServer,
}

impl Servers {
    fn announce(&self) -> io::Result<()> {
        let mut output = io::stdout().lock();
        let chat = self.chat.as_ref().map(ChatServer::local_address);
        for (name, address) in
            [("chat", chat), ("push", self.push.address()), ("push-udp", self.push.datagram_address())]
        {
            if let Some(address) = address {
                writeln!(output, "listening {name} {address}")?;
            }
        }
        let Some(chat) = chat else { return Ok(()) };
        let (ip, port) = (chat.ip(), chat.port());
        writeln!(output, "try it: nc {ip} {port}, in two terminals; or: fanfare chat {chat} --nick NAME")
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

/// Goodbye: nobody new, nothing more to say, everything queued goes out, and a report of what did not.
async fn stop(broker: &Broker<ServerMessage>, servers: Servers, goodbye: Duration) {
    let deadline = Instant::now() + goodbye;
    if let Some(chat) = &servers.chat {
        chat.begin_stop();
    }
    servers.push.begin_stop();
    let drained = broker.drain(goodbye).await;
    let mut connections = StopReport::default();
    if let Some(chat) = servers.chat {
        connections += chat.ended(deadline).await;
    }
    let gateway = servers.push.gateway().clone();
    connections += servers.push.ended(deadline).await;
    log::debug!("pushes: {:?}", gateway.figures());
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
