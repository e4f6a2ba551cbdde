//! `fanfare top`: watches a server in a terminal, through its admin listener.

mod admin;
mod frame;
mod screen;

use admin::Admin;
use clap::Args;
use frame::{Sample, render};
use screen::Screen;
use std::io::Write;
use std::time::{Duration, Instant};

/// The admin listener to ask.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct AdminAddress {
    /// Address of the server's admin listener
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:6060")]
    pub url: String,
    /// Token of the admin listener, if it requires one
    #[arg(long, value_name = "TOKEN", env = "FANFARE_ADMIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// The command line of `fanfare top`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct TopOptions {
    /// The server to watch.
    #[command(flatten)]
    pub admin: AdminAddress,
    /// Milliseconds between two frames
    #[arg(long, value_name = "MS", default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    pub interval_ms: u64,
    /// Print one frame and exit, for scripts
    #[arg(long)]
    pub once: bool,
}

/// Asks a server whether it is well.
///
/// # Errors
/// Why it is not, or that it does not answer.
pub fn health(of: &AdminAddress) -> Result<String, String> {
    Admin::new(&of.url, of.token.as_deref())?.text("/healthz")
}

/// Shows one frame after the other until `q`, or until the server or the output is gone. With
/// `once`, shows one frame.
///
/// # Errors
/// What went wrong, in one sentence.
pub fn run(options: &TopOptions, output: &mut impl Write) -> Result<(), String> {
    let admin = Admin::new(&options.admin.url, options.admin.token.as_deref())?;
    let interval = Duration::from_millis(options.interval_ms);
    let mut before = Sample::take(&admin)?;
    let screen = Screen::new();
    let mut next = Instant::now() + interval;
    while screen.no_key_ends_it_before(next) {
        let now = Sample::take(&admin)?;
        let frame = render(&before, &now);
        let shown = match options.once {
            true => write!(output, "{frame}"),
            false => screen.show(output, &frame),
        };
        // Whoever closes the output has seen enough.
        if shown.and_then(|()| output.flush()).is_err() || options.once {
            return Ok(());
        }
        before = now;
        next = Instant::now() + interval;
    }
    Ok(())
}
