//! Makes what a package brings beside the program: units, configuration, manual pages, completions of the shell. For `make deb`.
//!
//! `cargo run --release --example package_files -- FOLDER` writes it all below FOLDER, at the places where a machine has it.

use clap_complete::{Shell, generate_to};
use screen_portal::cli;
use screen_portal::service::NAME;
use screen_portal::service::machine::Machine;
use screen_portal::service::plan::{Choice, Mode, Plan};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: package_files FOLDER")?;
    let place = |path: &str| -> Result<PathBuf, std::io::Error> {
        let path = folder.join(path);
        fs::create_dir_all(&path)?;
        Ok(path)
    };
    // The machine that `service install` finds where the package is installed: what it would write is there already then.
    let machine = Machine { cage: Some("/usr/bin/cage".into()), has_seatd: true, ..Machine::default() };
    let program = Path::new("/usr/bin").join(NAME);
    for file in Plan::new(&machine, &Choice { mode: Mode::Kiosk, user: None, program })?.files {
        let path = folder.join(file.packaged.strip_prefix("/")?);
        path.parent().map(fs::create_dir_all).transpose()?;
        fs::write(path, file.contents)?;
    }
    clap_mangen::generate_to(cli::command().disable_help_subcommand(true), place("usr/share/man/man1")?)?;
    let mut command = cli::command();
    generate_to(Shell::Zsh, &mut command, NAME, place("usr/share/zsh/vendor-completions")?)?;
    generate_to(Shell::Fish, &mut command, NAME, place("usr/share/fish/vendor_completions.d")?)?;
    let bash = generate_to(Shell::Bash, &mut command, NAME, place("usr/share/bash-completion/completions")?)?;
    // bash-completion looks for the name of the command.
    fs::rename(&bash, bash.with_file_name(NAME))?;
    Ok(())
}
