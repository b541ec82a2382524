//! The provisioning flow as a state machine that performs no I/O.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use aether_mqtt::{ConnectError, Message, SessionEnded, SubscribeError, Topic, TopicFilter};

use crate::wire::{self, Exchange, Outcome};
use crate::{AnswerProblem, Claim, Identity, IssuedCertificate, ProvisionError, Step, TemplateName};

/// How long a stored ownership token is used: its hour on AWS, less a margin for the request itself and for clocks
/// that differ.
const TOKEN_LIFETIME: Duration = Duration::from_secs(55 * 60);

/// Turns a claim into a registered identity, without performing any I/O: one attempt, from its connect to its end.
///
/// ```text
///                    a token from before a restart, younger than its hour
///            ┌────────────────────────────────────────────────────┐
///            │  connected              both SUBACKs    accepted   │
///  Connecting ─────────▶ SubscribingCreate ─────▶ Creating ─────┐ │
///                                ▲                              ▼ │
///                                │                    StoringIssued
///                  that token is │                     persisted│ │
///                       rejected │                              ▼ ▼
///                                │               SubscribingRegister
///                                │                              │ both SUBACKs
///                                └───────────────── Registering ◀
///                                                       │ accepted
///                             persisted                 ▼
///                     Done ◀──────────────── StoringRegistered
///
///  Any state before StoringRegistered ──── refused, silent, disconnected ───▶ Failed
/// ```
///
/// Feed one [`Input`] to [`handle`](Self::handle), drain [`poll`](Self::poll) until it returns `None`, then wait for the
/// next input, at most until [`deadline`](Self::deadline). Time is an input: the machine reads no clock.
///
/// **Persistence order.** [`Action::Persist`] with the issued certificate comes before the RegisterThing request, and
/// the request is made only after [`Input::Persisted`]: a kill in between finds the key and the token again. An action
/// to persist stays in the queue even if the attempt fails meanwhile.
pub struct Provisioner {
    template: TemplateName,
    parameters: BTreeMap<String, String>,
    answer_timeout: Duration,
    create: Exchange,
    register: Exchange,
    /// Whether this connection has subscribed to the answers of RegisterThing.
    register_subscribed: bool,
    state: State,
    actions: VecDeque<Action>,
    deadline: Option<Instant>,
}

/// The time of an input, by both clocks.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "there are two clocks, and drivers build this at every input")]
pub struct Now {
    /// By the monotonic clock, for deadlines.
    pub instant: Instant,
    /// By the calendar, for the age of a token.
    pub wall: SystemTime,
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// The claim certificate has connected.
    Connected,
    /// It could not connect.
    ConnectFailed(ConnectError),
    /// The broker has acknowledged a subscription.
    Subscribed(TopicFilter),
    /// The broker has refused a subscription.
    SubscribeRefused(SubscribeError),
    /// A message has arrived.
    Message(Message),
    /// What [`Action::Persist`] asked to keep is kept.
    Persisted,
    /// The time of [`Provisioner::deadline`] may have come.
    Elapsed,
    /// The connection has ended.
    Disconnected(SessionEnded),
}

/// What to do next.
#[non_exhaustive]
pub enum Action {
    /// Connect with the claim certificate.
    Connect,
    /// Subscribe.
    Subscribe(TopicFilter),
    /// Publish a request. Its payload may hold a token.
    Publish {
        /// On this topic.
        topic: Topic,
        /// This payload.
        payload: Vec<u8>,
    },
    /// Keep this durably, then say [`Input::Persisted`].
    Persist(Record),
    /// Disconnect: here is the identity.
    Done(Identity),
}

/// What has to survive a restart.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Record {
    /// A certificate that was issued, with its key and token.
    Issued(IssuedCertificate),
    /// An identity that is registered.
    Registered(Identity),
}

enum State {
    Connecting { resumed: Option<Box<IssuedCertificate>> },
    SubscribingCreate { missing: Vec<TopicFilter> },
    Creating,
    StoringIssued { issued: Box<IssuedCertificate> },
    SubscribingRegister { issued: Box<IssuedCertificate>, resumed: bool, missing: Vec<TopicFilter> },
    Registering { issued: Box<IssuedCertificate>, resumed: bool },
    StoringRegistered { identity: Box<Identity> },
    Done,
    Failed,
}

impl Provisioner {
    /// An attempt from the start.
    #[must_use]
    pub fn new(claim: &Claim) -> Self {
        Self::from(claim, None)
    }

    /// An attempt that goes on with a certificate issued before a restart, if its token can still be good at `now`.
    ///
    /// A certificate from the future tells of a clock that was set back: its token is tried.
    #[must_use]
    pub fn resume(claim: &Claim, issued: IssuedCertificate, now: SystemTime) -> Self {
        let age = now.duration_since(issued.issued_at()).unwrap_or_default();
        Self::from(claim, (age < TOKEN_LIFETIME).then(|| Box::new(issued)))
    }

    fn from(claim: &Claim, resumed: Option<Box<IssuedCertificate>>) -> Self {
        Self {
            template: claim.template().clone(),
            parameters: claim.template_parameters().clone(),
            answer_timeout: claim.answer_limit(),
            create: Exchange::create(),
            register: Exchange::register(claim.template()),
            register_subscribed: false,
            state: State::Connecting { resumed },
            actions: VecDeque::from([Action::Connect]),
            deadline: None,
        }
    }

    /// The next thing to do, if any.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Until when to wait for an input before giving [`Input::Elapsed`].
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes what happened at `now`.
    ///
    /// An input that does not belong to the present state, such as an answer that came twice, changes nothing.
    ///
    /// # Errors
    ///
    /// [`ProvisionError`] ends the attempt; [`poll`](Self::poll) then gives at most what is still to be persisted.
    pub fn handle(&mut self, now: Now, input: Input) -> Result<(), ProvisionError> {
        let state = std::mem::replace(&mut self.state, State::Failed);
        match self.step(state, now, input) {
            Ok(next) => {
                self.state = next;
                Ok(())
            }
            Err(error) => {
                self.actions.retain(|action| matches!(action, Action::Persist(_)));
                self.deadline = None;
                Err(error)
            }
        }
    }

    fn step(&mut self, state: State, now: Now, input: Input) -> Result<State, ProvisionError> {
        match (state, input) {
            (State::Connecting { resumed: None }, Input::Connected) => Ok(self.subscribe_create(now)),
            (State::Connecting { resumed: Some(issued) }, Input::Connected) => {
                Ok(self.subscribe_register(now, issued, true))
            }
            (State::Connecting { .. }, Input::ConnectFailed(error)) => Err(ProvisionError::Connect(error)),

            (State::SubscribingCreate { mut missing }, Input::Subscribed(filter)) => {
                missing.retain(|one| *one != filter);
                Ok(if missing.is_empty() { self.ask_create(now) } else { State::SubscribingCreate { missing } })
            }
            (State::SubscribingRegister { issued, resumed, mut missing }, Input::Subscribed(filter)) => {
                missing.retain(|one| *one != filter);
                Ok(if missing.is_empty() {
                    self.register_subscribed = true;
                    self.ask_register(now, issued, resumed)
                } else {
                    State::SubscribingRegister { issued, resumed, missing }
                })
            }
            (
                state @ (State::SubscribingCreate { .. } | State::SubscribingRegister { .. }),
                Input::SubscribeRefused(source),
            ) => Err(ProvisionError::SubscriptionRefused { step: state.arrow(), source }),

            (State::Creating, Input::Message(message)) => self.created(now, &message),
            (State::Registering { issued, resumed }, Input::Message(message)) => {
                self.registered(now, issued, resumed, &message)
            }

            (State::StoringIssued { issued }, Input::Persisted) => Ok(if self.register_subscribed {
                self.ask_register(now, issued, false)
            } else {
                self.subscribe_register(now, issued, false)
            }),
            (State::StoringRegistered { identity }, Input::Persisted) => {
                self.actions.push_back(Action::Done(*identity));
                Ok(State::Done)
            }

            (state, Input::Elapsed) => match self.deadline {
                Some(deadline) if now.instant >= deadline => {
                    Err(ProvisionError::Silent { step: state.arrow(), after: self.answer_timeout })
                }
                Some(_) | None => Ok(state),
            },

            // Nothing more is needed of the connection.
            (state @ (State::StoringRegistered { .. } | State::Done | State::Failed), Input::Disconnected(_)) => {
                Ok(state)
            }
            (state, Input::Disconnected(source)) => Err(ProvisionError::Ended { step: state.arrow(), source }),

            // Late, early or twice: it belongs to no question that is open.
            (
                state @ (State::SubscribingCreate { .. }
                | State::Creating
                | State::StoringIssued { .. }
                | State::SubscribingRegister { .. }
                | State::Registering { .. }
                | State::StoringRegistered { .. }
                | State::Done
                | State::Failed),
                Input::Connected | Input::ConnectFailed(_),
            )
            | (
                state @ (State::Connecting { .. }
                | State::Creating
                | State::StoringIssued { .. }
                | State::Registering { .. }
                | State::StoringRegistered { .. }
                | State::Done
                | State::Failed),
                Input::Subscribed(_) | Input::SubscribeRefused(_),
            )
            | (
                state @ (State::Connecting { .. }
                | State::SubscribingCreate { .. }
                | State::StoringIssued { .. }
                | State::SubscribingRegister { .. }
                | State::StoringRegistered { .. }
                | State::Done
                | State::Failed),
                Input::Message(_),
            )
            | (
                state @ (State::Connecting { .. }
                | State::SubscribingCreate { .. }
                | State::Creating
                | State::SubscribingRegister { .. }
                | State::Registering { .. }
                | State::Done
                | State::Failed),
                Input::Persisted,
            ) => Ok(state),
        }
    }

    /// The answer of CreateKeysAndCertificate, or a message that is none.
    fn created(&mut self, now: Now, message: &Message) -> Result<State, ProvisionError> {
        let step = Step::Create;
        match self.create.outcome(&message.topic) {
            None => Ok(State::Creating),
            Some(Outcome::Rejected) => Err(rejection(step, &message.payload)),
            Some(Outcome::Accepted) => {
                let created = wire::read_created(&message.payload).map_err(|e| unusable(step, e))?;
                let issued =
                    IssuedCertificate::new(created.certificate_id, created.credentials, created.token, now.wall);
                self.deadline = None;
                self.actions.push_back(Action::Persist(Record::Issued(issued.clone())));
                Ok(State::StoringIssued { issued: Box::new(issued) })
            }
        }
    }

    /// The answer of RegisterThing, or a message that is none.
    fn registered(
        &mut self,
        now: Now,
        issued: Box<IssuedCertificate>,
        resumed: bool,
        message: &Message,
    ) -> Result<State, ProvisionError> {
        let step = Step::Register;
        match self.register.outcome(&message.topic) {
            None => Ok(State::Registering { issued, resumed }),
            Some(Outcome::Rejected) => {
                // A token from before the restart may be spent: the answer to its first use may have been lost.
                let spent = resumed && wire::read_rejected(&message.payload).is_ok_and(|r| r.may_concern_token());
                if spent { Ok(self.subscribe_create(now)) } else { Err(rejection(step, &message.payload)) }
            }
            Some(Outcome::Accepted) => {
                let answer = wire::read_registered(&message.payload).map_err(|e| unusable(step, e))?;
                let thing_name =
                    answer.thing_name.ok_or_else(|| ProvisionError::NoThingName { template: self.template.clone() })?;
                let identity = issued.registered(thing_name, answer.device_configuration);
                self.deadline = None;
                self.actions.push_back(Action::Persist(Record::Registered(identity.clone())));
                Ok(State::StoringRegistered { identity: Box::new(identity) })
            }
        }
    }

    fn subscribe_create(&mut self, now: Now) -> State {
        let missing = self.create.answers().to_vec();
        self.subscribe(now, &missing);
        State::SubscribingCreate { missing }
    }

    fn subscribe_register(&mut self, now: Now, issued: Box<IssuedCertificate>, resumed: bool) -> State {
        let missing = self.register.answers().to_vec();
        self.subscribe(now, &missing);
        State::SubscribingRegister { issued, resumed, missing }
    }

    fn ask_create(&mut self, now: Now) -> State {
        self.ask(now, self.create.request.clone(), wire::create_request());
        State::Creating
    }

    fn ask_register(&mut self, now: Now, issued: Box<IssuedCertificate>, resumed: bool) -> State {
        let payload = wire::register_request(issued.token(), &self.parameters);
        self.ask(now, self.register.request.clone(), payload);
        State::Registering { issued, resumed }
    }

    fn subscribe(&mut self, now: Now, filters: &[TopicFilter]) {
        self.actions.extend(filters.iter().cloned().map(Action::Subscribe));
        self.deadline = Some(now.instant + self.answer_timeout);
    }

    fn ask(&mut self, now: Now, topic: Topic, payload: Vec<u8>) {
        self.actions.push_back(Action::Publish { topic, payload });
        self.deadline = Some(now.instant + self.answer_timeout);
    }
}

impl State {
    /// The arrow of the flow that this state waits on.
    fn arrow(&self) -> Step {
        match self {
            Self::Connecting { .. } => Step::Connect,
            Self::SubscribingCreate { .. } => Step::SubscribeCreate,
            Self::Creating | Self::StoringIssued { .. } => Step::Create,
            Self::SubscribingRegister { .. } => Step::SubscribeRegister,
            Self::Registering { .. } | Self::StoringRegistered { .. } | Self::Done | Self::Failed => Step::Register,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Connecting { .. } => "Connecting",
            Self::SubscribingCreate { .. } => "SubscribingCreate",
            Self::Creating => "Creating",
            Self::StoringIssued { .. } => "StoringIssued",
            Self::SubscribingRegister { .. } => "SubscribingRegister",
            Self::Registering { .. } => "Registering",
            Self::StoringRegistered { .. } => "StoringRegistered",
            Self::Done => "Done",
            Self::Failed => "Failed",
        }
    }
}

fn rejection(step: Step, payload: &[u8]) -> ProvisionError {
    match wire::read_rejected(payload) {
        Ok(wire::Rejection { status_code, error_code, error_message }) => {
            ProvisionError::Rejected { step, status_code, error_code, error_message }
        }
        Err(problem) => unusable(step, problem),
    }
}

fn unusable(step: Step, source: AnswerProblem) -> ProvisionError {
    ProvisionError::Answer { step, source }
}

impl fmt::Debug for Provisioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provisioner")
            .field("template", &self.template)
            .field("state", &self.state.name())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("Connect"),
            Self::Subscribe(filter) => f.debug_tuple("Subscribe").field(filter).finish(),
            Self::Publish { topic, payload } => {
                f.debug_struct("Publish").field("topic", topic).field("bytes", &payload.len()).finish()
            }
            Self::Persist(record) => f.debug_tuple("Persist").field(record).finish(),
            Self::Done(identity) => f.debug_tuple("Done").field(identity).finish(),
        }
    }
}
