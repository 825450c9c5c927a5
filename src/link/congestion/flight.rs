//! What is on its way, and what the far end says became of it.
//!
//! The stock send history takes a packet for lost as soon as a later one has arrived, and those whose feedback was lost for lost
//! too: jitter that changes the order of packets, and loss on the way back, both look like congestion. Here a packet is lost
//! when the far end has said so and has not taken it back for a while; one that no feedback speaks of is nobody's news.

use rtc::interceptor::PacketReport;
use rtc::rtcp::transport_feedbacks::cc_feedback_report::Ecn;
use rtc::rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A packet that is reported missing may still come for so long: more than twice the jitter of bad radio links.
const REORDERING: Duration = Duration::from_millis(80);
/// More packets are not remembered: 2 s at 20 Mb/s. The oldest is forgotten.
const REMEMBERED: usize = 4096;
/// Unit of a feedback's reference time (draft-holmer-rmcat-transport-wide-cc-extensions-01), a number of 24 bits.
const REFERENCE_US: i64 = 64_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Flying,
    /// The far end said that it has not come.
    Missing(Instant),
    /// Later packets were reported on, or much time has passed.
    Unknown(Instant),
    Arrived,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    ssrc: u32,
    size: usize,
    departure: Instant,
    fate: Fate,
}

/// The packets sent lately, by their transport-wide sequence numbers.
#[derive(Debug, Default)]
pub(in crate::link) struct Flight {
    packets: VecDeque<Sent>,
    /// The number of the first of them, never wrapping.
    first: u64,
    /// No packet before this one is flying.
    settled: u64,
    bytes: usize,
    /// Reference time of the newest feedback, never wrapping, in its own units.
    reference: Option<i64>,
}

impl Flight {
    /// Notes a packet that leaves now, and gives the sequence number that it has to carry.
    pub fn send(&mut self, ssrc: u32, size: usize, now: Instant) -> u16 {
        if self.packets.len() >= REMEMBERED {
            self.settle(self.first, Fate::Unknown(now));
            self.packets.pop_front();
            self.first += 1;
            self.settled = self.settled.max(self.first);
        }
        let number = self.first + self.packets.len() as u64;
        self.packets.push_back(Sent { ssrc, size, departure: now, fate: Fate::Flying });
        self.bytes += size;
        number as u16
    }

    /// Bytes that were sent and of which nothing is known yet.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the first of them was sent.
    pub fn oldest(&mut self) -> Option<Instant> {
        while let Some(sent) = self.packet(self.settled) {
            if sent.fate == Fate::Flying {
                return Some(sent.departure);
            }
            self.settled += 1;
        }
        None
    }

    /// Gives up waiting for news of what was sent before `cutoff`.
    pub fn expire(&mut self, cutoff: Instant, now: Instant) {
        while self.oldest().is_some_and(|departure| departure < cutoff) {
            self.settle(self.settled, Fate::Unknown(now));
        }
    }

    /// Reads a feedback; adds what is now known of packets, first those of this feedback in the order they were sent, then
    /// those that are given up.
    pub fn feedback(&mut self, feedback: &TransportLayerCc, now: Instant, reports: &mut Vec<PacketReport>) {
        let reference = self.unwrap_reference(feedback.reference_time);
        let mut arrival_us = reference.saturating_mul(REFERENCE_US);
        // Relative to the newest packet sent: feedback is never of the future.
        let next = self.first + self.packets.len() as u64;
        let behind = (next as u16).wrapping_sub(feedback.base_sequence_number);
        let Some(base) = next.checked_sub(behind.into()) else { return };
        let mut deltas = feedback.recv_deltas.iter();
        let symbols = feedback.packet_chunks.iter().flat_map(symbols).take(feedback.packet_status_count.into());
        for (number, symbol) in (base..).zip(symbols) {
            let delta = match symbol {
                SymbolTypeTcc::PacketNotReceived => {
                    if self.packet(number).is_some_and(|sent| sent.fate == Fate::Flying) {
                        self.settle(number, Fate::Missing(now));
                    }
                    continue;
                }
                SymbolTypeTcc::PacketReceivedWithoutDelta => None,
                // Without its time, if there are fewer times than the chunks promise.
                _ => deltas.next(),
            };
            let arrival = delta.and_then(|delta| {
                arrival_us = arrival_us.saturating_add(delta.delta);
                u64::try_from(arrival_us).ok().map(Duration::from_micros)
            });
            if let Some(sent) = self.packet(number)
                && sent.fate != Fate::Arrived
            {
                reports.push(report(number, &sent, true, arrival));
                self.settle(number, Fate::Arrived);
            }
        }
        // Feedback on these was lost.
        while self.oldest().is_some() && self.settled < base {
            self.settle(self.settled, Fate::Unknown(now));
        }
        self.forget(now, reports);
    }

    /// Those whose fate is settled for good, from the oldest on.
    fn forget(&mut self, now: Instant, reports: &mut Vec<PacketReport>) {
        while let Some(sent) = self.packets.front() {
            let waited = |since: Instant| now.saturating_duration_since(since) > REORDERING;
            match sent.fate {
                Fate::Arrived => {}
                Fate::Missing(since) if waited(since) => reports.push(report(self.first, sent, false, None)),
                Fate::Unknown(since) if waited(since) => {}
                _ => break,
            }
            self.packets.pop_front();
            self.first += 1;
        }
        self.settled = self.settled.max(self.first);
    }

    fn packet(&self, number: u64) -> Option<Sent> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.packets.get(index).copied()
    }

    fn settle(&mut self, number: u64, fate: Fate) {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(sent) = index.and_then(|index| self.packets.get_mut(index)) {
            if sent.fate == Fate::Flying {
                self.bytes -= sent.size;
            }
            sent.fate = fate;
        }
    }

    fn unwrap_reference(&mut self, reference: u32) -> i64 {
        let last = self.reference.unwrap_or(reference.into());
        // The shorter way round from the last one: 24 bits, their sign extended.
        let ahead = (reference.wrapping_sub(last as u32) << 8) as i32 >> 8;
        let unwrapped = last + i64::from(ahead);
        self.reference = Some(last.max(unwrapped));
        unwrapped
    }
}

fn report(number: u64, sent: &Sent, arrived: bool, arrival: Option<Duration>) -> PacketReport {
    PacketReport {
        ssrc: sent.ssrc,
        id: number,
        // Nobody asks for it.
        rtp_sequence_number: 0,
        is_twcc: true,
        twcc_sequence_number: number as u16,
        size: sent.size,
        arrived,
        departure: sent.departure,
        arrival,
        ecn: Ecn::NotEct,
    }
}

fn symbols(chunk: &PacketStatusChunk) -> impl Iterator<Item = SymbolTypeTcc> + '_ {
    let (run, list) = match chunk {
        PacketStatusChunk::RunLengthChunk(run) => (Some((run.packet_status_symbol, run.run_length)), &[][..]),
        PacketStatusChunk::StatusVectorChunk(vector) => (None, &vector.symbol_list[..]),
    };
    let run = run.into_iter().flat_map(|(symbol, length)| std::iter::repeat_n(symbol, length.into()));
    run.chain(list.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::rtcp::transport_feedbacks::transport_layer_cc::{
        RecvDelta, RunLengthChunk, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc,
    };

    const MS: Duration = Duration::from_millis(1);

    /// A feedback on the packets from `base` on: when each arrived, in ms behind `reference` (in 64 ms), if it did.
    fn feedback(base: u16, reference: u32, arrivals_ms: &[Option<i64>]) -> TransportLayerCc {
        let mut last = 0;
        let mut deltas = vec![];
        let symbols = arrivals_ms.iter().map(|arrival| match arrival {
            None => SymbolTypeTcc::PacketNotReceived,
            Some(ms) => {
                deltas.push(RecvDelta {
                    type_tcc_packet: SymbolTypeTcc::PacketReceivedLargeDelta,
                    delta: (ms - last) * 1000,
                });
                last = *ms;
                SymbolTypeTcc::PacketReceivedLargeDelta
            }
        });
        let vector = StatusVectorChunk {
            type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
            symbol_size: SymbolSizeTypeTcc::TwoBit,
            // On the wire a chunk is filled up with what does not count.
            symbol_list: symbols.chain([SymbolTypeTcc::PacketNotReceived; 3]).collect(),
        };
        TransportLayerCc {
            sender_ssrc: 1,
            media_ssrc: 2,
            base_sequence_number: base,
            packet_status_count: arrivals_ms.len() as u16,
            reference_time: reference,
            fb_pkt_count: 0,
            packet_chunks: vec![PacketStatusChunk::StatusVectorChunk(vector)],
            recv_deltas: deltas,
        }
    }

    fn sent(packets: usize, now: Instant) -> Flight {
        let mut flight = Flight::default();
        for n in 0..packets {
            assert_eq!(flight.send(7, 1000, now), n as u16);
        }
        flight
    }

    /// The numbers of those that arrived and of those that were lost.
    fn fates(reports: &mut Vec<PacketReport>) -> (Vec<u64>, Vec<u64>) {
        let (arrived, lost): (Vec<_>, Vec<_>) = reports.drain(..).partition(|report| report.arrived);
        let ids = |reports: Vec<PacketReport>| reports.iter().map(|report| report.id).collect();
        (ids(arrived), ids(lost))
    }

    #[test]
    fn what_arrives_late_was_not_lost() {
        let start = Instant::now();
        let (mut flight, mut reports) = (sent(5, start), vec![]);
        assert_eq!(flight.bytes(), 5000);
        flight.feedback(&feedback(0, 0, &[Some(20), None, Some(21), None, Some(25)]), start + 50 * MS, &mut reports);
        assert_eq!(fates(&mut reports), (vec![0, 2, 4], vec![]));
        assert_eq!(flight.bytes(), 0, "neither of the missing ones is on its way");
        flight.feedback(&feedback(1, 0, &[Some(60)]), start + 100 * MS, &mut reports);
        assert_eq!(fates(&mut reports), (vec![1], vec![]));
        flight.feedback(&feedback(5, 0, &[]), start + 150 * MS, &mut reports);
        assert_eq!(fates(&mut reports), (vec![], vec![3]), "the other never came");
    }

    #[test]
    fn lost_feedback_is_no_loss() {
        let start = Instant::now();
        let (mut flight, mut reports) = (sent(6, start), vec![]);
        flight.feedback(&feedback(4, 0, &[Some(20), Some(21)]), start + 50 * MS, &mut reports);
        assert_eq!((fates(&mut reports), flight.bytes()), ((vec![4, 5], vec![]), 0));
        flight.feedback(&feedback(6, 0, &[]), start + 200 * MS, &mut reports);
        assert_eq!(fates(&mut reports), (vec![], vec![]));
        assert_eq!(flight.packets.len(), 0, "nothing is kept for ever");
    }

    #[test]
    fn without_news_packets_are_given_up() {
        let start = Instant::now();
        let mut flight = sent(3, start);
        assert_eq!(flight.oldest(), Some(start));
        flight.expire(start + 400 * MS, start + 500 * MS);
        assert_eq!((flight.bytes(), flight.oldest()), (0, None));
    }

    #[test]
    fn clocks_and_numbers_wrap() {
        let start = Instant::now();
        let (mut flight, mut reports) = (Flight::default(), vec![]);
        let mut last = Duration::ZERO;
        for n in 0..200_000_u32 {
            let sequence = flight.send(7, 1000, start + MS * n);
            // The reference time wraps after 2^24 of its units.
            let reference = (0x00ff_fff0 + n / 64) & 0x00ff_ffff;
            let one = feedback(sequence, reference, &[Some(i64::from(n % 64))]);
            flight.feedback(&one, start + MS * n, &mut reports);
            let report = reports.pop().unwrap();
            assert_eq!(report.id, u64::from(n));
            assert!(report.arrival > Some(last) || n == 0, "packet {n}: {:?} after {last:?}", report.arrival);
            last = report.arrival.unwrap();
        }
    }

    #[test]
    fn nonsense_does_no_harm() {
        let start = Instant::now();
        let (mut flight, mut reports) = (sent(10, start), vec![]);
        let endless = PacketStatusChunk::RunLengthChunk(RunLengthChunk {
            type_tcc: StatusChunkTypeTcc::RunLengthChunk,
            packet_status_symbol: SymbolTypeTcc::PacketReceivedLargeDelta,
            run_length: u16::MAX,
        });
        for (base, count, reference, delta) in
            [(9, u16::MAX, u32::MAX, i64::MAX), (60_000, 9, 0, i64::MIN), (3, 0, 1 << 23, -1), (0, 65_000, 7, 1)]
        {
            let mut mad = feedback(base, reference, &[]);
            mad.packet_status_count = count;
            mad.packet_chunks = vec![endless.clone(); 3];
            mad.recv_deltas = vec![RecvDelta { delta, ..RecvDelta::default() }; 5];
            flight.feedback(&mad, start, &mut reports);
        }
        assert!(reports.len() <= 10);
        for n in 0..3 * REMEMBERED {
            flight.send(7, 1000, start + MS * n as u32);
        }
        assert_eq!((flight.packets.len(), flight.bytes()), (REMEMBERED, REMEMBERED * 1000));
    }
}
