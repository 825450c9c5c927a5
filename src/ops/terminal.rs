//! Words for whoever typed the command.

use std::fmt::Display;
use std::io::{Result, Write, stdout};

/// Prints a line on the standard output.
///
/// # Errors
/// Nobody reads any more (`| head`), or the disk is full. Unlike `println!`, which panics.
pub fn try_say(line: impl Display) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// As [`try_say`], for lines that nobody has to read: the exit code or a file says the same.
pub fn say(line: impl Display) {
    let _ = try_say(line);
}
