//! Scripts that play scenarios with pages in a browser, and ask the test to do things.

use crate::tools::{nats_client, program, programs};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// A script in `server/tests/clients/node`.
pub struct Script(Command);

impl Script {
    /// The script of that name, if all it needs is installed; otherwise the test is skipped.
    #[track_caller]
    pub fn of(name: &str) -> Option<Self> {
        let [chromium] = programs(["chromium"])?;
        let modules = nats_client("node/node_modules/puppeteer-core")?;
        let mut command = program("node")?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/clients/node");
        command.arg(folder.join(name)).env("NODE_PATH", modules.parent()?);
        command.env("CHROMIUM", chromium);
        Some(Self(command))
    }

    /// Runs the script to its end. A line that is no report asks the test to do something, and is
    /// answered.
    #[track_caller]
    pub fn play(&mut self, arguments: &[&str], mut answer: impl FnMut(&str) -> String) {
        let command = self.0.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = command.spawn().unwrap();
        let mut answers = script.stdin.take().unwrap();
        let mut has_failed = false;
        for line in BufReader::new(script.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            println!("{line}");
            has_failed |= line.starts_with("failed ");
            if !has_failed && !line.starts_with("ok ") && !line.starts_with('#') {
                let answer = answer(&line);
                writeln!(answers, "{answer}").unwrap();
            }
        }
        assert!(script.wait().unwrap().success(), "the script failed: see its output");
    }
}
