//! Connections of the commands that are clients: they log in, subscribe, and wait for the effect.

use super::frames::Protocol;
use super::load::BenchError;
use crate::codec::nats::{Credentials, Proof};
use crate::login::Access;
use crate::transport::{ClientStream, Trust};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

/// A server, and how to log in.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// The protocol that the server speaks.
    pub protocol: Protocol,
    /// The address, the credentials, and TLS.
    pub access: Access,
}

/// The fields of an `INFO` that matter here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    tls_required: bool,
    tls_available: bool,
    nonce: String,
}

#[derive(Serialize)]
struct Connect<'c> {
    verbose: bool,
    pedantic: bool,
    lang: &'c str,
    name: &'c str,
    protocol: u8,
    headers: bool,
    no_responders: bool,
    #[serde(flatten)]
    proof: Proof<'c>,
}

/// How long an answer may take. A slower server is not worth measuring.
pub const PATIENCE: Duration = Duration::from_secs(20);

impl Endpoint {
    /// Connects and logs in, and waits for the server's answer.
    pub fn connect(&self) -> Result<Connection, BenchError> {
        let comes_first = self.access.tls_first || self.protocol == Protocol::Redis;
        let trust = self.access.trust.get().filter(|_| comes_first);
        let stream = ClientStream::connect(&self.access.address, trust, PATIENCE)
            .map_err(|error| format!("no connection to {}: {error}", self.access.address))?;
        let connection = self.over(stream);
        match self.protocol {
            Protocol::Nats => self.log_in_to_nats(connection),
            Protocol::Redis => connection.log_in_to_redis(&self.access.credentials),
        }
    }

    fn log_in_to_nats(&self, mut connection: Connection) -> Result<Connection, BenchError> {
        let info = connection.info()?;
        if let Some(trust) = self.trust_for(&info)?.filter(|_| !connection.stream().is_secure()) {
            let failed = |error| format!("no TLS with {}: {error}", self.access.address);
            let secure =
                connection.into_stream()?.secure(&self.access.address, trust).map_err(failed)?;
            connection = self.over(secure);
        }
        let connect = Connect {
            verbose: false,
            pedantic: false,
            lang: "rust",
            name: "fanfare",
            protocol: 1,
            headers: true,
            no_responders: true,
            proof: self.access.credentials.proof(&info.nonce),
        };
        // Flags and texts always are JSON.
        let connect = serde_json::to_string(&connect).unwrap_or_default();
        connection.send(&format!("CONNECT {connect}\r\n"))?;
        connection.sync()?;
        Ok(connection)
    }

    fn over(&self, stream: ClientStream) -> Connection {
        let address = self.access.address.clone();
        Connection { reader: BufReader::new(stream), protocol: self.protocol, address }
    }

    /// The trust for TLS if either side wants it. Read once for all connections.
    fn trust_for(&self, info: &Info) -> Result<Option<&Trust>, BenchError> {
        match self.access.trust.get() {
            Some(_) if !info.tls_required && !info.tls_available && !self.access.tls_first => {
                Err(format!("{} offers no TLS", self.access.address))
            }
            None if info.tls_required => {
                let trust = Trust::read(None, None).map_err(|error| error.to_string())?;
                Ok(Some(self.access.trust.get_or_init(|| trust)))
            }
            known => Ok(known),
        }
    }
}

/// A connection on which requests and answers take turns. For anything faster, take its socket.
#[derive(Debug)]
pub struct Connection {
    reader: BufReader<ClientStream>,
    protocol: Protocol,
    address: String,
}

impl Connection {
    /// Asks for what is published to `subject`.
    pub fn subscribe(&mut self, subject: &str) -> Result<(), BenchError> {
        match self.protocol {
            Protocol::Nats => self.send(&format!("SUB {subject} 1\r\n")),
            Protocol::Redis => {
                self.send(&format!(
                    "*2\r\n$9\r\nSUBSCRIBE\r\n${}\r\n{subject}\r\n",
                    subject.len()
                ))?;
                (0..6).try_for_each(|_| self.line().map(drop))
            }
        }
    }

    /// Subscribes, and waits until the server has dealt with it.
    pub fn subscribe_surely(&mut self, subject: &str) -> Result<(), BenchError> {
        self.subscribe(subject)?;
        match self.protocol {
            Protocol::Nats => self.sync(),
            // Its answer was waited for.
            Protocol::Redis => Ok(()),
        }
    }

    /// Waits until the server has dealt with everything sent so far.
    pub fn sync(&mut self) -> Result<(), BenchError> {
        match self.protocol {
            Protocol::Nats => {
                self.send("PING\r\n")?;
                loop {
                    match self.line()?.as_str() {
                        "PONG" => return Ok(()),
                        "PING" => self.send("PONG\r\n")?,
                        _ => {}
                    }
                }
            }
            // Publishers get an answer to this alone, and to nothing else afterwards.
            Protocol::Redis => {
                self.send("CLIENT REPLY ON\r\n")?;
                self.line()?;
                self.send("CLIENT REPLY OFF\r\n")
            }
        }
    }

    /// The stream, with nothing read from it yet.
    pub fn into_stream(self) -> Result<ClientStream, BenchError> {
        match self.reader.buffer() {
            [] => Ok(self.reader.into_inner()),
            more => {
                Err(format!("{} said unasked: {}", self.address, String::from_utf8_lossy(more)))
            }
        }
    }

    /// The stream and what was read from it, for programs that wait as long as it takes.
    pub fn into_reader(self) -> BufReader<ClientStream> {
        self.reader
    }

    /// Makes it a connection for publishing: Redis does not answer every message.
    pub fn for_publishing(&mut self) -> Result<(), BenchError> {
        match self.protocol {
            Protocol::Nats => Ok(()),
            Protocol::Redis => self.send("CLIENT REPLY OFF\r\n"),
        }
    }

    /// The stream, to write to.
    pub fn stream(&self) -> &ClientStream {
        self.reader.get_ref()
    }

    fn info(&mut self) -> Result<Info, BenchError> {
        // A server that begins with TLS waits for the client to do so.
        let silent = |said| format!("{said}; if it begins with TLS, add --tls --tls-first");
        let line = self.line().map_err(silent)?;
        let info = line.strip_prefix("INFO ").and_then(|json| serde_json::from_str(json).ok());
        info.ok_or_else(|| format!("{} does not speak NATS: {line:?}", self.address))
    }

    fn log_in_to_redis(mut self, credentials: &Credentials) -> Result<Self, BenchError> {
        match (credentials.password.as_ref(), credentials.token.as_ref()) {
            (Some(password), _) => {
                let user = credentials.user.as_deref().unwrap_or_default();
                self.send(&format!("AUTH {user} {password}\r\n"))?;
            }
            (None, Some(password)) => self.send(&format!("AUTH {password}\r\n"))?,
            (None, None) => return Ok(self),
        }
        self.line()?;
        Ok(self)
    }

    fn send(&mut self, text: &str) -> Result<(), BenchError> {
        let mut stream = self.stream();
        stream
            .write_all(text.as_bytes())
            .map_err(|error| format!("{} broke off: {error}", self.address))
    }

    /// The next line, without its end.
    fn line(&mut self) -> Result<String, BenchError> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => Err(format!("{} closed the connection", self.address)),
            Ok(_) if line.starts_with('-') => {
                Err(format!("{} said {}", self.address, line.trim_end()))
            }
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(format!("{} did not answer: {error}", self.address)),
        }
    }
}
