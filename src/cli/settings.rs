//! The flags that set keys of the configuration.

use crate::config::{Error, Flag};
use clap::{Args, Command};
use std::fmt::Display;
use std::path::PathBuf;

/// Flags for what scripts and test rigs need most; `--set` for every other key.
#[derive(Clone, Debug, Default, Args)]
pub struct Settings {
    /// Configuration file [default: the first of ./portal.toml, ~/.config/screen-portal/portal.toml, /etc/screen-portal/portal.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set any key of the configuration, for instance --set source.fps=25
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder that holds the identity
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<String>,
    /// This place's name, for the far end
    #[arg(long, global = true, value_name = "NAME")]
    pub site: Option<String>,

    /// Address to listen on for the far end; empty: do not listen
    #[arg(long, global = true, value_name = "IP:PORT", help_heading = "Far end")]
    pub listen: Option<String>,
    /// Where the far end listens; empty: wait to be dialled
    #[arg(long, global = true, value_name = "HOST:PORT", help_heading = "Far end")]
    pub dial: Option<String>,
    /// The far end's fingerprint, as `screen-portal identity` prints it there
    #[arg(long, global = true, value_name = "FINGERPRINT", help_heading = "Far end")]
    pub far_end: Option<String>,

    /// Where outgoing pictures come from: camera, pattern, scene or file
    #[arg(long, global = true, value_name = "KIND", help_heading = "Pictures")]
    pub source: Option<String>,
    /// Which camera, as `screen-portal cameras` prints it; or several, best first: '["Door Cam", "Wide Cam"]'
    #[arg(long, global = true, value_name = "NAME", help_heading = "Pictures")]
    pub camera: Option<String>,
    /// The film to send (Y4M or H.264); implies --source file
    #[arg(long, global = true, value_name = "FILE", help_heading = "Pictures")]
    pub file: Option<String>,
    /// Size of the sent picture in pixels
    #[arg(long, global = true, value_name = "WIDTHxHEIGHT", value_parser = size, help_heading = "Pictures")]
    pub size: Option<(u32, u32)>,
    /// Pictures per second
    #[arg(long, global = true, value_name = "FPS", help_heading = "Pictures")]
    pub fps: Option<u32>,
    /// The most that is sent, in bits per second
    #[arg(long, global = true, value_name = "BPS", help_heading = "Pictures")]
    pub bitrate: Option<u32>,
    /// Draw a time code into every picture
    #[arg(long, global = true, help_heading = "Pictures")]
    pub time_code: bool,

    /// Run without a window: capture, send, receive and decode only
    #[arg(long, global = true, help_heading = "Window")]
    pub headless: bool,
    /// Show a window instead of covering a monitor
    #[arg(long, global = true, help_heading = "Window")]
    pub windowed: bool,
    /// Size of the window in pixels; implies --windowed
    #[arg(long, global = true, value_name = "WIDTHxHEIGHT", value_parser = size, help_heading = "Window")]
    pub window_size: Option<(u32, u32)>,
    /// Place of the window on the desktop in pixels; implies --windowed
    #[arg(long, global = true, value_name = "X,Y", value_parser = position, allow_hyphen_values = true,
        help_heading = "Window")]
    pub window_position: Option<(i32, i32)>,
    /// A window without frame and title bar; implies --windowed
    #[arg(long, global = true, help_heading = "Window")]
    pub undecorated: bool,
    /// Monitor to cover: a part of its name, or its number from 0
    #[arg(long, global = true, value_name = "NAME", help_heading = "Window")]
    pub monitor: Option<String>,
    /// Do not show one's own picture
    #[arg(long, global = true, help_heading = "Window")]
    pub no_self_view: bool,
    /// Show no words, only pictures
    #[arg(long, global = true, help_heading = "Window")]
    pub no_overlays: bool,

    /// Address of the status pages, or off
    #[arg(long, global = true, value_name = "IP:PORT", help_heading = "Operation")]
    pub status: Option<String>,
    /// error, warn, info, debug, trace, or directives such as info,screen_portal::link=debug
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Operation")]
    pub log_level: Option<String>,
    /// human or json
    #[arg(long, global = true, value_name = "FORMAT", help_heading = "Operation")]
    pub log_format: Option<String>,
}

/// For each command that does not take all flags, those that do something there.
const TAKES: [(&str, &[&str]); 8] = [
    ("cameras", &[]),
    ("identity", &["config", "set", "data"]),
    ("pair", &["config", "set", "data", "site", "listen"]),
    ("discover", &["config", "set", "data"]),
    ("unpair", &["config", "set", "data"]),
    ("report", &["config", "set", "data", "status"]),
    ("service", &[]),
    ("hub", &["config", "set", "data", "log_level", "log_format"]),
];

/// Shows each flag only in the help of commands where it does something. It is understood everywhere: whoever gives it to the others is told where
/// it belongs, and scripts may give the same flags to all of them.
pub fn shown_where_they_work(command: Command) -> Command {
    let flags = Settings::augment_args(Command::new(""));
    TAKES.into_iter().fold(command, |command, (name, takes)| {
        let hidden = flags.get_arguments().filter(|flag| !takes.contains(&flag.get_id().as_str()));
        // What a command has itself is not taken from above (clap, "global").
        command.mut_subcommand(name, |command| command.args(hidden.map(|flag| flag.clone().hide(true))))
    })
}

impl Settings {
    /// The keys that the flags set. `--set` comes last and counts most.
    pub fn flags(&self) -> Result<Vec<Flag>, Error> {
        let mut flags = Flags(Vec::new());
        flags.one("--data", "data.folder", self.data.as_ref());
        flags.one("--site", "site.name", self.site.as_ref());
        flags.one("--listen", "signaling.listen", self.listen.as_ref());
        flags.one("--dial", "signaling.dial", self.dial.as_ref());
        flags.one("--far-end", "pairing.far_end", self.far_end.as_ref());

        flags.one("--file", "source.kind", self.file.as_ref().map(|_| "file"));
        flags.one("--source", "source.kind", self.source.as_ref());
        flags.one("--camera", "source.camera", self.camera.as_ref());
        flags.one("--file", "source.file", self.file.as_ref());
        flags.pair("--size", ["source.width", "source.height"], self.size);
        flags.one("--fps", "source.fps", self.fps);
        flags.one("--bitrate", "encode.bitrate_bps", self.bitrate);
        flags.one("--time-code", "source.time_code", self.time_code.then_some(true));

        for (name, is_given) in [
            ("--windowed", self.windowed),
            ("--window-size", self.window_size.is_some()),
            ("--window-position", self.window_position.is_some()),
            ("--undecorated", self.undecorated),
        ] {
            flags.one(name, "display.fullscreen", is_given.then_some(false));
        }
        flags.pair("--window-size", ["display.width", "display.height"], self.window_size);
        flags.pair("--window-position", ["display.position_x", "display.position_y"], self.window_position);
        flags.one("--undecorated", "display.decorations", self.undecorated.then_some(false));
        flags.one("--monitor", "display.monitor", self.monitor.as_ref());
        flags.one("--no-self-view", "display.self_view", self.no_self_view.then_some(false));
        flags.one("--no-overlays", "display.overlays", self.no_overlays.then_some(false));

        match self.status.as_deref() {
            Some("off") => flags.one("--status", "status.enabled", Some(false)),
            address => flags.one("--status", "status.listen", address),
        }
        flags.one("--log-level", "log.level", self.log_level.as_ref());
        flags.one("--log-format", "log.format", self.log_format.as_ref());

        let mut flags = flags.0;
        for argument in &self.set {
            flags.push(Flag::set(argument)?);
        }
        Ok(flags)
    }
}

struct Flags(Vec<Flag>);

impl Flags {
    fn one(&mut self, name: &str, key: &'static str, value: Option<impl Display>) {
        if let (Some(value), Some((section, key))) = (value, key.split_once('.')) {
            self.0.push(Flag::new(name, section, key, value.to_string()));
        }
    }

    fn pair<T: Display>(&mut self, name: &str, keys: [&'static str; 2], values: Option<(T, T)>) {
        if let Some((first, second)) = values {
            self.one(name, keys[0], Some(first));
            self.one(name, keys[1], Some(second));
        }
    }
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides =
        text.split_once(['x', 'X']).and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    sides.ok_or_else(|| "a size is written as 1280x720".into())
}

fn position(text: &str) -> Result<(i32, i32), String> {
    let place = text.split_once(',').and_then(|(x, y)| Some((x.trim().parse().ok()?, y.trim().parse().ok()?)));
    place.ok_or_else(|| "a place is written as 100,50".into())
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use crate::capture::Kind;
    use crate::config::{Config, LogFormat, Sources};
    use crate::pairing::Fingerprint;
    use clap::Parser;
    use std::path::Path;

    fn load(arguments: &str) -> Result<Config, Error> {
        let arguments = ["screen-portal"].into_iter().chain(arguments.split_whitespace());
        let flags = Cli::try_parse_from(arguments).unwrap().settings.flags()?;
        // Not the developer's own file.
        let empty = tempfile::NamedTempFile::new().unwrap();
        Config::load(&Sources { file: Some(empty.path().into()), flags, ..Sources::default() })
            .map(|loaded| loaded.config)
    }

    #[test]
    fn every_flag_reaches_its_key() {
        let fingerprint = Fingerprint::of(b"far");
        let config = load(&format!(
            "--data /data --site 7 --listen 127.0.0.1:1 --dial far:2 --far-end {fingerprint} --file /film.y4m \
             --size 640x360 --fps 25 --bitrate 1000000 --time-code --window-size 800x600 --window-position -10,20 \
             --undecorated --monitor 1 --no-self-view --no-overlays --status 127.0.0.1:3 --log-level debug \
             --log-format json --set encode.threads=2 --set source.fps=24"
        ))
        .unwrap();
        assert_eq!(config.data.folder, Path::new("/data"));
        assert_eq!(config.site.name, "7");
        assert_eq!((config.signaling.listen.as_str(), config.signaling.dial.as_str()), ("127.0.0.1:1", "far:2"));
        assert_eq!(config.pairing.far_end, Some(fingerprint));
        assert_eq!((config.source.kind, config.source.file.as_path()), (Kind::File, Path::new("/film.y4m")));
        assert_eq!((config.source.width, config.source.height, config.source.time_code), (640, 360, true));
        assert_eq!(config.encode.bitrate_bps, 1_000_000);
        assert_eq!((config.display.width, config.display.height), (800, 600));
        assert_eq!((config.display.position_x, config.display.position_y), (Some(-10), Some(20)));
        assert!(!config.display.fullscreen && !config.display.decorations);
        assert!(!config.display.self_view && !config.display.overlays);
        assert_eq!(config.display.monitor, "1");
        assert_eq!(config.status.listen.port(), 3);
        assert_eq!((config.log.level.as_str(), config.log.format), ("debug", LogFormat::Json));
        assert_eq!((config.encode.threads, config.source.fps), (2, 24), "--set counts most");
        assert!(!load("--status off").unwrap().status.enabled);
        assert!(!load("--windowed").unwrap().display.fullscreen);
        assert_eq!(load("--file /film.y4m --source pattern").unwrap().source.kind, Kind::Pattern);
    }

    #[test]
    fn errors_name_the_flag() {
        for (arguments, words) in [
            ("--fps 300", ["flag --fps", "1 to 60"]),
            ("--far-end 12", ["flag --far-end", "64"]),
            ("--source tape", ["flag --source", "`pattern`"]),
            ("--status 0.0.0.0:80", ["flag --status", "allow_remote"]),
            ("--set source.fsp=3", ["flag --set source.fsp", "fps"]),
            ("--set fps", ["--set fps", "section.key=value"]),
        ] {
            let error = load(arguments).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        assert!(Cli::try_parse_from(["screen-portal", "--size", "1280"]).is_err());
        assert!(Cli::try_parse_from(["screen-portal", "--window-position", "3"]).is_err());
    }
}
