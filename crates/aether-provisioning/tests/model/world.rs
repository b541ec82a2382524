//! One run: a device with its disk and clocks, a network and a cloud, and a schedule of what goes wrong.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aether_mqtt::{ConnectError, Credentials, EndReason, Endpoint, Message, ServerRoots, SessionEnded};
use aether_provisioning::simulated::{SimulatedDisk, Unsynced};
use aether_provisioning::{
    Action, Claim, Contents, DirectoryStore, Identity, IdentityStore as _, Input, KeyPlan, Login, Now, OwnKey,
    ProvisionError, Provisioner, Record, RetryPolicy, Staged, Start, StoreError,
};

use crate::cloud::{self, Answer, Cloud, Keys, Status, TEMPLATE, THING};
use crate::ledger::{Held, Ledger, ROOT};
use crate::schedule::{Choice, EIO, Fate, Scenario, Stray};

/// 2026-11-22, where every schedule begins.
const BEGIN: Duration = Duration::from_secs(1_795_305_600);
/// 2026-11-01: no clock that is right has ever shown less.
const SANE: Duration = Duration::from_secs(1_793_491_200);
const OLD: &str = "before";

struct World<'a> {
    scenario: &'a Scenario,
    disk: SimulatedDisk,
    cloud: Cloud,
    keys: Arc<Keys>,
    claim: Claim,
    old: Option<Identity>,
    ledger: Ledger,
    begin: Instant,
    /// The true time since the schedule began.
    elapsed: Duration,
    clock: Clock,
    random: u64,
    connect_fails: bool,
    fate: Option<Fate>,
    /// What becomes of the disk where the process ends within a call of the store.
    then: Option<Unsynced>,
    /// Whether the disk never failed to give back what it holds.
    all_read: bool,
}

#[derive(Clone, Copy, Debug)]
enum Clock {
    /// By so many seconds.
    Off(i64),
    Unset,
}

/// One process of the device.
struct Process {
    machine: Provisioner,
    store: DirectoryStore,
    /// What a call that this process made has come to.
    local: Option<Input>,
    connected: bool,
    network: VecDeque<Packet>,
    questions: u64,
    /// A request that was sent and not answered on the session that is open.
    open: Option<u64>,
    /// What was asked for on it.
    asked: Vec<String>,
}

/// What the network holds for the device.
#[derive(Clone, Debug)]
enum Packet {
    Suback(String),
    /// With the number of its question.
    Answer(Option<u64>, Answer),
}

/// How a process goes on.
enum Turn {
    On,
    /// It was killed within a call.
    Killed,
    Done(Identity),
}

/// Plays a schedule, and panics where something is not as it has to be.
pub(crate) fn play(scenario: &Scenario) {
    let mut world = World::new(scenario);
    let mut choices = scenario.choices.iter().copied();
    let Some(mut process) = world.start(true) else { return };
    for step in 0.. {
        assert!(step < 4000, "it does not come to an end: {}", process.machine.state());
        let turn = match choices.next() {
            Some(choice) => world.choose(&mut process, choice),
            None => {
                world.calm();
                world.go(&mut process)
            }
        };
        let killed = match turn {
            Ok(Turn::On) => continue,
            Ok(Turn::Killed) => world.then,
            // The next start has to find what this one has not been able to keep.
            Ok(Turn::Done(identity)) => {
                assert_eq!(identity.thing_name().as_str(), THING);
                assert_eq!(world.cloud.find(identity.certificate_id().as_str()).status, Status::Active);
                world.calm();
                None
            }
            Err(error) => {
                world.ledger.final_error(&error);
                world.give_up(&process.store);
                None
            }
        };
        drop(process);
        process = match world.restart(killed) {
            Some(next) => next,
            None => return,
        };
    }
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let (disk, keys) = (SimulatedDisk::new(scenario.seed), Arc::new(Keys::default()));
        let mut cloud = Cloud::default();
        let old = scenario.rotation.then(|| {
            cloud.had(OLD);
            let identity = identity(OLD);
            disk.store(ROOT).promote(&identity).unwrap();
            disk.restart();
            identity
        });
        let (endpoint, roots) = (Endpoint::new("localhost", 8883).unwrap(), ServerRoots::mozilla());
        let claim = match &old {
            Some(old) if scenario.seed.is_multiple_of(2) => {
                Claim::by_device(endpoint, roots, old, TEMPLATE.parse().unwrap())
            }
            _ => Claim::new(endpoint, roots, credentials(0), TEMPLATE.parse().unwrap()),
        };
        let keys_plan =
            if scenario.own_key { KeyPlan::OnDevice(Arc::<Keys>::clone(&keys)) } else { KeyPlan::AwsGenerated };
        let claim = claim
            .parameters(BTreeMap::from([("SerialNumber".to_owned(), "P3-00017".to_owned())]))
            .encoding(scenario.encoding)
            .keys(keys_plan)
            .answer_timeout(scenario.patience)
            .retry(RetryPolicy::default().refusals(scenario.refusals));
        Self {
            scenario,
            disk,
            cloud,
            keys,
            claim,
            ledger: Ledger::new(old.as_ref().map(|_| OLD.to_owned()), scenario.refusals),
            old,
            begin: Instant::now(),
            elapsed: Duration::ZERO,
            clock: Clock::Off(0),
            random: scenario.seed,
            connect_fails: false,
            fate: None,
            then: None,
            all_read: true,
        }
    }

    fn wall(&self) -> SystemTime {
        let truth = UNIX_EPOCH + BEGIN + self.elapsed;
        match self.clock {
            Clock::Off(by @ 0..) => truth + Duration::from_secs(by.unsigned_abs()),
            Clock::Off(by) => truth - Duration::from_secs(by.unsigned_abs()),
            Clock::Unset => UNIX_EPOCH + self.elapsed,
        }
    }

    fn now(&mut self) -> Now {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Now { instant: self.begin + self.elapsed, wall: self.wall(), random: self.random }
    }

    /// Nothing goes wrong any more.
    fn calm(&mut self) {
        self.disk.fail_after(0, 0, EIO);
        if !matches!(self.clock, Clock::Off(0)) {
            self.set_clock(Clock::Off(0));
        }
        (self.connect_fails, self.fate) = (false, None);
    }

    fn set_clock(&mut self, clock: Clock) {
        // How old a token is, is no longer told rightly.
        self.ledger.may_cost_one();
        self.clock = clock;
    }

    fn restart(&mut self, power: Option<Unsynced>) -> Option<Process> {
        match power {
            Some(unsynced) => self.disk.cut_power(unsynced),
            None => self.disk.restart(),
        }
        self.start(power.is_some())
    }

    /// A process, if there is something left to do.
    fn start(&mut self, after_power_cut: bool) -> Option<Process> {
        let store = self.disk.store(ROOT);
        let contents = store.load(self.wall()).expect("what is on the disk can be loaded");
        self.ledger.restart(&contents, after_power_cut);
        let old = self.old.as_ref().map(|_| OLD);
        if contents.active.as_ref().is_some_and(|one| Some(one.certificate_id().as_str()) != old) {
            self.finish(&store, &contents);
            return None;
        }
        let start = match contents.staged {
            Staged::Nothing | Staged::Key(_) => Start::Empty,
            Staged::Issued(issued) => Start::Issued(issued),
            Staged::Registered(identity) => Start::Registered(identity),
        };
        let now = self.now();
        let machine = match &self.old {
            Some(old) => Provisioner::renew(&self.claim, old.thing_name(), start, now),
            None => Provisioner::new(&self.claim, start, now),
        };
        let (local, network) = (None, VecDeque::new());
        Some(Process { machine, store, local, connected: false, network, questions: 0, open: None, asked: Vec::new() })
    }

    /// Another start finds the new identity active; then an event is acknowledged under it.
    fn finish(&mut self, store: &DirectoryStore, contents: &Contents) {
        let active = contents.active.clone().expect("the new identity");
        // What a kill left of its promotion.
        store.promote(&active).unwrap();
        self.ledger.promoted(active.certificate_id().as_str());
        self.ledger.check_disk(&self.disk, self.wall());
        let contents = store.load(self.wall()).unwrap();
        self.ledger.finished(&self.cloud, &contents, self.old.as_ref().map(|_| OLD), self.all_read);
        store.confirm().unwrap();
        assert!(!store.load(self.wall()).unwrap().unconfirmed);
        if self.scenario.own_key {
            assert!(self.keys.made() <= self.cloud.certificates.len() + 1 + self.scenario.choices.len());
        }
    }

    /// What the driver does where a rotation ends with an error.
    fn give_up(&mut self, store: &DirectoryStore) {
        self.disk.fail_after(0, 0, EIO);
        if self.old.is_some() {
            store.discard_staged().unwrap();
            self.ledger.kept(Held::Nothing);
            self.ledger.may_cost_one();
        }
    }

    fn choose(&mut self, process: &mut Process, choice: Choice) -> Result<Turn, ProvisionError> {
        match choice {
            Choice::Go => self.go(process),
            Choice::Overtake(by) => {
                if !process.network.is_empty() {
                    let at = usize::from(by) % process.network.len();
                    process.network.swap(0, at);
                }
                self.go(process)
            }
            Choice::Twice => {
                if let Some(next) = process.network.front() {
                    process.network.push_back(next.clone());
                }
                self.go(process)
            }
            Choice::Lose => {
                if process.network.pop_front().is_some() {
                    self.ledger.may_cost_one();
                }
                Ok(Turn::On)
            }
            Choice::Wait(time) => {
                if process.open.is_some() && time >= self.scenario.patience {
                    self.ledger.may_cost_one();
                }
                self.elapsed += time;
                self.give(process, Input::Elapsed)
            }
            Choice::HangUp if process.connected => {
                if process.open.is_some() {
                    self.ledger.may_cost_one();
                }
                process.hang_up();
                self.give(process, Input::Disconnected(SessionEnded::new(EndReason::ClosedByPeer)))
            }
            Choice::HangUp => Ok(Turn::On),
            Choice::Kill => self.kill(None),
            Choice::PowerCut(unsynced) => self.kill(Some(unsynced)),
            Choice::KillIn(changes, then) => {
                self.then = then;
                self.disk.kill_after(changes.into());
                Ok(Turn::On)
            }
            Choice::DiskFails(after, times, error) => {
                self.all_read = false;
                self.disk.fail_after(after.into(), times.into(), error);
                Ok(Turn::On)
            }
            Choice::ClockOff(by) => {
                self.set_clock(Clock::Off(by.into()));
                Ok(Turn::On)
            }
            Choice::ClockUnset => {
                self.set_clock(Clock::Unset);
                Ok(Turn::On)
            }
            Choice::ClockRight => {
                self.set_clock(Clock::Off(0));
                Ok(Turn::On)
            }
            Choice::ConnectFails => {
                self.connect_fails = true;
                Ok(Turn::On)
            }
            Choice::NextRequest(fate) => {
                self.fate = Some(fate);
                Ok(Turn::On)
            }
            Choice::Stray(stray) => {
                let topic = match stray {
                    Stray::Elsewhere => "$aws/certificates/other/accepted",
                    Stray::Request => "$aws/certificates/create/json",
                };
                if process.connected {
                    let answer = Answer { topic: topic.to_owned(), payload: b"{}".to_vec() };
                    process.network.push_back(Packet::Answer(None, answer));
                }
                self.go(process)
            }
        }
    }

    fn kill(&mut self, then: Option<Unsynced>) -> Result<Turn, ProvisionError> {
        self.ledger.may_cost_one();
        self.then = then;
        Ok(Turn::Killed)
    }

    /// The next thing in its order.
    fn go(&mut self, process: &mut Process) -> Result<Turn, ProvisionError> {
        let input = if let Some(local) = process.local.take() {
            local
        } else if let Some(packet) = process.network.pop_front() {
            match packet {
                Packet::Suback(filter) => Input::Subscribed(filter.parse().unwrap()),
                Packet::Answer(question, Answer { topic, payload }) => {
                    if question.is_some() && question == process.open {
                        process.open = None;
                    }
                    Input::Message(Message::new(topic.parse().unwrap(), payload))
                }
            }
        } else if let Some(deadline) = process.machine.deadline() {
            self.elapsed = self.elapsed.max(deadline - self.begin);
            Input::Elapsed
        } else {
            // A machine that has just begun.
            assert!(process.questions == 0 && !process.connected, "waits for nothing in {}", process.machine.state());
            Input::Elapsed
        };
        self.give(process, input)
    }

    fn give(&mut self, process: &mut Process, input: Input) -> Result<Turn, ProvisionError> {
        let now = self.now();
        process.machine.handle(now, input)?;
        while let Some(action) = process.machine.poll() {
            match self.perform(process, action) {
                Turn::On => {}
                end @ (Turn::Killed | Turn::Done(_)) => return Ok(end),
            }
        }
        Ok(Turn::On)
    }

    fn perform(&mut self, process: &mut Process, action: Action) -> Turn {
        match action {
            Action::Prepare { own_key } => {
                assert_eq!(own_key, self.scenario.own_key);
                let input = match self.prepare(process, own_key) {
                    Ok(own) => Input::Prepared(own),
                    Err(error) => Input::NotPrepared(error),
                };
                return self.called(process, input);
            }
            Action::Persist(record) => {
                let input = match self.persist(process, &record) {
                    Ok(()) => Input::Persisted,
                    Err(error) => Input::NotPersisted(error),
                };
                return self.called(process, input);
            }
            Action::Connect(login) => {
                let input = self.connect(process, &login);
                return self.called(process, input);
            }
            Action::Subscribe(filter) => {
                if process.connected {
                    process.network.push_back(Packet::Suback(filter.as_str().to_owned()));
                }
            }
            Action::Publish { topic, payload } => self.publish(process, topic.as_str(), &payload),
            Action::Disconnect => process.hang_up(),
            Action::Report { error, retry_in } => {
                assert!(error.is_retryable() || retry_in.is_none(), "{error:?}");
            }
            Action::Done(identity) => return Turn::Done(identity),
            other => panic!("an action this test does not know: {other:?}"),
        }
        Turn::On
    }

    /// A call has ended; the machine hears of it when its turn comes.
    fn called(&mut self, process: &mut Process, input: Input) -> Turn {
        if self.disk.is_dead() {
            self.ledger.may_cost_one();
            return Turn::Killed;
        }
        assert!(process.local.replace(input).is_none(), "two calls at once");
        Turn::On
    }

    fn prepare(&mut self, process: &Process, own_key: bool) -> Result<Option<OwnKey>, StoreError> {
        process.store.prepare()?;
        if !own_key {
            return Ok(None);
        }
        let key = match process.store.load(self.wall())?.staged {
            Staged::Key(key) => key,
            Staged::Nothing | Staged::Issued(_) | Staged::Registered(_) => {
                let kept = matches!(self.ledger.held, Held::Key(_)) && self.all_read;
                assert!(!kept, "a new key where one is kept");
                let key = aether_provisioning::KeySource::make(&*self.keys).unwrap();
                let held = Held::Key(key.public_key_der().to_vec());
                self.ledger.attempt(held.clone());
                let staged = process.store.stage_key(&key);
                self.ledger.check_disk(&self.disk, self.wall());
                staged?;
                self.ledger.kept(held);
                key
            }
        };
        Ok(Some(OwnKey { request: cloud::signing_request(&key), key }))
    }

    fn persist(&mut self, process: &Process, record: &Record) -> Result<(), StoreError> {
        let store = &process.store;
        let kept = match record {
            Record::Issued(issued) => {
                let held = Held::Issued(issued.certificate_id().to_string());
                self.ledger.attempt(held.clone());
                let kept = store.stage_issued(issued);
                if kept.is_ok() {
                    self.ledger.kept(held);
                }
                kept
            }
            Record::Registered(identity) => {
                let held = Held::Registered(identity.certificate_id().to_string());
                self.ledger.attempt(held.clone());
                let kept = store.stage_registered(identity);
                if kept.is_ok() {
                    self.ledger.kept(held);
                }
                kept
            }
            Record::Proven(identity) => {
                let id = identity.certificate_id().as_str();
                self.ledger.attempt_promotion(id);
                let promoted = store.promote(identity);
                if promoted.is_ok() {
                    self.ledger.promoted(id);
                }
                promoted
            }
            other => panic!("a record this test does not know: {other:?}"),
        };
        self.ledger.check_disk(&self.disk, self.wall());
        kept
    }

    fn connect(&mut self, process: &mut Process, login: &Login) -> Input {
        assert!(!process.connected, "two connections at once");
        match login {
            Login::Claim => {
                assert!(self.wall() >= UNIX_EPOCH + SANE, "the claim is used by a clock that is not set");
            }
            Login::Device(identity) => {
                let id = identity.certificate_id().as_str();
                self.ledger.is_kept(&Held::Registered(id.to_owned()));
                assert_eq!(self.cloud.find(id).status, Status::Active, "before it is registered");
            }
        }
        if std::mem::take(&mut self.connect_fails) {
            return Input::ConnectFailed(ConnectError::Closed { endpoint: "localhost:8883".to_owned() });
        }
        process.connected = true;
        Input::Connected
    }

    fn publish(&mut self, process: &mut Process, topic: &str, payload: &[u8]) {
        assert!(process.open.is_none(), "two requests in flight");
        if !process.connected {
            return;
        }
        if topic.starts_with("$aws/certificates/") {
            assert_eq!(topic.contains("from-csr"), self.scenario.own_key);
            self.ledger.asks_for_certificate(&self.cloud, self.elapsed);
        } else {
            self.ledger.asks_for_thing(&cloud::token_owner(topic, payload));
        }
        // An answer that comes twice could be taken for another's.
        assert!(!process.asked.iter().any(|one| one == topic), "asked twice on one session: {topic}");
        process.asked.push(topic.to_owned());
        let fate = self.fate.take();
        match fate {
            Some(Fate::Unanswered | Fate::DoneAndRefused) => self.ledger.may_cost_one(),
            Some(Fate::Garbled) => {
                self.ledger.may_cost_one();
                self.ledger.bounded += 1;
            }
            Some(Fate::Refused(400)) => {
                self.ledger.may_cost_one();
                self.ledger.denied += 1;
            }
            Some(Fate::Refused(403) | Fate::RefusedGarbled) => self.ledger.bounded += 1,
            Some(Fate::Refused(_) | Fate::Lost) | None => {}
        }
        process.questions += 1;
        process.open = Some(process.questions);
        if let Some(answer) = self.cloud.request(self.elapsed, topic, payload, fate) {
            process.network.push_back(Packet::Answer(process.open, answer));
        }
    }
}

impl Process {
    fn hang_up(&mut self) {
        self.connected = false;
        self.open = None;
        self.asked.clear();
        self.network.clear();
    }
}

fn credentials(pair: usize) -> Credentials {
    let (certificate, key) = &cloud::pairs()[pair];
    Credentials::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap()
}

fn identity(id: &str) -> Identity {
    Identity::new(THING.parse().unwrap(), id.parse().unwrap(), credentials(1), BTreeMap::new())
}
