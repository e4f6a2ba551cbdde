//! `fanfare top`: what a server does, in a terminal, from its admin listener.

mod admin;
mod frame;

use admin::Admin;
use async_io::Timer;
use clap::Args;
use frame::{Sample, render};
use futures_lite::future::block_on;
use std::io::Write;
use std::time::Duration;

/// The command line of `fanfare top`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct TopOptions {
    /// The server's admin listener
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:6060")]
    pub url: String,
    /// Milliseconds between two refreshes
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    pub interval_ms: u64,
    /// Print one frame and exit, for scripts
    #[arg(long)]
    pub once: bool,
    /// The admin listener's token, if it requires one
    #[arg(long, value_name = "TOKEN", env = "FANFARE_ADMIN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// Moves to the corner and clears what is there.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows one frame after the other until the server or the output is gone, or one frame.
pub fn run(options: &TopOptions, output: &mut impl Write) -> Result<(), String> {
    let admin = Admin::new(&options.url, options.token.as_deref())?;
    // why: one for all looks, set again.
    let mut pause = Timer::interval(Duration::from_millis(options.interval_ms));
    let mut before = Sample::take(&admin)?;
    loop {
        block_on(futures_lite::StreamExt::next(&mut pause));
        let now = Sample::take(&admin)?;
        let frame = render(&before, &now);
        let shown = match options.once {
            true => write!(output, "{frame}"),
            false => write!(output, "{CLEAR}{frame}"),
        };
        // Whoever closes the output has seen enough.
        if shown.and_then(|()| output.flush()).is_err() || options.once {
            return Ok(());
        }
        before = now;
    }
}
