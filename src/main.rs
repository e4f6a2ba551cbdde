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
    let (chat_listener, lowered_to) = match prepare(&mut config) {
        Ok(prepared) => prepared,
        Err(problem) => return fail(&problem),
    };
    let output = match StandardOutput::divert() {
        Ok(output) => output,
        Err(error) => return fail(&format!("the standard output cannot be diverted: {error}")),
    };
    let exit = runtime::block_on(run(config, chat_listener, lowered_to));
    output.close(OUTPUT_WAIT);
    exit
}

/// All that can go wrong before anything runs.
fn prepare(config: &mut Config) -> Result<(Option<Listener>, Option<usize>), String> {
    let lowered_to = fit_file_descriptors(&mut config.chat.gate.connections);
    let gate = Gate::new(config.chat.gate);
    let chat = config.chat_address.map(|address| bind("--chat", address, gate)).transpose()?;
    Ok((chat, lowered_to))
}

fn bind(flag: &str, address: SocketAddr, gate: Gate) -> Result<Listener, String> {
    Listener::bind(address, gate).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("{flag} {address} is in use by another program; choose another port, or 0"),
        _ => format!("{flag} {address} cannot be listened on: {error}"),
    })
}

/// Raises the limit on open files as far as it goes. If fewer connections than wanted fit, lowers the number of those
/// and says to how many.
fn fit_file_descriptors(connections: &mut usize) -> Option<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // None means that there is no limit.
    let fit = usize::try_from(allowed?.saturating_sub(RESERVED_FILE_DESCRIPTORS)).unwrap_or(usize::MAX).max(1);
    if *connections <= fit {
        return None;
    }
    *connections = fit;
    Some(fit)
}

async fn run(config: Config, chat_listener: Option<Listener>, lowered_to: Option<usize>) -> ExitCode {
    let tasks = Tasks::new(runtime::start);
    let broker = broker(&config);
    let diagnostics = Diagnostics::new();
    let chat = chat_listener
        .map(|listener| ChatServer::start(listener, &broker, &tasks, config.chat, diagnostics.front_end("chat")));
    if let Some(chat) = &chat {
        let address = chat.local_address();
        // Nobody may be reading it, which is no reason not to serve.
        let _ = announce(address);
    }
    // Only now, so that the lines above are the first whatever the level: scripts wait for them.
    femme::with_level(config.log);
    if let Some(connections) = lowered_to {
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
    log::info!("ending within {} ms; a second signal ends at once", config.goodbye.as_millis());
    let second = async {
        signals.next().await;
        log::warn!("ended at once by a second signal; what was not sent is lost");
        ExitCode::FAILURE
    };
    let well = async {
        stop(&broker, chat, config.goodbye).await;
        ExitCode::SUCCESS
    };
    second.or(well).await
}

fn announce(chat: SocketAddr) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "listening chat {chat}")?;
    writeln!(output, "try it: nc {} {}, in two terminals; or: fanfare chat {chat} --nick NAME", chat.ip(), chat.port())
}

fn broker(config: &Config) -> Broker<ServerMessage> {
    let mut builder = Broker::builder().when_full(WhenFull::Wait(config.chat.wait));
    if let Some((pattern, messages)) = config.chat.history() {
        builder = builder.history(pattern, messages);
    }
    builder.build()
}

/// Goodbye: nobody new, nothing more to say, everything queued goes out, and a report of what did not.
async fn stop(broker: &Broker<ServerMessage>, chat: Option<ChatServer>, goodbye: Duration) {
    let deadline = Instant::now() + goodbye;
    if let Some(chat) = &chat {
        chat.begin_stop();
    }
    let drained = broker.drain(goodbye).await;
    let connections = match chat {
        Some(chat) => chat.ended(deadline).await,
        None => StopReport::default(),
    };
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
