//! systemd's journal, in its own protocol: each event one datagram of `FIELD=value` lines, with its level and its fields to search by
//! (`journalctl PORTAL_STAGE=encoder`), without a time and colours of ours.
//!
//! The protocol is described at <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>. What is written goes through the same bounded queue as every
//! other log: a journal that does not read holds nobody up. (The crate `tracing-journald` sends on the thread that logs.)

use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

const SOCKET: &str = "/run/systemd/journal/socket";

/// Whether the standard error output is the journal: systemd says in `JOURNAL_STREAM` which file that would be (systemd.exec(5)).
pub fn is_stderr() -> bool {
    let stderr = std::fs::metadata("/proc/self/fd/2").map(|file| (file.dev(), file.ino()));
    let named = std::env::var("JOURNAL_STREAM").ok();
    stderr.is_ok_and(|stderr| named.and_then(|named| stream(&named)) == Some(stderr))
}

/// Device and inode.
fn stream(text: &str) -> Option<(u64, u64)> {
    let (device, inode) = text.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// The journal's socket.
#[derive(Debug)]
pub struct Journal(UnixDatagram);

impl Journal {
    /// Connects to it.
    pub fn connect() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(SOCKET)?;
        Ok(Self(socket))
    }
}

impl io::Write for Journal {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        if self.0.send(event).is_err() {
            // One that does not fit, or a journal that was started anew: that one is another socket.
            self.0.connect(SOCKET)?;
            self.0.send(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes events as the journal wants them.
#[derive(Debug)]
pub struct JournalFormat;

impl<S, N> FormatEvent<S, N> for JournalFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        // As in syslog(3).
        let priority = match *metadata.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        let Fields { message, for_people, own } = fields;
        writeln!(writer, "PRIORITY={priority}\nSYSLOG_IDENTIFIER={}", env!("CARGO_PKG_NAME"))?;
        writeln!(writer, "MESSAGE={message}{for_people}\nPORTAL_MODULE={}", metadata.target())?;
        writer.write_str(&own)
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    /// The fields as people read them behind the message.
    for_people: String,
    /// The fields as the journal keeps them, one a line.
    own: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A line is a field: what others wrote must not become one.
        let value: String = format!("{value:?}").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if field.name() == "message" {
            self.message = value;
            return;
        }
        let name = field.name();
        let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
        // Writing to a String does not fail.
        let _ = write!(self.for_people, " {name}={value}");
        let _ = writeln!(self.own, "PORTAL_{}={value}", letters.collect::<String>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Datagrams(Arc<Mutex<Vec<String>>>);

    impl io::Write for Datagrams {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_event_is_one_datagram_of_fields() {
        let datagrams = Datagrams::default();
        let writer = datagrams.clone();
        let layer = tracing_subscriber::fmt::layer().event_format(JournalFormat).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!(stage = "encoder", stood.s = 5.5, "it \"hangs\"");
            tracing::info!("from there: evil\nPRIORITY=0");
        });
        let sent = datagrams.0.lock().unwrap().clone();
        let module = "PORTAL_MODULE=screen_portal::ops::logging::journal::tests\n";
        assert_eq!(
            sent,
            [
                format!(
                    "PRIORITY=4\nSYSLOG_IDENTIFIER=screen-portal\nMESSAGE=it \"hangs\" stage=encoder stood.s=5.5\n{module}\
                     PORTAL_STAGE=encoder\nPORTAL_STOOD_S=5.5\n"
                ),
                format!("PRIORITY=6\nSYSLOG_IDENTIFIER=screen-portal\nMESSAGE=from there: evil PRIORITY=0\n{module}"),
            ]
        );
    }

    #[test]
    fn the_stream_is_a_device_and_an_inode() {
        assert_eq!(stream("8:29434"), Some((8, 29434)));
        for wrong in ["", "8", "8:", ":9", "8:x", "-1:3"] {
            assert_eq!(stream(wrong), None, "{wrong}");
        }
    }
}
