//! The dashboard, in a real browser: a script plays its scenarios at two widths.

use fanfare::{Publisher, Topic};
use fanfare_server::chat::ChatSettings;
use fanfare_server::diagnostics::{ConnectionEntry, Family, Serves, SubscriptionInfo};
use fanfare_server::message::ServerMessage;
use futures_lite::future::block_on;
use testkit::admin::{Admin, start_with};
use testkit::browser::Script;

const HOSTILE: &str = "<img src=x onerror=\"window.hacked=1\">";
const MANY: usize = 10_000;
const FLOOD: usize = 20_000;

#[test]
fn the_dashboard_does_what_it_says() {
    let Some(mut script) = Script::of("dashboard.js") else { return };
    let mut admin = start_with(ChatSettings::default(), None);
    let guarded = start_with(ChatSettings::default(), Some("secret"));
    let _connections = many_connections(&admin);
    a_link_that_does_not_stand(&admin);
    let _publishers = many_topics(&admin);
    let _stays = admin.chat.named("stays");
    let mut victims = 0;
    let mut victim = None;
    let addresses = [&admin, &guarded].map(|admin| format!("http://{}", admin.address));
    script.play(&[&addresses[0], &addresses[1], "secret"], |wish| match wish {
        "victim" => {
            victims += 1;
            let name = format!("victim{victims}");
            victim = Some(admin.chat.named(&name));
            name
        }
        "flood" => {
            flood(&admin);
            FLOOD.to_string()
        }
        "restart" => {
            admin.restart();
            String::new()
        }
        other => panic!("asked for {other}"),
    });
    if let Some(mut victim) = victim {
        victim.wait_for_end();
    }
}

/// Connections that are listed and not there, some with names that want to be HTML, on a front-end
/// that is full.
fn many_connections(admin: &Admin) -> Vec<ConnectionEntry> {
    let front_end = admin.chat.diagnostics.front_end("evil");
    let address = ([127, 0, 0, 1], 1).into();
    front_end.listening(Serves { address, max_connections: MANY, max_payload_bytes: 1 });
    let connected = |number: usize| {
        let peer = ([10, 0, (number >> 8) as u8, number as u8], 1_000).into();
        let entry = front_end.connected(peer, &Default::default());
        entry.figures().set_name(&match number % 100 {
            0 => format!("{HOSTILE}{number}"),
            1 => format!("l{}ng{number}", "o".repeat(200)),
            _ => format!("client-{number}"),
        });
        entry.figures().set_user(HOSTILE);
        entry.figures().set_list(|| {
            let [subject, group, sid] =
                ["subject", "group", "1"].map(|it| format!("{it}{HOSTILE}"));
            vec![SubscriptionInfo { subject, group, sid }]
        });
        entry
    };
    (0..MANY).map(connected).collect()
}

fn a_link_that_does_not_stand(admin: &Admin) {
    let cluster = admin.chat.diagnostics.front_end("cluster");
    let figures = [("cluster_joined", 0), ("cluster_sent", 12_345), ("cluster_dropped", 7)];
    let families = move || figures.map(|(name, value)| Family::gauge(name, "", value)).into();
    cluster.tells(families, Vec::new);
    cluster.has_facts(|| vec![("local_account", HOSTILE.into()), ("last_end", HOSTILE.into())]);
}

/// Topics that publishers remember.
fn many_topics(admin: &Admin) -> Vec<Publisher<ServerMessage>> {
    let names: Vec<String> = (0..MANY).map(|number| format!("many.t{number}")).collect();
    let hostile = ["a.<img-src=x-onerror=window.hacked=1>".to_owned()];
    let chunks = names.chunks(100).chain([&hostile[..]]);
    let publishers = chunks.map(|names| {
        let mut publisher = admin.chat.broker.publisher();
        for topic in names.iter().map(|name| Topic::literal(name).unwrap()) {
            for _ in 0..2 {
                let _ = block_on(publisher.publish(&topic, ServerMessage::of("x"))).unwrap();
            }
        }
        publisher
    });
    publishers.collect()
}

fn flood(admin: &Admin) {
    let topic = Topic::parse("flood.a").unwrap();
    let mut publisher = admin.chat.broker.publisher();
    for _ in 0..FLOOD {
        let _ = block_on(publisher.publish(&topic, ServerMessage::of(HOSTILE))).unwrap();
    }
}
