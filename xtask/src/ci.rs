//! The gate: its steps in order, how they are chosen, run, timed and reported.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::tools::Tool;
use crate::workspace::Workspace;
use crate::{alone, build, crypto, exceptions, headers, layers, suite, supply, tools};

/// One check of the gate.
struct Step {
    /// What `--only` calls it.
    name: &'static str,
    /// What it checks, in half a line.
    about: &'static str,
    /// What it runs besides cargo; installed before the step where missing.
    needs: &'static [Tool],
    /// The check itself.
    run: fn(&Workspace) -> anyhow::Result<()>,
    /// What to do when it fails.
    fix: &'static str,
}

/// Every step, cheapest first. The tests come last, so that their summary is what a reader sees last.
const GATE: &[Step] = &[
    Step {
        name: "format",
        about: "the source is formatted as rustfmt does it",
        needs: &[],
        run: build::format,
        fix: "run `cargo fmt --all`",
    },
    Step {
        name: "headers",
        about: "every source file opens with a //! line of purpose",
        needs: &[],
        run: headers::run,
        fix: "open each file named above with `//! <what this file is for>`",
    },
    Step {
        name: "exceptions",
        about: "a lint is silenced by name, with its reason, for one item",
        needs: &[],
        run: exceptions::run,
        fix: "put `#[expect(lint, reason = \"…\")]` on the item that needs it; only tests silence a lint for a whole file",
    },
    Step {
        name: "layers",
        about: "our crates depend only on whom the list allows",
        needs: &[],
        run: layers::run,
        fix: "take the dependency out; if the edge should exist, argue it in docs/adr and add it to xtask/src/layers.rs",
    },
    Step {
        name: "one-crypto",
        about: "one rustls, one provider (ring), no OpenSSL in the tree",
        needs: &[],
        run: crypto::run,
        fix: "find who brings it with `cargo tree --target all -e normal,build -i CRATE` and turn off its default TLS features",
    },
    Step {
        name: "tools",
        about: "what the other steps run is installed, at fitting versions",
        needs: &[],
        run: tools::all,
        fix: "install what is named above by hand, then run this step again with `cargo xtask ci --only tools`",
    },
    Step {
        name: "unused-dependencies",
        about: "no crate declares a dependency it does not use",
        needs: &[Tool::Machete],
        run: supply::unused_dependencies,
        fix: "take the dependencies named above out of that crate's Cargo.toml",
    },
    Step {
        name: "deny",
        about: "bans, licences and sources of every third-party crate (deny.toml)",
        needs: &[Tool::Deny],
        run: supply::deny,
        fix: "replace the crate, or add it to deny.toml with the reason written out",
    },
    Step {
        name: "advisories",
        about: "no known vulnerability, where the advisory database can be reached",
        needs: &[Tool::Deny],
        run: supply::advisories,
        fix: "update or replace the crate; only what cannot touch us is ignored in deny.toml, by id and with the reason",
    },
    Step {
        name: "clippy",
        about: "no warning from rustc or clippy, in any target",
        needs: &[],
        run: build::clippy,
        fix: "mend each warning; an exception is `#[expect(lint, reason = \"…\")]`",
    },
    Step {
        name: "rustdoc",
        about: "the documentation builds without a warning",
        needs: &[],
        run: build::rustdoc,
        fix: "mend the links and examples named above; see it with `cargo doc --no-deps --open`",
    },
    Step {
        name: "alone",
        about: "each crate builds by itself, with default features, with none, with each one",
        needs: &[],
        run: alone::run_all,
        fix: "declare in that crate's Cargo.toml the features it relies on others to turn on",
    },
    Step {
        name: "doctests",
        about: "the examples in the documentation run",
        needs: &[],
        run: build::doctests,
        fix: "mend the example, or the code it tells about",
    },
    Step {
        name: "tests",
        about: "unit and integration tests, and the foreign witnesses",
        needs: suite::TOOLS,
        run: suite::run,
        fix: "run one test alone with `cargo nextest run -p CRATE NAME`, the witnesses with `cargo xtask witness`",
    },
];

const HELP: &str = "\
Runs the gate: every check a change must pass, cheapest first, stopping at the first that fails.

Usage: cargo xtask ci [OPTIONS]

Options:
  --only NAME[,NAME]   run only these steps
  --list               name the steps and what each checks
  -h, --help           show this text

Examples:
  cargo xtask ci                        the whole gate
  cargo xtask ci --only format,clippy   two steps, in the gate's order
  cargo xtask ci --only tools           install what the steps need, nothing else
  cargo xtask witness                   only the tests with foreign clients
";

/// What the command line asked for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Help,
    List,
    /// Run these steps, by name; all of them when empty.
    Run(Vec<String>),
}

/// Runs `cargo xtask ci` with `options`, what follows `ci` on the command line.
pub(crate) fn main(options: &[&str]) -> ExitCode {
    match parse(options) {
        Ok(Request::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Request::List) => {
            for step in GATE {
                println!("{:<20} {}", step.name, step.about);
            }
            ExitCode::SUCCESS
        }
        Ok(Request::Run(names)) => {
            let chosen: Vec<&Step> =
                GATE.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)).collect();
            match Workspace::load() {
                Ok(workspace) => run(&workspace, &chosen),
                Err(error) => fail(&error, 1),
            }
        }
        Err(error) => fail(&error, 2),
    }
}

fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    println!("error: {error:#}");
    ExitCode::from(code)
}

fn parse(options: &[&str]) -> anyhow::Result<Request> {
    let mut names = Vec::new();
    let mut rest = options.iter();
    while let Some(&option) = rest.next() {
        let list = match option {
            "--help" | "-h" => return Ok(Request::Help),
            "--list" => return Ok(Request::List),
            "--only" => match rest.next() {
                Some(list) => list,
                None => bail!("--only needs a step name; `cargo xtask ci --list` names them"),
            },
            _ => match option.strip_prefix("--only=") {
                Some(list) => list,
                None => bail!("unknown option `{option}`; `cargo xtask ci --help` names them"),
            },
        };
        for name in list.split(',').map(str::trim) {
            if !GATE.iter().any(|step| step.name == name) {
                let known: Vec<&str> = GATE.iter().map(|step| step.name).collect();
                bail!("unknown step `{name}`; expected one of {}", known.join(", "));
            }
            names.push(name.to_owned());
        }
    }
    Ok(Request::Run(names))
}

/// Runs the chosen steps until one fails, then tells what passed and how long each took.
fn run(workspace: &Workspace, chosen: &[&Step]) -> ExitCode {
    let started = Instant::now();
    let mut times: Vec<(&str, Duration)> = Vec::new();
    let mut failed = false;
    for (position, step) in chosen.iter().enumerate() {
        println!("\n==> {} ({} of {}): {}", step.name, position + 1, chosen.len(), step.about);
        let began = Instant::now();
        let outcome = tools::ensure(workspace, step.needs).and_then(|()| (step.run)(workspace));
        let took = began.elapsed();
        times.push((step.name, took));
        match outcome {
            Ok(()) => println!("    {} passed in {:.1} s", step.name, took.as_secs_f64()),
            Err(error) => {
                println!("    {} FAILED after {:.1} s", step.name, took.as_secs_f64());
                println!("    why: {error:#}");
                println!("    fix: {}", step.fix);
                println!("    again: cargo xtask ci --only {}", step.name);
                failed = true;
                break;
            }
        }
    }
    print!("\n{}", table(chosen, &times, failed, started.elapsed()));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// How long each step took, and the line that counts them.
fn table(chosen: &[&Step], times: &[(&str, Duration)], failed: bool, total: Duration) -> String {
    let mut text = String::new();
    for (position, step) in chosen.iter().enumerate() {
        let line = match times.get(position) {
            None => format!("{:<20}        not run\n", step.name),
            Some((name, took)) => {
                let mark = if failed && position + 1 == times.len() { "  FAILED" } else { "" };
                format!("{name:<20} {:>10.1} s{mark}\n", took.as_secs_f64())
            }
        };
        text.push_str(&line);
    }
    let bad = usize::from(failed);
    text.push_str(&format!("{:<20} {:>10.1} s\n", "in all", total.as_secs_f64()));
    text.push_str(&format!("gate: {} passed, {bad} failed\n", times.len() - bad));
    text
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn only_takes_a_list_and_both_ways_of_writing_it() {
        let expected = Request::Run(vec!["format".into(), "layers".into(), "deny".into()]);
        let found = parse(&["--only", "format,layers", "--only=deny"]).unwrap();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_names_that_exist() {
        let error = parse(&["--only", "formatting"]).unwrap_err().to_string();
        assert!(error.contains("`formatting`"), "{error}");
        assert!(error.contains("format, headers, exceptions"), "{error}");
    }

    #[test]
    fn an_unknown_option_is_refused() {
        let error = parse(&["--fast"]).unwrap_err().to_string();
        assert!(error.contains("`--fast`"), "{error}");
    }

    #[test]
    fn step_names_are_unique_and_the_tests_come_last() {
        let mut names: Vec<&str> = GATE.iter().map(|step| step.name).collect();
        assert_eq!(names.last(), Some(&"tests"));
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_table_ends_with_the_counts_and_names_what_did_not_run() {
        let chosen: Vec<&Step> = GATE.iter().take(3).collect();
        let times = [("format", Duration::from_millis(1200)), ("headers", Duration::from_millis(40))];
        let text = table(&chosen, &times, true, Duration::from_secs(2));
        assert!(text.contains("format                      1.2 s\n"), "{text}");
        assert!(text.contains("0.0 s  FAILED\n"), "{text}");
        assert!(text.contains("exceptions                  not run\n"), "{text}");
        assert!(text.ends_with("gate: 1 passed, 1 failed\n"), "{text}");
    }
}
