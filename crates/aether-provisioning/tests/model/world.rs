//! One run: a device with its disk and clocks, a network and a cloud, and a schedule of what goes wrong.

mod device;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aether_mqtt::{Credentials, EndReason, Endpoint, Message, ServerRoots, SessionEnded};
use aether_provisioning::simulated::{SimulatedDisk, Unsynced};
use aether_provisioning::{
    Claim, Contents, DirectoryStore, Identity, IdentityStore as _, Input, KeyPlan, Now, ProvisionError, Provisioner,
    RetryPolicy, Staged, Start,
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
                self.elapsed += time;
                let given_up = process.machine.deadline().is_some_and(|at| at <= self.begin + self.elapsed);
                if process.open.is_some() && given_up {
                    // The answer comes too late.
                    self.ledger.may_cost_one();
                }
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
