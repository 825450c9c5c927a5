//! The program as scripts use it: exit codes, and one clear line for each failure.

use std::path::Path;
use std::process::{Command, Output};

fn portal(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_screen-portal"));
    // Nothing of the developer's own configuration.
    command.env_clear().env("HOME", folder).current_dir(folder).args(arguments);
    command.envs(environment.iter().copied()).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_identity_is_made_once_and_printed_alone() {
    let folder = tempfile::tempdir().unwrap();
    let first = portal(folder.path(), &["identity"], &[]);
    assert_eq!(code(&first), 0, "{}", text(&first.stderr));
    let printed = text(&first.stdout);
    printed.parse::<screen_portal::pairing::Fingerprint>().unwrap();
    assert_eq!(printed.lines().count(), 1);
    assert!(folder.path().join(".local/share/screen-portal/identity.pem").exists());
    assert_eq!(text(&portal(folder.path(), &["identity"], &[]).stdout), printed);
    let elsewhere = folder.path().join("other");
    let other = portal(folder.path(), &["identity", "--data", elsewhere.to_str().unwrap()], &[]);
    assert_ne!(text(&other.stdout), printed);
}

#[test]
fn wrong_configurations_end_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("portal.toml"), "[source]\nfps = 300\n").unwrap();
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32, &'a str);
    let wrong: [Case; 5] = [
        (&["identity"], &[], 3, "portal.toml, line 2: [source] fps"),
        (&["check", "--fps", "0"], &[], 3, "flag --fps"),
        (&["--fps=30", "identity"], &[("SCREEN_PORTAL_SOURCE_FSP", "1")], 3, "variable SCREEN_PORTAL_SOURCE_FSP"),
        (&["identity", "--config", "missing.toml"], &[], 3, "missing.toml"),
        (&["identity", "--colour"], &[], 2, "--colour"),
    ];
    for (arguments, environment, exit, words) in wrong {
        let output = portal(folder.path(), arguments, environment);
        let said = text(&output.stderr);
        assert_eq!(code(&output), exit, "{said}");
        assert!(said.contains(words), "{said}");
        if exit == 3 {
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
}

#[test]
fn an_identity_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["identity", "--data", data.to_str().unwrap()];
    portal(folder.path(), &arguments, &[]);
    let file = data.join("identity.pem");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = portal(folder.path(), &arguments, &[]);
    assert_eq!(code(&refused), 4);
    assert!(text(&refused.stderr).contains("chmod 600"), "{}", text(&refused.stderr));
}

#[test]
fn check_says_what_is_missing_and_what_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--source", "pattern", "--listen", "127.0.0.1:0", "--status", "127.0.0.1:0", "--headless"];
    let arguments = [&["check"], settings.as_slice()].concat();
    let output = portal(folder.path(), &arguments, &[]);
    let said = text(&output.stdout);
    assert_eq!(code(&output), 7, "not paired\n{said}");
    let failures: Vec<_> = said.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert!(matches!(failures[..], [line] if line.contains("pairing") && line.contains("far_end")), "{said}");

    let far_end = "ab".repeat(32);
    let output = portal(folder.path(), &[arguments.as_slice(), &["--far-end", &far_end]].concat(), &[]);
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
}

#[test]
fn help_lists_commands_and_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let output = portal(folder.path(), &["--help"], &[]);
    let said = text(&output.stdout);
    for word in ["run", "check", "cameras", "identity", "demo", "--far-end", "Exit codes:", "SCREEN_PORTAL_"] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    assert_eq!(code(&output), 0);
}

/// `println!` and the log library's own complaints panic where the output takes no more.
#[test]
fn an_output_that_takes_no_more_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_screen-portal"));
        command.env_clear().env("HOME", folder.path()).current_dir(folder.path()).args(arguments);
        command
    };
    let identity = command(&["identity"]).stdout(full()).output().unwrap();
    assert_eq!(code(&identity), 1, "the fingerprint is what was asked for: {}", text(&identity.stderr));
    assert!(text(&identity.stderr).starts_with("screen-portal: the fingerprint cannot be printed"));
    assert_eq!(code(&command(&["identity", "--fps", "0"]).stderr(full()).output().unwrap()), 3);
    let mut running =
        command(&["run", "--headless", "--source", "pattern", "--status", "off"]).stderr(full()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let ended = running.try_wait().unwrap();
    let _ = running.kill();
    let _ = running.wait();
    assert_eq!(ended, None, "the portal ended with its log");
}
