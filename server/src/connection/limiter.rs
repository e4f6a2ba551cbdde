//! Limits on connections, in all and from one address.

use crate::counted::counted;
use crate::limits::{MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS};
use crate::locks::lock;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};

/// How many connections a [`ConnectionLimiter`] admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections in all.
    pub total: usize,
    /// Connections from one address (IPv6: from one /64).
    pub per_address: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: MAX_CONNECTIONS, per_address: MAX_CONNECTIONS_PER_ADDRESS }
    }
}

impl ConnectionLimits {
    /// The same bound for all and for one address.
    pub const fn from_anywhere(total: usize) -> Self {
        Self { total, per_address: total }
    }
}

/// Counts connections; clones share the count.
#[derive(Clone)]
pub struct ConnectionLimiter {
    counts: Arc<Mutex<Counts>>,
}

struct Counts {
    limits: ConnectionLimits,
    connections: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The bound that refused a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// [`ConnectionLimits::total`], with its value.
    Full(usize),
    /// [`ConnectionLimits::per_address`], with its value.
    AddressFull(usize),
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(limit) => {
                let connections = counted(limit, "connection");
                write!(out, "this server is full ({connections}); try again later")
            }
            Self::AddressFull(limit) => {
                let connections = counted(limit, "connection");
                write!(out, "your address has its {connections} already; close one first")
            }
        }
    }
}

impl ConnectionLimiter {
    /// A limiter that has admitted no connection yet.
    pub fn new(limits: ConnectionLimits) -> Self {
        let counts = Counts { limits, connections: 0, by_address: HashMap::new() };
        Self { counts: Arc::new(Mutex::new(counts)) }
    }

    /// Admits a connection, or says which bound refuses it.
    pub fn admit(&self, address: IpAddr) -> Result<Permit, Refusal> {
        let mut permit = self.admit_proxy()?;
        permit.count_for(address)?;
        Ok(permit)
    }

    /// Admits a connection that counts for no address until its proxy has named the client.
    pub fn admit_proxy(&self) -> Result<Permit, Refusal> {
        let mut counts = self.lock();
        let total = counts.limits.total;
        if counts.connections >= total {
            return Err(Refusal::Full(total));
        }
        counts.connections += 1;
        Ok(Permit { limiter: self.clone(), address: None })
    }

    /// The limiter's bounds.
    pub fn limits(&self) -> ConnectionLimits {
        self.lock().limits
    }

    /// Sets new bounds. Connections beyond them stay open.
    pub fn set_limits(&self, limits: ConnectionLimits) {
        self.lock().limits = limits;
    }

    /// The number of connections.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        lock(&self.counts)
    }
}

impl Counts {
    fn release(&mut self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

/// Counts one connection until it is dropped.
pub struct Permit {
    limiter: ConnectionLimiter,
    /// The address that the connection counts for.
    address: Option<IpAddr>,
}

impl Permit {
    /// Whether the connection counts for an address.
    pub fn has_address(&self) -> bool {
        self.address.is_some()
    }

    /// Counts the connection for this address from now on. If that address has all its connections
    /// already, nothing changes.
    pub fn count_for(&mut self, address: IpAddr) -> Result<(), Refusal> {
        let address = counted_address(address);
        if self.address == Some(address) {
            return Ok(());
        }
        let mut counts = self.limiter.lock();
        let per_address = counts.limits.per_address;
        if counts.by_address.get(&address).is_some_and(|&count| count >= per_address) {
            return Err(Refusal::AddressFull(per_address));
        }
        counts.release(self.address.replace(address));
        *counts.by_address.entry(address).or_default() += 1;
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.limiter.lock();
        counts.connections -= 1;
        counts.release(self.address.take());
    }
}

/// The address that a peer counts for: an IPv4 address in either notation, or the /64 of an IPv6
/// address, since a peer can choose the rest freely.
pub(crate) fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits { total: 3, per_address: 2 };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn it_counts_in_all_and_per_address_and_counts_down_again() {
        let limiter = ConnectionLimiter::new(LIMITS);
        let one = limiter.admit(address("10.0.0.1")).ok();
        let two = limiter.admit(address("::ffff:10.0.0.1")).ok();
        assert!(one.is_some() && two.is_some());
        assert_eq!(limiter.admit(address("10.0.0.1")).err(), Some(Refusal::AddressFull(2)));
        let _three = limiter.admit(address("10.0.0.2")).ok().unwrap();
        assert_eq!(limiter.admit(address("10.0.0.3")).err(), Some(Refusal::Full(3)));
        drop(one);
        assert!(limiter.admit(address("10.0.0.1")).is_ok());
        assert_eq!(limiter.connections(), 2);
        drop(two);
        assert_eq!(limiter.lock().by_address.len(), 1);
    }

    #[test]
    fn a_proxys_connection_counts_for_the_client_that_it_names() {
        let limiter = ConnectionLimiter::new(LIMITS);
        let mut proxied =
            [limiter.admit_proxy().ok().unwrap(), limiter.admit_proxy().ok().unwrap()];
        assert!(!proxied[0].has_address() && limiter.lock().by_address.is_empty());
        let own = limiter.admit(address("10.0.0.1")).ok().unwrap();
        assert_eq!(limiter.admit_proxy().err(), Some(Refusal::Full(3)));
        assert_eq!(proxied[0].count_for(address("10.0.0.1")), Ok(()));
        assert_eq!(proxied[1].count_for(address("10.0.0.1")), Err(Refusal::AddressFull(2)));
        assert_eq!(proxied[0].count_for(address("10.0.0.1")), Ok(()), "it counts already");
        assert_eq!(proxied[0].count_for(address("10.0.0.2")), Ok(()));
        assert_eq!(proxied[1].count_for(address("10.0.0.1")), Ok(()));
        drop((proxied, own));
        assert!(limiter.connections() == 0 && limiter.lock().by_address.is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let limiter = ConnectionLimiter::new(LIMITS);
        let _held = [
            limiter.admit(address("2001:db8::1")).ok(),
            limiter.admit(address("2001:db8::2")).ok(),
        ];
        assert_eq!(limiter.admit(address("2001:db8::3")).err(), Some(Refusal::AddressFull(2)));
        assert!(limiter.admit(address("2001:db8:0:1::1")).is_ok());
    }
}
