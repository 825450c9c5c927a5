//! When arrival times are reported to the far end: as soon as a picture is there, and as often as the path can bear.
//!
//! The far end's congestion controller cannot react before it hears. With a report every 50 ms, as usual, a path that narrows to a
//! third has a quarter of a second of packets in its queue before the first report tells; so much must also be allowed on its way
//! at any time, that nothing waits for reports. A report behind each picture halves both. Where little is received, reports
//! must not take the path of the pictures that go the other way: beyond the usual ones, they may cost a small share of what comes.
//!
//! The stock interceptor writes the reports; this one says when.

use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket, TwccReceiverBuilder};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::marshal::MarshalSize;
use std::time::{Duration, Instant};

/// Whatever has come is reported after this long at the latest.
const USUAL: Duration = Duration::from_millis(50);
/// A picture that arrives slowly is reported on this often.
const SOON: Duration = Duration::from_millis(20);
/// What a report costs on the wire, in bytes: 20 to 40 of its own, and the headers of SRTCP, UDP and IP.
const COST_BYTES: f64 = 90.0;
/// The share of what is received that reports may take.
const SHARE: f64 = 0.05;
/// Reports that may be saved for later.
const SAVED: f64 = 2.0;

/// Wraps the interceptor that notes arrivals: `I` reports whenever its time is asked for.
pub(in crate::link) struct Feedback<I> {
    notes: I,
    /// What may be spent on reports before their usual time, in bytes.
    credit_bytes: f64,
    /// When the first packet came that is not reported yet.
    news: Option<Instant>,
}

/// Feedback on all that is received.
pub(in crate::link) fn feedback() -> impl Interceptor {
    Feedback { notes: TwccReceiverBuilder::new().with_interval(Duration::ZERO).build(), credit_bytes: 0.0, news: None }
}

impl<I: Interceptor> Feedback<I> {
    /// When the next report is due.
    fn due(&self) -> Option<Instant> {
        let interval = if self.credit_bytes >= COST_BYTES { SOON } else { USUAL };
        self.news.map(|news| news + interval)
    }

    fn report(&mut self, now: Instant) -> Result<(), Error> {
        if self.news.is_some_and(|news| news + USUAL > now) {
            self.credit_bytes -= COST_BYTES;
        }
        self.news = None;
        self.notes.handle_timeout(now)
    }
}

impl<I: Interceptor> Protocol<TaggedPacket, TaggedPacket, ()> for Feedback<I> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        let (now, mut ends_picture) = (packet.now, false);
        if let Packet::Rtp(rtp) = &packet.message.packet {
            ends_picture = rtp.header.marker;
            self.news.get_or_insert(now);
            let credit_bytes = self.credit_bytes + SHARE * rtp.marshal_size() as f64;
            self.credit_bytes = credit_bytes.min(SAVED * COST_BYTES);
        }
        self.notes.handle_read(packet)?;
        let due = self.due().is_some_and(|due| due <= now);
        if due || (ends_picture && self.credit_bytes >= COST_BYTES) {
            self.report(now)?;
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.notes.poll_read()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.notes.handle_write(packet)
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.notes.poll_write()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        match self.due() {
            Some(due) if due <= now => self.report(now),
            _ => Ok(()),
        }
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.due()
    }
}

impl<I: Interceptor> Interceptor for Feedback<I> {
    fn bind_local_stream(&mut self, stream: &StreamInfo) {
        self.notes.bind_local_stream(stream);
    }

    fn unbind_local_stream(&mut self, stream: &StreamInfo) {
        self.notes.unbind_local_stream(stream);
    }

    fn bind_remote_stream(&mut self, stream: &StreamInfo) {
        self.notes.bind_remote_stream(stream);
    }

    fn unbind_remote_stream(&mut self, stream: &StreamInfo) {
        self.notes.unbind_remote_stream(stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use rtc::interceptor::AttributedPacket;
    use rtc::interceptor::RTPHeaderExtension;
    use rtc::rtp::extension::transport_cc_extension::TransportCcExtension;
    use rtc::shared::marshal::Marshal;

    const ID: u8 = 3;

    /// Pictures of so many packets of 1200 bytes, 30 a second, whose packets arrive so far apart: when reports leave, in
    /// milliseconds, for a second.
    fn reports(packets: u64, apart_ms: u64) -> Vec<u64> {
        let (mut stage, start) = (feedback(), Instant::now());
        let extension = RTPHeaderExtension { uri: super::super::TWCC_URI.into(), id: ID.into() };
        stage.bind_remote_stream(&StreamInfo { ssrc: 7, rtp_header_extensions: vec![extension], ..Default::default() });
        let mut reports = vec![];
        let (mut sequence, mut free) = (0_u16, 0);
        let mut arrivals = vec![];
        for picture in 0..30 {
            for packet in 0..packets {
                free = (free + apart_ms).max(picture * 33);
                arrivals.push((free, packet + 1 == packets));
            }
        }
        for ms in 0..1_000 {
            let now = start + Duration::from_millis(ms);
            stage.handle_timeout(now).unwrap();
            for (_, marker) in arrivals.iter().filter(|(at, _)| *at == ms) {
                let mut rtp = rtc::rtp::Packet { payload: Bytes::from_static(&[0; 1170]), ..Default::default() };
                (rtp.header.ssrc, rtp.header.marker) = (7, *marker);
                let number = TransportCcExtension { transport_sequence: sequence }.marshal().unwrap();
                rtp.header.set_extension(ID, number.freeze()).unwrap();
                sequence += 1;
                let message = AttributedPacket::new(Packet::Rtp(rtp));
                stage.handle_read(TaggedPacket { now, transport: Default::default(), message }).unwrap();
            }
            while stage.poll_write().is_some() {
                reports.push(ms);
            }
        }
        reports
    }

    #[test]
    fn each_picture_is_reported_at_once_where_there_is_room() {
        let reports = reports(9, 0);
        assert_eq!(reports.len(), 30);
        assert!(reports.windows(2).all(|pair| pair[1] - pair[0] == 33), "{reports:?}");
    }

    #[test]
    fn a_picture_that_comes_slowly_is_reported_on_before_it_is_there() {
        let reports = reports(9, 10);
        let apart: Vec<u64> = reports.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(apart.iter().all(|ms| *ms <= 30), "{apart:?}");
        assert!(reports.len() < 60, "{reports:?}");
    }

    #[test]
    fn where_little_comes_reports_take_little() {
        // 290 kb/s: 36 kB a second, of which a twentieth is twenty reports, and those that come after the usual time.
        let reports = reports(1, 0);
        assert!((18..=24).contains(&reports.len()), "{reports:?}");
    }

    #[test]
    fn slow_pictures_of_few_packets_are_paid_for_too() {
        // 390 kb/s: 48 kB a second, of which a twentieth is 27 reports. The end of each picture and 20 ms of it would be 40.
        let reports = reports(2, 25);
        assert!((20..=30).contains(&reports.len()), "{reports:?}");
    }

    #[test]
    fn where_nothing_comes_nothing_is_said() {
        assert_eq!(reports(0, 0), [0; 0]);
    }
}
