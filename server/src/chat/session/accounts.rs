//! What a person does to own a name: registers it, logs in, recovers it.

use super::{Action, Session, refuse, reply};
use crate::chat::accounts::{AccountError, AccountRequest, Granted};
use crate::chat::names::{Name, NameOf};
use crate::chat::password::Secret;
use crate::limits::{LOGIN_FAILURES, PASSWORD_CHARACTERS};

impl Session {
    pub(super) fn register(&mut self, password: &str, actions: &mut Vec<Action>) {
        let name = self.person.name().clone();
        if let Some(account) = self.person.account() {
            return refuse(actions, format_args!("you are logged in as {account} already"));
        }
        if name.is_guest() {
            return refuse(actions, "take a name first, with /nick NAME");
        }
        if is_password(password, actions) {
            let password = Secret(password.to_owned());
            actions.push(Action::Account(AccountRequest::Register { name, password }));
        }
    }

    pub(super) fn login(&mut self, name: &str, password: &str, actions: &mut Vec<Action>) {
        let Some(name) = self.account_name(name, actions) else { return };
        let password = Secret(password.to_owned());
        actions.push(Action::Account(AccountRequest::Login { name, password }));
    }

    pub(super) fn recover(
        &mut self,
        name: &str,
        code: &str,
        password: &str,
        actions: &mut Vec<Action>,
    ) {
        let Some(name) = self.account_name(name, actions) else { return };
        if is_password(password, actions) {
            let (code, password) = (Secret(code.to_owned()), Secret(password.to_owned()));
            actions.push(Action::Account(AccountRequest::Recover { name, code, password }));
        }
    }

    /// What became of an [`Action::Account`].
    pub fn answered(&mut self, answer: Result<Granted, AccountError>, actions: &mut Vec<Action>) {
        let granted = match answer {
            Ok(granted) => granted,
            Err(error) => {
                let is_guess = error == AccountError::Wrong;
                refuse(actions, error);
                self.failures += u32::from(is_guess);
                if self.failures >= LOGIN_FAILURES {
                    reply(actions, "* too many wrong passwords; goodbye".to_owned());
                    actions.push(Action::End);
                }
                return;
            }
        };
        // It was one when it was registered.
        let Ok(name) = Name::parse(&granted.shown, NameOf::Person, usize::MAX) else { return };
        let old = self.person.name().clone();
        for displaced in self.person.log_in(name.clone()) {
            actions.push(Action::Displace(displaced));
        }
        let what = format!("was {old}");
        actions.push(Action::Note { kind: "logged in", about: name.to_string(), what });
        if name != old {
            actions.push(Action::Inbox(name.clone()));
            let text = format!("{old} is now {name}");
            actions.push(Action::Notice { rooms: self.person.rooms().to_vec(), text });
        }
        reply(actions, format!("* {name} is yours; you are logged in"));
        if let Some(Secret(code)) = granted.code {
            let how = "* write this down, it is not shown again; if you forget the password:";
            reply(actions, format!("{how} /recover {name} {code} NEW-PASSWORD"));
        }
        if let Some(lobby) = self.waiting_for.take() {
            self.join(&lobby, None, actions);
        }
    }

    fn account_name(&self, name: &str, actions: &mut Vec<Action>) -> Option<Name> {
        if let Some(account) = self.person.account() {
            refuse(actions, format_args!("you are logged in as {account} already"));
            return None;
        }
        let name = Name::parse(name, NameOf::Person, self.settings.name_characters);
        name.map_err(|error| refuse(actions, error)).ok()
    }
}

fn is_password(password: &str, actions: &mut Vec<Action>) -> bool {
    let (least, most) = PASSWORD_CHARACTERS;
    let is_one = (least..=most).contains(&password.chars().count());
    if !is_one {
        refuse(actions, format_args!("a password has {least} to {most} characters"));
    }
    is_one
}
