//! What a client subscribes to, through the mailbox of the connection and queues of their own.

use super::Reader;
use crate::codec::nats::Operation;
use crate::connection::outbound::Position;
use crate::diagnostics::SubscriptionInfo;
use crate::limits::NATS_OWN_QUEUES;
use crate::locks::lock;
use crate::message::ServerMessage;
use crate::nats::own_queue::OwnQueue;
use crate::nats::permissions::Permissions;
use crate::nats::policy::{PolicyRequest, QueuePolicy, Target};
use crate::nats::share::Places;
use crate::nats::writer::{Change, Own};
use crate::nats::{Sid, Sids};
use crate::tasks;
use fanfare::{
    Books, Mailbox, MailboxSubscriber, Pattern, SubscribeError, SubscriptionId, SubscriptionWatch,
    Topic, WhenFull,
};
use std::sync::Arc;

/// The connection's mailbox, as seen from here.
pub(super) struct Receiving {
    subscriber: MailboxSubscriber<ServerMessage>,
    watch: SubscriptionWatch<ServerMessage>,
}

/// A queue that one subscription has for itself, as seen from here.
pub(super) struct OwnReceiving {
    receiving: Receiving,
    kept_bytes: usize,
}

impl Receiving {
    fn of(mailbox: &Mailbox<ServerMessage>) -> Self {
        Self { subscriber: mailbox.subscriber(), watch: mailbox.watch() }
    }
}

impl Reader<'_> {
    pub(super) fn subscribe(
        &mut self,
        (sid, except): (Sid, Option<Arc<[Pattern]>>),
        pattern: &Pattern,
        group: Option<String>,
        policy: Option<QueuePolicy>,
    ) {
        // Done here so that a client that keeps subscribing anew leaves nothing behind.
        self.forget_expired();
        if !self.take_place() {
            return self.session.not_subscribed(&sid, &mut self.actions);
        }
        let own = policy.map(|policy| (policy, self.open_own(&policy, 0)));
        let begin = |subscriber: &MailboxSubscriber<ServerMessage>| match &group {
            Some(group) => {
                // Another member is to get what this one may not.
                let except = except.as_deref().unwrap_or_default();
                subscriber.subscribe_in_group_except(pattern, group, except)
            }
            None => subscriber.subscribe(pattern),
        };
        let begun = match &own {
            Some((_, Ok(mailbox))) => begin(&mailbox.subscriber()).map_err(|it| it.to_string()),
            Some((_, Err(error))) => Err(error.clone()),
            None => self.subscriber().and_then(begin).map_err(|error| error.to_string()),
        };
        match begun {
            Ok(id) => {
                if let Some((policy, Ok(mailbox))) = own {
                    let own = self.begin_own(None, (&sid, id), mailbox, policy);
                    self.outbound.queue.change_first(own);
                }
                // Nothing of it can be rendered before this: the writing half has its turn later.
                self.outbound.queue.change_first(Change::Subscribed {
                    id,
                    sid: sid.clone(),
                    except,
                });
                self.session.subscribed(&sid, id, &mut self.actions);
                self.note_subscriptions();
            }
            Err(error) => {
                let id = self.figures.id();
                log::debug!(task:% = tasks::label();
                    "nats: client {id}: cannot subscribe to {pattern}: {error}"
                );
                self.outbound.give_back_place();
                if matches!(own, Some((_, Ok(_)))) {
                    self.outbound.give_back_place();
                }
                self.session.not_subscribed(&sid, &mut self.actions);
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, id: SubscriptionId) {
        if let Some(receiving) = self.receiving_of(id) {
            if receiving.subscriber.unsubscribe(id) {
                self.outbound.give_back_place();
            }
            self.outbound.queue.change(self.position(Position::after_all), Change::Forget(id));
            self.note_subscriptions();
        }
        if self.own_queues.remove(&id).is_some() {
            self.note_queues();
        }
    }

    pub(super) async fn limit(&self, id: SubscriptionId, max: u64) {
        // A member of a queue group is given no more than that from now on, and gets all that it
        // was given before.
        let of_group =
            self.receiving_of(id).and_then(|receiving| receiving.subscriber.limit(id, max));
        let limit = Change::Limit(id, of_group.unwrap_or(max));
        self.outbound.queue.change(self.position(Position::now), limit);
        let receiving = self.receiving_of(id);
        if receiving.is_some_and(|receiving| receiving.watch.books().queued > 0) {
            // The client's next messages could be rendered in one go with what is queued.
            self.outbound.queue.settled().await;
        }
    }

    /// Gives the subscriptions that a request names a queue of their own. Returns how many there
    /// are now.
    pub(super) fn set_policy(&mut self, request: &PolicyRequest) -> Result<usize, String> {
        self.forget_expired();
        let ids: Vec<SubscriptionId> = match &request.target {
            Target::Sid(sid) => self.session.id_of(sid).into_iter().collect(),
            Target::Subject(pattern) => self
                .all_receiving()
                .flat_map(|receiving| receiving.subscriber.subscriptions_to(pattern))
                .collect(),
        };
        for id in &ids {
            self.move_to_own(*id, request.policy)?;
        }
        self.session.policy_set(request);
        Ok(ids.len())
    }

    /// The client may do this from now on. Subscriptions that it may have no longer end.
    pub(super) fn regranted(&mut self, permissions: Arc<Permissions>) {
        let before = self.session.regranted(permissions.clone());
        if before == permissions {
            return;
        }
        if before.responses != permissions.responses {
            self.apply_options();
        }
        let all = self.all_receiving().flat_map(|receiving| receiving.subscriber.subscriptions());
        for (id, pattern, group) in all.collect::<Vec<_>>() {
            let group = group.as_deref();
            let except = permissions.subscribe.kept_from(&pattern, group);
            if !permissions.subscribe.permit_pattern(&pattern, group) {
                self.session.forbid(id, (&pattern, group), &mut self.actions);
            } else if group.is_none() {
                self.outbound.queue.change_first(Change::Except(id, except));
            } else if before.subscribe.kept_from(&pattern, group) != except
                && !self.rejoin(id, (&pattern, group), except)
            {
                self.over = Some("the permissions of a queue group have changed");
            }
        }
    }

    /// A subscription of the client that matches.
    pub(super) fn find(&self, topic: &Topic) -> Option<SubscriptionId> {
        self.all_receiving().find_map(|receiving| receiving.subscriber.first_match(topic))
    }

    /// Whether the session has to know, before this, which subscriptions have ended by themselves.
    pub(super) fn depends_on_expiry(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Subscribe { sid, .. } | Operation::Unsubscribe { sid, .. } => {
                self.session.depends_on_expiry(sid)
            }
            _ => false,
        }
    }

    /// The position behind what is queued for this client. [`Position::now`] does for what merely
    /// should be in order.
    pub(super) fn position(&self, of: impl FnOnce(Books) -> Position) -> Position {
        let receiving = self.receiving.as_ref();
        receiving.map_or_else(Position::default, |receiving| of(receiving.watch.books()))
    }

    /// Tells the session which subscriptions have got all they were to get.
    pub(super) fn forget_expired(&mut self) {
        for (sid, id) in self.outbound.take_expired() {
            self.session.expired(&sid, id);
            if self.own_queues.remove(&id).is_some() {
                self.note_queues();
            }
        }
    }

    fn move_to_own(&mut self, from: SubscriptionId, policy: QueuePolicy) -> Result<(), String> {
        let freed_bytes = self.own_queues.get(&from).map_or(0, |own| own.kept_bytes);
        let Some(sid) = self.session.sid_of(from) else { return Ok(()) };
        let mailbox = self.open_own(&policy, freed_bytes)?;
        let old = self.receiving_of(from).map(|receiving| &receiving.subscriber);
        let moved = old.map(|old| old.move_to(from, &mailbox.subscriber()));
        let Some(Ok(id)) = moved else {
            self.outbound.give_back_place();
            // It has ended meanwhile, unless there is a reason.
            return moved.map_or(Ok(()), |moved| moved.map(drop).map_err(|it| it.to_string()));
        };
        // Behind all that was queued for it before.
        let position = self.position(Position::after_all);
        self.own_queues.remove(&from);
        self.session.moved(from, id);
        let own = self.begin_own(Some(from), (&sid, id), mailbox, policy);
        self.outbound.queue.change(position, own);
        Ok(())
    }

    /// A member of a queue group joins it anew: another member is to get what this one may not.
    /// False where that would change what the client asked for: the messages that it is to get in
    /// all, or a queue of its own.
    fn rejoin(
        &mut self,
        id: SubscriptionId,
        (pattern, group): (&Pattern, Option<&str>),
        except: Option<Arc<[Pattern]>>,
    ) -> bool {
        let Some((sid, group)) = self.session.sid_of(id).zip(group) else { return true };
        let (Some(receiving), false) = (&self.receiving, self.session.depends_on_expiry(&sid))
        else {
            return false;
        };
        if self.own_queues.contains_key(&id) || !self.take_place() {
            return false;
        }
        // Before the other ends, so that the group has this member all the time.
        let kept = except.as_deref().unwrap_or_default();
        let Ok(new) = receiving.subscriber.subscribe_in_group_except(pattern, group, kept) else {
            self.outbound.give_back_place();
            return false;
        };
        self.outbound.queue.change_first(Change::Subscribed { id: new, sid, except });
        self.session.moved(id, new);
        self.unsubscribe(id);
        true
    }

    /// A queue for one subscription, which takes a place as a subscription does. `freed_bytes`
    /// will be free.
    fn open_own(
        &self,
        policy: &QueuePolicy,
        freed_bytes: usize,
    ) -> Result<Mailbox<ServerMessage>, String> {
        let kept_bytes: usize = self.own_queues.values().map(|own| own.kept_bytes).sum();
        let left_bytes = self.shared.settings.pending_bytes + freed_bytes - kept_bytes;
        if policy.kept_bytes() > left_bytes {
            let each = 1 + usize::from(policy.gathers());
            return Err(format!("queue_bytes is at most {} here now", left_bytes / each));
        }
        if self.own_queues.len() >= NATS_OWN_QUEUES {
            return Err(format!("a connection has at most {NATS_OWN_QUEUES} such subscriptions"));
        }
        if !self.take_place() {
            return Err("the server has no room for more subscriptions".to_owned());
        }
        self.open(policy.queue_messages, policy.queue_bytes, policy.when_full).map_err(|error| {
            self.outbound.give_back_place();
            error.to_string()
        })
    }

    fn begin_own(
        &mut self,
        from: Option<SubscriptionId>,
        (sid, id): (&Sid, SubscriptionId),
        mailbox: Mailbox<ServerMessage>,
        policy: QueuePolicy,
    ) -> Change {
        let (receiving, kept_bytes) = (Receiving::of(&mailbox), policy.kept_bytes());
        self.own_queues.insert(id, OwnReceiving { receiving, kept_bytes });
        self.note_queues();
        let queue = OwnQueue::new(id, mailbox, policy);
        Change::Own(Box::new(Own { from, sid: sid.clone(), queue }))
    }

    fn subscriber(&mut self) -> Result<&MailboxSubscriber<ServerMessage>, SubscribeError> {
        if self.receiving.is_none() {
            let settings = &self.shared.settings;
            let (messages, bytes) = (settings.pending_messages, settings.pending_bytes);
            let mailbox = self.open(messages, bytes, settings.when_full())?;
            self.receiving = Some(Receiving::of(&mailbox));
            self.outbound.queue.change_first(Change::Mailbox(Box::new(mailbox)));
            self.note_queues();
        }
        self.receiving.as_ref().map(|receiving| &receiving.subscriber).ok_or(SubscribeError::Closed)
    }

    fn open(
        &self,
        messages: usize,
        bytes: usize,
        when_full: WhenFull,
    ) -> Result<Mailbox<ServerMessage>, SubscribeError> {
        let mailbox = self.account.broker.mailbox(format!("nats client {}", self.figures.id()));
        let mailbox = mailbox.queue_messages(messages).queue_bytes(bytes);
        mailbox.when_full(when_full).no_echo(self.origin).open()
    }

    fn take_place(&self) -> bool {
        let own = || (self.account.clone(), Places::of(&self.account.share));
        let (_, places) = self.outbound.places.get_or_init(own);
        places.take()
    }

    fn receiving_of(&self, id: SubscriptionId) -> Option<&Receiving> {
        let own = self.own_queues.get(&id).map(|own| &own.receiving);
        own.or(self.receiving.as_ref())
    }

    fn all_receiving(&self) -> impl Iterator<Item = &Receiving> {
        let own = self.own_queues.values().map(|own| &own.receiving);
        self.receiving.iter().chain(own)
    }

    fn note_queues(&self) {
        let watches: Vec<_> =
            self.all_receiving().map(|receiving| receiving.watch.clone()).collect();
        self.figures.set_queues(move || watches.iter().map(SubscriptionWatch::stats).collect());
        let subscribers: Vec<_> =
            self.all_receiving().map(|receiving| receiving.subscriber.clone()).collect();
        let sids = self.session.sids().clone();
        self.figures.set_list(move || list(&subscribers, &sids));
    }

    fn note_subscriptions(&self) {
        let (subscriptions, bytes) = self.session.subscriptions();
        self.figures.set_subscriptions(subscriptions);
        self.figures.set_subscription_bytes(bytes);
    }
}

/// The subscriptions of a client, oldest first.
fn list(subscribers: &[MailboxSubscriber<ServerMessage>], sids: &Sids) -> Vec<SubscriptionInfo> {
    let mut all: Vec<_> = subscribers.iter().flat_map(MailboxSubscriber::subscriptions).collect();
    all.sort_unstable_by_key(|(id, ..)| *id);
    let sids = lock(sids);
    let info = |(id, pattern, group): (SubscriptionId, Pattern, Option<Arc<str>>)| {
        // One that has begun or ended just now has no name.
        let sid = sids.get(&id)?;
        Some(SubscriptionInfo {
            subject: pattern.as_str().to_owned(),
            group: group.as_deref().unwrap_or_default().to_owned(),
            sid: String::from_utf8_lossy(sid).into_owned(),
        })
    };
    all.into_iter().filter_map(info).collect()
}
