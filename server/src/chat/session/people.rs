//! Commands about people: take a name, tell somebody something, ask about others.

use super::{Action, Session, refuse, reply};
use crate::chat::names::{Name, NameOf};
use crate::chat::rooms::PersonInfo;
use crate::limits::{IGNORED_NAMES, LISTED_ENTRIES};

impl Session {
    pub(super) fn rename(&mut self, text: &str, actions: &mut Vec<Action>) {
        let Some(name) = self.parse_name(text, NameOf::Person, actions) else { return };
        let old = self.person.name().clone();
        if name.as_str() == old.as_str() {
            return reply(actions, format!("* you are {name} already"));
        }
        if let Err(error) = self.person.rename(name.clone()) {
            return refuse(actions, error);
        }
        if name != old {
            actions.push(Action::Inbox(name.clone()));
        }
        reply(actions, format!("* you are now {name}"));
        let text = format!("{old} is now {name}");
        actions.push(Action::Notice { rooms: self.person.rooms().to_vec(), text });
    }

    pub(super) fn tell(&self, to: &str, text: &str, actions: &mut Vec<Action>) {
        let Some(found) = self.somebody(to, actions) else { return };
        if found.name == *self.person.name() {
            return refuse(actions, "that is you; /msg is for somebody else");
        }
        let away = found.away.map(|away| format!("* {} is away: {away}", found.name));
        actions.push(Action::Tell { to: found.name, text: text.to_owned() });
        actions.extend(away.map(Action::Reply));
    }

    pub(super) fn away(&self, text: Option<&str>, actions: &mut Vec<Action>) {
        let max = self.settings.topic_characters;
        if text.is_some_and(|text| text.chars().count() > max) {
            return refuse(actions, format_args!("that is too long; at most {max} characters"));
        }
        self.person.set_away(text);
        reply(
            actions,
            match text {
                Some(text) => format!("* you are away: {text}"),
                None => "* you are not away".to_owned(),
            },
        );
    }

    pub(super) fn whois(&self, name: &str, actions: &mut Vec<Action>) {
        let Some(found) = self.somebody(name, actions) else { return };
        let rooms = self.person.directory().rooms_of(found.id, self.person.id(), LISTED_ENTRIES);
        let rooms: Vec<&str> = rooms.iter().map(Name::as_str).collect();
        let rooms = if rooms.is_empty() { "no room".to_owned() } else { rooms.join(", ") };
        let away = found.away.map(|away| format!("; away: {away}")).unwrap_or_default();
        reply(actions, format!("* {} is in {rooms}{away}", found.name));
    }

    pub(super) fn ignore(&mut self, name: Option<&str>, actions: &mut Vec<Action>) {
        let Some(name) = name else {
            let names: Vec<&str> = self.ignored.iter().map(Name::as_str).collect();
            let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            return reply(actions, format!("* you ignore {names}"));
        };
        let Some(name) = self.parse_name(name, NameOf::Person, actions) else { return };
        if name == *self.person.name() {
            return refuse(actions, "that is you");
        }
        if !self.ignored.contains(&name) {
            if self.ignored.len() >= IGNORED_NAMES {
                let problem = format!("you ignore {IGNORED_NAMES} names; /unignore one of them");
                return refuse(actions, problem);
            }
            self.ignored.push(name.clone());
            actions.push(Action::Ignored(self.ignored.clone()));
        }
        reply(actions, format!("* you ignore {name}; /unignore {name} ends that"));
    }

    pub(super) fn unignore(&mut self, shown: &str, actions: &mut Vec<Action>) {
        let before = self.ignored.len();
        self.ignored.retain(|name| !name.is_written(shown));
        if self.ignored.len() == before {
            return refuse(actions, format_args!("you do not ignore {shown}"));
        }
        actions.push(Action::Ignored(self.ignored.clone()));
        reply(actions, format!("* you no longer ignore {shown}"));
    }

    /// The person here who has that name. If there is none, the asker is told.
    fn somebody(&self, name: &str, actions: &mut Vec<Action>) -> Option<PersonInfo> {
        let found = Name::parse(name, NameOf::Person, self.settings.name_characters)
            .ok()
            .and_then(|name| self.person.directory().find(&name));
        if found.is_none() {
            let problem = format!("nobody here is called {name}; /who lists the names");
            refuse(actions, problem);
        }
        found
    }
}
