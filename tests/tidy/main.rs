//! The repository's own rules, as far as neither the compiler nor Clippy knows them.
//!
//! A line may break a rule of [`NOT_HERE`] for a reason, given on it or in the comment above it:
//! `// why: the reason`.

mod documents;
mod packaging;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// In these the rules hold; what tests and examples do is their own business.
const CRATES: [&str; 2] = ["src/", "server/src/"];
/// A file whose path begins or ends with one of the first must not name the second.
const NOT_HERE: &[(&[&str], &[&str], &str)] = &[
    (&CRATES, &["async_std::", "tokio::", "smol::"], "only server/src/main.rs names a runtime"),
    (&CRATES, &["Timer::after", "Timer::at"], "set one `Timer::never()` again for each wait"),
    (&CRATES, &["thread::spawn"], "it panics without threads: use a named `thread::Builder`"),
    (&["src/"], &["std::io", "std::net", "std::fs", "std::process"], "the broker does no I/O"),
    (
        &["server/src/codec/", "session.rs"],
        &[
            "std::io",
            "std::net",
            "std::fs",
            "async_io",
            "async ",
            "Instant::now",
            "SystemTime::now",
        ],
        "codecs and sessions are pure: they are told bytes and time",
    ),
];
const LONGEST_LINE_COLUMNS: usize = 100;
const LONGEST_FILE_LINES: usize = 800;

/// Every file of the repository with this ending, by its path from the root.
fn files(ending: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![Path::new(ROOT).to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.strip_prefix(ROOT).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && !name.starts_with('.') && !name.ends_with("target") {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    assert!(!found.is_empty(), "no file ends with {ending}");
    found
}

/// The lines before a file's tests, counted from 1.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_code = |line: &&str| !(line.starts_with("#[cfg(") && line.contains("test"));
    text.lines().take_while(is_code).enumerate().map(|(index, line)| (index + 1, line))
}

#[track_caller]
fn assert_none(findings: Vec<String>) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

/// The wiring, and unit tests in files of their own.
fn is_exempt(path: &str) -> bool {
    path == "server/src/main.rs" || path.ends_with("tests.rs") || path.ends_with("fuzz.rs")
}

#[test]
fn forbidden_words_are_absent() {
    let mut findings = Vec::new();
    for (path, text) in files(".rs").iter().filter(|(path, _)| !is_exempt(path)) {
        let rules = NOT_HERE.iter().filter(|(places, ..)| {
            places.iter().any(|place| path.starts_with(place) || path.ends_with(place))
        });
        for (_, words, reason) in rules {
            let mut has_reason = false;
            for (number, line) in code(text) {
                let is_comment = line.trim_start().starts_with("//");
                has_reason |= line.contains("// why: ");
                let word = words.iter().find(|word| line.contains(*word));
                if let Some(word) = word.filter(|_| !is_comment && !has_reason) {
                    findings.push(format!("{path}:{number}: `{word}`: {reason}"));
                }
                has_reason &= is_comment;
            }
        }
    }
    assert_none(findings);
}

#[test]
fn rooms_do_not_import_each_other_in_circles() {
    for place in CRATES {
        let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
        for (path, text) in files(".rs") {
            let Some(path) = path.strip_prefix(place) else { continue };
            let room = path.split(['/', '.']).next().unwrap();
            let to_root = "super::".repeat(path.replace("/mod.rs", "").split('/').count());
            for (_, line) in code(&text).filter(|(_, line)| !line.trim_start().starts_with("//")) {
                for rest in line.replace(&to_root, "crate::").split("crate::").skip(1) {
                    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next();
                    imports.entry(room.to_owned()).or_default().insert(name.unwrap().to_owned());
                }
            }
        }
        imports.retain(|room, _| room != "lib" && room != "main");
        imports.iter_mut().for_each(|(room, others)| others.retain(|other| other != room));
        // What imports nothing that is left cannot be part of a circle.
        while let Some(room) = imports.iter().find_map(|(room, others)| {
            others.iter().all(|other| !imports.contains_key(other)).then(|| room.clone())
        }) {
            imports.remove(&room);
        }
        assert_none(imports.iter().map(|edge| format!("{place}: {edge:?}")).collect());
    }
}

#[test]
fn lines_and_files_are_short_and_clean() {
    let mut findings = Vec::new();
    for (path, text) in files(".rs") {
        let is_wrong = |line: &str| {
            let columns = line.chars().count();
            columns > LONGEST_LINE_COLUMNS || line.contains('\t') || line.contains("#[path")
        };
        let wrong = text.lines().enumerate().filter(|(_, line)| is_wrong(line));
        let wrong = wrong.filter(|_| !path.starts_with("tests/tidy/"));
        findings.extend(wrong.map(|(index, line)| format!("{path}:{}: {line}", index + 1)));
        let is_ours = CRATES.iter().any(|place| path.starts_with(place));
        if is_ours && text.lines().count() > LONGEST_FILE_LINES {
            findings.push(format!("{path} has more than {LONGEST_FILE_LINES} lines"));
        }
    }
    assert_none(findings);
}

#[test]
fn dependencies_are_explained() {
    let architecture = &files("ARCHITECTURE.md")["ARCHITECTURE.md"];
    let mut findings = Vec::new();
    for (path, text) in files("Cargo.toml") {
        let mut is_table = false;
        for line in text.lines() {
            is_table =
                if line.starts_with('[') { line.ends_with("dependencies]") } else { is_table };
            let name = line.split([' ', '.', '=', '#']).next().unwrap();
            let is_explained = ["", "fanfare", "fanfare-server", "testkit"].contains(&name)
                || architecture.contains(&format!("`{name}`"));
            if is_table && !line.starts_with('[') && !is_explained {
                findings.push(format!("{path}: `{name}` has no reason in ARCHITECTURE.md"));
            }
        }
    }
    assert_none(findings);
}
