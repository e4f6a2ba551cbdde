//! Profiles, read by the real `go tool pprof`. This process has the server's allocator, so that it
//! has its heap profile.

use fanfare_server::admin::{self, AdminSettings};
use fanfare_server::chat::ChatSettings;
use fanfare_server::connection::{ConnectionLimits, Listener};
use fanfare_server::http::HttpServer;
use fanfare_server::limits::ADMIN_CONNECTIONS;
use std::hint::black_box;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use testkit::chat::TestServer;
use testkit::http::{Http, get};
use testkit::patience::wait_until;
use testkit::tools::programs;

/// Ends before the chat server, which looks for what is left.
struct Admin {
    _server: HttpServer,
    chat: TestServer,
    address: SocketAddr,
}

fn start() -> Admin {
    let chat = TestServer::start(ChatSettings::default());
    let limits = ConnectionLimits::from_anywhere(ADMIN_CONNECTIONS);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let server = admin::start(
        listener,
        &chat.broker,
        &chat.tasks,
        &chat.diagnostics,
        AdminSettings::default(),
    );
    Admin { address: server.local_address(), _server: server, chat }
}

/// What `go tool pprof` says of a profile of the server.
#[track_caller]
fn pprof(options: &[&str], profile: &str, admin: &Admin) -> String {
    let url = format!("http://{}/debug/pprof/{profile}", admin.address);
    let saved = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pprof");
    let mut command = Command::new("go");
    command
        .args(["tool", "pprof", "-timeout=60"])
        .args(options)
        .arg(url)
        .env("PPROF_TMPDIR", saved);
    let output = command.output().unwrap();
    let (out, complaint) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{options:?} {profile}: {complaint}{out}");
    out.into_owned()
}

#[inline(never)]
fn keeps_ten_mebibytes() -> Vec<u8> {
    black_box(vec![1; 10 << 20])
}

#[inline(never)]
fn keeps_the_processor_busy(until: &AtomicBool) {
    let mut number = 1_u64;
    while !until.load(Ordering::Relaxed) {
        for _ in 0..1_000 {
            number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

#[test]
fn memory_is_shown_by_who_keeps_it() {
    let Some(_) = programs(["go"]) else { return };
    let admin = start();
    let kept = keeps_ten_mebibytes();
    let top = pprof(&["-top", "-cum", "-unit=MB"], "heap", &admin);
    let line = top
        .lines()
        .find(|line| line.contains("keeps_ten_mebibytes"))
        .unwrap_or_else(|| panic!("{top}"));
    assert!(line.contains("10MB"), "{line}");
    assert!(!top.contains("prof_backtrace"), "the allocator's own functions are left out: {top}");
    let peek = pprof(&["-peek", "keeps_ten_mebibytes$"], "heap", &admin);
    assert!(peek.contains("memory_is_shown_by_who_keeps_it"), "who called it: {peek}");
    let list = pprof(&["-list", "keeps_ten_mebibytes$"], "heap", &admin);
    assert!(list.contains("black_box(vec![1; 10 << 20])"), "the source: {list}");
    if programs(["dot"]).is_some() {
        let options = ["-svg", "-focus=keeps_ten_mebibytes", "-output", "/dev/stdout"];
        let svg = pprof(&options, "heap", &admin);
        assert!(svg.contains("<svg") && svg.contains("keeps_ten_mebibytes"), "{svg:.500}");
    }
    drop(kept);
}

/// A process can be sampled by one at a time.
static SAMPLING: Mutex<()> = Mutex::new(());

#[test]
fn the_processor_is_shown_by_who_keeps_it_busy() {
    let Some(_) = programs(["go"]) else { return };
    let _alone = SAMPLING.lock().unwrap_or_else(PoisonError::into_inner);
    let admin = start();
    let until = Arc::new(AtomicBool::new(false));
    let busy = {
        let until = until.clone();
        std::thread::spawn(move || keeps_the_processor_busy(&until))
    };
    let top = pprof(&["-top", "-cum"], "profile?seconds=1", &admin);
    until.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    assert!(top.contains("keeps_the_processor_busy") && top.contains("Type: cpu"), "{top}");
}

#[test]
fn tasks_are_shown_by_who_started_them() {
    let Some(_) = programs(["go"]) else { return };
    let admin = start();
    let clients: Vec<_> = (0..7).map(|_| admin.chat.client()).collect();
    let top = pprof(&["-top"], "goroutine", &admin);
    let line = top
        .lines()
        .find(|line| line.ends_with("chat connection"))
        .unwrap_or_else(|| panic!("{top}"));
    assert!(line.trim_start().starts_with("7 "), "{line}");
    let peek = pprof(&["-peek", "chat connection"], "goroutine", &admin);
    assert!(peek.contains("chat accept"), "who started them: {peek}");
    let list = pprof(&["-list", "chat connection"], "goroutine", &admin);
    assert!(list.contains("spawn"), "the line that started them: {list}");
    wait_until("all wait for the lobby", || {
        pprof(&["-tags"], "goroutine", &admin).contains("recv chat.room.lobby")
    });
    drop(clients);
}

#[test]
fn a_second_profile_is_refused_while_the_first_is_made_and_the_server_serves_on() {
    let _alone = SAMPLING.lock().unwrap_or_else(PoisonError::into_inner);
    let admin = start();
    wait_until("one is made while another is refused", || {
        let mut both = [(); 2].map(|()| ask_for_profile(admin.address, 2));
        assert_eq!(get(admin.address, "/healthz").status, 200);
        let mut answers = both.each_mut().map(|asking| asking.answer().unwrap());
        answers.sort_by_key(|answer| answer.status);
        let busy = "a profile of the processor is being made; try again when it is done\n";
        // Both are made if one came too late to meet the other.
        answers[0].status == 200 && answers[1].status == 503 && answers[1].text() == busy
    });
    // Whoever leaves early gives the place back at once.
    wait_until("a long one is being made", || {
        let _asking = ask_for_profile(admin.address, 120);
        get(admin.address, "/debug/pprof/profile?seconds=1").status == 503
    });
    wait_until("its place is free", || {
        get(admin.address, "/debug/pprof/profile?seconds=1").status == 200
    });
    for seconds in ["0", "121", "x"] {
        assert_eq!(
            get(admin.address, &format!("/debug/pprof/profile?seconds={seconds}")).status,
            400,
            "{seconds}"
        );
    }
}

/// Asks for a profile of the processor without waiting for it.
fn ask_for_profile(address: SocketAddr, seconds: u32) -> Http {
    let mut asking = Http::connect(address);
    asking.send(format!(
        "GET /debug/pprof/profile?seconds={seconds} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ));
    asking
}
