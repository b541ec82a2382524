//! Load on a sandbox in a process of its own, with clients that know nothing but the wire.
//!
//! ```text
//!  cargo bench -p aether-sandbox --bench load -- devices 1000
//!
//!  load (this process)                      load serve DIR (second process)
//!   claim ─▶ CreateKeysAndCertificate  ──▶   ┌─────────┐
//!         ─▶ RegisterThing ─▶ new identity   │ Sandbox │   /proc/PID: memory, processor time
//!   connections, pings, publishes      ──▶   └─────────┘
//!                                      ──▶   mosquitto (third process; only fan-in and fan-out)
//! ```
//!
//! Client and broker share the machine, so every rate is that of both together; the processor time
//! of the broker alone stands beside it. A device that fails in any way makes the program fail.
//! `docs/sandbox-performance.md` holds what was measured.

mod args;
mod client;
mod connections;
mod devices;
mod fleet;
mod frames;
mod mosquitto;
mod process;
mod provision;
mod publisher;
mod report;
mod serve;
mod subscriber;
mod traffic;

use std::process::ExitCode;

use crate::args::Args;
use crate::report::Output;

const HELP: &str = "\
Load on a sandbox in a process of its own.

Usage: cargo bench -p aether-sandbox --bench load -- COMMAND [OPTIONS]

Commands:
  devices N       N devices provision by claim, stay connected, and connect again
                    --keys ec|rsa|both     kind of the keys the sandbox makes     (both)
                    --parallel P           devices that provision at a time       (32)
                    --hold S               seconds to stay connected              (10)
  connections N   N connections with keep-alives
                    --certificates K       certificates they share                (N)
                    --keep-alive S         seconds                                (30)
                    --hold S               seconds to stay connected              (90)
  fan-in          many publishers, one subscriber; sandbox and mosquitto in turns
                    --publishers M         (8)
                    --payload BYTES        (200)
                    --seconds S            length of one measurement              (5)
                    --rounds R             measurements of each                   (3)
  fan-out         one publisher, many subscribers; sandbox and mosquitto in turns
                    --subscribers M        (100)
                    --payload, --seconds, --rounds as above
  all             all four with these defaults, devices 1000, connections 5000

Options of all:
  --json          one JSON object for each table instead of the table
  --quick         small figures, to see that it runs
";

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => return fail(&error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(&args)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let output = Output::new(args.flag("json"));
    match args.command().filter(|_| !args.flag("help")) {
        Some("serve") => serve::run(args).await,
        Some("devices") => devices::run(args, &output).await,
        Some("connections") => connections::run(args, &output).await,
        Some("fan-in") => traffic::fan_in(args, &output).await,
        Some("fan-out") => traffic::fan_out(args, &output).await,
        Some("all") => {
            devices::run(args, &output).await?;
            connections::run(args, &output).await?;
            traffic::fan_in(args, &output).await?;
            traffic::fan_out(args, &output).await
        }
        // A plain `cargo bench` passes here; it has no time for this.
        Some("help") | None => {
            output.say(HELP);
            Ok(())
        }
        Some(other) => anyhow::bail!("unknown command `{other}`, expected one of devices, connections, fan-in, …"),
    }
}

#[expect(clippy::print_stderr, reason = "a program that talks to the person who ran it")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
