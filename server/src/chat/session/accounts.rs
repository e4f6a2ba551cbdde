//! Commands about owned names: register, log in, recover, give up.

use super::{Action, LOG_IN_FIRST, PASSWORD_FIRST, Session, refuse, reply};
use crate::chat::accounts::{AccountError, AccountRequest, Granted};
use crate::chat::names::{Name, NameOf};
use crate::chat::password::Secret;
use crate::limits::{LOGIN_FAILURES, PASSWORD_CHARACTERS};
use subtle::ConstantTimeEq;

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
            // Somebody may have written it down in capitals.
            let (code, password) = (Secret(code.to_lowercase()), Secret(password.to_owned()));
            actions.push(Action::Account(AccountRequest::Recover { name, code, password }));
        }
    }

    pub(super) fn change_password(&self, old: &str, new: &str, actions: &mut Vec<Action>) {
        let Some(name) = self.own_account(actions) else { return };
        if is_password(new, actions) {
            let (old, new) = (Secret(old.to_owned()), Secret(new.to_owned()));
            actions.push(Action::Account(AccountRequest::ChangePassword { name, old, new }));
        }
    }

    pub(super) fn unregister(&self, password: &str, actions: &mut Vec<Action>) {
        let Some(name) = self.own_account(actions) else { return };
        let password = Secret(password.to_owned());
        actions.push(Action::Account(AccountRequest::Unregister { name, password }));
    }

    fn own_account(&self, actions: &mut Vec<Action>) -> Option<Name> {
        let account = self.person.account().cloned();
        if account.is_none() {
            refuse(actions, "log in first: /login NAME PASSWORD");
        }
        account
    }

    /// Takes the answer to an [`Action::Account`].
    pub fn answered(&mut self, answer: Result<Granted, AccountError>, actions: &mut Vec<Action>) {
        match answer {
            Ok(Granted::Name { shown, how, code }) => self.logged_in(&shown, how, code, actions),
            Ok(Granted::PasswordChanged) => {
                self.note("password changed", "by its owner", actions);
                reply(actions, "* your password is changed".to_owned());
            }
            Ok(Granted::Unregistered) => self.unregistered(actions),
            Err(error) => {
                let is_guess = error == AccountError::Wrong;
                refuse(actions, error);
                if is_guess {
                    self.count_failure(actions);
                }
            }
        }
    }

    fn logged_in(
        &mut self,
        shown: &str,
        how: &'static str,
        code: Option<Secret>,
        actions: &mut Vec<Action>,
    ) {
        // It was valid when it was registered.
        let Ok(name) = Name::parse(shown, NameOf::Person, usize::MAX) else { return };
        let old = self.person.name().clone();
        for displaced in self.person.log_in(name.clone()) {
            actions.push(Action::Displace(displaced));
        }
        self.note(how, &format!("was {old}"), actions);
        if name != old {
            actions.push(Action::Inbox(name.clone()));
            let text = format!("{old} is now {name}");
            actions.push(Action::Notice { rooms: self.person.rooms().to_vec(), text });
        }
        reply(actions, format!("* {name} is yours; you are logged in"));
        if let Some(Secret(code)) = code {
            let how = "* write this down, it is not shown again; if you forget the password:";
            reply(actions, format!("{how} /recover {name} {code} NEW-PASSWORD"));
        }
        self.enter_lobby(actions);
    }

    fn unregistered(&mut self, actions: &mut Vec<Action>) {
        self.note("unregistered", "by its owner", actions);
        let Some(name) = self.person.log_out() else { return };
        reply(actions, format!("* {name} is no longer yours; what you said stays in the rooms"));
        if self.settings.accounts_required {
            actions.push(Action::End);
        }
    }

    /// Notes something about the person's account in the journal.
    fn note(&self, kind: &'static str, what: &str, actions: &mut Vec<Action>) {
        let about = self.person.account().unwrap_or(self.person.name()).to_string();
        actions.push(Action::Note { kind, about, what: what.to_owned() });
    }

    /// Checks the server's own password.
    pub(super) fn admit(&mut self, password: &str, actions: &mut Vec<Action>) {
        let Some(Secret(wanted)) = &self.settings.password else {
            return refuse(actions, "this server has no password");
        };
        if bool::from(wanted.as_bytes().ct_eq(password.as_bytes())) {
            self.is_admitted = true;
            reply(actions, "* the password is right".to_owned());
            return self.enter_lobby(actions);
        }
        refuse(actions, "that is not the password");
        self.count_failure(actions);
    }

    /// Joins the lobby, or says what is missing for that.
    pub(super) fn enter_lobby(&mut self, actions: &mut Vec<Action>) {
        let is_known = !self.settings.accounts_required || self.person.account().is_some();
        if !(self.is_admitted && is_known) {
            return self.say_what_is_missing(actions);
        }
        if let Some(lobby) = self.waiting_for.take() {
            self.join(&lobby, None, actions);
        }
    }

    pub(super) fn say_what_is_missing(&self, actions: &mut Vec<Action>) {
        refuse(actions, if self.is_admitted { LOG_IN_FIRST } else { PASSWORD_FIRST });
    }

    fn count_failure(&mut self, actions: &mut Vec<Action>) {
        self.failures += 1;
        if self.failures >= LOGIN_FAILURES {
            reply(actions, "* too many wrong passwords; goodbye".to_owned());
            actions.push(Action::End);
        }
    }

    fn account_name(&self, name: &str, actions: &mut Vec<Action>) -> Option<Name> {
        if let Some(account) = self.person.account() {
            refuse(actions, format_args!("you are logged in as {account} already"));
            return None;
        }
        self.parse_name(name, NameOf::Person, actions)
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
