//! The command lines.

use crate::bench::connection::Endpoint;
use crate::bench::frames::Protocol;
use crate::bench::options::positive;
use crate::login::Login;
use clap::{Args, Subcommand};
use std::io::{IsTerminal, Read};
use std::path::PathBuf;

/// One of the commands.
#[derive(Subcommand, Clone, Debug)]
pub enum MessagesCommand {
    /// Publish a message to a NATS server, once or many times
    Pub(PubOptions),
    /// Show the messages of a NATS server, and where some are missing
    Sub(SubOptions),
    /// Send a request to a NATS server, and show the answer
    Request(RequestOptions),
    /// Answer requests on a NATS server
    Reply(ReplyOptions),
}

/// The server, and how to log in.
#[derive(Args, Clone, Debug)]
pub struct ServerOptions {
    /// Address of the server, or nats://USER:PASSWORD@HOST:PORT, or tls://; any NATS server will do
    #[arg(
        long,
        short,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:4222",
        env = "NATS_URL",
        hide_env = true
    )]
    server: String,
    /// The credentials, and TLS.
    #[command(flatten)]
    login: Login,
}

/// A message to send.
#[derive(Args, Clone, Debug)]
pub struct MessageOptions {
    /// The subject
    pub subject: String,
    /// The payload; `-`, or none if input is piped in: all of standard input
    payload: Option<String>,
    /// Take the payload from this file
    #[arg(long, value_name = "FILE", conflicts_with = "payload")]
    file: Option<PathBuf>,
    /// A header; may be given several times
    #[arg(long = "header", short = 'H', value_name = "NAME:VALUE", value_parser = header)]
    pub headers: Vec<(String, String)>,
}

/// How received messages look.
#[derive(Args, Clone, Debug)]
pub struct ShowOptions {
    /// Print one JSON object a line
    #[arg(long, conflicts_with = "raw")]
    pub json: bool,
    /// Print only the payloads, one a line
    #[arg(long)]
    pub raw: bool,
    /// Print when each message came
    #[arg(long)]
    pub times: bool,
}

/// The command line of `fanfare pub`.
#[derive(Args, Clone, Debug)]
pub struct PubOptions {
    /// The message to send.
    #[command(flatten)]
    pub message: MessageOptions,
    /// Subject for answers
    #[arg(long, value_name = "SUBJECT")]
    pub reply: Option<String>,
    /// How many times to publish it; `{{Count}}` in the payload becomes the message's number
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub count: u64,
    /// Messages a second; by default as fast as possible
    #[arg(long, value_name = "N", value_parser = positive)]
    pub rate: Option<f64>,
    /// The server.
    #[command(flatten)]
    pub server: ServerOptions,
}

/// The command line of `fanfare sub`.
#[derive(Args, Clone, Debug)]
pub struct SubOptions {
    /// The subjects
    #[arg(required = true, value_name = "SUBJECT")]
    pub subjects: Vec<String>,
    /// Share the messages with others of this queue group
    #[arg(long, value_name = "GROUP")]
    pub queue: Option<String>,
    /// End after this many messages
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// How messages look.
    #[command(flatten)]
    pub show: ShowOptions,
    /// The server.
    #[command(flatten)]
    pub server: ServerOptions,
}

/// The command line of `fanfare request`.
#[derive(Args, Clone, Debug)]
pub struct RequestOptions {
    /// The question.
    #[command(flatten)]
    pub message: MessageOptions,
    /// How long to wait for each answer
    #[arg(long, value_name = "MS", default_value_t = 5_000,
        value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub timeout_ms: u64,
    /// How many answers to wait for
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub replies: u64,
    /// How answers look.
    #[command(flatten)]
    pub show: ShowOptions,
    /// The server.
    #[command(flatten)]
    pub server: ServerOptions,
}

/// The command line of `fanfare reply`.
#[derive(Args, Clone, Debug)]
pub struct ReplyOptions {
    /// The subject
    pub subject: String,
    /// The answer; by default the request itself
    pub answer: Option<String>,
    /// Share the requests with others of this queue group
    #[arg(long, value_name = "GROUP", default_value = "fanfare-reply")]
    pub queue: String,
    /// End after this many requests
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// How requests look.
    #[command(flatten)]
    pub show: ShowOptions,
    /// The server.
    #[command(flatten)]
    pub server: ServerOptions,
}

impl ServerOptions {
    /// Where to connect, and how to log in.
    pub fn endpoint(&self) -> Result<Endpoint, String> {
        let protocol = Protocol::Nats;
        let access = self.login.access(&self.server, protocol.port())?;
        Ok(Endpoint { protocol, access })
    }
}

impl MessageOptions {
    /// Reads the payload from the argument, the file or standard input.
    pub fn payload(&self) -> Result<Vec<u8>, String> {
        let input = std::io::stdin();
        match (&self.file, self.payload.as_deref()) {
            (Some(file), _) => std::fs::read(file)
                .map_err(|error| format!("--file {} cannot be read: {error}", file.display())),
            (None, Some(payload)) if payload != "-" => Ok(payload.as_bytes().to_vec()),
            (None, None) if input.is_terminal() => Ok(Vec::new()),
            _ => {
                let mut payload = Vec::new();
                let read = input.lock().read_to_end(&mut payload);
                let failed = |error| format!("standard input cannot be read: {error}");
                read.map(|_| payload).map_err(failed)
            }
        }
    }
}

/// Checks that a subject can be sent: a blank would begin another word of the protocol.
pub fn check_subject(subject: &str) -> Result<(), String> {
    match subject.is_empty() || subject.contains(|it: char| it.is_whitespace() || it.is_control()) {
        true => Err(format!("{subject:?} is not a subject: it is empty or has a blank in it")),
        false => Ok(()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value))
            if !name.is_empty() && !name.contains(' ') && !text.contains(['\r', '\n']) =>
        {
            Ok((name.to_owned(), value.trim().to_owned()))
        }
        _ => Err("write it as NAME:VALUE".to_owned()),
    }
}
