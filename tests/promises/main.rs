//! What the broker promises, promise by promise, and what its parts are for.
//!
//! Nothing here depends on how long something takes: waits are either endless and ended by hand, or
//! so short that nobody needs to watch them pass.

mod bounds;
mod bridges; // what leaves for another system, and what comes from it // 1: everything is bounded
mod budget; // 4: one budget a publish; 5: probation
mod cancelling; // 7: what a cancelled publish or receive leaves behind
mod closing; // close, drain, the last handle
mod endings; // subscriptions that end in numbers
mod features; // what the optional features add
mod grants; // 1: exact although credit is taken in advance
mod groups;
mod history;
mod leaks; // 7: what a dropped subscription leaves behind
mod mailboxes; // one queue for many subscriptions
mod order; // 3: order, waits included
mod panics; // payloads that panic where the broker calls them
mod policies; // 6: a policy per subscription
mod receipts; // 2: nothing is lost in silence
mod reentry; // payloads and wakers that come back to the broker
mod requests;
mod runtimes; // 8: any executor, or none
mod send; // 8: futures and handles move between threads
mod shapes; // messages past gaps, publishing in passing
mod statistics;
mod topics;
