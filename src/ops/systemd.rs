//! Tells the service manager how this program does: started, alive, stopping.
//!
//! The protocol is one datagram of `NAME=value` lines to the socket that `NOTIFY_SOCKET` names: sd_notify(3). Without that variable, which is
//! so wherever systemd did not start us, each call does nothing. The crates for it wait where the manager does not read, do not
//! know abstract sockets (systemd.exec(5), containers), and refuse the watchdog to whoever is not the unit's main process. A portal in
//! a kiosk is the child of its compositor, and that is the main process.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Characters of a status that are sent. systemd takes no datagram of more than 4096 bytes, and shows the status in one line.
const STATUS_CHARS: usize = 300;

/// Whether a service manager started this program and wants to hear of it.
pub fn is_there() -> bool {
    TOLD.to.is_some()
}

/// Started: whoever waits for the unit (`Type=notify`) goes on.
pub fn ready() {
    TOLD.tell("READY=1");
}

/// Alive. What is owed every [`watchdog_interval`]; systemd ends a unit that it has not heard of for twice as long. Told by the portal's watchdog, and
/// before there is a portal by whoever waits with beginning again ([`super::ending`]); by nobody else.
pub fn feed() {
    TOLD.tell("WATCHDOG=1");
}

/// How the portal does, in one line for `systemctl status`. Control characters become spaces: a name that the far end chose must not
/// become a message of its own.
pub fn status(text: &str) {
    TOLD.tell(&status_line(text));
}

/// Ending in order, as asked. Not before the program begins again by itself: systemd waits for the end then, and makes one.
pub fn stopping() {
    TOLD.tell("STOPPING=1");
}

/// How often [`feed`] is to be called: half of the unit's `WatchdogSec`, as sd_watchdog_enabled(3) advises. `None` without a watchdog.
pub fn watchdog_interval() -> Option<Duration> {
    let variable = |name| std::env::var(name).ok();
    let ours = [std::process::id(), std::os::unix::process::parent_id()];
    interval(variable("WATCHDOG_USEC").as_deref(), variable("WATCHDOG_PID").as_deref(), ours)
}

/// `ours`: this process and its parent. The watchdog is meant for one process, by its id; that one may be the compositor that started us.
fn interval(usec: Option<&str>, pid: Option<&str>, ours: [u32; 2]) -> Option<Duration> {
    let meant = match pid {
        None => true,
        Some(pid) => pid.parse().is_ok_and(|pid| ours.contains(&pid)),
    };
    let usec: u64 = usec?.parse().ok().filter(|usec| meant && *usec > 0)?;
    Some(Duration::from_micros(usec) / 2)
}

fn status_line(text: &str) -> String {
    let plain = text.chars().take(STATUS_CHARS).map(|c| if c.is_control() { ' ' } else { c });
    "STATUS=".chars().chain(plain).collect()
}

static TOLD: LazyLock<Told> =
    LazyLock::new(|| Told::new(std::env::var_os("NOTIFY_SOCKET").and_then(|name| address(name.as_bytes()))));

/// A path, or a name in the abstract namespace, which begins with `@`.
fn address(name: &[u8]) -> Option<SocketAddr> {
    let address = match name {
        [] => return None,
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
    };
    address.inspect_err(|error| tracing::warn!("NOTIFY_SOCKET cannot be used, systemd is not told: {error}")).ok()
}

struct Told {
    to: Option<SocketAddr>,
    /// That it does not work is said once, not every few seconds for years.
    complained: AtomicBool,
}

impl Told {
    fn new(to: Option<SocketAddr>) -> Self {
        Self { to, complained: AtomicBool::new(false) }
    }

    /// Never waits: what a manager that does not read is not told now, it is told with the next call.
    fn tell(&self, message: &str) {
        let Some(to) = &self.to else { return };
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to_addr(message.as_bytes(), to)
        });
        if let Err(error) = sent
            && !self.complained.swap(true, Relaxed)
        {
            tracing::warn!(
                "systemd cannot be told `{message}`: {error}; if the unit has a watchdog, it will restart us"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_watchdog_is_ours_or_the_compositors() {
        let half = |ms| Some(Duration::from_millis(ms));
        for (usec, pid, expected) in [
            (Some("10000000"), None, half(5000)),
            (Some("10000000"), Some("7"), half(5000)),
            (Some("3000"), Some("6"), Some(Duration::from_micros(1500))),
            (Some("10000000"), Some("8"), None),
            (Some("10000000"), Some("seven"), None),
            (Some("0"), None, None),
            (Some("-1"), None, None),
            (Some(""), None, None),
            (None, Some("7"), None),
        ] {
            assert_eq!(interval(usec, pid, [7, 6]), expected, "{usec:?} {pid:?}");
        }
    }

    #[test]
    fn a_status_is_one_short_line() {
        assert_eq!(status_line("live with Hill\nWATCHDOG=1\r\u{1b}[2J"), "STATUS=live with Hill WATCHDOG=1  [2J");
        assert_eq!(status_line(&"ü".repeat(5000)).chars().count(), "STATUS=".len() + STATUS_CHARS);
    }

    #[test]
    fn what_is_told_arrives_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("@screen-portal-test-{}", std::process::id());
        for name in [path.to_str().unwrap(), &abstract_name] {
            let address = address(name.as_bytes()).unwrap();
            let manager = UnixDatagram::bind_addr(&address).unwrap();
            manager.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let told = Told::new(Some(address));
            for message in ["READY=1", "WATCHDOG=1"] {
                told.tell(message);
                let mut buffer = [0; 64];
                let length = manager.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..length], message.as_bytes());
            }
        }
    }

    #[test]
    fn a_manager_that_does_not_read_or_is_gone_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from_pathname(folder.path().join("notify")).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let told = Told::new(Some(address));
        let start = Instant::now();
        // More than any kernel's queue of datagrams (net.unix.max_dgram_qlen).
        for _ in 0..5000 {
            told.tell("WATCHDOG=1");
        }
        assert!(told.complained.load(Relaxed), "the queue was never full: this tests nothing");
        drop(manager);
        told.tell("WATCHDOG=1");
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn without_a_socket_nothing_is_done() {
        assert!(address(b"").is_none());
        Told::new(None).tell("READY=1");
    }
}
