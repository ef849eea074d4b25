//! Programs that do what no shell can: written in C, where the machine has a compiler.

use std::process::Command;

use super::process::program_of_this_machine;
use super::rows;
use super::sandbox::Sandbox;

/// Puts the program into the sandbox's PATH; says whether that could be done. Where it could not, `row` is skipped.
pub fn add_compiled(sandbox: &Sandbox, row: u32, name: &str, source: &str) -> bool {
    let Some(compiler) = program_of_this_machine("cc") else {
        rows::skip(row, &format!("there is no C compiler to make `{name}` with"));
        return false;
    };
    let source = sandbox.write(format!("{name}.c"), source);
    let mut compile = Command::new(compiler);
    compile.args(["-pthread", "-o"]).arg(sandbox.bin().join(name)).arg(source);
    let compiled = compile.output().expect("the compiler starts");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    true
}
