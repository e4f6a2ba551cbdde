//! Datagrams in: each is checked, handed to the gateway, and answered if it asks for it.

use super::access::{Access, Grant};
use super::counters::Ingress;
use super::gateway::{Begun, Gateway, PushReceipt, PushRefusal};
use super::signatures::{Batch, Signatures, Trust};
use crate::codec::datagram::{
    Answer, Now, Push, ReplayError, Replays, Signed, append_answer, parse_push, wants_answer,
};
use crate::limits::{DATAGRAMS_PER_TURN, PUSH_DATAGRAM_BYTES, PUSH_RECEIVE_BUFFER_BYTES};
use crate::live::Live;
use crate::locks::lock;
use crate::tasks::{Scope, Wait, waiting};
use crate::time::now_ms;
use async_io::Async;
use futures_lite::future::yield_now;
use rustix::net::sockopt;
use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A socket that receives datagrams.
pub struct DatagramSocket {
    socket: Arc<Async<UdpSocket>>,
    local_address: SocketAddr,
}

impl DatagramSocket {
    /// Listens on `address`; port 0 picks a free port.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::of(UdpSocket::bind(address)?)
    }

    /// Reads from a socket that another program has opened.
    pub fn of(socket: UdpSocket) -> io::Result<Self> {
        let socket = Async::new(socket)?;
        // The system may give less, which only means that a burst loses more.
        let _ = sockopt::set_socket_recv_buffer_size(socket.get_ref(), PUSH_RECEIVE_BUFFER_BYTES);
        let local_address = socket.get_ref().local_addr()?;
        Ok(Self { socket: Arc::new(socket), local_address })
    }

    /// The address it listens on, with the port that was picked.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }
}

/// Reads datagrams and pushes what they say.
pub(super) struct Datagrams {
    pub socket: DatagramSocket,
    pub gateway: Arc<Gateway>,
    pub access: Live<Access>,
    pub replays: Arc<Mutex<Replays>>,
    /// Signed datagrams of this batch that were taken.
    pub taken: Vec<(u64, u128)>,
    /// Owns the pushes that have to wait.
    pub waiting: Arc<Scope>,
}

impl Datagrams {
    /// Reads for ever, a batch at a time. Other tasks get their turn after each.
    pub async fn read_all(mut self) {
        let signatures = Signatures::new(self.access.clone(), self.gateway.settings.timeout);
        let mut buffer = vec![0; PUSH_DATAGRAM_BYTES + 1];
        loop {
            let batch = match self.read_batch(&mut buffer).await {
                Ok(batch) => Arc::new(batch),
                Err(error) => {
                    log::error!("push: datagrams can no longer be read: {error}");
                    return;
                }
            };
            let trusts = signatures.check(&batch).await;
            for ((datagram, sender), trust) in batch.iter().zip(trusts) {
                self.take(datagram, sender, trust);
                // Counted last: whoever sees all datagrams counted sees their outcomes too.
                self.gateway.counters.datagrams.add(1);
            }
            self.remember();
            yield_now().await;
        }
    }

    /// The datagrams that have arrived, up to a bound. Waits for the first.
    async fn read_batch(&self, buffer: &mut [u8]) -> io::Result<Batch> {
        let mut batch = Batch::default();
        for _ in 0..DATAGRAMS_PER_TURN {
            match self.socket.socket.get_ref().recv_from(buffer) {
                Ok((bytes, sender)) => batch.push(&buffer[..bytes], sender),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && batch.len() > 0 => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    waiting(Wait::fixed("datagrams"), self.socket.socket.readable()).await?;
                }
                // Perhaps about an answer that could not be delivered.
                Err(error) => log::debug!("push: a datagram was not read: {error}"),
            }
        }
        Ok(batch)
    }

    fn remember(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        if let Some(stored) = self.gateway.stored.as_ref().filter(|_| !taken.is_empty()) {
            stored.remember(taken, &lock(&self.replays));
        }
    }

    fn take(&mut self, datagram: &[u8], sender: SocketAddr, trust: Trust) {
        let to = Sender { address: sender, request_bytes: datagram.len() };
        let Some((grant, text)) = self.admit(datagram, sender, trust) else { return };
        let counters = &self.gateway.counters;
        match parse_push(text) {
            Err(error) => {
                counters.udp.malformed.add(1);
                if wants_answer(text) {
                    self.refuse(to, &error);
                }
            }
            Ok(push) => match grant.push_to(push.target) {
                Err(denied) => {
                    counters.udp.denied.add(1);
                    if push.wants_answer {
                        self.refuse(to, &denied);
                    }
                }
                Ok(()) => self.push(&push, to),
            },
        }
    }

    /// The sender's rights, and its push. A sender that has not proved its identity gets `None`:
    /// the datagram is counted but not answered.
    fn admit<'d>(
        &mut self,
        datagram: &'d [u8],
        sender: SocketAddr,
        trust: Trust,
    ) -> Option<(Grant, &'d [u8])> {
        let counters = &self.gateway.counters;
        let refused = match trust {
            Trust::Unsigned if self.gateway.settings.takes_unsigned && is_local(sender) => {
                return Some((Grant::All, datagram));
            }
            Trust::Signed => return self.admit_signed(datagram),
            Trust::Unsigned => &counters.unsigned,
            Trust::Forged => &counters.forged,
            Trust::Oversized => &counters.oversized,
            Trust::Malformed => &counters.udp.malformed,
            Trust::Unchecked => &counters.udp.limited,
        };
        refused.add(1);
        None
    }

    /// A datagram whose signature is right, if it comes in time and for the first time.
    fn admit_signed<'d>(&mut self, datagram: &'d [u8]) -> Option<(Grant, &'d [u8])> {
        let counters = &self.gateway.counters;
        let signed = Signed::parse(datagram).ok().flatten()?;
        let key = self.access.get().key(signed.key_id)?.clone();
        let mut replays = lock(&self.replays);
        if let Err(error) = replays.take(&signed, now()) {
            let counter = match error {
                ReplayError::Stale | ReplayError::BeforeStart => &counters.stale,
                ReplayError::Replayed => &counters.replayed,
                ReplayError::Full => &counters.signatures_full,
            };
            counter.add(1);
            return None;
        }
        counters.signatures_remembered.set(replays.count());
        self.taken.push((signed.time_s, signed.fingerprint()));
        Some((Grant::Key(key), signed.push))
    }

    fn push(&self, push: &Push<'_>, to: Sender) {
        let given_id = push.id.is_some();
        // A sender that wants no answer waits for no acknowledgements.
        let push = Push { ack_wait_ms: push.ack_wait_ms.filter(|_| push.wants_answer), ..*push };
        match self.gateway.begin(Ingress::Udp, &push) {
            Ok(Begun::Done(handed_over)) if !handed_over.is_awaited() => {
                if push.wants_answer {
                    self.answer(to, Ok(&handed_over.receipt), given_id);
                }
            }
            Ok(begun) => {
                let answer_to = push.wants_answer.then_some(to);
                let (gateway, socket) = (self.gateway.clone(), self.socket.socket.clone());
                self.waiting.spawn("push", async move {
                    let result = match gateway.finish(begun).await {
                        Ok(handed_over) => Ok(gateway.settled(handed_over).await),
                        Err(refusal) => Err(refusal),
                    };
                    if let Some(to) = answer_to {
                        answer(&gateway, socket.get_ref(), to, result.as_ref(), given_id);
                    }
                });
            }
            Err(refusal) if push.wants_answer => self.answer(to, Err(&refusal), given_id),
            Err(_) => {}
        }
    }

    fn answer(&self, to: Sender, result: Result<&PushReceipt, &PushRefusal>, given_id: bool) {
        answer(&self.gateway, self.socket.socket.get_ref(), to, result, given_id);
    }

    fn refuse(&self, to: Sender, why: &(impl fmt::Display + fmt::Debug)) {
        send(&self.gateway, self.socket.socket.get_ref(), to, Answer::Refused(why));
    }
}

/// The sender of a datagram, and the bytes that an answer may have.
#[derive(Clone, Copy)]
struct Sender {
    address: SocketAddr,
    request_bytes: usize,
}

fn answer(
    gateway: &Gateway,
    socket: &UdpSocket,
    to: Sender,
    result: Result<&PushReceipt, &PushRefusal>,
    given_id: bool,
) {
    match result {
        Ok(receipt) => {
            let id = given_id.then_some(receipt.id.as_str());
            let PushReceipt { reached, missed, unstored, .. } = *receipt;
            let settled = receipt.settled.map(|settled| (settled.expired, settled.acknowledged));
            let answer = Answer::Accepted { reached, missed, settled, unstored, id };
            send(gateway, socket, to, answer);
        }
        Err(refusal) => send(gateway, socket, to, Answer::Refused(refusal)),
    }
}

/// Sends an answer, unless the kernel would make us wait: datagrams may be lost anyway.
fn send(gateway: &Gateway, socket: &UdpSocket, to: Sender, answer: Answer<'_>) {
    let mut bytes = Vec::new();
    append_answer(&mut bytes, answer, to.request_bytes);
    if !bytes.is_empty() && socket.send_to(&bytes, to.address).is_ok() {
        gateway.counters.answers.add(1);
    }
}

/// The clocks that judge signed datagrams.
pub(super) fn now() -> Now {
    Now { wall_ms: now_ms(), instant: Instant::now() }
}

/// Whether a peer is on this machine.
pub(super) fn is_local(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}
