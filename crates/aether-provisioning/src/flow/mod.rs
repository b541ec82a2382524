//! The provisioning flow as a state machine that performs no I/O.

mod ask;
mod attempt;
mod io;
mod keep;
mod state;
mod step;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

pub use io::{Action, Input, Login, Now, OwnKey, Record};
use state::{Resume, State};

use crate::retry::{RetryPolicy, Waits};
use crate::wire::{Encoding, Exchange};
use crate::{Claim, Identity, IssuedCertificate, ProvisionError, TemplateName, ThingName};

/// How long a stored ownership token is used: its hour on AWS, less a margin for the request itself and for clocks
/// that differ.
const TOKEN_LIFETIME: Duration = Duration::from_secs(55 * 60);

/// The release of this version, 2026-11-01 UTC: a clock that says less is not set.
const RELEASED: Duration = Duration::from_secs(1_793_491_200);

/// How often a clock that is not set is looked at.
const CLOCK_CHECK: Duration = Duration::from_secs(10);

/// AWS IoT Core takes one CONNECT per second and client id.
const SAME_CLIENT_PAUSE: Duration = Duration::from_millis(1100);

/// Turns a claim into an identity that has connected, without performing any I/O, through as many attempts as it takes.
///
/// ```text
///                     a certificate whose token is younger than its hour
///          ┌──────────────────────────────────────────────────────────────┐
///          │                                                              ▼
///  begin ──┴▶ Preparing ─▶ Connecting ─▶ SubscribingCreate ─▶ Creating   Connecting
///              room, key     claim          both SUBACKs          │       │
///                                                        accepted ▼       │
///                                                       StoringIssued     │
///                                                        persisted│       │
///                                                                 ▼       ▼
///                                                          SubscribingRegister
///                                                     both SUBACKs│
///                         that token may be spent: begin ◀─ Registering
///                                                        accepted ▼
///  Done ◀─ StoringProven ◀─ Proving ◀────────────────── StoringRegistered
///           persisted        connected as the device     persisted
///
///  Any state ── refused, silent, disconnected, disk full ──▶ Resting ── delay ──▶ begin, or the same question again
///            └─ what no further attempt can mend ──▶ Failed
/// ```
///
/// What each input does in each state, reached by one way, stands in `docs/provisioning-states.md`, which a test keeps
/// true.
///
/// Feed one [`Input`] to [`handle`](Self::handle), drain [`poll`](Self::poll) until it returns `None`, then wait for the
/// next input, at most until [`deadline`](Self::deadline). Time and randomness are inputs: the machine reads no clock.
///
/// **Persistence order.** [`Action::Persist`] with the issued certificate comes before the RegisterThing request, and
/// the request is made only after [`Input::Persisted`]: a kill in between finds the key and the token again. While a
/// record cannot be kept (a full disk) it is tried again with the question still open; nothing is asked anew.
pub struct Provisioner {
    request: Option<Request>,
    activation: Option<Duration>,
    waits: Waits,
    /// A certificate that RegisterThing has not accepted yet.
    issued: Option<Issued>,
    own_key: Option<OwnKey>,
    connected: bool,
    /// When the last request was made.
    asked: Option<Instant>,
    state: State,
    actions: VecDeque<Action>,
    deadline: Option<Instant>,
}

/// What is asked for, and how. Missing where the identity is there and only has to be proven.
struct Request {
    template: TemplateName,
    parameters: BTreeMap<String, String>,
    answer_timeout: Duration,
    encoding: Encoding,
    from_csr: bool,
    create: Exchange,
    register: Exchange,
    not_before: SystemTime,
    not_after: SystemTime,
    client_id: String,
    /// The Thing that a rotation has to be answered with.
    renews: Option<ThingName>,
}

struct Issued {
    certificate: IssuedCertificate,
    /// Since when this run has it.
    since: Instant,
    /// Whether an earlier run left it.
    found: bool,
    /// Whether RegisterThing was asked with its token and no answer has come: it may be spent.
    doubtful: bool,
}

/// Where a run of [`Provisioner`] begins.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "these are the stages that a store can hold")]
pub enum Start {
    /// Nothing is there, or at most a key.
    Empty,
    /// With a certificate that was issued before a restart.
    Issued(IssuedCertificate),
    /// With an identity that is registered and has not yet connected.
    Registered(Identity),
}

impl Provisioner {
    /// A run from `start`.
    ///
    /// A certificate issued before a restart is registered with its token, if that can still be good: RegisterThing may
    /// have been asked with it already, so that a refusal of it leads to a new certificate.
    #[must_use]
    pub fn new(claim: &Claim, start: Start, now: Now) -> Self {
        Self::begin(Some(Request::of(claim, None)), claim.retry_policy(), None, start, now)
    }

    /// A run that ends with the next identity of the Thing that `claim` has to be answered with: a rotation.
    #[must_use]
    pub fn renew(claim: &Claim, thing_name: &ThingName, start: Start, now: Now) -> Self {
        let start = match start {
            // Left by somebody who was given it by hand, perhaps; not what is asked for here.
            Start::Registered(identity) if identity.thing_name() != thing_name => Start::Empty,
            start @ (Start::Registered(_) | Start::Issued(_) | Start::Empty) => start,
        };
        Self::begin(Some(Request::of(claim, Some(thing_name.clone()))), claim.retry_policy(), None, start, now)
    }

    /// A run that proves an identity that was not asked for here: given by hand, or to be activated by the cloud on its
    /// first connects (just-in-time registration and provisioning), for which it waits at most `activation`.
    #[must_use]
    pub fn adopt(identity: Identity, retry: &RetryPolicy, activation: Duration, now: Now) -> Self {
        let mut machine = Self::begin(None, retry, Some(activation), Start::Empty, now);
        machine.state = machine.store_registered(identity);
        machine
    }

    fn begin(
        request: Option<Request>,
        retry: &RetryPolicy,
        activation: Option<Duration>,
        start: Start,
        now: Now,
    ) -> Self {
        let mut machine = Self {
            request,
            activation,
            waits: retry.begin(),
            issued: None,
            own_key: None,
            connected: false,
            asked: None,
            state: State::Failed,
            actions: VecDeque::new(),
            deadline: None,
        };
        machine.state = match start {
            // What was found may not have been synced by the process that was killed: it is kept once more.
            Start::Registered(identity) => machine.store_registered(identity),
            Start::Issued(certificate) => {
                machine.issued = Some(Issued { certificate, since: now.instant, found: true, doubtful: true });
                machine.rest(Resume::StoreIssued, now.instant)
            }
            Start::Empty if machine.request.is_none() => State::Failed,
            Start::Empty => machine.rest(Resume::Begin, now.instant),
        };
        machine
    }

    /// The next thing to do, if any.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Until when to wait for an input before giving [`Input::Elapsed`]. It may have passed already.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The present state's name, as `docs/provisioning-states.md` has it.
    #[must_use]
    pub fn state(&self) -> &'static str {
        self.state.name()
    }

    /// Takes what happened at `now`.
    ///
    /// An input that does not belong to the present state, such as an answer that came twice, changes nothing. A failure
    /// that another attempt may mend is told by [`Action::Report`] and tried again after its delay.
    ///
    /// # Errors
    ///
    /// [`ProvisionError`] ends the run: it is final. [`poll`](Self::poll) then at most says to disconnect.
    pub fn handle(&mut self, now: Now, input: Input) -> Result<(), ProvisionError> {
        let state = std::mem::replace(&mut self.state, State::Failed);
        match self.step(state, now, input) {
            Ok(next) => {
                self.state = next;
                Ok(())
            }
            Err(error) => {
                self.actions.clear();
                self.disconnect();
                self.deadline = None;
                Err(error)
            }
        }
    }
}

impl Request {
    fn of(claim: &Claim, renews: Option<ThingName>) -> Self {
        let (encoding, from_csr) = (claim.chosen_encoding(), claim.key_plan().is_own());
        Self {
            template: claim.template().clone(),
            parameters: claim.template_parameters().clone(),
            answer_timeout: claim.answer_limit(),
            encoding,
            from_csr,
            create: if from_csr { Exchange::create_from_csr(encoding) } else { Exchange::create(encoding) },
            register: Exchange::register(claim.template(), encoding),
            not_before: claim.not_before(),
            not_after: claim.not_after(),
            client_id: claim.connect_options().client_id().as_str().to_owned(),
            renews,
        }
    }
}

impl fmt::Debug for Provisioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provisioner")
            .field("state", &self.state.name())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
