//! Every source, every kind of mistake, and the reference.

use super::*;
use std::path::{Path, PathBuf};

const REFERENCE: &str = "config/portal.toml";

fn load(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portal.toml");
    std::fs::write(&path, text).unwrap();
    let sources = Sources {
        file: Some(path),
        environment: environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        flags: flags.iter().map(|(section, key, value)| Flag::new("--flag", section, key, *value)).collect(),
    };
    Config::load(&sources).map(|loaded| loaded.config)
}

fn mistake(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> String {
    load(text, environment, flags).unwrap_err().to_string()
}

#[test]
fn each_source_overrides_the_one_before() {
    let text = "[source]\nwidth = 640\nheight = 360\nfps = 10\n[site]\nname = \"file\"";
    let environment = [("SCREEN_PORTAL_SOURCE_HEIGHT", "480"), ("SCREEN_PORTAL_SOURCE_FPS", "20"), ("OTHER", "x")];
    let config = load(text, &environment, &[("source", "fps", "25")]).unwrap();
    assert_eq!((config.source.width, config.source.height, config.source.fps), (640, 480, 25));
    assert_eq!(config.site.name, "file");
    assert_eq!(config.encode, encode::Config::default());
}

#[test]
fn text_needs_no_quotes_outside_the_file() {
    let fingerprint = pairing::Fingerprint::of(b"x");
    let environment = [
        ("SCREEN_PORTAL_SITE_NAME", "42"),
        ("SCREEN_PORTAL_PAIRING_FAR_END", &fingerprint.to_string()),
        ("SCREEN_PORTAL_SOURCE_TIME_CODE", "true"),
        ("SCREEN_PORTAL_SIGNALING_DIAL", "10.0.0.1:7413"),
        ("SCREEN_PORTAL_DISPLAY_MONITOR", "\"quoted\""),
        ("SCREEN_PORTAL_DISPLAY_POSITION_X", "-5"),
        ("SCREEN_PORTAL_DISPLAY_POSITION_Y", "0"),
    ];
    let config = load("", &environment, &[("data", "folder", "/tmp/a b"), ("source", "kind", "pattern")]).unwrap();
    assert_eq!(config.site.name, "42");
    assert_eq!(config.pairing.far_end, Some(fingerprint));
    assert!(config.source.time_code);
    assert_eq!(config.signaling.dial, "10.0.0.1:7413");
    assert_eq!(config.display.monitor, "quoted");
    assert_eq!(config.display.position_x, Some(-5));
    assert_eq!(config.data.folder, Path::new("/tmp/a b"));
    assert_eq!(config.source.kind, capture::Kind::Pattern);
}

#[test]
fn mistakes_name_key_place_and_what_is_allowed() {
    let says = |mistake: String, words: &[&str]| {
        for word in words {
            assert!(mistake.contains(word), "`{word}` is not in: {mistake}");
        }
    };
    says(mistake("[source]\n\nwidht = 3", &[], &[]), &["portal.toml, line 3", "widht", "is width meant?", "fps"]);
    says(mistake("\n[sauce]\nfps = 3", &[], &[]), &["line 2", "section `sauce`", "encode, "]);
    says(mistake("fps = 3", &[], &[]), &["line 1", "section"]);
    says(mistake("[source]\nfps = \"many\"", &[], &[]), &["line 2", "[source] fps", "a whole number"]);
    says(mistake("[source]\nfps = 300", &[], &[]), &["line 2", "[source] fps", "1 to 60"]);
    says(mistake("[source]\nkind = \"tape\"", &[], &[]), &["[source] kind", "`camera`", "`file`"]);
    says(mistake("[status]\nlisten = \"here\"", &[], &[]), &["line 2", "[status] listen", "127.0.0.1:7414"]);
    says(mistake("[source\nfps = 3", &[], &[]), &["line 1"]);
    says(mistake("[source]\nfps = 3\nfps = 4", &[], &[]), &["line 3", "duplicate"]);
    says(mistake("", &[("SCREEN_PORTAL_SOURCE_FSP", "3")], &[]), &["SCREEN_PORTAL_SOURCE_FSP", "is fps meant?"]);
    says(mistake("", &[("SCREEN_PORTAL_FPS", "3")], &[]), &["SCREEN_PORTAL_FPS", "section `fps`", "source, "]);
    says(
        mistake("", &[("SCREEN_PORTAL_SOURCE_FPS", "x")], &[]),
        &["variable SCREEN_PORTAL_SOURCE_FPS", "[source] fps"],
    );
    says(mistake("", &[], &[("pairing", "far_end", "ABC")]), &["flag --flag", "[pairing] far_end", "64"]);
    says(mistake("[log]\nlevel = \"a=b=c\"", &[], &[]), &["line 2", "[log] level", "debug"]);
    says(mistake("[log]\nlevel = \"loud\"", &[], &[]), &["line 2", "[log] level", "debug"]);
    says(mistake("[data]\nfolder = \"~/portal\"", &[], &[]), &["line 2", "[data] folder", "in full"]);
    says(mistake("[display]\nposition_x = 3", &[], &[]), &["not set: [display] position_y"]);
    says(Flag::set("source.fps").unwrap_err().to_string(), &["--set source.fps", "section.key=value"]);
    let missing = Sources { file: Some("/nowhere/portal.toml".into()), ..Sources::default() };
    says(Config::load(&missing).unwrap_err().to_string(), &["/nowhere/portal.toml", "--config"]);
    let device = Sources { file: Some("/dev/zero".into()), ..Sources::default() };
    says(Config::load(&device).unwrap_err().to_string(), &["/dev/zero", "a device", "regular file", "--config"]);
    let endless = tempfile::NamedTempFile::new().unwrap();
    endless.as_file().set_len(1 << 40).unwrap();
    let endless = Sources { file: Some(endless.path().into()), ..Sources::default() };
    says(Config::load(&endless).unwrap_err().to_string(), &["too large", "--config"]);
}

/// What was written in the place of a secret is nearly the secret, and the log goes to many eyes.
#[test]
fn no_mistake_repeats_a_secret() {
    let in_file = [
        "[operator]\npin = 47110815",
        "[operator]\npin = 4711.0815",
        "[operator]\npin = \"47110815x\"",
        "[operator]\npin = [47110815]",
        "[operator]\npin = 47110815x",
        "[operator]\npin = x47110815",
        "[operator]\npin = '47110815",
        "pin = 47110815",
        "operator = 47110815",
        "[operator.pin]\n47110815 = 1",
        "[link]\nice_servers = [{ urls = [], username = \"portal\", credential = 47110815 }]",
        "[link]\nice_servers = [{ urls = [], username = 47110815, credential = \"\" }]",
        "[link]\nice_servers = { urls = [], credential = 47110815 }",
        "[link]\nice_servers = [{ urls = 47110815, credential = \"\" }]",
    ];
    let said = in_file.map(|text| (text, mistake(text, &[], &[])));
    let environment = [("SCREEN_PORTAL_OPERATOR_PIN", "47110815x")];
    let elsewhere = [
        ("environment", mistake("", &environment, &[])),
        ("flag", mistake("", &[], &[("operator", "pin", "[47110815")])),
        ("set", Flag::set("pin=47110815").unwrap_err().to_string()),
    ];
    for (text, said) in said.into_iter().chain(elsewhere) {
        assert!(!said.contains("4711"), "{text}: {said}");
    }
    let said = mistake("[operator]\n\npin = 4711", &[], &[]);
    assert!(said.contains("line 3: [operator] pin") && said.ends_with("expected text in quotes"), "{said}");
}

#[test]
fn set_takes_any_key() {
    let flag = Flag::set("display.monitor=HDMI-1=left").unwrap();
    assert_eq!((flag.section.as_str(), flag.key.as_str(), flag.value.as_str()), ("display", "monitor", "HDMI-1=left"));
}

#[test]
fn what_the_machine_decides_is_filled_in() {
    let config = load("", &[("HOME", "/home/kiosk")], &[]).unwrap();
    assert_eq!(config.data.folder, Path::new("/home/kiosk/.local/share/screen-portal"));
    assert!(!config.site.name.is_empty());
    let config = load("", &[("HOME", "/home/kiosk"), ("STATE_DIRECTORY", "/var/lib/screen-portal")], &[]).unwrap();
    assert_eq!(config.data.folder, Path::new("/var/lib/screen-portal"));
    let config = load("", &[("STATE_DIRECTORY", "/var/lib/first:/var/lib/second")], &[]).unwrap();
    assert_eq!(config.data.folder, Path::new("/var/lib/first"));
}

#[test]
fn the_file_is_looked_for_where_the_documentation_says() {
    let environment = [("HOME".to_string(), "/home/kiosk".to_string())].into_iter().collect();
    let wanted: Vec<PathBuf> = vec![
        "portal.toml".into(),
        "/home/kiosk/.config/screen-portal/portal.toml".into(),
        "/etc/screen-portal/portal.toml".into(),
    ];
    assert_eq!(file::places(&environment), wanted);
}

/// `config/portal.toml` says the defaults, all of them, and nothing else.
#[test]
fn the_reference_is_complete_and_true() {
    let text = std::fs::read_to_string(REFERENCE).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    let mut section = "";
    let mut described = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once('=') {
            // What has no value by default stands there as `#key = example`, without a blank.
            if !line.starts_with("# ") {
                described.push((section.to_string(), key.trim().to_string()));
            }
        }
    }
    let mut wanted = Vec::new();
    for section in SECTIONS {
        assert!(!(section.keys)().is_empty(), "{}", section.name);
        wanted.extend((section.keys)().iter().map(|key| (section.name.to_string(), key.to_string())));
    }
    described.sort();
    wanted.sort();
    assert_eq!(described, wanted);
}

/// The demo writes configurations for its portals.
#[test]
fn survives_being_written() {
    let mut config = Config::default();
    config.pairing.far_end = Some(pairing::Fingerprint::of(b"x"));
    config.display.position_x = Some(1);
    config.display.position_y = Some(2);
    config.site.name = "Harbour".into();
    config.data.folder = "/data".into();
    assert_eq!(load(&toml::to_string(&config).unwrap(), &[], &[]).unwrap(), config);
}

/// What is set at the kiosk counts more than the file and less than environment and flags; it is kept apart, and a damaged one does not count.
#[test]
fn settings_of_the_kiosk_have_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portal.toml");
    let text =
        format!("# mine\n[site]\nname = \"file\"\n[display]\nrotate_deg = 90\n[data]\nfolder = {:?}\n", folder.path());
    std::fs::write(&file, &text).unwrap();
    let load = |flags: Vec<Flag>| {
        let sources = Sources { file: Some(file.clone()), flags, ..Sources::default() };
        Config::load(&sources).unwrap()
    };
    let before = load(Vec::new());
    assert_eq!((before.config.site.name.as_str(), before.set_here()), ("file", vec![]));
    settings::save(folder.path(), "site", "name", "kiosk".into()).unwrap();
    settings::save(folder.path(), "display", "rotate_deg", toml::Value::Integer(180)).unwrap();
    settings::save(folder.path(), "display", "rotate_deg", toml::Value::Integer(270)).unwrap();
    let set = load(Vec::new());
    assert_eq!((set.config.site.name.as_str(), set.config.display.rotate_deg), ("kiosk", 270));
    assert_eq!(set.set_here(), ["display.rotate_deg", "site.name"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "the operator's file is as it was");
    let flag = Flag::new("--site", "site", "name", "flag");
    let flagged = load(vec![flag]);
    assert_eq!(flagged.config.site.name, "flag");
    assert_eq!(flagged.fixed_by("site", "name"), Some(&Origin::Flag("--site".into())));
    assert_eq!(flagged.fixed_by("display", "rotate_deg"), None);
    for (damaged, words) in [
        ("[site".as_bytes(), "settings.toml, line 1"),
        (b"[display]\nrotate_deg = 45", "0, 90, 180 or 270"),
        (b"[display]\nrotate_deg = \"x\"", "rotate_deg"),
        (b"[data]\nfolder = \"/elsewhere\"", "data.folder"),
        (b"[pairing]\nfar_end = \"AB\"", "pairing.far_end"),
        (b"\xff\xfe", "settings.toml cannot be read: it is not text"),
        (b"", "settings.toml cannot be read: it is a pipe (FIFO)"),
    ] {
        let path = settings::path(folder.path());
        let shown = String::from_utf8_lossy(damaged);
        match damaged {
            b"" => pipe(&path),
            damaged => std::fs::write(&path, damaged).unwrap(),
        }
        let loaded = load(Vec::new());
        assert_eq!(loaded.config, before.config, "{shown}");
        let [damage] = &loaded.damages()[..] else { panic!("{:?}", loaded.damages()) };
        assert!(damage.contains(words), "{damage}");
        // No flag names another file of this kind.
        assert!(damage.ends_with(&format!("mend or delete {}", path.display())) && !damage.contains("--config"));
        settings::save(folder.path(), "site", "name", "again".into()).unwrap();
        assert_eq!(load(Vec::new()).config.site.name, "again", "{shown}");
    }
}

/// A pipe that nobody writes to, in the place of what was there.
fn pipe(path: &std::path::Path) {
    let _ = std::fs::remove_file(path);
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Whatever bears the name of a file of ours, nobody waits for it.
#[test]
fn a_pipe_is_no_configuration() {
    let (answers, answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("portal.toml");
        pipe(&path);
        let environment = [("XDG_DATA_HOME".to_owned(), folder.path().display().to_string())].into_iter().collect();
        let mut sources = Sources { file: Some(path), environment, ..Sources::default() };
        let refused = Config::load(&sources).unwrap_err().to_string();
        let data = folder.path().join("screen-portal");
        std::fs::create_dir(&data).unwrap();
        pipe(&crate::config::paired::path(&data));
        sources.file = None;
        answers.send((refused, Config::load(&sources).unwrap().damages())).unwrap();
    });
    let (refused, damages) = answer.recv_timeout(std::time::Duration::from_secs(5)).expect("nothing is waited for");
    let has = |text: &str, words: &[&str]| assert!(words.iter().all(|word| text.contains(word)), "{text}");
    has(&refused, &["portal.toml", "a pipe (FIFO)", "regular file", "--config"]);
    let [damage] = &damages[..] else { panic!("{damages:?}") };
    has(damage, &["paired.toml cannot be read", "a pipe (FIFO)", "delete", "pair again"]);
    assert!(!damage.contains("--config"), "{damage}");
}
