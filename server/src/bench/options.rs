//! The command line of `fanfare bench`.

use super::connection::Endpoint;
use super::frames::Protocol;
use super::load::Load;
use crate::login::Login;
use clap::{Args, ValueEnum};
use std::time::Duration;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Publish to nobody
    Pub,
    /// Count what others publish on --subject
    Sub,
    /// Publish to subscribers that count and check everything
    FanOut,
    /// Send requests and wait for their answers, one after the other
    Request,
    /// Measure how late messages arrive at a fixed rate; a message sent late counts from when it
    /// was due
    Latency,
    /// Write the same bytes straight to the sockets, without a server: the most that the machine
    /// can do
    Ceiling,
    /// All of these except sub
    All,
}

/// The format of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Table for people
    Table,
    /// One object a line
    Json,
    /// With a header line
    Csv,
}

/// The command line of `fanfare bench`.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct BenchOptions {
    /// What to measure
    #[arg(value_enum)]
    pub mode: Mode,
    /// Address of the server
    #[arg(value_name = "HOST:PORT", default_value = "127.0.0.1:4222")]
    pub server: String,
    /// Number of publishers, each with its own subject
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub publishers: u32,
    /// Number of subscribers to each publisher's subject
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub subscribers: u32,
    /// Size of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 128,
        value_parser = clap::value_parser!(u32).range(16..=(1 << 30)))]
    pub payload_bytes: u32,
    /// Messages per write
    #[arg(long, value_name = "N", default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// Messages a second, for latency
    #[arg(long, value_name = "N", default_value_t = 1_000.0, value_parser = positive)]
    pub rate: f64,
    /// How long a measurement lasts
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = positive)]
    pub seconds: f64,
    /// Subject that sub subscribes to
    #[arg(long, value_name = "SUBJECT", default_value = ">")]
    pub subject: String,
    /// Protocol that the server speaks
    #[arg(long, value_enum, default_value = "nats")]
    pub protocol: Protocol,
    /// Format of the result
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// The credentials, and TLS.
    #[command(flatten)]
    pub login: Login,
}

impl BenchOptions {
    /// The server, and how to log in.
    pub fn endpoint(&self) -> Result<Endpoint, String> {
        let access = self.login.access(&self.server, self.protocol.port())?;
        Ok(Endpoint { protocol: self.protocol, access })
    }

    /// The load of a run.
    pub fn load(&self) -> Load {
        Load {
            publishers: self.publishers as usize,
            subscribers: self.subscribers as usize,
            batch: self.batch as usize,
            payload_bytes: self.payload_bytes as usize,
            duration: Duration::from_secs_f64(self.seconds),
            ..Load::default()
        }
    }
}

/// A flag's number that may have a fraction, from above 0 to 1e9.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && number <= 1e9 => Ok(number),
        _ => Err("a number above 0".to_owned()),
    }
}
