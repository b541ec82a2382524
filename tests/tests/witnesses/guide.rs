//! The sandbox's guide, `docs/sandbox.md`: its files and commands taken out of it as they are printed, and run.

use std::path::{Path, PathBuf};
use std::process::Command;

use aether_tests::aether::{Sandbox, aether};
use aether_tests::program::Program;
use aether_tests::shell::Shell;
use serde_json::Value;

use crate::support::SOON;

/// The blocks of one language in one section of the guide, in their order.
#[track_caller]
fn blocks(section: &str, language: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sandbox.md");
    let guide = std::fs::read_to_string(file).unwrap();
    let title = format!("\n## {section}\n");
    let text = guide.split_once(&title).unwrap_or_else(|| panic!("the guide has no section {section:?}")).1;
    let text = text.split("\n## ").next().unwrap();
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// A folder where somebody follows the guide.
struct Desk {
    folder: PathBuf,
    sandbox: Sandbox,
    shell: Shell,
}

impl Desk {
    fn at(folder: &Path, sandbox: Sandbox) -> Self {
        let shell = Shell::new(folder, &sandbox);
        Self { folder: folder.to_owned(), sandbox, shell }
    }

    /// Commands of the guide, with the port this sandbox has and the `aether` that is tested.
    fn as_here(&self, commands: &str) -> String {
        let program = aether([""; 0]).get_program().to_string_lossy().into_owned();
        let commands = commands.replace("8883", &self.sandbox.port().to_string());
        format!("set -e\naether() {{ '{program}' \"$@\"; }}\n{commands}")
    }

    /// Runs commands of the guide that have to succeed.
    #[track_caller]
    fn run(&self, commands: &str) -> String {
        self.shell.run(&self.as_here(commands))
    }

    /// Whether commands of the guide succeed.
    fn succeeds(&self, commands: &str) -> bool {
        self.shell.output(&self.as_here(commands), "").status.success()
    }

    /// Starts the one command of a block, which goes on.
    #[track_caller]
    fn start(&self, command: &str) -> Program {
        let arguments = command.strip_prefix("aether ").unwrap_or_else(|| panic!("no command of aether: {command}"));
        let program = aether([""; 0]).get_program().to_string_lossy().into_owned();
        let line = format!("exec '{program}' {arguments}");
        Program::start(Command::new("sh").args(["-c", &line]).current_dir(&self.folder))
    }
}

/// The exchange of the section on claims, for another serial number and template.
fn provisioning(serial: &str, template: &str) -> String {
    let commands = &blocks("Provisioning by claim, step by step", "sh")[0];
    assert!(commands.contains("P3-00017") && commands.contains("/Aether/"), "{commands}");
    // A request that is refused has no answer where `mosquitto_rr` waits.
    let commands = commands.replace("mosquitto_rr ", "mosquitto_rr -W 5 ");
    commands.replace("P3-00017", serial).replace("/Aether/", &format!("/{template}/"))
}

#[test]
fn a_device_provisions_with_the_guides_commands() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::at(folder.path(), Sandbox::up(folder.path().join("sandbox")));
    let answer = desk.run(&provisioning("P3-00017", "Aether"));
    assert_eq!(answer.lines().last(), Some(r#"{"deviceConfiguration":{},"thingName":"aether-P3-00017"}"#));
}

#[test]
fn the_guides_hooks_decide_who_provisions() {
    let section = "A pre-provisioning hook";
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    std::fs::write(here.join("sandbox.toml"), &blocks(section, "toml")[0]).unwrap();
    std::fs::write(here.join("serials.json"), &blocks(section, "json")[0]).unwrap();
    let commands = blocks(section, "sh");
    let (script, up) = commands[0].trim_end().rsplit_once('\n').unwrap();
    assert_eq!(up, "aether sandbox up --dir sandbox --config sandbox.toml");
    let written = Command::new("sh").args(["-ec", script]).current_dir(here).status().unwrap();
    assert!(written.success(), "{script}");
    let desk = Desk::at(here, Sandbox::up_with(here.join("sandbox"), &here.join("sandbox.toml")));

    // The list is asked for the directory's own template.
    assert!(desk.run(&provisioning("P3-00018", "Aether")).contains("aether-P3-00018"));
    assert!(!desk.succeeds(&provisioning("P3-00019", "Aether")), "P3-00019 is not on the list");

    // The program is asked for the template that names a function of Lambda.
    desk.run(&commands[1]);
    let claim = desk.run("aws iot create-provisioning-claim --template-name line");
    let claim: Value = serde_json::from_str(&claim).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    std::fs::write(here.join("line.pem"), text(&claim["certificatePem"])).unwrap();
    std::fs::write(here.join("line.key"), text(&claim["keyPair"]["PrivateKey"])).unwrap();
    let with_claim = |commands: &str| commands.replace("sandbox/claim.", "line.");
    // The last step connects as the Thing: its name is the one the program has overridden.
    let lower = |commands: String| commands.replace("aether-P3-00020", "aether-p3-00020");
    let answer = desk.run(&lower(with_claim(&provisioning("P3-00020", "line"))));
    assert!(answer.contains("aether-p3-00020"), "{answer}");
    assert!(!desk.succeeds(&with_claim(&provisioning("Q9-1", "line"))), "the program refuses it");
    assert!(!desk.succeeds("aws iot describe-thing --thing-name aether-q9-1"));
}

#[test]
fn just_in_time_registration_goes_as_the_guide_prints_it() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::at(folder.path(), Sandbox::up(folder.path().join("sandbox")));
    let commands = blocks("Just-in-time registration", "sh");
    let [make, watch, publish, activate] = &commands[..] else { panic!("{commands:?}") };
    desk.run(make);
    let ca = std::fs::read_to_string(folder.path().join("line-ca.id")).unwrap();

    // A stream begins at some moment after the program's start: a message of ours shows that it has.
    let watcher = desk.start(watch);
    let own = "aws iot-data publish --topic '$aws/events/certificates/registered/begun' --payload begun";
    watcher.wait_until("the stream", SOON, || {
        desk.run(own);
        watcher.printed().contains("begun").then_some(())
    });
    assert!(!desk.succeeds(publish), "the first attempt fails");
    let event = watcher.wait_for_line("the event", SOON, |line| line.contains("PENDING_ACTIVATION"));
    assert!(event.contains(&format!("registered/{}", ca.trim())), "{event}");
    desk.run(activate);
    // One CONNECT a second for each client id.
    desk.sandbox.program().wait_until("the device being let in", SOON, || desk.succeeds(publish).then_some(()));
}

#[test]
fn a_claim_of_ones_own_ca_is_taken_as_the_guide_prints_it() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::at(folder.path(), Sandbox::up(folder.path().join("sandbox")));
    desk.run(&blocks("Your own CA", "sh")[0]);
    let commands = provisioning("P3-00021", "Aether").replace("sandbox/claim.", "my-claim.");
    assert!(desk.run(&commands).contains("aether-P3-00021"));
}
