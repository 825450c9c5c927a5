//! The figures in plain words: what the overlay, the log and `/status` say of the two directions and of the link between them.
//!
//! One place writes them, so that what a person reads on the screen is what he finds in the log.

use super::{SizeReason, Snapshot, View};
use serde::Serialize;

/// Short lines, each of at most [`Words::LINE`] characters, in the order of their importance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Words {
    /// The far end's pictures, as they are shown here.
    pub from_there: Vec<String>,
    /// Our pictures, as they are sent.
    pub to_there: Vec<String>,
    /// What both share.
    pub link: Vec<String>,
}

impl Words {
    /// The longest line.
    pub const LINE: usize = 60;

    /// Puts the figures into words.
    pub fn new(snapshot: &Snapshot, view: &View) -> Self {
        Self { from_there: from_there(snapshot), to_there: to_there(snapshot), link: link(snapshot, view) }
    }
}

fn from_there(snapshot: &Snapshot) -> Vec<String> {
    let (values, now, minute) = (&snapshot.incoming, &snapshot.now, &snapshot.minute);
    if values.width == 0 {
        return vec!["nothing shown yet".to_owned()];
    }
    let mut lines = vec![format!(
        "{}x{}, {:.1} pictures/s, {}",
        values.width,
        values.height,
        now.presented_fps,
        rate(now.received_bps)
    )];
    let latency = &snapshot.latency;
    lines.push(match latency.count {
        0 => "age unknown".to_owned(),
        _ => format!("{:.0} ms old, 95 of 100 within {:.0} ms", latency.p50_ms, latency.p95_ms),
    });
    lines.push(format!(
        "held back {} ms for even motion, jitter {} ms",
        millis(values.playout_delay_us),
        millis(values.jitter_us)
    ));
    let missing = minute.lost_packets + minute.recovered_packets;
    let repaired = match missing {
        0 => String::new(),
        _ => format!(", {:.0} % repaired", 100.0 * minute.recovered_packets as f64 / missing as f64),
    };
    lines.push(format!("last minute: {} missing{repaired}", packets(minute.missing())));
    let mut still = match minute.freezes {
        0 => "last minute: no freezes".to_owned(),
        1 => format!("last minute: 1 freeze, {:.1} s", seconds(minute.frozen_ms)),
        many => format!("last minute: {many} freezes, {:.1} s in all", seconds(minute.frozen_ms)),
    };
    if minute.interrupted_ms > 0 {
        still += &format!(", {:.1} s interrupted", seconds(minute.interrupted_ms));
    }
    lines.push(still);
    lines
}

fn to_there(snapshot: &Snapshot) -> Vec<String> {
    let (values, now, minute) = (&snapshot.outgoing, &snapshot.now, &snapshot.minute);
    if values.width == 0 {
        return vec!["nothing sent yet".to_owned()];
    }
    let fps = if values.fps > 0 { format!(" at {}", values.fps) } else { String::new() };
    let why = match SizeReason::from_code(values.size_reason) {
        Some(SizeReason::Full) => "full size".to_owned(),
        Some(SizeReason::Path) if values.estimate_bps > 0 => format!("the path carries {}", bits(values.estimate_bps)),
        Some(SizeReason::Path) => "the path carries no more".to_owned(),
        Some(SizeReason::Content) => "much movement or noise".to_owned(),
        // A bug, but not one to end a kiosk for.
        None => "reason unknown".to_owned(),
    };
    let mut lines = vec![
        format!("{}x{}{fps}: {why}", values.width, values.height),
        format!("{:.1} pictures/s, {} of a target of {}", now.sent_fps, rate(now.sent_bps), bits(values.target_bps)),
    ];
    // While nothing has been measured yet, there is nothing to say.
    match (values.send_rate_bps, values.estimate_bps) {
        (0, 0) => {}
        (0, estimate) => lines.push(format!("the path may carry {}", bits(estimate))),
        (sent, 0) => lines.push(format!("{} with repairs", bits(sent))),
        (sent, estimate) => {
            lines.push(format!("{} with repairs, the path may carry {}", bits(sent), bits(estimate)));
        }
    }
    let refused = match minute.repairs_refused {
        0 => String::new(),
        refused => format!(", {refused} refused"),
    };
    lines.push(format!("{} missing there", packets(values.loss_ppm as f64 / 1e6)));
    let again = match minute.retransmitted_packets {
        1 => "1 packet".to_owned(),
        many => format!("{many} packets"),
    };
    lines.push(format!("last minute: {again} sent again{refused}"));
    lines
}

fn link(snapshot: &Snapshot, view: &View) -> Vec<String> {
    let round_trip = match snapshot.link.round_trip_us {
        0 => "round trip unknown".to_owned(),
        us => format!("round trip {} ms", millis(us)),
    };
    let path = view.path.as_ref().map_or_else(|| "path unknown".to_owned(), ToString::to_string);
    let mut lines = vec![path, format!("{round_trip}, quality {}", snapshot.quality)];
    let guests = &snapshot.guests;
    if guests.watching > 0 {
        let who = if guests.watching == 1 {
            "1 guest watches".to_owned()
        } else {
            format!("{} guests watch", guests.watching)
        };
        lines.push(format!("{who}, at up to {} each", bits(guests.target_bps)));
    }
    lines
}

/// A bitrate; what is below 100 kb/s would be 0.1 Mb/s or nothing.
fn rate(bps: f64) -> String {
    if bps < 99_500.0 { format!("{:.0} kb/s", bps / 1e3) } else { format!("{:.2} Mb/s", bps / 1e6) }
}

fn bits(bps: u64) -> String {
    rate(bps as f64)
}

/// A share of the packets.
fn packets(share: f64) -> String {
    match share {
        0.0 => "no packets".to_owned(),
        _ if share < 0.001 => "under 0.1 % of packets".to_owned(),
        _ => format!("{:.1} % of packets", 100.0 * share),
    }
}

/// Milliseconds with the digits that matter.
fn millis(us: u64) -> String {
    if us < 9_950 { format!("{:.1}", us as f64 / 1e3) } else { format!("{:.0}", us as f64 / 1e3) }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{CandidateKind, Latency, Minute, Path, Quality, Transport};

    /// Every figure with the greatest value that it can sensibly have.
    fn large() -> (Snapshot, View) {
        let mut snapshot = Snapshot { quality: Quality::Unknown, ..Snapshot::default() };
        snapshot.outgoing.width = 1920;
        snapshot.outgoing.height = 1080;
        snapshot.outgoing.fps = 30;
        snapshot.outgoing.size_reason = SizeReason::Path.code();
        snapshot.outgoing.estimate_bps = 99_990_000;
        snapshot.outgoing.target_bps = 88_880_000;
        snapshot.outgoing.send_rate_bps = 77_770_000;
        snapshot.outgoing.loss_ppm = 1_000_000;
        snapshot.incoming.width = 1920;
        snapshot.incoming.height = 1080;
        snapshot.incoming.playout_delay_us = 399_000;
        snapshot.incoming.jitter_us = 1_234_000;
        snapshot.link.round_trip_us = 12_345_000;
        snapshot.now.presented_fps = 29.97;
        snapshot.now.sent_fps = 29.94;
        snapshot.now.received_bps = 66_660_000.0;
        snapshot.now.sent_bps = 55_550_000.0;
        snapshot.latency = Latency { p50_ms: 59_999.0, p95_ms: 60_000.0, count: 1, ..Latency::default() };
        snapshot.minute = Minute {
            packets: 2,
            lost_packets: 9_997,
            recovered_packets: 1,
            retransmitted_packets: 99_999,
            repairs_refused: 88_888,
            freezes: 123,
            frozen_ms: 45_600,
            interrupted_ms: 59_900,
            ..Minute::default()
        };
        (snapshot.guests.watching, snapshot.guests.target_bps) = (16, 5_000_000);
        let path = Path { local: CandidateKind::Host, remote: CandidateKind::Relayed, transport: Transport::Udp };
        (snapshot, View { path: Some(path), ..View::default() })
    }

    #[test]
    fn every_figure_of_the_network_is_said() {
        let (snapshot, view) = large();
        let words = Words::new(&snapshot, &view);
        assert_eq!(
            words.from_there,
            [
                "1920x1080, 30.0 pictures/s, 66.66 Mb/s",
                "59999 ms old, 95 of 100 within 60000 ms",
                "held back 399 ms for even motion, jitter 1234 ms",
                "last minute: 100.0 % of packets missing, 0 % repaired",
                "last minute: 123 freezes, 45.6 s in all, 59.9 s interrupted",
            ]
        );
        assert_eq!(
            words.to_there,
            [
                "1920x1080 at 30: the path carries 99.99 Mb/s",
                "29.9 pictures/s, 55.55 Mb/s of a target of 88.88 Mb/s",
                "77.77 Mb/s with repairs, the path may carry 99.99 Mb/s",
                "100.0 % of packets missing there",
                "last minute: 99999 packets sent again, 88888 refused",
            ]
        );
        assert_eq!(
            words.link,
            [
                "through the far end's relay, by UDP",
                "round trip 12345 ms, quality unknown",
                "16 guests watch, at up to 5.00 Mb/s each",
            ]
        );
    }

    #[test]
    fn no_line_is_too_long() {
        let (snapshot, view) = large();
        for (snapshot, view) in [(snapshot, view), (Snapshot::default(), View::default())] {
            let words = Words::new(&snapshot, &view);
            for line in words.from_there.iter().chain(&words.to_there).chain(&words.link) {
                assert!(line.chars().count() <= Words::LINE, "{} characters: {line}", line.chars().count());
            }
        }
    }

    #[test]
    fn nothing_is_made_up_before_anything_is_known() {
        let words = Words::new(&Snapshot::default(), &View::default());
        assert_eq!(words.from_there, ["nothing shown yet"]);
        assert_eq!(words.to_there, ["nothing sent yet"]);
        assert_eq!(words.link, ["path unknown", "round trip unknown, quality unknown"]);
    }

    #[test]
    fn a_share_is_never_shown_as_nothing() {
        let shares = [0.0, 1e-9, 0.000_99, 0.001, 0.013, 1.0].map(packets);
        let words = ["no packets", "under 0.1 % of packets", "under 0.1 % of packets"];
        assert_eq!(shares[..3], words);
        assert_eq!(shares[3..], ["0.1 % of packets", "1.3 % of packets", "100.0 % of packets"]);
    }

    #[test]
    fn why_a_size_was_chosen() {
        let (mut snapshot, view) = large();
        for (reason, estimate_bps, words) in [
            (SizeReason::Full.code(), 900_000, "1920x1080 at 30: full size"),
            (SizeReason::Path.code(), 900_000, "1920x1080 at 30: the path carries 0.90 Mb/s"),
            (SizeReason::Path.code(), 88_000, "1920x1080 at 30: the path carries 88 kb/s"),
            (SizeReason::Path.code(), 0, "1920x1080 at 30: the path carries no more"),
            (SizeReason::Content.code(), 900_000, "1920x1080 at 30: much movement or noise"),
            (99, 900_000, "1920x1080 at 30: reason unknown"),
        ] {
            (snapshot.outgoing.size_reason, snapshot.outgoing.estimate_bps) = (reason, estimate_bps);
            assert_eq!(Words::new(&snapshot, &view).to_there[0], words);
        }
    }
}
