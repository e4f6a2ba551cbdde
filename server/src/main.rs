//! The `fanfare` binary: the runtime, and what it is asked to do. The only file that names a
//! runtime.
#![warn(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]
#![warn(clippy::unreachable, clippy::unwrap_used)]

mod listeners;
mod output;
mod reload;
mod serve;
mod shared;
mod systemd;

use fanfare_server::config::{ChatClient, Config, Source, Task};
use fanfare_server::logging::{self, Logging};
use fanfare_server::{bench, client, config, messages, top};
use listeners::Listeners;
use output::Output;
use shared::Shared;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// With its heap profile: see .cargo/config.toml.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit code for a command line, file or address that cannot be used.
const EXIT_USAGE: u8 = 2;

/// How long the last lines of the log may take to be read when the program ends.
const LOG_WAIT: Duration = Duration::from_millis(500);

/// The runtime, in one place.
#[cfg(not(feature = "smol"))]
mod runtime {
    use async_global_executor::GlobalExecutorConfig;
    use fanfare_server::tasks::BoxedTask;
    use fanfare_server::threads::{Change, Threads};
    use std::thread::available_parallelism;

    /// async-std's variable for the number of threads. Here it is the least number.
    const THREAD_COUNT: &str = "ASYNC_STD_THREAD_COUNT";

    /// Runs tasks until this one ends, on one thread until [`follow_load`] begins more.
    pub fn block_on<T>(task: impl Future<Output = T>) -> T {
        let (least, most) = thread_counts();
        let config = GlobalExecutorConfig::default()
            .with_env_var(THREAD_COUNT)
            .with_min_threads(least)
            .with_max_threads(most)
            .with_thread_name_fn(|| "fanfare-worker".to_owned());
        // async-std's own executor, before async-std begins it with all threads.
        async_global_executor::init_with_config(config);
        async_std::task::block_on(task)
    }

    /// Runs a task until it ends: `Tasks` ends it and counts it.
    pub fn start(task: BoxedTask) {
        drop(async_std::task::spawn(task));
    }

    /// Keeps as many threads as the load needs. Never ends.
    pub async fn follow_load() {
        let (least, most) = thread_counts();
        let mut threads = Threads::new(least, most);
        loop {
            match threads.change().await {
                Change::Begin => match async_global_executor::spawn_more_threads(1).await {
                    Ok(_) => log::debug!("one more thread runs tasks: all are busy"),
                    Err(error) => log::warn!("no further thread can run tasks: {error}"),
                },
                Change::End => {
                    async_global_executor::stop_thread().await;
                    log::debug!("one thread fewer runs tasks: the others are enough");
                }
            }
        }
    }

    /// The least and the most threads that run tasks.
    fn thread_counts() -> (usize, usize) {
        let least = std::env::var(THREAD_COUNT).ok().and_then(|count| count.parse().ok());
        let least = least.unwrap_or(1).max(1);
        (least, available_parallelism().map_or(1, usize::from).max(least))
    }
}

/// The runtime that replaces it. The variable `SMOL_THREADS` fixes its number of threads.
#[cfg(feature = "smol")]
mod runtime {
    use fanfare_server::tasks::BoxedTask;
    pub use smol::block_on;
    pub use std::future::pending as follow_load;

    /// Runs a task until it ends: `Tasks` ends it and counts it.
    pub fn start(task: BoxedTask) {
        smol::spawn(task).detach();
    }
}

fn main() -> ExitCode {
    let mut output = Output::new();
    let result = match config::from_command_line(std::env::args_os()) {
        Err(error) => return fail(&error.to_string()),
        Ok(Task::Serve(config, source)) => return serve(*config, source),
        Ok(Task::Print(text)) => {
            // The output notes what fails.
            let _ = output.write_all(text.as_bytes());
            Ok(())
        }
        Ok(Task::Chat(client)) => chat(&client),
        Ok(Task::Bench(options)) => bench::measure(&options, &mut output),
        Ok(Task::Messages(command)) => {
            messages::run(&command, &mut io::BufWriter::new(&mut output))
        }
        Ok(Task::Health(server)) => top::health(&server).map(|said| {
            let _ = output.write_all(said.as_bytes());
        }),
        Ok(Task::Top(options)) => top::run(&options, &mut output),
    };
    match result.and_then(|()| output.close()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

fn chat(client: &ChatClient) -> Result<(), String> {
    let server = client::Server::new(&client.server, client.tls.trust()?);
    client::run(server, client.nick.as_deref())
}

fn fail(problem: &str) -> ExitCode {
    complain(problem);
    ExitCode::from(EXIT_USAGE)
}

fn complain(problem: &str) {
    // Where standard error is closed there is nobody left to tell.
    let _ = writeln!(io::stderr(), "fanfare: {problem}");
}

fn serve(mut config: Config, source: Source) -> ExitCode {
    let opened = Shared::open(&config).map_err(|error| error.to_string());
    let opened = opened.and_then(|shared| Ok((shared, Listeners::open(&mut config)?)));
    let opened = match opened {
        Ok(opened) => opened,
        Err(problem) => return fail(&problem),
    };
    // Taken before the log starts, which may put something else in its place.
    let output = logging::own(&io::stdout());
    let log = match Logging::start(config.log_format, config.log) {
        Ok(log) => log,
        Err(error) => return fail(&format!("nothing can be logged: {error}")),
    };
    let exit = runtime::block_on(serve::run((config, source), opened, output.ok(), &log));
    log.close(LOG_WAIT);
    exit
}
