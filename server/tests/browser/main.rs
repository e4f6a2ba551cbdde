//! The pages in a real browser. Apart from the other tests: what goes on here would fill the
//! profiles that those look at.

mod chat_and_push;
mod dashboard;
mod nats;
