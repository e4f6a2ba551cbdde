//! The reference of all options, `docs/configuration.md`, made from what clap knows of them.

use super::{CommandLine, SubCommand};
use clap::{Arg, Command, CommandFactory, Subcommand};
use std::fmt::Write;

const INTRODUCTION: &str = r#"# Configuration

<!-- Generated from the declarations in server/src/config by one of its tests:
     FANFARE_WRITE_DOCS=1 cargo test -p fanfare-server --lib reference -->

Every setting of the server has one name. As a flag it is `--chat-line-bytes 4096`; in a TOML file
given with `--config FILE` it is `chat-line-bytes = 4096`. A flag wins over the environment, the
environment over the file, and the file over the default. `fanfare --print-bounds` prints how much
memory clients can make the server hold with the settings given.

Names that end in `-ms` are in milliseconds, in `-s` in seconds, in `-bytes` in bytes. A mistake is
reported in one sentence that names the flag, or the file and line, and the exit code is 2.

```toml
chat = "127.0.0.1:7100"
log = "warn"
chat-lines-per-second = 20
chat-history-lines = 500
```

With the feature `smol` the binary runs on smol's executor instead of async-std's:
`cargo run --release --features smol`.
"#;

/// The reference as Markdown.
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    let root = CommandLine::command();
    let mut headings: Vec<&str> = Vec::new();
    for flag in flags(&root) {
        let heading = flag.get_help_heading().unwrap_or("Server");
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let in_section = |flag: &&Arg| flag.get_help_heading().unwrap_or("Server") == heading;
        section(&mut text, heading, flags(&root).filter(in_section));
    }
    let commands = SubCommand::augment_subcommands(Command::new("fanfare"));
    for command in commands.get_subcommands().filter(|command| command.get_name() != "serve") {
        section(&mut text, &format!("`fanfare {}`", command.get_name()), flags(command));
    }
    text
}

fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|flag| !["help", "version"].contains(&flag.get_id().as_str()))
}

fn section<'a>(text: &mut String, heading: &str, flags: impl Iterator<Item = &'a Arg>) {
    let head = "| name | default | environment | meaning |\n|---|---|---|---|";
    let _ = writeln!(text, "\n## {heading}\n\n{head}");
    for flag in flags {
        let code = |text: String| if text.is_empty() { text } else { format!("`{text}`") };
        let name = match flag.get_long() {
            Some(long) => long.to_owned(),
            None => flag.get_value_names().unwrap_or_default().join(" "),
        };
        let defaults: Vec<_> =
            flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let environment = flag.get_env().unwrap_or_default().to_string_lossy().into_owned();
        let mut meaning = flag.get_help().map(ToString::to_string).unwrap_or_default();
        let values = flag.get_possible_values();
        if flag.get_action().takes_values() && !values.is_empty() {
            let names: Vec<_> =
                values.iter().map(|value| format!("`{}`", value.get_name())).collect();
            let _ = write!(meaning, ": {}", names.join(", "));
        }
        let _ = writeln!(
            text,
            "| `{name}` | {} | {} | {} |",
            code(defaults.join(" ")),
            code(environment),
            meaning.replace('|', "\\|")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `FANFARE_WRITE_DOCS` in the environment, writes the page instead of checking it.
    #[test]
    fn the_reference_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        if std::env::var_os("FANFARE_WRITE_DOCS").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        let message = "docs/configuration.md is stale: its first lines say how to write it";
        assert!(written == reference(), "{message}");
        let help = CommandLine::command().render_help().to_string();
        for flag in flags(&CommandLine::command()).filter_map(Arg::get_long) {
            assert!(help.contains(&format!("--{flag} ")) || help.contains(&format!("--{flag}\n")));
        }
    }
}
