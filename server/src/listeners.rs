//! The sockets that the server listens on, opened before anything runs.

use fanfare_server::config::{AdminConfig, Config};
use fanfare_server::connection::{ConnectionLimiter, ConnectionLimits, Listener};
use fanfare_server::file_descriptors;
use fanfare_server::limits::ADMIN_CONNECTIONS;
use fanfare_server::push::DatagramSocket;
use fanfare_server::transport::Identity;
use listenfd::ListenFd;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// The listening sockets; `None` for those that are off.
pub struct Listeners {
    pub chat: Option<Listener>,
    pub nats: Option<Listener>,
    pub nats_web_socket: Option<Listener>,
    pub push: Option<Listener>,
    pub push_datagrams: Option<DatagramSocket>,
    pub push_http: Option<Listener>,
    pub admin: Option<Listener>,
    /// Settings that could not be met, to be logged once the server runs.
    pub warnings: Vec<String>,
}

impl Listeners {
    /// Opens all listeners, or says which one cannot be opened.
    pub fn open(config: &mut Config) -> Result<Self, String> {
        let mut warnings = Vec::from_iter(fit(config));
        let mut inherited = Inherited::from_environment()?;
        let push = &config.push;
        let proxies = &config.proxies;
        let mut listener = |flag, address: Option<SocketAddr>, limits| {
            let open = |address| inherited.listener(flag, address, limits);
            let opened = address.map(open).transpose()?;
            Ok::<_, String>(opened.map(|listener| listener.behind(proxies.clone())))
        };
        let chat = listener("--chat", config.chat_address, config.chat.connections)?;
        // Before NATS, as nats-server opens them: a client that reaches NATS finds the other open.
        let web_socket = config.nats.web_socket.as_ref().map(|web_socket| web_socket.address);
        let nats_web_socket = listener("--nats-websocket", web_socket, config.nats.connections)?;
        let nats = listener("--nats", config.nats_address, config.nats.connections)?;
        let tcp = listener("--push", push.address, push.settings.connections)?;
        let http = listener("--push-http", push.http_address, push.http_connections)?;
        let admin = inherited.admin(&config.admin, &mut warnings)?;
        let admin = admin.map(|listener| listener.behind(proxies.clone()));
        let udp = push.udp_address.map(|address| inherited.datagrams(address)).transpose()?;
        inherited.all_are_taken()?;
        let secure = |listener: Option<Listener>, tls: Option<&Identity>| {
            listener.map(|listener| listener.with_tls(tls.cloned()))
        };
        let of_web_socket = config.nats.web_socket.as_ref().and_then(|it| it.tls.as_ref());
        Ok(Self {
            chat: secure(chat, config.chat_tls.as_ref()),
            // NATS greets its clients before the TLS handshake.
            nats,
            nats_web_socket: secure(nats_web_socket, of_web_socket),
            push: secure(tcp, config.push.tls.as_ref()),
            push_datagrams: udp,
            push_http: secure(http, config.push.http_tls.as_ref()),
            admin: secure(admin, config.admin.tls.as_ref()),
            warnings,
        })
    }

    /// The limiters of the listeners that have a setting for them.
    pub fn limiters(&self) -> Vec<(&'static str, ConnectionLimiter)> {
        let listeners = [
            ("chat", &self.chat),
            ("nats", &self.nats),
            ("push", &self.push),
            ("push-http", &self.push_http),
        ];
        let limiter = |listener: &Listener| listener.limiter().clone();
        let open = listeners
            .into_iter()
            .filter_map(|(name, listener)| Some((name, listener.as_ref().map(limiter)?)));
        open.collect()
    }
}

/// Sockets that systemd opened for us. Each goes to the listener configured for its address, so the
/// rules for addresses hold for them too.
struct Inherited {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
}

impl Inherited {
    fn from_environment() -> Result<Self, String> {
        let (mut passed, mut inherited) =
            (ListenFd::from_env(), Self { tcp: Vec::new(), udp: Vec::new() });
        for index in 0..passed.len() {
            if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
                inherited.tcp.push(socket);
            } else if let Ok(Some(socket)) = passed.take_udp_socket(index) {
                inherited.udp.push(socket);
            } else {
                return Err(format!("socket {index} of LISTEN_FDS is neither TCP nor UDP"));
            }
        }
        Ok(inherited)
    }

    fn listener(
        &mut self,
        flag: &str,
        address: SocketAddr,
        limits: ConnectionLimits,
    ) -> Result<Listener, String> {
        let is_it = |socket: &TcpListener| socket.local_addr().is_ok_and(|it| it == address);
        let index = self.tcp.iter().position(is_it);
        let opened = match index.map(|index| self.tcp.swap_remove(index)) {
            Some(socket) => Listener::of(socket, limits),
            None => Listener::bind(address, limits),
        };
        opened.map_err(|error| not_opened(flag, address, &error))
    }

    fn datagrams(&mut self, address: SocketAddr) -> Result<DatagramSocket, String> {
        let is_it = |socket: &UdpSocket| socket.local_addr().is_ok_and(|it| it == address);
        let index = self.udp.iter().position(is_it);
        let opened = match index.map(|index| self.udp.swap_remove(index)) {
            Some(socket) => DatagramSocket::of(socket),
            None => DatagramSocket::bind(address),
        };
        opened.map_err(|error| not_opened("--push-udp", address, &error))
    }

    /// Opens the admin listener. If another program has the port, that is an error only if the
    /// listener was asked for.
    fn admin(
        &mut self,
        config: &AdminConfig,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Listener>, String> {
        let Some(address) = config.address else { return Ok(None) };
        let limits = ConnectionLimits::from_anywhere(ADMIN_CONNECTIONS);
        match self.listener("--admin", address, limits) {
            Err(problem) if !config.is_asked_for => {
                warnings.push(format!("no admin listener: {problem}"));
                Ok(None)
            }
            opened => opened.map(Some),
        }
    }

    /// Refuses a socket that no listener takes: its clients would wait for ever.
    fn all_are_taken(&self) -> Result<(), String> {
        let tcp = self.tcp.iter().map(TcpListener::local_addr);
        match tcp.chain(self.udp.iter().map(UdpSocket::local_addr)).next() {
            Some(Ok(address)) => Err(format!(
                "LISTEN_FDS has a socket on {address}, but no listener is set to that address; \
                 set one to it"
            )),
            Some(Err(error)) => Err(format!("a socket of LISTEN_FDS has no address: {error}")),
            None => Ok(()),
        }
    }
}

fn not_opened(flag: &str, address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{flag} {address} is in use by another program; choose another port, or 0")
        }
        _ => format!("{flag} {address} cannot be listened on: {error}"),
    }
}

/// Lowers the limits on connections to what the system allows, and says which were lowered.
pub fn fit(config: &mut Config) -> Option<String> {
    let lowered = file_descriptors::fit(config);
    let lowered: Vec<String> =
        lowered.iter().map(|(listener, share)| format!("{listener} {share}")).collect();
    let lowered = lowered.join(", ");
    let told = "raise it with ulimit -n";
    let warning =
        format!("the limit on open files allows only these connections: {lowered}; {told}");
    (!lowered.is_empty()).then_some(warning)
}
