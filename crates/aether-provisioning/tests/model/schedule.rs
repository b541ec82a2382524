//! What may happen to a device while it provisions, as a random list of choices.

use std::time::Duration;

use aether_provisioning::Encoding;
use aether_provisioning::simulated::Unsynced;
use proptest::collection::vec;
use proptest::prelude::*;

/// One run of the test.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// The device makes its own key.
    pub(crate) own_key: bool,
    pub(crate) encoding: Encoding,
    /// The device has an identity already and obtains the next one.
    pub(crate) rotation: bool,
    /// How long an answer is waited for: less than a token lives, or more.
    pub(crate) patience: Duration,
    /// After how many refusals in a row the run gives up.
    pub(crate) refusals: u32,
    /// Decides what an unsafe power cut loses, and the jitter.
    pub(crate) seed: u64,
    /// What happens, in order. Once they are used up nothing goes wrong any more.
    pub(crate) choices: Vec<Choice>,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice {
    /// The next thing in its order.
    Go,
    /// What the network holds further back comes first.
    Overtake(u8),
    /// What the network delivers next, it delivers again later.
    Twice,
    /// What the network holds next gets lost.
    Lose,
    /// Nothing happens for so long.
    Wait(Duration),
    /// The connection ends.
    HangUp,
    /// The process ends, the machine stays up.
    Kill,
    /// The machine loses power.
    PowerCut(Unsynced),
    /// The process will end within a later call of the store, after so many changes to the disk; then the power is cut
    /// too, or not.
    KillIn(u8, Option<Unsynced>),
    /// The disk will fail: after so many operations, so many times, with this error.
    DiskFails(u8, u8, i32),
    /// The calendar clock shows so many seconds more or less than the truth.
    ClockOff(i32),
    /// The calendar clock starts at 1970, as on a machine without a battery.
    ClockUnset,
    /// The calendar clock is set right.
    ClockRight,
    /// The next connection cannot be made.
    ConnectFails,
    /// What comes of the next request.
    NextRequest(Fate),
    /// A message that nobody asked for arrives.
    Stray(Stray),
}

/// What comes of a request to the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It never arrives.
    Lost,
    /// It is carried out, and the answer never leaves.
    Unanswered,
    /// It is carried out, and the answer is not readable.
    Garbled,
    /// It is refused with this status and nothing is done.
    Refused(i64),
    /// It is carried out, and then refused with status 500 all the same.
    DoneAndRefused,
    /// It is refused with something unreadable.
    RefusedGarbled,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Stray {
    /// On a topic of no operation.
    Elsewhere,
    /// On the request topic.
    Request,
}

pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EIO: i32 = 5;

pub(crate) fn scenario() -> impl Strategy<Value = Scenario> {
    let encoding = prop_oneof![Just(Encoding::Json), Just(Encoding::Cbor)];
    let patience = prop_oneof![4 => Just(Duration::from_secs(30)), 1 => Just(Duration::from_secs(2 * 3600))];
    let refusals = prop_oneof![3 => Just(1000u32), 1 => 1..5u32];
    let choices = vec(choice(), 0..48);
    (any::<bool>(), encoding, any::<bool>(), patience, refusals, any::<u64>(), choices).prop_map(
        |(own_key, encoding, rotation, patience, refusals, seed, choices)| Scenario {
            own_key,
            encoding,
            rotation,
            patience,
            refusals,
            seed,
            choices,
        },
    )
}

fn choice() -> impl Strategy<Value = Choice> {
    let unsynced = || prop_oneof![Just(Unsynced::Lost), Just(Unsynced::Random)];
    prop_oneof![
        16 => Just(Choice::Go),
        2 => any::<u8>().prop_map(Choice::Overtake),
        2 => Just(Choice::Twice),
        2 => Just(Choice::Lose),
        2 => prop_oneof![1..60u64, 1..7200u64].prop_map(|s| Choice::Wait(Duration::from_secs(s))),
        2 => Just(Choice::HangUp),
        1 => Just(Choice::Kill),
        1 => unsynced().prop_map(Choice::PowerCut),
        2 => (0..40u8, proptest::option::of(unsynced())).prop_map(|(after, power)| Choice::KillIn(after, power)),
        2 => (0..120u8, 1..40u8, prop_oneof![Just(ENOSPC), Just(EIO)]).prop_map(|(a, t, e)| Choice::DiskFails(a, t, e)),
        1 => prop_oneof![-86_400..86_400i32, -40_000_000..40_000_000i32].prop_map(Choice::ClockOff),
        1 => Just(Choice::ClockUnset),
        2 => Just(Choice::ClockRight),
        2 => Just(Choice::ConnectFails),
        5 => fate().prop_map(Choice::NextRequest),
        1 => prop_oneof![Just(Stray::Elsewhere), Just(Stray::Request)].prop_map(Choice::Stray),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        2 => Just(Fate::Lost),
        3 => Just(Fate::Unanswered),
        1 => Just(Fate::Garbled),
        4 => prop_oneof![Just(403i64), Just(429), Just(500), Just(503)].prop_map(Fate::Refused),
        1 => Just(Fate::Refused(400)),
        1 => Just(Fate::DoneAndRefused),
        1 => Just(Fate::RefusedGarbled),
    ]
}
