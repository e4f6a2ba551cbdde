//! Getting in, subscribing, and making sure that it has happened.

use super::BenchError;
use super::frames::Protocol;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A server, and how to get in.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// `HOST:PORT`
    pub address: String,
    /// The protocol that the server speaks.
    pub protocol: Protocol,
    /// How to log in.
    pub login: Login,
}

/// The credentials that the client gives.
#[derive(Clone, Debug, Default)]
pub enum Login {
    #[default]
    /// Without credentials.
    None,
    /// A user name and a password.
    User(String, String),
    /// A token.
    Token(String),
}

impl Login {
    /// What the flags say.
    pub fn of(user: &Option<String>, password: &Option<String>, token: &Option<String>) -> Self {
        match (user, password, token) {
            (Some(user), Some(password), _) => Self::User(user.clone(), password.clone()),
            (_, _, Some(token)) => Self::Token(token.clone()),
            _ => Self::None,
        }
    }
}

/// How long an answer may take. A slower server is not worth measuring.
pub const PATIENCE: Duration = Duration::from_secs(20);

impl Endpoint {
    /// Connects and logs in, and waits for the server's answer.
    ///
    /// # Errors
    /// Why it did not work.
    pub fn connect(&self) -> Result<Connection, BenchError> {
        let failed = |error: std::io::Error| format!("no connection to {}: {error}", self.address);
        let socket = TcpStream::connect(&self.address).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        socket.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        let reader = BufReader::new(socket);
        let mut connection =
            Connection { reader, protocol: self.protocol, address: self.address.clone() };
        match self.protocol {
            Protocol::Nats => connection.log_in_to_nats(&self.login)?,
            Protocol::Redis => connection.log_in_to_redis(&self.login)?,
        }
        Ok(connection)
    }
}

/// A connection that is asked and answers in turn. For anything faster, take its socket.
#[derive(Debug)]
pub struct Connection {
    reader: BufReader<TcpStream>,
    protocol: Protocol,
    address: String,
}

impl Connection {
    /// Asks for what is published to `subject`.
    ///
    /// # Errors
    /// What the server said instead.
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
    ///
    /// # Errors
    /// As there.
    pub fn subscribe_surely(&mut self, subject: &str) -> Result<(), BenchError> {
        self.subscribe(subject)?;
        match self.protocol {
            Protocol::Nats => self.sync(),
            // Its answer was waited for.
            Protocol::Redis => Ok(()),
        }
    }

    /// Waits until the server has dealt with everything sent so far.
    ///
    /// # Errors
    /// What the server said instead.
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

    /// The socket, with nothing read from it yet.
    ///
    /// # Errors
    /// When the server said more than it was asked.
    pub fn into_socket(self) -> Result<TcpStream, BenchError> {
        match self.reader.buffer() {
            [] => Ok(self.reader.into_inner()),
            more => {
                Err(format!("{} said unasked: {}", self.address, String::from_utf8_lossy(more)))
            }
        }
    }

    /// The socket and what was read from it, for programs that wait as long as it takes.
    pub fn into_reader(self) -> BufReader<TcpStream> {
        self.reader
    }

    /// Makes it a connection for publishing: Redis does not answer every message.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn for_publishing(&mut self) -> Result<(), BenchError> {
        match self.protocol {
            Protocol::Nats => Ok(()),
            Protocol::Redis => self.send("CLIENT REPLY OFF\r\n"),
        }
    }

    /// The socket, to write to.
    pub fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    fn log_in_to_nats(&mut self, login: &Login) -> Result<(), BenchError> {
        let info = self.line()?;
        if info.contains("\"tls_required\":true") {
            return Err(format!("{} wants TLS, which this client does not speak", self.address));
        }
        let login = match login {
            Login::None => String::new(),
            Login::User(user, password) => {
                format!(",\"user\":{},\"pass\":{}", json(user), json(password))
            }
            Login::Token(token) => format!(",\"auth_token\":{}", json(token)),
        };
        let options =
            r#""verbose":false,"pedantic":false,"lang":"rust","name":"fanfare","protocol":1"#;
        let options = format!(r#"{options},"headers":true,"no_responders":true"#);
        self.send(&format!("CONNECT {{{options}{login}}}\r\n"))?;
        self.sync()
    }

    fn log_in_to_redis(&mut self, login: &Login) -> Result<(), BenchError> {
        match login {
            Login::None => return Ok(()),
            Login::User(user, password) => self.send(&format!("AUTH {user} {password}\r\n"))?,
            Login::Token(password) => self.send(&format!("AUTH {password}\r\n"))?,
        }
        self.line().map(drop)
    }

    fn send(&mut self, text: &str) -> Result<(), BenchError> {
        let written = self.reader.get_mut().write_all(text.as_bytes());
        written.map_err(|error| format!("{} broke off: {error}", self.address))
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

/// Text as JSON writes it.
fn json(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)))
            }
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::json;

    #[test]
    fn a_password_may_hold_anything() {
        assert_eq!(json("a\"b\\c\u{e9}\n"), "\"a\\\"b\\\\c\u{e9}\\u000a\"");
    }
}
