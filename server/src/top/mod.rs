//! `fanfare top`: watches a server in a terminal, through its admin listener.

mod admin;
mod frame;
mod screen;
mod view;

use crate::login::ClientTls;
use admin::Admin;
use clap::Args;
use frame::{Sample, render};
use screen::{Screen, Waited};
use std::io::Write;
use std::thread;
use std::time::Duration;
use view::View;

/// What the first frame's rates are of: long enough to mean something, and not felt as a wait.
const FIRST_FRAME: Duration = Duration::from_millis(300);

/// The admin listener to ask.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct AdminAddress {
    /// Address of the server's admin listener
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:6060")]
    pub url: String,
    /// Token of the admin listener, if it requires one
    #[arg(long, value_name = "TOKEN", env = "FANFARE_ADMIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// TLS with it, as https:// has it.
    #[command(flatten)]
    pub tls: ClientTls,
}

impl AdminAddress {
    fn admin(&self) -> Result<Admin, String> {
        Admin::new(&self.url, self.token.as_deref(), &self.tls)
    }
}

/// The command line of `fanfare top`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct TopOptions {
    /// Milliseconds between two frames
    #[arg(long, value_name = "MS", default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    pub interval_ms: u64,
    /// Print one frame and exit, for scripts
    #[arg(long)]
    pub once: bool,
    // Last: what follows it would stand under its heading.
    /// The server to watch.
    #[command(flatten)]
    pub admin: AdminAddress,
}

/// Asks a server whether it is healthy.
pub fn health(of: &AdminAddress) -> Result<String, String> {
    of.admin()?.text("/healthz")
}

/// Shows one frame after the other until `q`, or until the server or the output is gone. With
/// `once`, shows one frame.
pub fn run(options: &TopOptions, output: &mut impl Write) -> Result<(), String> {
    let admin = options.admin.admin()?;
    let interval = Duration::from_millis(options.interval_ms);
    let mut before = Sample::take(&admin)?;
    thread::park_timeout(if options.once { interval } else { interval.min(FIRST_FRAME) });
    let mut now = Sample::take(&admin)?;
    if options.once {
        let frame = render(&before, &now, &View::default());
        // If the output is closed, its reader has seen enough.
        let _ = write!(output, "{frame}").and_then(|()| output.flush());
        return Ok(());
    }
    let screen = Screen::new();
    let mut view = View::new(screen.takes_keys());
    loop {
        let shown = screen.show(output, &render(&before, &now, &view));
        if shown.and_then(|()| output.flush()).is_err() {
            return Ok(());
        }
        match screen.key_before(now.at() + interval) {
            Waited::OutOfTime => before = std::mem::replace(&mut now, Sample::take(&admin)?),
            Waited::Key(key) if view.press(key) => {}
            Waited::Key(_) | Waited::Gone => return Ok(()),
        }
    }
}
