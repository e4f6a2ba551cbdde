//! `fanfare bench`: how fast a server is, seen from its clients. It loads any NATS server (or
//! Redis, for comparison) over sockets, counts every message, checks that each came once and in
//! order, and says what it cost the client itself.
//!
//! Threads that block, and one `poll` for many sockets: on a machine with few cores the client
//! takes cores from the server, so it has to be cheap. It takes about one core all the same.

pub mod ceiling;
pub mod connection;
pub mod frames;
pub mod load;
pub mod options;
mod publishing;
mod reading;
pub mod report;
pub mod round_trips;
pub mod run;

use crate::progress;
use ceiling::ceiling;
use clap::ValueEnum;
use connection::Endpoint;
use load::{BenchError, Listening, Load};
pub use options::BenchOptions;
use options::{Format, Mode};
use report::Row;
use round_trips::{RoundTrips, round_trips};
use run::{listen, publish, run};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, Write};
use std::time::Duration;

/// Measures what `options` say, and writes the result.
pub fn measure(options: &BenchOptions, output: &mut impl Write) -> Result<(), BenchError> {
    raise_open_files();
    let rows = rows(options)?;
    write(options, &rows, output).map_err(|error| format!("the result cannot be written: {error}"))
}

/// Lets this process have as many connections as the system allows it.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, a connection too many says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

fn write(options: &BenchOptions, rows: &[Row], output: &mut impl Write) -> io::Result<()> {
    match options.format {
        Format::Table => report::write_table(rows, output),
        Format::Json => report::write_json(rows, output),
        Format::Csv => report::write_csv(rows, output),
    }
}

fn rows(options: &BenchOptions) -> Result<Vec<Row>, BenchError> {
    let endpoint = options.endpoint()?;
    let modes = match options.mode {
        Mode::All => &[Mode::Pub, Mode::FanOut, Mode::Request, Mode::Latency, Mode::Ceiling][..],
        ref mode => std::slice::from_ref(mode),
    };
    modes.iter().map(|mode| row(*mode, options, &endpoint)).collect()
}

fn row(mode: Mode, options: &BenchOptions, endpoint: &Endpoint) -> Result<Row, BenchError> {
    let name = mode.to_possible_value().map_or_else(String::new, |it| it.get_name().to_owned());
    let duration = Duration::from_secs_f64(options.seconds);
    progress::during(&name, duration, || measured_row(mode, options, endpoint))
}

fn measured_row(
    mode: Mode,
    options: &BenchOptions,
    endpoint: &Endpoint,
) -> Result<Row, BenchError> {
    let load = options.load();
    match mode {
        Mode::Pub => Ok(Row::throughput("pub", &load, &publish(endpoint, &load)?)),
        Mode::Sub => {
            let listening = Listening {
                subject: options.subject.clone(),
                subscribers: load.subscribers,
                duration: Duration::from_secs_f64(options.seconds),
            };
            Ok(Row::throughput("sub", &load, &listen(endpoint, &listening)?))
        }
        Mode::FanOut | Mode::All => Ok(Row::throughput("fan-out", &load, &run(endpoint, &load)?)),
        Mode::Request => {
            let Load { duration, payload_bytes, .. } = load;
            let what = RoundTrips { duration, payload_bytes, in_flight: 1 };
            Ok(Row::round_trips(&what, round_trips(endpoint, &what)?))
        }
        Mode::Latency => {
            let load = Load { rate: Some(options.rate), batch: 1, publishers: 1, ..load };
            Ok(Row::latency(&load, &run(endpoint, &load)?))
        }
        Mode::Ceiling => Ok(Row::throughput("ceiling", &load, &ceiling(&load)?)),
    }
}
