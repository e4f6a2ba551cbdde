//! The pages and files that are generated from the declarations of the settings.

use super::command_line::{CommandLine, SubCommand};
use super::table::{Setting, TABLES};
use clap::{Arg, Command, CommandFactory, Subcommand};
use std::fmt::Write;

const INTRODUCTION: &str = r#"# Configuration

<!-- Generated from the declarations in server/src/config by one of its tests:
     FANFARE_WRITE_DOCS=1 cargo test -p fanfare-server --lib reference -->

Every setting of the server can be given in three ways. They are made from one declaration, so they
take the same values:

- as a flag: `--chat-line-bytes 4096`;
- in the environment: `FANFARE_CHAT_LINE_BYTES=4096`;
- in a TOML file given with `--config FILE` (or `FANFARE_CONFIG`): `line-bytes = 4096` in `[chat]`.

A flag wins over the environment, the environment over the file, and the file over the default.
[fanfare.example.toml](../fanfare.example.toml) has every setting with its default.

```toml
log = "warn"

[chat]
address = "127.0.0.1:7100"
lines-per-second = 20
history-lines = 500
```

Names that end in `-ms` are in milliseconds, in `-s` in seconds, in `-bytes` in bytes. A mistake is
reported in one sentence that names the flag, the variable, or the file and line, and the exit code
is 2. `fanfare --check-config` checks everything and starts nothing; `fanfare --print-config` prints
each setting in force and where it was set; `fanfare --print-bounds` prints how much memory clients
can make the server hold.

Other users of the machine can read the flags of a process, so the server warns of a secret given as
one. Give secrets in the environment, or in a file of their own: `--nats-password-file FILE`.

On SIGHUP (`systemctl reload fanfare`) the server reads everything again. It takes over the settings
marked *Reloaded*, and the users, keys, tokens and certificates in the files that the settings name;
whoever is connected stays so. It names in the log what has changed and needs a restart. If there is
a mistake, nothing changes, and the log says why.

With the feature `smol` the binary runs on smol's executor instead of async-std's:
`cargo run --release --features smol`. How many threads run the tasks is told in
[operations](operations.md#how-many-threads).
"#;

/// The reference as Markdown.
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for table in &TABLES {
        let settings = table.settings();
        let Some(heading) = settings.first().and_then(|first| first.declared.get_help_heading())
        else {
            continue;
        };
        let of_table = match table.name {
            "" => String::new(),
            name if table.is_repeated => format!(": `[[{name}]]`, once for each"),
            name => format!(": `[{name}]`"),
        };
        let _ = writeln!(text, "\n## {heading}{of_table}\n");
        text.push_str("| in the file | as a flag | default | meaning |\n|---|---|---|---|\n");
        for setting in settings {
            let Setting { key, name, .. } = &setting;
            let default = setting.default().map(|default| format!("`{default}`"));
            let default = default.unwrap_or_default();
            let mut help = setting.help().replace('|', "\\|");
            help.push_str(if setting.is_reloaded { ". Reloaded" } else { "" });
            let _ = writeln!(text, "| `{key}` | `--{name}` | {default} | {help} |");
        }
    }
    let commands = SubCommand::augment_subcommands(Command::new("fanfare"));
    for command in commands.get_subcommands().filter(|command| command.get_name() != "serve") {
        section(&mut text, command);
    }
    text
}

fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|flag| !["help", "version"].contains(&flag.get_id().as_str()))
}

fn section(text: &mut String, command: &Command) {
    let head = "| name | default | meaning |\n|---|---|---|";
    let _ = writeln!(text, "\n## `fanfare {}`\n\n{head}", command.get_name());
    for flag in flags(command) {
        let name = match flag.get_long() {
            Some(long) => long.to_owned(),
            None => flag.get_value_names().unwrap_or_default().join(" "),
        };
        let defaults: Vec<_> =
            flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = match defaults.is_empty() {
            true => String::new(),
            false => format!("`{}`", defaults.join(" ")),
        };
        let mut meaning = flag.get_help().map(ToString::to_string).unwrap_or_default();
        let values = flag.get_possible_values();
        if flag.get_action().takes_values() && !values.is_empty() {
            let names: Vec<_> =
                values.iter().map(|value| format!("`{}`", value.get_name())).collect();
            let _ = write!(meaning, ": {}", names.join(", "));
        }
        let _ = writeln!(text, "| `{name}` | {default} | {} |", meaning.replace('|', "\\|"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::listing::example;

    /// With `FANFARE_WRITE_DOCS` in the environment, writes the file instead of checking it.
    #[track_caller]
    fn assert_fresh(name: &str, text: &str) {
        let path = format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("FANFARE_WRITE_DOCS").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        let how = "FANFARE_WRITE_DOCS=1 cargo test -p fanfare-server --lib reference";
        assert!(written == text, "{name} is stale; write it with {how}");
    }

    #[test]
    fn the_reference_is_up_to_date() {
        assert_fresh("docs/configuration.md", &reference());
        let help = CommandLine::command().render_help().to_string();
        for flag in flags(&CommandLine::command()).filter_map(Arg::get_long) {
            assert!(help.contains(&format!("--{flag} ")) || help.contains(&format!("--{flag}\n")));
        }
    }

    #[test]
    fn the_example_is_up_to_date() {
        assert_fresh("fanfare.example.toml", &example());
    }
}
