//! The programs of docs/start.md run against the server, and print what the page says; the figures
//! that docs/operations.md names are there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::http::get;
use testkit::process::Program;
use testkit::tools::{nats_client, program, python_with_clients};

const START: &str = include_str!("../../docs/start.md");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
/// The server's listeners, and the addresses that the pages have for them.
const LISTENERS: [(&str, &str); 4] = [
    ("nats", "127.0.0.1:4222"),
    ("push-http", "127.0.0.1:7003"),
    ("chat", "127.0.0.1:7000"),
    ("admin", "127.0.0.1:6060"),
];

#[test]
fn the_python_of_the_first_five_minutes_prints_what_the_page_says() {
    let Some(mut python) = python_with_clients() else { return };
    python.arg("-c");
    prints_what_the_page_says("python", python);
}

#[test]
fn the_javascript_of_the_first_five_minutes_prints_what_the_page_says() {
    let (Some(mut node), Some(modules)) = (program("node"), nats_client("node/node_modules"))
    else {
        return;
    };
    node.env("NODE_PATH", modules).arg("-e");
    prints_what_the_page_says("javascript", node);
}

#[test]
fn the_push_of_the_first_five_minutes_prints_what_the_page_says() {
    let mut shell = Command::new("sh");
    shell.arg("-c");
    prints_what_the_page_says("sh", shell);
}

#[test]
fn operators_find_the_figures_that_their_page_names() {
    let (_server, addresses) = server();
    let answer = get(addresses["admin"].parse().unwrap(), "/metrics");
    let metrics = answer.text();
    let mut named = 0;
    for name in OPERATIONS.split('`').skip(1).step_by(2).filter(|it| it.starts_with("fanfare_")) {
        // A counter has no sample before something is counted, but always a type.
        let family = format!("# TYPE {} ", name.trim_end_matches("_total"));
        assert!(metrics.contains(&family), "{name} is not in /metrics:\n{metrics}");
        named += 1;
    }
    assert!(named > 3, "the page names {named} figures");
}

/// Runs the page's code in this language that something printed follows, as the last argument of
/// `interpreter`. A printed line that ends with `...` may go on in any way.
fn prints_what_the_page_says(language: &str, mut interpreter: Command) {
    let (_server, addresses) = server();
    let (code, printed) = START
        .split(&format!("```{language}\n"))
        .skip(1)
        .find_map(|rest| {
            let (code, after) = rest.split_once("```\n")?;
            let (between, printed) = after.split_once("```text\n")?;
            let printed = printed.split("```").next()?;
            (!between.contains("```")).then_some((code, printed))
        })
        .expect("code, and then what it prints");
    let mut code = code.to_owned();
    for (listener, address) in LISTENERS {
        code = code.replace(address, &addresses[listener]);
    }
    let output = interpreter.arg(code).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let output = String::from_utf8_lossy(&output.stdout);
    let is_same = |line: &str, page: &str| match page.strip_suffix("...") {
        Some(beginning) => line.starts_with(beginning),
        None => line == page,
    };
    let is_same = |(line, page)| is_same(line, page);
    let are_same = output.lines().zip(printed.lines()).all(is_same)
        && output.lines().count() == printed.lines().count();
    assert!(are_same, "it prints:\n{output}\nthe page says:\n{printed}{error}");
}

/// The binary on ports of its own, and where it listens.
fn server() -> (Program, BTreeMap<String, String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.args(["--push", "off", "--push-udp", "off"]);
    for (listener, _) in LISTENERS {
        command.args([&format!("--{listener}"), "127.0.0.1:0"]);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let child = command.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut server = Program(child.unwrap());
    let lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let listening = lines.map(|line| line.unwrap()).filter_map(|line| {
        let (listener, address) = line.strip_prefix("listening ")?.split_once(' ')?;
        let address = address.trim_start_matches("http://").trim_end_matches('/');
        Some((listener.to_owned(), address.to_owned()))
    });
    (server, listening.take(LISTENERS.len()).collect())
}
