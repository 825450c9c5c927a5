//! What it costs to put one picture together from RTP packets, in order and with one packet late.
//!
//! `cargo bench --no-default-features --bench assemble`.

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use screen_portal::link::assembler::{Assembler, Packet};
use std::time::{Duration, Instant};

/// A payload that any network carries.
const PAYLOAD: usize = 1160;

/// An access unit of about `bytes` as FU-A fragments (RFC 6184 5.8) of one slice; a keyframe has parameter sets in front.
fn packets(bytes: usize, keyframe: bool, first: u16, timestamp: u32) -> Vec<Packet> {
    let mut payloads = Vec::new();
    let kind = if keyframe {
        // STAP-A with an SPS and a PPS.
        payloads.push(vec![0x78, 0, 4, 0x67, 66, 0xc0, 31, 0, 2, 0x68, 0xce]);
        5
    } else {
        1
    };
    let fragments = bytes.div_ceil(PAYLOAD).max(2);
    for n in 0..fragments {
        let edge = if n == 0 { 0x80 } else { u8::from(n == fragments - 1) << 6 };
        let mut payload = vec![0x88; PAYLOAD];
        payload[..2].copy_from_slice(&[0x60 | 28, edge | kind]);
        payloads.push(payload);
    }
    let (last, arrived) = (payloads.len() - 1, Instant::now());
    let packet = |(n, payload): (usize, Vec<u8>)| Packet {
        sequence: first.wrapping_add(n as u16),
        timestamp,
        marker: n == last,
        captured: None,
        dependency: None,
        repair: false,
        payload: Bytes::from(payload),
        arrived,
    };
    payloads.into_iter().enumerate().map(packet).collect()
}

fn assemble(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("assemble");
    for (name, bytes, late) in
        [("10 kB", 10_400, false), ("10 kB, one packet late", 10_400, true), ("60 kB", 60_000, false)]
    {
        let (mut assembler, mut units) = (Assembler::new(Duration::from_secs(1)), Vec::new());
        let begin = packets(2 * PAYLOAD, true, 0, 0);
        let mut sequence = begin.len() as u16;
        for packet in begin {
            assembler.push(packet, &mut units);
        }
        assert_eq!(units.len(), 1, "the keyframe is whole");
        let mut timestamp = 0u32;
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            let make = || {
                timestamp = timestamp.wrapping_add(3000);
                let mut made = packets(bytes, false, sequence, timestamp);
                sequence = sequence.wrapping_add(made.len() as u16);
                if late {
                    made.swap(2, 5);
                }
                made
            };
            bencher.iter_batched(
                make,
                |packets| {
                    units.clear();
                    for packet in packets {
                        assembler.push(packet, &mut units);
                    }
                    assert_eq!(units.len(), 1, "the picture is whole");
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, assemble);
criterion_main!(benches);
