//! How many files the system lets this process open, and so how many connections each front-end can
//! have.

use crate::config::Config;
use crate::limits::RESERVED_FILE_DESCRIPTORS;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit on open files as far as it goes, and shares out what there is among the
/// front-ends that listen. Returns the front-ends that get fewer connections than configured, each
/// with its number.
pub fn fit(config: &mut Config) -> Vec<(&'static str, usize)> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let allowed = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // None means that there is no limit.
    let Some(allowed) = allowed else { return Vec::new() };
    // Where there are few, the front-ends for clients get half of them all the same.
    let free = allowed - RESERVED_FILE_DESCRIPTORS.min(allowed / 2);
    let push = &mut config.push;
    // Clients by WebSocket have as many connections again.
    let mut by_web_socket = config.nats.connections.total;
    let web_socket = config.nats.web_socket.as_ref().map(|web_socket| web_socket.address);
    let mut front_ends = vec![
        ("chat", config.chat_address, &mut config.chat.connections.total),
        ("nats", config.nats_address, &mut config.nats.connections.total),
        ("nats-websocket", web_socket, &mut by_web_socket),
        ("push", push.address, &mut push.settings.connections.total),
        ("push-http", push.http_address, &mut push.http_connections.total),
    ];
    front_ends.retain(|(_, address, _)| address.is_some());
    let wanted: Vec<usize> = front_ends.iter().map(|(_, _, connections)| **connections).collect();
    let shares = shares(usize::try_from(free).unwrap_or(usize::MAX), &wanted);
    let mut lowered = Vec::new();
    for ((name, _, connections), share) in front_ends.into_iter().zip(shares) {
        if share < *connections {
            *connections = share;
            lowered.push((name, share));
        }
    }
    lowered
}

/// Shares out `free`: whoever wants no more than an equal share gets it, and the others share the
/// rest equally. Everybody gets at least one.
fn shares(free: usize, wanted: &[usize]) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..wanted.len()).collect();
    by_size.sort_by_key(|&front_end| wanted[front_end]);
    let mut shares = vec![0; wanted.len()];
    let mut left = free;
    for (served, front_end) in by_size.into_iter().enumerate() {
        shares[front_end] = wanted[front_end].min(left / (wanted.len() - served)).max(1);
        left = left.saturating_sub(shares[front_end]);
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_ends_share_what_there_is() {
        assert_eq!(shares(128, &[10_000; 4]), [32; 4]);
        assert_eq!(shares(128, &[10_000, 8, 10_000]), [60, 8, 60]);
        assert_eq!(shares(50_000, &[10_000, 20_000]), [10_000, 20_000]);
        assert_eq!(shares(0, &[10_000, 10_000]), [1, 1]);
    }
}
