//! `fanfare pub`, `sub`, `request` and `reply`: single messages to and from any NATS server, in the
//! manner of its own command `nats`.

mod connection;
mod options;
mod publishing;
mod receiving;
mod show;

pub use options::{MessagesCommand, PubOptions, ReplyOptions, RequestOptions, SubOptions};
use std::io::Write;

/// Does what the command says, and writes what is received.
pub fn run(command: &MessagesCommand, output: &mut impl Write) -> Result<(), String> {
    match command {
        MessagesCommand::Pub(options) => publishing::publish(options),
        MessagesCommand::Sub(options) => receiving::subscribe(options, output),
        MessagesCommand::Request(options) => receiving::request(options, output),
        MessagesCommand::Reply(options) => receiving::reply(options, output),
    }
}
