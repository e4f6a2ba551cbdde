//! What the server's tools print: the page's lines come in it, in their order.

use crate::pages::{ADMIN, LEAKS, ROOT, blocks_in, missing_line, transcript};
use crate::server::Server;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use testkit::directory::TempDirectory;
use testkit::patience::{PATIENCE, connect};
use testkit::process::Program;
use testkit::tools::{programs, skip};

#[test]
fn the_admin_page_shows_what_the_tools_print() {
    let Some(_) = programs(["curl"]) else { return };
    let server = Server::start();
    let _chat = connect(server.at("chat").parse().unwrap());
    let listing = blocks_in(ADMIN, "console").find(|block| block.contains("goroutine")).unwrap();
    for (command, page) in commands_of(listing) {
        shows(page, || run(Command::new("sh").args(["-c", &server.put_addresses(command)])));
    }
    let page = transcript(ADMIN, "$ fanfare top --once").join("\n");
    let url = format!("http://{}", server.at("admin"));
    shows(&page, || {
        // Each time anew: a push client that answers no pings does not stay.
        let mut push = connect(server.at("push").parse().unwrap());
        push.write_all(b"{\"hello\": {\"user\": \"42\"}}\n").unwrap();
        BufReader::new(&push).read_line(&mut String::new()).unwrap();
        run(Command::new(env!("CARGO_BIN_EXE_fanfare")).args(["top", &url, "--once"]))
    });
}

#[test]
fn a_leak_is_found_as_the_page_says() {
    let Some(_) = programs(["curl", "go"]) else { return };
    let example = Path::new(env!("CARGO_BIN_EXE_fanfare")).with_file_name("examples/finding_leaks");
    if !example.exists() {
        return skip("the example is not built: cargo build --example finding_leaks");
    }
    // Where the commands are typed: with the source, and room for a file.
    let folder = TempDirectory::new();
    symlink(Path::new(ROOT).join("server"), folder.path().join("server")).unwrap();
    let mut child = Command::new(example).stdout(Stdio::piped()).spawn().unwrap();
    let mut says = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut says).unwrap();
    let _program = Program(child);

    let mut commands = blocks_in(LEAKS, "console").flat_map(commands_of);
    let (_, page) = commands.next().unwrap();
    let [address, page_address] = [says.as_str(), page].map(|text| text.split('/').nth(2).unwrap());
    assert_eq!(says, page.replace(page_address, address));
    for (command, page) in commands {
        let command = command.replace(page_address, address);
        if command.starts_with("sleep") {
            continue;
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).current_dir(folder.path());
        shell.env("PPROF_TMPDIR", folder.path());
        shows(page, || run(&mut shell));
    }
}

/// Each command of a block, with what it prints.
fn commands_of(block: &str) -> impl Iterator<Item = (&str, &str)> {
    let commands = block.strip_prefix("$ ").unwrap().split("\n$ ");
    commands.map(|it| it.split_once('\n').unwrap_or((it, "")))
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until the program prints what the page says.
#[track_caller]
fn shows(page: &str, mut program: impl FnMut() -> String) {
    let end = Instant::now() + PATIENCE;
    loop {
        let said = program();
        let Some(missing) = missing_line(&said, page) else { return };
        assert!(Instant::now() < end, "no {missing} in\n{said}");
        thread::park_timeout(Duration::from_millis(50));
    }
}
