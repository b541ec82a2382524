//! A device that is killed while it provisions, at every step and at any instant, ends with a working identity.
//!
//! ```text
//!  aether run ──▶ SIGKILL ──▶ aether run ──▶ device-connected, an event arrives
//!      │                          │
//!      └──────── sandbox ─────────┘   its registry: how many certificates, whose, in which state
//! ```
//!
//! `AETHER_KILLS` says how many kills at random instants there are (20; 200 is the nightly setting), `AETHER_KILL_SEED` from which
//! seed; both are printed with what came of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use aether_sandbox::{
    AuditEvent, AuditStream, CertificateKind, CertificateStatus, KeyKind, Observer, Sandbox as Cloud,
};
use aether_tests::aether::{Gateway, Identity};
use aether_tests::program::Program;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Longest wait for one thing to happen.
const SOON: Duration = Duration::from_secs(60);
/// Longer than any test waits: a step that is held goes on only when the kill has come.
const HELD_MS: u64 = 600_000;

/// The answer with a certificate, in any mode.
const CREATE: &str = "create";

/// The claim policy of the specification allows JSON, and keys made by AWS, alone.
const ANY_MODE: &str = r#"{ "Version": "2012-10-17",
    "Statement": [{ "Effect": "Allow", "Action": "iot:*", "Resource": "*" }] }"#;

/// When a kill comes.
#[derive(Clone, Debug)]
enum Kill {
    /// As soon as the program has printed this stage: what it tells of is on disk.
    Stage(&'static str),
    /// While the sandbox holds a step of the session of this client: the `nth` of its kind.
    Held { step: &'static str, of: Client, nth: u32 },
    /// So long after the start.
    After(Duration),
}

#[derive(Clone, Copy, Debug)]
enum Client {
    Claim,
    Device,
}

/// Who makes the key, and how requests are written.
#[derive(Clone, Copy, Debug)]
struct Mode {
    key: &'static str,
    encoding: &'static str,
}

const MODES: [Mode; 3] = [
    Mode { key: "aws", encoding: "json" },
    Mode { key: "ec-p256", encoding: "cbor" },
    Mode { key: "ec-p256", encoding: "json" },
];

/// Every place where something is kept or something is under way, in the order of the flow.
const POINTS: [Kill; 15] = [
    Kill::Stage("opcua-listening"),
    Kill::Held { step: "connect", of: Client::Claim, nth: 1 },
    Kill::Held { step: "connack", of: Client::Claim, nth: 1 },
    Kill::Stage("claim-connected"),
    Kill::Held { step: "suback", of: Client::Claim, nth: 2 },
    Kill::Held { step: "publish", of: Client::Claim, nth: 1 },
    Kill::Held { step: CREATE, of: Client::Claim, nth: 1 },
    Kill::Stage("certificate-issued"),
    Kill::Held { step: "suback", of: Client::Claim, nth: 4 },
    Kill::Held { step: "publish", of: Client::Claim, nth: 2 },
    Kill::Held { step: "register_thing", of: Client::Claim, nth: 1 },
    Kill::Stage("thing-registered"),
    Kill::Held { step: "connect", of: Client::Device, nth: 1 },
    Kill::Held { step: "connack", of: Client::Device, nth: 1 },
    Kill::Stage("device-connected"),
];

/// A sandbox in this process, and one who sees every event.
struct World {
    runtime: Runtime,
    sandbox: Cloud,
    observer: Observer,
    audit: AuditStream,
    devices: u32,
    _folder: tempfile::TempDir,
}

/// What the life of one device came to.
#[derive(Debug, Default)]
struct Life {
    kills: u32,
    /// Certificates that were issued and are not the device's.
    extra: u32,
    /// Those of them that the sandbox has as active.
    orphans: u32,
    /// From the registration in the cloud until it was durable on the device.
    window: Option<Duration>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (sandbox, observer) = runtime.block_on(async {
            // Making RSA keys takes longer than all the rest, and varies.
            let directory = folder.path().join("sandbox");
            let builder = || Cloud::builder().dir(&directory).device_keys(KeyKind::EcP256);
            builder().start().await.unwrap().shutdown().await;
            fs::write(directory.join("policies/aether-claim.json"), ANY_MODE).unwrap();
            let sandbox = builder().start().await.unwrap();
            let credentials = sandbox.files().observer_credentials().unwrap();
            let observer = Observer::connect(sandbox.local_addr(), &credentials, "watcher").await.unwrap();
            observer.subscribe("#").await.unwrap();
            (sandbox, observer)
        });
        let audit = sandbox.audit();
        Self { runtime, sandbox, observer, audit, devices: 0, _folder: folder }
    }

    /// A device is killed at each of these, one after another, and then left alone.
    fn live(&mut self, mode: Mode, kills: &[Kill]) -> Life {
        self.devices += 1;
        let folder = tempfile::tempdir().unwrap();
        let serial = format!("K{:05}", self.devices);
        let files = self.sandbox.files();
        let claim = Identity { certificate: files.claim_cert().to_owned(), key: files.claim_key().to_owned() };
        let gateway = Gateway::at(folder.path(), self.sandbox.local_addr().port(), files.ca(), claim).serial(&serial);
        let Mode { key, encoding } = mode;
        let gateway = gateway.aws_iot(&format!("key = {key:?}\nencoding = {encoding:?}"));
        let before = self.certificates();
        let mut registered = false;
        for kill in kills {
            self.sandbox.set_faults(&script(kill, mode, &serial)).unwrap();
            let mut program = gateway.run_json();
            self.wait(&program, kill);
            program.kill();
            registered |= program.stages().iter().any(|stage| stage == "thing-registered");
            self.sandbox.set_faults("[]").unwrap();
        }
        let mut program = gateway.run_json();
        let connected = program.wait_for_stage("device-connected", SOON);
        let thing = connected["detail"].as_str().unwrap().to_owned();
        assert!(thing.contains(&serial), "{thing}");
        self.wait_for_event(&program, &thing);
        program.kill();

        let active = find(folder.path(), "active");
        let own = fs::read_to_string(&active).unwrap().trim().to_owned();
        let mut life = Life { kills: u32::try_from(kills.len()).unwrap(), ..Life::default() };
        for (id, status) in self.certificates().into_iter().filter(|(id, _)| !before.contains_key(id)) {
            if id == own {
                assert_eq!(status, CertificateStatus::Active);
                continue;
            }
            life.extra += 1;
            life.orphans += u32::from(status == CertificateStatus::Active);
        }
        assert!(life.extra <= life.kills, "{life:?} after {kills:?}");
        // Whoever was registered durably stays who it is.
        assert!(life.orphans == 0 || !registered, "{life:?} after {kills:?}");
        life.window = self.registered_at().and_then(|at| {
            // The last change of it: the token that was spent goes once the Thing's name is durable.
            let home = active.with_file_name("identities").join(&own);
            fs::metadata(home).unwrap().modified().unwrap().duration_since(at).ok()
        });
        life
    }

    fn wait(&self, program: &Program, kill: &Kill) {
        match kill {
            Kill::Stage(name) => drop(program.wait_for_stage(name, SOON)),
            Kill::Held { .. } => program.wait_until(&format!("{kill:?}"), SOON, || {
                let report: Value = serde_json::from_str(&self.sandbox.faults()).unwrap();
                (report[0]["fired"] == 1).then_some(())
            }),
            // No wait for something to happen: that it is any instant is the point.
            Kill::After(time) => std::thread::sleep(*time),
        }
    }

    /// The certificates of devices.
    fn certificates(&self) -> BTreeMap<String, CertificateStatus> {
        let all = self.sandbox.certificates().into_iter().filter(|one| one.kind == CertificateKind::Device);
        all.map(|one| (one.id.to_string(), one.status)).collect()
    }

    /// An event on the Thing's topic: the identity works.
    fn wait_for_event(&mut self, program: &Program, thing: &str) {
        let (runtime, observer) = (&self.runtime, &mut self.observer);
        let event = async {
            while let Some(message) = observer.next().await {
                if message.topic == thing {
                    return true;
                }
            }
            false
        };
        let arrived = runtime.block_on(async { tokio::time::timeout(SOON, event).await });
        assert!(arrived.is_ok_and(|found| found), "no event of {thing}; it printed:\n{}", program.printed());
    }

    /// When the last Thing was registered, of those since the last call.
    fn registered_at(&mut self) -> Option<SystemTime> {
        let (runtime, audit) = (&self.runtime, &mut self.audit);
        runtime.block_on(async {
            let mut last = None;
            while let Ok(Some(record)) = tokio::time::timeout(Duration::ZERO, audit.next()).await {
                if record.event == AuditEvent::RegisterThing {
                    last = Some(record.at);
                }
            }
            last
        })
    }

    /// How long a device takes that nobody kills.
    fn usual_time(&mut self) -> Duration {
        let begun = Instant::now();
        self.live(MODES[0], &[]);
        begun.elapsed()
    }
}

fn script(kill: &Kill, mode: Mode, serial: &str) -> String {
    let (step, of, nth) = match kill {
        Kill::Held { step, of, nth } => (*step, *of, *nth),
        // What comes after a stage is held, so that the kill comes before it however late it is.
        Kill::Stage("opcua-listening") => ("connect", Client::Claim, 1),
        Kill::Stage("claim-connected") => ("publish", Client::Claim, 1),
        Kill::Stage("certificate-issued") => ("publish", Client::Claim, 2),
        Kill::Stage("thing-registered") => ("connect", Client::Device, 1),
        Kill::Stage(_) | Kill::After(_) => return "[]".to_owned(),
    };
    let client_id = match of {
        Client::Claim => "aether-claim-*".to_owned(),
        Client::Device => format!("*{serial}"),
    };
    let step = match (step, mode.key) {
        (CREATE, "aws") => "create_keys",
        (CREATE, _) => "create_csr",
        (other, _) => other,
    };
    let action = json!({ "delay": { "ms": HELD_MS } });
    json!([{ "step": step, "match": { "client_id": client_id }, "nth": nth, "action": action }]).to_string()
}

/// The file of this name, somewhere below.
fn find(folder: &Path, name: &str) -> PathBuf {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                open.push(entry);
            } else if entry.file_name().is_some_and(|found| found == name) {
                return entry;
            }
        }
    }
    panic!("no file {name}")
}

/// Numbers that look random (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

#[expect(clippy::print_stderr, reason = "the numbers are what the test is run for")]
fn tell(text: &str) {
    eprintln!("{text}");
}

#[test]
fn killed_at_every_step_a_device_ends_with_a_working_identity() {
    let mut world = World::new();
    for mode in &MODES[..2] {
        for kill in POINTS {
            let life = world.live(*mode, std::slice::from_ref(&kill));
            // What was durable, or had not yet begun, costs nothing.
            let costs = matches!(kill, Kill::Held { step: CREATE | "register_thing", .. });
            assert_eq!(life.extra, u32::from(costs), "{mode:?}, {kill:?}: {life:?}");
            let unseen = matches!(kill, Kill::Held { step: "register_thing", .. });
            assert_eq!(life.orphans, u32::from(unseen), "{mode:?}, {kill:?}: {life:?}");
        }
    }
}

#[test]
fn killed_at_any_instant_a_device_ends_with_a_working_identity() {
    let seed = setting("AETHER_KILL_SEED")
        .unwrap_or_else(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos().into());
    let kills = setting("AETHER_KILLS").unwrap_or(20);
    tell(&format!("AETHER_KILLS={kills} AETHER_KILL_SEED={seed}"));
    let (mut world, mut random) = (World::new(), Random(seed));
    let usual = world.usual_time();
    let (mut sum, mut windows, mut left) = (Life::default(), Vec::new(), kills);
    while left > 0 {
        let in_a_row = (1 + random.below(3)).min(left);
        left -= in_a_row;
        let mut after = || Kill::After(usual.mul_f64(f64::from(u32::try_from(random.below(1000)).unwrap()) / 1000.0));
        let kills: Vec<_> = (0..in_a_row).map(|_| after()).collect();
        let life = world.live(MODES[usize::try_from(random.below(3)).unwrap()], &kills);
        sum.kills += life.kills;
        sum.extra += life.extra;
        sum.orphans += life.orphans;
        windows.extend(life.window);
    }
    windows.sort();
    let middle = windows.get(windows.len() / 2);
    tell(&format!(
        "{} kills of {} devices: {} certificates more than devices, {} of them active; from registered in the cloud to \
         durable on the device: median {middle:?}, longest {:?}; usual run {usual:?}",
        sum.kills,
        world.devices - 1,
        sum.extra,
        sum.orphans,
        windows.last(),
    ));
}
