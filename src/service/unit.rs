//! The texts that are installed: units, and what makes the user and its folders. Pure functions.

use super::{CONFIGURATION, DATA, NAME};
use std::path::Path;

/// What the texts depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Whose the portal is.
    pub user: &'a str,
    /// This program, where the service finds it.
    pub program: &'a Path,
}

/// Limits that both kinds of service have. A portal takes 230 to 280 MB (docs/measurements.md), a compositor as much at most.
const LIMITS: &str = "\
# A leak ends this service, not the machine; what has grown too large is started again.
MemoryHigh=768M
MemoryMax=1G
OOMPolicy=stop
TasksMax=512
LimitNOFILE=4096
# A dump of the memory would hold pictures, and no picture is ever written to a disk.
LimitCORE=0
CoredumpFilter=elf-headers
";

/// When it is started again, and when it is given up for hung.
const RESTARTS: &str = "\
# Ready when the portal runs (not when it has a display: it waits for one), alive while its pictures move.
Type=notify
# Whom systemd started may be the compositor; who speaks is the portal.
NotifyAccess=all
TimeoutStartSec=90
WatchdogSec=20
# Whoever hangs has nothing to put in order.
WatchdogSignal=SIGKILL
TimeoutStopSec=5
# For ever, whatever it ended with (one that finds another portal with its data waits 10 s by itself before it ends), after 1 s at first and 30 s at last. systemd before 254 does not know the last two lines, says so in its log, and waits 1 s each
# time. systemd counts restarts until the unit is started by hand or `systemctl reset-failed`: after years it is 30 s at once.
Restart=always
RestartSec=1
RestartSteps=6
RestartMaxDelaySec=30
";

/// What a portal never does, so that nobody who takes it over can. Works for system and user managers alike.
const NEVER: &str = "\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
# Signalling and pictures; the compositor, seatd and systemd; the list of network interfaces and hot-plugged devices.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077
";

/// The kiosk: the compositor cage covers the screen with the portal's window. For /etc/systemd/system.
pub fn kiosk(facts: &Facts, cage: &Path) -> String {
    let Facts { user, program } = facts;
    let (program, cage) = (program.display(), cage.display());
    format!(
        "\
# Made by `screen-portal service install`, which writes it anew. Changes of yours: systemctl edit {NAME}
[Unit]
Description=Screen Portal, a window between two places (kiosk)
Documentation=man:screen-portal(1)
# seatd gives cage the screen and the keyboards. Not a session of logind (PAMName=): that takes whoever joins it out of this service, where
# neither its limits hold nor its notifications count (systemd.exec(5)). Who logs in on the first console makes room.
Requires=seatd.service
After=seatd.service plymouth-quit-wait.service getty@tty1.service
Conflicts=getty@tty1.service
# Never given up, however often it ends.
StartLimitIntervalSec=0

[Service]
# As long as cage is there the portal's display is; when one of them ends, both are started again. The portal needs no X server: without
# DISPLAY cage starts none.
ExecStart={cage} -- /usr/bin/env --unset=DISPLAY {program} run
# First the portal, which says goodbye to the far end and needs its window for a moment; cage ends with it. It is cage's only child, whatever its
# file is called. Unasked, tail looks once a second.
ExecStop=-/bin/sh -c 'test -z \"$$1\" || {{ pkill --signal TERM --parent $$1; exec tail --pid=$$1 --sleep-interval=0.05 -f /dev/null; }}' stop $MAINPID
ExecReload=pkill --signal HUP --parent $MAINPID
{RESTARTS}
User={user}
StandardOutput=journal
StandardError=journal
SyslogIdentifier={NAME}
RuntimeDirectory={NAME}
RuntimeDirectoryMode=0700
Environment=XDG_RUNTIME_DIR=/run/{NAME}
Environment=LIBSEAT_BACKEND=seatd
# A kiosk may have neither mouse nor keyboard.
Environment=WLR_LIBINPUT_NO_DEVICES=1
Environment=SCREEN_PORTAL_CONFIG={CONFIGURATION}
StateDirectory={NAME}
StateDirectoryMode=0700
# For a log file, if the configuration names one there; its log goes to the journal in any case.
LogsDirectory={NAME}
LogsDirectoryMode=0700
WorkingDirectory={DATA}

{LIMITS}
# Everything is read-only but the state (the identity, and what is set at the kiosk) and a log file.
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateMounts=yes
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RemoveIPC=yes
KeyringMode=private
CapabilityBoundingSet=
{NEVER}# Not MemoryDenyWriteExecute: where there is no GPU, Mesa's lavapipe translates shaders into machine code.

# Cameras, GPU, the screen's remote control (CEC), sound and keyboards; no disk, no console, no serial port.
DevicePolicy=closed
DeviceAllow=char-video4linux rw
DeviceAllow=char-drm rw
DeviceAllow=char-nvidia* rw
DeviceAllow=char-cec rw
DeviceAllow=char-alsa rw
DeviceAllow=char-input rw

[Install]
WantedBy=multi-user.target
"
    )
}

/// The portal in a desktop session, as the session's own user. For /etc/systemd/user.
pub fn desktop(facts: &Facts) -> String {
    let Facts { user, program } = facts;
    let program = program.display();
    format!(
        "\
# Made by `screen-portal service install --desktop`, which writes it anew. Changes of yours: systemctl --user edit {NAME}
[Unit]
Description=Screen Portal, a window between two places (desktop session)
Documentation=man:screen-portal(1)
# /etc/xdg/autostart/{NAME}.desktop starts it in everybody's session; it runs in this one's.
ConditionUser={user}
PartOf=graphical-session.target
StartLimitIntervalSec=0

[Service]
ExecStart={program} run
ExecReload=kill -HUP $MAINPID
{RESTARTS}
SyslogIdentifier={NAME}
Environment=SCREEN_PORTAL_CONFIG={CONFIGURATION}

{LIMITS}
# Most of what hides folders and devices needs a system's service manager: see the kiosk for as much as there is.
{NEVER}"
    )
}

/// Starts the desktop's service when a session begins, and tells it where the display is: not every desktop does by itself. For /etc/xdg/autostart.
pub fn autostart() -> String {
    format!(
        "\
[Desktop Entry]
Type=Application
Name=Screen Portal
Comment=A window between two places
Exec=sh -c \"systemctl --user import-environment DISPLAY XAUTHORITY WAYLAND_DISPLAY XDG_SESSION_TYPE; exec systemctl --user --no-block restart {NAME}.service\"
NoDisplay=true
X-GNOME-Autostart-enabled=true
"
    )
}

/// The kiosk's user and groups, for sysusers.d(5). A user that exists stays as it is and joins the groups.
pub fn kiosk_user(user: &str) -> String {
    let mut text = format!("u {user} - \"Screen Portal\" {DATA}\n");
    for group in KIOSK_GROUPS {
        text += &format!("m {user} {group}\n");
    }
    text
}

/// Cameras, and seatd's socket; GPUs without a display; sound; keyboards, where a compositor opens them itself.
pub const KIOSK_GROUPS: [&str; 4] = ["video", "render", "audio", "input"];

/// What the user of a desktop joins: cameras and GPUs are its already while its session is the one that is seen, and stay so when it is not.
pub const DESKTOP_GROUPS: [&str; 2] = ["video", "render"];

/// The groups of a desktop's user, for sysusers.d(5).
pub fn desktop_user(user: &str) -> String {
    DESKTOP_GROUPS.map(|group| format!("m {user} {group}\n")).concat()
}

/// Who may read the configuration, for tmpfiles.d(5): the portal, and nobody else, for it may hold a relay's password and the PIN.
pub fn configuration(group: &str) -> String {
    format!("z {CONFIGURATION} 0640 root {group} -\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of a key, in its order.
    fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
        unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
    }

    #[test]
    fn a_kiosk_is_compositor_and_portal_as_one() {
        let facts = Facts { user: "kim", program: Path::new("/opt/it/screen-portal") };
        let unit = kiosk(&facts, Path::new("/usr/local/bin/cage"));
        for (key, expected) in [
            ("ExecStart", ["/usr/local/bin/cage -- /usr/bin/env --unset=DISPLAY /opt/it/screen-portal run"].as_slice()),
            ("User", &["kim"]),
            ("Type", &["notify"]),
            ("NotifyAccess", &["all"]),
            ("Restart", &["always"]),
            ("StartLimitIntervalSec", &["0"]),
            ("LimitCORE", &["0"]),
            ("ProtectSystem", &["strict"]),
            // All that it may write: below /var/lib and /var/log.
            ("StateDirectory", &["screen-portal"]),
            ("LogsDirectory", &["screen-portal"]),
            ("LogsDirectoryMode", &["0700"]),
            ("ReadWritePaths", &[]),
            ("CapabilityBoundingSet", &[""]),
            // Where lavapipe must draw it would end the program.
            ("MemoryDenyWriteExecute", &[]),
            ("PrivateDevices", &[]),
            // Would take the portal out of the service, and its notifications with it.
            ("PAMName", &[]),
        ] {
            assert_eq!(values(&unit, key), expected, "{key}");
        }
        assert!(!values(&unit, "DeviceAllow").iter().any(|device| device.contains("block")));
    }

    #[test]
    fn the_log_file_that_the_configuration_suggests_can_be_written() {
        let reference = std::fs::read_to_string("config/portal.toml").unwrap();
        let (_, from) = reference.split_once("/var/log/").unwrap();
        let folder = Path::new("/var/log").join(from.split_once('"').unwrap().0);
        assert_eq!(folder.parent(), Some(Path::new(crate::service::LOGS)));
        let facts = Facts { user: "kim", program: Path::new("/usr/bin/screen-portal") };
        let unit = kiosk(&facts, Path::new("/usr/bin/cage"));
        let folders = values(&unit, "LogsDirectory").into_iter().map(|name| Path::new("/var/log").join(name));
        assert!(folders.into_iter().any(|place| place == Path::new(crate::service::LOGS)), "{unit}");
    }

    #[test]
    fn keys_are_set_once() {
        let facts = Facts { user: "kim", program: Path::new("/usr/bin/screen-portal") };
        for unit in [kiosk(&facts, Path::new("/usr/bin/cage")), desktop(&facts)] {
            let mut keys: Vec<_> =
                unit.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
            keys.retain(|(key, _)| !["DeviceAllow", "Environment"].contains(key));
            keys.sort_unstable();
            assert!(keys.len() > 20);
            for pair in keys.windows(2) {
                assert_ne!(pair[0].0, pair[1].0, "set twice");
            }
        }
    }

    #[test]
    fn the_user_of_a_desktop_is_not_made() {
        assert_eq!(desktop_user("pi"), "m pi video\nm pi render\n");
        assert!(kiosk_user("kim").starts_with("u kim - "));
        assert_eq!(kiosk_user("kim").lines().count(), 1 + KIOSK_GROUPS.len());
    }
}
