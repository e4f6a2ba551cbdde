//! Pushes as datagrams, which a shell can write: `user:42 hello`, or `user:42;id=o-17;ttl=30;reply
//! hello`.
//!
//! ```text
//! datagram  = push / "signed " MAC " " KEY-ID " " TIME " " NONCE " " push
//! push      = target *(";" option) " " payload
//! target    = "user:" NAME / "group:" NAME / "all" / "topic:" TOPIC
//! option    = "id=" ID / "ttl=" SECONDS / "ack" / "ack=" MILLISECONDS / "reply"
//! ```
//!
//! The payload is everything after the first space of the push, whatever the bytes: `echo` adds a
//! line end to it. The [signed] form proves who sent a datagram; [`Replays`] recognises one that
//! was sent before.

mod answer;
mod push;
mod replays;
pub mod signed;

pub use answer::{Answer, append_answer};
pub use push::{Push, PushError, Target, is_name, parse_push, wants_answer};
pub use replays::{Now, Remembered, ReplayError, Replays};
pub use signed::{Malformed, Signed};

#[cfg(test)]
mod fuzz;
