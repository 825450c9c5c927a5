//! Makes access units of RTP packets (RFC 6184), whatever comes.
//!
//! The far end decides what comes, so this is total: any packets in any order give some access units, never a panic, never
//! unbounded memory. Packets in order pass straight through; nothing waits unless something is missing. Behind a gap packets wait
//! for the repair, at most for [`Assembler::set_hold`]; then the gap is given up, the picture that it hit is dropped, and so
//! is everything up to the next whole keyframe, or picture that says that it refers to one that was delivered, because decoding on
//! would show garbage.

use crate::codec::Dependency;
use crate::codec::history::History;
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets that may wait behind a gap: a second at 20 Mb/s.
const WINDOW: usize = 2048;
/// A gap of more packets (a second at 2.5 Mb/s) is an outage: it will not be repaired, so nothing waits for that.
const MAX_GAP: usize = 256;
/// So many packets in a row that all seem too old mean that the sender's numbers have jumped back.
const LATE_RUN: u32 = 256;
/// Larger access units are dropped. A keyframe of 1080p at full quality has less than 1 MB.
const MAX_UNIT_BYTES: usize = 4 * 1024 * 1024;
/// Buffers are made in pieces of this size, each for many access units.
const CHUNK: usize = 512 * 1024;

const START_CODE: [u8; 4] = [0, 0, 0, 1];
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// What matters of an RTP packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp: the same for all packets of an access unit.
    pub timestamp: u32,
    /// Set on the last packet of an access unit.
    pub marker: bool,
    /// When the picture was taken, by the sender's clock, since 1970; on the first packet of an access unit.
    pub captured: Option<Duration>,
    /// What the picture refers to, if the sender says so; on the first packet of an access unit.
    pub dependency: Option<Dependency>,
    /// The payload without padding.
    pub payload: Bytes,
    /// It is a copy, sent on request or unasked, of what was sent before.
    pub repair: bool,
    /// When it came.
    pub arrived: Instant,
}

/// A whole access unit.
#[derive(Clone, Debug)]
pub struct Unit {
    /// NAL units behind start codes.
    pub data: Bytes,
    /// IDR with parameter sets.
    pub keyframe: bool,
    /// From [`Packet::captured`].
    pub captured: Option<Duration>,
    /// From [`Packet::dependency`].
    pub dependency: Option<Dependency>,
    /// From [`Packet::timestamp`].
    pub timestamp: u32,
    /// When its first packet came.
    pub first_arrived: Instant,
}

/// What became of packets and access units that did not make it, since the last [`Assembler::take_losses`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Packets that never came.
    pub packets: u64,
    /// Packets that did not come when they were sent first, but as a repair. Further copies do not count, nor what came by itself
    /// before its repair did.
    pub repaired: u64,
    /// Access units that were hit by a loss, malformed, or useless because one before them was.
    pub units: u64,
}

/// The access unit under construction; its bytes are in [`Assembler::data`].
#[derive(Debug)]
struct Building {
    timestamp: u32,
    captured: Option<Duration>,
    dependency: Option<Dependency>,
    first_arrived: Instant,
    damaged: bool,
    /// The type of the NAL unit whose fragments are coming.
    fragment: Option<u8>,
    sps: bool,
    pps: bool,
    idr: bool,
    /// A slice that starts with the picture's first macroblock was seen.
    top: bool,
}

/// Reorders packets and joins them. See the module's documentation.
#[derive(Debug)]
pub struct Assembler {
    hold: Duration,
    /// Sequence number of the front of the window.
    next: Option<u16>,
    window: VecDeque<Option<Packet>>,
    late_run: u32,
    /// Packets are missing just before the one that is fed next.
    gap: bool,
    building: Option<Building>,
    data: BytesMut,
    wants_keyframe: bool,
    /// Of pictures that say what they refer to.
    delivered: History,
    losses: Losses,
}

impl Assembler {
    /// An assembler that waits `hold` for repairs. It drops everything before the first keyframe.
    pub fn new(hold: Duration) -> Self {
        Self {
            hold,
            next: None,
            window: VecDeque::new(),
            late_run: 0,
            gap: true,
            building: None,
            data: BytesMut::new(),
            wants_keyframe: true,
            delivered: History::default(),
            losses: Losses::default(),
        }
    }

    /// How long packets behind a gap wait for its repair.
    pub fn set_hold(&mut self, hold: Duration) {
        self.hold = hold;
    }

    /// Whether nothing can be delivered before a keyframe comes, or a picture that refers to one that was delivered.
    pub fn wants_keyframe(&self) -> bool {
        self.wants_keyframe
    }

    /// When the first packet came of a keyframe that is still under way: some of its packets are here and none is given up.
    pub fn keyframe_begun(&self) -> Option<Instant> {
        let building = self.building.as_ref().filter(|building| !building.damaged && (building.sps || building.idr));
        let mut waiting = self.window.iter().flatten().filter(|packet| begins_keyframe(&packet.payload));
        building.map(|building| building.first_arrived).or_else(|| waiting.next().map(|packet| packet.arrived))
    }

    /// The number of the picture delivered last, if its sender says what pictures refer to, and what was delivered still counts.
    pub fn newest(&self) -> Option<u32> {
        self.delivered.newest()
    }

    /// When the first packet came of a picture behind a gap that can be decoded without what is missing, and is still under way.
    pub fn recovery_begun(&self) -> Option<Instant> {
        let building = self.building.as_ref().filter(|building| self.wants_keyframe && !building.damaged);
        let building = building.filter(|building| self.is_decodable(building.dependency));
        let mut waiting = self.window.iter().flatten().filter(|packet| self.is_decodable(packet.dependency));
        building.map(|building| building.first_arrived).or_else(|| waiting.next().map(|packet| packet.arrived))
    }

    /// Whether what a picture says that it refers to was delivered.
    fn is_decodable(&self, dependency: Option<Dependency>) -> bool {
        dependency.is_some_and(|dependency| self.delivered.allows(dependency))
    }

    /// From now on nothing is delivered before a keyframe comes: for a consumer that had to drop one.
    pub fn require_keyframe(&mut self) {
        self.wants_keyframe = true;
        self.delivered.clear();
    }

    /// Losses since the last call.
    pub fn take_losses(&mut self) -> Losses {
        std::mem::take(&mut self.losses)
    }

    /// When [`Assembler::expire`] should be called.
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = self.window.iter().flatten().next()?;
        waiting.arrived.checked_add(self.hold)
    }

    /// The sequence number of the packet that is to be assembled next; those before it are not waited for. `None` before the
    /// first packet.
    pub fn next(&self) -> Option<u16> {
        self.next
    }

    /// Takes a packet in; access units that it completes are appended to `into`. Says whether it continues what was; if not, the
    /// sender's numbers have jumped, or there was an outage, and nothing of before is waited for.
    pub fn push(&mut self, packet: Packet, into: &mut Vec<Unit>) -> bool {
        let next = *self.next.get_or_insert(packet.sequence);
        // Distance on the circle of sequence numbers, -32768..=32767.
        let ahead = packet.sequence.wrapping_sub(next) as i16;
        if ahead < 0 {
            // A duplicate, or later than we were ready to wait.
            self.late_run += 1;
            if self.late_run < LATE_RUN {
                return true;
            }
        }
        self.late_run = 0;
        let index = ahead as usize;
        let continues = ahead >= 0 && index < WINDOW && index <= self.window.len() + MAX_GAP;
        let repair = packet.repair;
        if !continues {
            self.start_anew(packet.sequence);
            self.window.push_back(Some(packet));
        } else {
            if self.window.len() <= index {
                self.window.resize_with(index + 1, || None);
            }
            let slot = &mut self.window[index];
            if slot.is_some() {
                return true;
            }
            *slot = Some(packet);
            self.losses.repaired += u64::from(repair);
        }
        self.drain(into);
        continues
    }

    /// Goes on with the first picture that is whole behind a gap and needs nothing of what is missing, if there is one: a keyframe, or
    /// one that refers to a picture that was delivered. What is missing before it is given up.
    pub fn skip_gap(&mut self, into: &mut Vec<Unit>) {
        let Some(index) = self.next_entry() else { return };
        self.losses.packets += self.window.drain(..index).filter(Option::is_none).count() as u64;
        self.next = self.next.map(|next| next.wrapping_add(index as u16));
        self.lost();
        self.drain(into);
    }

    /// Where in the window the first whole one begins.
    fn next_entry(&self) -> Option<usize> {
        let mut begin: Option<(usize, u32)> = None;
        for (index, slot) in self.window.iter().enumerate() {
            let Some(packet) = slot else {
                begin = None;
                continue;
            };
            if begin.is_none_or(|(_, timestamp)| timestamp != packet.timestamp) {
                let enters = has_sps(&packet.payload) || self.is_decodable(packet.dependency);
                begin = enters.then_some((index, packet.timestamp));
            }
            if packet.marker
                && let Some((begin, _)) = begin
            {
                return Some(begin);
            }
        }
        None
    }

    /// Gives up gaps that have waited long enough.
    pub fn expire(&mut self, now: Instant, into: &mut Vec<Unit>) {
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            while let Some(None) = self.window.front() {
                self.window.pop_front();
                self.next = self.next.map(|next| next.wrapping_add(1));
                self.losses.packets += 1;
            }
            self.lost();
            self.drain(into);
        }
    }

    fn start_anew(&mut self, sequence: u16) {
        self.window.clear();
        self.next = Some(sequence);
        self.lost();
    }

    fn lost(&mut self) {
        // Whatever was lost, later pictures may refer to it.
        self.wants_keyframe = true;
        self.gap = true;
        if let Some(building) = &mut self.building {
            building.damaged = true;
        }
    }

    fn drain(&mut self, into: &mut Vec<Unit>) {
        while let Some(Some(_)) = self.window.front() {
            let Some(packet) = self.window.pop_front().flatten() else { break };
            self.next = Some(packet.sequence.wrapping_add(1));
            self.feed(&packet, into);
        }
    }

    /// The next packet in order.
    fn feed(&mut self, packet: &Packet, into: &mut Vec<Unit>) {
        if self.building.as_ref().is_some_and(|building| building.timestamp != packet.timestamp) {
            // The marker was lost (then the unit is damaged already) or the sender sets none.
            self.finish(into);
        }
        if !packet.payload.is_empty() {
            let gap = std::mem::take(&mut self.gap);
            let building = self.building.get_or_insert_with(|| Building {
                timestamp: packet.timestamp,
                captured: packet.captured,
                dependency: packet.dependency,
                first_arrived: packet.arrived,
                damaged: gap && !starts_unit(&packet.payload),
                fragment: None,
                sps: false,
                pps: false,
                idr: false,
                top: false,
            });
            building.captured = building.captured.or(packet.captured);
            // Only the unit's own end matters once it is damaged.
            if !building.damaged && append(building, &mut self.data, &packet.payload).is_none() {
                building.damaged = true;
            }
        }
        if packet.marker {
            self.finish(into);
        }
    }

    /// The unit under construction has ended.
    fn finish(&mut self, into: &mut Vec<Unit>) {
        let Some(building) = self.building.take() else { return };
        let data = self.data.split();
        if building.damaged || building.fragment.is_some() {
            self.losses.units += 1;
            self.wants_keyframe = true;
            return;
        }
        if data.is_empty() {
            return;
        }
        let keyframe = building.idr && building.sps && building.pps && building.top;
        // A sender that says what its pictures refer to is believed, and must not be wrong.
        let decodable = match (building.dependency, self.delivered.newest()) {
            (Some(dependency), Some(_)) => self.delivered.allows(dependency),
            _ => !self.wants_keyframe,
        };
        if !keyframe && !decodable {
            self.losses.units += 1;
            self.wants_keyframe = true;
            return;
        }
        self.wants_keyframe = false;
        self.delivered.add(building.dependency, keyframe);
        into.push(Unit {
            data: data.freeze(),
            keyframe,
            captured: building.captured,
            dependency: building.dependency,
            timestamp: building.timestamp,
            first_arrived: building.first_arrived,
        });
    }
}

/// Appends one payload to the unit; `None` if it is malformed or makes the unit too large.
fn append(building: &mut Building, data: &mut BytesMut, payload: &[u8]) -> Option<()> {
    let (&header, body) = payload.split_first()?;
    if data.len() + payload.len() > MAX_UNIT_BYTES {
        return None;
    }
    // A STAP-A's start codes are longer than its sizes.
    let wanted = 2 * payload.len() + START_CODE.len();
    if data.capacity() - data.len() < wanted {
        data.reserve(wanted.max(CHUNK));
    }
    let kind = header & 0x1f;
    if kind != FU_A && building.fragment.is_some() {
        return None;
    }
    match kind {
        1..=23 => append_nal(building, data, payload),
        STAP_A => {
            let mut rest = body;
            while !rest.is_empty() {
                let size = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
                append_nal(building, data, rest.get(2..2 + size)?);
                rest = &rest[2 + size..];
            }
        }
        FU_A => {
            let (&fragment, body) = body.split_first()?;
            let (start, end, kind) = (fragment & 0x80 != 0, fragment & 0x40 != 0, fragment & 0x1f);
            if start != building.fragment.is_none() || building.fragment.is_some_and(|open| open != kind) {
                return None;
            }
            if start {
                data.put_slice(&START_CODE);
                data.put_u8(header & 0xe0 | kind);
                note(building, kind, body);
            }
            data.put_slice(body);
            building.fragment = (!end).then_some(kind);
        }
        // STAP-B, MTAP and FU-B belong to the interleaved mode, which is never negotiated.
        _ => return None,
    }
    Some(())
}

fn append_nal(building: &mut Building, data: &mut BytesMut, nal: &[u8]) {
    if let Some((header, body)) = nal.split_first() {
        data.put_slice(&START_CODE);
        data.put_slice(nal);
        note(building, header & 0x1f, body);
    }
}

fn note(building: &mut Building, kind: u8, body: &[u8]) {
    match kind {
        IDR => building.idr = true,
        SPS => building.sps = true,
        PPS => building.pps = true,
        _ => {}
    }
    building.top |= is_top_slice(kind, body);
}

/// Whether a NAL unit is a slice with the picture's first macroblock: `first_mb_in_slice`, an Exp-Golomb number at the very
/// beginning of the slice header, is 0 exactly if its first bit is 1.
fn is_top_slice(kind: u8, body: &[u8]) -> bool {
    matches!(kind, 1 | IDR) && body.first().is_some_and(|byte| byte & 0x80 != 0)
}

/// Whether a payload belongs to the beginning of a keyframe: it holds parameter sets or the first piece of an IDR slice.
pub(super) fn begins_keyframe(payload: &[u8]) -> bool {
    let idr = |header: &u8| header & 0x1f == IDR;
    let begins_idr = match payload.first().map_or(0, |header| header & 0x1f) {
        STAP_A => payload.get(3).is_some_and(idr),
        FU_A => payload.get(1).is_some_and(|fragment| fragment & 0x80 != 0 && idr(fragment)),
        _ => payload.first().is_some_and(idr),
    };
    begins_idr || has_sps(payload)
}

/// Whether a payload begins with a sequence parameter set, as a keyframe does.
fn has_sps(payload: &[u8]) -> bool {
    let stap = payload.first().is_some_and(|header| header & 0x1f == STAP_A);
    payload.get(if stap { 3 } else { 0 }).is_some_and(|header| header & 0x1f == SPS)
}

/// Whether a payload can only be the first of an access unit, for the packet behind a gap.
fn starts_unit(payload: &[u8]) -> bool {
    let starts = |nal: &[u8]| {
        nal.split_first().is_some_and(|(header, body)| match header & 0x1f {
            // Parameter sets, SEI and delimiters stand in front of the first slice.
            6..=9 => true,
            kind => is_top_slice(kind, body),
        })
    };
    match payload.first().map_or(0, |header| header & 0x1f) {
        STAP_A => payload.get(3..).is_some_and(starts),
        FU_A => match payload.get(1..) {
            Some([fragment, body @ ..]) => fragment & 0x80 != 0 && is_top_slice(fragment & 0x1f, body),
            _ => false,
        },
        _ => starts(payload),
    }
}
