//! What nats-server does at the edges of its client protocol, rule by rule, byte by byte. The same
//! cases run against Debian's nats-server 2.9.10, or the newest where that says more, which shows
//! that the rules are right, and against Fanfare.

/// Makes two tests of each rule: `rule::nats_server` and `rule::fanfare`. A rule is a function that
/// is handed a server with the settings at the head of the list.
macro_rules! rules {
    ($settings:expr; $($rule:ident),+ $(,)?) => {
        $(mod $rule {
            use crate::start;
            use testkit::nats::server::Kind;
            #[allow(unused_imports)] // the settings' names
            use super::*;

            #[test]
            fn nats_server() {
                start(Kind::NatsServer, &$settings).into_iter().for_each(super::$rule);
            }

            #[test]
            fn fanfare() {
                start(Kind::Fanfare, &$settings).into_iter().for_each(super::$rule);
            }
        })+
    };
}

mod accepted;
mod accounts;
mod authentication;
mod certificates;
mod closed_silently;
mod configured;
mod ended_with_an_error;
mod headers;
mod limits;
mod newest;
mod nkeys;
mod permissions;
mod process;
mod reload;
mod subscriptions;
mod warned;
