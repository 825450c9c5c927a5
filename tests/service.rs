//! `screen-portal service` on the folder of an image: what is installed, twice the same, and nothing left behind.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const UNIT: &str = "etc/systemd/system/screen-portal.service";
/// What was installed, or kept.
const RECORD: &str = "var/lib/screen-portal-service.json";
/// Where units may be for the tests that have systemd look at them: it must find the programs that they start.
const PROGRAM: &str = "/usr/bin/screen-portal";

/// A machine as small as one can be.
fn image() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for folder in ["etc", "usr/bin", "usr/lib/systemd/system", "var/lib", "run"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\npi:x:1000:1000::/home/pi:/bin/sh\n")
        .unwrap();
    std::fs::write(
        root.join("etc/group"),
        "root:x:0:\nvideo:x:44:\nrender:x:105:\naudio:x:29:\ninput:x:106:\npi:x:1000:\n",
    )
    .unwrap();
    std::fs::write(root.join("etc/shadow"), "root:*:19000:0:99999:7:::\npi:*:19000:0:99999:7:::\n").unwrap();
    std::fs::write(root.join("etc/gshadow"), "root:*::\n").unwrap();
    for program in ["usr/bin/cage", "usr/bin/screen-portal", "usr/lib/systemd/system/seatd.service"] {
        std::fs::write(root.join(program), "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(root.join(program), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn service(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_screen-portal"));
    command.arg("service").args(arguments).args(["--root", root.to_str().unwrap()]).current_dir(root).output().unwrap()
}

fn install(root: &Path, arguments: &[&str]) -> String {
    let output = service(root, &[&["install", "--program", PROGRAM], arguments].concat());
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Every file, link and folder with what it says and who may read it.
fn all(root: &Path) -> BTreeMap<PathBuf, (u32, u32, Vec<u8>)> {
    fn into(folder: &Path, found: &mut BTreeMap<PathBuf, (u32, u32, Vec<u8>)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let contents = match metadata.file_type() {
                kind if kind.is_dir() => Vec::new(),
                kind if kind.is_symlink() => path.read_link().unwrap().into_os_string().into_encoded_bytes(),
                _ => std::fs::read(&path).unwrap(),
            };
            found.insert(path.clone(), (metadata.mode(), metadata.uid(), contents));
            if metadata.is_dir() {
                into(&path, found);
            }
        }
    }
    let mut found = BTreeMap::new();
    into(root, &mut found);
    found
}

fn names(all: &BTreeMap<PathBuf, (u32, u32, Vec<u8>)>, root: &Path) -> Vec<String> {
    all.keys().map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect()
}

fn is_root() -> bool {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn twice_is_as_good_as_once() {
    for arguments in [["--cage"].as_slice(), &["--desktop", "--user", "pi"], &["--user", "kim"]] {
        let image = image();
        let first_said = install(image.path(), arguments);
        let first = all(image.path());
        let second_said = install(image.path(), arguments);
        assert_eq!(names(&first, image.path()), names(&all(image.path()), image.path()));
        assert!(first == all(image.path()), "{arguments:?}\n{first_said}\n{second_said}");
        assert!(first_said.contains("written ") && !second_said.contains("written "), "{second_said}");
        assert!(first_said.contains("fingerprint"), "the next steps: {first_said}");
    }
}

#[test]
fn nothing_is_left_behind_but_what_is_the_integrators() {
    for (arguments, configuration) in [(["--cage"].as_slice(), true), (&["--desktop", "--user", "pi"], true)] {
        for purge in [false, true] {
            let image = image();
            let root = image.path();
            let before = all(root);
            install(root, arguments);
            let words: &[&str] = if purge { &["uninstall", "--purge"] } else { &["uninstall"] };
            let output = service(root, words);
            assert!(output.status.success(), "{}", said(&output));
            let mut left = names(&all(root), root);
            let before = names(&before, root);
            // What the system's own tools keep beside the files that they change.
            left.retain(|name| !before.contains(name) && !name.ends_with('-') && !name.contains("/.pwd.lock"));
            // And the record of what was kept, for --purge.
            let kept = ["etc/screen-portal", "etc/screen-portal/portal.toml", RECORD];
            let expected: &[&str] = if configuration && !purge { &kept } else { &[] };
            assert_eq!(left, expected, "{arguments:?} {purge}\n{}", said(&output));
            let users = std::fs::read_to_string(root.join("etc/passwd")).unwrap();
            let groups = std::fs::read_to_string(root.join("etc/group")).unwrap();
            assert!(!users.contains("screen-portal") && users.contains("pi:"), "{users}\n{}", said(&output));
            assert!(!groups.contains("screen-portal") && !groups.contains(":pi"), "{groups}\n{}", said(&output));
            let again = service(root, words);
            assert!(again.status.success() && said(&again).contains("nothing is installed"), "{}", said(&again));
        }
    }
}

/// As a kiosk's systemd makes and fills them.
fn fill(root: &Path) {
    for (folder, file) in [("var/lib/screen-portal", "identity.pem"), ("var/log/screen-portal", "portal.log")] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
        std::fs::write(root.join(folder).join(file), "something").unwrap();
    }
}

#[test]
fn what_was_kept_goes_when_it_is_asked_for_later() {
    let to_kiosk = ["install", "--program", PROGRAM].as_slice();
    let to_desktop = ["install", "--program", PROGRAM, "--desktop", "--user", "pi"].as_slice();
    for way in [
        [to_kiosk, &["uninstall"]].as_slice(),
        &[to_kiosk, &["uninstall"], &["uninstall"]],
        // What an earlier installation has made belongs to the later one.
        &[to_kiosk, &["uninstall"], to_kiosk],
        &[to_kiosk, &["uninstall"], to_desktop, &["uninstall"]],
        &[to_kiosk, to_desktop],
    ] {
        let image = image();
        let root = image.path();
        let before = names(&all(root), root);
        for words in way {
            let output = service(root, words);
            assert!(output.status.success(), "{words:?}: {}", said(&output));
            fill(root);
        }
        for place in ["etc/screen-portal/portal.toml", "var/lib/screen-portal/identity.pem"] {
            assert!(root.join(place).exists(), "{way:?}: {place} is gone before it was asked for");
        }
        let status = said(&service(root, &["status"]));
        let is_installed = *way.last().unwrap() != ["uninstall"];
        assert_eq!(status.contains("uninstall --purge"), !is_installed, "{status}");
        let purged = service(root, &["uninstall", "--purge"]);
        assert!(purged.status.success(), "{}", said(&purged));
        let mut left = names(&all(root), root);
        left.retain(|name| !before.contains(name) && !name.ends_with('-') && !name.contains("/.pwd.lock"));
        // Not this service's own.
        left.retain(|name| name != "var/log");
        assert!(left.is_empty(), "{way:?} left {left:?}\n{}", said(&purged));
        assert!(said(&service(root, &["uninstall", "--purge"])).contains("nothing to take away"));
    }
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let image = image();
    let root = image.path();
    let first = install(root, &[]);
    // In an image nothing is started; on a machine this line says `done`.
    assert!(first.contains("systemctl --no-block restart") && !first.contains("nothing to do"), "{first}");
    if !is_root() || first.contains("skipped") {
        println!("skipped: not root, so neither user nor link is made\n{first}");
        return;
    }
    let again = |because: &str, is_same: bool| {
        let output = install(root, &["--dry-run"]);
        assert_eq!(output.contains("nothing to do"), is_same, "{because}: {output}");
        let output = install(root, &[]);
        assert_eq!(output.contains("nothing to do"), is_same, "{because}: {output}");
        assert_eq!(output.contains("systemctl --no-block restart"), !is_same, "{because}: {output}");
        assert!(install(root, &[]).contains("nothing to do"), "{because}: done once, and again");
    };
    again("nothing", true);
    std::fs::write(root.join("usr/bin/screen-portal"), "#!/bin/sh\n# another version\n").unwrap();
    again("another program", false);
    std::fs::write(root.join(UNIT), "# an older one\n").unwrap();
    again("another unit", false);
    std::fs::remove_file(root.join("etc/systemd/system/multi-user.target.wants/screen-portal.service")).unwrap();
    again("not at boot", false);
    let groups = std::fs::read_to_string(root.join("etc/group")).unwrap();
    std::fs::write(root.join("etc/group"), groups.replace("x:44:screen-portal", "x:44:")).unwrap();
    again("not in a group", false);
    // As an installation leaves it that was interrupted.
    let record = std::fs::read_to_string(root.join(RECORD)).unwrap();
    assert!(record.contains("\"done\""), "{record}");
    std::fs::write(root.join(RECORD), record.replace("\"done\"", "\"begun\"")).unwrap();
    again("an interruption", false);
}

/// A compositor whose only child is the portal, and what the unit has done to them, as systemd would do it.
#[test]
fn a_portal_of_any_name_is_told_to_read_its_configuration_and_to_end() {
    for name in ["screen-portal", "other", "screen-portal-of-a-longer-name"] {
        let image = image();
        let root = image.path();
        let output = service(root, &["install", "--program", &format!("/usr/bin/{name}")]);
        assert!(output.status.success(), "{}", said(&output));
        let unit = std::fs::read_to_string(root.join(UNIT)).unwrap();
        let (program, log) = (root.join(name), root.join("log"));
        // It ends by itself, should nobody do it.
        let note = |what: &str| format!("echo {what} >>{}", log.display());
        let text = format!(
            "#!/bin/sh\ntrap '{}' HUP\ntrap '{}; exit' TERM\n{}\nfor n in $(seq 400); do sleep 0.05; done\n",
            note("HUP"),
            note("TERM"),
            note("started"),
        );
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut cage = Command::new("sh").args(["-c", "\"$0\" & wait"]).arg(&program).spawn().unwrap();
        let main_pid = cage.id().to_string();
        let ended = std::thread::spawn(move || cage.wait());
        let until = |line: &str| {
            let start = Instant::now();
            while !std::fs::read_to_string(&log).unwrap_or_default().lines().any(|said| said == line) {
                assert!(start.elapsed() < Duration::from_secs(10), "{name}: not {line}");
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        let carry_out = |key: &str| {
            let line = unit.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim_start_matches('-');
            // systemd.service(5), "Command lines".
            let line = line.replace("$MAINPID", &main_pid).replace("$$", "$");
            let status = Command::new("sh").args(["-c", &line]).status().unwrap();
            assert!(status.success(), "{name}: {line}");
        };
        until("started");
        carry_out("ExecReload=");
        until("HUP");
        let begin = Instant::now();
        carry_out("ExecStop=");
        assert!(begin.elapsed() < Duration::from_secs(5), "{name}: stopping fell through");
        until("TERM");
        ended.join().unwrap().unwrap();
    }
}

#[test]
fn what_somebody_else_has_put_there_stays() {
    let image = image();
    let root = image.path();
    std::fs::create_dir_all(root.join("etc/screen-portal")).unwrap();
    std::fs::create_dir_all(root.join("etc/sysusers.d")).unwrap();
    std::fs::write(root.join("etc/screen-portal/portal.toml"), "[site]\nname = \"Hill\"\n").unwrap();
    std::fs::write(root.join("etc/sysusers.d/screen-portal.conf"), "# mine\n").unwrap();
    let output = install(root, &[]);
    assert_eq!(output.matches("kept ").count(), 2, "{output}");
    service(root, &["uninstall", "--purge"]);
    assert!(std::fs::read_to_string(root.join("etc/screen-portal/portal.toml")).unwrap().contains("Hill"));
    assert_eq!(std::fs::read_to_string(root.join("etc/sysusers.d/screen-portal.conf")).unwrap(), "# mine\n");
    assert!(!root.join(UNIT).exists());
}

#[test]
fn a_kiosk_is_enabled_owned_and_becomes_a_desktop_when_asked() {
    let image = image();
    let root = image.path();
    let output = install(root, &["--user", "kim"]);
    assert!(std::fs::read_to_string(root.join(UNIT)).unwrap().contains("\nUser=kim\n"));
    assert_eq!(root.join(UNIT).metadata().unwrap().mode() & 0o777, 0o644);
    let wanted = root.join("etc/systemd/system/multi-user.target.wants/screen-portal.service");
    if is_root() && !output.contains("skipped") {
        assert!(wanted.symlink_metadata().is_ok(), "{output}");
        let users = std::fs::read_to_string(root.join("etc/passwd")).unwrap();
        let number = users.lines().find_map(|line| line.strip_prefix("kim:")?.split(':').nth(2)?.parse::<u32>().ok());
        let configuration = root.join("etc/screen-portal/portal.toml").metadata().unwrap();
        assert_eq!((configuration.uid(), Some(configuration.gid()), configuration.mode() & 0o777), (0, number, 0o640));
        let groups = std::fs::read_to_string(root.join("etc/group")).unwrap();
        for group in ["video", "render", "audio", "input"] {
            assert!(
                groups.lines().any(|line| line.starts_with(&format!("{group}:")) && line.ends_with(":kim")),
                "{groups}"
            );
        }
    } else {
        println!("skipped: not root, so neither user nor link is made\n{output}");
    }
    install(root, &["--desktop", "--user", "pi"]);
    assert!(!root.join(UNIT).exists() && wanted.symlink_metadata().is_err());
    let unit = std::fs::read_to_string(root.join("etc/systemd/user/screen-portal.service")).unwrap();
    assert!(unit.contains("\nConditionUser=pi\n"));
    assert!(!std::fs::read_to_string(root.join("etc/passwd")).unwrap().contains("kim") || !is_root());
}

/// As who builds an image has it before anything else is there, to be laid over the rest.
#[test]
fn an_empty_folder_takes_an_installation_and_tells_of_it() {
    for (arguments, unit) in
        [(["--cage"].as_slice(), UNIT), (&["--desktop", "--user", "pi"], "etc/systemd/user/screen-portal.service")]
    {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let status = service(root, &["status"]);
        assert_eq!(status.status.code(), Some(7), "nothing is installed yet: {}", said(&status));
        let output = install(root, arguments);
        assert!(root.join(unit).is_file() && root.join("etc/sysusers.d/screen-portal.conf").is_file(), "{output}");
        assert!(output.contains("note ") && output.contains("when it boots"), "{output}");
        for users in ["etc/passwd", "etc/group"] {
            assert!(!root.join(users).exists(), "it would take the place of the machine's {users}");
        }
        if output.contains("left out") {
            println!("skipped: not root, so nothing starts it\n{output}");
            continue;
        }
        let status = service(root, &["status"]);
        assert_eq!(status.status.code(), Some(0), "{}", said(&status));
        assert!(said(&status).contains("will start it"), "{}", said(&status));
        let again = install(root, arguments);
        assert!(again.contains("nothing to do"), "{again}");
        let purged = service(root, &["uninstall", "--purge"]);
        assert!(purged.status.success(), "{}", said(&purged));
        let left: Vec<_> = names(&all(root), root).into_iter().filter(|name| root.join(name).is_file()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// In an image nothing runs: it is well if it will.
#[test]
fn the_status_of_an_image_is_whether_it_will_start() {
    let image = image();
    let root = image.path();
    let output = install(root, &[]);
    if !is_root() || output.contains("skipped") {
        println!("skipped: not root, so nothing starts it\n{output}");
        return;
    }
    let code = || service(root, &["status"]).status.code();
    assert_eq!(code(), Some(0), "{}", said(&service(root, &["status"])));
    std::fs::remove_file(root.join("etc/systemd/system/multi-user.target.wants/screen-portal.service")).unwrap();
    assert_eq!(code(), Some(7), "nothing would start it");
    install(root, &["--desktop", "--user", "pi"]);
    assert_eq!(code(), Some(0), "{}", said(&service(root, &["status"])));
    service(root, &["uninstall"]);
    assert_eq!(code(), Some(7));
}

#[test]
fn a_dry_run_tells_all_and_changes_nothing() {
    let image = image();
    let before = all(image.path());
    let output = install(image.path(), &["--dry-run"]);
    assert!(before == all(image.path()));
    for words in [UNIT, "    Type=notify", "systemd-sysusers", "systemctl", "etc/sysusers.d/screen-portal.conf"] {
        assert!(output.contains(words), "{words}: {output}");
    }
    // Where something is missing it tells the same, and that it would be refused.
    let bare = self::image();
    std::fs::remove_file(bare.path().join("usr/bin/cage")).unwrap();
    std::fs::remove_file(bare.path().join("usr/lib/systemd/system/seatd.service")).unwrap();
    let before = all(bare.path());
    let refused = service(bare.path(), &["install", "--dry-run", "--program", PROGRAM]);
    assert!(before == all(bare.path()));
    assert_eq!(refused.status.code(), Some(1));
    let refused = said(&refused);
    for words in [UNIT, "    Type=notify", "systemd-sysusers", "apt install cage", "apt install seatd", "is refused"] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    install(image.path(), &[]);
    let installed = all(image.path());
    let output = said(&service(image.path(), &["uninstall", "--dry-run", "--purge"]));
    assert!(installed == all(image.path()));
    assert!(output.contains("remove ") && output.contains("/var/lib/screen-portal"), "{output}");
    // For somebody else: what there is goes, and is written again.
    let output = install(image.path(), &["--dry-run", "--user", "kim"]);
    assert!(installed == all(image.path()));
    let unit = image.path().join(UNIT);
    for word in ["remove ", "write  "] {
        assert!(output.contains(&format!("{word}  {}", unit.display())), "{word}: {output}");
    }
}

#[test]
fn links_of_an_image_lead_to_no_files_of_the_machine_that_it_lies_on() {
    let (image, outside) = (image(), tempfile::tempdir().unwrap());
    let root = image.path();
    std::os::unix::fs::symlink(outside.path(), root.join("etc/screen-portal")).unwrap();
    std::fs::create_dir_all(root.join("usr/etc/sysusers.d")).unwrap();
    std::os::unix::fs::symlink("/usr/etc/sysusers.d", root.join("etc/sysusers.d")).unwrap();
    install(root, &[]);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    let within = root.join(outside.path().strip_prefix("/").unwrap()).join("portal.toml");
    for file in [&within, &root.join("usr/etc/sysusers.d/screen-portal.conf")] {
        assert!(file.is_file(), "{}", file.display());
    }
    std::fs::write(outside.path().join("portal.toml"), "theirs").unwrap();
    let output = service(root, &["uninstall", "--purge"]);
    assert!(output.status.success() && !within.exists(), "{}", said(&output));
    assert!(outside.path().join("portal.toml").exists());
}

#[test]
fn to_install_again_is_to_install_for_the_same_user() {
    let image = image();
    let root = image.path();
    let first = install(root, &["--user", "pi"]);
    assert!(!install(root, &[]).contains("goes first"), "{first}");
    assert!(std::fs::read_to_string(root.join(UNIT)).unwrap().contains("\nUser=pi\n"));
    // Somebody who was made for the kiosk goes with it, and has no desktop.
    install(root, &["--user", "kim"]);
    std::fs::OpenOptions::new()
        .append(true)
        .open(root.join("etc/passwd"))
        .and_then(|mut file| {
            use std::io::Write;
            let is_there = std::fs::read_to_string(root.join("etc/passwd"))?.contains("kim:");
            if is_there { Ok(()) } else { file.write_all(b"kim:x:999:999::/:/usr/sbin/nologin\n") }
        })
        .unwrap();
    let before = all(root);
    let output = service(root, &["install", "--program", PROGRAM, "--desktop", "--user", "kim"]);
    assert!(!output.status.success() && said(&output).contains("made for the kiosk"), "{}", said(&output));
    assert!(before == all(root));
}

#[test]
fn what_cannot_be_is_said_with_its_remedy() {
    let full = image();
    let bare = image();
    std::fs::remove_file(bare.path().join("usr/bin/cage")).unwrap();
    let mute = image();
    std::fs::remove_file(mute.path().join("usr/lib/systemd/system/seatd.service")).unwrap();
    for (image, arguments, words) in [
        (&bare, ["install"].as_slice(), "apt install cage"),
        (&mute, &["install"], "apt install seatd"),
        (&full, &["install", "--desktop"], "--user NAME"),
        (&full, &["install", "--desktop", "--user", "kim"], "adduser kim"),
        (&full, &["install", "--user", "Kim; rm"], "small letters"),
        (&full, &["install", "--user", "root"], "does not run as root"),
        (&full, &["install", "--program", "/home/pi/screen-portal"], "/usr/local/bin"),
        (&full, &["install", "--program", "/usr/bin/a b"], "full path"),
        (&full, &["install", "--fps", "25"], "/etc/screen-portal/portal.toml"),
    ] {
        let program: &[&str] = if arguments.contains(&"--program") { &[] } else { &["--program", PROGRAM] };
        let program = if arguments[0] == "install" { program } else { &[] };
        let before = all(image.path());
        let output = service(image.path(), &[arguments, program].concat());
        assert!(!output.status.success() && said(&output).contains(words), "{arguments:?}: {}", said(&output));
        assert!(before == all(image.path()), "{arguments:?} left something behind");
    }
    let status = service(full.path(), &["status"]);
    assert_eq!(status.status.code(), Some(7));
    assert!(said(&status).contains("service install"), "{}", said(&status));
}

/// systemd's own opinion of a unit that was written for this machine's programs.
fn analyze(words: &[&str]) -> Option<Output> {
    match Command::new("systemd-analyze").args(words).output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("skipped: systemd-analyze: {error}");
            None
        }
    }
}

#[test]
fn systemd_understands_the_units() {
    let image = image();
    install(image.path(), &[]);
    let desktop = self::image();
    install(desktop.path(), &["--desktop", "--user", "pi"]);
    for (unit, kind) in [
        (image.path().join(UNIT), "--system"),
        (desktop.path().join("etc/systemd/user/screen-portal.service"), "--user"),
    ] {
        // It wants the programs to be there; what it is asked for is the unit.
        let text =
            std::fs::read_to_string(&unit).unwrap().replace(PROGRAM, "/bin/true").replace("/usr/bin/cage", "/bin/true");
        std::fs::write(&unit, text).unwrap();
        // Units beside it are known to it.
        std::fs::write(unit.with_file_name("seatd.service"), "[Service]\nExecStart=/bin/true\n").unwrap();
        let Some(output) = analyze(&["verify", kind, "--man=no", unit.to_str().unwrap()]) else { return };
        // systemd before 254 does not know how to wait longer each time, and says so.
        let said: String = said(&output)
            .lines()
            .filter(|line| !line.contains("'RestartSteps'") && !line.contains("'RestartMaxDelaySec'"))
            .filter(|line| line.contains("screen-portal.service"))
            .collect();
        assert_eq!(said, "", "{kind}");
    }
}

#[test]
fn a_kiosk_is_not_exposed() {
    /// systemd's measure of what a service could do if it were taken over: 10 is everything.
    const BOUND: &str = "25";
    let image = image();
    install(image.path(), &[]);
    let unit = image.path().join(UNIT);
    let Some(output) =
        analyze(&["security", "--offline=true", &format!("--threshold={BOUND}"), "--no-pager", unit.to_str().unwrap()])
    else {
        return;
    };
    if said(&output).contains("unrecognized option") {
        println!("skipped: this systemd-analyze cannot look at files: {}", said(&output));
        return;
    }
    println!("{}", said(&output).lines().last().unwrap_or_default());
    assert!(output.status.success(), "{}", said(&output));
}
