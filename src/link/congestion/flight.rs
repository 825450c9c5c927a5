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
        let mut arrival_us = reference * REFERENCE_US;
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
