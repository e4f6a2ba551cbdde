//! One client's session: state without I/O. Objects go in, actions come out.

use super::access::{Access, Denied, Grant};
use crate::codec::datagram::{Target, is_name};
use crate::codec::push::{ClientObject, ErrorCode, Hello, Seen, ServerObject};
use crate::counted::counted;
use std::sync::Arc;

/// One client's state.
#[derive(Debug)]
pub struct Session {
    access: Arc<Access>,
    is_local: bool,
    groups_max: usize,
    client: Option<Client>,
}

/// A client that has said who it is.
#[derive(Debug)]
struct Client {
    grant: Grant,
    user: String,
    groups: Vec<String>,
}

/// An action that the server carries out for an object; those of an object in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this reply.
    Reply(ServerObject<'static>),
    /// The client is known. Send it the pushes to its user, its groups and all, and before those
    /// what is kept and came after `seen`.
    Begin {
        /// The user's id.
        user: String,
        /// The groups it joins.
        groups: Vec<String>,
        /// The last push it has got.
        seen: Option<Seen>,
    },
    /// Send it this group's pushes too.
    Join(String),
    /// Stop sending it this group's pushes.
    Leave(String),
    /// Note that it has got the push with this id.
    Acknowledge(String),
}

impl Session {
    /// A session for a client that has not said hello. `is_local`: it comes from this machine.
    pub fn new(access: Arc<Access>, is_local: bool, groups_max: usize) -> Self {
        Self { access, is_local, groups_max, client: None }
    }

    /// Does what an object asks for.
    pub fn handle(&mut self, object: ClientObject, actions: &mut Vec<Action>) {
        let result = match object {
            ClientObject::Hello(hello) => self.hello(hello, actions),
            ClientObject::Ping(number) => {
                actions.push(Action::Reply(ServerObject::Pong(number)));
                Ok(())
            }
            // Reading it was the sign of life.
            ClientObject::Pong(_) => Ok(()),
            ClientObject::Join(group) => self.join(group, actions),
            ClientObject::Leave(group) => self.leave(group, actions),
            ClientObject::Ack(id) => self.known().map(|_| actions.push(Action::Acknowledge(id))),
        };
        if let Err((code, text)) = result {
            actions.push(Action::Reply(ServerObject::Error { code, text: text.into() }));
        }
    }

    fn hello(&mut self, hello: Hello, actions: &mut Vec<Action>) -> Result<(), Problem> {
        if self.client.is_some() {
            return Err((
                ErrorCode::Hello,
                "this connection has said hello; another user needs another connection".to_owned(),
            ));
        }
        check_name(&hello.user)?;
        let grant = self.access.grant(hello.token.as_deref(), self.is_local).map_err(denied)?;
        grant.be_user(&hello.user).map_err(denied)?;
        let mut groups = hello.groups;
        groups.sort_unstable();
        groups.dedup();
        if groups.len() > self.groups_max {
            return Err(self.too_many_groups());
        }
        for group in &groups {
            check_name(group)?;
            grant.join(group).map_err(denied)?;
        }
        actions.push(Action::Reply(ServerObject::Hello {
            user: hello.user.clone().into(),
            groups: groups.clone(),
        }));
        actions.push(Action::Begin {
            user: hello.user.clone(),
            groups: groups.clone(),
            seen: hello.seen,
        });
        self.client = Some(Client { grant, user: hello.user, groups });
        Ok(())
    }

    fn join(&mut self, group: String, actions: &mut Vec<Action>) -> Result<(), Problem> {
        let too_many = self.too_many_groups();
        let groups_max = self.groups_max;
        let client = self.known()?;
        check_name(&group)?;
        client.grant.join(&group).map_err(denied)?;
        if !client.groups.contains(&group) {
            if client.groups.len() >= groups_max {
                return Err(too_many);
            }
            client.groups.push(group.clone());
            actions.push(Action::Join(group.clone()));
        }
        actions.push(Action::Reply(ServerObject::Joined(group.into())));
        Ok(())
    }

    fn leave(&mut self, group: String, actions: &mut Vec<Action>) -> Result<(), Problem> {
        let client = self.known()?;
        let index = client.groups.iter().position(|joined| *joined == group);
        let index = index
            .ok_or_else(|| (ErrorCode::Group, format!("{} is not in that group", client.user)))?;
        client.groups.remove(index);
        actions.push(Action::Leave(group.clone()));
        actions.push(Action::Reply(ServerObject::Left(group.into())));
        Ok(())
    }

    fn known(&mut self) -> Result<&mut Client, Problem> {
        self.client.as_mut().ok_or_else(|| (ErrorCode::Hello, "say hello first".to_owned()))
    }

    fn too_many_groups(&self) -> Problem {
        (
            ErrorCode::Group,
            format!("one connection may be in {}", counted(self.groups_max, "group")),
        )
    }
}

/// A code for programs and a text for people.
type Problem = (ErrorCode, String);

fn denied(denied: Denied) -> Problem {
    (ErrorCode::Denied, denied.to_string())
}

/// A user or group has a name that can be pushed to.
fn check_name(name: &str) -> Result<(), Problem> {
    if is_name(name) {
        return Ok(());
    }
    let target = format!("user:{name}");
    Err((
        ErrorCode::Name,
        Target::parse(&target).err().map(|error| error.to_string()).unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::access::Rights;
    use super::*;
    use ErrorCode::{Denied, Group, Hello, Name};

    fn session(tokens: Option<Vec<Rights>>) -> Session {
        Session::new(Arc::new(Access::new(Vec::new(), tokens).unwrap()), true, 2)
    }

    fn handle(session: &mut Session, line: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        session.handle(crate::codec::push::parse_object(line).unwrap(), &mut actions);
        actions
    }

    #[track_caller]
    fn assert_error(actions: &[Action], expected: ErrorCode) {
        let [Action::Reply(ServerObject::Error { code, .. })] = actions else {
            panic!("{actions:?}")
        };
        assert_eq!(*code, expected, "{actions:?}");
    }

    #[test]
    fn one_says_hello_first_and_once() {
        let mut session = session(None);
        for line in [r#"{"join": "news"}"#, r#"{"leave": "news"}"#, r#"{"ack": "1"}"#] {
            assert_error(&handle(&mut session, line), Hello);
        }
        let actions = handle(
            &mut session,
            r#"{"hello": {"user": "42", "groups": ["b", "a", "b"], "seen": 7}}"#,
        );
        let groups = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(
            actions,
            [
                Action::Reply(ServerObject::Hello { user: "42".into(), groups: groups.clone() }),
                Action::Begin { user: "42".into(), groups, seen: Some(Seen::Number(7)) },
            ]
        );
        assert_error(&handle(&mut session, r#"{"hello": {"user": "43"}}"#), Hello);
        assert_eq!(handle(&mut session, r#"{"ack": "1"}"#), [Action::Acknowledge("1".into())]);
    }

    #[test]
    fn groups_are_joined_and_left_up_to_a_bound() {
        let mut session = session(None);
        assert_error(
            &handle(&mut session, r#"{"hello": {"user": "42", "groups": ["a", "b", "c"]}}"#),
            Group,
        );
        handle(&mut session, r#"{"hello": {"user": "42", "groups": ["a"]}}"#);
        let joined = |group: &'static str| Action::Reply(ServerObject::Joined(group.into()));
        assert_eq!(
            handle(&mut session, r#"{"join": "b"}"#),
            [Action::Join("b".into()), joined("b")]
        );
        assert_eq!(handle(&mut session, r#"{"join": "b"}"#), [joined("b")]);
        assert_error(&handle(&mut session, r#"{"join": "c"}"#), Group);
        assert_error(&handle(&mut session, r#"{"join": "b.c"}"#), Name);
        assert_error(&handle(&mut session, r#"{"leave": "c"}"#), Group);
        let left = Action::Reply(ServerObject::Left("a".into()));
        assert_eq!(handle(&mut session, r#"{"leave": "a"}"#), [Action::Leave("a".into()), left]);
    }

    #[test]
    fn tokens_decide_who_one_is() {
        let rights = Rights {
            token: "secret".into(),
            user: Some("42".into()),
            groups: vec!["news".into()],
            targets: Vec::new(),
        };
        let mut session = session(Some(vec![rights]));
        assert_error(&handle(&mut session, r#"{"hello": {"user": "42"}}"#), Denied);
        assert_error(
            &handle(&mut session, r#"{"hello": {"user": "42", "token": "wrong"}}"#),
            Denied,
        );
        assert_error(
            &handle(&mut session, r#"{"hello": {"user": "43", "token": "secret"}}"#),
            Denied,
        );
        assert_error(
            &handle(
                &mut session,
                r#"{"hello": {"user": "42", "token": "secret", "groups": ["x"]}}"#,
            ),
            Denied,
        );
        assert_eq!(
            handle(&mut session, r#"{"hello": {"user": "42", "token": "secret"}}"#).len(),
            2
        );
        assert_error(&handle(&mut session, r#"{"join": "x"}"#), Denied);
        assert_eq!(handle(&mut session, r#"{"join": "news"}"#).len(), 2);
    }

    #[test]
    fn a_user_has_a_name_that_can_be_pushed_to() {
        for user in ["", "a.b", "*", "a b"] {
            assert_error(
                &handle(&mut session(None), &format!(r#"{{"hello": {{"user": "{user}"}}}}"#)),
                Name,
            );
        }
        let mut stranger = Session::new(Arc::default(), false, 2);
        assert_error(&handle(&mut stranger, r#"{"hello": {"user": "42"}}"#), Denied);
    }

    #[test]
    fn pings_are_answered_even_before_hello() {
        assert_eq!(
            handle(&mut session(None), r#"{"ping": 3}"#),
            [Action::Reply(ServerObject::Pong(3))]
        );
        assert_eq!(handle(&mut session(None), r#"{"pong": 3}"#), []);
    }
}
