//! How the service does, for whoever asks on the machine, and what is to be done next.

use super::machine::Machine;
use super::plan::Mode;
use super::record::{Record, State};
use super::{CONFIGURATION, DATA, NAME};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What systemd is asked for: systemctl(1), "Properties".
const PROPERTIES: &str = "LoadState,ActiveState,SubState,UnitFileState,NRestarts,Result,ExecMainStatus,StatusText,\
                          StateChangeTimestamp,MemoryCurrent";

/// What is known of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What was installed.
    pub record: Option<Record>,
    /// What systemd says, or why it was not asked.
    pub unit: Result<BTreeMap<String, String>, String>,
    /// Why the portal ended last, in its own words.
    pub last_end: Option<String>,
}

/// Asks systemd, where it runs.
pub fn ask(machine: &Machine, record: Option<Record>, last_end: Option<String>) -> Known {
    let unit = match record.as_ref().filter(|record| record.is_installed()) {
        None => Err("nothing is installed".into()),
        Some(record) if !machine.is_this() => {
            let will = match program_is_gone(machine, record) {
                Some(path) => format!("will not start it: {} is not in there", path.display()),
                // A desktop's session starts it.
                None if record.mode == Mode::Desktop || machine.is_enabled => "will start it".into(),
                None => "will not start it: `service install` was interrupted".into(),
            };
            Err(format!("these are another machine's files; that machine {will}"))
        }
        Some(_) if !machine.is_booted => Err("systemd does not run here".into()),
        Some(record) => {
            let mut command = Command::new("systemctl");
            if record.mode == Mode::Desktop {
                command.args(["--user", &format!("--machine={}@.host", record.user)]);
            }
            let output = command.args(["show", "--property", PROPERTIES, &format!("{NAME}.service")]).output();
            match output {
                Ok(output) if output.status.success() => Ok(properties(&String::from_utf8_lossy(&output.stdout))),
                Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
                Err(error) => Err(format!("systemctl: {error}")),
            }
        }
    };
    Known { record, unit, last_end }
}

/// The program that was installed, if it is not in the image any more. Nobody knows over what a bare folder will be laid.
fn program_is_gone<'a>(machine: &Machine, record: &'a Record) -> Option<&'a Path> {
    let path = record.program.as_ref().map(|program| program.path.as_path()).filter(|_| !machine.is_bare)?;
    (!machine.at(path).exists()).then_some(path)
}

fn properties(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|line| line.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect()
}

impl Known {
    /// Whether all is as it should be: on this machine the portal runs; another machine's files are installed as a whole, and that machine will start it.
    pub fn is_well(&self, machine: &Machine) -> bool {
        let record = self.record.as_ref().filter(|record| record.is_installed());
        match record {
            _ if machine.is_this() => self.is_running(),
            None => false,
            Some(record) => {
                let starts = record.mode == Mode::Desktop || machine.is_enabled;
                record.state == State::Done && starts && program_is_gone(machine, record).is_none()
            }
        }
    }

    /// Whether the portal runs.
    pub fn is_running(&self) -> bool {
        self.unit.as_ref().is_ok_and(|unit| unit.get("ActiveState").is_some_and(|state| state == "active"))
    }

    /// All of it, a line each.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = |what: &str, words: String| lines.push(format!("{what:<14} {words}"));
        match &self.record {
            None => line("installed", "no: sudo screen-portal service install".into()),
            Some(left) if !left.is_installed() => {
                line("installed", "no: sudo screen-portal service install".into());
                for path in left.configuration.iter().chain(&left.earlier_data) {
                    line(
                        "kept",
                        format!("{} (sudo screen-portal service uninstall --purge removes it)", path.display()),
                    );
                }
            }
            Some(Record { mode: Mode::Kiosk, user, .. }) => line("installed", format!("kiosk of the user {user}")),
            Some(Record { user, .. }) => line("installed", format!("in the desktop session of {user}")),
        }
        match &self.unit {
            Err(reason) => line("unit", format!("not known: {reason}")),
            Ok(unit) => {
                let get = |key: &str| unit.get(key).map(String::as_str).filter(|value| !value.is_empty());
                let (active, sub) = (get("ActiveState").unwrap_or("unknown"), get("SubState").unwrap_or("unknown"));
                let since = get("StateChangeTimestamp").map(|since| format!(", since {since}")).unwrap_or_default();
                line("unit", format!("{active} ({sub}){since}"));
                line("at boot", get("UnitFileState").unwrap_or("started by the session").into());
                if let Some(says) = get("StatusText") {
                    line("says", says.into());
                }
                if let Some(bytes) = get("MemoryCurrent").and_then(|bytes| bytes.parse::<u64>().ok()) {
                    line("memory", format!("{} MB, with the compositor", bytes / 1_000_000));
                }
                line(
                    "restarts",
                    format!("{} by systemd, since it was started by hand", get("NRestarts").unwrap_or("0")),
                );
                if let Some(result) = get("Result").filter(|result| *result != "success") {
                    line("ended by", ended(result, get("ExecMainStatus").unwrap_or("unknown")));
                }
            }
        }
        if let Some(end) = &self.last_end {
            line("last end", end.clone());
        }
        lines
    }
}

/// Results of systemd.service(5) in plain words.
fn ended(result: &str, status: &str) -> String {
    match result {
        "watchdog" => "the watchdog: it hung".into(),
        "exit-code" => format!("itself, with exit code {status} (screen-portal --help tells what it means)"),
        "signal" => format!("signal {status}"),
        "oom-kill" => "the kernel: out of memory".into(),
        "timeout" => "systemd: it did not start in time".into(),
        other => format!("{other}, status {status}"),
    }
}

/// What the integrator does next, by hand, with this program.
pub fn next_steps(mode: Mode, user: &str, program: &Path) -> Vec<String> {
    // Under its own name it is found by it.
    let called = if program.file_name() == Some(NAME.as_ref()) { Path::new(NAME) } else { program };
    let called = called.display();
    let (as_user, data, log) = match mode {
        Mode::Kiosk => {
            (format!("runuser -u {user} -- "), format!(" --data {DATA}"), format!("journalctl -u {NAME} -f"))
        }
        Mode::Desktop => (String::new(), String::new(), format!("journalctl --user -u {NAME} -f")),
    };
    let restart = match mode {
        Mode::Kiosk => format!("systemctl restart {NAME}"),
        Mode::Desktop => format!("let the desktop log {user} in by itself, and log in anew"),
    };
    vec![
        format!(
            "pair it with the other site's: {as_user}{called} pair{data}, and there the same with the code behind it"
        ),
        format!("or put both fingerprints ({as_user}{called} identity{data}) into {CONFIGURATION}, [pairing] far_end"),
        format!("then: {restart}"),
        format!("what is missing: {as_user}{called} check{data}"),
        format!("how it does: {called} service status; {log}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::record::Program;
    use super::*;

    fn known(show: &str) -> Known {
        Known { record: Some(Record::new(Mode::Kiosk, "kim")), unit: Ok(properties(show)), last_end: None }
    }

    #[test]
    fn what_systemd_says_is_put_into_words() {
        for (show, running, words) in [
            ("ActiveState=active\nSubState=running\nStatusText=live with Hill", true, "says           live with Hill"),
            ("ActiveState=activating\nSubState=auto-restart\nResult=watchdog", false, "the watchdog: it hung"),
            ("ActiveState=failed\nResult=exit-code\nExecMainStatus=6", false, "exit code 6"),
            ("ActiveState=active\nMemoryCurrent=262144000", true, "262 MB"),
            ("ActiveState=active\nMemoryCurrent=[not set]", true, "restarts       0"),
            ("", false, "unknown (unknown)"),
        ] {
            let known = known(show);
            assert_eq!(known.is_running(), running, "{show}");
            assert!(known.lines().iter().any(|line| line.contains(words)), "{show}: {:?}", known.lines());
        }
    }

    #[test]
    fn a_program_of_another_name_is_named_by_its_path() {
        for (program, command) in
            [("/usr/bin/screen-portal", "-- screen-portal check"), ("/usr/bin/window", "-- /usr/bin/window check")]
        {
            let steps = next_steps(Mode::Kiosk, "kim", Path::new(program)).join("\n");
            assert!(steps.contains(command) && steps.contains("systemctl restart screen-portal\n"), "{steps}");
        }
    }

    #[test]
    fn what_an_earlier_removal_kept_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { root: folder.path().into(), ..Machine::default() };
        assert_eq!(Record::new(Mode::Kiosk, "kim").taken_away(&machine), None);
        std::fs::create_dir_all(machine.at(DATA.as_ref())).unwrap();
        let left = Record::new(Mode::Kiosk, "kim").taken_away(&machine);
        let text = ask(&machine, left, None).lines().join("\n");
        assert!(text.contains("service install") && text.contains(DATA) && text.contains("--purge"), "{text}");
    }

    #[test]
    fn an_image_whose_program_is_gone_will_not_start_it() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { root: folder.path().into(), is_enabled: true, ..Machine::default() };
        let program = Path::new("/usr/bin/screen-portal");
        std::fs::create_dir_all(machine.at("/usr/bin".as_ref())).unwrap();
        std::fs::write(machine.at(program), "").unwrap();
        let mut record = Record::new(Mode::Kiosk, "kim");
        (record.program, record.state) = (Program::look(&machine, program), State::Done);
        let words = || ask(&machine, Some(record.clone()), None).unit.unwrap_err();
        assert!(words().contains("that machine will start it"));
        std::fs::remove_file(machine.at(program)).unwrap();
        assert!(words().contains("/usr/bin/screen-portal is not in there"), "{}", words());
        assert!(!ask(&machine, Some(record.clone()), None).is_well(&machine));
    }

    #[test]
    fn of_an_image_is_said_whether_it_will_start() {
        for (is_enabled, words) in [(true, "that machine will start it"), (false, "will not start it")] {
            let machine = Machine { root: "/mnt/image".into(), is_enabled, ..Machine::default() };
            let known = ask(&machine, Some(Record::new(Mode::Kiosk, "kim")), None);
            assert!(known.unit.as_ref().unwrap_err().contains(words), "{known:?}");
        }
    }

    #[test]
    fn nothing_installed_says_what_to_do() {
        let known = Known { record: None, unit: Err("nothing is installed".into()), last_end: Some("a hang".into()) };
        let text = known.lines().join("\n");
        assert!(
            !known.is_running() && text.contains("service install") && text.contains("last end       a hang"),
            "{text}"
        );
    }
}
