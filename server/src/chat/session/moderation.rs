//! Commands that moderate a room.

use super::{Action, NO_ROOM, Session, refuse, reply};
use crate::chat::command::{MODE_USAGE, Order};
use crate::chat::names::{Name, NameOf};
use crate::chat::rooms::moderation::Act;
use crate::chat::rooms::rules::Rules;

/// How an act is told: to the room after the actor's name, and in the journal.
struct Told {
    /// Such as `removed bob from rust`.
    text: String,
    kind: &'static str,
    about: String,
}

impl Session {
    pub(super) fn order(
        &mut self,
        order: Order,
        name: &str,
        why: Option<&str>,
        actions: &mut Vec<Action>,
    ) {
        let Some(room) = self.current.clone() else { return refuse(actions, NO_ROOM) };
        let Some(name) = self.parse_name(name, NameOf::Person, actions) else { return };
        let to = name.clone();
        let (act, kind, text) = match order {
            Order::Kick => (Act::Kick(to), "kicked", format!("removed {name} from {room}")),
            Order::Ban => (Act::Ban(to), "banned", format!("banned {name} from {room}")),
            Order::Unban => (Act::Unban(to), "unbanned", format!("unbanned {name} in {room}")),
            Order::Mute => (Act::Mute(to), "muted", format!("muted {name} in {room}")),
            Order::Unmute => (Act::Unmute(to), "unmuted", format!("unmuted {name} in {room}")),
            Order::Invite => (Act::Invite(to), "invited", format!("invited {name} to {room}")),
            Order::Op => {
                (Act::Op(to), "made operator", format!("made {name} an operator of {room}"))
            }
            Order::Deop => {
                (Act::Deop(to), "removed operator", format!("removed {name} as operator of {room}"))
            }
        };
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        let told = Told { text: text + &why, kind, about: name.to_string() };
        if !self.do_act(&room, &act, told, actions) {
            return;
        }
        // A person who is displaced no longer hears the room.
        if order == Order::Invite
            && let Some(found) = self.person.directory().find(&name)
        {
            let text = format!("come to {room}: /join {room}");
            actions.push(Action::Tell { to: found.name, text });
        }
    }

    /// `/mode`: shows or sets the rules of the room.
    pub(super) fn mode(&mut self, mode: Option<&str>, actions: &mut Vec<Action>) {
        let Some(room) = self.current.clone() else { return refuse(actions, NO_ROOM) };
        let Some(mode) = mode else {
            let rules = self.person.directory().rules(&room).unwrap_or_default();
            return reply(actions, format!("* {}", described(&room, &rules)));
        };
        let words: Vec<&str> = mode.split_whitespace().collect();
        let (act, text) = match words[..] {
            ["private"] => (Act::Private(true), "made the room private".to_owned()),
            ["public"] => (Act::Private(false), "made the room public".to_owned()),
            ["open"] => (Act::Password(None), "removed the room's password".to_owned()),
            ["password", password] => {
                (Act::Password(Some(password.to_owned())), "set a password for the room".to_owned())
            }
            ["slow", seconds] => match seconds.parse::<u32>() {
                Ok(0) => (Act::Slow(0), "ended slow mode".to_owned()),
                Ok(slow_s @ ..=3_600) => {
                    (Act::Slow(slow_s), format!("set slow mode: a line every {slow_s} s"))
                }
                _ => return refuse(actions, "slow mode has 0 to 3600 seconds"),
            },
            _ => return refuse(actions, format_args!("write it as {MODE_USAGE}")),
        };
        let told = Told { text, kind: "mode", about: room.to_string() };
        self.do_act(&room, &act, told, actions);
    }

    fn do_act(&self, room: &Name, act: &Act, told: Told, actions: &mut Vec<Action>) -> bool {
        let Told { text, kind, about } = told;
        let by = self.person.name();
        let rules = match self.person.act(room, act, &format!("* {by} {text}")) {
            Ok(rules) => rules,
            Err(error) => {
                refuse(actions, error);
                return false;
            }
        };
        // This also wakes the connection of somebody who was put out.
        actions.push(Action::Notice { rooms: vec![room.clone()], text: format!("{by} {text}") });
        actions.push(Action::Keep { room: room.clone(), rules: Box::new(rules) });
        actions.push(Action::Note { kind, about, what: format!("{by} {text}") });
        reply(actions, format!("* you {text}"));
        true
    }
}

fn described(room: &Name, rules: &Rules) -> String {
    let mut parts = Vec::new();
    parts.extend(rules.founder.as_ref().map(|founder| format!("founded by {founder}")));
    parts.extend(rules.is_private.then(|| "private".to_owned()));
    parts.extend(rules.password.as_ref().map(|_| "has a password".to_owned()));
    parts.extend((rules.slow_s > 0).then(|| format!("a line every {} s", rules.slow_s)));
    let lists = [
        ("operators", &rules.operators),
        ("invited", &rules.invited),
        ("muted", &rules.muted),
        ("banned", &rules.banned),
    ];
    for (what, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        parts.push(format!("{what}: {}", names.join(", ")));
    }
    match parts.is_empty() {
        true => format!("{room} has no rules"),
        false => format!("{room}: {}", parts.join("; ")),
    }
}
