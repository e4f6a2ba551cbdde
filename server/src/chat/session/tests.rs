//! Lines and their effects, one session or two at a time, without sockets.

use super::*;
use crate::chat::accounts::{AccountError, Granted};
use crate::chat::names::NameOf;
use crate::chat::rooms::DirectoryLimits;
use crate::limits::{IGNORED_NAMES, LOGIN_FAILURES};
use std::collections::HashSet;

fn directory() -> Arc<Directory> {
    Directory::new(
        DirectoryLimits { rooms: 10, rooms_per_person: 3, room_members: 10 },
        HashSet::new(),
    )
}

fn begun(directory: &Arc<Directory>) -> Session {
    let mut session = Session::new(directory, SessionSettings::default(), TimeFormat::Off);
    session.begin("lobby", &mut Vec::new());
    session
}

fn handle(session: &mut Session, line: &str) -> Vec<Action> {
    let mut actions = Vec::new();
    session.handle(line, Instant::now(), &mut actions);
    for action in &actions {
        if let Action::Left(room) = action {
            session.left(room);
        }
    }
    actions
}

fn replies(actions: &[Action]) -> Vec<&str> {
    let mut lines = Vec::new();
    for action in actions {
        if let Action::Reply(line) = action {
            lines.push(line.as_str());
        }
    }
    lines
}

fn room(text: &str) -> Name {
    Name::parse(text, NameOf::Room, 24).unwrap()
}

#[test]
fn one_is_greeted_and_in_the_lobby() {
    let mut actions = Vec::new();
    Session::new(&directory(), SessionSettings::default(), TimeFormat::Off)
        .begin("lobby", &mut actions);
    assert!(replies(&actions)[0].contains("you are guest1"));
    assert_eq!(replies(&actions)[1], "* you are in lobby (1 here)");
    assert!(actions.contains(&Action::Subscribe(room("lobby"))));
    let notice = Action::Notice { rooms: vec![room("lobby")], text: "guest1 joined lobby".into() };
    assert_eq!(actions.last(), Some(&notice));
}

#[test]
fn a_line_is_said_to_the_room_one_talks_in() {
    let mut session = begun(&directory());
    let said = |room_name: &str, text: &str, kind| {
        vec![Action::Say { room: room(room_name), text: text.into(), kind }]
    };
    assert_eq!(handle(&mut session, "hi"), said("lobby", "hi", Kind::Said));
    handle(&mut session, "/join Rust");
    assert_eq!(handle(&mut session, "//hi"), said("rust", "/hi", Kind::Said));
    assert_eq!(handle(&mut session, "/me waves"), said("rust", "waves", Kind::Action));
    assert_eq!(replies(&handle(&mut session, "/join LOBBY")), ["* you now talk in lobby"]);
    assert_eq!(handle(&mut session, "hi"), said("lobby", "hi", Kind::Said));
    assert_eq!(replies(&handle(&mut session, "/leave")), ["* you left lobby; you talk in rust"]);
    assert_eq!(
        replies(&handle(&mut session, "/leave rust")),
        ["* you left rust; you are in no room"]
    );
    for line in ["hi", "/leave", "/topic", "/history", "/who", "/me x"] {
        assert!(
            replies(&handle(&mut session, line))[0].starts_with("! you are in no room"),
            "{line}"
        );
    }
}

#[test]
fn leaving_tells_the_room_before_the_place_is_given_back() {
    let mut session = begun(&directory());
    let actions = handle(&mut session, "/leave");
    let lobby = room("lobby");
    let expected = [
        Action::Unsubscribe(lobby.clone()),
        Action::Notice { rooms: vec![lobby.clone()], text: "guest1 left lobby".into() },
        Action::Left(lobby),
    ];
    assert_eq!(actions[..3], expected);
}

#[test]
fn a_name_is_taken_once() {
    let directory = directory();
    let (mut one, mut two) = (begun(&directory), begun(&directory));
    let actions = handle(&mut one, "/nick alice");
    assert_eq!(replies(&actions), ["* you are now alice"]);
    assert!(matches!(&actions[0], Action::Inbox(name) if name.as_str() == "alice"));
    assert!(matches!(&actions[2], Action::Notice { text, .. } if text == "guest1 is now alice"));
    assert_eq!(
        replies(&handle(&mut two, "/nick ALICE")),
        ["! somebody here is called ALICE; choose another name"]
    );
    assert!(
        replies(&handle(&mut two, "/nick a\u{202e}b"))[0].starts_with("! character 2 (U+202E)")
    );
    for (line, problem) in [
        ("/nick \u{430}lice", "! that name mixes letters of several scripts"),
        ("/nick a1ice", "! a1ice looks like alice, who is here"),
        ("/nick Admin", "! Admin is a reserved name"),
    ] {
        assert!(replies(&handle(&mut two, line))[0].starts_with(problem), "{line}");
    }
    one.end(&mut Vec::new());
    assert_eq!(replies(&handle(&mut two, "/nick ALICE")), ["* you are now ALICE"]);
}

#[test]
fn lists_name_people_and_rooms() {
    let directory = directory();
    let (mut one, mut two) = (begun(&directory), begun(&directory));
    handle(&mut one, "/nick alice");
    handle(&mut two, "/join rust");
    handle(&mut two, "/topic crabs");
    assert_eq!(replies(&handle(&mut one, "/who")), ["* 2 in lobby: alice, guest2"]);
    assert_eq!(replies(&handle(&mut one, "/who rust")), ["* 1 in rust: guest2"]);
    assert!(
        replies(&handle(&mut one, "/who nowhere"))[0].starts_with("! there is no room nowhere")
    );
    assert_eq!(
        replies(&handle(&mut one, "/rooms")),
        ["* 2 rooms:", "* lobby (2)", "* rust (1): crabs"]
    );
    assert_eq!(replies(&handle(&mut two, "/topic")), ["* rust is about: crabs"]);
}

#[test]
fn private_messages_go_to_somebody_who_is_here() {
    let directory = directory();
    let (mut one, mut two) = (begun(&directory), begun(&directory));
    handle(&mut two, "/nick Bob");
    assert_eq!(
        handle(&mut one, "/msg bob hi there"),
        vec![Action::Tell { to: two.name().clone(), text: "hi there".into() }]
    );
    assert!(
        replies(&handle(&mut one, "/msg eve hi"))[0].starts_with("! nobody here is called eve")
    );
    assert!(replies(&handle(&mut two, "/msg BOB hi"))[0].starts_with("! that is you"));
}

#[test]
fn people_say_that_they_are_away_and_can_be_asked_about() {
    let directory = directory();
    let (mut one, mut two) = (begun(&directory), begun(&directory));
    handle(&mut two, "/nick bob");
    handle(&mut two, "/join rust");
    assert_eq!(replies(&handle(&mut one, "/whois BOB")), ["* bob is in lobby, rust"]);
    assert_eq!(replies(&handle(&mut two, "/away at lunch")), ["* you are away: at lunch"]);
    handle(&mut two, "/nick Robert");
    let whois = ["* Robert is in lobby, rust; away: at lunch"];
    assert_eq!(replies(&handle(&mut one, "/whois robert")), whois);
    assert_eq!(
        replies(&handle(&mut one, "/msg robert hi")),
        ["* Robert is away: at lunch"],
        "told, and told why there is no answer"
    );
    assert_eq!(replies(&handle(&mut two, "/away")), ["* you are not away"]);
    assert_eq!(replies(&handle(&mut one, "/whois robert")), ["* Robert is in lobby, rust"]);
    assert!(replies(&handle(&mut one, "/whois bob"))[0].starts_with("! nobody here is"));
}

#[test]
fn whom_one_ignores_is_a_bounded_list() {
    let directory = directory();
    let mut session = begun(&directory);
    let eve = Name::parse("Eve", NameOf::Person, 24).unwrap();
    let actions = handle(&mut session, "/ignore Eve");
    assert_eq!(actions[0], Action::Ignored(vec![eve]));
    assert_eq!(replies(&actions), ["* you ignore Eve; /unignore Eve ends that"]);
    assert!(session.ignores(Some("EVE")) && !session.ignores(Some("eva")));
    assert!(!session.ignores(None));
    assert_eq!(replies(&handle(&mut session, "/ignore")), ["* you ignore Eve"]);
    assert_eq!(replies(&handle(&mut session, "/unignore eva")), ["! you do not ignore eva"]);
    assert_eq!(handle(&mut session, "/unignore eve")[0], Action::Ignored(vec![]));
    for number in 0..IGNORED_NAMES {
        handle(&mut session, &format!("/ignore name{number}"));
    }
    let refused = handle(&mut session, "/ignore eve");
    assert!(replies(&refused)[0].starts_with("! you ignore 50 names"), "{refused:?}");
}

/// As if the password were right.
fn logged_in(session: &mut Session, name: &str) -> Vec<Action> {
    let mut actions = Vec::new();
    let granted = Granted::Name { shown: name.to_owned(), how: "logged in", code: None };
    session.answered(Ok(granted), &mut actions);
    actions
}

#[test]
fn an_owned_name_is_its_owners_whether_there_or_not() {
    let directory = directory();
    let (mut one, mut two) = (begun(&directory), begun(&directory));
    assert!(replies(&handle(&mut one, "/register 12345678"))[0].starts_with("! take a name"));
    handle(&mut one, "/nick Alice");
    assert!(replies(&handle(&mut one, "/register short"))[0].starts_with("! a password has"));
    let asked = handle(&mut one, "/register 12345678");
    assert!(matches!(&asked[..], [Action::Account(AccountRequest::Register { .. })]));
    directory.own(one.name());
    logged_in(&mut one, "Alice");
    handle(&mut one, "/nick other");
    for (name, problem) in [
        ("alice", "! Alice is somebody's; /login Alice PASSWORD if it is yours"),
        ("a1ice", "! a1ice looks like Alice, which is somebody's; choose another name"),
    ] {
        assert_eq!(replies(&handle(&mut two, &format!("/nick {name}"))), [problem]);
    }
    assert_eq!(replies(&handle(&mut one, "/nick alice")), ["* you are now alice"]);
    let again = replies(&handle(&mut one, "/login alice 12345678")).join("");
    assert_eq!(again, "! you are logged in as Alice already");
}

#[test]
fn a_name_that_is_given_up_is_anybodys_and_has_no_rank_any_more() {
    let directory = directory();
    let (mut alice, mut bob) = (begun(&directory), begun(&directory));
    for (session, name) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        let refused = replies(&handle(session, "/unregister 12345678")).join("");
        assert_eq!(refused, "! log in first: /login NAME PASSWORD");
        handle(session, &format!("/nick {name}"));
        directory.own(session.name());
        logged_in(session, name);
        handle(session, "/join den");
    }
    handle(&mut alice, "/op bob");
    handle(&mut alice, "/mode slow 5");
    assert!(replies(&handle(&mut alice, "/passwd 12345678 short"))[0].contains("8 to 128"));
    let asked = handle(&mut alice, "/passwd 12345678 87654321");
    assert!(matches!(&asked[..], [Action::Account(AccountRequest::ChangePassword { .. })]));
    let asked = handle(&mut alice, "/unregister 87654321");
    assert!(matches!(&asked[..], [Action::Account(AccountRequest::Unregister { .. })]));

    let changed = directory.disown(alice.name());
    let mut actions = Vec::new();
    alice.answered(Ok(Granted::Unregistered), &mut actions);
    assert!(actions.contains(&Action::Note {
        kind: "unregistered",
        about: "alice".into(),
        what: "by its owner".into()
    }));
    assert_eq!(replies(&actions).len(), 1);
    assert_eq!((changed.len(), changed[0].1.founder.as_deref()), (1, Some("bob")));
    assert!(
        replies(&handle(&mut alice, "/mode slow 9"))[0].starts_with("! only the room's founder")
    );
    assert!(replies(&handle(&mut bob, "/kick alice"))[0].starts_with("* you removed alice"));
    alice.end(&mut Vec::new());
    drop(alice);
    assert_eq!(replies(&handle(&mut bob, "/nick a1ice")), ["* you are now a1ice"]);
}

#[test]
fn the_owner_of_a_name_displaces_whoever_has_it() {
    let directory = directory();
    let (mut old, mut new) = (begun(&directory), begun(&directory));
    handle(&mut old, "/nick alice");
    logged_in(&mut old, "alice");
    let actions = logged_in(&mut new, "alice");
    assert_eq!(actions[0], Action::Displace(old.name().clone()));
    assert!(old.presence().is_displaced() && !new.presence().is_displaced());
    let mut actions = Vec::new();
    old.end(&mut actions);
    let rooms = vec![room("lobby")];
    let text = "alice left (logged in elsewhere)".to_owned();
    assert_eq!(actions, [Action::Notice { rooms, text }]);
    drop(old);
    assert_eq!(&directory.find(new.name()).unwrap().name, new.name());
}

/// People with accounts and without, in a room that the first has founded.
fn in_garden(names: [&str; 3]) -> (Arc<Directory>, [Session; 3]) {
    let directory = directory();
    let sessions = names.map(|name| {
        let mut session = begun(&directory);
        match name.starts_with(char::is_uppercase) {
            true => {
                directory.own(&Name::parse(name, NameOf::Person, 24).unwrap());
                logged_in(&mut session, name);
            }
            false => {
                handle(&mut session, &format!("/nick {name}"));
            }
        }
        handle(&mut session, "/join garden");
        session
    });
    (directory, sessions)
}

fn refused(session: &mut Session, line: &str, with: &str) {
    let actions = handle(session, line);
    let last = replies(&actions).last().copied();
    assert!(last.is_some_and(|last| last.starts_with(with)), "{line}: {actions:?}");
}

#[test]
fn the_founder_says_who_keeps_order() {
    let (_directory, [mut alice, mut bob, mut eve]) = in_garden(["Alice", "Bob", "eve"]);
    refused(&mut bob, "/kick eve", "! only the room's founder and operators");
    refused(&mut alice, "/op eve", "! eve has no account");
    let actions = handle(&mut alice, "/op bob");
    assert_eq!(replies(&actions), ["* you made bob an operator of garden"]);
    let Some(Action::Keep { rules, .. }) = actions.get(1) else { panic!("{actions:?}") };
    assert!(rules.operators.contains("bob") && rules.are_kept(&room("garden")));
    let note = "Alice made bob an operator of garden".to_owned();
    let (kind, about) = ("made operator", "bob".to_owned());
    assert_eq!(actions[2], Action::Note { kind, about, what: note });
    refused(&mut bob, "/op eve", "! only the room's founder may");
    refused(&mut bob, "/kick alice", "! alice keeps order here too");
    refused(&mut eve, "/mode private", "! only the room's founder and operators");
    let done = handle(&mut bob, "/kick EVE too loud");
    assert_eq!(replies(&done), ["* you removed EVE from garden (too loud)"]);
    let membership = eve.membership(&room("garden")).unwrap().clone();
    assert_eq!(membership.removed(), Some("* Bob removed EVE from garden (too loud)"));
    // A line meant for one room is not said in another.
    let told = ["* you left garden; you talk in lobby", "! that was not said"];
    assert_eq!(replies(&handle(&mut eve, "hm")), told);
    assert!(matches!(&handle(&mut eve, "hm")[..], [Action::Say { room: to, .. }]
        if *to == room("lobby")));
    refused(&mut bob, "/kick eve", "! eve is not in this room");
    handle(&mut eve, "/join garden");
    handle(&mut bob, "/ban eve");
    refused(&mut eve, "/join garden", "! you are banned from that room");
    handle(&mut alice, "/unban eve");
    refused(&mut alice, "/unban eve", "! eve is not banned in this room");
    assert!(replies(&handle(&mut eve, "/join garden"))[0].starts_with("* you are in garden"));
    assert!(replies(&handle(&mut alice, "/mode"))[0].contains("founded by alice"));
}

#[test]
fn a_muted_person_only_reads_and_slow_mode_is_for_members() {
    let (_directory, [mut alice, mut eve, _]) = in_garden(["Alice", "eve", "mallory"]);
    handle(&mut alice, "/mute eve");
    for line in ["hm", "/me hums", "/topic hums"] {
        refused(&mut eve, line, "! you are muted in garden");
    }
    handle(&mut alice, "/unmute eve");
    handle(&mut alice, "/mode slow 10");
    let begin = Instant::now();
    let says = |session: &mut Session, after_s: u64| {
        let mut actions = Vec::new();
        session.handle("hm", begin + std::time::Duration::from_secs(after_s), &mut actions);
        actions.remove(0)
    };
    assert!(matches!(says(&mut eve, 0), Action::Say { .. }));
    assert_eq!(says(&mut eve, 4), Action::Reply("! garden is slow; wait 7 s".to_owned()));
    assert!(matches!(says(&mut eve, 11), Action::Say { .. }));
    assert!(matches!(says(&mut alice, 1), Action::Say { .. }));
    assert!(matches!(says(&mut alice, 1), Action::Say { .. }));
}

#[test]
fn rooms_can_be_hidden_and_closed() {
    let (directory, [mut alice, mut eve, _]) = in_garden(["Alice", "eve", "mallory"]);
    handle(&mut eve, "/leave garden");
    handle(&mut alice, "/mode password roses");
    refused(&mut eve, "/join garden", "! that room has a password");
    refused(&mut eve, "/join garden tulips", "! that room has a password");
    assert!(replies(&handle(&mut eve, "/join garden roses"))[0].starts_with("* you are in"));
    handle(&mut eve, "/leave garden");
    handle(&mut alice, "/mode private");
    refused(&mut eve, "/join garden roses", "! that room is for those who are invited");
    refused(&mut eve, "/who garden", "! there is no room garden");
    assert!(!replies(&handle(&mut eve, "/rooms")).join("").contains("garden"));
    assert_eq!(replies(&handle(&mut eve, "/whois alice")), ["* Alice is in lobby"]);
    let invited = handle(&mut alice, "/invite eve");
    assert!(matches!(invited.last(), Some(Action::Tell { to, .. }) if to.as_str() == "eve"));
    assert!(replies(&handle(&mut eve, "/join garden"))[0].starts_with("* you are in"));
    // It stays when nobody is in it.
    drop((alice, eve));
    let mut late = begun(&directory);
    refused(&mut late, "/join garden", "! that room is for those who are invited");
}

#[test]
fn operators_of_the_server_keep_order_everywhere() {
    let root = Name::parse("Chief", NameOf::Person, 24).unwrap();
    let limits = DirectoryLimits { rooms: 10, rooms_per_person: 3, room_members: 10 };
    let directory = Directory::new(limits, HashSet::from([root]));
    let (mut chief, mut eve) = (begun(&directory), begun(&directory));
    logged_in(&mut chief, "Chief");
    handle(&mut eve, "/nick eve");
    refused(&mut eve, "/kick Chief", "! this room has no founder, so only the server's operators");
    assert_eq!(replies(&handle(&mut chief, "/ban eve")), ["* you banned eve from lobby"]);
    refused(&mut eve, "/join lobby", "! you are banned");
}

#[test]
fn wrong_passwords_are_few() {
    let mut session = begun(&directory());
    for number in 1..=LOGIN_FAILURES {
        let mut actions = Vec::new();
        session.answered(Err(AccountError::Wrong), &mut actions);
        assert_eq!(actions.contains(&Action::End), number == LOGIN_FAILURES);
    }
}

#[test]
fn where_accounts_are_required_one_logs_in_first() {
    let settings = SessionSettings { accounts_required: true, ..SessionSettings::default() };
    let mut session = Session::new(&directory(), settings, TimeFormat::Off);
    let mut actions = Vec::new();
    session.begin("lobby", &mut actions);
    assert!(replies(&actions)[1].starts_with("! this server is for those who log in"));
    for line in ["hi", "/join lobby", "/who lobby", "/rooms", "/msg bob hi", "/whois bob"] {
        let refused = handle(&mut session, line);
        assert!(replies(&refused)[0].starts_with("! this server is for"), "{line}");
    }
    assert_eq!(replies(&handle(&mut session, "/nick alice")), ["* you are now alice"]);
    let actions = logged_in(&mut session, "alice");
    assert!(actions.contains(&Action::Subscribe(room("lobby"))), "{actions:?}");
}

#[test]
fn times_are_shown_to_those_who_ask() {
    let mut session = begun(&directory());
    assert_eq!(handle(&mut session, "/time on")[0], Action::Times(TimeFormat::Minutes));
    assert_eq!(session.times(), TimeFormat::Minutes);
    assert_eq!(handle(&mut session, "/time off")[0], Action::Times(TimeFormat::Off));
}

#[test]
fn quitting_says_goodbye_to_all_rooms_once() {
    let mut session = begun(&directory());
    handle(&mut session, "/join rust");
    assert_eq!(
        handle(&mut session, "/quit see you"),
        vec![Action::Reply("* goodbye".into()), Action::End]
    );
    let mut actions = Vec::new();
    session.end(&mut actions);
    let rooms = vec![room("lobby"), room("rust")];
    assert_eq!(actions, vec![Action::Notice { rooms, text: "guest1 left (see you)".into() }]);
}

#[test]
fn where_the_server_has_a_password_it_comes_first() {
    let password = Some(Secret("roses".to_owned()));
    let settings = SessionSettings { password, ..SessionSettings::default() };
    let mut session = Session::new(&directory(), settings, TimeFormat::Off);
    let mut actions = Vec::new();
    session.begin("lobby", &mut actions);
    assert_eq!(replies(&actions)[1], "! this server has a password: /password WORD");
    for line in ["hi", "/nick alice", "/rooms", "/login alice 12345678", "/help"] {
        refused(&mut session, line, "! this server has a password");
    }
    refused(&mut session, "/password tulips", "! that is not the password");
    let actions = handle(&mut session, "/password roses");
    assert_eq!(replies(&actions)[0], "* the password is right");
    assert!(actions.contains(&Action::Subscribe(room("lobby"))), "{actions:?}");
    for _ in 1..LOGIN_FAILURES {
        handle(&mut session, "/password tulips");
    }
    assert_eq!(replies(&handle(&mut session, "/ping")), ["* pong"]);
}
