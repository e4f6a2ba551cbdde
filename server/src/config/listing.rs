//! The settings as a settings file: those in force (`--print-config`), and all there are
//! (`fanfare.example.toml`).

use super::settings::Settings;
#[cfg(test)]
use super::table::Setting;
use super::table::{TABLES, Table};
use std::fmt::Write;

/// Where a comment behind a setting begins.
const COMMENT_COLUMN: usize = 40;

/// Each setting in force, and where it was set. A server that is given this file has the same
/// settings, but for the secrets, which are left out.
pub fn in_force(settings: &Settings) -> String {
    let mut text = String::from("# The settings in force, and where each was set.\n");
    for table in &TABLES {
        let many = if table.is_repeated { usize::MAX } else { 1 };
        settings.each().take(many).for_each(|settings| one_in_force(&mut text, table, settings));
    }
    text
}

fn one_in_force(text: &mut String, table: &Table, settings: &Settings) {
    head(text, table);
    for setting in table.settings() {
        let default = || Some((toml_value(&setting.default()?), "default".to_owned()));
        let set = settings
            .get(&setting.name)
            .map(|value| (toml_value(&value.text.to_string_lossy()), value.place.to_string()));
        let Some((value, place)) = set.or_else(default) else { continue };
        let line = match setting.is_secret() {
            true => format!("# {} (secret)", setting.key),
            false => format!("{} = {value}", setting.key),
        };
        let _ = writeln!(text, "{line:<COMMENT_COLUMN$} # {place}");
    }
}

/// Every setting with its meaning and its default, as a comment.
#[cfg(test)]
pub fn example() -> String {
    let mut text = String::from(
        "# Every setting of fanfare, with its default or an example. Take away the # of what you \
         change.\n# This file is generated from the declarations in server/src/config.\n",
    );
    for table in &TABLES {
        head(&mut text, table);
        for setting in table.settings() {
            text.push('\n');
            wrap(&mut text, &setting.help());
            let _ = writeln!(text, "#{} = {}", setting.key, example_value(&setting));
        }
    }
    text
}

fn head(text: &mut String, table: &Table) {
    let _ = match (table.name, table.is_repeated) {
        ("", _) => Ok(()),
        (name, false) => writeln!(text, "\n[{name}]"),
        (name, true) => writeln!(text, "\n[[{name}]]"),
    };
}

/// A number or a truth value as it is, anything else in quotation marks.
pub fn toml_value(text: &str) -> String {
    let is_number = text.parse::<u64>().is_ok_and(|number| number.to_string() == text);
    if is_number || ["true", "false"].contains(&text) {
        return text.to_owned();
    }
    // JSON's texts are TOML's.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
fn example_value(setting: &Setting) -> String {
    let names = setting.declared.get_value_names().unwrap_or_default();
    let name = || names.first().map(ToString::to_string).unwrap_or_default();
    match setting.default() {
        Some(default) => toml_value(&default),
        None if name() == "true|false" => "true".to_owned(),
        None => toml_value(&name()),
    }
}

/// A comment, in lines of at most 100 columns.
#[cfg(test)]
fn wrap(text: &mut String, comment: &str) {
    let mut columns = usize::MAX;
    for word in comment.split_whitespace() {
        if columns.saturating_add(word.len()) >= 100 {
            let start = if columns == usize::MAX { "#" } else { "\n#" };
            text.push_str(start);
            columns = 1;
        }
        let _ = write!(text, " {word}");
        columns += word.len() + 1;
    }
    text.push('\n');
}
