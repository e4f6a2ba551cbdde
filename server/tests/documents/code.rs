//! The code of the pages in other languages.

use crate::pages::{NATS, START, block, is_same};
use crate::server::Server;
use std::path::Path;
use std::process::Command;
use testkit::directory::TempDirectory;
use testkit::tools::{nats_client, program, programs, python_with_clients, skip};

/// Where Debian puts libraries for Go.
const GO_LIBRARIES: &str = "/usr/share/gocode";

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
fn the_go_of_the_first_five_minutes_prints_what_the_page_says() {
    let Some(_) = programs(["go"]) else { return };
    if !Path::new(GO_LIBRARIES).join("src/github.com/nats-io/nats.go").exists() {
        return skip("NATS's client for Go is missing (.ci/run says what tests need)");
    }
    let folder = TempDirectory::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"printf %s "$1" > main.go && exec go run main.go"#, "sh"]);
    shell.env("GO111MODULE", "off").env("GOPATH", GO_LIBRARIES).current_dir(folder.path());
    shell.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go"));
    prints_what_the_page_says("go", shell);
}

#[test]
fn the_push_of_the_first_five_minutes_prints_what_the_page_says() {
    let mut shell = Command::new("sh");
    shell.arg("-c");
    prints_what_the_page_says("sh", shell);
}

#[test]
fn a_question_in_python_is_answered_as_the_page_has_it() {
    let Some(mut python) = python_with_clients() else { return };
    let server = Server::start();
    let code = server.put_addresses(block(NATS, "python", "client.request(\"help\""));
    assert_eq!(printed_by(python.args(["-c", &code])), "b'coming'\n");
}

#[test]
fn a_subscription_gets_its_policy_in_python_and_javascript_as_the_page_has_it() {
    let (Some(mut python), Some(mut node)) = (python_with_clients(), program("node")) else {
        return;
    };
    let Some(modules) = nats_client("node/node_modules") else { return };
    let server = Server::start();
    let address = server.at("nats");
    let code = block(NATS, "python", "$FANFARE.POLICY").replace('\n', "\n    ");
    let code = code.replace("    await policy(", "    holds = await policy(");
    let code = format!(
        "import asyncio, nats\n\n\
         async def main():\n    \
             client = await nats.connect('{address}')\n    \
             {code}\n    \
             print(holds['latest_by_subject'], holds['per_second'])\n    \
             await client.close()\n\n\
         asyncio.run(main())\n"
    );
    assert_eq!(printed_by(python.args(["-c", &code])), "True 10.0\n");
    let code = block(NATS, "js", "$FANFARE.POLICY");
    let code = format!(
        "require('nats').connect({{ servers: '{address}' }}).then(async (client) => {{\n\
         {code}await client.close(); }});"
    );
    assert_eq!(printed_by(node.env("NODE_PATH", modules).args(["-e", &code])), "it holds\n");
}

/// Runs the page's code in this language that something printed follows, as the last argument of
/// `interpreter`. A printed line that ends with `...` may go on in any way.
fn prints_what_the_page_says(language: &str, mut interpreter: Command) {
    let server = Server::start();
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
    let output = printed_by(interpreter.arg(server.put_addresses(code)));
    let is_same = |(line, page)| is_same(line, page);
    let are_same = output.lines().zip(printed.lines()).all(is_same)
        && output.lines().count() == printed.lines().count();
    assert!(are_same, "it prints:\n{output}\nthe page says:\n{printed}");
}

#[track_caller]
fn printed_by(program: &mut Command) -> String {
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
