//! The rules. Each is a function from files to findings, and each has a test at the end that shows
//! it can find something.

use crate::source::{Finding, NamedPath, Source};

/// What a module may import besides itself, `std` and crates. `main` and `lib` wire everything
/// together and may name all.
///
/// A new module in `src` needs a row here, so that nobody has to guess where it stands.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("broker", &["limits"]),
    ("tasks", &["limits"]),
    ("codec", &["limits"]),
    ("transport", &["codec", "tasks", "limits"]),
    ("diagnostics", &["transport", "broker", "tasks", "limits"]),
    ("top", &["codec"]),
    ("client", &["codec", "config", "limits"]),
    ("standard_output", &[]),
    ("frontend", &["transport", "codec", "broker", "tasks", "diagnostics", "limits"]),
    ("bench", &[]),
    ("config", &["bench", "top", "frontend", "transport", "broker", "limits"]),
    ("standard_output", &["limits"]),
];

/// Any of these may be the executor, so only `src/main.rs` may choose one.
const RUNTIMES: &[&str] = &["async_std", "tokio", "smol"];

/// What the broker must not touch: it does no I/O and spawns nothing. (A publisher's one timer is
/// all it has of async-io.)
const NOT_IN_BROKER: &[&str] = &[
    "std::io",
    "std::net",
    "std::fs",
    "std::process",
    "std::env",
    "async_io::Async",
    "thread::spawn",
    "thread::Builder",
];

/// What a codec and a session must not touch: they are pure state, and are told the time and the
/// bytes.
const NOT_IN_PURE_CODE: &[&str] = &[
    "std::io",
    "std::net",
    "std::fs",
    "std::process",
    "std::env",
    "std::thread",
    "async_io",
    "futures_lite",
    "flume",
    "event_listener",
    "Instant::now",
    "SystemTime::now",
];

/// Calls that end the program or the task where they stand. With a `// why:` they may stay.
const PANICS: &[&str] =
    &[".unwrap()", ".unwrap_err()", ".expect(", ".expect_err(", "panic!", "unreachable!"];

/// What is never in finished code, whatever the reason.
const LEFT_FOR_LATER: &[&str] = &["todo!", "unimplemented!", "dbg!"];
const LEFT_FOR_LATER_IN_COMMENTS: &[&str] = &["TODO", "FIXME", "XXX"];

/// Calls that are right in tests and examples, and in `src` only for a reason. (Those wrong
/// everywhere are in clippy.toml.)
const RISKY: &[(&str, &str)] = &[
    ("println!", "it panics when stdout is closed: use `writeln!` and look at its error"),
    ("print!", "it panics when stdout is closed: use `write!` and look at its error"),
    ("eprintln!", "it panics when stderr is closed: use `writeln!` and look at its error"),
    ("eprint!", "it panics when stderr is closed: use `write!` and look at its error"),
    // A timer made for every wait is what leaked in seeds 000 and 001.
    ("Timer::after", "keep one `Timer::never()` for all waits and `set_after` it"),
    ("Timer::at", "keep one `Timer::never()` for all waits and `set_at` it"),
    (
        "thread::spawn",
        "it panics when the system has no thread to give: use `thread::Builder`, with a name",
    ),
];

/// The justification that lets a line of `PANICS` or `RISKY` stay: on the line, or in the comment
/// directly above it.
const WHY: &str = "// why: ";

const LONGEST_LINE_COLUMNS: usize = 130;
const LONGEST_FILE_LINES: usize = 800;
const LONGEST_FUNCTION_LINES: usize = 80;

/// Imports point one way: main -> frontend -> {transport, codec, broker, tasks, diagnostics},
/// transport -> codec, ...
pub fn imports_point_one_way(file: &Source) -> Vec<Finding> {
    let module = file.module();
    let Some(&here) = module.first() else {
        return Vec::new(); // src/lib.rs and src/main.rs
    };
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == here) else {
        return vec![file.finding(
            1,
            format!("`{here}` is new: say in MAY_IMPORT (tests/tidy/rules.rs) what it may import"),
        )];
    };
    outside_tests(file, file.named_paths())
        .filter_map(|path| {
            let target = top_module(&module, &path.parts)?;
            if target == here || allowed.contains(&target) {
                return None;
            }
            let message = match MAY_IMPORT.iter().any(|(name, _)| *name == target) {
                true => format!("`{here}` must not import `{target}`, only {allowed:?}"),
                false => {
                    format!("`crate::{target}` hides where it leads: name the module it comes from")
                }
            };
            Some(file.finding(path.line, message))
        })
        .collect()
}

/// Only src/main.rs names a runtime.
pub fn one_file_names_a_runtime(file: &Source) -> Vec<Finding> {
    if file.path == "src/main.rs" {
        return Vec::new();
    }
    file.named_paths()
        .into_iter()
        .filter(|path| RUNTIMES.contains(&path.parts[0].as_str()))
        .map(|path| {
            file.finding(path.line, format!("only src/main.rs may name `{}`", path.parts[0]))
        })
        .collect()
}

/// The broker does no I/O and spawns nothing; codecs and sessions are not even async and never ask
/// the time. (A library that wants a stream may be given one in memory, where the reason is said.)
pub fn pure_code_does_no_io(file: &Source) -> Vec<Finding> {
    let module = file.module();
    let is_pure =
        matches!(module[..], ["codec", ..]) || matches!(module[..], ["frontend", .., "session"]);
    let forbidden = match module.first() {
        _ if is_pure => NOT_IN_PURE_CODE,
        Some(&"broker") => NOT_IN_BROKER,
        _ => return Vec::new(),
    };
    outside_tests(file, file.named_paths())
        .filter_map(|path| {
            let name = path.parts.join("::");
            let is_async = is_pure && path.parts == ["async"];
            let reached = forbidden.iter().find(|forbidden| contains_path(&name, forbidden));
            let what = if is_async { Some(&"async") } else { reached };
            let what = what.filter(|_| !is_justified(file, path.line - 1));
            what.map(|what| {
                file.finding(path.line, format!("`{what}` has no place in code that does no I/O"))
            })
        })
        .collect()
}

/// No panics on what a peer can influence, which is to say: none in `src` without a reason why it
/// cannot happen.
pub fn panics_are_justified(file: &Source) -> Vec<Finding> {
    let panics = |code: &str| PANICS.iter().copied().find(|call| contains_word(code, call));
    unjustified(file, panics)
        .map(|(line, call)| {
            file.finding(
                line,
                format!("`{call}` needs the reason why it cannot happen: `{WHY}...`"),
            )
        })
        .collect()
}

/// Calls that are risky in a server, and what to use in their place.
pub fn risky_calls_are_justified(file: &Source) -> Vec<Finding> {
    let risky = |code: &str| RISKY.iter().find(|(call, _)| contains_word(code, call));
    unjustified(file, risky)
        .map(|(line, (call, instead))| {
            file.finding(line, format!("`{call}`: {instead}, or say `{WHY}...`"))
        })
        .collect()
}

/// Nothing is left for later.
pub fn nothing_is_left_for_later(file: &Source) -> Vec<Finding> {
    let numbered = file.lines.iter().enumerate();
    numbered
        .filter_map(|(index, line)| {
            let in_code = LEFT_FOR_LATER.iter().find(|word| contains_word(&line.code, word));
            let in_comment =
                LEFT_FOR_LATER_IN_COMMENTS.iter().find(|word| contains_word(&line.comment, word));
            in_code.or(in_comment).map(|word| {
                file.finding(index + 1, format!("`{word}`: do it now, or write an issue"))
            })
        })
        .collect()
}

/// Every bound is explained.
pub fn bounds_are_documented(file: &Source) -> Vec<Finding> {
    if file.path != "src/limits.rs" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut is_documented = false;
    for (index, line) in file.lines.iter().enumerate() {
        let text = line.text.trim();
        if text.starts_with("///") {
            is_documented = true;
        } else if text.starts_with("pub const ") && !is_documented {
            findings.push(file.finding(
                index + 1,
                "a bound without a word on its unit, its reason, and what happens when it is hit",
            ));
        }
        let is_between = text.starts_with("///") || text.starts_with("#[");
        is_documented &= is_between;
    }
    findings
}

/// Files and functions stay short enough to be read.
pub fn files_and_functions_are_short(file: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.lines.len() > LONGEST_FILE_LINES {
        let message =
            format!("{} lines, more than {LONGEST_FILE_LINES}: one idea a file", file.lines.len());
        findings.push(file.finding(LONGEST_FILE_LINES + 1, message));
    }
    for (line, length) in file.functions() {
        if length > LONGEST_FUNCTION_LINES {
            let message = format!(
                "a function of {length} lines, more than {LONGEST_FUNCTION_LINES}: it should fit on a screen"
            );
            findings.push(file.finding(line, message));
        }
    }
    findings
}

/// Lines fit beside another file, and hold nothing invisible.
pub fn lines_are_clean(file: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.lines.iter().enumerate() {
        let columns = line.text.chars().count();
        if file.path.ends_with(".rs") && columns > LONGEST_LINE_COLUMNS {
            findings.push(file.finding(
                index + 1,
                format!("{columns} columns, more than {LONGEST_LINE_COLUMNS}"),
            ));
        }
        if line.text.contains('\t') {
            findings.push(file.finding(index + 1, "a tab"));
        }
        if line.text.ends_with([' ', '\t']) {
            findings.push(file.finding(index + 1, "white space at the end"));
        }
    }
    findings
}

/// Every dependency in Cargo.toml has its reason in ARCHITECTURE.md, where it is named as `name`.
pub fn dependencies_are_explained(manifest: &Source, architecture: &Source) -> Vec<Finding> {
    dependencies(manifest)
        .into_iter()
        .filter(|(_, name)| {
            !architecture.lines.iter().any(|line| line.text.contains(&format!("`{name}`")))
        })
        .map(|(line, name)| {
            manifest.finding(line, format!("`{name}` has no reason in {}", architecture.path))
        })
        .collect()
}

/// Name of every dependency of whatever kind, and the line it is on.
pub fn dependencies(manifest: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_table = false;
    for (index, line) in manifest.lines.iter().enumerate() {
        let text = line.text.split('#').next().unwrap_or_default().trim();
        if let Some(table) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            in_table = table.ends_with("dependencies");
            if let Some((_, name)) = table.split_once("dependencies.") {
                found.push((index + 1, name.to_owned()));
            }
        } else if let (true, Some((name, _))) = (in_table, text.split_once('=')) {
            // `serde.workspace = true` is the dependency `serde`.
            let name = name.split('.').next().unwrap_or_default().trim();
            found.push((index + 1, name.trim_matches('"').to_owned()));
        }
    }
    found
}

/// The top module of this crate that a path leads to, seen from `module`; `None` where it stays
/// below or leaves the crate.
fn top_module<'a>(module: &[&'a str], path: &'a [String]) -> Option<&'a str> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    match path[0].as_str() {
        "crate" => path.get(1).map(String::as_str),
        "super" if ups >= module.len() => path.get(ups).map(String::as_str),
        "super" => Some(module[0]),
        _ => None,
    }
}

fn outside_tests(file: &Source, paths: Vec<NamedPath>) -> impl Iterator<Item = NamedPath> {
    paths.into_iter().filter(|path| !file.lines[path.line - 1].in_tests)
}

/// The lines outside tests in which `find` finds something, counted from 1, and for which no reason
/// is given.
fn unjustified<T>(
    file: &Source,
    find: impl Fn(&str) -> Option<T>,
) -> impl Iterator<Item = (usize, T)> {
    let numbered = file.lines.iter().enumerate().filter(|(_, line)| !line.in_tests);
    numbered.filter_map(move |(index, line)| {
        let what = find(&line.code)?;
        (!is_justified(file, index)).then_some((index + 1, what))
    })
}

/// Whether the line, or the block of comment lines directly above it, has a `// why:` and something
/// after it.
fn is_justified(file: &Source, index: usize) -> bool {
    let says_why =
        |comment: &str| comment.trim().strip_prefix(WHY).is_some_and(|why| !why.trim().is_empty());
    let above =
        file.lines[..index].iter().rev().take_while(|line| line.text.trim().starts_with("//"));
    says_why(&file.lines[index].comment) || above.into_iter().any(|line| says_why(&line.comment))
}

/// Whether `code` has `word` where no longer name runs into it.
fn contains_word(code: &str, word: &str) -> bool {
    let is_name = |c: char| c == '_' || c.is_alphanumeric();
    code.match_indices(word).any(|(at, _)| {
        let runs_in = word.starts_with(is_name) && code[..at].ends_with(is_name);
        let runs_on = word.ends_with(is_name) && code[at + word.len()..].starts_with(is_name);
        !runs_in && !runs_on
    })
}

/// Whether `path` has the parts of `wanted` in a row.
fn contains_path(path: &str, wanted: &str) -> bool {
    format!("::{path}::").contains(&format!("::{wanted}::"))
}

/// Each rule shown a text that breaks it and one that only looks as if it did.
#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&Source) -> Vec<Finding>;

    #[track_caller]
    fn breaks(rule: Rule, path: &str, text: &str, lines: &[usize]) {
        let found: Vec<usize> =
            rule(&Source::new(path, text)).iter().map(|finding| finding.line).collect();
        assert_eq!(found, lines, "in {path}:\n{text}");
    }

    #[track_caller]
    fn keeps(rule: Rule, path: &str, text: &str) {
        breaks(rule, path, text, &[]);
    }

    #[test]
    fn an_import_against_the_stream_is_found() {
        let rule: Rule = imports_point_one_way;
        breaks(
            rule,
            "src/broker/queue.rs",
            "use crate::limits::A;\nuse crate::codec::Lines;\n",
            &[2],
        );
        breaks(
            rule,
            "src/broker/queue.rs",
            "use crate::{\n    limits,\n    tasks::{self, Name},\n};\n",
            &[3, 3],
        );
        breaks(
            rule,
            "src/broker/queue.rs",
            "fn f() {\n    super::super::transport::open()\n}\n",
            &[2],
        );
        breaks(rule, "src/broker/mod.rs", "use super::frontend;\n", &[1]);
        breaks(rule, "src/transport/reader.rs", "use crate::frontend::chat;\n", &[1]);
        breaks(rule, "src/codec/lines.rs", "use crate::broker::Topic;\n", &[1]);
        breaks(rule, "src/limits.rs", "use crate::broker::Topic;\n", &[1]);
        breaks(rule, "src/frontend/chat/server.rs", "use crate::Broker;\n", &[1]);
        breaks(rule, "src/novelty/mod.rs", "", &[1]);
        keeps(
            rule,
            "src/broker/queue.rs",
            "use super::frame::Frame;\nuse crate::{limits as l, broker::Topic};\n",
        );
        keeps(
            rule,
            "src/broker/queue.rs",
            "// use crate::codec::Lines;\nconst A: &str = \"crate::codec\";\n",
        );
        keeps(
            rule,
            "src/broker/queue.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::codec::Lines;\n}\n",
        );
        keeps(
            rule,
            "src/frontend/chat/server.rs",
            "use crate::{broker::Broker, transport::Writer};\nuse super::session;",
        );
        keeps(rule, "src/main.rs", "use fanfare_server::frontend;\n");
    }

    #[test]
    fn a_second_file_that_names_a_runtime_is_found() {
        let rule: Rule = one_file_names_a_runtime;
        breaks(
            rule,
            "src/lib.rs",
            "use async_std::task;\nuse tokio as t;\nfn f() {\n    smol::spawn(x);\n}\n",
            &[1, 2, 4],
        );
        breaks(rule, "src/frontend/chat/server.rs", "#[tokio::test]\nasync fn f() {}\n", &[1]);
        keeps(rule, "src/main.rs", "use async_std::task;\n");
        keeps(
            rule,
            "src/lib.rs",
            "/// let x = tokio::spawn(y);\n#[cfg(feature = \"smol\")]\nuse async_io::Timer;\n",
        );
    }

    #[test]
    fn io_in_pure_code_is_found() {
        let rule: Rule = pure_code_does_no_io;
        breaks(rule, "src/codec/lines.rs", "use std::{\n    fmt,\n    io::Read,\n};\n", &[3]);
        breaks(rule, "src/codec/lines.rs", "async fn f() {}\n", &[1]);
        breaks(
            rule,
            "src/frontend/chat/session.rs",
            "fn f() {\n    let now = Instant::now();\n}\n",
            &[2],
        );
        breaks(
            rule,
            "src/frontend/chat/session.rs",
            "fn f() {\n    let now = std::time::Instant::now();\n}\n",
            &[2],
        );
        breaks(
            rule,
            "src/broker/queue.rs",
            "use async_io::Async;\nuse std::net::TcpStream;\n",
            &[1, 2],
        );
        breaks(rule, "src/broker/queue.rs", "fn f() {\n    std::thread::spawn(g);\n}\n", &[2]);
        keeps(rule, "src/codec/lines.rs", "use std::fmt;\nuse std::time::Instant;\n");
        keeps(rule, "src/codec/lines.rs", "// why: a stream in memory\nuse std::io::Read;\n");
        keeps(
            rule,
            "src/broker/publisher.rs",
            "use async_io::Timer;\nasync fn f() {}\nlet io = std::thread::park();\n",
        );
        keeps(rule, "src/frontend/chat/server.rs", "use std::io;\nuse async_io::Async;\n");
    }

    #[test]
    fn a_panic_without_a_reason_is_found() {
        let rule: Rule = panics_are_justified;
        breaks(
            rule,
            "src/a.rs",
            "fn f() {\n    a.unwrap();\n    b.expect(\"b\");\n    panic!(\"c\");\n}\n",
            &[2, 3, 4],
        );
        breaks(
            rule,
            "src/a.rs",
            "let a = b.unwrap(); // because\nlet a = b.unwrap(); // why: \n",
            &[1, 2],
        );
        breaks(
            rule,
            "src/a.rs",
            "// why: the first only\nlet a = b.unwrap();\nlet c = d.unwrap();\n",
            &[3],
        );
        breaks(
            rule,
            "src/a.rs",
            "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\nlet a = b.unwrap();\n",
            &[5],
        );
        breaks(rule, "src/a.rs", "#[cfg(any(test, unix))]\nfn f() {\n    a.unwrap();\n}\n", &[3]);
        breaks(rule, "src/a.rs", "#[cfg(not(test))]\nfn f() {\n    a.unwrap();\n}\n", &[3]);
        keeps(rule, "src/a.rs", "let a = b.unwrap(); // why: b was just set\n");
        keeps(
            rule,
            "src/a.rs",
            "// why: b was just set,\n// and nobody else has it\nlet a = b.unwrap();\n",
        );
        keeps(
            rule,
            "src/a.rs",
            "/// a.unwrap()\nlet a = \"panic!\"; /* .expect( */ b.unwrap_or(c);\n",
        );
        keeps(
            rule,
            "src/a.rs",
            "let a = r#\"x\" .unwrap() \"#; let b = '\"'; let c = '\\''; // .unwrap()\n",
        );
        keeps(rule, "src/a.rs", "#[cfg(test)]\nmod tests {\n    fn f() { a.unwrap(); }\n}\n");
        keeps(
            rule,
            "src/a.rs",
            "#[cfg(all(fanfare_loom, test))]\nmod tests {\n    fn f() { a.unwrap(); }\n}\n",
        );
        keeps(rule, "src/a.rs", "#![cfg(test)]\nfn f() { a.unwrap(); }\nfn g() { a.unwrap(); }\n");
    }

    #[test]
    fn a_risky_call_is_found() {
        let rule: Rule = risky_calls_are_justified;
        breaks(
            rule,
            "src/a.rs",
            "println!(\"a\");\nlet t = Timer::after(d);\nstd::thread::spawn(f);\n",
            &[1, 2, 3],
        );
        keeps(rule, "src/a.rs", "writeln!(out, \"a\")?;\nlet t = Timer::never();\n// println!\n");
        keeps(
            rule,
            "src/a.rs",
            "let t = Timer::after(d); // why: once in the life of the program\n",
        );
    }

    #[test]
    fn what_is_left_for_later_is_found() {
        let rule: Rule = nothing_is_left_for_later;
        breaks(
            rule,
            "src/a.rs",
            "todo!();\nunimplemented!() // why: later\n// TODO: more\n/// FIXME\n",
            &[1, 2, 3, 4],
        );
        keeps(rule, "src/a.rs", "let a = \"TODO\"; // METHODOLOGY\n");
    }

    #[test]
    fn a_bound_without_a_word_is_found() {
        let rule: Rule = bounds_are_documented;
        let text = "/// Bytes.\n#[cfg(x)]\npub const A: u8 = 1;\npub const B: u8 = 1;\n\n/// C\n\npub const C: u8 = 1;\n";
        breaks(rule, "src/limits.rs", text, &[4, 8]);
        keeps(rule, "src/other.rs", text);
    }

    #[test]
    fn a_long_file_and_a_long_function_are_found() {
        let rule: Rule = files_and_functions_are_short;
        let body = "    a();\n".repeat(LONGEST_FUNCTION_LINES - 2);
        keeps(rule, "src/a.rs", &format!("fn f() {{\n{body}}}\n"));
        breaks(rule, "src/a.rs", &format!("\nfn f() {{\n{body}\n}}\nfn g() {{}}\n"), &[2]);
        keeps(
            rule,
            "src/a.rs",
            &format!("#[cfg(test)]\nmod tests {{\n    fn f() {{\n{body}\n}}\n}}\n"),
        );
        keeps(rule, "src/a.rs", &format!("fn f();\n// {body}\ntype G = fn (u8);\n{body}"));
        keeps(rule, "src/a.rs", &"\n".repeat(LONGEST_FILE_LINES));
        breaks(rule, "src/a.rs", &"\n".repeat(LONGEST_FILE_LINES + 1), &[LONGEST_FILE_LINES + 1]);
    }

    #[test]
    fn an_unclean_line_is_found() {
        let rule: Rule = lines_are_clean;
        let long = "é".repeat(LONGEST_LINE_COLUMNS);
        keeps(rule, "src/a.rs", &format!("{long}\n"));
        breaks(rule, "src/a.rs", &format!("{long}e\n"), &[1]);
        keeps(rule, "README.md", &format!("{long}e\n"));
        breaks(rule, "README.md", "a\tb\nc \n\n", &[1, 2]);
    }

    #[test]
    fn an_unexplained_dependency_is_found() {
        let manifest = Source::new(
            "Cargo.toml",
            "[package]\n\n[dependencies]\nflume = \"1\"\n# no = 1\nlog.workspace = true\n\
             [dev-dependencies.tokio]\nversion = \"1\"\n[target.'cfg(fanfare_loom)'.dev-dependencies]\nloom = \"1\"\n\
             [lints]\na = 1\n",
        );
        let names: Vec<(usize, String)> = dependencies(&manifest);
        let expected = [(4, "flume"), (6, "log"), (7, "tokio"), (10, "loom")]
            .map(|(line, name)| (line, name.to_owned()));
        assert_eq!(names, expected);

        let architecture = Source::new(
            "ARCHITECTURE.md",
            "- `flume`: queues\n- `tokio`: tests\nlog is here, but not as a name\n",
        );
        let lines: Vec<usize> =
            dependencies_are_explained(&manifest, &architecture).iter().map(|f| f.line).collect();
        assert_eq!(lines, [6, 10]);
    }
}
