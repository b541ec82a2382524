//! How large the program people install is, against its budget.
//!
//! A build of its own, with the profile of a release and on one kind of machine: too long for the gate. It
//! is run before a release, and by whoever adds a dependency.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who ran it")]

use anyhow::{Context as _, bail};

use crate::workspace::{Workspace, run};

/// The most bytes the stripped program may have.
const BUDGET: u64 = 24_000_000;

/// Builds the program as it is shipped and compares its size with [`BUDGET`].
pub(crate) fn main(workspace: &Workspace) -> anyhow::Result<()> {
    run(&mut workspace.cargo(["build", "--locked", "--release", "--package", "aether-cli", "--bin", "aether"]))?;
    let program = workspace.target.join("release").join(format!("aether{}", std::env::consts::EXE_SUFFIX));
    let file = std::fs::metadata(&program).with_context(|| format!("could not look at {}", program.display()))?;
    println!("{}", compare(file.len())?);
    Ok(())
}

fn compare(bytes: u64) -> anyhow::Result<String> {
    match BUDGET.checked_sub(bytes) {
        Some(left) => Ok(format!("aether has {bytes} bytes, {left} below its budget of {BUDGET}")),
        None => bail!("aether has {bytes} bytes, {} above its budget of {BUDGET}", bytes - BUDGET),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_all_of_its_budget_and_no_byte_more() {
        assert!(compare(BUDGET).unwrap().contains("24000000 bytes, 0 below"));
        let error = compare(BUDGET + 1).unwrap_err().to_string();
        assert_eq!(error, "aether has 24000001 bytes, 1 above its budget of 24000000");
    }
}
