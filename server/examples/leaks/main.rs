//! Five leaks, one of each kind that a messaging server meets, each beside its cure.
//!
//! ```text
//! cargo run --release --example leaks              # all of them
//! cargo run --release --example leaks -- chat blog
//! ```

mod blog;
mod broker;
mod chat;
mod figures;
mod gateway;
mod tools;

use std::process::ExitCode;

const LEAKS: [(&str, fn()); 5] = [
    ("chat", chat::main),
    ("broker", broker::main),
    ("blog", blog::main),
    ("gateway", gateway::main),
    ("tools", tools::main),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    if let Some(unknown) = wanted.iter().find(|one| LEAKS.iter().all(|(name, _)| name != one)) {
        eprintln!("there is no leak {unknown}, only {}", LEAKS.map(|(name, _)| name).join(", "));
        return ExitCode::FAILURE;
    }
    LEAKS.into_iter().filter(|(name, _)| is_wanted(name)).for_each(|(_, run)| run());
    ExitCode::SUCCESS
}
