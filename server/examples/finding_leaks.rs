//! A small service with two leaks, to be found with `go tool pprof`: docs/finding-leaks.md walks
//! through it.
//!
//! Every visit writes a line to a log that only grows, and leaves a task behind that waits for an
//! answer nobody sends. Runs until interrupted, or for the number of seconds in its argument:
//!
//! ```sh
//! cargo run --example finding_leaks -- 60
//! ```

use async_io::Timer;
use clap::Parser;
use fanfare::Broker;
use fanfare_server::admin::{self, AdminSettings};
use fanfare_server::connection::{ConnectionLimits, Listener};
use fanfare_server::diagnostics::Diagnostics;
use fanfare_server::limits::ADMIN_CONNECTIONS;
use fanfare_server::message::ServerMessage;
use fanfare_server::tasks::{BoxedTask, Scope, Tasks, Wait, waiting};
use futures_lite::StreamExt;
use futures_lite::future::pending;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Without it there is no heap profile.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A small service with two leaks, to be found with `go tool pprof`
#[derive(Parser)]
#[command(name = "finding_leaks")]
struct Options {
    /// How long it runs
    #[arg(value_name = "SECONDS", default_value_t = 3_600)]
    seconds: u64,
}

#[derive(Default)]
struct Service {
    log: Mutex<Vec<String>>,
}

impl Service {
    #[inline(never)]
    fn write_log(&self, visit: u64) {
        let line = format!("visit {visit}: {}", "x".repeat(4_000));
        self.log.lock().unwrap().push(line);
    }
}

/// Asks for something, and waits for the answer.
async fn visit(service: Arc<Service>, number: u64) {
    service.write_log(number);
    waiting(Wait::fixed("the answer"), pending::<()>()).await;
}

async fn serve(service: Arc<Service>, visits: Arc<Scope>, seconds: u64) {
    let mut pause = Timer::interval(Duration::from_millis(10));
    for number in 0..seconds * 100 {
        pause.next().await;
        visits.spawn("visit", visit(service.clone(), number));
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let Options { seconds } = Options::parse();
    let tasks = Tasks::new(|task: BoxedTask| drop(async_std::task::spawn(task)));
    let limits = ConnectionLimits::from_anywhere(ADMIN_CONNECTIONS);
    let listener = Listener::bind("127.0.0.1:0".parse()?, limits)?;
    let broker = Broker::<ServerMessage>::new();
    let admin =
        admin::start(listener, &broker, &tasks, &Diagnostics::new(), AdminSettings::default());
    println!("go tool pprof http://{}/debug/pprof/heap", admin.local_address());
    let (server, visits) = (tasks.scope("server"), Arc::new(tasks.scope("visits")));
    let service = Arc::new(Service::default());
    let serving = server.spawn("serve", serve(service, visits, seconds));
    async_std::task::block_on(serving);
    Ok(())
}
