//! Connections that come and go: connect, subscribe, publish, hear it, quit.

use super::process::open_files;
use fanfare_server::bench::connection::{Endpoint, PATIENCE};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Clients side by side.
const THREADS: usize = 4;

const TALK: &[u8] =
    b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB cycle.> 1\r\nPUB cycle.x 5\r\nhello\r\n\
      UNSUB 1\r\nPING\r\n";
const HEARD: &[u8] = b"MSG cycle.x 1 5\r\nhello\r\n";

/// Does `cycles` of them; gives how many a second.
///
/// # Errors
/// When the server does not answer as it should.
pub fn run(endpoint: &Endpoint, cycles: usize) -> Result<f64, String> {
    let begin = Instant::now();
    let each = cycles.div_ceil(THREADS);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| (0..each).try_for_each(|_| once(&endpoint.access.address))))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err("a client panicked".to_owned()))
        })
    })?;
    Ok((each * THREADS) as f64 / begin.elapsed().as_secs_f64())
}

fn once(address: &str) -> Result<(), String> {
    let talk = || -> std::io::Result<Vec<u8>> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.write_all(TALK)?;
        let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
        while !said.ends_with(b"PONG\r\n") {
            match socket.read(&mut buffer)? {
                0 => break,
                read_bytes => said.extend_from_slice(&buffer[..read_bytes]),
            }
        }
        Ok(said)
    };
    let said = talk().map_err(|error| format!("a connection failed: {error}"))?;
    // Others publish too, so it may come more than once.
    let is_heard =
        said.windows(HEARD.len()).any(|window| window == HEARD) && said.ends_with(b"PONG\r\n");
    if is_heard {
        Ok(())
    } else {
        Err(format!("a client heard {:?}", String::from_utf8_lossy(&said)))
    }
}

/// Waits until the server has no more files open than before; gives how many more are left after a
/// while.
///
/// # Errors
/// When the system does not tell.
pub fn files_left(process: u32, before: usize) -> Result<usize, String> {
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        let more = open_files(process)?.saturating_sub(before);
        if more == 0 || Instant::now() > end {
            return Ok(more);
        }
        thread::park_timeout(Duration::from_millis(10));
    }
}
