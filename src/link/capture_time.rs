//! The capture time of a picture, as it travels in an RTP header extension.
//!
//! `abs-capture-time` (<http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time>): the sender's clock as an NTP timestamp,
//! UQ32.32 seconds since 1900, in network order; optionally followed by an estimated offset between clocks, which we neither
//! send nor read, because the two portals relate their clocks themselves (see [`super::clock_offset`]).

use std::time::Duration;

/// The extension's name in SDP.
pub(super) const URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

/// Seconds from 1900 to 1970 (RFC 868).
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

/// The eight bytes for a time since 1970. NTP's first era ends in 2036; the seconds wrap then, as NTP's do.
pub(super) fn write(since_unix: Duration) -> [u8; 8] {
    let seconds = (since_unix.as_secs() + NTP_TO_UNIX_S) & u64::from(u32::MAX);
    let fraction = (u64::from(since_unix.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32 | fraction).to_be_bytes()
}

/// The time since 1970, of era 0 or 1 (so until 2104), or `None` if the extension is too short.
pub(super) fn read(extension: &[u8]) -> Option<Duration> {
    let ntp = u64::from_be_bytes(extension.get(..8)?.try_into().ok()?);
    let seconds = ntp >> 32;
    let since_unix = if seconds >= NTP_TO_UNIX_S { seconds } else { seconds + (1 << 32) } - NTP_TO_UNIX_S;
    let nanos = ((ntp & u64::from(u32::MAX)) * 1_000_000_000 + (1 << 31)) >> 32;
    Some(Duration::from_secs(since_unix) + Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_across_the_era() {
        for (seconds, nanos) in [(0, 0), (1_800_000_000, 123_456_789), (2_085_978_496, 999_999_999), (2_100_000_000, 1)]
        {
            let time = Duration::new(seconds, nanos);
            let back = read(&write(time)).unwrap();
            assert!(back.abs_diff(time) < Duration::from_nanos(2), "{time:?} {back:?}");
        }
    }

    #[test]
    fn a_known_value() {
        // RFC 5905, figure 4: 1970-01-01 is 2,208,988,800 s in NTP's era 0.
        assert_eq!(write(Duration::from_millis(500)), [0x83, 0xaa, 0x7e, 0x80, 0x80, 0, 0, 0]);
        assert_eq!(read(&[0x83, 0xaa, 0x7e, 0x80, 0x80, 0, 0, 0, 1, 2, 3]), Some(Duration::from_millis(500)));
        assert_eq!(read(&[0; 7]), None);
    }
}
