//! The database on its own: what is said in rooms goes in, and comes out whatever happened.

use super::*;
use crate::message::{Kind, PushHeader};
use crate::time::Timestamp;
use fanfare::{BatchDelivery, Publisher, Topic};
use futures_lite::future::block_on;
use std::time::Duration;
use testkit::directory::TempDirectory;
use testkit::patience::{PATIENCE, wait_until};

struct Running {
    broker: Broker<ServerMessage>,
    publisher: Publisher<ServerMessage>,
    store: Store,
}

impl Running {
    fn start(settings: &StoreSettings) -> Self {
        let database = Database::open(settings).unwrap();
        let broker = Broker::new();
        let store = Store::start(database, &broker, 1_000).unwrap();
        Self { publisher: broker.publisher(), broker, store }
    }

    fn say(&mut self, room: &str, text: impl Into<String>) {
        self.say_at(room, Timestamp::now(), text);
    }

    fn say_at(&mut self, room: &str, time: Timestamp, text: impl Into<String>) {
        let sender = Some("alice".into());
        let message = ServerMessage { sender, time, ..ServerMessage::of(text.into()) };
        let _ = block_on(self.publisher.publish(&topic(room), message)).unwrap();
    }

    /// Waits until everything said is stored, or lost.
    fn sync(&mut self) {
        let inbox = Topic::parse("inbox").unwrap();
        let mut answers = self.broker.subscribe(&(&inbox).into()).unwrap();
        let sync = Topic::parse(SYNC_TOPIC).unwrap();
        let marker = ServerMessage::of("");
        let asked = block_on(self.publisher.publish_request(&sync, &inbox, marker)).unwrap();
        assert_eq!(asked.queued, 1);
        block_on(answers.recv()).unwrap();
    }

    fn last(&self, room: &'static str, lines: u32) -> Vec<String> {
        let asked = self.store.ask(move |connection| lines::last(connection, room, lines));
        texts(&block_on(asked).unwrap())
    }

    fn search(&self, room: &'static str, words: &'static str) -> Vec<String> {
        let asked = self.store.ask(move |connection| lines::search(connection, room, words, 10));
        texts(&block_on(asked).unwrap())
    }

    fn figure(&self, name: &str) -> u64 {
        let families = self.store.families();
        families.iter().find(|family| family.name == name).unwrap().figures[0].value
    }

    fn close(self) {
        assert!(block_on(self.store.close(Instant::now() + PATIENCE)));
    }
}

fn topic(room: &str) -> Topic {
    Topic::parse(&format!("chat.room.{room}")).unwrap()
}

fn texts(messages: &[ServerMessage]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(message.payload()).into()).collect()
}

fn refusal(settings: &StoreSettings) -> String {
    Database::open(settings).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn lines_survive_a_restart() {
    let directory = TempDirectory::new();
    let settings = StoreSettings::new(directory.path());
    let mut running = Running::start(&settings);
    for number in 0..10 {
        running.say("rust", format!("crab {number}"));
        running.say("lobby", format!("hello {number}"));
    }
    let notice = ServerMessage { kind: Kind::Notice, ..ServerMessage::of("bob joined rust") };
    let _ = block_on(running.publisher.publish(&topic("rust"), notice)).unwrap();
    running.close();

    let database = Database::open(&settings).unwrap();
    let loaded = database.load(3).unwrap();
    let rooms: Vec<&str> = loaded.iter().map(|(room, _)| room.as_str()).collect();
    assert_eq!(rooms, ["rust", "lobby"], "the one that talked last comes last");
    let (_, of_rust) = &loaded[0];
    assert_eq!(texts(of_rust), ["crab 7", "crab 8", "crab 9"]);
    assert_eq!(of_rust[0].sender.as_deref(), Some("alice"));
    assert!(of_rust[0].time > Timestamp::UNKNOWN);
}

#[test]
fn lines_are_found_by_their_words_in_their_room() {
    let directory = TempDirectory::new();
    let mut running = Running::start(&StoreSettings::new(directory.path()));
    for text in ["The quick brown fox", "jumps over", "a lazy \"dog\"", "Füchse sind quick"] {
        running.say("a-b", text);
    }
    running.say("other", "quick as well");
    running.sync();
    assert_eq!(running.search("a-b", "QUICK"), ["The quick brown fox", "Füchse sind quick"]);
    assert_eq!(running.search("a-b", "quick fuchse"), ["Füchse sind quick"]);
    assert_eq!(running.search("a-b", "\"dog OR lazy"), Vec::<String>::new());
    assert_eq!(running.search("a-b", "\"dog\" lazy"), ["a lazy \"dog\""]);
    assert_eq!(running.search("a-b", "quick-brown"), ["The quick brown fox"], "a phrase");
    assert_eq!(running.search("a-b", "quick lazy"), [""; 0], "they are in different lines");
    assert_eq!(running.search("other", "quick"), ["quick as well"]);
    assert_eq!(running.search("other", "* : -"), Vec::<String>::new());
    assert_eq!(running.search("other", "* quick \u{1f389} - well\0as"), ["quick as well"]);
    running.close();
}

#[test]
fn lines_since_a_moment_are_counted_though_only_the_last_are_shown() {
    let directory = TempDirectory::new();
    let settings = StoreSettings { days: 0, ..StoreSettings::new(directory.path()) };
    let mut running = Running::start(&settings);
    for (seconds, text) in [(10, "a"), (20, "b"), (20, "c"), (30, "d")] {
        running.say_at("rust", Timestamp::from_seconds(seconds), text);
        running.say_at("other", Timestamp::from_seconds(seconds), text);
    }
    running.sync();
    let since = |seconds, lines| {
        let time = Timestamp::from_seconds(seconds);
        let asked = running.store.ask(move |file| lines::since(file, "rust", time, lines));
        let (messages, all) = block_on(asked).unwrap();
        let texts =
            messages.iter().map(|message| String::from_utf8_lossy(message.payload()).into());
        (texts.collect::<Vec<String>>(), all)
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(since(20, 100), (texts(&["b", "c", "d"]), 3));
    assert_eq!(since(20, 2), (texts(&["c", "d"]), 3));
    assert_eq!(since(0, 2), (texts(&["c", "d"]), 4));
    assert_eq!(since(30, 2), (texts(&["d"]), 1));
    assert_eq!(since(31, 2), (texts(&[]), 0));
    running.close();
}

#[test]
fn rooms_keep_as_many_lines_as_they_may() {
    let directory = TempDirectory::new();
    let settings = StoreSettings { room_lines: 5, ..StoreSettings::new(directory.path()) };
    let mut running = Running::start(&settings);
    for number in 0..12 {
        running.say("rust", number.to_string());
    }
    running.close();
    // A room is looked at when something is said there for the first time after the start.
    let mut running = Running::start(&settings);
    running.say("rust", "12");
    running.sync();
    assert_eq!(running.last("rust", 100), ["8", "9", "10", "11", "12"]);
    assert_eq!(running.search("rust", "7"), Vec::<String>::new(), "its words are forgotten too");
    assert_eq!(running.search("rust", "8"), ["8"]);
    running.close();
}

/// More lines of one commit than a row of the file has.
#[test]
fn a_flood_is_read_back_in_order_and_forgotten_where_the_bound_is() {
    let directory = TempDirectory::new();
    let settings = StoreSettings { days: 0, ..StoreSettings::new(directory.path()) };
    let mut running = Running::start(&settings);
    let lines = 3 * crate::limits::BLOCK_LINES as u32 + 5;
    let texts = |numbers: std::ops::Range<u32>| numbers.map(|it| format!("line {it}")).collect();
    let all: Vec<String> = texts(0..lines);
    let said = all.iter().zip(1_000_u64..).map(|(text, second)| {
        let time = Timestamp::from_seconds(second);
        ServerMessage { time, ..ServerMessage::of(text.clone()) }
    });
    let mut said: Vec<ServerMessage> = said.collect();
    let _ = block_on(running.publisher.publish_batch(&topic("rust"), &mut said)).unwrap();
    running.sync();
    assert_eq!(running.last("rust", 1_000), all);
    assert_eq!(running.last("rust", 70), all[all.len() - 70..]);
    assert_eq!(running.search("rust", "line 100"), ["line 100"]);
    assert_eq!(running.search("rust", "line"), all[all.len() - 10..]);
    let time = Timestamp::from_seconds(1_010);
    let since = running.store.ask(move |file| lines::since(file, "rust", time, 3));
    assert_eq!(block_on(since).unwrap().1, lines - 10);
    running.close();

    let mut running = Running::start(&StoreSettings { room_lines: 100, ..settings });
    running.say("rust", "last");
    running.sync();
    let mut kept: Vec<String> = texts(lines - 99..lines);
    kept.push("last".to_owned());
    assert_eq!(running.last("rust", 1_000), kept);
    assert_eq!(running.search("rust", "line 1"), [""; 0]);
    running.close();
}

#[test]
fn a_file_of_an_earlier_version_is_taken_over_with_its_lines() {
    let directory = TempDirectory::new();
    let settings = StoreSettings { days: 0, ..StoreSettings::new(directory.path()) };
    let earlier = Connection::open(settings.path()).unwrap();
    earlier.execute_batch(&schema::VERSIONS[..4].concat()).unwrap();
    earlier.pragma_update(None, "application_id", schema::APPLICATION_ID).unwrap();
    earlier.pragma_update(None, "user_version", 4).unwrap();
    for id in 1..=300 {
        let room = if id % 3 == 0 { "other" } else { "rust" };
        let insert = "INSERT INTO lines VALUES (?1, ?2, ?1, 0, 'bob', 'line ' || ?1)";
        earlier.execute(insert, (id, room)).unwrap();
    }
    // That version indexed the words of many lines at once, and may have ended before.
    let index = "INSERT INTO words (rowid, room, text) SELECT id, room, text FROM lines
        WHERE id <= 200";
    earlier.execute(index, ()).unwrap();
    let gap = "INSERT INTO lines VALUES (301, '', 301, 2, NULL, 'some are missing')";
    earlier.execute(gap, ()).unwrap();
    drop(earlier);

    let mut running = Running::start(&settings);
    let in_rust = (1..=300).filter(|id| id % 3 != 0).map(|id| format!("line {id}"));
    let mut rust: Vec<String> = in_rust.chain(["some are missing".to_owned()]).collect();
    assert_eq!(running.last("rust", 1_000), rust);
    assert_eq!(running.last("other", 2), ["line 300", "some are missing"]);
    assert_eq!(running.search("rust", "line 1"), ["line 1"]);
    assert_eq!(running.search("rust", "299"), ["line 299"]);
    running.say("rust", "new");
    running.sync();
    rust.push("new".to_owned());
    assert_eq!(running.last("rust", 1_000), rust);
    let asked = running.store.ask(|file| lines::last(file, "rust", 3));
    let kinds: Vec<Kind> = block_on(asked).unwrap().iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [Kind::Said, Kind::Gap, Kind::Said]);
    running.close();
}

#[test]
fn lines_are_forgotten_for_their_age() {
    let directory = TempDirectory::new();
    let settings = StoreSettings { days: 2, ..StoreSettings::new(directory.path()) };
    let mut running = Running::start(&settings);
    let hours_ago =
        |hours: u64| Timestamp::from_seconds(u64::from(Timestamp::now().seconds()) - hours * 3600);
    for hours in [50, 49, 47, 1] {
        let time = hours_ago(hours);
        let message = ServerMessage { time, ..ServerMessage::of(format!("{hours} hours ago")) };
        let _ = block_on(running.publisher.publish(&topic("rust"), message)).unwrap();
    }
    running.sync();
    assert_eq!(running.last("rust", 100), ["47 hours ago", "1 hours ago"]);
    running.close();
}

#[test]
fn a_full_disk_is_told_and_the_chat_goes_on() {
    let directory = TempDirectory::new();
    let settings = StoreSettings { bytes: 300_000, ..StoreSettings::new(directory.path()) };
    let mut running = Running::start(&settings);
    let mut listener = running.broker.subscribe(&(&topic("rust")).into()).unwrap();
    let text = "x".repeat(900);
    let mut heard = 0;
    let notice = 'full: loop {
        running.say("rust", text.clone());
        while let Ok(BatchDelivery::Batch(batch)) = listener.try_recv_batch() {
            for message in &batch {
                if message.kind == Kind::Notice {
                    break 'full texts(std::slice::from_ref(message)).remove(0);
                }
                heard += 1;
            }
        }
        running.sync();
        assert!(heard < 10_000, "it never becomes full");
    };
    assert!(notice.starts_with("lines are not stored: the database cannot grow"), "{notice}");
    assert!(running.figure("store_lines_failed") > 0);
    let refused = block_on(running.store.ask(|connection| {
        connection.execute("INSERT INTO rooms VALUES ('a', hex(zeroblob(500000)))", ())
    }));
    assert!(refused.is_err(), "{refused:?}");
    assert!(running.last("rust", 1).len() == 1, "what is stored can be read");
    running.close();
}

/// Another program keeps the file locked, as a slow disk would.
#[test]
fn a_slow_disk_delays_nobody_and_the_history_says_what_is_missing() {
    let directory = TempDirectory::new();
    let settings = StoreSettings::new(directory.path());
    let mut running = Running::start(&settings);
    running.say("rust", "before");
    running.sync();
    let other = Connection::open(settings.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // More than one commit takes and the queue holds.
    let lines = crate::limits::STORE_QUEUE_LINES + 3 * crate::limits::COMMIT_LINES;
    for number in 0..lines {
        running.say("rust", number.to_string());
    }
    assert!(running.figure("store_queued_lines") > 0);
    other.execute_batch("COMMIT").unwrap();
    running.say("rust", "after");
    wait_until("the queue has drained", || running.figure("store_queued_lines") == 0);
    running.say("rust", "last");
    running.sync();
    let missed = running.figure("store_lines_missed");
    assert!(missed > 0);
    assert_eq!(running.store.lost_lines(), missed);
    assert_eq!(running.figure("store_lines") + missed, lines as u64 + 3);
    let gap =
        format!("{missed} lines are missing here of all rooms together: they could not be stored");
    let last = running.last("rust", 100_000);
    assert!(last.contains(&gap), "{last:?}");
    assert_eq!(last.last().unwrap(), "last");
    running.close();
}

#[test]
fn a_room_is_told_of_unwritten_lines_once_the_disk_works_again() {
    let directory = TempDirectory::new();
    let lock_wait = Duration::from_millis(1);
    let settings = StoreSettings { lock_wait, ..StoreSettings::new(directory.path()) };
    let mut running = Running::start(&settings);
    let other = Connection::open(settings.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for number in 0..3 {
        running.say("rust", number.to_string());
    }
    running.sync();
    assert_eq!(running.store.lost_lines(), 3);
    let mut listener = running.broker.subscribe(&(&topic("rust")).into()).unwrap();
    other.execute_batch("COMMIT").unwrap();
    running.say("rust", "again");
    running.sync();
    let told = std::iter::from_fn(|| listener.try_recv().ok()?.message().map(|m| m.to_message()));
    let told: Vec<String> =
        told.map(|message| String::from_utf8_lossy(message.payload()).into()).collect();
    assert_eq!(told[0], "again");
    assert!(told[1].starts_with("lines are stored again"), "{told:?}");
    let gap = "3 lines are missing here: they could not be stored";
    assert_eq!(running.last("rust", 10), [gap, "again"]);
    running.close();
}

#[test]
fn pushes_are_kept_up_to_the_bound_of_their_topic_and_until_they_expire() {
    let directory = TempDirectory::new();
    let settings = StoreSettings::new(directory.path());
    let running = Running::start(&settings);
    for (number, user, expires_ms) in
        [(1, "a", 100), (2, "a", 100), (3, "b", 20), (4, "a", 100), (5, "a", 100), (6, "b", 100)]
    {
        let header = PushHeader {
            number,
            expires_ms: Some(expires_ms),
            wants_ack: number == 4,
            id: format!("id-{number}").into(),
        };
        let topic = Topic::parse(&format!("push.user.{user}")).unwrap();
        let kept = running.store.ask(move |connection| {
            pushes::keep(
                connection,
                (&topic, &header, b"\xff"),
                3,
                if number < 6 { 10 } else { 20 },
            )
        });
        block_on(kept).unwrap();
    }
    running.close();
    let database = Database::open(&settings).unwrap();
    let mut kept = Vec::new();
    database
        .each_push(50, |topic, message| {
            let header = message.push.as_ref().unwrap();
            assert_eq!(message.payload(), b"\xff");
            kept.push(format!("{topic} {header}"));
        })
        .unwrap();
    let line = |user, number, ack| format!("push.user.{user} {number} 100 {ack} id-{number}");
    assert_eq!(
        kept,
        [line("a", 2, "-"), line("a", 4, "ack"), line("a", 5, "-"), line("b", 6, "-")]
    );
    let mut lost = Vec::new();
    database
        .each_push_loss(50, |topic, number, expires_ms| {
            lost.push((topic.to_string(), number, expires_ms))
        })
        .unwrap();
    assert_eq!(lost, [("push.user.a".to_owned(), 1, 100)], "3 had expired");
    let counted = "SELECT pushes, push_bytes FROM push_state";
    let counted = database.connection.query_row(counted, (), |row| Ok((row.get(0)?, row.get(1)?)));
    assert_eq!(counted, Ok((4, 4)));
}

#[test]
fn a_request_that_fails_half_way_leaves_nothing() {
    let directory = TempDirectory::new();
    let running = Running::start(&StoreSettings::new(directory.path()));
    let insert = "INSERT INTO blocks VALUES (1, 'rust', 1, 1, '[[1, 0, null, \"half\"]]')";
    let failed = block_on(running.store.ask(move |connection| {
        connection.execute(insert, ())?;
        connection.execute("INSERT INTO nosuch VALUES (1)", ())
    }));
    assert!(matches!(&failed, Err(StoreError::Failed(what)) if what.contains("nosuch")));
    assert_eq!(running.last("rust", 10), Vec::<String>::new());
    let store = running.store.clone();
    running.close();
    let late = block_on(store.ask(|_| Ok(())));
    assert_eq!(late, Err(StoreError::Closed));
}

#[test]
fn a_file_that_cannot_be_used_is_an_error_that_says_what_to_do() {
    let directory = TempDirectory::new();
    let settings = StoreSettings::new(directory.path().join("made/by/us"));
    let mut running = Running::start(&settings);
    assert!(refusal(&settings).contains("is in use by another server"));
    for number in 0..2_000 {
        running.say("rust", format!("{number} {}", "x".repeat(100)));
    }
    running.close();
    let whole = std::fs::read(settings.path()).unwrap();

    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 20_000].fill(0xab);
    std::fs::write(settings.path(), &damaged).unwrap();
    let refused = refusal(&settings);
    assert!(refused.contains("is damaged") && refused.contains(".recover"), "{refused}");

    std::fs::write(settings.path(), "all but a database of SQLite's, and long enough").unwrap();
    assert!(refusal(&settings).contains("is damaged"));

    std::fs::write(settings.path(), &whole).unwrap();
    let connection = Connection::open(settings.path()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(refusal(&settings).contains("written by a later version (schema 99)"));

    std::fs::remove_file(settings.path()).unwrap();
    let connection = Connection::open(settings.path()).unwrap();
    connection.execute_batch("CREATE TABLE of_somebody_else (number)").unwrap();
    drop(connection);
    assert!(refusal(&settings).contains("not a database of this server"));

    std::fs::write(directory.path().join("file"), "").unwrap();
    let settings = StoreSettings::new(directory.path().join("file"));
    assert!(refusal(&settings).contains("cannot be used"));
}
